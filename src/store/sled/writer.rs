//! The writer: one thread that makes writes durable, many at a time.
//!
//! It takes what is queued, checks each write against the tails it will meet, writes one commit,
//! syncs it, and only then lets readers see the records and writers know. While it syncs, the
//! next group gathers: the group grows with the load.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use super::{
    commit::{self, Action, Committed},
    disk,
    generation::Generation,
    journal::{CommitError, Journal},
    live::Live,
    shared::{Job, Shared},
    table::Known,
};
use crate::{
    limits,
    metrics::{Flush, Metrics},
    store::{Head, Offset, Position, StreamNo, WriteError},
};

/// The writer's own state.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    journal: Journal,
    generation: Generation,
    position: Position,
    /// Writes of the last group.
    last_group: usize,
}

/// A write that will take place with its group.
struct Accepted {
    job: Job,
    live: Arc<Live>,
    first: Position,
}

/// Tails and paths as they will be once the group is durable.
#[derive(Default)]
struct Pending {
    tails: HashMap<StreamNo, Option<Offset>>,
    paths: HashMap<Arc<str>, Option<StreamNo>>,
    created: HashMap<StreamNo, Arc<Live>>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, journal: Journal, position: Position) -> Self {
        let last_commit = journal.next_commit() - 1;
        let generation = Generation::new(journal.segment(), last_commit, position);
        Self { shared, journal, generation, position, last_group: 0 }
    }

    /// Runs until the store closes.
    pub(super) fn run(mut self) {
        while let Some((jobs, freeze)) = self.wait() {
            if !jobs.is_empty() {
                self.group(jobs);
            }
            if freeze && !self.generation.is_empty() && self.wait_for_room() {
                // Without room for a new segment the old one goes on.
                let _ = self.rotate().inspect_err(|error| {
                    tracing::warn!(%error, "cannot begin a new journal segment");
                });
            }
            if freeze {
                // Only now: who asked for it looks here for whether it is done.
                self.shared.queue.lock().freeze = false;
            }
        }
        let mut frozen = self.shared.frozen.lock();
        if !self.generation.is_empty() {
            let last =
                Generation { last_commit: self.journal.next_commit() - 1, ..self.generation };
            frozen.generations.push_back(Arc::new(last));
        }
        frozen.writer_done = true;
        self.shared.thawed.notify_all();
    }

    /// The next group, and whether a new generation is wanted; `None` once the store is closed
    /// and the queue is empty.
    fn wait(&mut self) -> Option<(Vec<Job>, bool)> {
        self.gather();
        let mut queue = self.shared.queue.lock();
        loop {
            if let Some(reason) = self.shared.poison_reason() {
                for job in queue.jobs.drain(..) {
                    self.shared.refuse(job, WriteError::Poisoned(Arc::clone(&reason)));
                }
                queue.closed = true;
            }
            if !queue.jobs.is_empty() || queue.freeze {
                break;
            }
            if queue.closed {
                return None;
            }
            self.shared.queued.wait(&mut queue);
        }
        let mut bytes = 0;
        let fits = queue.jobs.iter().take_while(|job| {
            let first = bytes == 0;
            bytes += job.head.len() + job.write.bytes();
            first || bytes <= limits::GROUP_BYTES_MAX
        });
        let count = fits.count();
        let jobs: Vec<Job> = queue.jobs.drain(..count).collect();
        self.last_group = jobs.len();
        Some((jobs, queue.freeze))
    }

    /// Lets the writers of the last group come back before the next one is cut. They are back
    /// sooner than this thread would wake up, so it stays awake, and yields to them.
    fn gather(&self) {
        let enough = self.last_group - self.last_group / 4;
        let deadline = Instant::now() + limits::GATHER_MAX;
        while self.shared.queue.lock().jobs.len() < enough && Instant::now() < deadline {
            std::thread::yield_now();
        }
    }

    fn group(&mut self, jobs: Vec<Job>) {
        let mut pending = Pending::default();
        let mut next = Position(self.position.0 + 1);
        let mut accepted = Vec::with_capacity(jobs.len());
        for job in jobs {
            match self.check(&mut pending, &job.write) {
                Ok(live) => {
                    let first = next;
                    next.0 += job.write.records.len() as u64;
                    accepted.push(Accepted { job, live, first });
                }
                Err(error) => self.shared.refuse(job, error),
            }
        }
        if accepted.is_empty() {
            return;
        }
        match self.make_durable(&accepted) {
            Ok(()) => self.publish(accepted, Position(next.0 - 1)),
            Err(error) => {
                for Accepted { job, .. } in accepted {
                    self.shared.refuse(job, error.clone());
                }
            }
        }
    }

    /// Whether a write may follow those accepted before it.
    fn check(&self, pending: &mut Pending, write: &Committed) -> Result<Arc<Live>, WriteError> {
        if let Action::Create { path, tail } = &write.action {
            return self.check_creation(pending, write, path, Offset(*tail));
        }
        let live = match pending.created.get(&write.stream) {
            Some(live) => Arc::clone(live),
            None => self.live(write.stream)?,
        };
        let stream = write.stream;
        let tail = pending.tails.entry(stream).or_insert_with(|| Some(live.lock().tail));
        let Some(actual) = *tail else { return Err(WriteError::NoStream(stream)) };
        match &write.action {
            Action::Append { expected_tail } => {
                let expected = Offset(*expected_tail);
                if expected != actual {
                    return Err(WriteError::Conflict { expected, actual });
                }
                *tail = Some(actual.plus(write.records.len() as u64));
            }
            Action::Delete => {
                *tail = None;
                pending.paths.insert(Arc::clone(live.path()), None);
            }
            Action::Create { .. } | Action::Trim { .. } | Action::Checkpoint { .. } => {}
        }
        Ok(live)
    }

    fn check_creation(
        &self,
        pending: &mut Pending,
        write: &Committed,
        path: &Arc<str>,
        tail: Offset,
    ) -> Result<Arc<Live>, WriteError> {
        let taken = match pending.paths.get(path) {
            Some(stream) => stream.is_some(),
            None => self.is_taken(path)?,
        };
        if taken || pending.tails.contains_key(&write.stream) {
            return Err(WriteError::Exists);
        }
        let live = Live::create(write.stream, path, tail);
        pending.paths.insert(Arc::clone(path), Some(write.stream));
        pending.tails.insert(write.stream, Some(tail.plus(write.records.len() as u64)));
        pending.created.insert(write.stream, Arc::clone(&live));
        Ok(live)
    }

    fn is_taken(&self, path: &str) -> Result<bool, WriteError> {
        match self.shared.table.find(path) {
            Known::Stream(_) => Ok(true),
            Known::Nothing => Ok(false),
            Known::Unknown => {
                let found = self.shared.index(|index| index.stream_at(path));
                found.map(|found| found.is_some()).map_err(|error| poisoned(&error))
            }
        }
    }

    fn live(&self, stream: StreamNo) -> Result<Arc<Live>, WriteError> {
        loop {
            if let Some(live) = self.shared.table.get(stream) {
                return Ok(live);
            }
            let evictions = self.shared.table.evictions();
            let head =
                self.shared.index(|index| index.head(stream)).map_err(|error| poisoned(&error))?;
            let head: Head = head.ok_or(WriteError::NoStream(stream))?.head(stream);
            if is_other(&self.shared.table.find(&head.path), stream) {
                return Err(WriteError::NoStream(stream));
            }
            if let Some(live) = self.shared.table.insert_loaded(&head, evictions) {
                return Ok(live);
            }
        }
    }

    fn make_durable(&mut self, accepted: &[Accepted]) -> Result<(), WriteError> {
        let shared = Arc::clone(&self.shared);
        let size = |one: &Accepted| 4 + one.job.head.len() + one.job.write.bytes();
        let bytes = 8 + accepted.iter().map(size).sum::<usize>();
        if !self.journal.has_room(bytes) {
            if !self.wait_for_room() {
                return Err(self.no_room());
            }
            self.rotate().map_err(|error| self.failed(&error))?;
        }
        let payload = accepted.iter().map(|one| one.job.write.bytes() as u64).sum();
        let _span =
            tracing::debug_span!("flush", writes = accepted.len(), bytes = payload).entered();
        let begun = Instant::now();
        let first = accepted.first().map_or(0, |one| one.first.0);
        let writes = u32::try_from(accepted.len()).unwrap_or(u32::MAX);
        let committed = self.journal.commit(writes, |body| {
            body.reserve(bytes);
            body.extend_from_slice(&first.to_le_bytes());
            for Accepted { job, .. } in accepted {
                commit::encode(&job.head, &job.write.records, body);
            }
        });
        match committed {
            Ok(()) => {
                note_flush(&shared.metrics, begun, accepted.len(), payload);
                Ok(())
            }
            Err(CommitError::Write(error)) => Err(self.failed(&error)),
            Err(CommitError::Sync(error)) => {
                shared.poison(&format!("the journal could not be synced: {error}"));
                Err(WriteError::Poisoned(shared.poison_reason().unwrap_or_default()))
            }
        }
    }

    /// A write to the journal failed before anything counted.
    fn failed(&self, error: &std::io::Error) -> WriteError {
        if disk::is_full(error) {
            return WriteError::Full;
        }
        self.shared.poison(&format!("the journal could not be written: {error}"));
        WriteError::Poisoned(self.shared.poison_reason().unwrap_or_default())
    }

    fn no_room(&self) -> WriteError {
        match self.shared.poison_reason() {
            Some(reason) => WriteError::Poisoned(reason),
            None => WriteError::Full,
        }
    }

    /// Waits until the compactor is not too far behind; `false` if it cannot go on.
    fn wait_for_room(&self) -> bool {
        let mut frozen = self.shared.frozen.lock();
        while frozen.generations.len() >= limits::GENERATIONS_MAX {
            if self.shared.is_full() || self.shared.poison_reason().is_some() {
                return false;
            }
            self.shared.thawed.wait(&mut frozen);
        }
        true
    }

    /// Goes on in a new segment, and hands the generation of the old one to the compactor.
    fn rotate(&mut self) -> std::io::Result<()> {
        let last_commit = self.journal.next_commit() - 1;
        self.journal.rotate()?;
        let fresh = Generation::new(self.journal.segment(), last_commit, self.position);
        let full = std::mem::replace(&mut self.generation, fresh);
        let mut frozen = self.shared.frozen.lock();
        frozen.generations.push_back(Arc::new(Generation { last_commit, ..full }));
        self.shared.thawed.notify_all();
        Ok(())
    }

    /// Shows a durable group to readers, then tells its writers.
    fn publish(&mut self, accepted: Vec<Accepted>, position: Position) {
        self.shared.commit.store(self.journal.next_commit() - 1, Ordering::SeqCst);
        let metrics = &self.shared.metrics;
        let (mut records, mut bytes) = (0, 0);
        let mut settled = Vec::with_capacity(accepted.len());
        metrics.group_writes.observe(f64::from(u32::try_from(accepted.len()).unwrap_or(u32::MAX)));
        {
            let mut order = self.shared.table.order.write();
            for Accepted { job, live, first } in &accepted {
                self.generation.note(&job.write, *first, live.path(), &mut order);
            }
        }
        for Accepted { job, live, first } in accepted {
            if matches!(job.write.action, Action::Create { .. }) {
                self.shared.table.create(&live);
            }
            let held = self.shared.table.apply(&live, &job.write, first);
            metrics.memtable_bytes.inc_by(held.taken as u64);
            metrics.memtable_bytes.dec_by(held.freed as u64);
            records += job.write.records.len() as u64;
            bytes += job.write.bytes() as u64;
            settled.push((job.settle, job.permit));
        }
        metrics.appends.inc_by(settled.len() as u64);
        metrics.records.inc_by(records);
        metrics.record_bytes.inc_by(bytes);
        metrics.queue_bytes.dec_by(bytes);
        metrics.journal_bytes.set(self.journal_bytes());
        if position != self.position {
            self.position = position;
            self.shared.position.send_replace(position);
        }
        for (settle, permit) in settled {
            drop(permit);
            // Nobody waits for a ticket that was dropped.
            let _ = settle.send(Ok(()));
        }
    }

    fn journal_bytes(&self) -> u64 {
        let frozen = self.shared.frozen.lock().generations.len() as u64;
        self.journal.used() + frozen * self.shared.folder.sizes.segment_bytes
    }
}

/// Counts a flush, and says so where it kept writers waiting.
fn note_flush(metrics: &Metrics, begun: Instant, writes: usize, bytes: u64) {
    let ended = Instant::now();
    let time = ended.duration_since(begun);
    metrics.flush_seconds.observe(time.as_secs_f64());
    metrics.flushes.note(Flush { ended, time, writes, bytes });
    if time >= limits::SLOW_FLUSH {
        metrics.slow_flushes.inc();
        tracing::warn!(took = ?time, writes, bytes, "a slow flush: is the disk busy or worn?");
    }
}

fn poisoned(error: &super::index::IndexError) -> WriteError {
    WriteError::Poisoned(Arc::from(error.to_string()))
}

/// Whether memory knows that a path is no longer this stream's, though the index says so.
pub(super) fn is_other(known: &Known, stream: StreamNo) -> bool {
    match known {
        Known::Stream(live) => live.stream() != stream,
        Known::Nothing => true,
        Known::Unknown => false,
    }
}
