//! One stream as it stands in memory: its head, and the records that are not in blocks yet.
//!
//! Only what is durable gets here, so whatever is read from here may be shown.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::commit::{Action, Committed};
use crate::store::{Head, Moved, Offset, Page, PageLimit, Position, ReadError, Record, StreamNo};

/// A stream in memory.
#[derive(Debug)]
pub(super) struct Live {
    stream: StreamNo,
    path: Arc<str>,
    state: Mutex<LiveState>,
}

/// The part of a stream that changes.
#[derive(Debug)]
pub(super) struct LiveState {
    pub(super) tail: Offset,
    pub(super) earliest: Offset,
    pub(super) last_timestamp_ms: u64,
    pub(super) due_ms: u64,
    pub(super) meta: Arc<BTreeMap<Arc<str>, Bytes>>,
    pub(super) deleted: bool,
    /// The head has changed in more than its tail since it was last written to a block file.
    pub(super) head_changed: bool,
    /// States of projections that are not in a block file yet.
    pub(super) checkpoints: BTreeMap<String, Bytes>,
    recent: VecDeque<Stored>,
    moved: Option<watch::Sender<Moved>>,
    meta_version: u64,
}

/// A record in memory; its offset follows from its place.
#[derive(Debug, Clone)]
struct Stored {
    position: Position,
    timestamp_ms: u64,
    payload: Bytes,
    /// It could not be read back; salvage keeps its place empty.
    lost: bool,
}

impl Live {
    /// A stream as the index knows it.
    pub(super) fn load(head: &Head) -> Arc<Self> {
        let state = LiveState {
            tail: head.tail,
            earliest: head.earliest,
            last_timestamp_ms: head.last_timestamp_ms,
            due_ms: head.due_ms,
            meta: Arc::new(head.meta.clone()),
            deleted: false,
            head_changed: false,
            checkpoints: BTreeMap::new(),
            recent: VecDeque::new(),
            moved: None,
            meta_version: 0,
        };
        Arc::new(Self {
            stream: head.stream,
            path: Arc::clone(&head.path),
            state: Mutex::new(state),
        })
    }

    /// A stream that begins at `tail`.
    pub(super) fn create(stream: StreamNo, path: &Arc<str>, tail: Offset) -> Arc<Self> {
        let live = Self::load(&Head {
            stream,
            path: Arc::clone(path),
            tail,
            earliest: tail.plus(1),
            last_timestamp_ms: 0,
            due_ms: 0,
            meta: BTreeMap::new(),
        });
        live.lock().head_changed = true;
        live
    }

    pub(super) fn stream(&self) -> StreamNo {
        self.stream
    }

    pub(super) fn path(&self) -> &Arc<str> {
        &self.path
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, LiveState> {
        self.state.lock()
    }

    pub(super) fn head(&self) -> Head {
        let state = self.lock();
        Head {
            stream: self.stream,
            path: Arc::clone(&self.path),
            tail: state.tail,
            earliest: state.earliest,
            last_timestamp_ms: state.last_timestamp_ms,
            due_ms: state.due_ms,
            meta: state.meta.as_ref().clone(),
        }
    }

    /// Follows the durable end.
    pub(super) fn watch(&self) -> watch::Receiver<Moved> {
        let mut state = self.lock();
        let moved = state.now();
        state.moved.get_or_insert_with(|| watch::Sender::new(moved)).subscribe()
    }

    /// Whether nothing would be lost by forgetting it.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        let watched = state.moved.as_ref().is_some_and(|moved| moved.receiver_count() > 0);
        state.recent.is_empty() && !state.head_changed && state.checkpoints.is_empty() && !watched
    }
}

impl LiveState {
    fn now(&self) -> Moved {
        Moved {
            tail: self.tail,
            earliest: self.earliest,
            meta_version: self.meta_version,
            deleted: self.deleted,
        }
    }

    /// The place before the first record in memory.
    pub(super) fn recent_after(&self) -> Offset {
        Offset(self.tail.0 - self.recent.len() as u64)
    }

    /// Takes a durable write, and answers with the payload bytes it holds on to. Records that
    /// are in blocks already, as in a replay, are not taken again.
    pub(super) fn apply(&mut self, write: &Committed, first: Position) -> usize {
        match &write.action {
            Action::Create { .. } | Action::Append { .. } => {}
            Action::Trim { earliest } => {
                let earliest = Offset(*earliest).min(self.tail.plus(1));
                if earliest > self.earliest {
                    self.earliest = earliest;
                    self.head_changed = true;
                }
            }
            Action::Delete => self.deleted = true,
            Action::Checkpoint { name, state } => {
                self.checkpoints.insert(name.clone(), state.clone());
            }
        }
        self.apply_head(write);
        let taken = write.begins_after().map_or(0, |after| self.add(write, after, first));
        self.publish();
        taken
    }

    fn apply_head(&mut self, write: &Committed) {
        if !write.meta.is_empty() {
            let meta = Arc::make_mut(&mut self.meta);
            for change in &write.meta {
                match &change.value {
                    Some(value) => meta.insert(Arc::clone(&change.key), value.clone()),
                    None => meta.remove(&change.key),
                };
            }
            self.meta_version += 1;
            self.head_changed = true;
        }
        if let Some(due_ms) = write.due_ms {
            self.head_changed |= self.due_ms != due_ms;
            self.due_ms = due_ms;
        }
    }

    fn add(&mut self, write: &Committed, after: Offset, first: Position) -> usize {
        let mut taken = 0;
        for (payload, index) in write.records.iter().zip(0..) {
            if after.plus(index + 1) <= self.tail {
                continue;
            }
            taken += payload.len();
            self.tail = after.plus(index + 1);
            self.last_timestamp_ms = write.timestamp_ms;
            self.recent.push_back(Stored {
                position: Position(first.0 + index),
                timestamp_ms: write.timestamp_ms,
                payload: payload.clone(),
                lost: false,
            });
        }
        taken
    }

    /// Leaves a gap for records that could not be read back.
    pub(super) fn skip_to(&mut self, after: Offset) {
        while self.tail < after {
            self.tail = self.tail.plus(1);
            let (position, timestamp_ms) = (Position(0), self.last_timestamp_ms);
            let payload = Bytes::new();
            self.recent.push_back(Stored { position, timestamp_ms, payload, lost: true });
        }
    }

    /// Wakes those who follow.
    pub(super) fn publish(&mut self) {
        let now = self.now();
        if let Some(moved) = &self.moved {
            moved.send_replace(now);
        }
    }

    /// Records after `after` that are in memory; `None` where they begin later.
    pub(super) fn read(&self, after: Offset, limit: PageLimit) -> Result<Option<Page>, ReadError> {
        if after >= self.tail {
            return Ok(Some(Page { records: Vec::new(), tail: self.tail }));
        }
        if after.plus(1) < self.earliest {
            return Err(ReadError::Trimmed { earliest: self.earliest });
        }
        let begin = self.recent_after();
        if after < begin {
            return Ok(None);
        }
        let skip = usize::try_from(after.0 - begin.0).unwrap_or(usize::MAX);
        let (mut bytes, mut records) = (0, Vec::new());
        for (stored, offset) in self.recent.iter().skip(skip).zip(after.0 + 1..) {
            bytes += stored.payload.len();
            let full = records.len() >= limit.records || bytes > limit.bytes;
            if full && !records.is_empty() {
                break;
            }
            records.push(stored.record(Offset(offset)));
        }
        Ok(Some(Page { records, tail: self.tail }))
    }

    /// The place before the first record in memory with this timestamp or a later one; `None`
    /// where an older record might be it.
    pub(super) fn seek(&self, timestamp_ms: u64) -> Option<Offset> {
        let begin = self.recent_after();
        let older = self.recent.partition_point(|stored| stored.timestamp_ms < timestamp_ms);
        let found = begin.plus(older as u64);
        let certain = older > 0 || begin.plus(1) <= self.earliest;
        certain.then(|| found.max(Offset(self.earliest.0.saturating_sub(1))))
    }

    /// The records in memory up to `last`, for the compactor. Their offsets have gaps only where
    /// records were lost.
    pub(super) fn until(&self, last: Offset) -> Vec<Record> {
        let begin = self.recent_after();
        let count = usize::try_from(last.0.saturating_sub(begin.0)).unwrap_or(usize::MAX);
        let offsets = begin.0 + 1..;
        let stored = self.recent.iter().take(count).zip(offsets);
        stored
            .filter(|(stored, _)| !stored.lost)
            .map(|(stored, offset)| stored.record(Offset(offset)))
            .collect()
    }

    /// Lets go of the records up to `last`, which are in blocks now, and answers with their
    /// payload bytes.
    pub(super) fn forget(&mut self, last: Offset) -> usize {
        let count = usize::try_from(last.0.saturating_sub(self.recent_after().0));
        let count = count.unwrap_or(usize::MAX).min(self.recent.len());
        let bytes = self.recent.drain(..count).map(|stored| stored.payload.len()).sum();
        if self.recent.capacity() > 4 * (self.recent.len() + 16) {
            self.recent.shrink_to_fit();
        }
        bytes
    }
}

impl Stored {
    fn record(&self, offset: Offset) -> Record {
        Record {
            offset,
            position: self.position,
            timestamp_ms: self.timestamp_ms,
            payload: self.payload.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(after: u64, payloads: &[&'static str], timestamp_ms: u64) -> Committed {
        Committed {
            stream: StreamNo(1),
            action: Action::Append { expected_tail: after },
            timestamp_ms,
            due_ms: None,
            meta: Vec::new(),
            records: payloads.iter().map(|text| Bytes::from_static(text.as_bytes())).collect(),
        }
    }

    fn live() -> Arc<Live> {
        let live = Live::create(StreamNo(1), &Arc::from("a"), Offset::ZERO);
        live.lock().apply(&append(0, &["one", "two"], 10), Position(1));
        live.lock().apply(&append(2, &["three"], 20), Position(9));
        live
    }

    const ALL: PageLimit = PageLimit { records: 100, bytes: usize::MAX };

    #[test]
    fn a_replayed_write_is_not_taken_twice() {
        let live = live();
        let again = append(0, &["one", "two"], 10);
        assert_eq!(live.lock().apply(&again, Position(1)), 0);
        assert_eq!(live.lock().tail, Offset(3));
    }

    #[test]
    fn records_keep_their_offsets_when_older_ones_are_forgotten() {
        let live = live();
        assert_eq!(live.lock().forget(Offset(2)), 6);
        assert_eq!(live.lock().read(Offset(1), ALL).unwrap(), None);
        let page = live.lock().read(Offset(2), ALL).unwrap().unwrap();
        assert_eq!(page.records[0].offset, Offset(3));
        assert_eq!(page.records[0].position, Position(9));
    }

    #[test]
    fn a_page_holds_one_record_however_small_its_limit() {
        let page = live().lock().read(Offset(0), PageLimit { records: 0, bytes: 0 });
        assert_eq!(page.unwrap().unwrap().records.len(), 1);
    }

    #[test]
    fn a_time_is_found_in_memory_only_where_that_is_certain() {
        let live = live();
        assert_eq!(live.lock().seek(20), Some(Offset(2)));
        assert_eq!(live.lock().seek(0), Some(Offset(0)));
        live.lock().forget(Offset(2));
        assert_eq!(live.lock().seek(20), None);
        assert_eq!(live.lock().seek(21), Some(Offset(3)));
    }
}
