//! What must be in a store: everything that was acknowledged, nothing that was never written,
//! every batch whole.

use std::collections::{BTreeMap, BTreeSet};

use scrollback::store::{Offset, Ordered, PageLimit, Position, ReadError, Record, Store, StreamNo};

use crate::load::{Event, NAME, Written};

/// A stream as its writers reported it.
#[derive(Debug, Clone, Default)]
struct Stream {
    path: String,
    created: bool,
    /// Acknowledged records: the offset and the round that wrote it.
    records: BTreeMap<u64, u32>,
    noted: u64,
    checkpoint: Option<u64>,
    trimmed: u64,
    may_be_trimmed: u64,
    deleted: bool,
    may_be_deleted: bool,
}

/// Everything that was reported.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    seed: u64,
    streams: BTreeMap<u64, Stream>,
}

/// A record that a stream has, by stream and offset.
pub(crate) type Found = BTreeMap<(u64, u64), Position>;

const PAGE: PageLimit = PageLimit { records: 1_000, bytes: 1 << 20 };

macro_rules! ensure {
    ($holds:expr, $($text:tt)*) => {
        if !$holds {
            return Err(format!($($text)*));
        }
    };
}

impl Truth {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, streams: BTreeMap::new() }
    }

    /// Acknowledged records.
    pub(crate) fn records(&self) -> usize {
        self.streams.values().map(|stream| stream.records.len()).sum()
    }

    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::WillCreate { stream, path } => {
                self.stream(*stream).path.clone_from(path);
            }
            Event::Created { stream } => self.stream(*stream).created = true,
            Event::Appended(written) => {
                let round = written.round;
                let offsets = written.first..=written.last();
                self.stream(written.stream).records.extend(offsets.map(|offset| (offset, round)));
            }
            Event::Noted { stream, value } => self.stream(*stream).noted = *value,
            Event::WillTrim { stream, earliest } => self.stream(*stream).may_be_trimmed = *earliest,
            Event::Trimmed { stream, earliest } => {
                let stream = self.stream(*stream);
                stream.trimmed = *earliest;
                stream.records = stream.records.split_off(earliest);
            }
            Event::WillDelete { stream } => self.stream(*stream).may_be_deleted = true,
            Event::Deleted { stream } => {
                let stream = self.stream(*stream);
                stream.deleted = true;
                stream.records.clear();
            }
            Event::Checkpointed { stream, value } => self.stream(*stream).checkpoint = Some(*value),
        }
    }

    fn stream(&mut self, stream: u64) -> &mut Stream {
        self.streams.entry(stream).or_default()
    }

    /// Compares a store with what was reported. What is found becomes what is expected from now
    /// on: a write that was never acknowledged and yet is there once must not vanish later.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) async fn check(&mut self, store: &dyn Store) -> Result<Found, String> {
        let mut found = Found::new();
        let listed = store.list("", "", usize::MAX).await.map_err(|error| error.to_string())?;
        let numbers: BTreeSet<u64> = listed.iter().map(|head| head.stream.0).collect();
        for head in &listed {
            let known = self.streams.get(&head.stream.0);
            ensure!(
                known.is_some_and(|known| *known.path == *head.path),
                "stream {} at {} was never created",
                head.stream,
                head.path
            );
        }
        let seed = self.seed;
        for (number, stream) in &mut self.streams {
            if numbers.contains(number) {
                stream.check(seed, *number, store, &mut found).await?;
                stream.created = true;
                continue;
            }
            let may_be_gone = stream.may_be_deleted || !stream.created;
            ensure!(may_be_gone, "stream {number} at {} is gone", stream.path);
            if stream.created {
                (stream.deleted, stream.may_be_deleted) = (true, true);
                stream.records.clear();
            } else {
                // The number of a stream that was never created may be given out again.
                *stream = Stream::default();
            }
            let read = store.read(StreamNo(*number), Offset::ZERO, PAGE).await;
            let gone = matches!(read, Err(ReadError::NoStream(_)));
            ensure!(gone, "stream {number} is not listed and yet reads {read:?}");
        }
        Ok(found)
    }

    /// Walks the commit order after `after`: every found record with a later position stands in
    /// it once, in order. Answers with the position reached.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) async fn check_order(
        &self,
        store: &dyn Store,
        found: &Found,
        after: Position,
    ) -> Result<Position, String> {
        let mut expected: BTreeMap<Position, (u64, u64)> = BTreeMap::new();
        for (record, position) in found.iter().filter(|(_, position)| **position > after) {
            let other = expected.insert(*position, *record);
            ensure!(other.is_none(), "{record:?} and {other:?} share position {position}");
        }
        let mut at = after;
        let mut expected = expected.into_iter();
        loop {
            let read = store.read_all(at, PAGE).await;
            let Ordered { entries, reached, .. } =
                read.map_err(|error| format!("after {at}: {error}"))?;
            for entry in &entries {
                let here = (entry.record.position, (entry.stream.0, entry.record.offset.0));
                let next = expected.next();
                ensure!(next == Some(here), "the order has {here:?} where {next:?} comes next");
            }
            if reached == at {
                break;
            }
            at = reached;
        }
        let next = expected.next();
        ensure!(next.is_none(), "the commit order ends at {at}, before {next:?}");
        let end = *store.watch_all().borrow();
        ensure!(end >= at, "the last position is {end}, not {at}");
        Ok(at)
    }
}

impl Stream {
    async fn check(
        &mut self,
        seed: u64,
        number: u64,
        store: &dyn Store,
        found: &mut Found,
    ) -> Result<(), String> {
        let path = self.path.clone();
        ensure!(!self.deleted, "stream {number} at {path} was deleted and is back");
        let head = store.head(StreamNo(number)).await.map_err(|error| error.to_string())?;
        let Some(head) = head else { return Err(format!("stream {number} has no head")) };
        let (earliest, tail) = (head.earliest.0, head.tail.0);
        ensure!(
            earliest >= self.trimmed.max(1) && earliest <= self.may_be_trimmed.max(1),
            "{path} keeps records from {earliest} on, trimmed to {} or {}",
            self.trimmed,
            self.may_be_trimmed
        );
        let acknowledged = self.records.last_key_value().map_or(0, |(last, _)| *last);
        ensure!(tail >= acknowledged, "{path} ends at {tail}, {acknowledged} was acknowledged");
        let note = head.meta.get(NAME).and_then(|value| value.first_chunk());
        let note = note.map_or(0, |value| u64::from_le_bytes(*value));
        ensure!(
            note >= self.noted && note <= tail,
            "{path} has note {note}, {} was acknowledged",
            self.noted
        );
        self.noted = note;
        let saved = store.checkpoint(StreamNo(number), NAME).await;
        let saved = saved.map_err(|error| error.to_string())?;
        let saved = saved.and_then(|state| state.first_chunk().map(|n| u64::from_le_bytes(*n)));
        ensure!(
            saved >= self.checkpoint,
            "{path} has checkpoint {saved:?}, not {:?}",
            self.checkpoint
        );
        self.checkpoint = saved;
        (self.trimmed, self.may_be_trimmed) = (earliest, earliest);
        self.records = self.records.split_off(&earliest);
        let mut at = earliest - 1;
        while at < tail {
            let read = store.read(StreamNo(number), Offset(at), PAGE).await;
            let page = read.map_err(|error| format!("{path} after {at}: {error}"))?;
            ensure!(!page.records.is_empty(), "{path} has nothing after {at}, its tail is {tail}");
            for record in page.records {
                at += 1;
                ensure!(record.offset.0 == at, "{path} has {} where {at} is next", record.offset);
                self.check_record(seed, number, tail, &record)?;
                self.records.entry(at).or_insert_with(|| round_of(&record));
                found.insert((number, at), record.position);
            }
        }
        Ok(())
    }

    fn check_record(
        &self,
        seed: u64,
        number: u64,
        tail: u64,
        record: &Record,
    ) -> Result<(), String> {
        let (path, at) = (&self.path, record.offset.0);
        let Some(written) = Written::read(number, &record.payload) else {
            return Err(format!("{path} has no record of ours at {at}"));
        };
        let expected = written.payload(seed, at);
        ensure!(record.payload == expected, "{path} has wrong bytes at {at}");
        let inside = (written.first..=written.last()).contains(&at);
        ensure!(inside, "{path}: record {at} belongs to {written:?}");
        ensure!(written.last() <= tail, "{path}: only a part of {written:?} is there");
        let round = self.records.get(&at).copied();
        ensure!(
            round.is_none_or(|round| round == written.round),
            "{path}: record {at} is of round {}, {round:?} was acknowledged",
            written.round
        );
        Ok(())
    }
}

fn round_of(record: &Record) -> u32 {
    Written::read(0, &record.payload).map_or(0, |written| written.round)
}
