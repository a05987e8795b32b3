//! Reading in commit order: from blocks, then from memory, across all streams.
//!
//! Invariant: no record that is kept is passed over, and where one is that is no longer kept, it is
//! said. Positions are given out without a gap, so a gap in the order is one of those.

use std::{collections::HashMap, sync::Arc};

use super::{
    block,
    frame::Kind,
    live::Live,
    read::{block_records, live, page_of},
    shared::Shared,
    table::Run,
};
use crate::{
    limits,
    store::{Entry, Offset, Ordered, PageLimit, Position, ReadError, Record, StreamNo},
};

type Result<T> = std::result::Result<T, ReadError>;

/// Records of all streams after a position, and the position reached.
pub(super) fn all(shared: &Shared, after: Position, limit: PageLimit) -> Result<Ordered> {
    let read = Ordered { reached: after, ..Ordered::default() };
    // A write enters the order before its stream, and is told of here when it is in both. What lies
    // beyond would be found in the order and not in its stream, and be passed over.
    let tail = *shared.position.borrow();
    let mut reading = All { shared, limit, tail, bytes: 0, read, blocks: Blocks::default() };
    loop {
        let next = Position(reading.read.reached.0 + 1);
        if next > tail {
            return Ok(reading.read);
        }
        // Memory is asked before the index: what leaves memory is in the index by then.
        let recent = recent_runs(shared, next, tail, limit);
        let begin = recent.first().map(|run| run.position);
        let in_blocks = begin.is_none_or(|begin| next < begin);
        let runs = if in_blocks { stretch(shared, next)? } else { None };
        let starts = |runs: &[Run]| runs.first().map(|run| run.position);
        let runs = runs.filter(|runs| begin.is_none_or(|begin| starts(runs) < Some(begin)));
        let Some(runs) = runs else {
            if recent.is_empty() {
                reading.gap(next, Position(tail.0 + 1));
            }
            reading.runs(&recent)?;
            return Ok(reading.read);
        };
        if !reading.runs(&runs)? {
            return Ok(reading.read);
        }
    }
}

/// Runs in memory that reach to a place or beyond it, and begin at `tail` or before it.
fn recent_runs(shared: &Shared, next: Position, tail: Position, limit: PageLimit) -> Vec<Run> {
    let order = shared.table.order.read();
    let begin = order.partition_point(|run| run.last_position() < next);
    let known = order.iter().skip(begin).take_while(|run| run.position <= tail);
    known.take(limit.records.max(1)).copied().collect()
}

/// The runs of the commit order in blocks that hold a position, or else the next ones after it.
fn stretch(shared: &Shared, next: Position) -> Result<Option<Vec<Run>>> {
    let Some((_, place)) = shared.index(|index| index.order_at(next))? else { return Ok(None) };
    let read = shared.files.read(place);
    let read = read.ok().filter(|(header, _)| header.kind == Kind::Order);
    let runs = read.and_then(|(_, body)| block::decode_order(&body));
    let runs = runs.filter(|runs| runs.last().is_some_and(|run| run.last_position() >= next));
    let damaged = || {
        let text = format!("the commit order is damaged behind position {next}; run salvage");
        ReadError::Unavailable(Arc::from(text))
    };
    runs.map(Some).ok_or_else(damaged)
}

/// A read in commit order under way.
struct All<'a> {
    shared: &'a Shared,
    limit: PageLimit,
    /// Where the read ends at the latest.
    tail: Position,
    bytes: usize,
    read: Ordered,
    blocks: Blocks,
}

/// The block of each stream that was read last. Runs are short and go from stream to stream, so
/// that the same blocks are asked for again and again.
#[derive(Default)]
struct Blocks(HashMap<StreamNo, Vec<Record>>);

impl Blocks {
    /// Up to `most` records from an offset on, of the block that holds it.
    fn records(
        &mut self,
        shared: &Shared,
        live: &Live,
        offset: Offset,
        most: usize,
    ) -> Result<Vec<Record>> {
        let stream = live.stream();
        if let Some(found) = self.0.get(&stream).and_then(|block| part(block, offset, most)) {
            return Ok(found);
        }
        let block = block_records(shared, live, offset)?;
        let found = part(&block, offset, most).unwrap_or_default();
        if self.0.len() >= limits::ORDER_BLOCKS_KEPT {
            self.0.clear();
        }
        self.0.insert(stream, block);
        Ok(found)
    }
}

/// Records of a block from an offset on, where it holds that.
fn part(block: &[Record], offset: Offset, most: usize) -> Option<Vec<Record>> {
    let begin = block.binary_search_by_key(&offset, |record| record.offset).ok()?;
    Some(block.iter().skip(begin).take(most).cloned().collect())
}

impl All<'_> {
    /// Adds what is kept of some runs; whether there is room for more.
    fn runs(&mut self, runs: &[Run]) -> Result<bool> {
        for run in runs {
            let next = Position(self.read.reached.0 + 1);
            if run.last_position() < next {
                continue;
            }
            self.gap(next, run.position.min(Position(self.tail.0 + 1)));
            if run.position > self.tail {
                self.read.reached = self.tail;
                return Ok(false);
            }
            if !self.run(run)? || self.read.removed.len() >= self.limit.records.max(1) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Positions are given out one after the other: where some are missing, the order has let go
    /// of records that are no longer kept.
    fn gap(&mut self, next: Position, begin: Position) {
        if next < begin {
            self.read.removed.insert(None, Position(begin.0 - 1));
        }
    }

    /// Adds what is kept of a run, as far as the tail; whether there is room for more.
    fn run(&mut self, run: &Run) -> Result<bool> {
        let last = run.last_position().min(self.tail);
        let Some(live) = live(self.shared, run.stream)? else {
            self.read.reached = last;
            return Ok(true);
        };
        let skipped = (self.read.reached.0 + 1).saturating_sub(run.position.0);
        let mut at = Offset(run.first.0 + skipped - 1);
        let end = Offset(run.first.0 + (last.0 - run.position.0));
        let position = |at: Offset| Position(run.position.0 + (at.0 - run.first.0));
        while at < end {
            let records = usize::try_from(end.0 - at.0).unwrap_or(usize::MAX);
            let limit = PageLimit { records, bytes: self.limit.bytes };
            let (shared, blocks) = (self.shared, &mut self.blocks);
            let block = |offset, most| blocks.records(shared, &live, offset, most);
            match page_of(&live, at, limit, block) {
                Ok(page) if page.records.is_empty() => break,
                Ok(page) => {
                    for record in page.records {
                        if self.is_full(&record) {
                            return Ok(false);
                        }
                        at = record.offset;
                        self.read.reached = position(at);
                        self.bytes += record.payload.len();
                        self.read.entries.push(Entry { stream: run.stream, record });
                    }
                }
                Err(ReadError::Trimmed { earliest }) => {
                    at = Offset(earliest.0 - 1).max(at.plus(1));
                    self.read.removed.insert(Some(run.stream), position(at.min(end)));
                }
                Err(ReadError::Lost { to, .. }) => at = to.max(at.plus(1)),
                Err(ReadError::NoStream(_)) => break,
                Err(error) => return Err(error),
            }
        }
        self.read.reached = last;
        Ok(true)
    }

    fn is_full(&self, next: &Record) -> bool {
        let records = self.read.entries.len() >= self.limit.records.max(1);
        let bytes = self.bytes + next.payload.len() > self.limit.bytes;
        !self.read.entries.is_empty() && (records || bytes)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tempfile::TempDir;

    use super::*;
    use crate::store::{Batch, Change, Permit, Store, Write, sled::SledStore};

    const ALL: PageLimit = PageLimit { records: 100, bytes: usize::MAX };

    /// A store with a stream of two records.
    async fn store(dir: &TempDir) -> (SledStore, StreamNo) {
        let store = SledStore::open(&dir.path().join("data"), Arc::default()).unwrap();
        let stream = store.allocate();
        let write = Write {
            stream,
            change: Change::Create { path: Arc::from("a"), tail: Offset::ZERO },
            records: ["one", "two"].map(Bytes::from).into_iter().collect::<Batch>(),
            timestamp_ms: 0,
            meta: Vec::new(),
            due_ms: None,
            permit: Permit::default(),
        };
        store.submit(write).settled().await.unwrap();
        (store, stream)
    }

    /// The state in the middle of publishing a group, which enters the order before its streams.
    #[tokio::test]
    async fn what_is_in_the_order_and_not_in_its_stream_yet_is_not_passed_over() {
        let dir = TempDir::new().unwrap();
        let (store, stream) = store(&dir).await;
        let more = [
            // The same stream: it grows the run that is there, as neighbours do.
            Run { position: Position(1), stream, first: Offset(1), count: 3 },
            Run { position: Position(4), stream: StreamNo(99), first: Offset(1), count: 1 },
        ];
        let mut order = store.shared.table.order.write();
        order.clear();
        order.extend(more);
        drop(order);
        for after in [0, 1, 2] {
            let read = all(&store.shared, Position(after), ALL).unwrap();
            assert_eq!(read.reached, Position(2), "after {after}");
            assert_eq!(read.entries.len() as u64, 2 - after);
            assert!(read.removed.is_empty(), "{:?}", read.removed);
        }
    }
}
