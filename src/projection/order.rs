//! One state folded from all streams in commit order, kept caught up in the background and saved
//! as a checkpoint of the server's own.
//!
//! It refuses to know what the records mean. Invariant: what is shown has every record up to the
//! position that was durable when it was asked for.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use super::checkpoint::{self, Checkpoint};
use crate::{
    limits,
    log::{
        CreateError, Creation, Log, Offset, PageLimit, PathError, Position, ReadError, StreamPath,
        StreamSpec, Told,
    },
};

/// State folded from records of all streams.
pub trait OrderFold: Default + Send + 'static {
    /// Its name, under which it is saved.
    const NAME: &'static str;

    /// Folds one record.
    fn fold(&mut self, told: &Told);

    /// The state as bytes that [`OrderFold::load`] reads.
    fn save(&self) -> Vec<u8>;

    /// The state of a checkpoint; `None` where it is one of another version, or none at all.
    fn load(bytes: &[u8]) -> Option<Self>;
}

/// The state, kept caught up. Cheap to clone.
#[derive(Debug)]
pub struct OrderView<F> {
    log: Log,
    at: Arc<Mutex<Option<At<F>>>>,
}

impl<F> Clone for OrderView<F> {
    fn clone(&self) -> Self {
        Self { log: self.log.clone(), at: Arc::clone(&self.at) }
    }
}

#[derive(Debug)]
struct At<F> {
    position: Position,
    saved: Position,
    saved_ms: u64,
    fold: F,
}

impl<F: OrderFold> OrderView<F> {
    /// A state over a log.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { log, at: Arc::default() }
    }

    /// Shows the state as of now, and lets it be mended.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn read<T>(&self, show: impl FnOnce(&mut F, Position) -> T) -> Result<T, ReadError> {
        let mut at = self.at.lock().await;
        let current = self.caught_up(&mut at).await?;
        Ok(show(&mut current.fold, current.position))
    }

    /// The same, unless many records lie between the state and now: `None` then. For whoever can
    /// as well look later, and must not slow down those who write.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn read_if_near<T>(
        &self,
        show: impl FnOnce(&mut F, Position) -> T,
    ) -> Result<Option<T>, ReadError> {
        let mut at = self.at.lock().await;
        let tail = *self.log.watch_order().borrow();
        let reached = at.as_ref().map_or(Position(0), |at| at.position);
        if at.is_some() && tail.0.saturating_sub(reached.0) > limits::ORDER_NEAR {
            return Ok(None);
        }
        let current = self.caught_up(&mut at).await?;
        Ok(Some(show(&mut current.fold, current.position)))
    }

    /// Keeps the state caught up and saved; the server runs it as a task and stops it by dropping
    /// it. While records come in by the hundred thousand it waits: whoever asks is caught up then.
    pub async fn run(self) {
        let mut moved = self.log.watch_order();
        let mut before = *moved.borrow();
        loop {
            let tail = *moved.borrow_and_update();
            let is_rush = tail.0.saturating_sub(before.0) > limits::ORDER_NEAR;
            before = tail;
            if is_rush {
                self.log.clock().sleep(limits::ORDER_VIEW_EVERY).await;
                continue;
            }
            let pause = match self.step().await {
                Ok(()) => limits::ORDER_VIEW_EVERY,
                Err(error) => {
                    tracing::warn!(state = F::NAME, %error, "it is not caught up; it tries again");
                    Duration::from_secs(1)
                }
            };
            self.log.clock().sleep(pause).await;
            if moved.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) async fn step(&self) -> Result<(), ReadError> {
        let mut at = self.at.lock().await;
        let current = self.caught_up(&mut at).await?;
        if current.position.0.saturating_sub(current.saved.0) < limits::ORDER_CHECKPOINT_EVERY {
            return Ok(());
        }
        self.save(current).await
    }

    /// Saves the state, unless that was done a moment ago: before records go, and on stopping.
    ///
    /// # Errors
    /// The store does not answer, or refuses.
    pub async fn save_unless_within(&self, span: Duration) -> Result<(), ReadError> {
        let mut at = self.at.lock().await;
        let current = self.caught_up(&mut at).await?;
        let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let is_saved = current.saved == current.position
            || self.log.clock().now_ms() < current.saved_ms.saturating_add(span_ms);
        if is_saved { Ok(()) } else { self.save(current).await }
    }

    async fn save(&self, current: &mut At<F>) -> Result<(), ReadError> {
        let (position, bytes) = (current.position, current.fold.save());
        let Some(path) = Self::path() else { return Ok(()) };
        self.begin(&path).await?;
        let saved = Checkpoint { offset: Offset(position.0), bytes };
        checkpoint::save(&self.log, &path, &saved, false).await?;
        (current.saved, current.saved_ms) = (position, self.log.clock().now_ms());
        Ok(())
    }

    /// Catches up page by page. A page that is half folded is folded to its end before anything
    /// is waited for, so whoever gives up leaves the state as of some position.
    async fn caught_up<'a>(&self, at: &'a mut Option<At<F>>) -> Result<&'a mut At<F>, ReadError> {
        if at.is_none() {
            *at = Some(self.open().await?);
        }
        let tail = *self.log.watch_order().borrow();
        let current = at.get_or_insert_with(At::empty);
        while current.position < tail {
            let limit = PageLimit { records: limits::PAGE_RECORDS, bytes: limits::PAGE_BYTES };
            let page = self.log.read_order(current.position, limit).await?;
            for told in &page.told {
                current.fold.fold(told);
            }
            current.position = if page.next > current.position { page.next } else { tail };
            // A long fold that never waits for the store would keep others from running.
            if current.position < tail {
                tokio::task::yield_now().await;
            }
        }
        Ok(current)
    }

    async fn open(&self) -> Result<At<F>, ReadError> {
        let tail = *self.log.watch_order().borrow();
        let Some(path) = Self::path() else { return Ok(At::empty()) };
        let found = match checkpoint::load(&self.log, &path).await {
            Ok(found) => found,
            Err(ReadError::NoStream(_)) => None,
            Err(error) => return Err(error),
        };
        let found = found.filter(|found| found.offset.0 <= tail.0);
        let loaded =
            found.and_then(|found| Some((Position(found.offset.0), F::load(&found.bytes)?)));
        Ok(loaded.map_or_else(At::empty, |(position, fold)| At {
            position,
            saved: position,
            saved_ms: 0,
            fold,
        }))
    }

    /// The stream whose checkpoints these are; it has no records.
    fn path() -> Option<StreamPath> {
        let path: Result<_, PathError> = StreamPath::control(&format!("views/{}", F::NAME));
        path.ok()
    }

    async fn begin(&self, path: &StreamPath) -> Result<(), ReadError> {
        let creation = Creation::from(StreamSpec::json());
        match self.log.create(path, creation).await {
            Ok(_) | Err(CreateError::Exists(_)) => Ok(()),
            Err(error) => Err(ReadError::Unavailable(error.to_string().into())),
        }
    }
}

impl<F: OrderFold> At<F> {
    fn empty() -> Self {
        Self { position: Position(0), saved: Position(0), saved_ms: 0, fold: F::default() }
    }
}
