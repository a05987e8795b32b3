//! One state folded from all streams in commit order, kept caught up in the background and saved
//! as a checkpoint of the server's own.
//!
//! It refuses to know what the records mean. Invariant: what is shown has every record up to the
//! position that was durable when it was asked for, and the streams that were there then.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{
    aside::aside,
    checkpoint::{self, Checkpoint},
};
use crate::{
    limits,
    log::{
        Changes, CreateError, Creation, Log, Offset, PageLimit, PathError, Position, ReadError,
        RollWatch, StreamInfo, StreamPath, StreamSpec, Told,
    },
};

/// State folded from records of all streams.
pub trait OrderFold: Default + Send + 'static {
    /// Its name, under which it is saved.
    const NAME: &'static str;

    /// What the paths of the streams begin with that are folded.
    const PREFIX: &'static str;

    /// Whether records of a stream are folded.
    fn folds(path: &str) -> bool;

    /// Folds one record.
    fn fold(&mut self, told: &Told);

    /// Whether anything was folded of a stream, by its path and its epoch.
    fn has(&self, path: &str, epoch: u64) -> bool;

    /// Begins a stream that inherits records, which are folded next.
    fn begin(&mut self, info: &StreamInfo);

    /// Takes over what another state has of a stream, in place of its own.
    fn take(&mut self, path: &str, from: &mut Self);

    /// Forgets a stream that is gone.
    fn forget(&mut self, path: &str);

    /// The streams of which something was folded.
    fn paths(&self) -> Vec<String>;

    /// The last record of a stream that was folded.
    fn offset(&self, path: &str) -> Offset;

    /// Whether another state, folded up to the same position, has the same of a stream.
    fn is_same(&self, other: &Self, info: &StreamInfo) -> bool;

    /// The state as bytes that [`OrderFold::load`] reads.
    fn save(&self) -> Vec<u8>;

    /// The state of a checkpoint; `None` where it is one of another version, or none at all.
    fn load(bytes: &[u8]) -> Option<Self>;
}

/// The state, kept caught up. Cheap to clone.
#[derive(Debug)]
pub struct OrderView<F> {
    pub(super) log: Log,
    pub(super) at: Arc<Mutex<Option<At<F>>>>,
}

impl<F> Clone for OrderView<F> {
    fn clone(&self) -> Self {
        Self { log: self.log.clone(), at: Arc::clone(&self.at) }
    }
}

#[derive(Debug)]
pub(super) struct At<F> {
    pub(super) position: Position,
    pub(super) saved: Position,
    saved_ms: u64,
    pub(super) roll: RollWatch,
    /// Streams that have come or gone and are yet to be looked at.
    pub(super) changes: Changes,
    pub(super) fold: F,
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

    /// How many positions lie between the state and now; `None` while it is being folded, or was
    /// never asked for.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        let tail = *self.log.watch_order().borrow();
        let at = self.at.try_lock().ok()?;
        at.as_ref().map(|at| tail.0.saturating_sub(at.position.0))
    }

    /// Keeps the state caught up and saved; the server runs it as a task and stops it by dropping
    /// it. While records come in by the hundred thousand it waits: whoever asks is caught up then.
    pub async fn run(self) {
        let (mut moved, mut roll) = (self.log.watch_order(), self.log.watch_roll());
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
            tokio::select! {
                moved = moved.changed() => if moved.is_err() {
                    return;
                },
                () = roll.changed() => {}
            }
        }
    }

    pub(super) async fn step(&self) -> Result<(), ReadError> {
        let mut at = Arc::clone(&self.at).lock_owned().await;
        let current = self.caught_up(&mut at).await?;
        if current.position.0.saturating_sub(current.saved.0) < limits::ORDER_CHECKPOINT_EVERY {
            return Ok(());
        }
        self.save(at, false).await
    }

    /// Saves the state, unless that was done a moment ago: before records go, and on stopping.
    ///
    /// # Errors
    /// The store does not answer, or refuses.
    pub async fn save_unless_within(&self, span: Duration) -> Result<(), ReadError> {
        let mut at = Arc::clone(&self.at).lock_owned().await;
        let current = self.caught_up(&mut at).await?;
        let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let is_saved = current.saved == current.position
            || self.log.clock().now_ms() < current.saved_ms.saturating_add(span_ms);
        if is_saved { Ok(()) } else { self.save(at, false).await }
    }

    /// Saves the state, which many sessions make large: it is written on a thread for that, and
    /// goes there with its lock, so that whoever gives up halfway leaves it where it was.
    pub(super) async fn save(
        &self,
        at: OwnedMutexGuard<Option<At<F>>>,
        replace: bool,
    ) -> Result<(), ReadError> {
        let Some(path) = Self::path() else { return Ok(()) };
        self.begin(&path).await?;
        let (mut at, saved) = aside(usize::MAX, move || {
            let saved = at.as_ref().map(|at| (at.position, at.fold.save()));
            (at, saved)
        })
        .await?;
        let Some((position, bytes)) = saved else { return Ok(()) };
        let saved = Checkpoint { offset: Offset(position.0), bytes };
        checkpoint::save(&self.log, &path, saved, replace).await?;
        if let Some(at) = at.as_mut() {
            (at.saved, at.saved_ms) = (position, self.log.clock().now_ms());
        }
        Ok(())
    }

    /// Catches up page by page. Whoever gives up in the middle of a page leaves the position before
    /// it: folding a record twice changes nothing.
    pub(super) async fn caught_up<'a>(
        &self,
        at: &'a mut Option<At<F>>,
    ) -> Result<&'a mut At<F>, ReadError> {
        let current = match at {
            Some(current) => current,
            none => none.insert(self.open().await?),
        };
        self.take_roll(current).await?;
        let tail = *self.log.watch_order().borrow();
        while current.position < tail {
            current.position = self.fold_page(&mut current.fold, current.position, tail).await?;
            // A long fold that never waits for the store would keep others from running.
            if current.position < tail {
                tokio::task::yield_now().await;
            }
        }
        Ok(current)
    }

    /// Folds the page after a position, up to another one, and answers with where it ends.
    pub(super) async fn fold_page(
        &self,
        fold: &mut F,
        after: Position,
        until: Position,
    ) -> Result<Position, ReadError> {
        let limit = PageLimit { records: limits::PAGE_RECORDS, bytes: limits::PAGE_BYTES };
        let page = self.log.read_order(after, limit).await?;
        for told in page.told.iter().filter(|told| told.record.position <= until) {
            self.begin_for(fold, told).await?;
            fold.fold(told);
        }
        Ok(if page.next > after { page.next.min(until) } else { until })
    }

    async fn open(&self) -> Result<At<F>, ReadError> {
        // Watched before it is looked at what there is, so that nothing comes in between.
        let roll = self.log.watch_roll();
        let (position, fold) = self.load().await?.unwrap_or_default();
        let changes = Changes { all: true, ..Changes::default() };
        Ok(At { position, saved: position, saved_ms: 0, roll, changes, fold })
    }

    /// The state that was saved last, and the position it stands at.
    pub(super) async fn load(&self) -> Result<Option<(Position, F)>, ReadError> {
        let tail = *self.log.watch_order().borrow();
        let Some(path) = Self::path() else { return Ok(None) };
        let found = match checkpoint::load(&self.log, &path).await {
            Ok(found) => found,
            Err(ReadError::NoStream(_)) => None,
            Err(error) => return Err(error),
        };
        let found = found.filter(|found| found.offset.0 <= tail.0);
        Ok(found.and_then(|found| Some((Position(found.offset.0), F::load(&found.bytes)?))))
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
