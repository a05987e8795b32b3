//! Which streams have changed since somebody looked: the paths of those that were appended to,
//! created or deleted.
//!
//! It refuses to know what the change was; whoever looks asks the log how things stand. Invariant:
//! a change is noted once it is durable and before it is answered, whether anybody still waits
//! for the answer or not. Where more have changed than are kept, all of them have.

use std::{
    collections::HashSet,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::StreamPath;
use crate::{limits, store::Tell};

/// The streams that have changed.
#[derive(Debug, Default)]
pub struct Touched {
    watched: AtomicBool,
    changes: Mutex<Changes>,
    moved: Notify,
}

/// What has changed since the last look.
#[derive(Debug, Default)]
pub struct Changes {
    /// The paths.
    pub paths: HashSet<Arc<str>>,
    /// Any stream may have.
    pub all: bool,
}

impl Changes {
    pub(super) fn add(&mut self, path: Arc<str>) {
        if self.paths.len() < limits::TOUCHED_MAX {
            self.paths.insert(path);
        } else {
            self.all = true;
        }
    }

    /// Nothing has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.all
    }
}

impl Touched {
    /// From now on changes are noted; before, they cost nothing.
    pub fn watch(&self) {
        self.watched.store(true, Ordering::Release);
    }

    /// Any stream may have changed.
    pub fn note_all(&self) {
        self.changes.lock().all = true;
        self.moved.notify_one();
    }

    /// Takes what was noted.
    #[must_use]
    pub fn take(&self) -> Changes {
        mem::take(&mut *self.changes.lock())
    }

    /// Completes once something was noted.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Notes again what was taken and not used.
    pub fn put_back(&self, taken: Changes) {
        let mut changes = self.changes.lock();
        changes.all |= taken.all;
        for path in taken.paths {
            changes.add(path);
        }
        drop(changes);
        self.moved.notify_one();
    }

    /// What notes a change of the stream once its write is settled, if anybody watches.
    pub(super) fn tell(self: &Arc<Self>, path: &StreamPath) -> Option<Tell> {
        if !self.watched.load(Ordering::Acquire) || path.is_reserved() {
            return None;
        }
        let (touched, path) = (Arc::clone(self), path.shared());
        Some(Box::new(move || {
            touched.changes.lock().add(path);
            touched.moved.notify_one();
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A write of the stream that is settled, with or without anybody who waits.
    fn settle(touched: &Arc<Touched>, text: &str) {
        if let Some(tell) = touched.tell(&StreamPath::stored(text).unwrap()) {
            tell();
        }
    }

    #[test]
    fn changes_are_noted_once_somebody_watches() {
        let touched = Arc::new(Touched::default());
        settle(&touched, "a");
        assert!(touched.take().is_empty());
        touched.watch();
        for name in ["a", "b", "a", "__ds/keys"] {
            settle(&touched, name);
        }
        let mut paths: Vec<_> = touched.take().paths.into_iter().collect();
        paths.sort();
        assert_eq!(paths, [Arc::from("a"), Arc::from("b")]);
        assert!(touched.take().is_empty());
    }

    #[test]
    fn where_more_have_changed_than_are_kept_all_of_them_have() {
        let touched = Arc::new(Touched::default());
        touched.watch();
        for number in 0..=limits::TOUCHED_MAX {
            settle(&touched, &number.to_string());
        }
        let changes = touched.take();
        assert!(changes.all);
        assert_eq!(changes.paths.len(), limits::TOUCHED_MAX);
    }
}
