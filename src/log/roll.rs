//! The roll of streams: which of them have come without a record of their own, as forks do, and
//! which have gone. Neither shows in the commit order.
//!
//! It refuses to know who wants to hear of it. Invariant: a change is told once it is durable and
//! before it is answered; whoever is too slow to hear of each is told that any may have changed.

use std::sync::Arc;

use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};

use super::{Changes, Inner, Log, StreamPath};
use crate::{limits, store::Tell};

/// Tells of changes.
#[derive(Debug)]
pub(super) struct Roll(broadcast::Sender<Arc<str>>);

impl Default for Roll {
    fn default() -> Self {
        Self(broadcast::Sender::new(limits::ROLL_TOLD_MAX))
    }
}

/// Hears of changes, from when it was made.
#[derive(Debug)]
pub struct RollWatch(broadcast::Receiver<Arc<str>>);

impl RollWatch {
    /// Adds what has changed since the last time.
    pub fn take(&mut self, changes: &mut Changes) {
        loop {
            match self.0.try_recv() {
                Ok(path) => changes.add(path),
                Err(TryRecvError::Lagged(_)) => changes.all = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Completes once something has changed; what it was is another watch's to take.
    pub async fn changed(&mut self) {
        if let Err(RecvError::Closed) = self.0.recv().await {
            std::future::pending::<()>().await;
        }
    }
}

impl Log {
    /// Watches which streams come as forks, and which go.
    #[must_use]
    pub fn watch_roll(&self) -> RollWatch {
        RollWatch(self.inner.roll.0.subscribe())
    }
}

impl Inner {
    /// What notes that a stream has come as a fork, or gone, once its write is settled.
    pub(super) fn tell_roll(&self, path: &StreamPath) -> Option<Tell> {
        let touched = self.touched.tell(path);
        if path.is_reserved() {
            return touched;
        }
        // IMPORTANT: whether anybody watches or not: who begins to while the write is on its way
        // does not find it either.
        let (roll, path) = (self.roll.0.clone(), path.shared());
        Some(Box::new(move || {
            if let Some(tell) = touched {
                tell();
            }
            // Nobody may want to know.
            let _ = roll.send(path);
        }))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        clock::ManualClock,
        log::{Append, Creation, Expiry, Fork, NewRecord, Settings, StreamSpec},
        store::memory::MemoryStore,
    };

    fn path(text: &str) -> StreamPath {
        StreamPath::parse(text).unwrap()
    }

    fn heard(watch: &mut RollWatch) -> Vec<String> {
        let mut changes = Changes::default();
        watch.take(&mut changes);
        assert!(!changes.all);
        let mut paths: Vec<_> = changes.paths.iter().map(ToString::to_string).collect();
        paths.sort();
        paths
    }

    #[tokio::test]
    async fn forks_and_ends_are_told_and_nothing_else_is() {
        let clock = ManualClock::at(1_000_000);
        let store = Arc::new(MemoryStore::default());
        let log = Log::new(store, clock.clone(), Settings::default(), Arc::default());
        let (mut one, mut other) = (log.watch_roll(), log.watch_roll());
        let append = Append::json([NewRecord { id: None, payload: Bytes::from_static(b"1") }]);
        log.append(&path("a"), append).await.unwrap();
        let short = StreamSpec { expiry: Some(Expiry::At { ms: 1_005_000 }), ..StreamSpec::json() };
        log.create(&path("short"), short).await.unwrap();
        assert_eq!(heard(&mut one), [""; 0]);
        let fork = Some(Fork { source: path("a"), at: None, sub: 0 });
        log.create(&path("b"), Creation { fork, ..StreamSpec::json().into() }).await.unwrap();
        assert_eq!(heard(&mut one), ["b"]);
        // Hidden for its fork, and gone for everybody else.
        log.delete(&path("a")).await.unwrap();
        clock.advance(std::time::Duration::from_secs(6));
        log.sweep().await.unwrap();
        assert_eq!(heard(&mut one), ["a", "short"]);
        assert_eq!(heard(&mut one), [""; 0]);
        assert_eq!(heard(&mut other), ["a", "b", "short"], "each hears of all");
    }

    #[test]
    fn who_is_too_slow_is_told_that_any_may_have_changed() {
        let roll = Roll::default();
        let mut watch = RollWatch(roll.0.subscribe());
        for number in 0..=limits::ROLL_TOLD_MAX {
            roll.0.send(Arc::from(number.to_string())).unwrap();
        }
        let mut changes = Changes::default();
        watch.take(&mut changes);
        assert!(changes.all);
    }
}
