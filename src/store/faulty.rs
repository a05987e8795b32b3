//! A store that fails on demand, for the tests of what stands above it.
//!
//! It wraps a store that settles at once, such as [`super::memory::MemoryStore`]. A write that is
//! told to fail never reaches the wrapped store; what was decided on top of it meets the tail as
//! it is, just as after a failed group commit on disk.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, ready};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::{
    Backup, Head, Listed, Moved, Offset, Ordered, Page, PageLimit, Permit, Position, ReadError,
    Store, StreamNo, Ticket, Write, WriteError,
};

/// A store with a switch for everything that can go wrong.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    faults: Mutex<Faults>,
    poisoned: watch::Sender<Option<Arc<str>>>,
}

#[derive(Debug, Default)]
struct Faults {
    /// Writes submitted so far.
    submitted: u64,
    /// What the n-th write, counted from 0, fails with.
    writes: BTreeMap<u64, WriteError>,
    /// What every read fails with.
    reads: Option<ReadError>,
    is_held: bool,
    held: VecDeque<Held>,
}

/// A write that waits for [`FaultyStore::release`].
#[derive(Debug)]
struct Held {
    write: Write,
    failure: Option<WriteError>,
    settle: oneshot::Sender<Result<(), WriteError>>,
}

impl FaultyStore {
    /// Wraps a store that settles its tickets at once.
    #[must_use]
    pub fn over(inner: Arc<dyn Store>) -> Arc<Self> {
        let poisoned = watch::Sender::new(None);
        Arc::new(Self { inner, faults: Mutex::default(), poisoned })
    }

    /// The write that comes after `skipped` others from now on fails. [`WriteError::Poisoned`]
    /// poisons the store as well.
    pub fn fail_write(&self, skipped: u64, error: WriteError) {
        let mut faults = self.faults.lock();
        let number = faults.submitted + skipped;
        faults.writes.insert(number, error);
    }

    /// Every read fails like this, until it is given `None`.
    pub fn fail_reads(&self, error: Option<ReadError>) {
        self.faults.lock().reads = error;
    }

    /// Writes wait from now on, in their order.
    pub fn hold(&self) {
        self.faults.lock().is_held = true;
    }

    /// Writes that wait.
    #[must_use]
    pub fn held(&self) -> usize {
        self.faults.lock().held.len()
    }

    /// Lets waiting writes go on, and later ones pass.
    pub fn release(&self) {
        let mut faults = self.faults.lock();
        faults.is_held = false;
        while let Some(Held { write, failure, settle }) = faults.held.pop_front() {
            let settled = self.pass(write, failure).settled().now_or_never();
            // Nobody waits for a ticket that was dropped.
            let _ = settle.send(settled.unwrap_or(Err(WriteError::Closed)));
        }
    }

    fn pass(&self, write: Write, failure: Option<WriteError>) -> Ticket {
        let poisoned = self.poisoned.borrow().clone().map(WriteError::Poisoned);
        let Some(error) = poisoned.or(failure) else { return self.inner.submit(write) };
        if let WriteError::Poisoned(reason) = &error {
            self.poisoned.send_replace(Some(Arc::clone(reason)));
        }
        failed(error)
    }

    fn read_fault<T: Send + 'static>(&self) -> Option<BoxFuture<'static, Result<T, ReadError>>> {
        let error = self.faults.lock().reads.clone()?;
        Some(ready(Err(error)).boxed())
    }
}

fn failed(error: WriteError) -> Ticket {
    let (settle, ticket) = Ticket::open();
    // The ticket is right here.
    let _ = settle.send(Err(error));
    ticket
}

impl Store for FaultyStore {
    fn allocate(&self) -> StreamNo {
        self.inner.allocate()
    }

    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<Permit, WriteError>> {
        self.inner.reserve(bytes)
    }

    fn submit(&self, write: Write) -> Ticket {
        let mut faults = self.faults.lock();
        let number = faults.submitted;
        faults.submitted += 1;
        let failure = faults.writes.remove(&number);
        if faults.is_held {
            let (settle, ticket) = Ticket::open();
            faults.held.push_back(Held { write, failure, settle });
            return ticket;
        }
        self.pass(write, failure)
    }

    fn find(&self, path: &str) -> BoxFuture<'_, Result<Option<Arc<Head>>, ReadError>> {
        self.read_fault().unwrap_or_else(|| self.inner.find(path))
    }

    fn head(&self, stream: StreamNo) -> BoxFuture<'_, Result<Option<Arc<Head>>, ReadError>> {
        self.read_fault().unwrap_or_else(|| self.inner.head(stream))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, ReadError>> {
        self.read_fault().unwrap_or_else(|| self.inner.list(prefix, after, limit))
    }

    fn read(
        &self,
        stream: StreamNo,
        after: Offset,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Page, ReadError>> {
        self.read_fault().unwrap_or_else(|| self.inner.read(stream, after, limit))
    }

    fn read_all(
        &self,
        after: Position,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Ordered, ReadError>> {
        self.read_fault().unwrap_or_else(|| self.inner.read_all(after, limit))
    }

    fn seek(
        &self,
        stream: StreamNo,
        timestamp_ms: u64,
    ) -> BoxFuture<'_, Result<Offset, ReadError>> {
        self.read_fault().unwrap_or_else(|| self.inner.seek(stream, timestamp_ms))
    }

    fn due(&self, now_ms: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StreamNo>, ReadError>> {
        self.read_fault().unwrap_or_else(|| self.inner.due(now_ms, limit))
    }

    fn watch(&self, stream: StreamNo) -> BoxFuture<'_, Result<watch::Receiver<Moved>, ReadError>> {
        self.read_fault().unwrap_or_else(|| self.inner.watch(stream))
    }

    fn watch_all(&self) -> watch::Receiver<Position> {
        self.inner.watch_all()
    }

    fn save_checkpoint(&self, stream: StreamNo, name: &str, state: Bytes) -> Ticket {
        match self.poisoned.borrow().clone() {
            Some(reason) => failed(WriteError::Poisoned(reason)),
            None => self.inner.save_checkpoint(stream, name, state),
        }
    }

    fn checkpoint<'a>(
        &'a self,
        stream: StreamNo,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>> {
        self.read_fault().unwrap_or_else(|| self.inner.checkpoint(stream, name))
    }

    fn backup(&self, now_ms: u64) -> BoxFuture<'_, Result<Backup, ReadError>> {
        self.read_fault().unwrap_or_else(|| self.inner.backup(now_ms))
    }

    fn poisoned(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.poisoned.subscribe()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), WriteError>> {
        self.inner.close()
    }
}
