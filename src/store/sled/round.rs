//! A round on its way into a block file: which frames it has, where each will be, and how the
//! index learns of them. It refuses to know when a round is wanted.
//!
//! Invariant: nothing refers to a frame before its round is synced.

use std::{io, sync::Arc};

use bytes::Bytes;

use super::{
    apply::{self, Framed, Round},
    block::{self, RoundEnd, StoredCheckpoint, StoredHead},
    disk,
    files::{Place, RoundWriter},
    frame::{Kind, Packing},
    generation::{Generation, Touched},
    index::IndexError,
    key::BlockEntry,
    live::Live,
    read,
    shared::Shared,
    table::Run,
};
use crate::{
    limits,
    store::{Offset, Position, Record, StreamNo},
};

/// Why a round did not take place.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoundError {
    #[error("block file: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl RoundError {
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Io(error) => disk::is_full(error),
            Self::Index(_) => false,
        }
    }
}

/// A round that is being written.
pub(super) struct Building<'a> {
    shared: &'a Shared,
    pub(super) writer: RoundWriter,
    frames: Vec<Framed>,
    /// Streams whose change of head is in this round.
    changed: Vec<Arc<Live>>,
    /// Checkpoints that are in this round.
    saved: Vec<(Arc<Live>, String, Bytes)>,
    commit: u64,
    position: Position,
}

impl<'a> Building<'a> {
    /// Begins a round at the end of the last block file, or in a new one.
    pub(super) fn begin(shared: &'a Shared) -> Result<Self, RoundError> {
        disk::check_headroom(&shared.folder.blocks(), limits::DISK_HEADROOM_BYTES)?;
        let max = shared.folder.sizes.block_file_bytes;
        let last = shared.files.numbers().last().copied();
        let mut current = None;
        if let Some(number) = last {
            let mark = shared.index(|index| index.file_mark(number))?;
            let sparse = mark.indexed >= max / 8 && mark.live < mark.indexed / 2;
            if mark.indexed < max && !sparse {
                // What a failed round left behind the mark goes; a file that was cut is not
                // written to any more.
                let file = shared
                    .files
                    .get(number)
                    .filter(|file| file.len().is_ok_and(|len| len >= mark.indexed));
                current = file.map(|file| (number, file, mark.indexed));
            }
        }
        let (number, file, begin) = match current {
            Some((number, file, begin)) => {
                file.set_len(begin)?;
                (number, file, begin)
            }
            None => {
                let (number, file) = shared.files.create()?;
                (number, file, 0)
            }
        };
        // Under a load that the compactor cannot follow, writers are worth more than bytes.
        let behind = shared.frozen.lock().generations.len() > 1;
        let packing = if behind { Packing::None } else { Packing::Lz4 };
        Ok(Self {
            shared,
            writer: RoundWriter::new(number, file, begin, packing),
            frames: Vec::new(),
            changed: Vec::new(),
            saved: Vec::new(),
            commit: 0,
            position: Position(0),
        })
    }

    pub(super) fn generation(&mut self, generation: &Generation) -> Result<(), RoundError> {
        let mut streams: Vec<_> = generation.dirty.iter().collect();
        streams.sort_unstable_by_key(|(stream, _)| **stream);
        for (stream, touched) in streams {
            self.stream(*stream, touched)?;
        }
        let runs: Vec<Run> = {
            let order = self.shared.table.order.read();
            let ended = order.iter().take_while(|run| run.position <= generation.last_position);
            ended.copied().collect()
        };
        for runs in runs.chunks(limits::ORDER_RUNS_MAX) {
            self.order(runs)?;
        }
        Ok(())
    }

    fn stream(&mut self, stream: StreamNo, touched: &Touched) -> Result<(), RoundError> {
        let live = self.shared.table.get(stream);
        let Some(live) = live.filter(|_| touched.deleted.is_none()) else {
            // Deleted, in this generation or a later one. Its records need no blocks; the index
            // forgets it where it knows it.
            return self.tombstone(stream);
        };
        let (records, head, tail, checkpoints) = {
            let mut state = live.lock();
            let mut records = state.until(touched.tail);
            records.retain(|record| record.offset >= state.earliest);
            let in_blocks = state.recent_after();
            // IMPORTANT: where the last records need no block, nothing but the head says that they
            // were there, and their offsets must not be given out again.
            let written = records.last().map_or(in_blocks, |record| record.offset);
            let changed = std::mem::take(&mut state.head_changed) || written < touched.tail;
            // IMPORTANT: they stay until the index knows them; so far memory is where they are found.
            (records, changed, touched.tail.max(in_blocks), state.checkpoints.clone())
        };
        if head {
            self.changed.push(Arc::clone(&live));
            let head = StoredHead { tail: tail.0, ..StoredHead::of(&live.head(), false) };
            self.head(stream, head)?;
        }
        self.records(stream, records)?;
        for (name, state) in checkpoints {
            self.checkpoint(stream, name.clone(), &state)?;
            self.saved.push((Arc::clone(&live), name, state));
        }
        Ok(())
    }

    fn tombstone(&mut self, stream: StreamNo) -> Result<(), RoundError> {
        let Some(known) = self.shared.index(|index| index.head(stream))? else { return Ok(()) };
        self.head(stream, StoredHead { deleted: true, file: 0, len: 0, ..known })
    }

    /// Adds a head, or with `deleted` the end of a stream.
    pub(super) fn head(&mut self, stream: StreamNo, head: StoredHead) -> Result<(), RoundError> {
        let numbers = (stream.0, head.tail, 0);
        let place = self.writer.add(Kind::Head, numbers, &block::encode(&head))?;
        self.frames.push(Framed::Head { stream, head, place });
        Ok(())
    }

    /// Cuts records into blocks. The stream's last block is written again with what follows it
    /// while it is small.
    fn records(&mut self, stream: StreamNo, mut records: Vec<Record>) -> Result<(), RoundError> {
        let bytes: usize = records.iter().map(|record| record.payload.len()).sum();
        let small = records.first().filter(|_| bytes < limits::BLOCK_MERGE_BELOW_BYTES);
        let before = small.map(|first| self.small_block_before(stream, first.offset));
        if let Some(mut merged) = before.transpose()?.flatten() {
            merged.append(&mut records);
            records = merged;
        }
        let mut from = 0;
        while from < records.len() {
            let mut size = 0;
            let rest = records.get(from..).unwrap_or_default();
            let begin = rest.first().map_or(Offset::ZERO, |record| record.offset);
            let fits = rest.iter().zip(0..).take_while(|(record, index)| {
                let first = size == 0;
                size += record.payload.len().max(1);
                record.offset == begin.plus(*index) && (first || size <= limits::BLOCK_BYTES)
            });
            let count = fits.count();
            self.block(stream, rest.get(..count).unwrap_or_default())?;
            from += count;
        }
        Ok(())
    }

    fn small_block_before(
        &self,
        stream: StreamNo,
        first: Offset,
    ) -> Result<Option<Vec<Record>>, RoundError> {
        let before = Offset(first.0.saturating_sub(1));
        let entry = self.shared.index(|index| index.block_before(stream, before))?;
        let small = entry.filter(|entry| {
            let len = entry.place.len as usize;
            entry.last() == before && len < limits::BLOCK_MERGE_BELOW_BYTES
        });
        let Some(entry) = small else { return Ok(None) };
        // A block that cannot be read stays where it is; reading it says what is wrong with it.
        Ok(read::read_block(self.shared, stream, &entry).ok())
    }

    fn block(&mut self, stream: StreamNo, records: &[Record]) -> Result<(), RoundError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        let numbers = (stream.0, first.offset.0, count);
        let place = self.writer.add(Kind::Records, numbers, &block::encode_records(records))?;
        let last_timestamp_ms = last.timestamp_ms;
        let entry = BlockEntry { first: first.offset, count, last_timestamp_ms, place };
        self.frames.push(Framed::Records { stream, entry });
        Ok(())
    }

    fn order(&mut self, runs: &[Run]) -> Result<(), RoundError> {
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Ok(()) };
        let (first, last) = (first.position, last.last_position());
        let count = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        let body = block::encode_order(runs);
        let place = self.writer.add(Kind::Order, (first.0, last.0, count), &body)?;
        self.frames.push(Framed::Order { first, last, place });
        Ok(())
    }

    fn checkpoint(
        &mut self,
        stream: StreamNo,
        name: String,
        state: &Bytes,
    ) -> Result<(), RoundError> {
        let body = block::encode(&StoredCheckpoint { name: name.clone(), state: state.clone() });
        let place = self.writer.add(Kind::Checkpoint, (stream.0, 0, 0), &body)?;
        self.frames.push(Framed::Checkpoint { stream, name, place });
        Ok(())
    }

    /// Adds a frame as it was read from another file.
    pub(super) fn copy(
        &mut self,
        kind: Kind,
        numbers: (u64, u64, u32),
        body: &[u8],
        frame: impl FnOnce(Place) -> Framed,
    ) -> Result<(), RoundError> {
        let place = self.writer.add(kind, numbers, body)?;
        self.frames.push(frame(place));
        Ok(())
    }

    /// Whether nothing was added so far.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Ends the round: it is on the disk and counts from here on.
    pub(super) fn end(&mut self, commit: u64, position: Position) -> Result<(), RoundError> {
        let last_stream = self.shared.last_stream.load(std::sync::atomic::Ordering::SeqCst);
        let body = block::encode(&RoundEnd { last_stream });
        self.writer.add(Kind::Round, (commit, position.0, 0), &body)?;
        self.writer.sync()?;
        (self.commit, self.position) = (commit, position);
        Ok(())
    }

    /// Brings the round into the index.
    pub(super) fn tell_index(&mut self) -> Result<(), RoundError> {
        let shared = self.shared;
        let round = Round {
            file: self.writer.number(),
            end: self.writer.end(),
            commit: self.commit,
            position: self.position.0,
            last_stream: shared.last_stream.load(std::sync::atomic::Ordering::SeqCst),
            frames: std::mem::take(&mut self.frames),
        };
        shared.index(|index| {
            apply::apply(index, &round)?;
            index.flush(&shared.index_folder())
        })?;
        for (live, name, saved) in &self.saved {
            let mut state = live.lock();
            // A newer one waits for its own round.
            if state.checkpoints.get(name).is_some_and(|now| now.as_ptr() == saved.as_ptr()) {
                state.checkpoints.remove(name);
            }
        }
        Ok(())
    }

    /// Takes the round back, after an error.
    pub(super) fn undo(&self) -> Result<(), RoundError> {
        for live in &self.changed {
            live.lock().head_changed = true;
        }
        Ok(self.writer.undo()?)
    }
}
