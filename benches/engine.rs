//! The engine without HTTP: store append, log append, catch-up read, frame encoding, recovery.
//! Rates and medians with a fixed payload; `scrollback bench` measures what a client sees.

#![expect(clippy::expect_used, reason = "a bench that cannot go on stops")]

use std::{hint::black_box, path::Path, sync::Arc};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use scrollback::{
    clock::SystemClock,
    log::{Append, Log, NewRecord, Offset, Settings, Step, StreamPath},
    metrics::Metrics,
    session::Stored,
    store::{Batch, Change, Permit, Position, Record, Store, StreamNo, Write, sled::SledStore},
    wire::sse,
};
use tokio::runtime::Runtime;

const EVENT: &str = r#"{"id":"01KAEXAMPLE0000000000000","channel":"message","type":"message.part.delta","timestamp":1795200000000,"data":{"messageId":"msg_1","partId":"prt_1","field":"text","delta":"so each request waits for its own timer, and the clock moved back"}}"#;
/// Appends at work at the same time: they share flushes, as they do in the server.
const CONCURRENT: usize = 64;
const CATCH_UP_RECORDS: u64 = 100_000;

fn payload() -> Bytes {
    Bytes::from_static(EVENT.as_bytes())
}

fn open(path: &Path) -> Arc<SledStore> {
    Arc::new(SledStore::open(path, Arc::new(Metrics::default())).expect("the folder opens"))
}

fn log_over(store: Arc<SledStore>) -> Log {
    let metrics = Arc::new(Metrics::default());
    Log::new(store, Arc::new(SystemClock), Settings::default(), metrics)
}

fn write(stream: StreamNo, change: Change, records: Batch) -> Write {
    let permit = Permit::default();
    Write { stream, change, records, timestamp_ms: 0, meta: Vec::new(), due_ms: None, permit }
}

fn store_append(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let store = open(folder.path());
    let stream = store.allocate();
    let create = Change::Create { path: Arc::from("bench"), tail: Offset(0) };
    runtime.block_on(store.submit(write(stream, create, Batch::new())).settled()).expect("created");
    let mut tail = 0;
    let mut group = criterion.benchmark_group("store_append");
    for count in [1, CONCURRENT] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("writes_in_flight", count), |bencher| {
            bencher.iter(|| {
                let tickets: Vec<_> = (0..count)
                    .map(|_| {
                        let change = Change::Append { expected_tail: Offset(tail) };
                        tail += 1;
                        store.submit(write(stream, change, [payload()].into_iter().collect()))
                    })
                    .collect();
                for ticket in tickets {
                    runtime.block_on(ticket.settled()).expect("durable");
                }
            });
        });
    }
    group.finish();
}

fn log_append(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let log = log_over(open(folder.path()));
    let paths: Vec<_> = (0..1_000)
        .map(|number| StreamPath::parse(&format!("bench/{number}")).expect("a path"))
        .collect();
    let mut group = criterion.benchmark_group("log_append");
    for batch in [1, 100] {
        group.throughput(Throughput::Elements((CONCURRENT * batch) as u64));
        group.bench_function(BenchmarkId::new("batch", batch), |bencher| {
            bencher.iter(|| {
                let mut appends = tokio::task::JoinSet::new();
                let _entered = runtime.enter();
                for path in paths.iter().take(CONCURRENT) {
                    let (log, path) = (log.clone(), path.clone());
                    appends.spawn(async move {
                        let record = || NewRecord { id: None, payload: payload() };
                        log.append(&path, Append::json((0..batch).map(|_| record()))).await
                    });
                }
                for appended in runtime.block_on(appends.join_all()) {
                    appended.expect("durable");
                }
            });
        });
    }
    group.finish();
}

/// A log with one stream of many records, in memory or in blocks.
fn filled(runtime: &Runtime, path: &Path, compacted: bool) -> (Arc<SledStore>, Log) {
    let store = open(path);
    let log = log_over(Arc::clone(&store));
    let stream = StreamPath::parse("bench").expect("a path");
    runtime.block_on(async {
        for _ in 0..CATCH_UP_RECORDS / 1_000 {
            let records = (0..1_000).map(|_| NewRecord { id: None, payload: payload() });
            log.append(&stream, Append::json(records)).await.expect("durable");
        }
    });
    if compacted {
        store.compact();
    }
    (store, log)
}

fn catch_up(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("catch_up");
    group.throughput(Throughput::Elements(CATCH_UP_RECORDS)).sample_size(10);
    for (name, compacted) in [("memory", false), ("blocks", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (_store, log) = filled(&runtime, folder.path(), compacted);
        let stream = StreamPath::parse("bench").expect("a path");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let mut reader = log.follow(&stream, Offset(0)).await.expect("it is there");
                    while let Step::Page(page) = reader.next().await.expect("it reads") {
                        black_box(page);
                    }
                });
            });
        });
    }
    group.finish();
}

fn recovery(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let (store, log) = filled(&runtime, folder.path(), false);
    // What a kill leaves: the files as they are while the store is open.
    let killed = tempfile::tempdir().expect("a folder");
    copy(folder.path(), killed.path());
    drop((store, log));
    let mut group = criterion.benchmark_group("recovery");
    group.throughput(Throughput::Elements(CATCH_UP_RECORDS)).sample_size(10);
    group.bench_function("replay_of_the_journal", |bencher| {
        bencher.iter_batched(
            || {
                let again = tempfile::tempdir().expect("a folder");
                copy(killed.path(), again.path());
                again
            },
            |again| {
                let store = open(again.path());
                (again, store)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            std::fs::create_dir_all(&target).expect("a folder");
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}

fn encode(records: &[Record]) -> Vec<u8> {
    let (mut out, mut head) = (Vec::with_capacity(records.len() * 512), Vec::new());
    for record in records {
        let (offset, timestamp_ms) = (record.offset.0, record.timestamp_ms);
        let stored = Stored { offset, timestamp_ms, payload: &record.payload };
        let parts = stored.parts(&mut head);
        sse::frame(&mut out, offset, None, &parts);
    }
    out
}

fn frames(criterion: &mut Criterion) {
    let records: Vec<Record> = (1..=1_000)
        .map(|number| Record {
            offset: Offset(number),
            position: Position(number),
            timestamp_ms: 0,
            payload: payload(),
        })
        .collect();
    let mut group = criterion.benchmark_group("sse_frames");
    group.throughput(Throughput::Elements(records.len() as u64));
    group.bench_function("page", |bencher| {
        bencher.iter(|| encode(black_box(&records)));
    });
    group.finish();
}

criterion_group!(engine, store_append, log_append, catch_up, frames, recovery);
criterion_main!(engine);
