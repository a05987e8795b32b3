//! The log over the reference store: what its callers rely on, without disk or HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use super::*;
use crate::{clock::ManualClock, store::memory::MemoryStore};

const ALL: PageLimit = PageLimit { records: 10_000, bytes: usize::MAX };
const DAY: Duration = Duration::from_secs(86_400);

struct Fixture {
    log: Log,
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
}

fn fixture() -> Fixture {
    let clock = ManualClock::at(1_795_200_000_000);
    let store = Arc::new(MemoryStore::default());
    Fixture { log: log_over(&store, &clock), clock, store }
}

fn log_over(store: &Arc<MemoryStore>, clock: &Arc<ManualClock>) -> Log {
    let (store, clock) = (Arc::clone(store), Arc::clone(clock));
    Log::new(store, clock, Settings::default(), Arc::new(Metrics::default()))
}

fn path(text: &str) -> StreamPath {
    StreamPath::parse(text).unwrap()
}

fn event(id: &str) -> NewRecord {
    let payload = Bytes::from(format!(r#"{{"id":"{id}","data":null}}"#));
    NewRecord { id: Some(Arc::from(id)), payload }
}

async fn append(log: &Log, at: &str, ids: &[&str]) -> Appended {
    log.append(&path(at), Append::json(ids.iter().map(|id| event(id)))).await.unwrap()
}

async fn next_page(reader: &mut Reader) -> Arc<LivePage> {
    let step = reader.next().await.unwrap();
    assert!(matches!(step, Step::Page(_)), "{step:?}");
    match step {
        Step::Page(page) => page,
        _ => unreachable!(),
    }
}

async fn next_encoded(reader: &mut Reader) -> Encoded {
    let step = reader.next().await.unwrap();
    assert!(matches!(step, Step::Encoded(_)), "{step:?}");
    match step {
        Step::Encoded(page) => page,
        _ => unreachable!(),
    }
}

async fn payloads(log: &Log, at: &str, after: u64) -> Vec<Bytes> {
    let page = log.read(&path(at), Offset(after), ALL).await.unwrap();
    page.records.into_iter().map(|record| record.payload).collect()
}

#[tokio::test]
async fn the_first_append_makes_the_stream() {
    let Fixture { log, .. } = fixture();
    assert!(matches!(log.info(&path("a")).await, Err(ReadError::NoStream(_))));
    assert_eq!(append(&log, "a", &["1"]).await.last, Offset(1));
    let info = log.info(&path("a")).await.unwrap();
    assert_eq!((info.tail, info.earliest, info.closed), (Offset(1), Offset(1), false));
    let bare = Append { create: None, ..Append::json([event("1")]) };
    let refused = log.append(&path("b"), bare).await;
    assert!(matches!(refused, Err(AppendError::NoStream(_))), "{refused:?}");
}

#[tokio::test]
async fn an_id_sent_twice_is_written_once_also_after_a_restart() {
    let Fixture { log, clock, store } = fixture();
    append(&log, "a", &["x", "y"]).await;
    let again = append(&log, "a", &["x"]).await;
    assert_eq!(again.placed[0], Placed { offset: Offset(1), duplicate: true });
    let restarted = log_over(&store, &clock);
    let again = append(&restarted, "a", &["y", "z", "z"]).await;
    let offsets: Vec<_> = again.placed.iter().map(|p| (p.offset.0, p.duplicate)).collect();
    assert_eq!(offsets, [(2, true), (3, false), (3, true)]);
    assert_eq!(payloads(&restarted, "a", 0).await.len(), 3);
}

#[tokio::test]
async fn a_thousand_concurrent_appends_get_a_thousand_offsets() {
    let Fixture { log, .. } = fixture();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        let log = log.clone();
        tasks.spawn(async move { append(&log, "a", &[&number.to_string()]).await.last.0 });
    }
    let mut offsets = tasks.join_all().await;
    offsets.sort_unstable();
    assert_eq!(offsets, (1..=1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn of_many_writers_that_expect_the_same_offset_one_wins() {
    let Fixture { log, .. } = fixture();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let log = log.clone();
        let expecting =
            Append { expected: Some(Offset(0)), ..Append::json([event(&number.to_string())]) };
        tasks.spawn(async move { log.append(&path("a"), expecting).await.is_ok() });
    }
    let won = tasks.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
    assert_eq!(log.info(&path("a")).await.unwrap().tail, Offset(1));
}

#[tokio::test]
async fn a_reader_catches_up_then_follows_and_ends_with_a_closed_stream() {
    let Fixture { log, .. } = fixture();
    append(&log, "a", &["1", "2"]).await;
    let mut reader = log.follow(&path("a"), Offset(1)).await.unwrap();
    let page = next_page(&mut reader).await;
    assert_eq!(page.last(), Offset(2));
    let step = reader.next().await.unwrap();
    assert!(matches!(step, Step::CaughtUp { tail: Offset(2) }), "{step:?}");
    append(&log, "a", &["3"]).await;
    let page = next_page(&mut reader).await;
    assert_eq!((page.records.len(), page.last()), (1, Offset(3)));
    assert_eq!(log.close(&path("a")).await.unwrap(), Offset(3));
    assert_eq!(log.close(&path("a")).await.unwrap(), Offset(3), "closing again changes nothing");
    let step = reader.next().await.unwrap();
    assert!(matches!(step, Step::Closed { tail: Offset(3) }), "{step:?}");
    let refused = log.append(&path("a"), Append::json([event("4")])).await;
    assert!(matches!(refused, Err(AppendError::Closed(_))), "{refused:?}");
}

#[tokio::test]
async fn a_page_is_encoded_once_for_all_its_readers() {
    static ENCODED: AtomicUsize = AtomicUsize::new(0);
    let count = |records: &[Record]| {
        ENCODED.fetch_add(1, Ordering::Relaxed);
        Bytes::from(records.len().to_string())
    };
    let encoding = Encoding { name: "count", encode: Encode::Records(count) };
    let Fixture { log, clock, .. } = fixture();
    append(&log, "a", &["1", "2", "3", "4", "5"]).await;
    let limit = PageLimit { records: 2, bytes: 1_000 };
    for begin in [0, 0, 1] {
        let reader = log.follow(&path("a"), Offset(begin)).await.unwrap();
        let mut reader = reader.with_limit(limit).with_encoding(encoding);
        let mut sizes = Vec::new();
        while let Step::Encoded(page) = reader.next().await.unwrap() {
            sizes.push(String::from_utf8(page.bytes.to_vec()).unwrap());
            assert_eq!(reader.at(), page.last);
        }
        // The last one meets the others behind offset 2.
        assert_eq!(sizes.join(" "), if begin == 0 { "2 2 1" } else { "1 2 1" });
    }
    assert_eq!(ENCODED.load(Ordering::Relaxed), 4);
    // A page that retention has taken is not served from memory.
    clock.advance(Settings::default().retention + Duration::from_secs(1));
    log.sweep().await.unwrap();
    for begin in [0, 4] {
        let reader = log.follow(&path("a"), Offset(begin)).await.unwrap().with_limit(limit);
        let gone = reader.with_encoding(encoding).next().await;
        assert!(matches!(gone, Err(ReadError::Trimmed { earliest: Offset(6) })), "{gone:?}");
    }
}

#[tokio::test]
async fn those_who_waited_share_a_page_though_the_tail_has_moved_on() {
    let encoding = Encoding {
        name: "whole",
        encode: Encode::Records(|records| Bytes::from(vec![0; records.len()])),
    };
    let Fixture { log, .. } = fixture();
    append(&log, "a", &["1"]).await;
    let at_tail = async || {
        let reader = log.follow(&path("a"), Offset(1)).await.unwrap();
        let mut reader = reader.with_encoding(encoding);
        assert!(matches!(reader.next().await.unwrap(), Step::CaughtUp { .. }));
        reader
    };
    let (mut quick, mut slow) = (at_tail().await, at_tail().await);
    append(&log, "a", &["2", "3"]).await;
    let one = next_encoded(&mut quick).await;
    append(&log, "a", &["4"]).await;
    let other = next_encoded(&mut slow).await;
    assert_eq!(one.bytes.as_ptr(), other.bytes.as_ptr(), "one encoding for both");
    assert_eq!((other.last, slow.at(), slow.lag()), (Offset(3), Offset(3), 1));
    // One that comes later reads on to the tail at once.
    let mut late = log.follow(&path("a"), Offset(1)).await.unwrap().with_encoding(encoding);
    let page = next_encoded(&mut late).await;
    assert_eq!((page.last, page.bytes.len()), (Offset(4), 3));
}

#[tokio::test]
async fn a_deleted_stream_ends_its_readers_and_frees_its_path() {
    let Fixture { log, .. } = fixture();
    append(&log, "a", &["1"]).await;
    let before = log.info(&path("a")).await.unwrap();
    let mut reader = log.follow(&path("a"), Offset(1)).await.unwrap();
    log.delete(&path("a")).await.unwrap();
    assert!(matches!(reader.next().await.unwrap(), Step::Deleted));
    assert!(matches!(log.delete(&path("a")).await, Err(ChangeError::NoStream(_))));
    assert_eq!(append(&log, "a", &["1"]).await.last, Offset(1));
    assert_ne!(log.info(&path("a")).await.unwrap().epoch, before.epoch);
}

#[tokio::test]
async fn creating_again_with_the_same_configuration_is_no_error() {
    let Fixture { log, .. } = fixture();
    let spec = StreamSpec { retention: Some(DAY), ..StreamSpec::json() };
    let first = log.create(&path("a"), spec.clone()).await.unwrap();
    let second = log.create(&path("a"), spec).await.unwrap();
    assert_eq!((first.existed, second.existed), (false, true));
    assert_eq!(first.info, second.info);
    let other = log.create(&path("a"), StreamSpec::json()).await;
    assert_eq!(other, Err(CreateError::Exists(path("a"))));
}

#[tokio::test]
async fn a_stream_may_begin_at_a_later_offset() {
    let Fixture { log, store, clock } = fixture();
    let creation = |first| Creation { first: Some(Offset(first)), ..StreamSpec::json().into() };
    let created = log.create(&path("a"), creation(40)).await.unwrap();
    assert_eq!((created.info.earliest, created.info.tail), (Offset(40), Offset(39)));
    assert_eq!(log.info(&path("a")).await.unwrap(), created.info);
    assert!(log.create(&path("a"), creation(40)).await.unwrap().existed);
    let other = log.create(&path("a"), creation(41)).await;
    assert_eq!(other, Err(CreateError::Exists(path("a"))));
    assert_eq!(append(&log, "a", &["1", "2"]).await.last, Offset(41));
    // Opened again, it knows its ids and where it begins.
    let log = log_over(&store, &clock);
    assert!(append(&log, "a", &["1"]).await.duplicate);
    let trimmed = log.read(&path("a"), Offset(0), ALL).await;
    assert_eq!(trimmed, Err(ReadError::Trimmed { earliest: Offset(40) }));
    assert_eq!(payloads(&log, "a", 39).await.len(), 2);
}

#[tokio::test]
async fn records_go_when_their_retention_is_over_and_not_before() {
    let Fixture { log, clock, .. } = fixture();
    let spec = StreamSpec { retention: Some(2 * DAY), ..StreamSpec::json() };
    log.create(&path("short"), spec).await.unwrap();
    append(&log, "short", &["1"]).await;
    append(&log, "long", &["1"]).await;
    clock.advance(DAY);
    append(&log, "short", &["2"]).await;
    clock.advance(DAY);
    assert_eq!(log.sweep().await.unwrap(), 0, "a record of exactly its retention is kept");
    clock.advance(Duration::from_millis(1));
    assert_eq!(log.sweep().await.unwrap(), 1);
    let trimmed = log.read(&path("short"), Offset(0), ALL).await;
    assert_eq!(trimmed, Err(ReadError::Trimmed { earliest: Offset(2) }));
    assert_eq!(payloads(&log, "short", 1).await.len(), 1);
    assert_eq!(payloads(&log, "long", 0).await.len(), 1);
    clock.advance(30 * DAY);
    log.sweep().await.unwrap();
    let info = log.info(&path("long")).await.unwrap();
    assert_eq!((info.earliest, info.tail), (Offset(2), Offset(1)));
    assert_eq!(append(&log, "long", &["2"]).await.last, Offset(2), "offsets go on");
    clock.advance(31 * DAY);
    log.sweep().await.unwrap();
    assert_eq!(log.info(&path("long")).await.unwrap().earliest, Offset(3), "swept again later");
}

#[tokio::test]
async fn a_time_leads_to_the_place_before_its_first_record() {
    let Fixture { log, clock, .. } = fixture();
    append(&log, "a", &["1"]).await;
    clock.advance(DAY);
    append(&log, "a", &["2"]).await;
    let then = clock.now_ms();
    assert_eq!(log.seek(&path("a"), then).await.unwrap(), Offset(1));
    assert_eq!(log.seek(&path("a"), then + 1).await.unwrap(), Offset(2));
}

#[tokio::test]
async fn a_place_beyond_the_tail_is_refused() {
    let Fixture { log, .. } = fixture();
    append(&log, "a", &["1"]).await;
    let beyond = ReadError::Beyond { tail: Offset(1) };
    assert_eq!(log.read(&path("a"), Offset(2), ALL).await, Err(beyond.clone()));
    assert_eq!(log.follow(&path("a"), Offset(2)).await.unwrap_err(), beyond);
}

#[tokio::test]
async fn a_list_of_some_streams_stops_when_it_may_look_at_no_more() {
    let fixture = fixture();
    for n in 0..250 {
        append(&fixture.log, &format!("a/{n:03}"), &["x"]).await;
    }
    let of = async |mut looks: usize, after: &str| {
        let keep = |path: &str| path.ends_with("99");
        let found = fixture.log.list_where("a/", after, 5, &mut looks, keep).await.unwrap();
        (found.iter().map(|info| info.path.to_string()).collect::<Vec<_>>(), looks)
    };
    assert_eq!(of(1_000, "").await, (vec!["a/099".to_owned(), "a/199".to_owned()], 750));
    assert_eq!(of(100, "").await, (vec!["a/099".to_owned()], 0));
    assert_eq!(of(1_000, "a/100").await, (vec!["a/199".to_owned()], 851));
}
