//! The log over a store that fails: what was refused leaves no trace, what was queued behind it
//! is decided again, and nothing is acknowledged that is not there.

use std::sync::Arc;

use scrollback::{
    clock::ManualClock,
    log::{Append, AppendError, Appended, Log, Offset, ReadError, Refused, StreamSpec},
    store::{Store, WriteError, faulty::FaultyStore, memory::MemoryStore},
};
use tokio::task::JoinSet;

use crate::util::{ALL, NOW_MS, append, event, log_over, path};

fn fixture() -> (Log, Arc<FaultyStore>) {
    let store = FaultyStore::over(Arc::new(MemoryStore::default()));
    let shared: Arc<dyn Store> = Arc::<FaultyStore>::clone(&store);
    (log_over(shared, &ManualClock::at(NOW_MS)), store)
}

fn last(appended: Result<Appended, AppendError>) -> u64 {
    appended.unwrap().last.0
}

/// The ids of a stream's records, in order; their offsets are 1, 2, 3 …
async fn ids(log: &Log, at: &str) -> Vec<String> {
    let page = log.read(&path(at), Offset(0), ALL).await.unwrap();
    let offsets: Vec<u64> = page.records.iter().map(|record| record.offset.0).collect();
    assert_eq!(offsets, (1..=page.tail.0).collect::<Vec<_>>());
    let id = |payload: &[u8]| {
        let event: serde_json::Value = serde_json::from_slice(payload).unwrap();
        event["id"].as_str().unwrap().to_owned()
    };
    page.records.iter().map(|record| id(&record.payload)).collect()
}

#[tokio::test]
async fn an_append_to_a_full_disk_leaves_no_hole_and_its_id_is_not_remembered() {
    let (log, store) = fixture();
    assert_eq!(last(append(&log, "a", &["1"]).await), 1);
    store.fail_write(0, WriteError::Full);
    let refused = append(&log, "a", &["2", "3"]).await;
    assert_eq!(refused, Err(AppendError::Refused(Refused::Full)));
    assert_eq!(ids(&log, "a").await, ["1"]);
    let sent_again = append(&log, "a", &["3"]).await.unwrap();
    assert_eq!((sent_again.last, sent_again.placed[0].duplicate), (Offset(2), false));
    let known = append(&log, "a", &["1"]).await.unwrap();
    assert_eq!((known.last, known.placed[0].duplicate), (Offset(1), true));
    assert_eq!(ids(&log, "a").await, ["1", "3"]);
}

#[tokio::test]
async fn a_creation_that_fails_leaves_no_stream_and_the_next_append_makes_it() {
    let (log, store) = fixture();
    store.fail_write(0, WriteError::Full);
    let refused = append(&log, "a", &["1"]).await;
    assert_eq!(refused, Err(AppendError::Refused(Refused::Full)));
    assert!(matches!(log.info(&path("a")).await, Err(ReadError::NoStream(_))));
    store.fail_write(0, WriteError::Full);
    log.create(&path("a"), StreamSpec::json()).await.unwrap_err();
    assert_eq!(last(append(&log, "a", &["1"]).await), 1);
    assert_eq!(ids(&log, "a").await, ["1"]);
}

/// Starts appends one after the other, each in a task of its own, and lets none of them through.
async fn queued(
    log: &Log,
    store: &FaultyStore,
    names: &[&'static str],
) -> JoinSet<(&'static str, Result<Appended, AppendError>)> {
    store.hold();
    let mut tasks = JoinSet::new();
    for (name, count) in names.iter().zip(1..) {
        let (log, name) = (log.clone(), *name);
        tasks.spawn(async move { (name, append(&log, "a", &[name]).await) });
        while store.held() < count {
            tokio::task::yield_now().await;
        }
    }
    tasks
}

#[tokio::test]
async fn appends_queued_behind_a_failed_one_are_decided_again() {
    for error in [WriteError::Full, WriteError::Busy] {
        let (log, store) = fixture();
        append(&log, "a", &["0"]).await.unwrap();
        store.fail_write(1, error);
        let tasks = queued(&log, &store, &["1", "2", "3", "4", "5"]).await;
        store.release();
        let answers = tasks.join_all().await;
        let refused: Vec<_> =
            answers.iter().filter(|(_, answer)| answer.is_err()).map(|(name, _)| *name).collect();
        assert_eq!(refused, ["2"], "only the one that failed");
        let stored = ids(&log, "a").await;
        assert_eq!(stored.len(), 5);
        for (name, answer) in answers {
            if let Ok(appended) = answer {
                let at = usize::try_from(appended.last.0).unwrap() - 1;
                assert_eq!(stored[at], name, "acknowledged where it is");
            }
        }
        assert_eq!(last(append(&log, "a", &["2"]).await), 6);
    }
}

#[tokio::test]
async fn appends_queued_behind_a_failed_creation_make_the_stream_themselves() {
    let (log, store) = fixture();
    store.fail_write(0, WriteError::Full);
    let tasks = queued(&log, &store, &["1", "2", "3"]).await;
    store.release();
    let answers = tasks.join_all().await;
    let refused = answers.iter().filter(|(_, answer)| answer.is_err());
    assert_eq!(refused.map(|(name, _)| *name).collect::<Vec<_>>(), ["1"]);
    let mut stored = ids(&log, "a").await;
    stored.sort_unstable();
    assert_eq!(stored, ["2", "3"]);
}

#[tokio::test]
async fn an_append_that_expects_an_offset_is_not_moved_to_another() {
    let (log, store) = fixture();
    append(&log, "a", &["0"]).await.unwrap();
    store.fail_write(0, WriteError::Full);
    store.hold();
    let (first, second) = (log.clone(), log.clone());
    let expecting = Append { expected: Some(Offset(2)), ..Append::json([event("2")]) };
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { append(&first, "a", &["1"]).await });
    while store.held() < 1 {
        tokio::task::yield_now().await;
    }
    tasks.spawn(async move { second.append(&path("a"), expecting).await });
    while store.held() < 2 {
        tokio::task::yield_now().await;
    }
    store.release();
    for answer in tasks.join_all().await {
        match answer {
            Err(AppendError::Refused(Refused::Full)) => {}
            Err(AppendError::Mismatch(fact)) => assert_eq!(fact.actual, Offset(1)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ids(&log, "a").await, ["0"]);
}

#[tokio::test]
async fn a_duplicate_of_a_queued_append_is_not_acknowledged_before_it() {
    let (log, store) = fixture();
    append(&log, "a", &["0"]).await.unwrap();
    store.fail_write(0, WriteError::Full);
    let tasks = queued(&log, &store, &["1", "1"]).await;
    store.release();
    let answers = tasks.join_all().await;
    let refused = answers.iter().filter(|(_, answer)| answer.is_err()).count();
    assert_eq!(refused, 1, "the first fails, the second is written in its stead: {answers:?}");
    assert_eq!(ids(&log, "a").await, ["0", "1"]);
}

#[tokio::test]
async fn conflicts_are_decided_again_until_the_append_fits_or_too_often() {
    let (log, store) = fixture();
    append(&log, "a", &["0"]).await.unwrap();
    let conflict = WriteError::Conflict { expected: Offset(1), actual: Offset(7) };
    for skipped in 0..3 {
        store.fail_write(skipped, conflict.clone());
    }
    assert_eq!(last(append(&log, "a", &["1"]).await), 2);
    for skipped in 0..100 {
        store.fail_write(skipped, conflict.clone());
    }
    let contended = append(&log, "a", &["2"]).await;
    assert_eq!(contended, Err(AppendError::Refused(Refused::Contended)));
    assert_eq!(ids(&log, "a").await, ["0", "1"]);
}

#[tokio::test]
async fn a_poisoned_store_takes_nothing_more_and_says_why() {
    let (log, store) = fixture();
    append(&log, "a", &["0"]).await.unwrap();
    store.fail_write(1, WriteError::Poisoned(Arc::from("no sync")));
    let tasks = queued(&log, &store, &["1", "2", "3"]).await;
    store.release();
    let poisoned = Refused::Poisoned(Arc::from("no sync"));
    for (name, answer) in tasks.join_all().await {
        match name {
            "1" => assert_eq!(last(answer), 2),
            _ => assert_eq!(answer, Err(AppendError::Refused(poisoned.clone()))),
        }
    }
    assert_eq!(log.poisoned().as_deref(), Some("no sync"));
    assert_eq!(&*log.until_poisoned().await, "no sync");
    let late = append(&log, "b", &["x"]).await;
    assert_eq!(late, Err(AppendError::Refused(poisoned)));
    assert_eq!(ids(&log, "a").await, ["0", "1"], "reads go on");
}

#[tokio::test]
async fn a_store_that_cannot_be_read_refuses_and_recovers() {
    let (log, store) = fixture();
    append(&log, "a", &["1"]).await.unwrap();
    let mut reader = log.follow(&path("a"), Offset(0)).await.unwrap();
    store.fail_reads(Some(scrollback::store::ReadError::Unavailable(Arc::from("gone"))));
    assert!(matches!(reader.next().await, Err(ReadError::Unavailable(_))));
    assert!(matches!(log.info(&path("a")).await, Err(ReadError::Unavailable(_))));
    let refused = append(&log, "other", &["1"]).await;
    assert!(matches!(refused, Err(AppendError::Refused(Refused::Unavailable(_)))), "{refused:?}");
    let lost = scrollback::store::ReadError::Lost {
        from: Offset(1),
        to: Offset(1),
        reason: Arc::from("a flipped bit"),
    };
    store.fail_reads(Some(lost));
    let step = reader.next().await;
    assert!(matches!(step, Err(ReadError::Lost { from: Offset(1), .. })), "{step:?}");
    store.fail_reads(None);
    let step = reader.next().await.unwrap();
    assert!(matches!(step, scrollback::log::Step::Page(ref page) if page.last() == Offset(1)));
}
