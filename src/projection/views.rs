//! The states of the streams that are looked at, kept caught up: read from their checkpoints, held
//! while they are used, saved where much was folded.
//!
//! Invariant: a state that is shown stands at the offset that is said with it, and every record up
//! to there that is kept is in it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex as Lock;
use tokio::sync::Mutex;

use super::{
    Fold,
    checkpoint::{self, Checkpoint},
};
use crate::{
    limits,
    log::{Log, Offset, PageLimit, ReadError, Record, StreamInfo, StreamPath},
};

/// The live states of streams. Cheap to clone.
#[derive(Debug)]
pub struct Views<F> {
    pub(super) inner: Arc<Inner<F>>,
}

impl<F> Clone for Views<F> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

#[derive(Debug)]
pub(super) struct Inner<F> {
    pub(super) log: Log,
    live: Lock<HashMap<Arc<str>, Arc<View<F>>>>,
    /// Held while a checkpoint is saved: two of one stream must not be written into each other.
    saving: Mutex<()>,
}

/// The state of one stream.
#[derive(Debug)]
struct View<F> {
    at: Mutex<Option<At<F>>>,
    used_ms: AtomicU64,
    pins: AtomicUsize,
}

/// A state, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<F> {
    epoch: u64,
    pub(super) offset: Offset,
    /// The newest checkpoint.
    saved: Offset,
    pub(super) fold: F,
}

/// Keeps a stream's state in memory while it is there.
#[derive(Debug)]
pub struct Pin<F>(Arc<View<F>>);

impl<F> Drop for Pin<F> {
    fn drop(&mut self) {
        self.0.pins.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<F: Fold> Views<F> {
    /// States of the streams of a log.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { inner: Arc::new(Inner { log, live: Lock::default(), saving: Mutex::new(()) }) }
    }

    /// Shows the state of a stream at its tail. Whoever looks meanwhile waits.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read<T>(
        &self,
        path: &StreamPath,
        show: impl FnOnce(&F, Offset) -> T,
    ) -> Result<T, ReadError> {
        // Nothing is held for a stream that is not there.
        self.inner.log.info(path).await?;
        let view = self.view(path);
        let mut at = view.at.lock().await;
        // Asked again where nobody else moves the state: one of later is not taken for foreign.
        let info = self.inner.log.info(path).await?;
        let current = match at.take().filter(|at| at.epoch == info.epoch) {
            Some(current) => current,
            None => self.inner.open(path, &info).await?,
        };
        // Taken out while it is folded: whoever gives up halfway leaves nothing half done.
        let current = at.insert(self.inner.caught_up(path, current, info.tail).await?);
        let shown = show(&current.fold, current.offset);
        self.inner.save_if_long(path, current).await;
        Ok(shown)
    }

    /// Shows the state of a stream as it was at an offset.
    ///
    /// # Errors
    /// [`ReadError::Beyond`] where the stream ends before it, [`ReadError::Trimmed`] where the
    /// records up to it are no longer kept and no checkpoint is old enough.
    pub async fn read_at<T>(
        &self,
        path: &StreamPath,
        offset: Offset,
        show: impl FnOnce(&F) -> T,
    ) -> Result<T, ReadError> {
        Ok(show(&self.at(path, offset).await?.fold))
    }

    /// Shows the state of a stream as it was at an offset, and then after each record up to
    /// another one, together with that record.
    ///
    /// # Errors
    /// As [`Views::read_at`].
    pub async fn walk(
        &self,
        path: &StreamPath,
        from: Offset,
        until: Offset,
        mut show: impl FnMut(&F, Option<&Record>) + Send,
    ) -> Result<(), ReadError> {
        let at = self.at(path, from).await?;
        show(&at.fold, None);
        let each = |fold: &F, record: &Record| show(fold, Some(record));
        self.inner.folded(path, at, until, each).await.map(drop)
    }

    async fn at(&self, path: &StreamPath, offset: Offset) -> Result<At<F>, ReadError> {
        let info = self.inner.log.info(path).await?;
        if offset > info.tail {
            return Err(ReadError::Beyond { tail: info.tail });
        }
        let live = self.live_before(path, &info, offset).await;
        let saved = self.inner.open(path, &info).await?;
        let known = [live, Some(saved)].into_iter().flatten().filter(|at| at.offset <= offset);
        let start = known.max_by_key(|at| at.offset).unwrap_or_else(|| At::empty(&info));
        // A state that lacks records is only shown at the tail, where there is no other.
        let is_whole = start.offset.plus(1) >= info.earliest || start.offset == offset;
        if !is_whole && offset < info.tail {
            return Err(ReadError::Trimmed { earliest: info.earliest });
        }
        self.inner.caught_up(path, start, offset).await
    }

    /// The first offset at which the state of a stream is known for certain.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn known_from(&self, path: &StreamPath) -> Result<Offset, ReadError> {
        let info = self.inner.log.info(path).await?;
        if info.earliest <= Offset(1) {
            return Ok(Offset::ZERO);
        }
        let saved = self.inner.open(path, &info).await?.offset;
        Ok(if saved.plus(1) >= info.earliest { saved } else { info.tail })
    }

    /// Keeps a stream's state in memory until the pin is dropped.
    #[must_use]
    pub fn pin(&self, path: &StreamPath) -> Pin<F> {
        let view = self.view(path);
        view.pins.fetch_add(1, Ordering::Relaxed);
        Pin(view)
    }

    /// How many states are in memory.
    #[must_use]
    pub fn live(&self) -> usize {
        self.inner.live.lock().len()
    }

    /// Lets go of what nobody has looked at for a while; the server runs it as a task and stops it
    /// by dropping it.
    pub async fn run(self) {
        loop {
            self.inner.log.clock().sleep(limits::VIEWS_LOOK_EVERY).await;
            self.let_go_idle();
        }
    }

    /// Lets go of states that were not used for [`limits::VIEWS_IDLE`].
    pub fn let_go_idle(&self) {
        let now_ms = self.inner.log.clock().now_ms();
        let idle_ms = u64::try_from(limits::VIEWS_IDLE.as_millis()).unwrap_or(u64::MAX);
        self.inner.live.lock().retain(|_, view| {
            let used_ms = view.used_ms.load(Ordering::Relaxed);
            view.is_pinned() || now_ms.saturating_sub(used_ms) < idle_ms
        });
    }

    /// The view of a stream, the least used one being let go of where there are too many.
    fn view(&self, path: &StreamPath) -> Arc<View<F>> {
        let now_ms = self.inner.log.clock().now_ms();
        let mut live = self.inner.live.lock();
        let view = live.entry(path.shared()).or_insert_with(|| Arc::new(View::new()));
        let view = Arc::clone(view);
        view.used_ms.store(now_ms, Ordering::Relaxed);
        if live.len() > limits::VIEWS_MAX {
            let idle =
                live.iter().filter(|(_, other)| !other.is_pinned() && !Arc::ptr_eq(other, &view));
            let oldest = idle.min_by_key(|(_, other)| other.used_ms.load(Ordering::Relaxed));
            if let Some(oldest) = oldest.map(|(path, _)| Arc::clone(path)) {
                live.remove(&oldest);
            }
        }
        view
    }

    /// The live state, if it has not gone beyond an offset.
    async fn live_before(
        &self,
        path: &StreamPath,
        info: &StreamInfo,
        offset: Offset,
    ) -> Option<At<F>> {
        let view = self.inner.live.lock().get(path.as_str()).cloned()?;
        let at = view.at.lock().await;
        at.as_ref().filter(|at| at.epoch == info.epoch && at.offset <= offset).cloned()
    }
}

impl<F> View<F> {
    fn new() -> Self {
        Self { at: Mutex::new(None), used_ms: AtomicU64::new(0), pins: AtomicUsize::new(0) }
    }

    fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::Relaxed) > 0
    }
}

impl<F: Fold> At<F> {
    pub(super) fn empty(info: &StreamInfo) -> Self {
        Self { epoch: info.epoch, offset: Offset::ZERO, saved: Offset::ZERO, fold: F::default() }
    }
}

impl<F: Fold> Inner<F> {
    /// The state of the newest checkpoint, or of nothing.
    pub(super) async fn open(
        &self,
        path: &StreamPath,
        info: &StreamInfo,
    ) -> Result<At<F>, ReadError> {
        let found = checkpoint::load(&self.log, path).await?;
        let found = found.filter(|found| found.offset <= info.tail);
        let loaded = found.and_then(|found| Some((found.offset, F::load(&found.bytes)?)));
        Ok(loaded.map_or_else(
            || At::empty(info),
            |(offset, fold)| At { epoch: info.epoch, offset, saved: offset, fold },
        ))
    }

    /// Folds the records up to an offset.
    pub(super) async fn caught_up(
        &self,
        path: &StreamPath,
        at: At<F>,
        until: Offset,
    ) -> Result<At<F>, ReadError> {
        self.folded(path, at, until, |_, _| {}).await
    }

    /// The same, with a look at the state after each record.
    async fn folded(
        &self,
        path: &StreamPath,
        mut at: At<F>,
        until: Offset,
        mut each: impl FnMut(&F, &Record) + Send,
    ) -> Result<At<F>, ReadError> {
        while at.offset < until {
            let left = usize::try_from(until.0 - at.offset.0).unwrap_or(usize::MAX);
            let limit =
                PageLimit { records: left.min(limits::PAGE_RECORDS), bytes: limits::PAGE_BYTES };
            match self.log.read(path, at.offset, limit).await {
                Ok(page) if page.records.is_empty() => break,
                Ok(page) => {
                    for record in page.records.iter().filter(|record| record.offset <= until) {
                        at.fold.fold(record);
                        at.offset = record.offset;
                        each(&at.fold, record);
                    }
                    // A long fold that never waits for the store would keep others from running.
                    if at.offset < until {
                        tokio::task::yield_now().await;
                    }
                }
                // What is gone is in a checkpoint that was saved before, or gone for everybody.
                Err(ReadError::Trimmed { earliest }) => {
                    let saved = self.saved_between(path, at.offset, until).await?;
                    match saved {
                        Some((offset, fold)) => (at.offset, at.fold) = (offset, fold),
                        None => at.offset = Offset(earliest.0.saturating_sub(1)).min(until),
                    }
                }
                Err(ReadError::Lost { to, .. }) => at.offset = to.min(until),
                Err(error) => return Err(error),
            }
        }
        Ok(at)
    }

    /// The checkpoint, if it lies behind one place and not behind another.
    async fn saved_between(
        &self,
        path: &StreamPath,
        after: Offset,
        until: Offset,
    ) -> Result<Option<(Offset, F)>, ReadError> {
        let found = checkpoint::load(&self.log, path).await?;
        let found = found.filter(|found| found.offset > after && found.offset <= until);
        Ok(found.and_then(|found| Some((found.offset, F::load(&found.bytes)?))))
    }

    /// Saves a state, unless a later one is saved already.
    pub(super) async fn save(
        &self,
        path: &StreamPath,
        at: &At<F>,
        replace: bool,
    ) -> Result<(), ReadError> {
        let saved = Checkpoint { offset: at.offset, bytes: at.fold.save() };
        let _saving = self.saving.lock().await;
        checkpoint::save(&self.log, path, &saved, replace).await
    }

    /// Saves a state that has come far since it was saved.
    async fn save_if_long(&self, path: &StreamPath, at: &mut At<F>) {
        // A longer stream has a larger state, which is worth saving less often.
        let enough = limits::CHECKPOINT_EVERY.max(at.offset.0 / 10);
        if at.offset.0.saturating_sub(at.saved.0) < enough {
            return;
        }
        // One that is given up halfway is tried again by the next.
        let saved = self.save(path, at, false).await;
        at.saved = at.offset;
        if let Err(error) = saved {
            tracing::warn!(%path, %error, "no checkpoint was saved");
        }
    }
}
