//! What the threads of an open store share: the writer, the compactor, and those who read.

use std::{
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::{Semaphore, oneshot, watch};

use super::{
    commit::Committed,
    files::BlockFiles,
    folder::Folder,
    generation::Generation,
    index::{Index, IndexError},
    recover::Recovered,
    table::Table,
};
use crate::{
    limits,
    metrics::Metrics,
    store::{Permit, Position, ReadError, WriteError},
};

/// A write on its way to the disk.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) write: Committed,
    /// Its head, encoded by the thread that submitted it.
    pub(super) head: Vec<u8>,
    pub(super) settle: oneshot::Sender<Result<(), WriteError>>,
    pub(super) permit: Permit,
}

/// What waits for the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) jobs: VecDeque<Job>,
    /// The writer is asked to begin a new generation, though the current one is not full.
    pub(super) freeze: bool,
    pub(super) closed: bool,
}

/// What waits for the compactor.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    pub(super) generations: VecDeque<Arc<Generation>>,
    /// The writer has ended; what is left is the last.
    pub(super) writer_done: bool,
}

/// The store's state.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) folder: Folder,
    pub(super) table: Table,
    /// Taken out when the store closes.
    pub(super) index: RwLock<Option<Index>>,
    pub(super) files: BlockFiles,
    pub(super) metrics: Arc<Metrics>,
    pub(super) queue: Mutex<Queue>,
    pub(super) queued: Condvar,
    pub(super) frozen: Mutex<Frozen>,
    /// Something moved in `frozen`.
    pub(super) thawed: Condvar,
    pub(super) room: Arc<Semaphore>,
    pub(super) last_stream: AtomicU64,
    /// The last commit that is durable; set before memory shows anything of it.
    pub(super) commit: AtomicU64,
    /// Held while a backup needs the journal to keep what it has. Nobody waits for it but another
    /// backup.
    pub(super) keeping: Mutex<()>,
    pub(super) position: watch::Sender<Position>,
    pub(super) poisoned: watch::Sender<Option<Arc<str>>>,
    /// The compactor has met a full disk.
    pub(super) full: AtomicBool,
    /// Block files that are kept for salvage because something in them is damaged.
    pub(super) damaged_files: Mutex<BTreeSet<u32>>,
}

impl Shared {
    /// The state of a store that was just opened.
    pub(super) fn of(folder: Folder, recovered: Recovered, metrics: Arc<Metrics>) -> Self {
        metrics.memtable_bytes.set(recovered.memory_bytes as u64);
        let frozen = Frozen { generations: recovered.generations, ..Frozen::default() };
        Self {
            folder,
            table: recovered.table,
            index: RwLock::new(Some(recovered.index)),
            files: recovered.files,
            metrics,
            queue: Mutex::new(Queue::default()),
            queued: Condvar::new(),
            frozen: Mutex::new(frozen),
            thawed: Condvar::new(),
            room: Arc::new(Semaphore::new(limits::QUEUE_BYTES_MAX)),
            last_stream: AtomicU64::new(recovered.last_stream),
            commit: AtomicU64::new(recovered.next_commit - 1),
            keeping: Mutex::default(),
            position: watch::Sender::new(recovered.position),
            poisoned: watch::Sender::new(None),
            full: false.into(),
            damaged_files: Mutex::default(),
        }
    }

    /// Asks the index. An index that fails is remembered as suspect, so that the next opening
    /// builds it anew, and poisons the store: what it would answer next cannot be trusted.
    pub(super) fn index<T>(
        &self,
        ask: impl FnOnce(&Index) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let index = self.index.read();
        let Some(index) = index.as_ref() else {
            return Err(IndexError("closed".to_owned()));
        };
        ask(index).inspect_err(|error| {
            self.folder.suspect_index();
            self.poison(&format!("{error}; it will be built anew on the next start"));
        })
    }

    /// Nothing more is acknowledged from here on.
    pub(super) fn poison(&self, reason: &str) {
        let first = self.poisoned.send_if_modified(|poisoned| {
            let first = poisoned.is_none();
            if first {
                *poisoned = Some(Arc::from(reason));
            }
            first
        });
        if first {
            tracing::error!(reason, "log poisoned");
        }
        self.wake();
    }

    /// Wakes the writer and the compactor. The locks are taken so that neither is between its
    /// look and its wait.
    pub(super) fn wake(&self) {
        drop(self.queue.lock());
        self.queued.notify_all();
        drop(self.frozen.lock());
        self.thawed.notify_all();
    }

    /// Ends a poisoned store whose writer or compactor is gone: nobody else would.
    pub(super) fn abandon(&self) {
        let reason = self.poison_reason().unwrap_or_default();
        let mut queue = self.queue.lock();
        queue.closed = true;
        for job in queue.jobs.drain(..) {
            self.refuse(job, WriteError::Poisoned(Arc::clone(&reason)));
        }
        drop(queue);
        self.frozen.lock().writer_done = true;
        self.thawed.notify_all();
    }

    /// Answers a write that will not take place.
    pub(super) fn refuse(&self, job: Job, error: WriteError) {
        self.metrics.failed_writes.inc();
        self.metrics.queue_bytes.dec_by(job.write.bytes() as u64);
        // Nobody waits for a ticket that was dropped.
        let _ = job.settle.send(Err(error));
    }

    pub(super) fn poison_reason(&self) -> Option<Arc<str>> {
        self.poisoned.borrow().clone()
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    pub(super) fn index_folder(&self) -> PathBuf {
        self.folder.index()
    }
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        Self::Unavailable(Arc::from(error.to_string()))
    }
}
