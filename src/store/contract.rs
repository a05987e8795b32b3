//! The contract of [`Store`], run against every store. Each test takes the store it is given and
//! knows nothing of what is behind it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::{
    Backup, Change, Entry, Head, Listed, MetaChange, Moved, Offset, Ordered, Page, PageLimit,
    Permit, Position, ReadError, Store, StreamNo, Write, WriteError, memory::MemoryStore, sled,
    sled::SledStore,
};
use crate::metrics::Metrics;

const ALL: PageLimit = PageLimit { records: 10_000, bytes: usize::MAX };

fn write(stream: StreamNo, change: Change, payloads: &[&str], timestamp_ms: u64) -> Write {
    Write {
        stream,
        change,
        records: payloads.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect(),
        timestamp_ms,
        meta: Vec::new(),
        due_ms: None,
        permit: Permit::default(),
    }
}

async fn create(store: &dyn Store, path: &str) -> StreamNo {
    let stream = store.allocate();
    let change = Change::Create { path: Arc::from(path), tail: Offset(0) };
    store.submit(write(stream, change, &[], 0)).settled().await.unwrap();
    stream
}

async fn append(
    store: &dyn Store,
    stream: StreamNo,
    tail: u64,
    payloads: &[&str],
) -> Result<(), WriteError> {
    let change = Change::Append { expected_tail: Offset(tail) };
    store.submit(write(stream, change, payloads, tail)).settled().await
}

async fn texts(store: &dyn Store, stream: StreamNo, after: u64) -> Vec<String> {
    let page = store.read(stream, Offset(after), ALL).await.unwrap();
    page.records.iter().map(|r| String::from_utf8(r.payload.to_vec()).unwrap()).collect()
}

async fn appends_are_read_back_in_order_with_their_offsets(store: &dyn Store) {
    let stream = create(store, "a").await;
    append(store, stream, 0, &["one", "two"]).await.unwrap();
    append(store, stream, 2, &["three"]).await.unwrap();
    let page = store.read(stream, Offset(0), ALL).await.unwrap();
    let offsets: Vec<_> = page.records.iter().map(|record| record.offset.0).collect();
    assert_eq!((offsets, page.tail), (vec![1, 2, 3], Offset(3)));
    assert_eq!(texts(store, stream, 1).await, ["two", "three"]);
    assert!(texts(store, stream, 3).await.is_empty());
    assert!(texts(store, stream, 99).await.is_empty());
}

async fn an_append_at_another_tail_is_a_conflict_and_writes_nothing(store: &dyn Store) {
    let stream = create(store, "a").await;
    append(store, stream, 0, &["one"]).await.unwrap();
    let conflict = WriteError::Conflict { expected: Offset(0), actual: Offset(1) };
    assert_eq!(append(store, stream, 0, &["again"]).await, Err(conflict));
    assert_eq!(texts(store, stream, 0).await, ["one"]);
}

async fn writes_take_effect_in_the_order_they_were_submitted(store: &dyn Store) {
    let stream = create(store, "a").await;
    let tickets: Vec<_> = (0..50)
        .map(|tail| {
            let change = Change::Append { expected_tail: Offset(tail) };
            store.submit(write(stream, change, &[&tail.to_string()], 0))
        })
        .collect();
    for ticket in tickets {
        ticket.settled().await.unwrap();
    }
    let expected: Vec<_> = (0..50).map(|tail| tail.to_string()).collect();
    assert_eq!(texts(store, stream, 0).await, expected);
}

async fn a_path_has_one_stream_until_it_is_deleted(store: &dyn Store) {
    let first = create(store, "a").await;
    append(store, first, 0, &["old"]).await.unwrap();
    let second = store.allocate();
    let change = || Change::Create { path: Arc::from("a"), tail: Offset(0) };
    let refused = store.submit(write(second, change(), &["x"], 0)).settled().await;
    assert_eq!(refused, Err(WriteError::Exists));
    let deleted = store.submit(write(first, Change::Delete, &[], 0));
    let created = store.submit(write(second, change(), &["new"], 0));
    deleted.settled().await.unwrap();
    created.settled().await.unwrap();
    assert_eq!(store.find("a").await.unwrap().unwrap().stream, second);
    assert_eq!(store.read(first, Offset(0), ALL).await, Err(ReadError::NoStream(first)));
    assert_eq!(append(store, first, 1, &["late"]).await, Err(WriteError::NoStream(first)));
    assert_eq!(texts(store, second, 0).await, ["new"]);
}

async fn metadata_changes_with_the_records_it_came_with(store: &dyn Store) {
    let stream = create(store, "a").await;
    let change = |key: &str, value: Option<&'static str>| MetaChange {
        key: Arc::from(key),
        value: value.map(|text| Bytes::from_static(text.as_bytes())),
    };
    let mut first = write(stream, Change::Append { expected_tail: Offset(0) }, &["one"], 7);
    first.meta = vec![change("k", Some("v")), change("gone", Some("x"))];
    first.due_ms = Some(99);
    store.submit(first).settled().await.unwrap();
    let mut second = write(stream, Change::Append { expected_tail: Offset(1) }, &[], 7);
    second.meta = vec![change("gone", None)];
    store.submit(second).settled().await.unwrap();
    let mut refused = write(stream, Change::Append { expected_tail: Offset(9) }, &[], 7);
    refused.meta = vec![change("k", Some("wrong"))];
    store.submit(refused).settled().await.unwrap_err();
    let head = store.head(stream).await.unwrap().unwrap();
    assert_eq!(head.meta.len(), 1);
    assert_eq!(head.meta["k"], "v");
    assert_eq!((head.due_ms, head.last_timestamp_ms, head.tail), (99, 7, Offset(1)));
}

async fn trimming_moves_the_earliest_offset_forward_only(store: &dyn Store) {
    let stream = create(store, "a").await;
    append(store, stream, 0, &["1", "2", "3", "4"]).await.unwrap();
    for (earliest, kept) in [(3, 3), (2, 3), (99, 5)] {
        let trim = Change::Trim { earliest: Offset(earliest) };
        store.submit(write(stream, trim, &[], 0)).settled().await.unwrap();
        assert_eq!(store.head(stream).await.unwrap().unwrap().earliest, Offset(kept));
    }
    let trimmed = store.read(stream, Offset(2), ALL).await;
    assert_eq!(trimmed, Err(ReadError::Trimmed { earliest: Offset(5) }));
    append(store, stream, 4, &["5"]).await.unwrap();
    assert_eq!(texts(store, stream, 4).await, ["5"]);
}

async fn a_stream_begins_behind_the_place_it_is_given(store: &dyn Store) {
    let stream = store.allocate();
    let change = Change::Create { path: Arc::from("late"), tail: Offset(39) };
    store.submit(write(stream, change, &[], 1)).settled().await.unwrap();
    let head = store.head(stream).await.unwrap().unwrap();
    assert_eq!((head.earliest, head.tail), (Offset(40), Offset(39)));
    append(store, stream, 39, &["40", "41"]).await.unwrap();
    let trimmed = store.read(stream, Offset(38), ALL).await;
    assert_eq!(trimmed, Err(ReadError::Trimmed { earliest: Offset(40) }));
    assert_eq!(texts(store, stream, 39).await, ["40", "41"]);
}

async fn pages_end_at_their_limit_and_hold_one_record_at_least(store: &dyn Store) {
    let stream = create(store, "a").await;
    append(store, stream, 0, &["aaaa", "bbbb", "cccc"]).await.unwrap();
    let count = async |after, records, bytes| {
        let page = store.read(stream, Offset(after), PageLimit { records, bytes }).await;
        page.unwrap().records.len()
    };
    assert_eq!(count(0, 2, 1_000).await, 2);
    assert_eq!(count(0, 9, 8).await, 2);
    assert_eq!(count(0, 9, 7).await, 1);
    assert_eq!(count(0, 9, 0).await, 1);
}

async fn the_commit_order_has_every_kept_record_once(store: &dyn Store) {
    let (a, b) = (create(store, "a").await, create(store, "b").await);
    append(store, a, 0, &["a1", "a2"]).await.unwrap();
    append(store, b, 0, &["b1"]).await.unwrap();
    append(store, a, 2, &["a3"]).await.unwrap();
    store.submit(write(a, Change::Trim { earliest: Offset(2) }, &[], 0)).settled().await.unwrap();
    let (mut seen, mut after) = (Vec::new(), Position(0));
    loop {
        let limit = PageLimit { records: 2, bytes: usize::MAX };
        let Ordered { entries, reached, .. } = store.read_all(after, limit).await.unwrap();
        if reached == after {
            break;
        }
        let last = entries.last().map(|entry| entry.record.position);
        assert!(last.is_none_or(|last| last <= reached));
        seen.extend(entries.into_iter().map(|entry| entry.record.payload));
        after = reached;
    }
    assert_eq!(seen, ["a2", "b1", "a3"]);
    assert_eq!(*store.watch_all().borrow(), after);
}

async fn the_commit_order_says_of_which_streams_records_were_trimmed(store: &dyn Store) {
    let (a, b, c) = (create(store, "a").await, create(store, "b").await, create(store, "c").await);
    append(store, a, 0, &["1", "2"]).await.unwrap();
    append(store, b, 0, &["3"]).await.unwrap();
    append(store, a, 2, &["4"]).await.unwrap();
    append(store, c, 0, &["5"]).await.unwrap();
    append(store, b, 1, &["6"]).await.unwrap();
    let removed = async |after| {
        let read = store.read_all(Position(after), ALL).await.unwrap();
        read.removed.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(removed(0).await, []);
    for (stream, earliest) in [(a, 4), (b, 2)] {
        let trim = Change::Trim { earliest: Offset(earliest) };
        store.submit(write(stream, trim, &[], 0)).settled().await.unwrap();
    }
    store.submit(write(c, Change::Delete, &[], 0)).settled().await.unwrap();
    assert_eq!(removed(0).await, [(Some(a), Position(4)), (Some(b), Position(3))]);
    assert_eq!(removed(2).await, [(Some(a), Position(4)), (Some(b), Position(3))]);
    assert_eq!(removed(3).await, [(Some(a), Position(4))]);
    // A stream that is gone has lost nothing, and what comes later is whole.
    assert_eq!(removed(4).await, []);
    let limit = PageLimit { records: 1, bytes: 0 };
    let (mut after, mut steps) = (Position(0), Vec::new());
    loop {
        let read = store.read_all(after, limit).await.unwrap();
        if read.reached == after {
            break;
        }
        steps.push((read.entries.len(), read.removed.len()));
        after = read.reached;
    }
    assert!(steps.iter().all(|(kept, removed)| *kept <= 1 && *removed <= 1), "{steps:?}");
    assert_eq!(after, Position(6));
}

async fn a_time_is_found_by_the_first_record_that_is_not_older(store: &dyn Store) {
    let stream = create(store, "a").await;
    for (tail, time) in [(0, 10), (1, 20), (2, 20), (3, 30)] {
        let change = Change::Append { expected_tail: Offset(tail) };
        store.submit(write(stream, change, &["x"], time)).settled().await.unwrap();
    }
    for (time, place) in [(0, 0), (10, 0), (11, 1), (20, 1), (30, 3), (31, 4)] {
        assert_eq!(store.seek(stream, time).await.unwrap(), Offset(place), "at {time}");
    }
}

async fn streams_are_listed_by_prefix_in_path_order(store: &dyn Store) {
    for path in ["b/2", "a/1", "b/1", "b", "b/3", "c"] {
        create(store, path).await;
    }
    let deleted = store.find("b/3").await.unwrap().unwrap().stream;
    store.submit(write(deleted, Change::Delete, &[], 0)).settled().await.unwrap();
    let paths = async |prefix, after, limit| {
        let listed = store.list(prefix, after, limit).await.unwrap();
        listed.iter().map(|head| head.path.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(paths("", "", 100).await, ["a/1", "b", "b/1", "b/2", "c"]);
    assert_eq!(paths("b/", "", 100).await, ["b/1", "b/2"]);
    assert_eq!(paths("", "b", 2).await, ["b/1", "b/2"]);
    assert_eq!(paths("b/", "b/1", 5).await, ["b/2"]);
}

async fn due_streams_come_with_the_most_overdue_first(store: &dyn Store) {
    for (path, due_ms) in [("late", 30), ("first", 10), ("second", 20)] {
        let stream = create(store, path).await;
        let mut set = write(stream, Change::Append { expected_tail: Offset(0) }, &["x"], 1);
        set.due_ms = Some(due_ms);
        store.submit(set).settled().await.unwrap();
    }
    let first = store.find("first").await.unwrap().unwrap().stream;
    let second = store.find("second").await.unwrap().unwrap().stream;
    assert_eq!(store.due(25, 10).await.unwrap(), [first, second]);
    assert_eq!(store.due(25, 1).await.unwrap(), [first]);
    let mut moved = write(first, Change::Trim { earliest: Offset(1) }, &[], 1);
    moved.due_ms = Some(90);
    store.submit(moved).settled().await.unwrap();
    assert_eq!(store.due(25, 10).await.unwrap(), [second]);
    assert!(store.due(9, 10).await.unwrap().is_empty());
}

async fn a_follower_sees_the_tail_move_and_the_stream_go(store: &dyn Store) {
    let stream = create(store, "a").await;
    let mut moved = store.watch(stream).await.unwrap();
    assert_eq!(moved.borrow_and_update().tail, Offset(0));
    append(store, stream, 0, &["one"]).await.unwrap();
    moved.changed().await.unwrap();
    assert_eq!(moved.borrow_and_update().tail, Offset(1));
    store.submit(write(stream, Change::Delete, &[], 0)).settled().await.unwrap();
    moved.wait_for(|moved| moved.deleted).await.unwrap();
}

async fn checkpoints_are_kept_by_name(store: &dyn Store) {
    let stream = create(store, "a").await;
    for state in ["old", "new"] {
        let state = Bytes::from_static(state.as_bytes());
        store.save_checkpoint(stream, "messages", state).settled().await.unwrap();
    }
    assert_eq!(store.checkpoint(stream, "messages").await.unwrap().unwrap(), "new");
    assert_eq!(store.checkpoint(stream, "queue").await.unwrap(), None);
    let missing = store.save_checkpoint(StreamNo(99), "x", Bytes::new()).settled().await;
    assert_eq!(missing, Err(WriteError::NoStream(StreamNo(99))));
}

/// Everything a reader can learn of a store.
async fn all_of(store: &dyn Store) -> (Vec<Head>, Vec<Page>, Vec<Entry>, Vec<Option<Bytes>>) {
    let heads = store.list("", "", 1_000).await.unwrap();
    let (mut pages, mut saved) = (Vec::new(), Vec::new());
    for head in &heads {
        let after = Offset(head.earliest.0 - 1);
        pages.push(store.read(head.stream, after, ALL).await.unwrap());
        saved.push(store.checkpoint(head.stream, "state").await.unwrap());
    }
    let Ordered { entries, .. } = store.read_all(Position(0), ALL).await.unwrap();
    (heads.iter().map(|head| head.as_ref().clone()).collect(), pages, entries, saved)
}

async fn a_backup_holds_one_state_whatever_is_written_while_it_is_taken(store: &dyn Store) {
    let (a, b) = (create(store, "a").await, create(store, "b/ü").await);
    append(store, a, 0, &["a1", "a2"]).await.unwrap();
    append(store, b, 0, &["b1"]).await.unwrap();
    let gone = create(store, "gone").await;
    append(store, gone, 0, &["secret"]).await.unwrap();
    store.submit(write(gone, Change::Delete, &[], 0)).settled().await.unwrap();
    let mut described = write(a, Change::Append { expected_tail: Offset(2) }, &["a3"], 9);
    described.meta =
        vec![MetaChange { key: Arc::from("k"), value: Some(Bytes::from_static(&[0, 255])) }];
    described.due_ms = Some(99);
    store.submit(described).settled().await.unwrap();
    store.submit(write(a, Change::Trim { earliest: Offset(2) }, &[], 0)).settled().await.unwrap();
    let fork = store.allocate();
    let change = Change::Create { path: Arc::from("fork"), tail: Offset(7) };
    store.submit(write(fork, change, &["f8"], 11)).settled().await.unwrap();
    store.save_checkpoint(b, "state", Bytes::from_static(b"folded")).settled().await.unwrap();
    let before = all_of(store).await;
    let mut backup = store.backup(5).await.unwrap();
    append(store, a, 3, &["later"]).await.unwrap();
    store.submit(write(a, Change::Trim { earliest: Offset(4) }, &[], 0)).settled().await.unwrap();
    store.submit(write(b, Change::Delete, &[], 0)).settled().await.unwrap();
    create(store, "new").await;
    let mut bytes = Vec::new();
    while let Some(part) = backup.next().await {
        bytes.extend_from_slice(&part);
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let restored = sled::restore(&mut &bytes[..], &dir, &mut |_, _| {}).unwrap();
    assert_eq!((restored.report.problems, restored.report.records), (Vec::new(), 4));
    assert_eq!(restored.manifest.created_ms, 5);
    let restored = SledStore::open(&dir, Arc::default()).unwrap();
    assert_eq!(all_of(&restored).await, before);
    assert!(restored.allocate() > fork, "numbers that were given out are not given out again");
    append(&restored, a, 3, &["a4"]).await.unwrap();
    let Ordered { entries, .. } = restored.read_all(Position(0), ALL).await.unwrap();
    let last = |entries: &[Entry]| entries.last().unwrap().record.position;
    assert!(last(&entries) > last(&before.2));
}

async fn nothing_is_written_after_closing(store: &dyn Store) {
    let stream = create(store, "a").await;
    let before =
        store.submit(write(stream, Change::Append { expected_tail: Offset(0) }, &["last"], 0));
    store.close().await.unwrap();
    before.settled().await.unwrap();
    assert_eq!(append(store, stream, 1, &["late"]).await, Err(WriteError::Closed));
}

/// Runs one test on each store: in memory, on disk with everything in the journal, and on disk
/// with everything compacted into blocks after each write.
macro_rules! contract {
    ($($test:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $test() { super::$test(&super::MemoryStore::default()).await; })*
        }
        mod journal {
            $(#[tokio::test] async fn $test() {
                let folder = tempfile::tempdir().unwrap();
                super::$test(&super::open(&folder)).await;
            })*
        }
        mod blocks {
            $(#[tokio::test] async fn $test() {
                let folder = tempfile::tempdir().unwrap();
                super::$test(&super::Compacting(super::open(&folder))).await;
            })*
        }
    };
}

fn open(folder: &tempfile::TempDir) -> SledStore {
    SledStore::open(folder.path(), Arc::new(Metrics::default())).unwrap()
}

contract! {
    appends_are_read_back_in_order_with_their_offsets
    an_append_at_another_tail_is_a_conflict_and_writes_nothing
    writes_take_effect_in_the_order_they_were_submitted
    a_path_has_one_stream_until_it_is_deleted
    metadata_changes_with_the_records_it_came_with
    trimming_moves_the_earliest_offset_forward_only
    a_stream_begins_behind_the_place_it_is_given
    pages_end_at_their_limit_and_hold_one_record_at_least
    the_commit_order_has_every_kept_record_once
    the_commit_order_says_of_which_streams_records_were_trimmed
    a_time_is_found_by_the_first_record_that_is_not_older
    streams_are_listed_by_prefix_in_path_order
    due_streams_come_with_the_most_overdue_first
    a_follower_sees_the_tail_move_and_the_stream_go
    checkpoints_are_kept_by_name
    a_backup_holds_one_state_whatever_is_written_while_it_is_taken
    nothing_is_written_after_closing
}

/// A store on disk whose reads find nothing in memory.
#[derive(Debug)]
struct Compacting(SledStore);

impl Store for Compacting {
    fn allocate(&self) -> StreamNo {
        self.0.allocate()
    }

    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<Permit, WriteError>> {
        self.0.reserve(bytes)
    }

    fn submit(&self, write: Write) -> super::Ticket {
        self.0.submit(write)
    }

    fn find(&self, path: &str) -> BoxFuture<'_, Result<Option<Arc<Head>>, ReadError>> {
        self.0.compact();
        self.0.find(path)
    }

    fn head(&self, stream: StreamNo) -> BoxFuture<'_, Result<Option<Arc<Head>>, ReadError>> {
        self.0.compact();
        self.0.head(stream)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, ReadError>> {
        self.0.compact();
        self.0.list(prefix, after, limit)
    }

    fn read(
        &self,
        stream: StreamNo,
        after: Offset,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Page, ReadError>> {
        self.0.compact();
        self.0.read(stream, after, limit)
    }

    fn read_all(
        &self,
        after: Position,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Ordered, ReadError>> {
        self.0.compact();
        self.0.read_all(after, limit)
    }

    fn seek(&self, stream: StreamNo, ms: u64) -> BoxFuture<'_, Result<Offset, ReadError>> {
        self.0.compact();
        self.0.seek(stream, ms)
    }

    fn due(&self, ms: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StreamNo>, ReadError>> {
        self.0.compact();
        self.0.due(ms, limit)
    }

    fn watch(&self, stream: StreamNo) -> BoxFuture<'_, Result<watch::Receiver<Moved>, ReadError>> {
        self.0.watch(stream)
    }

    fn watch_all(&self) -> watch::Receiver<Position> {
        self.0.watch_all()
    }

    fn save_checkpoint(&self, stream: StreamNo, name: &str, state: Bytes) -> super::Ticket {
        self.0.save_checkpoint(stream, name, state)
    }

    fn checkpoint<'a>(
        &'a self,
        stream: StreamNo,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>> {
        self.0.compact();
        self.0.checkpoint(stream, name)
    }

    fn backup(&self, now_ms: u64) -> BoxFuture<'_, Result<Backup, ReadError>> {
        self.0.compact();
        self.0.backup(now_ms)
    }

    fn poisoned(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.0.poisoned()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), WriteError>> {
        self.0.close()
    }
}
