//! The values that cross the store's boundary. They know numbers and bytes, nothing of what the
//! bytes mean.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tokio::sync::OwnedSemaphorePermit;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Number of a stream inside one data folder. Never used again after its stream is deleted.
    StreamNo
}
number! {
    /// Number of a record in its stream, from 1, without gaps. As a place: after that record; 0
    /// is the beginning.
    Offset
}
number! {
    /// Number of a record in the server's commit order: strictly increasing, gaps allowed.
    Position
}

impl Offset {
    /// The beginning of every stream.
    pub const ZERO: Self = Self(0);

    /// The place `count` records further on.
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

/// One record as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number in the stream.
    pub offset: Offset,
    /// Its number in the commit order.
    pub position: Position,
    /// When it was appended, Unix milliseconds; never less than the record before.
    pub timestamp_ms: u64,
    /// The bytes as they came.
    pub payload: Bytes,
}

/// A record of any stream, as a read in commit order finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The stream it belongs to.
    pub stream: StreamNo,
    /// The record.
    pub record: Record,
}

/// Records of all streams in commit order, between one position and another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ordered {
    /// The records that are kept.
    pub entries: Vec<Entry>,
    /// The position to go on from.
    pub reached: Position,
    /// Streams of which records on the way are no longer kept, each with the last position of
    /// these; `None` stands for streams that are not known any more.
    pub removed: BTreeMap<Option<StreamNo>, Position>,
}

/// A run of records without a gap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The records, in order.
    pub records: Vec<Record>,
    /// The stream's durable tail when the page was cut.
    pub tail: Offset,
}

/// How much a page may hold. One record is always allowed, however large.
#[derive(Debug, Clone, Copy)]
pub struct PageLimit {
    /// Records at most.
    pub records: usize,
    /// Payload bytes at most.
    pub bytes: usize,
}

/// Payloads of one append, in order.
pub type Batch = SmallVec<[Bytes; 1]>;

/// What travels with a write until it is settled: room in the store's queue, which is given back
/// then, and whom to tell. A store drops it once the write is applied and before it is answered.
#[derive(Default)]
pub struct Permit {
    room: Option<OwnedSemaphorePermit>,
    tell: Option<Tell>,
}

/// Told that a write is settled.
pub type Tell = Box<dyn FnOnce() + Send + Sync>;

impl Permit {
    /// With this room.
    #[must_use]
    pub fn of(room: OwnedSemaphorePermit) -> Self {
        Self { room: Some(room), tell: None }
    }

    /// The same with somebody to tell, whoever waits for the write or does not.
    #[must_use]
    pub fn telling(mut self, tell: Option<Tell>) -> Self {
        self.tell = tell;
        self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("room", &self.room).finish_non_exhaustive()
    }
}

/// One atomic step on one stream.
#[derive(Debug)]
pub struct Write {
    /// The stream it changes.
    pub stream: StreamNo,
    /// What kind of step it is.
    pub change: Change,
    /// Records to add at the tail. Empty unless the change is a creation or an append.
    pub records: Batch,
    /// The timestamp of these records, Unix milliseconds; must not be less than the last one's.
    pub timestamp_ms: u64,
    /// Metadata that changes with them.
    pub meta: Vec<MetaChange>,
    /// When the stream wants to be looked at next ([`super::Store::due`]); `None` leaves it.
    pub due_ms: Option<u64>,
    /// The room this write takes in the queue.
    pub permit: Permit,
}

/// What a [`Write`] does besides adding records and metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The stream begins, at `tail` (0 but for a fork). Fails if the path is taken.
    Create {
        /// Its path.
        path: Arc<str>,
        /// The place its first record follows.
        tail: Offset,
    },
    /// Records are added. Fails unless the tail is `expected_tail` at that moment.
    Append {
        /// The tail the decision was made on.
        expected_tail: Offset,
    },
    /// Records before `earliest` go. Never moves back, never beyond the tail + 1.
    Trim {
        /// The first offset that is kept.
        earliest: Offset,
    },
    /// The stream goes, with all it holds. Its path is free at once.
    Delete,
}

/// One entry of a stream's metadata, changed or (with `None`) removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaChange {
    /// The entry's name.
    pub key: Arc<str>,
    /// Its new value.
    pub value: Option<Bytes>,
}

/// What a store knows of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub stream: StreamNo,
    /// Its path.
    pub path: Arc<str>,
    /// Offset of the last durable record.
    pub tail: Offset,
    /// First offset that is kept; tail + 1 where none is.
    pub earliest: Offset,
    /// Timestamp of the last record, or 0.
    pub last_timestamp_ms: u64,
    /// When it wants to be looked at next, 0 for never.
    pub due_ms: u64,
    /// Its metadata.
    pub meta: BTreeMap<Arc<str>, Bytes>,
}

/// A stream in a listing.
pub type Listed = Arc<Head>;

/// Where the durable end of a stream stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Offset of the last durable record.
    pub tail: Offset,
    /// First offset that is kept.
    pub earliest: Offset,
    /// Grows with every change of metadata.
    pub meta_version: u64,
    /// The stream was deleted.
    pub deleted: bool,
}
