//! The store of one machine: a journal of our own that makes writes durable, block files that
//! keep them, and a sled database that knows where everything is.
//!
//! ```text
//! submit ─► queue ─► writer ──► journal segment ──(synced)──► memory ─► readers
//!                                    │
//!                                    └─► compactor ─► block file ─► index ─► segment used again
//! ```
//!
//! Invariants: acknowledged means synced; readers see only what is; a journal segment goes only
//! after what it holds is synced in block files and in the index. `docs/storage-format.md` has
//! the bytes, `docs/decisions/0001-journal-and-blocks.md` the reasons.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, ready};
use parking_lot::Mutex;
use tokio::sync::watch;

use self::{
    commit::Committed,
    folder::Folder,
    journal::Journal,
    recover::Mode,
    shared::{Job, Shared},
    table::Known,
    threads::supervised,
    writer::Writer,
};

pub(super) use self::written::{Placed, backup as backup_of};
pub use self::{
    folder::Sizes,
    salvage::salvage,
    unpack::{RestoreError, Restored, restore},
    verify::{Report, verify},
};
use super::{
    Backup, Head, Listed, Moved, Offset, OpenError, Ordered, Page, PageLimit, Permit, Position,
    ReadError, Store, StreamNo, Ticket, Write, WriteError,
};
use crate::{limits, metrics::Metrics};

mod apply;
mod backup;
mod block;
mod commit;
mod compactor;
mod disk;
mod files;
mod folder;
mod frame;
mod generation;
mod index;
mod journal;
mod key;
mod live;
mod read;
mod read_order;
mod reclaim;
mod recover;
mod replay;
mod restore;
mod round;
mod salvage;
mod shared;
mod table;
mod tails;
mod threads;
mod unpack;
mod vacant;
mod verify;
mod writer;
mod written;

/// An open data folder.
#[derive(Debug)]
pub struct SledStore {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    damage: Vec<String>,
}

impl SledStore {
    /// Opens a data folder, making it where there is none. Blocks while it recovers.
    ///
    /// # Errors
    /// [`OpenError`]: in use, another format, damaged, or the system refuses.
    pub fn open(path: &Path, metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        Self::open_with(path, metrics, Sizes::default(), Mode::Strict)
    }

    /// Opens a data folder whose new files have other sizes than the usual ones. This is for
    /// tests: small files are full soon.
    ///
    /// # Errors
    /// As [`SledStore::open`].
    pub fn open_sized(path: &Path, metrics: Arc<Metrics>, sizes: Sizes) -> Result<Self, OpenError> {
        Self::open_with(path, metrics, sizes, Mode::Strict)
    }

    fn open_with(
        path: &Path,
        metrics: Arc<Metrics>,
        sizes: Sizes,
        mode: Mode,
    ) -> Result<Self, OpenError> {
        let mut folder = Folder::open(path)?;
        folder.sizes = sizes;
        Self::open_folder(folder, metrics, mode)
    }

    fn open_folder(folder: Folder, metrics: Arc<Metrics>, mode: Mode) -> Result<Self, OpenError> {
        let sizes = folder.sizes;
        let recovered = recover::recover(&folder, mode)?;
        let journal_folder = folder.journal();
        let (segment, commit) = (recovered.next_segment, recovered.next_commit);
        let journal = Journal::begin(&journal_folder, sizes.segment_bytes, segment, commit);
        let journal = journal.map_err(disk::at(&journal_folder))?;
        // Segments that hold nothing any more, as after a start without a write.
        let needed = recovered.generations.front().map_or(segment, |first| first.segment);
        let released = journal::release(&journal_folder, needed.saturating_sub(1));
        released.map_err(disk::at(&journal_folder))?;
        // Less room for the compactor is no reason not to start.
        let _ = folder.reserve();
        let position = recovered.position;
        let damage = recovered.damage.clone();
        for line in &damage {
            tracing::error!("{line}");
        }
        let shared = Arc::new(Shared::of(folder, recovered, metrics));
        let writer = Writer::new(Arc::clone(&shared), journal, position);
        let compacting = Arc::clone(&shared);
        let threads = [
            supervised(&shared, "journal-writer", move || writer.run()),
            supervised(&shared, "compactor", move || compactor::run(&compacting)),
        ];
        let threads = threads.into_iter().collect::<Result<Vec<_>, _>>();
        let threads = Mutex::new(threads.map_err(disk::at(&journal_folder))?);
        Ok(Self { shared, threads, damage })
    }

    /// What was found damaged on opening, in words; empty where nothing was.
    #[must_use]
    pub fn damage(&self) -> &[String] {
        &self.damage
    }

    /// Turns what the journal holds into blocks, and waits until that is done. The compactor does
    /// so by itself; this is for tests and for tools.
    pub fn compact(&self) {
        self.shared.queue.lock().freeze = true;
        self.shared.queued.notify_all();
        let mut frozen = self.shared.frozen.lock();
        loop {
            let queue_idle = !self.shared.queue.lock().freeze;
            let done = queue_idle && frozen.generations.is_empty();
            if done || self.shared.poison_reason().is_some() {
                return;
            }
            self.shared.thawed.wait_for(&mut frozen, std::time::Duration::from_millis(20));
        }
    }

    fn submit_committed(&self, write: Committed, permit: Permit) -> Ticket {
        let (settle, ticket) = Ticket::open();
        let head = write.head();
        let (bytes, size) = (write.bytes() as u64, head.len() + write.bytes());
        if size > limits::GROUP_BYTES_MAX {
            let max_bytes = limits::GROUP_BYTES_MAX;
            let _ = settle.send(Err(WriteError::TooLarge { bytes: size, max_bytes }));
            return ticket;
        }
        let mut queue = self.shared.queue.lock();
        if queue.closed {
            let reason = self.shared.poison_reason();
            let error = reason.map_or(WriteError::Closed, WriteError::Poisoned);
            let _ = settle.send(Err(error));
            return ticket;
        }
        self.shared.metrics.queue_bytes.inc_by(bytes);
        queue.jobs.push_back(Job { write, head, settle, permit });
        if queue.jobs.len() == 1 {
            self.shared.queued.notify_all();
        }
        ticket
    }

    fn with_live<T: Send + 'static>(
        &self,
        stream: StreamNo,
        read: impl FnOnce(&Shared, &live::Live) -> Result<T, ReadError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, ReadError>> {
        read::blocking(&self.shared, move |shared| match read::live(shared, stream)? {
            Some(live) => read(shared, &live),
            None => Err(ReadError::NoStream(stream)),
        })
        .boxed()
    }
}

impl Store for SledStore {
    fn allocate(&self) -> StreamNo {
        StreamNo(self.shared.last_stream.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<Permit, WriteError>> {
        if bytes > limits::GROUP_BYTES_MAX {
            let max_bytes = limits::GROUP_BYTES_MAX;
            return ready(Err(WriteError::TooLarge { bytes, max_bytes })).boxed();
        }
        // The head of a small write costs as much as its payload.
        let cost = u32::try_from(bytes + 128).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.shared.room);
        if let Ok(permit) = Arc::clone(&room).try_acquire_many_owned(cost) {
            return ready(Ok(Permit::of(permit))).boxed();
        }
        async move {
            let waited =
                tokio::time::timeout(limits::QUEUE_WAIT_MAX, room.acquire_many_owned(cost));
            match waited.await {
                Ok(Ok(permit)) => Ok(Permit::of(permit)),
                Ok(Err(_)) => Err(WriteError::Closed),
                Err(_) => Err(WriteError::Busy),
            }
        }
        .boxed()
    }

    fn submit(&self, mut write: Write) -> Ticket {
        let permit = std::mem::take(&mut write.permit);
        self.submit_committed(Committed::from(write), permit)
    }

    fn find(&self, path: &str) -> BoxFuture<'_, Result<Option<Arc<Head>>, ReadError>> {
        match self.shared.table.find(path) {
            Known::Stream(live) => ready(Ok(Some(Arc::new(live.head())))).boxed(),
            Known::Nothing => ready(Ok(None)).boxed(),
            Known::Unknown => {
                let path = path.to_owned();
                read::blocking(&self.shared, move |shared| {
                    let found = read::find(shared, &path)?;
                    Ok(found.map(|live| Arc::new(live.head())))
                })
                .boxed()
            }
        }
    }

    fn head(&self, stream: StreamNo) -> BoxFuture<'_, Result<Option<Arc<Head>>, ReadError>> {
        if let Some(live) = self.shared.table.get(stream) {
            return ready(Ok(Some(Arc::new(live.head())))).boxed();
        }
        read::blocking(&self.shared, move |shared| {
            Ok(read::live(shared, stream)?.map(|live| Arc::new(live.head())))
        })
        .boxed()
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, ReadError>> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        read::blocking(&self.shared, move |shared| {
            read::list(shared, &prefix, &after, limit.max(1))
        })
        .boxed()
    }

    fn read(
        &self,
        stream: StreamNo,
        after: Offset,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Page, ReadError>> {
        if let Some(live) = self.shared.table.get(stream) {
            let read = live.lock().read(after, limit);
            if let Some(answer) = read.transpose() {
                return ready(answer).boxed();
            }
        }
        self.with_live(stream, move |shared, live| read::page(shared, live, after, limit))
    }

    fn read_all(
        &self,
        after: Position,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Ordered, ReadError>> {
        read::blocking(&self.shared, move |shared| read_order::all(shared, after, limit)).boxed()
    }

    fn seek(
        &self,
        stream: StreamNo,
        timestamp_ms: u64,
    ) -> BoxFuture<'_, Result<Offset, ReadError>> {
        self.with_live(stream, move |shared, live| read::seek(shared, live, timestamp_ms))
    }

    fn due(&self, now_ms: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StreamNo>, ReadError>> {
        read::blocking(&self.shared, move |shared| read::due(shared, now_ms, limit)).boxed()
    }

    fn watch(&self, stream: StreamNo) -> BoxFuture<'_, Result<watch::Receiver<Moved>, ReadError>> {
        if let Some(live) = self.shared.table.get(stream) {
            return ready(Ok(live.watch())).boxed();
        }
        self.with_live(stream, |_, live| Ok(live.watch()))
    }

    fn watch_all(&self) -> watch::Receiver<Position> {
        self.shared.position.subscribe()
    }

    fn save_checkpoint(&self, stream: StreamNo, name: &str, state: Bytes) -> Ticket {
        self.submit_committed(Committed::checkpoint(stream, name, state), Permit::default())
    }

    fn checkpoint<'a>(
        &'a self,
        stream: StreamNo,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>> {
        let name = name.to_owned();
        read::blocking(&self.shared, move |shared| read::checkpoint(shared, stream, &name)).boxed()
    }

    fn backup(&self, now_ms: u64) -> BoxFuture<'_, Result<Backup, ReadError>> {
        read::blocking(&self.shared, move |shared| backup::begin(shared, now_ms)).boxed()
    }

    fn poisoned(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.shared.poisoned.subscribe()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), WriteError>> {
        let threads = std::mem::take(&mut *self.threads.lock());
        let shared = Arc::clone(&self.shared);
        async move {
            let closing = tokio::task::spawn_blocking(move || close(&shared, threads));
            closing.await.unwrap_or(Err(WriteError::Closed))
        }
        .boxed()
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        // What fails here has been logged; nothing waits for it.
        let _ = close(&self.shared, threads);
    }
}

/// Lets the writer settle what is queued and the compactor finish, then closes the index.
fn close(shared: &Shared, threads: Vec<JoinHandle<()>>) -> Result<(), WriteError> {
    shared.queue.lock().closed = true;
    shared.queued.notify_all();
    for thread in threads {
        if thread.join().is_err() {
            shared.poison("a thread of the store panicked");
        }
    }
    if let Some(index) = shared.index.write().take() {
        let flushed = index.flush(&shared.index_folder());
        // IMPORTANT: closed whatever came of the flush: dropped elsewhere, it may unwind.
        let closed = index.close();
        if let Err(error) = flushed.and(closed) {
            tracing::warn!(%error, "the index did not close cleanly");
        }
    }
    shared.folder.unlock();
    match shared.poison_reason() {
        Some(reason) => Err(WriteError::Poisoned(reason)),
        None => Ok(()),
    }
}
