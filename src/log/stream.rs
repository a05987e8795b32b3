//! An open stream: what the next append is decided on. Its state runs ahead of the disk, because
//! offsets are given out before the flush; a failed write makes it stale and it is read anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::{Offset, ProducerState, StreamPath, expiry, fork, ids::IdWindow, meta::StreamMeta};
use crate::store::{Head, StreamNo};

/// A stream that someone writes or reads.
#[derive(Debug)]
pub(super) struct OpenStream {
    number: StreamNo,
    path: StreamPath,
    epoch: u64,
    /// The streams that hold the records before its own, oldest first, and up to which offset.
    ancestors: Vec<(StreamNo, Offset)>,
    assigned: Mutex<Assigned>,
    durable: watch::Sender<bool>,
    closed: watch::Sender<bool>,
}

/// The state as it will be once everything submitted is durable.
#[derive(Debug)]
pub(super) struct Assigned {
    pub(super) tail: Offset,
    pub(super) last_timestamp_ms: u64,
    pub(super) due_ms: u64,
    pub(super) meta: StreamMeta,
    pub(super) ids: IdWindow,
    pub(super) producers: BTreeMap<Arc<str>, ProducerState>,
    pub(super) seq: Option<Arc<str>>,
    /// Streams that were forked from it.
    pub(super) forks: BTreeSet<StreamNo>,
    /// Those of them that are noted and on their way: they may have no head yet, and hold the
    /// stream all the same. One whose maker went away meanwhile holds it until it is let go of.
    pub(super) coming: BTreeSet<StreamNo>,
    /// When it was last read, and when that was last written down, Unix milliseconds.
    pub(super) used_ms: u64,
    pub(super) used_noted_ms: u64,
    /// The creation is yet to be submitted; the first append carries it.
    pub(super) to_create: bool,
    /// Writes submitted from one reading of the store belong together: when one fails, so do
    /// those after it, and only their own generation turns stale.
    pub(super) generation: u64,
    pub(super) stale: bool,
    /// Deleted, or its creation failed: whoever still holds it has to look the path up again.
    pub(super) gone: bool,
}

impl OpenStream {
    /// A stream found in the store.
    pub(super) fn load(path: &StreamPath, head: &Head) -> Arc<Self> {
        Self::with(path, head.stream, Assigned::of(head, 0), true)
    }

    /// A stream that the next append creates.
    pub(super) fn fresh(path: &StreamPath, number: StreamNo, meta: StreamMeta) -> Arc<Self> {
        Self::fresh_at(path, number, meta, Offset::ZERO)
    }

    /// A stream that the next append creates, with its first record behind `tail`.
    pub(super) fn fresh_at(
        path: &StreamPath,
        number: StreamNo,
        meta: StreamMeta,
        tail: Offset,
    ) -> Arc<Self> {
        let assigned = Assigned {
            tail,
            last_timestamp_ms: 0,
            due_ms: 0,
            used_noted_ms: meta.created_ms,
            meta,
            ids: IdWindow::complete(),
            producers: BTreeMap::new(),
            seq: None,
            forks: BTreeSet::new(),
            coming: BTreeSet::new(),
            used_ms: 0,
            to_create: true,
            generation: 0,
            stale: false,
            gone: false,
        };
        Self::with(path, number, assigned, false)
    }

    fn with(path: &StreamPath, number: StreamNo, assigned: Assigned, durable: bool) -> Arc<Self> {
        Arc::new(Self {
            number,
            path: path.clone(),
            epoch: assigned.meta.epoch,
            ancestors: assigned
                .meta
                .forked
                .iter()
                .flat_map(|forked| &forked.ancestors)
                .map(|(stream, until)| (StreamNo(*stream), Offset(*until)))
                .collect(),
            durable: watch::Sender::new(durable),
            closed: watch::Sender::new(durable && assigned.meta.closed),
            assigned: Mutex::new(assigned),
        })
    }

    pub(super) fn number(&self) -> StreamNo {
        self.number
    }

    /// The streams that hold the records before its own, oldest first, and up to which offset.
    pub(super) fn ancestors(&self) -> &[(StreamNo, Offset)] {
        &self.ancestors
    }

    /// The place behind which its own records begin.
    pub(super) fn base(&self) -> Offset {
        self.ancestors.last().map_or(Offset::ZERO, |(_, until)| *until)
    }

    /// The ancestor that holds the record after a place, and up to where; `None` where that
    /// record is its own.
    pub(super) fn ancestor(&self, after: Offset) -> Option<(StreamNo, Offset)> {
        self.ancestors.iter().find(|(_, until)| after < *until).copied()
    }

    /// The streams that hold the records up to a place.
    pub(super) fn line(&self, at: Offset) -> Vec<(u64, u64)> {
        let own = (self.number, Offset(u64::MAX));
        let mut line = Vec::new();
        let mut reached = Offset::ZERO;
        for (stream, until) in self.ancestors.iter().chain([&own]) {
            if reached >= at {
                break;
            }
            reached = at.min(*until);
            line.push((stream.0, reached.0));
        }
        line
    }

    pub(super) fn path(&self) -> &StreamPath {
        &self.path
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn assigned(&self) -> MutexGuard<'_, Assigned> {
        self.assigned.lock()
    }

    pub(super) fn is_durable(&self) -> bool {
        *self.durable.borrow()
    }

    /// Something of this stream is durable, so its creation is.
    pub(super) fn set_durable(&self) {
        if !self.is_durable() {
            self.durable.send_replace(true);
        }
    }

    pub(super) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Readers that follow it.
    pub(super) fn readers(&self) -> usize {
        self.closed.receiver_count()
    }

    /// The close is durable.
    pub(super) fn set_closed(&self) {
        self.closed.send_replace(true);
    }

    /// A write of `generation` failed: what was assigned with it will not be.
    pub(super) fn set_stale(&self, generation: u64) {
        let mut assigned = self.assigned();
        if assigned.generation == generation {
            assigned.stale = true;
        }
    }

    /// Takes the store's word for where the stream stands, if that was in doubt.
    pub(super) fn refresh(&self, head: &Head) {
        let mut assigned = self.assigned();
        if assigned.stale {
            let generation = assigned.generation + 1;
            let coming = std::mem::take(&mut assigned.coming);
            *assigned = Assigned { coming, ..Assigned::of(head, generation) };
        }
    }
}

impl Assigned {
    fn of(head: &Head, generation: u64) -> Self {
        Self {
            tail: head.tail,
            last_timestamp_ms: head.last_timestamp_ms,
            due_ms: head.due_ms,
            meta: StreamMeta::of(head),
            ids: IdWindow::before(head.tail),
            producers: StreamMeta::producers_of(head),
            seq: StreamMeta::seq_of(head),
            forks: fork::forks_of(head).collect(),
            coming: BTreeSet::new(),
            used_ms: expiry::used_of(head),
            used_noted_ms: expiry::used_of(head),
            to_create: false,
            generation,
            stale: false,
            gone: false,
        }
    }
}
