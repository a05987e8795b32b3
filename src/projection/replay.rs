//! States made of checkpoints and records: opened, folded on, saved where much was folded.
//!
//! Invariant: between two waits a state has whole records in it, up to the offset it says. So
//! whoever gives up halfway leaves a state that can be gone on with.

use std::{mem, sync::Arc};

use tokio::sync::{Mutex, Semaphore};

use super::{
    Fold,
    aside::aside,
    checkpoint::{self, Checkpoint},
};
use crate::{
    limits,
    log::{Log, Offset, PageLimit, ReadError, Record, StreamInfo, StreamPath},
};

/// A state, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<F> {
    pub(super) epoch: u64,
    pub(super) offset: Offset,
    /// The newest checkpoint.
    saved: Offset,
    /// When it was saved by this process, Unix milliseconds, or 0.
    saved_ms: u64,
    /// About how large it is: as it was saved, and what was folded since.
    pub(super) bytes: usize,
    pub(super) fold: F,
}

/// What all states of a log are made with.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) log: Log,
    /// Held while a checkpoint is saved: two of one stream must not be written into each other.
    saving: Mutex<()>,
    /// Long work is done by few at once.
    turns: Arc<Semaphore>,
}

impl<F: Fold> At<F> {
    pub(super) fn empty(epoch: u64) -> Self {
        Self {
            epoch,
            offset: Offset::ZERO,
            saved: Offset::ZERO,
            saved_ms: 0,
            bytes: 0,
            fold: F::default(),
        }
    }

    fn fold_all(&mut self, records: &[Record], mut each: impl FnMut(&F, &Record)) {
        // A fold that breaks off in the middle of a record leaves the beginning, not a half.
        let mut current = mem::replace(self, Self::empty(self.epoch));
        for record in records {
            current.fold.fold(record);
            current.offset = record.offset;
            current.bytes += record.payload.len();
            each(&current.fold, record);
        }
        *self = current;
    }
}

impl Inner {
    pub(super) fn new(log: Log) -> Self {
        let turns = Arc::new(Semaphore::new(limits::REPLAYS_AT_ONCE));
        Self { log, saving: Mutex::new(()), turns }
    }

    /// The state of the newest checkpoint, or of nothing.
    pub(super) async fn open<F: Fold>(
        &self,
        path: &StreamPath,
        info: &StreamInfo,
    ) -> Result<At<F>, ReadError> {
        let found = checkpoint::load(&self.log, path).await?;
        let found = found.filter(|found| found.offset <= info.tail);
        let mut at = At::empty(info.epoch);
        if let Some(Checkpoint { offset, bytes }) = found
            && let Some(fold) = F::load(&bytes)
        {
            at = At { offset, saved: offset, bytes: bytes.len(), fold, ..at };
        }
        Ok(at)
    }

    /// Folds the records up to an offset, with a look at the state after each.
    pub(super) async fn fold_to<F: Fold>(
        &self,
        path: &StreamPath,
        at: &mut At<F>,
        until: Offset,
        mut each: impl FnMut(&F, &Record) + Send,
    ) -> Result<(), ReadError> {
        let is_long = until.0.saturating_sub(at.offset.0) > limits::REPLAY_LONG;
        let _turn = if is_long { self.turns.acquire().await.ok() } else { None };
        while at.offset < until {
            let left = usize::try_from(until.0 - at.offset.0).unwrap_or(usize::MAX);
            let limit =
                PageLimit { records: left.min(limits::PAGE_RECORDS), bytes: limits::PAGE_BYTES };
            match self.log.read(path, at.offset, limit).await {
                Ok(page) if page.records.is_empty() => break,
                Ok(page) => {
                    let wanted = page.records.partition_point(|record| record.offset <= until);
                    at.fold_all(page.records.get(..wanted).unwrap_or_default(), &mut each);
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
        Ok(())
    }

    /// The checkpoint, if it lies behind one place and not behind another.
    async fn saved_between<F: Fold>(
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
    pub(super) async fn save<F: Fold>(
        &self,
        path: &StreamPath,
        at: &mut At<F>,
        replace: bool,
    ) -> Result<(), ReadError> {
        let _saving = self.saving.lock().await;
        let fold = at.fold.clone();
        let bytes = aside(at.bytes, move || fold.save()).await?;
        at.bytes = bytes.len();
        let saved = Checkpoint { offset: at.offset, bytes };
        checkpoint::save(&self.log, path, saved, replace).await
    }

    /// Saves a state that has come far since it was saved, unless that was a moment ago: a stream
    /// that is written to in a rush would have its whole state written again and again.
    pub(super) async fn save_if_long<F: Fold>(&self, path: &StreamPath, at: &mut At<F>) {
        // A longer stream has a larger state, which is worth saving less often.
        let enough = limits::CHECKPOINT_EVERY.max(at.offset.0 / 10);
        let now_ms = self.log.clock().now_ms();
        let again_ms =
            u64::try_from(limits::CHECKPOINT_AGAIN_AFTER.as_millis()).unwrap_or(u64::MAX);
        let was_now = at.saved_ms > 0 && now_ms < at.saved_ms.saturating_add(again_ms);
        if was_now || at.offset.0.saturating_sub(at.saved.0) < enough {
            return;
        }
        // One that is given up halfway is tried again by the next.
        let saved = self.save(path, at, false).await;
        (at.saved, at.saved_ms) = (at.offset, now_ms);
        if let Err(error) = saved {
            tracing::warn!(%path, %error, "no checkpoint was saved");
        }
    }

    /// Does long work when it is its turn. The turn lasts as long as the work.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        aside(usize::MAX, move || {
            let done = work();
            drop(turn);
            done
        })
        .await
    }
}
