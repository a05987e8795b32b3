//! The reference model: a store in maps, obviously right, as durable as the process.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, ready};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    Backup, Batch, Change, Entry, Head, Listed, MetaChange, Moved, Offset, Ordered, Page,
    PageLimit, Permit, Position, ReadError, Record, Store, StreamNo, Ticket, Write, WriteError,
    sled,
};

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    all: watch::Sender<Position>,
    poisoned: watch::Sender<Option<Arc<str>>>,
}

#[derive(Debug, Default)]
struct State {
    allocated: u64,
    position: u64,
    closed: bool,
    streams: BTreeMap<StreamNo, Stream>,
    paths: BTreeMap<Arc<str>, StreamNo>,
    order: Vec<(Position, StreamNo, Offset)>,
}

#[derive(Debug)]
struct Stream {
    head: Head,
    records: Vec<Record>,
    checkpoints: BTreeMap<String, Bytes>,
    moved: watch::Sender<Moved>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            all: watch::Sender::new(Position(0)),
            poisoned: watch::Sender::new(None),
        }
    }
}

impl MemoryStore {
    fn stream<T>(
        &self,
        stream: StreamNo,
        ask: impl FnOnce(&mut Stream) -> Result<T, ReadError>,
    ) -> BoxFuture<'static, Result<T, ReadError>>
    where
        T: Send + 'static,
    {
        let mut state = self.state.lock();
        let answer = match state.streams.get_mut(&stream) {
            Some(found) => ask(found),
            None => Err(ReadError::NoStream(stream)),
        };
        ready(answer).boxed()
    }
}

impl State {
    fn apply(&mut self, write: Write) -> Result<(), WriteError> {
        if self.closed {
            return Err(WriteError::Closed);
        }
        match &write.change {
            Change::Create { path, tail } => self.create(&write, path, *tail)?,
            Change::Append { expected_tail } => {
                let actual = self.existing(write.stream)?.head.tail;
                if actual != *expected_tail {
                    return Err(WriteError::Conflict { expected: *expected_tail, actual });
                }
            }
            Change::Trim { earliest } => {
                let stream = self.existing(write.stream)?;
                let earliest = (*earliest).min(stream.head.tail.plus(1));
                stream.head.earliest = stream.head.earliest.max(earliest);
                let kept_from = stream.head.earliest;
                stream.records.retain(|record| record.offset >= kept_from);
            }
            Change::Delete => {
                let stream = self.existing(write.stream)?;
                stream.moved.send_modify(|moved| moved.deleted = true);
                let path = Arc::clone(&stream.head.path);
                self.paths.remove(&path);
                self.streams.remove(&write.stream);
                return Ok(());
            }
        }
        self.add(write)
    }

    fn existing(&mut self, stream: StreamNo) -> Result<&mut Stream, WriteError> {
        self.streams.get_mut(&stream).ok_or(WriteError::NoStream(stream))
    }

    fn create(&mut self, write: &Write, path: &Arc<str>, tail: Offset) -> Result<(), WriteError> {
        if self.paths.contains_key(path) || self.streams.contains_key(&write.stream) {
            return Err(WriteError::Exists);
        }
        self.paths.insert(Arc::clone(path), write.stream);
        let head = Head {
            stream: write.stream,
            path: Arc::clone(path),
            tail,
            earliest: tail.plus(1),
            last_timestamp_ms: 0,
            due_ms: 0,
            meta: BTreeMap::new(),
        };
        let moved = watch::Sender::new(Moved { tail, earliest: tail.plus(1), ..Moved::default() });
        let stream = Stream { head, records: Vec::new(), checkpoints: BTreeMap::new(), moved };
        self.streams.insert(write.stream, stream);
        Ok(())
    }

    fn add(&mut self, write: Write) -> Result<(), WriteError> {
        let mut position = self.position;
        let stream = self.existing(write.stream)?;
        let mut order = Vec::new();
        for payload in write.records {
            position += 1;
            stream.head.tail = stream.head.tail.plus(1);
            stream.head.last_timestamp_ms = write.timestamp_ms;
            let offset = stream.head.tail;
            let position = Position(position);
            order.push((position, write.stream, offset));
            stream.records.push(Record {
                offset,
                position,
                timestamp_ms: write.timestamp_ms,
                payload,
            });
        }
        let changed = !write.meta.is_empty();
        for change in write.meta {
            match change.value {
                Some(value) => stream.head.meta.insert(change.key, value),
                None => stream.head.meta.remove(&change.key),
            };
        }
        if let Some(due_ms) = write.due_ms {
            stream.head.due_ms = due_ms;
        }
        let (tail, earliest) = (stream.head.tail, stream.head.earliest);
        stream.moved.send_modify(|moved| {
            moved.tail = tail;
            moved.earliest = earliest;
            moved.meta_version += u64::from(changed);
        });
        self.position = position;
        self.order.extend(order);
        Ok(())
    }
}

impl State {
    /// Writes that lead to this state from nothing.
    fn writes(&self) -> Vec<sled::Placed> {
        let write = |stream, change| Write {
            stream,
            change,
            records: Batch::new(),
            timestamp_ms: 0,
            meta: Vec::new(),
            due_ms: None,
            permit: Permit::default(),
        };
        // Of numbers and positions that have been given out none is given out again.
        let last = write(StreamNo(self.allocated), Change::Delete);
        let mut writes = vec![(Position(self.position + 1), last, Vec::new())];
        for Stream { head, checkpoints, .. } in self.streams.values() {
            let tail = Offset(head.earliest.0 - 1);
            let mut begin =
                write(head.stream, Change::Create { path: Arc::clone(&head.path), tail });
            begin.due_ms = Some(head.due_ms);
            let entry = |(key, value): (&Arc<str>, &Bytes)| MetaChange {
                key: Arc::clone(key),
                value: Some(value.clone()),
            };
            begin.meta = head.meta.iter().map(entry).collect();
            let saved = checkpoints.iter().map(|(name, state)| (name.clone(), state.clone()));
            writes.push((Position(self.position + 1), begin, saved.collect()));
        }
        for (position, stream, offset) in &self.order {
            let stream = self.streams.get(stream);
            let record = stream.and_then(|stream| stream.record(*offset).map(|at| (stream, at)));
            if let Some((stream, record)) = record {
                let expected_tail = Offset(offset.0 - 1);
                let mut append = write(stream.head.stream, Change::Append { expected_tail });
                append.records.push(record.payload.clone());
                append.timestamp_ms = record.timestamp_ms;
                writes.push((*position, append, Vec::new()));
            }
        }
        writes
    }
}

impl Stream {
    fn record(&self, offset: Offset) -> Option<&Record> {
        let at = self.records.binary_search_by_key(&offset, |record| record.offset).ok()?;
        self.records.get(at)
    }

    fn read(&self, after: Offset, limit: PageLimit) -> Result<Page, ReadError> {
        let tail = self.head.tail;
        if after >= tail {
            return Ok(Page { records: Vec::new(), tail });
        }
        if after.plus(1) < self.head.earliest {
            return Err(ReadError::Trimmed { earliest: self.head.earliest });
        }
        let mut bytes = 0;
        let records = self.records.iter().filter(|record| record.offset > after);
        let records = records.take(limit.records.max(1)).take_while(|record| {
            let first = bytes == 0;
            bytes += record.payload.len().max(1);
            first || bytes <= limit.bytes
        });
        Ok(Page { records: records.cloned().collect(), tail })
    }
}

impl Store for MemoryStore {
    fn allocate(&self) -> StreamNo {
        let mut state = self.state.lock();
        state.allocated += 1;
        StreamNo(state.allocated)
    }

    fn reserve(&self, _bytes: usize) -> BoxFuture<'_, Result<Permit, WriteError>> {
        ready(Ok(Permit::default())).boxed()
    }

    fn submit(&self, write: Write) -> Ticket {
        let (settle, ticket) = Ticket::open();
        let mut state = self.state.lock();
        let result = state.apply(write);
        self.all.send_replace(Position(state.position));
        // Nobody waits for a ticket that was dropped.
        let _ = settle.send(result);
        ticket
    }

    fn find(&self, path: &str) -> BoxFuture<'_, Result<Option<Arc<Head>>, ReadError>> {
        let state = self.state.lock();
        let stream = state.paths.get(path).and_then(|number| state.streams.get(number));
        ready(Ok(stream.map(|stream| Arc::new(stream.head.clone())))).boxed()
    }

    fn head(&self, stream: StreamNo) -> BoxFuture<'_, Result<Option<Arc<Head>>, ReadError>> {
        let state = self.state.lock();
        let found = state.streams.get(&stream).map(|stream| Arc::new(stream.head.clone()));
        ready(Ok(found)).boxed()
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, ReadError>> {
        let state = self.state.lock();
        let paths = state.paths.iter().filter(|(path, _)| {
            path.starts_with(prefix) && (after.is_empty() || &path[..] > after)
        });
        let streams = paths.filter_map(|(_, number)| state.streams.get(number));
        let heads = streams.take(limit).map(|stream| Arc::new(stream.head.clone())).collect();
        ready(Ok(heads)).boxed()
    }

    fn read(
        &self,
        stream: StreamNo,
        after: Offset,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Page, ReadError>> {
        self.stream(stream, |stream| stream.read(after, limit))
    }

    fn read_all(
        &self,
        after: Position,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Ordered, ReadError>> {
        let state = self.state.lock();
        let mut read = Ordered { reached: after, ..Ordered::default() };
        let mut bytes = 0;
        for (position, number, offset) in state.order.iter().filter(|run| run.0 > after) {
            let stream = state.streams.get(number);
            let found = stream.and_then(|stream| stream.record(*offset));
            if let Some(record) = found {
                bytes += record.payload.len();
                let full = read.entries.len() >= limit.records.max(1) || bytes > limit.bytes;
                if full && !read.entries.is_empty() {
                    break;
                }
                read.entries.push(Entry { stream: *number, record: record.clone() });
            } else if stream.is_some() {
                read.removed.insert(Some(*number), *position);
            }
            read.reached = *position;
            if read.removed.len() >= limit.records.max(1) {
                break;
            }
        }
        ready(Ok(read)).boxed()
    }

    fn seek(
        &self,
        stream: StreamNo,
        timestamp_ms: u64,
    ) -> BoxFuture<'_, Result<Offset, ReadError>> {
        self.stream(stream, |stream| {
            let found = stream.records.iter().find(|record| record.timestamp_ms >= timestamp_ms);
            Ok(found.map_or(stream.head.tail, |record| Offset(record.offset.0 - 1)))
        })
    }

    fn due(&self, now_ms: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StreamNo>, ReadError>> {
        let state = self.state.lock();
        let heads = state.streams.values().map(|stream| &stream.head);
        let mut due: Vec<_> = heads
            .filter(|head| head.due_ms != 0 && head.due_ms <= now_ms)
            .map(|head| (head.due_ms, head.stream))
            .collect();
        due.sort_unstable();
        ready(Ok(due.into_iter().map(|(_, stream)| stream).take(limit).collect())).boxed()
    }

    fn watch(&self, stream: StreamNo) -> BoxFuture<'_, Result<watch::Receiver<Moved>, ReadError>> {
        self.stream(stream, |stream| Ok(stream.moved.subscribe()))
    }

    fn watch_all(&self) -> watch::Receiver<Position> {
        self.all.subscribe()
    }

    fn save_checkpoint(&self, stream: StreamNo, name: &str, saved: Bytes) -> Ticket {
        let (settle, ticket) = Ticket::open();
        let mut state = self.state.lock();
        let result = state.existing(stream).map(|stream| {
            stream.checkpoints.insert(name.to_owned(), saved);
        });
        let _ = settle.send(result);
        ticket
    }

    fn checkpoint<'a>(
        &'a self,
        stream: StreamNo,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>> {
        self.stream(stream, |stream| Ok(stream.checkpoints.get(name).cloned()))
    }

    fn backup(&self, now_ms: u64) -> BoxFuture<'_, Result<Backup, ReadError>> {
        let writes = self.state.lock().writes();
        ready(Ok(sled::backup_of(now_ms, writes))).boxed()
    }

    fn poisoned(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.poisoned.subscribe()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), WriteError>> {
        self.state.lock().closed = true;
        ready(Ok(())).boxed()
    }
}
