//! Which streams have changed since somebody looked: the paths of those that were appended to,
//! created or deleted.
//!
//! It refuses to know what the change was; whoever looks asks the log how things stand. Invariant:
//! a change is noted before it is answered, so that who has seen the answer finds it here. Where
//! more have changed than are kept, all of them have.

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
use crate::limits;

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

    pub(super) fn note(&self, path: &StreamPath) {
        if !self.watched.load(Ordering::Acquire) || path.is_reserved() {
            return;
        }
        let mut changes = self.changes.lock();
        if changes.paths.len() < limits::TOUCHED_MAX {
            changes.paths.insert(path.shared());
        } else {
            changes.all = true;
        }
        drop(changes);
        self.moved.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> StreamPath {
        StreamPath::stored(text).unwrap()
    }

    #[test]
    fn changes_are_noted_once_somebody_watches() {
        let touched = Touched::default();
        touched.note(&path("a"));
        assert!(touched.take().is_empty());
        touched.watch();
        for name in ["a", "b", "a", "__ds/keys"] {
            touched.note(&path(name));
        }
        let mut paths: Vec<_> = touched.take().paths.into_iter().collect();
        paths.sort();
        assert_eq!(paths, [Arc::from("a"), Arc::from("b")]);
        assert!(touched.take().is_empty());
    }

    #[test]
    fn where_more_have_changed_than_are_kept_all_of_them_have() {
        let touched = Touched::default();
        touched.watch();
        for number in 0..=limits::TOUCHED_MAX {
            touched.note(&path(&number.to_string()));
        }
        let changes = touched.take();
        assert!(changes.all);
        assert_eq!(changes.paths.len(), limits::TOUCHED_MAX);
    }
}
