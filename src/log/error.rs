//! What can go wrong with streams, as facts: one enum for each operation, made of small structs.
//! `http/error.rs` turns them into answers.

use std::sync::Arc;

use super::{Offset, ProducerError, StreamPath};
use crate::store;

/// No stream is at this path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream {path} does not exist")]
pub struct NoStream {
    /// The path.
    pub path: StreamPath,
}

/// The stream was deleted, and is kept for those that were forked from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream {path} was deleted; streams that were forked from it still read what it held")]
pub struct StreamGone {
    /// The path.
    pub path: StreamPath,
}

/// The tail is not where the writer expected it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stream ends at offset {actual}, not at {expected}")]
pub struct OffsetMismatch {
    /// What the writer expected.
    pub expected: Offset,
    /// Where the tail is.
    pub actual: Offset,
}

/// The stream takes no more records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream {path} is closed at offset {tail}")]
pub struct StreamClosed {
    /// The path.
    pub path: StreamPath,
    /// Its final offset.
    pub tail: Offset,
}

/// The stream holds another kind of content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stream holds {actual}, not {given}")]
pub struct ContentTypeMismatch {
    /// What was sent.
    pub given: String,
    /// What the stream holds.
    pub actual: String,
}

/// The writer's sequence does not grow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sequence {given:?} does not come after {last:?}")]
pub struct SeqConflict {
    /// What was sent.
    pub given: String,
    /// The last one that was taken.
    pub last: String,
}

/// What stands between a write and the disk. A client may send the write again: these leave
/// nothing in the log, but for `Poisoned`, where only an id or a producer makes a resend safe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue stayed full.
    #[error("the queue of appends is full")]
    Busy,
    /// The disk is full.
    #[error("no space is left for the log")]
    Full,
    /// A flush failed; the server is about to end.
    #[error("the log stopped after a failed flush: {0}")]
    Poisoned(Arc<str>),
    /// The server is stopping.
    #[error("the log is closed")]
    Closed,
    /// The index or the disk could not be read.
    #[error("{0}")]
    Unavailable(Arc<str>),
    /// Other writers were first every time the append was decided.
    #[error("the stream changed too often while the append was decided")]
    Contended,
}

/// Why a stream was not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// A stream with another configuration is at this path.
    #[error("stream {0} exists with another configuration")]
    Exists(StreamPath),
    /// The stream to fork from does not exist.
    #[error(transparent)]
    NoSource(NoStream),
    /// The place of the fork lies beyond the source.
    #[error("the stream to fork from ends at offset {tail}, before the place of the fork")]
    ForkBeyond {
        /// Where it ends.
        tail: Offset,
    },
    /// The stream to fork from has as many forks as it takes.
    #[error("a stream has at most {max} forks")]
    TooManyForks {
        /// The bound.
        max: usize,
    },
    /// Forks of forks of forks.
    #[error("a fork reads from at most {max} streams")]
    ForkTooDeep {
        /// The bound.
        max: usize,
    },
    /// The first records break a bound.
    #[error(transparent)]
    Records(#[from] Box<AppendError>),
    /// It could not be made durable.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Why nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No such stream, and the append may not create it.
    #[error(transparent)]
    NoStream(#[from] NoStream),
    /// Deleted, with forks.
    #[error(transparent)]
    Gone(#[from] StreamGone),
    /// The precondition failed.
    #[error(transparent)]
    Mismatch(#[from] OffsetMismatch),
    /// Closed.
    #[error(transparent)]
    Closed(#[from] StreamClosed),
    /// Another content type.
    #[error(transparent)]
    ContentType(#[from] ContentTypeMismatch),
    /// The producer's batch may not follow.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// As many producers as a stream knows.
    #[error("the stream has {max} producers, and takes no more")]
    TooManyProducers {
        /// The bound.
        max: usize,
    },
    /// The writer's sequence.
    #[error(transparent)]
    Seq(#[from] SeqConflict),
    /// A record above [`crate::limits::RECORD_BYTES_MAX`].
    #[error("record {index} has {bytes} bytes; at most {max_bytes} are allowed")]
    RecordTooLarge {
        /// Which of the batch, from 0.
        index: usize,
        /// Its size.
        bytes: usize,
        /// The bound.
        max_bytes: usize,
    },
    /// More than [`crate::limits::BATCH_BYTES_MAX`] in one batch.
    #[error("a batch has at most {max} bytes, not {bytes}")]
    BatchBytes {
        /// How many were given.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// More than [`crate::limits::BATCH_RECORDS_MAX`] records, or none.
    #[error("a batch has 1 to {max} records, not {count}")]
    BatchCount {
        /// How many were given.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// It could not be made durable.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Why nothing was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No such stream.
    #[error(transparent)]
    NoStream(#[from] NoStream),
    /// Deleted, with forks.
    #[error(transparent)]
    Gone(#[from] StreamGone),
    /// The place lies before what is kept.
    #[error("records before {earliest} are no longer kept")]
    Trimmed {
        /// First offset that is kept.
        earliest: Offset,
    },
    /// These records are damaged; those after `to` are not.
    #[error("records {from} to {to} are damaged: {reason}")]
    Lost {
        /// First lost offset.
        from: Offset,
        /// Last lost offset.
        to: Offset,
        /// What was found.
        reason: Arc<str>,
    },
    /// The place lies beyond the end.
    #[error("the stream ends at offset {tail}")]
    Beyond {
        /// Its tail.
        tail: Offset,
    },
    /// The store did not answer.
    #[error("{0}")]
    Unavailable(Arc<str>),
}

/// Why a stream was not closed or deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// No such stream.
    #[error(transparent)]
    NoStream(#[from] NoStream),
    /// Deleted already, with forks.
    #[error(transparent)]
    Gone(#[from] StreamGone),
    /// It could not be made durable.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl ReadError {
    /// Translates what the store found, for the stream at `path`.
    pub(super) fn from_store(error: store::ReadError, path: &StreamPath) -> Self {
        match error {
            store::ReadError::NoStream(_) => NoStream { path: path.clone() }.into(),
            store::ReadError::Trimmed { earliest } => Self::Trimmed { earliest },
            store::ReadError::Lost { from, to, reason } => Self::Lost { from, to, reason },
            store::ReadError::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

impl From<store::ReadError> for Refused {
    fn from(error: store::ReadError) -> Self {
        Self::Unavailable(error.to_string().into())
    }
}
