//! The store on disk against the one in memory: any operations in any order, with compactions
//! and reopenings in between, give the same answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use proptest::{prelude::*, test_runner::TestCaseError};
use scrollback::{
    metrics::Metrics,
    store::{
        Change, Entry, MetaChange, Offset, Ordered, Page, PageLimit, Permit, Position, ReadError,
        Record, Store, StreamNo, Write, WriteError, memory::MemoryStore, sled::SledStore,
    },
};

use crate::{
    ops::{Op, op, path_of},
    util::{ALL, SIZES, block_on},
};

/// Both stores, and what the operations need to know.
struct Pair<'a> {
    folder: &'a Path,
    disk: SledStore,
    model: MemoryStore,
    time: u64,
    given: BTreeSet<StreamNo>,
    created: Vec<StreamNo>,
    limit: PageLimit,
}

type Removed = BTreeMap<Option<StreamNo>, Position>;
type Outcome = Result<(), TestCaseError>;

fn open(folder: &Path) -> SledStore {
    SledStore::open_sized(folder, Arc::new(Metrics::default()), SIZES).unwrap()
}

fn write(stream: StreamNo, change: Change, payloads: &[Bytes], timestamp_ms: u64) -> Write {
    Write {
        stream,
        change,
        records: payloads.iter().cloned().collect(),
        timestamp_ms,
        meta: Vec::new(),
        due_ms: None,
        permit: Permit::default(),
    }
}

fn again(write: &Write) -> Write {
    Write {
        stream: write.stream,
        change: write.change.clone(),
        records: write.records.clone(),
        timestamp_ms: write.timestamp_ms,
        meta: write.meta.clone(),
        due_ms: write.due_ms,
        permit: Permit::default(),
    }
}

impl Pair<'_> {
    async fn run(&mut self, op: Op) -> Outcome {
        self.time += 1;
        match op {
            Op::Create { path, tail, records } => self.create(path, tail, records).await,
            Op::Append { path, records, size, late, meta, due } => {
                self.append(path, (records, size, late), meta, due).await
            }
            Op::Trim { path, back } => self.trim(path, back).await,
            Op::Delete { path } => {
                let stream = self.stream(path).await;
                self.submit(write(stream, Change::Delete, &[], 0)).await
            }
            Op::Checkpoint { path, name, size } => self.checkpoint(path, name, size).await,
            Op::Read { path, after, records, bytes } => {
                self.limit = PageLimit { records: records.into(), bytes: bytes.into() };
                let stream = self.stream(path).await;
                self.read(stream, after).await
            }
            Op::ReadAll { after, records, bytes } => {
                self.limit = PageLimit { records: records.into(), bytes: bytes.into() };
                let end = self.model.watch_all().borrow().0;
                self.read_all(Position(u64::from(after) * end / 256)).await
            }
            Op::Seek { path, time } => {
                let stream = self.stream(path).await;
                let time = u64::from(time) * self.time / 200;
                let (disk, model) =
                    (self.disk.seek(stream, time).await, self.model.seek(stream, time).await);
                prop_assert_eq!(disk, model, "seek {} in {}", time, stream);
                Ok(())
            }
            Op::List { prefix, after, limit } => self.list(prefix, after, limit.into()).await,
            Op::Due { now, limit } => {
                let (now, limit) = (now.into(), limit.into());
                prop_assert_eq!(self.disk.due(now, limit).await, self.model.due(now, limit).await);
                Ok(())
            }
            Op::Old { stream } => {
                let count = self.created.len().max(1);
                let old = self.created.get(usize::from(stream) % count).copied();
                self.same_stream(old.unwrap_or(StreamNo(77_777))).await
            }
            Op::Compact => {
                self.disk.compact();
                Ok(())
            }
            Op::Reopen => self.reopen().await,
        }
    }

    async fn stream(&self, path: u8) -> StreamNo {
        let found = self.model.find(&path_of(path)).await.unwrap();
        found.map_or(StreamNo(99_999), |head| head.stream)
    }

    async fn submit(&self, write: Write) -> Outcome {
        let (disk, model) = (self.disk.submit(again(&write)), self.model.submit(write));
        let (disk, model) = (disk.settled().await, model.settled().await);
        prop_assert_eq!(disk, model);
        Ok(())
    }

    async fn create(&mut self, path: u8, tail: u64, records: u8) -> Outcome {
        let stream = self.disk.allocate();
        prop_assert!(!self.given.contains(&stream), "{} was given out before", stream);
        let payloads = self.payloads(records, 20);
        let change = Change::Create { path: Arc::from(path_of(path)), tail: Offset(tail) };
        let write = write(stream, change, &payloads, self.time);
        let created = self.model.submit(again(&write)).settled().await;
        prop_assert_eq!(self.disk.submit(write).settled().await, created.clone());
        if created.is_ok() {
            self.given.insert(stream);
            self.created.push(stream);
        }
        Ok(())
    }

    fn payloads(&self, records: u8, size: u16) -> Vec<Bytes> {
        let payload = |number: u8| {
            let byte = number.wrapping_mul(31) ^ self.time.to_le_bytes()[0];
            Bytes::from(vec![byte; usize::from(size) / (usize::from(number) + 1)])
        };
        (0..records).map(payload).collect()
    }

    async fn append(
        &mut self,
        path: u8,
        (records, size, late): (u8, u16, bool),
        meta: Option<(u8, bool)>,
        due: Option<u8>,
    ) -> Outcome {
        let stream = self.stream(path).await;
        let head = self.model.head(stream).await.unwrap();
        let tail = head.map_or(0, |head| head.tail.0);
        let expected_tail = Offset(if late { tail.saturating_sub(1) } else { tail });
        let payloads = self.payloads(records, size);
        let mut write = write(stream, Change::Append { expected_tail }, &payloads, self.time);
        write.meta = meta.into_iter().map(|(key, set)| self.meta(key, set)).collect();
        write.due_ms = due.map(u64::from);
        self.submit(write).await
    }

    fn meta(&self, key: u8, set: bool) -> MetaChange {
        let value = set.then(|| Bytes::copy_from_slice(&self.time.to_le_bytes()));
        MetaChange { key: Arc::from(format!("key-{key}")), value }
    }

    async fn trim(&self, path: u8, back: u8) -> Outcome {
        let stream = self.stream(path).await;
        let head = self.model.head(stream).await.unwrap();
        let tail = head.map_or(0, |head| head.tail.0);
        let earliest = Offset((tail + 2).saturating_sub(u64::from(back) / 4));
        let mut trim = write(stream, Change::Trim { earliest }, &[], 0);
        trim.due_ms = back.is_multiple_of(3).then_some(u64::from(back));
        self.submit(trim).await
    }

    async fn checkpoint(&self, path: u8, name: u8, size: u16) -> Outcome {
        let stream = self.stream(path).await;
        let (name, state) = (format!("view-{name}"), Bytes::from(vec![name; size.into()]));
        let (disk, model) = (
            self.disk.save_checkpoint(stream, &name, state.clone()).settled().await,
            self.model.save_checkpoint(stream, &name, state).settled().await,
        );
        prop_assert_eq!(disk, model);
        Ok(())
    }

    /// Reads from a place to the end, page by page.
    async fn read(&self, stream: StreamNo, after: u8) -> Outcome {
        let expected = match self.model.read(stream, Offset(after.into()), ALL).await {
            Ok(page) => page,
            Err(error) => {
                let disk = self.disk.read(stream, Offset(after.into()), self.limit).await;
                prop_assert_eq!(disk, Err(error));
                return Ok(());
            }
        };
        let (mut at, mut rest) = (Offset(after.into()), expected.records.as_slice());
        loop {
            let read: Result<Page, ReadError> = self.disk.read(stream, at, self.limit).await;
            let page = read.unwrap();
            prop_assert_eq!(page.tail, expected.tail);
            if page.records.is_empty() {
                break;
            }
            self.is_within_limit(page.records.iter())?;
            let (now, later) = rest.split_at(page.records.len().min(rest.len()));
            prop_assert_eq!(&page.records, now);
            rest = later;
            at = now.last().map_or(at, |record| record.offset);
        }
        prop_assert!(rest.is_empty(), "{:?} are missing", rest);
        Ok(())
    }

    fn is_within_limit<'r>(&self, records: impl ExactSizeIterator<Item = &'r Record>) -> Outcome {
        let (count, limit) = (records.len(), self.limit);
        let bytes: usize = records.map(|record| record.payload.len()).sum();
        let within = count <= limit.records && bytes <= limit.bytes;
        prop_assert!(count <= 1 || within, "{} records, {} bytes in {:?}", count, bytes, limit);
        Ok(())
    }

    /// Reads in commit order from a place to the end, page by page.
    async fn read_all(&self, after: Position) -> Outcome {
        let expected = self.model.read_all(after, ALL).await.unwrap();
        let (mut at, mut rest): (_, &[Entry]) = (after, &expected.entries);
        let mut removed = BTreeMap::new();
        loop {
            let read = self.disk.read_all(at, self.limit).await.unwrap();
            let Ordered { entries, reached, removed: these } = read;
            removed.extend(these);
            if reached == at {
                prop_assert!(entries.is_empty());
                break;
            }
            let last = entries.last().map_or(at, |entry| entry.record.position);
            prop_assert!(reached > at && last <= reached);
            self.is_within_limit(
                entries.iter().map(|entry| &entry.record).collect::<Vec<_>>().into_iter(),
            )?;
            let (now, later) = rest.split_at(entries.len().min(rest.len()));
            prop_assert_eq!(&entries[..], now);
            (rest, at) = (later, reached);
        }
        prop_assert!(rest.is_empty(), "{:?} are missing", rest);
        Self::is_said(&expected.removed, &removed)
    }

    /// What is no longer kept is said, though on disk it may not be known of which streams.
    fn is_said(model: &Removed, disk: &Removed) -> Outcome {
        for (stream, position) in disk.iter().filter(|(stream, _)| stream.is_some()) {
            prop_assert_eq!(model.get(stream), Some(position), "{:?}", stream);
        }
        if !disk.contains_key(&None) {
            prop_assert_eq!(disk, model);
        }
        Ok(())
    }

    async fn list(&self, prefix: u8, after: u8, limit: usize) -> Outcome {
        let prefix = ["", "a", "b/", "zz"][usize::from(prefix)];
        let after = if after > 6 { String::new() } else { path_of(after) };
        let disk = self.disk.list(prefix, &after, limit).await.unwrap();
        let model = self.model.list(prefix, &after, limit).await.unwrap();
        prop_assert_eq!(disk, model);
        Ok(())
    }

    async fn same_stream(&mut self, stream: StreamNo) -> Outcome {
        prop_assert_eq!(self.disk.head(stream).await, self.model.head(stream).await);
        for name in ["view-0", "view-1"] {
            let disk = self.disk.checkpoint(stream, name).await;
            prop_assert_eq!(disk, self.model.checkpoint(stream, name).await);
        }
        let late = write(stream, Change::Append { expected_tail: Offset(1 << 40) }, &[], 0);
        let (disk, model) = (self.disk.submit(again(&late)), self.model.submit(late));
        let disk: Result<(), WriteError> = disk.settled().await;
        prop_assert_eq!(disk, model.settled().await);
        self.read(stream, 0).await
    }

    async fn reopen(&mut self) -> Outcome {
        self.disk.close().await.unwrap();
        self.disk = open(self.folder);
        prop_assert!(self.disk.damage().is_empty(), "{:?}", self.disk.damage());
        prop_assert_eq!(*self.disk.watch_all().borrow(), *self.model.watch_all().borrow());
        Ok(())
    }

    async fn same(&mut self) -> Outcome {
        self.limit = ALL;
        self.list(0, 7, 1_000).await?;
        self.read_all(Position(0)).await?;
        for stream in self.created.clone() {
            self.same_stream(stream).await?;
        }
        Ok(())
    }
}

/// Runs operations on both stores, and compares all they show, over a restart and a compaction.
fn all_the_same(ops: Vec<Op>) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let mut pair = Pair {
            folder: folder.path(),
            disk: open(folder.path()),
            model: MemoryStore::default(),
            time: 1_000,
            given: BTreeSet::new(),
            created: Vec::new(),
            limit: ALL,
        };
        for op in ops {
            pair.run(op).await?;
        }
        pair.same().await?;
        pair.reopen().await?;
        pair.same().await?;
        pair.disk.compact();
        pair.same().await
    })?;
    let report = scrollback::store::sled::verify(folder.path(), &mut |_, _| {}).unwrap();
    prop_assert!(report.problems.is_empty(), "{:?}", report.problems);
    Ok(())
}

/// One is due again later than the index says, which knows the other.
#[test]
fn what_is_due_comes_in_the_order_of_its_time_whoever_knows_it() {
    let create = |path| Op::Create { path, tail: 0, records: 0 };
    let due = |path, due| Op::Append {
        path,
        records: 0,
        size: 0,
        late: false,
        meta: None,
        due: Some(due),
    };
    let ops = vec![
        create(5),
        due(5, 1),
        create(0),
        due(0, 1),
        Op::Reopen,
        due(5, 2),
        Op::Due { now: 2, limit: 1 },
    ];
    all_the_same(ops).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default()
    })]

    #[test]
    fn any_operations_give_the_same_answers_on_disk_and_in_memory(
        ops in proptest::collection::vec(op(), 1..90),
    ) {
        all_the_same(ops)?;
    }
}
