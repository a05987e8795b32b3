//! The states of the streams that are looked at: found, shown at the tail or at any offset, held
//! while they are used.
//!
//! Invariant: a state that is shown stands at the offset that is said with it, and every record up
//! to there that is kept is in it.

use std::{
    cmp::Reverse,
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
    replay::{At, Inner},
    room::{self, Held},
};
use crate::{
    limits,
    log::{Log, Offset, ReadError, Record, StreamInfo, StreamPath},
};

/// The live states of streams. Cheap to clone.
#[derive(Debug)]
pub struct Views<F> {
    pub(super) inner: Arc<Inner>,
    live: Arc<Lock<Live<F>>>,
}

impl<F> Clone for Views<F> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), live: Arc::clone(&self.live) }
    }
}

type Live<F> = HashMap<Arc<str>, Arc<View<F>>>;

/// The state of one stream.
#[derive(Debug)]
pub(super) struct View<F> {
    at: Mutex<Option<At<F>>>,
    used_ms: AtomicU64,
    /// Its size when it was looked at last.
    bytes: AtomicUsize,
    pins: Arc<AtomicUsize>,
}

/// Keeps a stream's state in memory while it is there and there is room. It does not hold the
/// state itself, which may have to go.
#[derive(Debug)]
pub struct Pin(Arc<AtomicUsize>);

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<F: Fold> Views<F> {
    /// States of the streams of a log.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { inner: Arc::new(Inner::new(log)), live: Arc::default() }
    }

    /// Shows the state of a stream at its tail. Whoever looks meanwhile waits; whoever gives up
    /// leaves what was folded so far to the next.
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
        if at.as_ref().is_none_or(|at| at.epoch != info.epoch) {
            *at = Some(self.inner.open(path, &info).await?);
        }
        let current = at.get_or_insert_with(|| At::empty(info.epoch));
        self.inner.fold_to(path, current, info.tail, |_, _| {}).await?;
        view.bytes.store(current.bytes, Ordering::Relaxed);
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
        let mut at = self.at(path, from).await?;
        show(&at.fold, None);
        let each = |fold: &F, record: &Record| show(fold, Some(record));
        self.inner.fold_to(path, &mut at, until, each).await
    }

    /// The state of a stream as it was at an offset, to keep.
    ///
    /// # Errors
    /// As [`Views::read_at`].
    pub async fn state_at(&self, path: &StreamPath, offset: Offset) -> Result<F, ReadError> {
        Ok(self.at(path, offset).await?.fold)
    }

    /// Does long work on states away from the requests of others, few at once.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]: it did not come to its end.
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        self.inner.aside(work).await
    }

    async fn at(&self, path: &StreamPath, offset: Offset) -> Result<At<F>, ReadError> {
        let info = self.inner.log.info(path).await?;
        if offset > info.tail {
            return Err(ReadError::Beyond { tail: info.tail });
        }
        let live = self.live_before(path, &info, offset).await;
        let saved: At<F> = self.inner.open(path, &info).await?;
        let known = [live, Some(saved)].into_iter().flatten().filter(|at| at.offset <= offset);
        let mut start = known.max_by_key(|at| at.offset).unwrap_or_else(|| At::empty(info.epoch));
        // A state that lacks records is only shown at the tail, where there is no other.
        let is_whole = start.offset.plus(1) >= info.earliest || start.offset == offset;
        if !is_whole && offset < info.tail {
            return Err(ReadError::Trimmed { earliest: info.earliest });
        }
        self.inner.fold_to(path, &mut start, offset, |_, _| {}).await?;
        Ok(start)
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
        let saved = self.inner.open::<F>(path, &info).await?.offset;
        Ok(if saved.plus(1) >= info.earliest { saved } else { info.tail })
    }

    /// Keeps a stream's state in memory until the pin is dropped; none where so many are kept
    /// that this one has to take its turn with all others.
    #[must_use]
    pub fn pin(&self, path: &StreamPath) -> Option<Pin> {
        let view = self.view(path);
        let live = self.live.lock();
        if !view.is_pinned() && !room::takes_a_pin(&held(&live)) {
            self.inner.log.metrics().unpinned_snapshots.inc();
            return None;
        }
        view.pins.fetch_add(1, Ordering::Relaxed);
        Some(Pin(Arc::clone(&view.pins)))
    }

    /// How many states are in memory.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.lock().len()
    }

    /// The largest states in memory, `max` at most, the largest first.
    #[must_use]
    pub fn largest(&self, max: usize) -> Vec<Held> {
        let mut held = held(&self.live.lock());
        held.sort_by_key(|held| Reverse(held.bytes));
        held.truncate(max);
        held
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
        let mut live = self.live.lock();
        for held in room::may_go(held(&live)) {
            if now_ms.saturating_sub(held.used_ms) >= idle_ms {
                live.remove(&held.path);
            }
        }
    }

    /// The view of a stream, the least used ones being let go of where there are too many.
    fn view(&self, path: &StreamPath) -> Arc<View<F>> {
        let now_ms = self.inner.log.clock().now_ms();
        let mut live = self.live.lock();
        if let Some(view) = live.get(path.as_str()) {
            view.used_ms.store(now_ms, Ordering::Relaxed);
            return Arc::clone(view);
        }
        if live.len() >= limits::VIEWS_MAX {
            let may_go = room::may_go(held(&live));
            let surplus = (may_go.len() + 1).saturating_sub(limits::VIEWS_MAX);
            for held in may_go.into_iter().take(surplus) {
                live.remove(&held.path);
            }
        }
        let view = Arc::new(View::new(now_ms));
        live.insert(path.shared(), Arc::clone(&view));
        view
    }

    /// The live state, if it has not gone beyond an offset.
    async fn live_before(
        &self,
        path: &StreamPath,
        info: &StreamInfo,
        offset: Offset,
    ) -> Option<At<F>> {
        let view = self.live.lock().get(path.as_str()).cloned()?;
        let at = view.at.lock().await;
        at.as_ref().filter(|at| at.epoch == info.epoch && at.offset <= offset).cloned()
    }
}

impl<F> View<F> {
    fn new(now_ms: u64) -> Self {
        Self {
            at: Mutex::new(None),
            used_ms: AtomicU64::new(now_ms),
            bytes: AtomicUsize::new(0),
            pins: Arc::default(),
        }
    }

    fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::Relaxed) > 0
    }
}

fn held<F>(live: &Live<F>) -> Vec<Held> {
    let held = |(path, view): (&Arc<str>, &Arc<View<F>>)| Held {
        path: Arc::clone(path),
        used_ms: view.used_ms.load(Ordering::Relaxed),
        bytes: view.bytes.load(Ordering::Relaxed),
        // The map has it, and so has everybody who works on it.
        is_busy: Arc::strong_count(view) > 1,
        is_pinned: view.is_pinned(),
    };
    live.iter().map(held).collect()
}
