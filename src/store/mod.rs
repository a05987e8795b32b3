//! Records at offsets, durable and in order, with the metadata written beside them.
//!
//! A store knows numbers and bytes: streams, offsets, positions, payloads, opaque metadata. It
//! refuses to know producers, forks, expiry rules, JSON or HTTP; those are decided above it and
//! arrive here as one [`Write`] each. Invariant: what a [`Ticket`] has acknowledged survives a
//! kill and a power cut, and nothing that is not durable is ever read.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};

pub use self::{
    backup::Backup,
    error::{OpenError, ReadError, WriteError},
    types::{
        Batch, Change, Entry, Head, Listed, MetaChange, Moved, Offset, Ordered, Page, PageLimit,
        Permit, Position, Record, StreamNo, Tell, Write,
    },
};

pub mod backup;
#[cfg(test)]
mod contract;
mod error;
pub mod faulty;
pub mod memory;
pub mod sled;
mod types;

/// Resolves once a write is durable, or says why it is not.
///
/// A ticket that is dropped does not take the write back.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Result<(), WriteError>>);

impl Ticket {
    /// A ticket and the sender that settles it.
    #[must_use]
    pub fn open() -> (oneshot::Sender<Result<(), WriteError>>, Self) {
        let (tx, rx) = oneshot::channel();
        (tx, Self(rx))
    }

    /// Waits until the write is durable.
    ///
    /// # Errors
    /// The reason why the write has not taken place. After any error nothing of it is in the log,
    /// with one exception: after [`WriteError::Poisoned`] it may or may not be found on reopening.
    pub async fn settled(self) -> Result<(), WriteError> {
        let unanswered = || WriteError::Poisoned(Arc::from("the store ended without an answer"));
        self.0.await.unwrap_or_else(|_| Err(unanswered()))
    }
}

/// The contract every store keeps; `contract.rs` checks each line of it on each store.
///
/// Writes take effect in the order of the [`Store::submit`] calls. Each is atomic: its records
/// and its metadata are all there or none is, at every moment and after every crash.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// A stream number that was never given out before, not even before a restart, unless its
    /// stream was never created.
    fn allocate(&self) -> StreamNo;

    /// Waits until the queue has room for `bytes`, so that `submit` never has to.
    ///
    /// The permit travels in [`Write::permit`] and gives its room back when the write settles.
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<Permit, WriteError>>;

    /// Queues a write without blocking. The order of calls is the order of commits.
    fn submit(&self, write: Write) -> Ticket;

    /// Finds a stream by path. A stream whose creation is not yet durable is not found.
    fn find(&self, path: &str) -> BoxFuture<'_, Result<Option<Arc<Head>>, ReadError>>;

    /// What is known of a stream: tail, earliest offset, metadata.
    fn head(&self, stream: StreamNo) -> BoxFuture<'_, Result<Option<Arc<Head>>, ReadError>>;

    /// Streams whose path begins with `prefix` and comes after `after`, in path order.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, ReadError>>;

    /// Records `after + 1`, `after + 2`, … of one stream: as many as `limit` allows, at least
    /// one if there is one. An empty page means that `after` is the tail or beyond.
    ///
    /// # Errors
    /// [`ReadError::Trimmed`] where record `after + 1` is no longer kept, [`ReadError::Lost`]
    /// where it cannot be read back; never a gap inside a page.
    fn read(
        &self,
        stream: StreamNo,
        after: Offset,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Page, ReadError>>;

    /// Records of all streams after a position, in commit order. Those that were trimmed are left
    /// out, and it is said of which streams, however long ago that was. A stream that was deleted
    /// is left out without a word, or as one that is not known any more.
    fn read_all(
        &self,
        after: Position,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Ordered, ReadError>>;

    /// The place before the first kept record with a timestamp of `timestamp_ms` or later.
    /// Timestamps never decrease along a stream.
    fn seek(&self, stream: StreamNo, timestamp_ms: u64)
    -> BoxFuture<'_, Result<Offset, ReadError>>;

    /// Streams whose [`Write::due_ms`] is `now_ms` or earlier, the most overdue first.
    fn due(&self, now_ms: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StreamNo>, ReadError>>;

    /// Follows the durable end of a stream: every change is seen, though not each one apart.
    fn watch(&self, stream: StreamNo) -> BoxFuture<'_, Result<watch::Receiver<Moved>, ReadError>>;

    /// The position of the last durable record of the server, followed.
    fn watch_all(&self) -> watch::Receiver<Position>;

    /// Saves a projection's state beside its stream. A checkpoint is as durable as a record.
    fn save_checkpoint(&self, stream: StreamNo, name: &str, state: Bytes) -> Ticket;

    /// The state saved last under this name.
    fn checkpoint<'a>(
        &'a self,
        stream: StreamNo,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>>;

    /// Holds on to the state of the store at one commit, for somebody to take it away: everything
    /// that was acknowledged before is in it, and nothing that was decided on top of what it
    /// lacks. What is written, trimmed or deleted from then on does not change it. `now_ms` is
    /// what it says of when it was taken.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`].
    fn backup(&self, now_ms: u64) -> BoxFuture<'_, Result<Backup, ReadError>>;

    /// Becomes `Some(reason)` when a failed flush has poisoned the store: from then on every
    /// write fails, and the process should end.
    fn poisoned(&self) -> watch::Receiver<Option<Arc<str>>>;

    /// Settles what is queued, flushes, and lets the data folder go. Later writes fail with
    /// [`WriteError::Closed`].
    fn close(&self) -> BoxFuture<'_, Result<(), WriteError>>;
}
