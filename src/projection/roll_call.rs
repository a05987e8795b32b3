//! What the commit order does not tell a state over all streams: streams that begin with what
//! others hold, and streams that go.
//!
//! Invariant: a stream that inherits records is begun with all of them or not at all, and before
//! its own first record is folded. Whoever gives up halfway leaves nothing that is not done again.

use std::collections::HashSet;

use super::{OrderFold, OrderView, order::At};
use crate::{
    limits,
    log::{Offset, PageLimit, ReadError, StreamInfo, StreamPath, Told},
};

impl<F: OrderFold> OrderView<F> {
    /// Takes in which streams have come as forks or gone since the last time.
    pub(super) async fn take_roll(&self, current: &mut At<F>) -> Result<(), ReadError> {
        current.roll.take(&mut current.changes);
        if current.changes.all {
            self.call_roll(&mut current.fold).await?;
            current.changes = crate::log::Changes::default();
        }
        while let Some(path) = current.changes.paths.iter().next().cloned() {
            if let Ok(stream) = StreamPath::parse(&path) {
                self.look(&mut current.fold, &stream).await?;
            }
            current.changes.paths.remove(&path);
        }
        Ok(())
    }

    /// Brings a state in line with all the streams that there are.
    pub(super) async fn call_roll(&self, fold: &mut F) -> Result<(), ReadError> {
        let mut gone: HashSet<String> = fold.paths().into_iter().collect();
        let mut after = String::new();
        loop {
            let found = self.log.list(F::PREFIX, &after, limits::LIST_LIMIT_MAX).await?;
            for info in &found {
                if fold.has(&info.path, info.epoch) {
                    gone.remove(&*info.path);
                } else if let Ok(path) = StreamPath::parse(&info.path) {
                    gone.remove(&*info.path);
                    self.look(fold, &path).await?;
                }
            }
            match found.last() {
                Some(last) if found.len() == limits::LIST_LIMIT_MAX => {
                    after = last.path.to_string();
                }
                _ => break,
            }
        }
        for path in &gone {
            fold.forget(path);
        }
        Ok(())
    }

    /// Begins the stream of a record with what it inherits, where that was not done.
    pub(super) async fn begin_for(&self, fold: &mut F, told: &Told) -> Result<(), ReadError> {
        if told.inherited == Offset::ZERO || fold.has(&told.path, told.epoch) {
            return Ok(());
        }
        match StreamPath::parse(&told.path) {
            Ok(path) => self.look(fold, &path).await,
            Err(_) => Ok(()),
        }
    }

    /// Brings the part of one stream in line with what there is of it.
    async fn look(&self, fold: &mut F, path: &StreamPath) -> Result<(), ReadError> {
        if !F::folds(path.as_str()) {
            return Ok(());
        }
        match self.log.info(path).await {
            Ok(info) if fold.has(path.as_str(), info.epoch) => {}
            // Records of its own come in the commit order.
            Ok(info) if info.inherited() == Offset::ZERO => fold.forget(path.as_str()),
            Ok(info) => {
                let mut begun = self.inherited(path, &info).await?;
                fold.take(path.as_str(), &mut begun);
            }
            Err(ReadError::NoStream(_) | ReadError::Gone(_)) => fold.forget(path.as_str()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A state of nothing but what a stream inherits, as far as it is kept.
    async fn inherited(&self, path: &StreamPath, info: &StreamInfo) -> Result<F, ReadError> {
        let mut begun = F::default();
        begun.begin(info);
        let (mut at, until) = (Offset::ZERO, info.inherited());
        while at < until {
            let left = usize::try_from(until.0 - at.0).unwrap_or(usize::MAX);
            let records = left.min(limits::PAGE_RECORDS);
            let limit = PageLimit { records, bytes: limits::PAGE_BYTES };
            match self.log.read(path, at, limit).await {
                Ok(page) if page.records.is_empty() => break,
                Ok(page) => {
                    for record in page.records {
                        at = record.offset;
                        let (path, epoch) = (path.shared(), info.epoch);
                        begun.fold(&Told { path, epoch, inherited: until, record });
                    }
                    // A long fold that never waits for the store would keep others from running.
                    tokio::task::yield_now().await;
                }
                Err(ReadError::Trimmed { earliest }) => {
                    at = Offset(earliest.0.saturating_sub(1)).max(at.plus(1)).min(until);
                }
                Err(ReadError::Lost { to, .. }) => at = to.max(at.plus(1)).min(until),
                // It went meanwhile; that is told next.
                Err(ReadError::NoStream(_) | ReadError::Gone(_)) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(begun)
    }
}
