//! Reading: from memory where it is there, else from blocks, off the async threads.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    block::{self, StoredCheckpoint},
    frame::{Header, Kind},
    key::BlockEntry,
    live::Live,
    shared::Shared,
    table::Known,
    writer,
};
use crate::store::{Head, Listed, Offset, Page, PageLimit, ReadError, Record, StreamNo};

type Result<T> = std::result::Result<T, ReadError>;

/// Runs a blocking read on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    read: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
) -> Result<T> {
    let shared = Arc::clone(shared);
    match tokio::task::spawn_blocking(move || read(&shared)).await {
        Ok(result) => result,
        Err(error) => Err(ReadError::Unavailable(Arc::from(error.to_string()))),
    }
}

/// The stream with this number, loaded from the index where it is not in memory.
pub(super) fn live(shared: &Shared, stream: StreamNo) -> Result<Option<Arc<Live>>> {
    loop {
        if let Some(live) = shared.table.get(stream) {
            return Ok(Some(live));
        }
        let evictions = shared.table.evictions();
        let Some(head) = shared.index(|index| index.head(stream))? else { return Ok(None) };
        let head = head.head(stream);
        if writer::is_other(&shared.table.find(&head.path), stream) {
            return Ok(None);
        }
        if let Some(live) = shared.table.insert_loaded(&head, evictions) {
            return Ok(Some(live));
        }
    }
}

/// The stream at a path.
pub(super) fn find(shared: &Shared, path: &str) -> Result<Option<Arc<Live>>> {
    match shared.table.find(path) {
        Known::Stream(live) => Ok(Some(live)),
        Known::Nothing => Ok(None),
        Known::Unknown => match shared.index(|index| index.stream_at(path))? {
            Some(stream) => live(shared, stream),
            None => Ok(None),
        },
    }
}

/// Streams by path: what the index knows, with what memory knows better laid over it.
pub(super) fn list(
    shared: &Shared,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Listed>> {
    let mut found: BTreeMap<Arc<str>, Option<Arc<Head>>> = shared
        .table
        .paths(prefix)
        .into_iter()
        .filter(|(path, _)| after.is_empty() || **path > *after)
        .map(|(path, live)| (path, live.map(|live| Arc::new(live.head()))))
        .collect();
    let mut from = after.to_owned();
    loop {
        let indexed = shared.index(|index| index.paths(prefix, &from, limit))?;
        let ended = indexed.len() < limit;
        for (path, stream) in indexed {
            from = path.to_string();
            if let Entry::Vacant(vacant) = found.entry(path) {
                let head = shared.index(|index| index.head(stream))?;
                vacant.insert(head.map(|head| Arc::new(head.head(stream))));
            }
        }
        // Only up to here is the picture whole.
        let certain = found.iter().filter(|(path, _)| ended || ***path <= *from);
        let heads: Vec<_> = certain.filter_map(|(_, head)| head.clone()).take(limit).collect();
        if ended || heads.len() == limit {
            return Ok(heads);
        }
    }
}

/// One page of a stream's records.
pub(super) fn page(shared: &Shared, live: &Live, after: Offset, limit: PageLimit) -> Result<Page> {
    page_of(live, after, limit, |offset, _| block_records(shared, live, offset))
}

/// The same, where `block` answers with records of the block that holds an offset, and may leave
/// out those before it and those beyond a number.
pub(super) fn page_of(
    live: &Live,
    after: Offset,
    limit: PageLimit,
    mut block: impl FnMut(Offset, usize) -> Result<Vec<Record>>,
) -> Result<Page> {
    let mut page = Page::default();
    let mut at = after;
    let mut bytes = 0;
    while page.records.len() < limit.records.max(1) && (bytes < limit.bytes || bytes == 0) {
        {
            // The compactor moves records from memory to blocks meanwhile: ask anew each time.
            let state = live.lock();
            page.tail = state.tail;
            if at >= state.tail {
                break;
            }
            let rest = PageLimit {
                records: limit.records.saturating_sub(page.records.len()),
                bytes: limit.bytes.saturating_sub(bytes),
            };
            match state.read(at, rest) {
                Ok(Some(recent)) if page.records.is_empty() => return Ok(recent),
                Ok(None) => {}
                Err(error) if page.records.is_empty() => return Err(error),
                Ok(Some(_)) | Err(_) => break,
            }
        }
        match block(at.plus(1), limit.records.max(1)) {
            Ok(records) => {
                let begin = at;
                for record in records.into_iter().filter(|record| record.offset > begin) {
                    bytes += record.payload.len();
                    let full = page.records.len() >= limit.records || bytes > limit.bytes;
                    if full && !page.records.is_empty() {
                        return Ok(page);
                    }
                    at = record.offset;
                    page.records.push(record);
                }
                // A block that does not hold what was asked of it must not be asked for ever.
                if at == begin {
                    let (from, reason) = (at.plus(1), Arc::from("the block does not hold it"));
                    return Err(ReadError::Lost { from, to: from, reason });
                }
            }
            // What was read so far is good; the next call meets the damage first.
            Err(ReadError::Lost { .. }) if !page.records.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(page)
}

/// The records of the block that holds `offset`.
pub(super) fn block_records(shared: &Shared, live: &Live, offset: Offset) -> Result<Vec<Record>> {
    let stream = live.stream();
    // Twice, because a block may move to another file between the index and the file.
    let mut moved = false;
    loop {
        let entry = shared.index(|index| index.block_at(stream, offset))?;
        let Some(entry) = entry.filter(|entry| entry.first <= offset) else {
            let next = entry.map(|entry| entry.first);
            return Err(missing(live, offset, next));
        };
        match read_block(shared, stream, &entry) {
            Ok(records) => return Ok(records),
            Err(_) if !moved => moved = true,
            Err(reason) => {
                let (from, to) = (offset, entry.last());
                tracing::error!(%stream, %from, %to, reason, "records are damaged");
                return Err(ReadError::Lost { from, to, reason: Arc::from(reason) });
            }
        }
    }
}

/// The records of one block, checked against what the index says of it.
pub(super) fn read_block(
    shared: &Shared,
    stream: StreamNo,
    entry: &BlockEntry,
) -> std::result::Result<Vec<Record>, String> {
    let (header, body) = shared.files.read(entry.place)?;
    let same = header.a == stream.0 && header.b == entry.first.0 && header.count == entry.count;
    let records = block::decode_records(&body, entry.first)
        .filter(|records| same && records.len() == entry.count as usize);
    records.ok_or_else(|| {
        format!("block file {} at byte {} holds something else", entry.place.file, entry.place.at)
    })
}

fn missing(live: &Live, offset: Offset, next: Option<Offset>) -> ReadError {
    let state = live.lock();
    if state.deleted {
        return ReadError::NoStream(live.stream());
    }
    if offset < state.earliest {
        return ReadError::Trimmed { earliest: state.earliest };
    }
    let end = next.unwrap_or_else(|| state.recent_after().plus(1));
    let to = Offset(end.0.saturating_sub(1)).max(offset);
    ReadError::Lost { from: offset, to, reason: Arc::from("no block holds them") }
}

/// The place before the first kept record with a timestamp of `timestamp_ms` or later.
pub(super) fn seek(shared: &Shared, live: &Live, timestamp_ms: u64) -> Result<Offset> {
    let earliest = {
        let state = live.lock();
        if let Some(found) = state.seek(timestamp_ms) {
            return Ok(found);
        }
        state.earliest
    };
    let mut from = earliest;
    loop {
        let entries = shared.index(|index| index.blocks_from(live.stream(), from, 512))?;
        let found = entries
            .iter()
            .find(|entry| entry.last() >= earliest && entry.last_timestamp_ms >= timestamp_ms);
        if let Some(entry) = found {
            let before = Offset(entry.first.0.saturating_sub(1));
            let records = read_block(shared, live.stream(), entry).unwrap_or_default();
            let first = records.iter().find(|record| record.timestamp_ms >= timestamp_ms);
            let place = first.map_or(before, |record| Offset(record.offset.0.saturating_sub(1)));
            return Ok(place.max(Offset(earliest.0.saturating_sub(1))));
        }
        match entries.last() {
            Some(last) if entries.len() == 512 => from = last.last().plus(1),
            // Every block is older: it is the first record in memory, or none.
            _ => {
                let state = live.lock();
                return Ok(state.seek(timestamp_ms).unwrap_or_else(|| state.recent_after()));
            }
        }
    }
}

/// Streams whose time has come, the most overdue first.
pub(super) fn due(shared: &Shared, now_ms: u64, limit: usize) -> Result<Vec<StreamNo>> {
    let mut due = fresh_due(shared, now_ms, limit);
    let mut after = (0, StreamNo(0));
    // The index keeps an entry until the next compaction, though its stream has moved on: such
    // entries are stepped over, however many there are.
    loop {
        let indexed = shared.index(|index| index.due(after, now_ms, limit.max(1)))?;
        let Some(last) = indexed.last() else { break };
        after = *last;
        for (due_ms, stream) in indexed {
            let live = live(shared, stream)?;
            if live.is_some_and(|live| live.lock().due_ms == due_ms) {
                due.push((due_ms, stream));
            }
        }
        // What the index has beyond its last entry is due later than that one, and may be due
        // before those that it does not know yet.
        if due.iter().filter(|entry| **entry <= after).count() >= limit {
            break;
        }
    }
    due.sort_unstable();
    due.dedup();
    Ok(due.into_iter().take(limit).map(|(_, stream)| stream).collect())
}

/// Those that the index does not know yet. Entries that no longer hold are dropped as they are
/// met.
fn fresh_due(shared: &Shared, now_ms: u64, limit: usize) -> Vec<(u64, StreamNo)> {
    let mut fresh = shared.table.due.lock();
    let (mut due, mut past) = (Vec::new(), Vec::new());
    for entry in fresh.range(..=(now_ms, StreamNo(u64::MAX))) {
        let live = shared.table.get(entry.1);
        if live.is_some_and(|live| live.lock().due_ms == entry.0) {
            due.push(*entry);
        } else {
            past.push(*entry);
        }
        if due.len() >= limit {
            break;
        }
    }
    for entry in past {
        fresh.remove(&entry);
    }
    due
}

/// A projection's state saved last.
pub(super) fn checkpoint(shared: &Shared, stream: StreamNo, name: &str) -> Result<Option<Bytes>> {
    let Some(live) = live(shared, stream)? else { return Err(ReadError::NoStream(stream)) };
    if let Some(state) = live.lock().checkpoints.get(name) {
        return Ok(Some(state.clone()));
    }
    let Some(place) = shared.index(|index| index.checkpoint(stream, name))? else {
        return Ok(None);
    };
    // A checkpoint that cannot be read is as good as none: it is made again by replay.
    let is_this = |header: &Header| header.kind == Kind::Checkpoint && header.a == stream.0;
    let read = shared.files.read(place).ok().filter(|(header, _)| is_this(header));
    Ok(read
        .and_then(|(_, body)| block::decode::<StoredCheckpoint>(&body))
        .filter(|saved| saved.name == name)
        .map(|saved| saved.state))
}
