//! The sweeper on a clock that the test moves, with writers and readers at work: what is older
//! than its stream's retention goes, nothing else does, and readers are told.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use scrollback::{
    clock::{Clock as _, ManualClock},
    limits,
    log::{Append, Log, NewRecord, Offset, Position, ReadError, Step, StreamSpec, sweeper},
    metrics::Metrics,
    store::{Store, memory::MemoryStore, sled::SledStore},
};
use tokio::{sync::mpsc, task::JoinSet};

use crate::util::{ALL, NOW_MS, SIZES, log_over, path};

const MINUTE: Duration = Duration::from_secs(60);
const RETENTION_MS: u64 = 10 * 60_000;
const ROUNDS: u64 = 120;
const STREAMS: [&str; 3] = ["a", "b", "c"];

/// Appends a record that holds its own time.
async fn write(log: &Log, clock: &ManualClock, at: &str) {
    let payload = Bytes::from(clock.now_ms().to_string());
    let append = Append::json([NewRecord { id: None, payload }]);
    log.append(&path(at), append).await.unwrap();
}

fn time(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

/// Follows a stream and takes a step for each word to do so, until the stream is deleted: a reader
/// that fell behind may take two records in one step, and then waits where it has a word too many.
/// Answers with what it saw and what it was told is gone.
async fn read(
    log: Log,
    clock: Arc<ManualClock>,
    at: &'static str,
    mut go: mpsc::Receiver<()>,
) -> (u64, u64) {
    let mut reader = log.follow(&path(at), Offset(0)).await.unwrap();
    let (mut seen, mut skipped) = (0, 0);
    while go.recv().await.is_some() {
        match reader.next().await {
            Ok(Step::Page(page)) => {
                for record in &page.records {
                    assert_eq!(record.offset.0, seen + skipped + 1);
                    seen += 1;
                }
            }
            Ok(Step::CaughtUp { .. }) => {}
            Ok(Step::Deleted) => break,
            Ok(step) => panic!("{step:?}"),
            Err(ReadError::Trimmed { earliest }) => {
                skipped = earliest.0 - 1 - seen;
                reader.skip_to(Offset(earliest.0 - 1));
                assert!(clock.now_ms() > NOW_MS + RETENTION_MS, "gone too early");
            }
            Err(error) => panic!("{error}"),
        }
    }
    (seen, skipped)
}

/// Nothing kept is older than the retention, and nothing younger is missing.
async fn check(log: &Log, clock: &ManualClock, at: &str, written: &[u64]) {
    let info = log.info(&path(at)).await.unwrap();
    let mut kept = Vec::new();
    while info.earliest.0 - 1 + (kept.len() as u64) < info.tail.0 {
        let after = Offset(info.earliest.0 - 1 + kept.len() as u64);
        kept.extend(log.read(&path(at), after, ALL).await.unwrap().records);
    }
    let now_ms = clock.now_ms();
    for record in &kept {
        assert_eq!(time(&record.payload), written[usize::try_from(record.offset.0).unwrap() - 1]);
        let age_ms = now_ms - record.timestamp_ms;
        assert!(age_ms <= RETENTION_MS, "a record of {age_ms} ms is kept in {at}");
    }
    let gone = usize::try_from(info.earliest.0 - 1).unwrap();
    assert_eq!(written.len(), gone + kept.len());
    for time in &written[..gone] {
        assert!(now_ms - time > RETENTION_MS, "a record of {} ms is gone from {at}", now_ms - time);
    }
}

async fn sweep_with_writers_and_readers(store: Arc<dyn Store>) {
    let clock = ManualClock::at(NOW_MS);
    let log = log_over(store, &clock);
    let spec =
        StreamSpec { retention: Some(Duration::from_millis(RETENTION_MS)), ..StreamSpec::json() };
    let mut readers = JoinSet::new();
    let mut go = Vec::new();
    for at in STREAMS {
        log.create(&path(at), spec.clone()).await.unwrap();
        for _ in 0..2 {
            let (sender, receiver) = mpsc::channel(1);
            go.push(sender);
            readers.spawn(read(log.clone(), Arc::clone(&clock), at, receiver));
        }
    }
    let mut written = vec![Vec::new(); STREAMS.len()];
    for round in 0..ROUNDS {
        // What was due before this round goes while it writes.
        let mut sweep = JoinSet::new();
        let sweeping = log.clone();
        sweep.spawn(async move { sweeping.sweep().await.unwrap() });
        for (at, written) in STREAMS.iter().zip(&mut written) {
            write(&log, &clock, at).await;
            written.push(clock.now_ms());
        }
        // The first reader of a stream keeps up, the second looks once in a while.
        for sender in go.iter().step_by(2) {
            sender.send(()).await.unwrap();
        }
        if round % 25 == 24 {
            for sender in go.iter().skip(1).step_by(2) {
                sender.send(()).await.unwrap();
            }
        }
        sweep.join_all().await;
        for (at, written) in STREAMS.iter().zip(&written) {
            check(&log, &clock, at, written).await;
        }
        clock.advance(MINUTE / 2);
    }
    drop(go);
    for at in STREAMS {
        log.delete(&path(at)).await.unwrap();
    }
    let told = readers.join_all().await;
    assert!(told.iter().any(|(_, skipped)| *skipped > 0), "nobody was told of a gap: {told:?}");
    assert!(told.iter().any(|(seen, skipped)| *seen > 100 && *skipped == 0), "{told:?}");
}

#[tokio::test]
async fn the_sweeper_removes_what_is_old_and_nothing_else_in_memory() {
    sweep_with_writers_and_readers(Arc::new(MemoryStore::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweeper_removes_what_is_old_and_nothing_else_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let store = SledStore::open_sized(folder.path(), metrics, SIZES).unwrap();
    sweep_with_writers_and_readers(Arc::new(store)).await;
}

#[tokio::test]
async fn the_sweeper_wakes_by_itself_when_its_time_has_come() {
    let clock = ManualClock::at(NOW_MS);
    let log = log_over(Arc::new(MemoryStore::default()), &clock);
    let retention = Some(Duration::from_millis(RETENTION_MS));
    log.create(&path("a"), StreamSpec { retention, ..StreamSpec::json() }).await.unwrap();
    write(&log, &clock, "a").await;
    let mut tasks = JoinSet::new();
    tasks.spawn(sweeper::run(log.clone()));
    tokio::task::yield_now().await;
    clock.advance(Duration::from_millis(RETENTION_MS + 1).max(limits::SWEEP_EVERY));
    while log.info(&path("a")).await.unwrap().earliest == Offset(1) {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.info(&path("a")).await.unwrap().earliest, Offset(2));
}

/// What a reader in commit order is told that is gone, from the beginning on: whether of streams
/// that are not known any more, and up to where.
async fn removed(log: &Log) -> (bool, Position) {
    let (mut at, mut unknown, mut last) = (Position(0), false, Position(0));
    loop {
        let page = log.read_order(at, ALL).await.unwrap();
        unknown |= page.removed.iter().any(|removed| removed.path.is_none());
        last = page.removed.iter().map(|removed| removed.last).fold(last, Position::max);
        if page.next == at {
            return (unknown, last);
        }
        at = page.next;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_is_told_though_the_order_has_let_go_of_it() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::at(NOW_MS));
    let open = || {
        let metrics = Arc::new(Metrics::default());
        Arc::new(SledStore::open_sized(folder.path(), metrics, SIZES).unwrap())
    };
    let store = open();
    let log = log_over(store.clone(), &clock);
    let retention = Some(Duration::from_millis(RETENTION_MS));
    log.create(&path("a"), StreamSpec { retention, ..StreamSpec::json() }).await.unwrap();
    let noise = |seed: u64| {
        let numbers = (0..1_000).map(|n| (seed * 1_000 + n).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Bytes::from(format!("{:?}", numbers.collect::<Vec<_>>()))
    };
    let write = async |at: &str, seed| {
        let append = Append::json([NewRecord { id: None, payload: noise(seed) }]);
        log.append(&path(at), append).await.unwrap();
        store.compact();
    };
    for seed in 0..10 {
        write("a", seed).await;
    }
    assert_eq!(removed(&log).await, (false, Position(0)));
    clock.advance(Duration::from_millis(RETENTION_MS + 1));
    log.sweep().await.unwrap();
    assert_eq!(removed(&log).await, (false, Position(10)));
    // Whatever the compactor gives back, it is said that ten records are gone.
    let mut rounds = 10;
    loop {
        write("b", rounds).await;
        rounds += 1;
        let (unknown, last) = removed(&log).await;
        assert_eq!(last, Position(10));
        if unknown {
            break;
        }
        assert!(rounds < 100, "the compactor gives nothing back");
    }
    log.stop().await.unwrap();
    drop((log, store));
    let again = log_over(open(), &clock);
    assert_eq!(removed(&again).await, (true, Position(10)));
}
