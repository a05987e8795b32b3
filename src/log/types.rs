//! The values of the log's interface: what a stream is made with, what is appended, and what
//! comes back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Expiry, Fork, Forked, Offset, Producer, ProducerState};

/// The content type of session streams.
pub const JSON: &str = "application/json";

/// What a stream is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    /// Media type of its records, in lower case, with its parameters.
    pub content_type: Arc<str>,
    /// How long its records are kept; `None` follows the server's setting.
    pub retention: Option<Duration>,
    /// When it ends by itself.
    pub expiry: Option<Expiry>,
}

impl StreamSpec {
    /// A stream of JSON records with the server's retention.
    #[must_use]
    pub fn json() -> Self {
        Self { content_type: Arc::from(JSON), retention: None, expiry: None }
    }
}

/// A stream as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its path.
    pub path: Arc<str>,
    /// Random, given at creation: a stream that was deleted and made anew has another one.
    pub epoch: u64,
    /// What it was made with.
    pub spec: StreamSpec,
    /// When it was made, Unix milliseconds.
    pub created_ms: u64,
    /// When the last record was appended, Unix milliseconds, or 0.
    pub last_append_ms: u64,
    /// Offset of the last durable record.
    pub tail: Offset,
    /// First offset that is kept; tail + 1 where none is.
    pub earliest: Offset,
    /// It takes no more records.
    pub closed: bool,
    /// What it was forked from.
    pub forked: Option<Forked>,
}

impl StreamInfo {
    /// The place behind what it took over from the stream it was forked from; 0 for others.
    #[must_use]
    pub fn inherited(&self) -> Offset {
        let ancestors = self.forked.as_ref().and_then(|forked| forked.ancestors.last());
        ancestors.map_or(Offset::ZERO, |(_, at)| Offset(*at))
    }

    /// The place before the first record of its own that is kept: behind what it inherited, and
    /// behind what is not there.
    #[must_use]
    pub fn before_own(&self) -> Offset {
        self.inherited().max(Offset(self.earliest.0.saturating_sub(1)))
    }
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The writer's id of it: a second append with the same id writes nothing and answers with
    /// the first one's offset. `None` for a record that nobody will send again.
    pub id: Option<Arc<str>>,
    /// Its bytes.
    pub payload: Bytes,
}

/// What to append, and under which conditions. Atomic: all of it or nothing.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// The records, in order.
    pub records: SmallVec<[NewRecord; 1]>,
    /// The tail must be here. Not asked of an append whose records are all duplicates.
    pub expected: Option<Offset>,
    /// Every record is written, also one whose id is known: a copy has what its original has.
    pub verbatim: bool,
    /// Makes the stream with this if it does not exist.
    pub create: Option<StreamSpec>,
    /// The media type the writer sent; must be the stream's, parameters aside.
    pub content_type: Option<Arc<str>>,
    /// Who sends it, where a resend must not be a second record.
    pub producer: Option<Producer>,
    /// The writer's own sequence: grows from append to append, compared byte by byte.
    pub seq: Option<Arc<str>>,
    /// Closes the stream in the same step. Only then the append may have no records.
    pub close: bool,
}

impl Append {
    /// JSON records for a stream that is made if it does not exist.
    #[must_use]
    pub fn json(records: impl IntoIterator<Item = NewRecord>) -> Self {
        Self {
            records: records.into_iter().collect(),
            create: Some(StreamSpec::json()),
            ..Self::default()
        }
    }
}

/// Where one record of an append is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its offset.
    pub offset: Offset,
    /// It was there before, by its id.
    pub duplicate: bool,
}

/// The answer to an append, given once all of it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// One for each record of the append, in its order.
    pub placed: SmallVec<[Placed; 1]>,
    /// Offset of the last record that this append wrote, or of the last duplicate.
    pub last: Offset,
    /// The tail behind it.
    pub tail: Offset,
    /// Nothing was written: all of it was there before.
    pub duplicate: bool,
    /// The stream is closed.
    pub closed: bool,
    /// The last batch of the producer, this one or a later one.
    pub producer: Option<ProducerState>,
    /// When, Unix milliseconds.
    pub timestamp_ms: u64,
}

/// What a stream is created with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// Its configuration.
    pub spec: StreamSpec,
    /// Its first records.
    pub records: Vec<Bytes>,
    /// What it is forked from.
    pub fork: Option<Fork>,
    /// Whether it takes no more than these. `None`: it does, and one that exists may be closed.
    pub closed: Option<bool>,
    /// The offset of its first record, where those before it were in another stream that it takes
    /// the place of; not beside a fork. `None`: 1, and one that exists may begin anywhere.
    pub first: Option<Offset>,
}

impl From<StreamSpec> for Creation {
    fn from(spec: StreamSpec) -> Self {
        Self { spec, records: Vec::new(), fork: None, closed: None, first: None }
    }
}

/// The answer to a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The stream.
    pub info: StreamInfo,
    /// It existed before, with the same configuration.
    pub existed: bool,
}
