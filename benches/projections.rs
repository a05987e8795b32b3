//! States of sessions: how fast events fold, in all and in each projection; what opening a long
//! session costs with a checkpoint and without one; the list of many sessions.

#![expect(clippy::expect_used, reason = "a bench that cannot go on stops")]

use std::{fmt::Write, hint::black_box, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scrollback::{
    clock::SystemClock,
    log::{Append, Log, NewRecord, Offset, Record, Settings, StreamPath, Told},
    metrics::Metrics,
    projection::{Fold, OrderFold, Projection, Views},
    session::{
        Stored,
        list::{Asked, Sessions},
        projections::{Event, Projections},
    },
    store::{Position, sled::SledStore},
};
use tokio::runtime::Runtime;

mod served;

/// The same as the server has: with another one, large states cost what they do not cost there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Messages of a long session; each is a beginning and 99 pieces.
const MESSAGES: usize = 1_000;
const EVENTS: u64 = 100_000;
const LISTED: usize = 100_000;

fn event(number: usize, kind: &str, data: &str) -> Bytes {
    let mut event = String::new();
    write!(
        event,
        r#"{{"id":"e{number}","channel":"message","type":"{kind}","timestamp":1795200000000,"data":{data}}}"#
    )
    .expect("it is memory");
    Bytes::from(event)
}

/// A long conversation: answers that came in pieces of 40 bytes.
fn conversation() -> Vec<Bytes> {
    let mut events = Vec::new();
    for message in 0..MESSAGES {
        let data = format!(r#"{{"messageId":"m{message}","role":"assistant"}}"#);
        events.push(event(events.len(), "message.created", &data));
        for _ in 0..99 {
            let data = format!(
                r#"{{"messageId":"m{message}","partId":"p","field":"text","delta":"so each request waits for its own timer, "}}"#
            );
            events.push(event(events.len(), "message.part.delta", &data));
        }
    }
    events
}

fn records(payloads: impl IntoIterator<Item = Bytes>) -> Vec<Record> {
    let numbered = (1..).zip(payloads);
    numbered
        .map(|(number, payload)| Record {
            offset: Offset(number),
            position: Position(number),
            timestamp_ms: 1_795_200_000_000,
            payload,
        })
        .collect()
}

fn fold(criterion: &mut Criterion) {
    let records = records(conversation());
    let mut group = criterion.benchmark_group("fold");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    group.bench_function("conversation", |bencher| {
        bencher.iter(|| {
            let mut state = Projections::default();
            for record in &records {
                state.fold(record);
            }
            black_box(state)
        });
    });
    group.finish();
}

/// The events of the sample sessions, one behind the other: a coding agent, people who chat, a
/// terminal, a worker.
fn mixed() -> Vec<Bytes> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sessions");
    let text = |name| std::fs::read_to_string(root.join(name)).expect("a sample");
    let names =
        ["coding-agent.ndjson", "team-chat.ndjson", "terminal.ndjson", "worker-chat.ndjson"];
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    names.into_iter().flat_map(|name| lines(text(name))).map(Bytes::from).collect()
}

fn stored(record: &Record) -> Stored<'_> {
    let (offset, timestamp_ms) = (record.offset.0, record.timestamp_ms);
    Stored { offset, timestamp_ms, payload: &record.payload }
}

fn fold_each(criterion: &mut Criterion) {
    let records = records(mixed());
    let events: Vec<_> = records.iter().filter_map(|record| Event::read(&stored(record))).collect();
    let mut group = criterion.benchmark_group("fold_of_mixed_events");
    group.throughput(Throughput::Elements(events.len() as u64)).sample_size(10);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group.bench_function("all_with_reading", |bencher| {
        bencher.iter_with_large_drop(|| {
            let mut state = Projections::default();
            for record in &records {
                state.fold(record);
            }
            state
        });
    });
    group.bench_function("reading", |bencher| {
        bencher.iter(|| {
            for record in &records {
                black_box(Event::read(&stored(record)));
            }
        });
    });
    macro_rules! each {
        ($($field:ident)*) => {
            let fields = [$(stringify!($field)),*];
            assert_eq!(fields.len(), Projections::names().len(), "all of them are measured");
            $(group.bench_function(stringify!($field), |bencher| {
                bencher.iter_with_large_drop(|| {
                    let mut state = Projections::default().$field;
                    for event in &events {
                        state.apply(event);
                    }
                    state
                });
            });)*
        };
    }
    each!(
        session turn queue permissions messages tool_calls chunks
        presence terminal agents todo diff config app
    );
    group.finish();
}

fn log_at(path: &Path) -> Log {
    let metrics = Arc::new(Metrics::default());
    let store = SledStore::open(path, Arc::clone(&metrics)).expect("the folder opens");
    Log::new(Arc::new(store), Arc::new(SystemClock), Settings::default(), metrics)
}

/// A log with one long session.
fn long_session(runtime: &Runtime, path: &Path, session: &StreamPath) -> Log {
    let log = log_at(path);
    runtime.block_on(async {
        for payloads in conversation().chunks(1_000) {
            let records =
                payloads.iter().map(|payload| NewRecord { id: None, payload: payload.clone() });
            log.append(session, Append::json(records)).await.expect("durable");
        }
    });
    log
}

fn open(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let session = StreamPath::parse("sessions/long").expect("a path");
    let mut group = criterion.benchmark_group("cold_open_of_100000_events");
    group.sample_size(10);
    let folder = tempfile::tempdir().expect("a folder");
    let log = long_session(&runtime, folder.path(), &session);
    let count = |views: Views<Projections>, at: Option<Offset>| {
        runtime.block_on(async {
            match at {
                None => views.read(&session, |state, _| state.hash()).await.expect("it is there"),
                Some(at) => {
                    views.read_at(&session, at, Projections::hash).await.expect("it is kept")
                }
            }
        })
    };
    // No checkpoint is there yet, and looking at the past leaves none.
    group.bench_function("replayed", |bencher| {
        bencher.iter(|| count(Views::new(log.clone()), Some(Offset(EVENTS - 1))));
    });
    count(Views::new(log.clone()), None);
    group.bench_function("from_its_checkpoint", |bencher| {
        bencher.iter(|| count(Views::new(log.clone()), None));
    });
    let warm = Views::<Projections>::new(log.clone());
    group.bench_function("in_memory_already", |bencher| {
        bencher.iter(|| count(warm.clone(), None));
    });
    group.finish();
}

fn folded(told: &[Told]) -> Sessions {
    let mut sessions = Sessions::default();
    for told in told {
        sessions.fold(told);
    }
    sessions
}

fn list(criterion: &mut Criterion) {
    let begun = |number: usize| {
        let data = format!(r#"{{"sessionId":"s{number}","title":"Session {number}"}}"#);
        event(number, "session.created", &data)
    };
    let told: Vec<Told> = records((0..LISTED).map(begun))
        .into_iter()
        .enumerate()
        .map(|(number, record)| {
            let record = Record { offset: Offset(1), ..record };
            let path = format!("sessions/s{number}").into();
            Told { path, epoch: 1, inherited: Offset(0), record }
        })
        .collect();
    let sessions = folded(&told);
    let last = sessions.list(&Asked::default(), None, LISTED).pop().map(|(place, _)| place);
    let searched = Asked { search: Some("session 77777".to_owned()), ..Asked::default() };
    let mut group = criterion.benchmark_group("list_of_100000_sessions");
    group.sample_size(10);
    group.bench_function("folded", |bencher| {
        bencher.iter(|| folded(black_box(&told)));
    });
    group.bench_function("first_page", |bencher| {
        bencher.iter(|| sessions.list(&Asked::default(), None, 100).len());
    });
    group.bench_function("past_its_end", |bencher| {
        bencher.iter(|| sessions.list(&Asked::default(), last.as_ref(), 100).len());
    });
    group.bench_function("search", |bencher| {
        bencher.iter(|| sessions.list(&searched, None, 100).len());
    });
    group.bench_function("loaded", |bencher| {
        let saved = sessions.save();
        bencher.iter(|| Sessions::load(&saved).map(|sessions| sessions.count()));
    });
    group.finish();
}

criterion_group!(
    projections,
    fold,
    fold_each,
    open,
    served::snapshot_of_1000_events,
    served::append_with_live_states,
    list
);
criterion_main!(projections);
