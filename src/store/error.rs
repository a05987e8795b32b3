//! What can go wrong in a store, as facts. What a client should do about it is decided above.

use std::{path::PathBuf, sync::Arc};

use super::{Offset, StreamNo};

/// Why a write has not taken place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The tail was elsewhere: another writer was first, or an earlier write failed.
    #[error("the tail is at {actual}, not at {expected}")]
    Conflict {
        /// The tail the write was decided on.
        expected: Offset,
        /// The tail it met.
        actual: Offset,
    },
    /// The path has a stream already.
    #[error("a stream exists at this path")]
    Exists,
    /// No stream has this number: it was deleted, or never created.
    #[error("stream {0} does not exist")]
    NoStream(StreamNo),
    /// The queue stayed full for as long as a writer may wait.
    #[error("the queue of writes is full")]
    Busy,
    /// The write is larger than the queue and could never fit.
    #[error("{bytes} bytes do not fit the queue of {max_bytes}")]
    TooLarge {
        /// Size of the write.
        bytes: usize,
        /// Size of the queue.
        max_bytes: usize,
    },
    /// The disk is full. Reads go on; writing resumes when there is room.
    #[error("no space is left for the log")]
    Full,
    /// A flush failed: what is on the disk is unknown, so nothing more is acknowledged.
    #[error("the log is poisoned: {0}")]
    Poisoned(Arc<str>),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// Why records or metadata could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No stream has this number.
    #[error("stream {0} does not exist")]
    NoStream(StreamNo),
    /// The record asked for is older than what is kept.
    #[error("records before {earliest} are no longer kept")]
    Trimmed {
        /// First offset that is kept.
        earliest: Offset,
    },
    /// Records `from` to `to` are damaged or gone from the disk. Those after `to` are not.
    #[error("records {from} to {to} are damaged: {reason}")]
    Lost {
        /// First lost offset.
        from: Offset,
        /// Last lost offset.
        to: Offset,
        /// What was found, and where.
        reason: Arc<str>,
    },
    /// The index or the disk did not answer.
    #[error("the store cannot be read: {0}")]
    Unavailable(Arc<str>),
}

/// Why a data folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the data folder {0} is in use by another process")]
    InUse(PathBuf),
    /// It was written by a version that this one does not know.
    #[error("the data folder {path} has format {found:?}; this version reads {known:?}")]
    Format {
        /// The folder.
        path: PathBuf,
        /// What its `FORMAT` file says.
        found: String,
        /// What this version writes.
        known: &'static str,
    },
    /// Acknowledged records are damaged where they cannot be stepped over safely.
    #[error(
        "{path} is damaged at byte {at}: {reason}; `scrollback salvage --data-dir …` saves what can be saved"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        at: u64,
        /// What was found.
        reason: String,
    },
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The index could neither be opened nor rebuilt.
    #[error("the index cannot be opened: {0}")]
    Index(String),
}
