//! The streams that are open, by path. Bounded: streams that nobody holds are let go, and what
//! they knew is read from the store again when it is needed.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;

use super::{StreamPath, stream::OpenStream};

/// Open streams by path.
#[derive(Debug)]
pub(super) struct Table {
    streams: RwLock<HashMap<StreamPath, Arc<OpenStream>>>,
    max: usize,
}

impl Table {
    pub(super) fn new(max: usize) -> Self {
        Self { streams: RwLock::default(), max }
    }

    pub(super) fn get(&self, path: &StreamPath) -> Option<Arc<OpenStream>> {
        self.streams.read().get(path).cloned()
    }

    /// Adds a stream, unless one is there: then that one is used.
    pub(super) fn insert(&self, open: Arc<OpenStream>) -> Arc<OpenStream> {
        let mut streams = self.streams.write();
        if streams.len() >= self.max {
            // IMPORTANT: never one that somebody holds, or two states of one stream would
            // give out the same offsets.
            streams.retain(|_, open| Arc::strong_count(open) > 1);
        }
        Arc::clone(streams.entry(open.path().clone()).or_insert(open))
    }

    /// Lets go of exactly this stream.
    pub(super) fn remove(&self, open: &Arc<OpenStream>) {
        let mut streams = self.streams.write();
        if streams.get(open.path()).is_some_and(|found| Arc::ptr_eq(found, open)) {
            streams.remove(open.path());
        }
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.streams.read().len()
    }

    /// The streams with the most readers, and how many those are: `max` at most, the most first.
    pub(super) fn most_read(&self, max: usize) -> Vec<(String, usize)> {
        let streams = self.streams.read();
        let readers = streams.values().map(|open| (open, open.readers()));
        let mut read: Vec<_> = readers.filter(|(_, readers)| *readers > 0).collect();
        read.sort_by(|(a, most), (b, more)| {
            more.cmp(most).then_with(|| a.path().as_str().cmp(b.path().as_str()))
        });
        read.truncate(max);
        read.into_iter().map(|(open, readers)| (open.path().to_string(), readers)).collect()
    }

    /// Lets go of the streams that nobody holds.
    pub(super) fn trim(&self) {
        self.streams.write().retain(|_, open| Arc::strong_count(open) > 1);
    }
}
