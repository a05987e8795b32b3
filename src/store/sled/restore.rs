//! The journal on its way back into memory: each commit is taken in as the writer once did.
//!
//! In salvage, what a damaged commit says of itself is believed where it fits: the records it
//! held leave a gap and keep their offsets.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use super::{
    apply,
    commit::{Action, Committed},
    files::BlockFiles,
    folder::Folder,
    generation::Generation,
    index::{Index, IndexError},
    live::Live,
    recover::{Mode, Recovered},
    replay::{self, ReadCommit},
    table::{Known, Table},
    writer,
};
use crate::store::{Offset, OpenError, Position, StreamNo};

/// The journal on its way back into memory.
struct Replaying {
    recovered: Recovered,
    generation: Option<Generation>,
    lenient: bool,
    /// Streams that a damaged commit says it deleted. That alone is not believed.
    doubtful: HashSet<StreamNo>,
    /// The first thing that does not fit.
    misfit: Option<String>,
    failed: Option<IndexError>,
}

/// Reads the journal back over what the index and the block files hold.
pub(super) fn restore(
    index: Index,
    files: BlockFiles,
    damage: Vec<String>,
    folder: &Folder,
    mode: Mode,
) -> Result<Recovered, OpenError> {
    Replaying::new(index, files, damage).run(folder, mode)
}

impl Replaying {
    fn new(index: Index, files: BlockFiles, damage: Vec<String>) -> Self {
        let recovered = Recovered {
            index,
            files,
            table: Table::default(),
            generations: VecDeque::new(),
            next_commit: 1,
            next_segment: 1,
            position: Position(0),
            last_stream: 0,
            memory_bytes: 0,
            damage,
        };
        Self {
            recovered,
            generation: None,
            lenient: false,
            doubtful: HashSet::new(),
            misfit: None,
            failed: None,
        }
    }

    fn run(mut self, folder: &Folder, mode: Mode) -> Result<Recovered, OpenError> {
        let index = |error: IndexError| OpenError::Index(error.to_string());
        let after = self.recovered.index.number("commit").map_err(index)?;
        self.recovered.position = Position(self.recovered.index.number("position").map_err(index)?);
        self.recovered.last_stream = self.recovered.index.number("stream").map_err(index)?;
        let journal = folder.journal();
        let lenient = mode == Mode::Salvage;
        self.lenient = lenient;
        let replayed = replay::replay(&journal, after, lenient, &mut |read| self.commit(read))?;
        self.freeze();
        if let Some(error) = self.failed {
            return Err(index(error));
        }
        if let (Some(reason), false) = (self.misfit.as_ref(), lenient) {
            return Err(OpenError::Damaged { path: journal, at: 0, reason: reason.clone() });
        }
        self.recovered.damage.extend(self.misfit.take());
        self.recovered.damage.extend(replayed.damage);
        self.recovered.next_commit = replayed.next_commit;
        self.recovered.next_segment = replayed.last_segment + 1;
        Ok(self.recovered)
    }

    fn commit(&mut self, read: ReadCommit) {
        let ReadCommit { segment, commit, first, writes, lost } = read;
        if self.generation.as_ref().is_some_and(|generation| generation.segment != segment) {
            self.freeze();
        }
        let position = self.recovered.position;
        let generation =
            self.generation.get_or_insert_with(|| Generation::new(segment, commit, position));
        generation.last_commit = commit;
        // Of a damaged commit only what fits is believed.
        let mut position = if lost { Position(position.0 + 1) } else { first };
        for write in writes {
            let count = write.records.len() as u64;
            let written =
                if lost { self.lost(&write, position) } else { self.write(&write, position) };
            if let Err(error) = written {
                self.failed.get_or_insert(error);
            }
            position.0 += count;
        }
        self.recovered.position = self.recovered.position.max(Position(position.0 - 1));
    }

    fn write(&mut self, write: &Committed, first: Position) -> Result<(), IndexError> {
        self.recovered.last_stream = self.recovered.last_stream.max(write.stream.0);
        let known = self.live(write.stream)?;
        let live = match (&write.action, known) {
            (_, Some(live)) => live,
            (Action::Create { path, tail }, None) => {
                if self.lenient {
                    self.make_way(path)?;
                }
                let live = Live::create(write.stream, path, Offset(*tail));
                self.recovered.table.create(&live);
                live
            }
            // Its creation is lost. The records are worth more than the name.
            (Action::Append { .. }, None) if self.lenient => {
                let path = apply::nameless(write.stream);
                let live = Live::create(write.stream, &path, Offset::ZERO);
                self.recovered.table.create(&live);
                live
            }
            // The stream was deleted later on, and a compaction of what came before it knew.
            (_, None) => return Ok(()),
        };
        if let Some(after) = write.begins_after() {
            let tail = live.lock().tail;
            if after > tail {
                let stream = live.path();
                self.misfit.get_or_insert_with(|| {
                    format!("stream {stream}: records {} to {after} are missing", tail.plus(1))
                });
                live.lock().skip_to(after);
            }
        }
        let Some(generation) = &mut self.generation else { return Ok(()) };
        let mut order = self.recovered.table.order.write();
        generation.note(write, first, live.path(), &mut order);
        drop(order);
        let held = self.recovered.table.apply(&live, write, first);
        self.recovered.memory_bytes += held.taken;
        self.recovered.memory_bytes -= held.freed;
        Ok(())
    }

    /// A write of a damaged commit: its records leave a gap, so that their offsets are neither
    /// read nor given out again.
    fn lost(&mut self, write: &Committed, first: Position) -> Result<(), IndexError> {
        if write.action == Action::Delete {
            self.doubtful.insert(write.stream);
        }
        let Some(after) = write.begins_after() else { return Ok(()) };
        let live = match (&write.action, self.live(write.stream)?) {
            (_, Some(live)) => live,
            (Action::Create { path, .. }, None) => {
                let mut holder = self.holder(path)?;
                // Said twice: deleted, and its path given to another.
                if holder.as_ref().is_some_and(|live| self.doubtful.contains(&live.stream())) {
                    self.make_way(path)?;
                    holder = None;
                }
                let is_free = holder.is_none();
                let path = if is_free { Arc::clone(path) } else { apply::nameless(write.stream) };
                let live = Live::create(write.stream, &path, after);
                self.recovered.table.create(&live);
                live
            }
            (_, None) => return Ok(()),
        };
        if live.lock().tail != after {
            return Ok(());
        }
        self.recovered.last_stream = self.recovered.last_stream.max(write.stream.0);
        live.lock().skip_to(after.plus(write.records.len() as u64));
        let Some(generation) = &mut self.generation else { return Ok(()) };
        let mut order = self.recovered.table.order.write();
        generation.note(write, first, live.path(), &mut order);
        Ok(())
    }

    /// The stream that has a path.
    fn holder(&self, path: &str) -> Result<Option<Arc<Live>>, IndexError> {
        match self.recovered.table.find(path) {
            Known::Stream(live) => Ok(Some(live)),
            Known::Nothing => Ok(None),
            Known::Unknown => match self.recovered.index.stream_at(path)? {
                Some(stream) => self.live(stream),
                None => Ok(None),
            },
        }
    }

    /// Deletes the stream at a path that another is created at: its deletion must be in a commit
    /// that is lost.
    fn make_way(&mut self, path: &str) -> Result<(), IndexError> {
        let Some(live) = self.holder(path)? else { return Ok(()) };
        let write = Committed::deletion(live.stream());
        let Some(generation) = &mut self.generation else { return Ok(()) };
        let mut order = self.recovered.table.order.write();
        generation.note(&write, Position(0), live.path(), &mut order);
        drop(order);
        let held = self.recovered.table.apply(&live, &write, Position(0));
        self.recovered.memory_bytes -= held.freed;
        Ok(())
    }

    fn live(&self, stream: StreamNo) -> Result<Option<Arc<Live>>, IndexError> {
        let table = &self.recovered.table;
        if let Some(live) = table.get(stream) {
            return Ok(Some(live));
        }
        let Some(head) = self.recovered.index.head(stream)? else { return Ok(None) };
        let head = head.head(stream);
        if writer::is_other(&table.find(&head.path), stream) {
            return Ok(None);
        }
        Ok(table.insert_loaded(&head, table.evictions()).or_else(|| match table.find(&head.path) {
            Known::Stream(live) => Some(live),
            Known::Nothing | Known::Unknown => None,
        }))
    }

    fn freeze(&mut self) {
        if let Some(generation) = self.generation.take() {
            self.recovered.generations.push_back(Arc::new(generation));
        }
    }
}
