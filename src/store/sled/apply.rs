//! From a round of frames to the index. The same steps follow a compaction, catch the index up
//! on opening, and build it anew from nothing; applying a round twice changes nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    block::StoredHead,
    files::Place,
    index::{self, Index, IndexError, head_value},
    key::{self, BlockEntry, FileMark},
};
use crate::store::{Offset, Position, StreamNo};

/// A frame of a round, as the index sees it.
#[derive(Debug, Clone)]
pub(super) enum Framed {
    /// A run of records.
    Records { stream: StreamNo, entry: BlockEntry },
    /// A head, or the end of a stream.
    Head { stream: StreamNo, head: StoredHead, place: Place },
    /// A stretch of the commit order.
    Order { first: Position, last: Position, place: Place },
    /// A projection's state.
    Checkpoint { stream: StreamNo, name: String, place: Place },
}

/// A whole round.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) file: u32,
    /// Where it ends in its file.
    pub(super) end: u64,
    pub(super) commit: u64,
    pub(super) position: u64,
    pub(super) last_stream: u64,
    pub(super) frames: Vec<Framed>,
}

/// The path of a stream whose own is lost.
pub(super) fn nameless(stream: StreamNo) -> Arc<str> {
    Arc::from(format!("recovered/{stream}"))
}

type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Collects what a round changes; see [`apply`].
struct Applying<'a> {
    index: &'a Index,
    heads: BTreeMap<StreamNo, Option<StoredHead>>,
    live: HashMap<u32, i64>,
    streams: Changes,
    blocks: Changes,
    order: Changes,
    expiry: Changes,
    checkpoints: Changes,
}

/// Applies a round. The mark of its file moves last: a crash in between applies it again.
pub(super) fn apply(index: &Index, round: &Round) -> Result<(), IndexError> {
    let mut applying = Applying {
        index,
        heads: BTreeMap::new(),
        live: HashMap::new(),
        streams: Vec::new(),
        blocks: Vec::new(),
        order: Vec::new(),
        expiry: Vec::new(),
        checkpoints: Vec::new(),
    };
    for frame in &round.frames {
        applying.frame(frame)?;
    }
    applying.finish(round)
}

impl Applying<'_> {
    fn frame(&mut self, frame: &Framed) -> Result<(), IndexError> {
        match frame {
            Framed::Records { stream, entry } => self.records(*stream, entry),
            Framed::Head { stream, head, place } => self.head(*stream, head, *place),
            Framed::Order { first, last, place } => {
                let found = key::position(*first).to_vec();
                self.refer(index::place_of(&self.index.order, &found)?, *place);
                let mut value = key::place(*place);
                value.extend_from_slice(&last.0.to_be_bytes());
                self.order.push((found, Some(value)));
                Ok(())
            }
            Framed::Checkpoint { stream, name, place } => {
                let found = key::checkpoint(*stream, name);
                self.refer(index::place_of(&self.index.checkpoints, &found)?, *place);
                self.checkpoints.push((found, Some(key::place(*place))));
                Ok(())
            }
        }
    }

    /// The head as this round has it so far.
    fn known(&mut self, stream: StreamNo) -> Result<Option<StoredHead>, IndexError> {
        match self.heads.get(&stream) {
            Some(head) => Ok(head.clone()),
            None => self.index.head(stream),
        }
    }

    fn records(&mut self, stream: StreamNo, entry: &BlockEntry) -> Result<(), IndexError> {
        let found = key::pair(stream.0, entry.first.0).to_vec();
        self.refer(index::place_of(&self.index.blocks, &found)?, entry.place);
        self.blocks.push((found, Some(entry.encode())));
        let head = self.known(stream)?;
        let mut head = match head {
            Some(head) => head,
            // Its head was in a damaged frame. The records are worth more than the name.
            None => self.nameless(stream),
        };
        head.tail = head.tail.max(entry.last().0);
        head.last_timestamp_ms = head.last_timestamp_ms.max(entry.last_timestamp_ms);
        self.heads.insert(stream, Some(head));
        Ok(())
    }

    fn nameless(&mut self, stream: StreamNo) -> StoredHead {
        let path = nameless(stream);
        let number = key::stream(stream).to_vec();
        self.streams.push((path.as_bytes().to_vec(), Some(number)));
        StoredHead {
            path,
            tail: 0,
            earliest: 1,
            last_timestamp_ms: 0,
            due_ms: 0,
            meta: BTreeMap::new(),
            deleted: false,
            file: 0,
            len: 0,
        }
    }

    fn head(
        &mut self,
        stream: StreamNo,
        head: &StoredHead,
        place: Place,
    ) -> Result<(), IndexError> {
        let known = self.known(stream)?;
        if let Some(known) = &known {
            *self.live.entry(known.file).or_default() -= i64::from(known.len);
            if known.due_ms != head.due_ms || head.deleted {
                self.expiry.push((key::pair(known.due_ms, stream.0).to_vec(), None));
            }
            if known.path != head.path || head.deleted {
                self.free_path(&known.path, stream)?;
            }
        }
        if head.deleted {
            self.remove_blocks(stream, Offset(u64::MAX))?;
            self.remove_checkpoints(stream)?;
            self.heads.insert(stream, None);
            return Ok(());
        }
        let known_tail = known.as_ref().map_or(0, |known| known.tail);
        let known_earliest = known.as_ref().map_or(0, |known| known.earliest);
        if head.earliest > known_earliest {
            self.remove_blocks(stream, Offset(head.earliest))?;
        }
        if head.due_ms != 0 {
            self.expiry.push((key::pair(head.due_ms, stream.0).to_vec(), Some(Vec::new())));
        }
        let number = key::stream(stream).to_vec();
        self.streams.push((head.path.as_bytes().to_vec(), Some(number)));
        *self.live.entry(place.file).or_default() += i64::from(place.len);
        let head = StoredHead {
            tail: head.tail.max(known_tail),
            earliest: head.earliest.max(known_earliest),
            file: place.file,
            len: place.len,
            ..head.clone()
        };
        self.heads.insert(stream, Some(head));
        Ok(())
    }

    /// Frees a path, unless another stream has it by now.
    fn free_path(&mut self, path: &str, stream: StreamNo) -> Result<(), IndexError> {
        let taken = self.streams.iter().rev().find(|(found, _)| found == path.as_bytes());
        let owner = match taken {
            Some((_, value)) => value.as_deref().and_then(key::number).map(StreamNo),
            None => self.index.stream_at(path)?,
        };
        if owner == Some(stream) {
            self.streams.push((path.as_bytes().to_vec(), None));
        }
        Ok(())
    }

    /// Removes the blocks that end before `earliest`.
    fn remove_blocks(&mut self, stream: StreamNo, earliest: Offset) -> Result<(), IndexError> {
        let mut from = Offset::ZERO;
        loop {
            let entries = self.index.blocks_from(stream, from, 1_000)?;
            let done = entries.len() < 1_000;
            for entry in entries {
                if entry.last() >= earliest {
                    return Ok(());
                }
                *self.live.entry(entry.place.file).or_default() -= i64::from(entry.place.len);
                self.blocks.push((key::pair(stream.0, entry.first.0).to_vec(), None));
                from = entry.last().plus(1);
            }
            if done {
                return Ok(());
            }
        }
    }

    fn remove_checkpoints(&mut self, stream: StreamNo) -> Result<(), IndexError> {
        for found in self.index.checkpoint_keys(stream)? {
            if let Some(place) = index::place_of(&self.index.checkpoints, &found)? {
                *self.live.entry(place.file).or_default() -= i64::from(place.len);
            }
            self.checkpoints.push((found, None));
        }
        Ok(())
    }

    /// An entry refers to another place from now on.
    fn refer(&mut self, before: Option<Place>, now: Place) {
        if before == Some(now) {
            return;
        }
        if let Some(before) = before {
            *self.live.entry(before.file).or_default() -= i64::from(before.len);
        }
        *self.live.entry(now.file).or_default() += i64::from(now.len);
    }

    fn finish(self, round: &Round) -> Result<(), IndexError> {
        let index = self.index;
        index::change(&index.blocks, self.blocks)?;
        index::change(&index.order, self.order)?;
        index::change(&index.checkpoints, self.checkpoints)?;
        index::change(&index.streams, self.streams)?;
        index::change(&index.expiry, self.expiry)?;
        let heads = self
            .heads
            .iter()
            .map(|(stream, head)| (key::stream(*stream).to_vec(), head.as_ref().map(head_value)));
        index::change(&index.heads, heads)?;
        let numbers =
            [("commit", round.commit), ("position", round.position), ("stream", round.last_stream)];
        for (name, number) in numbers {
            let number = number.max(index.number(name)?);
            let change = (name.as_bytes().to_vec(), Some(number.to_be_bytes().to_vec()));
            index::change(&index.state, [change])?;
        }
        let mut marks = Vec::new();
        let mut live = self.live;
        live.entry(round.file).or_default();
        for (file, moved) in live.into_iter().filter(|(file, _)| *file != 0) {
            let mark = index.file_mark(file)?;
            let indexed =
                if file == round.file { mark.indexed.max(round.end) } else { mark.indexed };
            let live = mark.live.saturating_add_signed(moved);
            let mark = FileMark { indexed, live };
            marks.push((file.to_be_bytes().to_vec(), Some(mark.encode())));
        }
        index::change(&index.files, marks)
    }
}
