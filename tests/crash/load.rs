//! The load: tasks that write to many streams at once, several writes in flight each, and say
//! what they are about to do and what was acknowledged.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use scrollback::store::{
    Batch, Change, MetaChange, Offset, Permit, Store, StreamNo, Ticket, Write, WriteError,
    sled::SledStore,
};

use crate::util::Random;

/// Records written in one step, and what their bytes are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) stream: u64,
    pub(crate) round: u32,
    pub(crate) first: u64,
    pub(crate) count: u32,
}

/// The bytes of every record that begins a payload: round, first offset and size of its batch.
pub(crate) const HEAD: usize = 16;

impl Written {
    pub(crate) fn last(self) -> u64 {
        self.first + u64::from(self.count) - 1
    }

    /// The bytes of one of its records: text that compresses, noise, or next to nothing.
    pub(crate) fn payload(self, seed: u64, offset: u64) -> Bytes {
        let mut random = Random::new(
            seed ^ self.stream.rotate_left(40) ^ offset.rotate_left(20) ^ u64::from(self.round),
        );
        let length = match random.below(40) {
            0 => 3_000 + random.below(9_000),
            1..4 => 0,
            _ => random.below(300),
        };
        let mut bytes = Vec::with_capacity(HEAD + length + 8);
        bytes.extend_from_slice(&self.round.to_le_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.count.to_le_bytes());
        let (noisy, word) = (random.one_in(2), random.next());
        while bytes.len() < HEAD + length {
            let word = if noisy { random.next() } else { word };
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.truncate(HEAD + length);
        Bytes::from(bytes)
    }

    /// What a payload says of itself.
    pub(crate) fn read(stream: u64, payload: &[u8]) -> Option<Self> {
        let round = u32::from_le_bytes(*payload.first_chunk()?);
        let first = u64::from_le_bytes(*payload.get(4..)?.first_chunk()?);
        let count = u32::from_le_bytes(*payload.get(12..)?.first_chunk()?);
        Some(Self { stream, round, first, count })
    }
}

/// What a writer reports. `Will…` comes before the write is submitted, the rest once it is
/// acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    WillCreate {
        stream: u64,
        path: String,
    },
    Created {
        stream: u64,
    },
    Appended(Written),
    /// Metadata `n` and a record count came with an append up to this offset.
    Noted {
        stream: u64,
        value: u64,
    },
    WillTrim {
        stream: u64,
        earliest: u64,
    },
    Trimmed {
        stream: u64,
        earliest: u64,
    },
    WillDelete {
        stream: u64,
    },
    Deleted {
        stream: u64,
    },
    Checkpointed {
        stream: u64,
        value: u64,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WillCreate { stream, path } => write!(f, "@c {stream} {path}"),
            Self::Created { stream } => write!(f, "@C {stream}"),
            Self::Appended(Written { stream, round, first, count }) => {
                write!(f, "@A {stream} {round} {first} {count}")
            }
            Self::Noted { stream, value } => write!(f, "@N {stream} {value}"),
            Self::WillTrim { stream, earliest } => write!(f, "@t {stream} {earliest}"),
            Self::Trimmed { stream, earliest } => write!(f, "@T {stream} {earliest}"),
            Self::WillDelete { stream } => write!(f, "@d {stream}"),
            Self::Deleted { stream } => write!(f, "@D {stream}"),
            Self::Checkpointed { stream, value } => write!(f, "@P {stream} {value}"),
        }
    }
}

impl Event {
    /// Reads a line back; `None` where it is not an event.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let stream = words.next()?.parse().ok()?;
        let rest: Vec<&str> = words.collect();
        let number = |at: usize| rest.get(at)?.parse::<u64>().ok();
        Some(match kind {
            "@c" => Self::WillCreate { stream, path: (*rest.first()?).to_owned() },
            "@C" => Self::Created { stream },
            "@A" => Self::Appended(Written {
                stream,
                round: u32::try_from(number(0)?).ok()?,
                first: number(1)?,
                count: u32::try_from(number(2)?).ok()?,
            }),
            "@N" => Self::Noted { stream, value: number(0)? },
            "@t" => Self::WillTrim { stream, earliest: number(0)? },
            "@T" => Self::Trimmed { stream, earliest: number(0)? },
            "@d" => Self::WillDelete { stream },
            "@D" => Self::Deleted { stream },
            "@P" => Self::Checkpointed { stream, value: number(0)? },
            _ => return None,
        })
    }
}

/// Where events go, and when to stop.
pub(crate) trait Sink: Send + Sync {
    fn event(&self, event: Event);

    /// Whether writers should end.
    fn is_over(&self) -> bool;
}

/// The load of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) seed: u64,
    pub(crate) round: u32,
    pub(crate) workers: usize,
    /// One operation in this many is a forced compaction.
    pub(crate) compact_one_in: usize,
}

/// A stream as its one writer knows it, ahead of the disk.
struct Own {
    stream: StreamNo,
    tail: u64,
    earliest: u64,
}

const IN_FLIGHT: usize = 6;
const PATHS: usize = 7;

/// The name of the metadata entry and of the checkpoint.
pub(crate) const NAME: &str = "note";

/// Runs every worker until the sink says that it is over.
pub(crate) async fn run(store: &Arc<SledStore>, load: Load, sink: &Arc<dyn Sink>) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..load.workers {
        let (store, sink) = (Arc::clone(store), Arc::clone(sink));
        tasks.spawn(async move { Worker::new(store, load, sink, number).await.run().await });
    }
    tasks.join_all().await;
}

struct Worker {
    store: Arc<SledStore>,
    load: Load,
    sink: Arc<dyn Sink>,
    number: usize,
    random: Random,
    own: BTreeMap<String, Own>,
    in_flight: VecDeque<(Ticket, Vec<Event>)>,
}

impl Worker {
    async fn new(store: Arc<SledStore>, load: Load, sink: Arc<dyn Sink>, number: usize) -> Self {
        let mark = (u64::from(load.round) << 8) + number as u64;
        let random = Random::new(load.seed ^ mark.rotate_left(32));
        let listed = store.list(&format!("w{number}/"), "", 1_000).await.unwrap();
        let own = listed.iter().map(|head| {
            let own = Own { stream: head.stream, tail: head.tail.0, earliest: head.earliest.0 };
            (head.path.to_string(), own)
        });
        let own = own.collect();
        Self { store, load, sink, number, random, own, in_flight: VecDeque::new() }
    }

    async fn run(mut self) {
        while !self.sink.is_over() {
            self.step().await;
            while self.in_flight.len() >= IN_FLIGHT {
                self.settle().await;
            }
        }
        while !self.in_flight.is_empty() {
            self.settle().await;
        }
    }

    async fn settle(&mut self) {
        let Some((ticket, events)) = self.in_flight.pop_front() else { return };
        match ticket.settled().await {
            Ok(()) => events.into_iter().for_each(|event| self.sink.event(event)),
            // Others append to the shared stream too.
            Err(WriteError::Conflict { .. } | WriteError::Exists) => {}
            Err(error) => panic!("a write failed: {error}"),
        }
    }

    async fn step(&mut self) {
        let path = format!("w{}/{}", self.number, self.random.below(PATHS));
        match self.random.below(100) {
            0..2 => self.delete(&path),
            2..7 => self.trim(&path),
            7..10 => self.checkpoint(&path),
            10..18 => self.append_shared().await,
            18.. if self.random.one_in(self.load.compact_one_in) => {
                let store = Arc::clone(&self.store);
                tokio::task::spawn_blocking(move || store.compact()).await.unwrap();
            }
            _ => self.append(&path),
        }
    }

    fn submit(&mut self, stream: StreamNo, change: Change, records: Batch, events: Vec<Event>) {
        let value = match events.last() {
            Some(Event::Noted { value, .. }) => Some(*value),
            _ => None,
        };
        let meta = value.map(|value| MetaChange {
            key: Arc::from(NAME),
            value: Some(Bytes::copy_from_slice(&value.to_le_bytes())),
        });
        let ticket = self.store.submit(Write {
            stream,
            change,
            records,
            timestamp_ms: 1_000,
            meta: meta.into_iter().collect(),
            due_ms: None,
            permit: Permit::default(),
        });
        self.in_flight.push_back((ticket, events));
    }

    fn written(&mut self, stream: StreamNo, tail: u64) -> (Written, Batch) {
        let count = if self.random.one_in(4) { 2 + self.random.below(30) } else { 1 };
        let count = u32::try_from(count).unwrap();
        let round = self.load.round;
        let written = Written { stream: stream.0, round, first: tail + 1, count };
        let offsets = written.first..=written.last();
        (written, offsets.map(|offset| written.payload(self.load.seed, offset)).collect())
    }

    fn append(&mut self, path: &str) {
        let Some(Own { stream, tail, .. }) = self.own.get(path) else { return self.create(path) };
        let (stream, tail) = (*stream, *tail);
        let (written, records) = self.written(stream, tail);
        let mut events = vec![Event::Appended(written)];
        if self.random.one_in(5) {
            events.push(Event::Noted { stream: stream.0, value: written.last() });
        }
        if let Some(own) = self.own.get_mut(path) {
            own.tail = written.last();
        }
        let expected_tail = Offset(tail);
        self.submit(stream, Change::Append { expected_tail }, records, events);
    }

    fn create(&mut self, path: &str) {
        let stream = self.store.allocate();
        self.sink.event(Event::WillCreate { stream: stream.0, path: path.to_owned() });
        let change = Change::Create { path: Arc::from(path), tail: Offset::ZERO };
        let mut events = vec![Event::Created { stream: stream.0 }];
        let mut records = Batch::new();
        let mut tail = 0;
        if self.random.one_in(2) {
            let (written, batch) = self.written(stream, 0);
            events.push(Event::Appended(written));
            (records, tail) = (batch, written.last());
        }
        self.own.insert(path.to_owned(), Own { stream, tail, earliest: 1 });
        self.submit(stream, change, records, events);
    }

    fn trim(&mut self, path: &str) {
        let Some(own) = self.own.get_mut(path) else { return };
        let kept = own.tail + 1 - own.earliest;
        let earliest = own.earliest + self.random.next() % (kept + 1);
        own.earliest = earliest;
        let stream = own.stream;
        self.sink.event(Event::WillTrim { stream: stream.0, earliest });
        let events = vec![Event::Trimmed { stream: stream.0, earliest }];
        self.submit(stream, Change::Trim { earliest: Offset(earliest) }, Batch::new(), events);
    }

    fn delete(&mut self, path: &str) {
        let Some(Own { stream, .. }) = self.own.remove(path) else { return };
        self.sink.event(Event::WillDelete { stream: stream.0 });
        let events = vec![Event::Deleted { stream: stream.0 }];
        self.submit(stream, Change::Delete, Batch::new(), events);
    }

    fn checkpoint(&mut self, path: &str) {
        let Some(Own { stream, tail, .. }) = self.own.get(path) else { return };
        let (stream, value) = (*stream, *tail);
        let state = Bytes::copy_from_slice(&value.to_le_bytes());
        let ticket = self.store.save_checkpoint(stream, NAME, state);
        self.in_flight.push_back((ticket, vec![Event::Checkpointed { stream: stream.0, value }]));
    }

    /// Appends to the stream that all workers share, at the tail as it is now.
    async fn append_shared(&mut self) {
        let Some(head) = self.store.find("shared").await.unwrap() else {
            let stream = self.store.allocate();
            let path = "shared".to_owned();
            self.sink.event(Event::WillCreate { stream: stream.0, path });
            let change = Change::Create { path: Arc::from("shared"), tail: Offset::ZERO };
            let events = vec![Event::Created { stream: stream.0 }];
            return self.submit(stream, change, Batch::new(), events);
        };
        let (written, records) = self.written(head.stream, head.tail.0);
        let change = Change::Append { expected_tail: head.tail };
        self.submit(head.stream, change, records, vec![Event::Appended(written)]);
    }
}
