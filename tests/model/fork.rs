//! Forks against a naive model, in which a fork is a copy: random forks of forks, appends to any
//! of them, deletions, restarts, over the store on disk.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use scrollback::{
    clock::ManualClock,
    log::{
        Append, AppendError, CreateError, Creation, Expiry, Fork, Log, NewRecord, Offset,
        ReadError, Step, StreamSpec,
    },
    metrics::Metrics,
    store::{
        Batch, Change, MetaChange, PageLimit, Permit, Store as _, StreamNo, Write,
        memory::MemoryStore, sled::SledStore,
    },
};

use crate::util::{ALL, NOW_MS, SIZES, block_on, log_over, path};

#[derive(Debug, Clone)]
enum Op {
    Create(u8),
    Fork { from: u8, to: u8, at: u8 },
    Append { to: u8, count: u8 },
    Delete(u8),
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let name = 0..6_u8;
    prop_oneof![
        2 => name.clone().prop_map(Op::Create),
        5 => (name.clone(), name.clone(), any::<u8>())
            .prop_map(|(from, to, at)| Op::Fork { from, to, at }),
        6 => (name.clone(), 1..6_u8).prop_map(|(to, count)| Op::Append { to, count }),
        2 => name.prop_map(Op::Delete),
        1 => Just(Op::Restart),
    ]
}

/// A stream of the model: all it shows, whom it was forked from, and whether it is only kept for
/// its forks.
#[derive(Debug, Clone)]
struct Copied {
    records: Vec<u32>,
    source: Option<u8>,
    deleted: bool,
}

type Model = BTreeMap<u8, Copied>;

fn has_forks(model: &Model, name: u8) -> bool {
    model.values().any(|stream| stream.source == Some(name))
}

/// Deletes as the protocol says: hidden while there are forks, and sources go with their last one.
fn delete(model: &mut Model, name: u8) {
    if has_forks(model, name) {
        model.get_mut(&name).unwrap().deleted = true;
        return;
    }
    let mut source = model.remove(&name).unwrap().source;
    while let Some(name) = source {
        if !model[&name].deleted || has_forks(model, name) {
            return;
        }
        source = model.remove(&name).unwrap().source;
    }
}

fn name(number: u8) -> String {
    format!("s{number}")
}

fn payload(number: u32) -> Bytes {
    Bytes::from(format!("{number} {}", "x".repeat(number as usize % 700)))
}

async fn read(log: &Log, number: u8, after: u64, limit: PageLimit) -> Vec<Bytes> {
    let (mut at, mut payloads) = (Offset(after), Vec::new());
    loop {
        let page = log.read(&path(&name(number)), at, limit).await.unwrap();
        let Some(last) = page.records.last() else { return payloads };
        for (record, offset) in page.records.iter().zip(at.0 + 1..) {
            assert_eq!(record.offset.0, offset);
        }
        at = last.offset;
        payloads.extend(page.records.into_iter().map(|record| record.payload));
    }
}

async fn check(log: &Log, model: &Model) {
    for number in 0..6 {
        let at = path(&name(number));
        let info = log.info(&at).await;
        let Some(stream) = model.get(&number) else {
            assert!(matches!(info, Err(ReadError::NoStream(_))), "{number}: {info:?}");
            continue;
        };
        if stream.deleted {
            assert!(matches!(info, Err(ReadError::Gone(_))), "{number}: {info:?}");
            continue;
        }
        let info = info.unwrap();
        assert_eq!((info.earliest, info.tail.0), (Offset(1), stream.records.len() as u64));
        let expected: Vec<Bytes> = stream.records.iter().copied().map(payload).collect();
        assert!(read(log, number, 0, ALL).await == expected, "{number}");
        let small = PageLimit { records: 3, bytes: 800 };
        let middle = expected.len() / 2;
        assert!(read(log, number, middle as u64, small).await == expected[middle..], "{number}");
        // A reader that follows sees the same.
        let mut reader = log.follow(&at, Offset(0)).await.unwrap().with_limit(small);
        let mut followed = Vec::new();
        while let Step::Page(page) = reader.next().await.unwrap() {
            followed.extend(page.records.iter().map(|record| record.payload.clone()));
        }
        assert!(followed == expected, "{number}");
    }
}

async fn apply(log: &Log, model: &mut Model, op: &Op, next: &mut u32) {
    match *op {
        Op::Create(number) => {
            let created = log.create(&path(&name(number)), StreamSpec::json()).await;
            match model.get(&number) {
                None => {
                    assert!(!created.unwrap().existed);
                    let stream = Copied { records: Vec::new(), source: None, deleted: false };
                    model.insert(number, stream);
                }
                Some(stream) if stream.deleted || stream.source.is_some() => {
                    assert!(matches!(created, Err(CreateError::Exists(_))), "{created:?}");
                }
                Some(_) => assert!(created.unwrap().existed),
            }
        }
        Op::Fork { from, to, at } => {
            if from == to || model.contains_key(&to) {
                return;
            }
            let tail = model.get(&from).map_or(0, |stream| stream.records.len());
            let at = usize::from(at) % (tail + 2);
            let fork = Fork { source: path(&name(from)), at: Some(Offset(at as u64)), sub: 0 };
            let creation = Creation { fork: Some(fork), ..StreamSpec::json().into() };
            let created = log.create(&path(&name(to)), creation).await;
            match model.get(&from) {
                None => assert!(matches!(created, Err(CreateError::NoSource(_))), "{created:?}"),
                Some(stream) if stream.deleted => {
                    assert!(matches!(created, Err(CreateError::Exists(_))), "{created:?}");
                }
                Some(_) if at > tail => {
                    assert!(matches!(created, Err(CreateError::ForkBeyond { .. })), "{created:?}");
                }
                Some(stream) => {
                    assert_eq!(created.unwrap().info.tail.0, at as u64);
                    let records = stream.records[..at].to_vec();
                    let stream = Copied { records, source: Some(from), deleted: false };
                    model.insert(to, stream);
                }
            }
        }
        Op::Append { to, count } => {
            let numbers: Vec<u32> = (*next..*next + u32::from(count)).collect();
            *next += u32::from(count);
            let records = numbers.iter().map(|n| NewRecord { id: None, payload: payload(*n) });
            let append = Append { create: None, ..Append::json(records) };
            let appended = log.append(&path(&name(to)), append).await;
            match model.get_mut(&to) {
                None => assert!(matches!(appended, Err(AppendError::NoStream(_)))),
                Some(stream) if stream.deleted => {
                    assert!(matches!(appended, Err(AppendError::Gone(_))), "{appended:?}");
                }
                Some(stream) => {
                    stream.records.extend(numbers);
                    assert_eq!(appended.unwrap().tail.0, stream.records.len() as u64);
                }
            }
        }
        Op::Delete(number) => {
            let deleted = log.delete(&path(&name(number))).await;
            let is_there = model.get(&number).is_some_and(|stream| !stream.deleted);
            assert_eq!(deleted.is_ok(), is_there, "{deleted:?}");
            if is_there {
                delete(model, number);
            }
        }
        Op::Restart => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default()
    })]

    #[test]
    fn a_fork_reads_like_a_copy(ops in proptest::collection::vec(op(), 1..40)) {
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let clock = ManualClock::at(NOW_MS);
            let open = || {
                let metrics = Arc::new(Metrics::default());
                let store = SledStore::open_sized(folder.path(), metrics, SIZES).unwrap();
                log_over(Arc::new(store), &clock)
            };
            let (mut log, mut model, mut next) = (open(), Model::new(), 1);
            for op in &ops {
                if matches!(op, Op::Restart) {
                    log.stop().await.unwrap();
                    drop(log);
                    log = open();
                }
                apply(&log, &mut model, op, &mut next).await;
                check(&log, &model).await;
            }
            log.stop().await.unwrap();
        });
    }
}

/// A crash between the note at the source and the fork itself leaves a note of nothing.
#[tokio::test]
async fn a_source_forgets_a_fork_that_never_came_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let store = Arc::new(SledStore::open_sized(folder.path(), metrics, SIZES).unwrap());
    let clock = ManualClock::at(NOW_MS);
    let log = log_over(Arc::<SledStore>::clone(&store), &clock);
    log.create(&path("a"), StreamSpec::json()).await.unwrap();
    log.create(&path("b"), StreamSpec::json()).await.unwrap();
    let stream = store.find("a").await.unwrap().unwrap().stream;
    let other = store.find("b").await.unwrap().unwrap().stream;
    // One number that no stream has, and one that another stream has got since.
    let note = |number: u64| MetaChange {
        key: Arc::from(format!("fork/{number}")),
        value: Some(Bytes::new()),
    };
    store.submit(only(stream, vec![note(4_242), note(other.0)])).settled().await.unwrap();
    let log = log_over(Arc::<SledStore>::clone(&store), &clock);
    log.delete(&path("a")).await.unwrap();
    let gone = log.info(&path("a")).await;
    assert!(matches!(gone, Err(ReadError::NoStream(_))), "{gone:?}");
    assert!(log.info(&path("b")).await.is_ok());
    assert!(!log.create(&path("a"), StreamSpec::json()).await.unwrap().existed);
}

/// Whoever is told that a fork was made can read in it what its source had, though the source was
/// deleted, read or swept at the very moment.
#[tokio::test]
async fn a_fork_that_was_made_keeps_what_it_inherits_whatever_becomes_of_its_source_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let store = SledStore::open_sized(folder.path(), metrics, SIZES).unwrap();
    let clock = ManualClock::at(NOW_MS);
    let log = log_over(Arc::new(store), &clock);
    let (mut made, mut refused) = (0, 0);
    for round in 0..200 {
        let (source, fork) = (path(&format!("s{round}")), path(&format!("f{round}")));
        log.create(&source, StreamSpec::json()).await.unwrap();
        let record = NewRecord { id: None, payload: payload(round) };
        let append = Append { create: None, ..Append::json([record]) };
        log.append(&source, append).await.unwrap();
        let fork_of = Fork { source: source.clone(), at: None, sub: 0 };
        let creation = Creation { fork: Some(fork_of), ..StreamSpec::json().into() };
        let deleting = async {
            for _ in 0..round % 20 {
                tokio::task::yield_now().await;
            }
            let deleted = log.delete(&source).await;
            // Others look at it as soon as it is hidden.
            drop(log.info(&source).await);
            deleted
        };
        let (created, deleted) = tokio::join!(log.create(&fork, creation), deleting);
        deleted.unwrap();
        match created {
            Ok(_) => {
                let page = log.read(&fork, Offset(0), ALL).await.unwrap();
                assert_eq!(page.records.len(), 1, "round {round}");
                made += 1;
            }
            Err(CreateError::NoSource(_) | CreateError::Exists(_)) => refused += 1,
            Err(error) => panic!("round {round}: {error}"),
        }
        drop(log.delete(&fork).await);
        assert!(matches!(log.info(&source).await, Err(ReadError::NoStream(_))), "round {round}");
    }
    assert!(made > 0 && refused > 0, "{made} were made and {refused} refused");
    log.stop().await.unwrap();
}

/// A write of metadata alone, to a stream without records.
fn only(stream: StreamNo, meta: Vec<MetaChange>) -> Write {
    Write {
        stream,
        change: Change::Append { expected_tail: Offset(0) },
        records: Batch::new(),
        timestamp_ms: 0,
        meta,
        due_ms: None,
        permit: Permit::default(),
    }
}

/// A crash between a source's learning that its last fork is no more and its own end leaves a
/// stream that is kept for nobody.
#[tokio::test]
async fn a_source_that_is_kept_for_nobody_goes_when_it_is_looked_at() {
    for look in ["read", "sweep", "make"] {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::default());
        let store = Arc::new(SledStore::open_sized(folder.path(), metrics, SIZES).unwrap());
        let clock = ManualClock::at(NOW_MS);
        let log = log_over(Arc::<SledStore>::clone(&store), &clock);
        log.create(&path("root"), StreamSpec::json()).await.unwrap();
        for (source, fork) in [("root", "a"), ("a", "b")] {
            let fork_of = Fork { source: path(source), at: None, sub: 0 };
            let creation = Creation { fork: Some(fork_of), ..StreamSpec::json().into() };
            log.create(&path(fork), creation).await.unwrap();
        }
        let number = |name: &'static str| {
            let found = store.find(name);
            async move { found.await.unwrap().unwrap().stream }
        };
        let (a, b) = (number("a").await, number("b").await);
        log.delete(&path("root")).await.unwrap();
        log.delete(&path("a")).await.unwrap();
        let gone = MetaChange { key: Arc::from(format!("fork/{}", b.0)), value: None };
        store.submit(only(a, vec![gone])).settled().await.unwrap();
        let log = log_over(Arc::<SledStore>::clone(&store), &clock);
        match look {
            "read" => drop(log.info(&path("a")).await),
            "sweep" => {
                clock.advance(Duration::from_secs(60 * 24 * 3_600));
                log.sweep().await.unwrap();
            }
            _ => assert!(!log.create(&path("a"), StreamSpec::json()).await.unwrap().existed),
        }
        if look != "make" {
            assert!(store.find("a").await.unwrap().is_none(), "{look} has not found it");
        }
        assert!(store.find("root").await.unwrap().is_none(), "{look} has not freed its source");
    }
}

/// A source that is over while a fork lives is hidden, and the sweeper has nothing to do with it.
#[tokio::test]
async fn a_source_that_is_over_is_kept_for_its_fork_and_goes_with_it() {
    let clock = ManualClock::at(NOW_MS);
    let log = log_over(Arc::new(MemoryStore::default()), &clock);
    let spec = StreamSpec { expiry: Some(Expiry::Idle { seconds: 1 }), ..StreamSpec::json() };
    log.create(&path("a"), spec).await.unwrap();
    let record = NewRecord { id: None, payload: payload(1) };
    let append = Append { create: None, ..Append::json([record]) };
    log.append(&path("a"), append.clone()).await.unwrap();
    let fork = Fork { source: path("a"), at: None, sub: 0 };
    let creation = Creation { fork: Some(fork), ..StreamSpec::json().into() };
    log.create(&path("b"), creation).await.unwrap();
    clock.advance(Duration::from_secs(2));
    assert!(log.info(&path("a")).await.is_err());
    let refused = log.append(&path("a"), append).await;
    assert!(matches!(refused, Err(AppendError::Gone(_))), "{refused:?}");
    for _ in 0..3 {
        log.sweep().await.unwrap();
        clock.advance(Duration::from_secs(60));
    }
    assert_eq!(log.read(&path("b"), Offset(0), ALL).await.unwrap().records.len(), 1);
    log.delete(&path("b")).await.unwrap();
    let gone = log.info(&path("a")).await;
    assert!(matches!(gone, Err(ReadError::NoStream(_))), "{gone:?}");
}
