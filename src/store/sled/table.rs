//! All streams that are in memory, by number and by path, and the generations that the
//! compactor has yet to turn into blocks.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};

use super::{
    commit::{Action, Committed},
    live::Live,
};
use crate::store::{Head, Offset, Position, StreamNo};

/// Streams in memory.
#[derive(Debug, Default)]
pub(super) struct Table {
    maps: RwLock<Maps>,
    /// When streams whose head the index does not know yet want to be looked at.
    pub(super) due: Mutex<BTreeSet<(u64, StreamNo)>>,
    pub(super) order: RwLock<VecDeque<Run>>,
}

#[derive(Debug, Default)]
struct Maps {
    streams: HashMap<StreamNo, Arc<Live>>,
    /// `None`: the path's stream was deleted, though the index may still show it.
    paths: HashMap<Arc<str>, Option<StreamNo>>,
    evictions: u64,
}

/// Records of one stream that stand together in the commit order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) position: Position,
    pub(super) stream: StreamNo,
    pub(super) first: Offset,
    pub(super) count: u32,
}

impl Run {
    pub(super) fn last_position(&self) -> Position {
        Position(self.position.0 + u64::from(self.count.max(1)) - 1)
    }
}

/// What the table knows of a path.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// This stream.
    Stream(Arc<Live>),
    /// No stream, whatever the index says.
    Nothing,
    /// Ask the index.
    Unknown,
}

/// What a write changes in the payload bytes that memory holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) taken: usize,
    pub(super) freed: usize,
}

impl Table {
    pub(super) fn get(&self, stream: StreamNo) -> Option<Arc<Live>> {
        self.maps.read().streams.get(&stream).cloned()
    }

    pub(super) fn find(&self, path: &str) -> Known {
        let maps = self.maps.read();
        match maps.paths.get(path) {
            Some(Some(stream)) => match maps.streams.get(stream) {
                Some(live) => Known::Stream(Arc::clone(live)),
                None => Known::Unknown,
            },
            Some(None) => Known::Nothing,
            None => Known::Unknown,
        }
    }

    /// Grows whenever streams are let go; see [`Table::insert_loaded`].
    pub(super) fn evictions(&self) -> u64 {
        self.maps.read().evictions
    }

    /// Adds a stream read from the index, unless one is there already: then that one counts.
    /// `None` if streams were let go since `evictions` was read: what was read from the index
    /// may be older than what was let go.
    pub(super) fn insert_loaded(&self, head: &Head, evictions: u64) -> Option<Arc<Live>> {
        let mut maps = self.maps.write();
        if let Some(live) = maps.streams.get(&head.stream) {
            return Some(Arc::clone(live));
        }
        if maps.evictions != evictions || maps.paths.get(&head.path).is_some_and(Option::is_none) {
            return None;
        }
        let live = Live::load(head);
        maps.paths.insert(Arc::clone(&head.path), Some(head.stream));
        maps.streams.insert(head.stream, Arc::clone(&live));
        Some(live)
    }

    /// Adds a stream that a durable write has created.
    pub(super) fn create(&self, live: &Arc<Live>) {
        let mut maps = self.maps.write();
        maps.paths.insert(Arc::clone(live.path()), Some(live.stream()));
        maps.streams.insert(live.stream(), Arc::clone(live));
    }

    /// Takes out a stream that a durable write has deleted.
    pub(super) fn delete(&self, live: &Arc<Live>) {
        let mut maps = self.maps.write();
        maps.streams.remove(&live.stream());
        if maps.paths.get(live.path()) == Some(&Some(live.stream())) {
            maps.paths.insert(Arc::clone(live.path()), None);
        }
    }

    /// Forgets that a path had a stream, once the index knows it too.
    pub(super) fn forget_deleted(&self, path: &str) {
        let mut maps = self.maps.write();
        if maps.paths.get(path).is_some_and(Option::is_none) {
            maps.paths.remove(path);
            maps.evictions += 1;
        }
    }

    /// Lets idle streams go while there are more than `max`.
    pub(super) fn trim(&self, max: usize) {
        let mut maps = self.maps.write();
        if maps.streams.len() <= max {
            return;
        }
        maps.evictions += 1;
        let idle = |live: &Arc<Live>| Arc::strong_count(live) == 1 && live.is_idle();
        maps.streams.retain(|_, live| !idle(live));
        let Maps { streams, paths, .. } = &mut *maps;
        paths.retain(|_, stream| stream.is_none_or(|stream| streams.contains_key(&stream)));
    }

    /// Paths that memory knows better than the index: created streams, and deleted ones.
    pub(super) fn paths(&self, prefix: &str) -> Vec<(Arc<str>, Option<Arc<Live>>)> {
        let maps = self.maps.read();
        let known = maps.paths.iter().filter(|(path, _)| path.starts_with(prefix));
        let live = |stream: &Option<StreamNo>| {
            stream.and_then(|stream| maps.streams.get(&stream)).cloned()
        };
        known.map(|(path, stream)| (Arc::clone(path), live(stream))).collect()
    }

    /// Takes a durable write into the stream it is about.
    pub(super) fn apply(&self, live: &Arc<Live>, write: &Committed, first: Position) -> Held {
        let (taken, due_ms) = {
            let mut state = live.lock();
            let due_before = state.due_ms;
            let taken = state.apply(write, first);
            (taken, (state.due_ms != due_before).then_some(state.due_ms))
        };
        if let Some(due_ms) = due_ms {
            self.due.lock().insert((due_ms, live.stream()));
        }
        let mut freed = 0;
        if write.action == Action::Delete {
            self.delete(live);
            freed = live.lock().forget(Offset(u64::MAX));
        }
        Held { taken, freed }
    }
}
