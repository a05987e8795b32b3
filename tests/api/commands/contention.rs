//! Many at once, and two who want different things.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;
use insta::assert_snapshot;
use scrollback::{
    http::App,
    limits,
    session::Ids,
    store::{faulty::FaultyStore, memory::MemoryStore, sled::SledStore},
};
use serde_json::Value;

use super::{begin, command, done, events};
use crate::util::{Answer, TestApp};

const SENDS: usize = 1_000;

/// What was answered agrees with the log: one turn, and the rest in one order.
async fn one_turn_and_one_order(app: &TestApp, answers: &[Answer]) {
    let mut running = Vec::new();
    let mut waiting = Vec::new();
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.shown());
        let answer = answer.json();
        let list = if answer["queued"] == true { &mut waiting } else { &mut running };
        list.push((answer["offset"].as_u64().unwrap(), answer["id"].clone()));
    }
    assert_eq!((running.len(), waiting.len()), (1, SENDS - 1));
    waiting.sort_by_key(|(offset, _)| *offset);
    let events = events(app).await;
    let of = |kind: &str| -> Vec<&Value> {
        events.iter().filter(|event| event["type"] == kind).collect()
    };
    assert_eq!(of("turn.started").len(), 1);
    assert_eq!(of("turn.started")[0]["data"]["userMessageId"], running[0].1);
    let added: Vec<_> = of("queue.added")
        .iter()
        .map(|event| (event["offset"].as_u64().unwrap(), event["data"]["messageId"].clone()))
        .collect();
    assert_eq!(added, waiting);
    for (event, position) in of("queue.added").iter().zip(1..) {
        assert_eq!(event["data"]["position"], position);
    }
    let path = scrollback::log::StreamPath::session("s").unwrap();
    let queue = app.app.views().read(&path, |state, _| state.json("queue").unwrap()).await.unwrap();
    let queue: Vec<_> = queue["messages"].as_array().unwrap().iter().collect();
    assert_eq!(queue.len(), waiting.len());
    assert!(queue.iter().zip(&waiting).all(|(queued, (_, id))| queued["messageId"] == *id));
}

async fn send(app: &TestApp, number: usize) -> Answer {
    command(app, "messages", &format!(r#"{{"id":"m{number}","text":"{number}"}}"#)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_messages_at_once_one_is_answered_and_the_others_wait_in_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path(), Arc::default()).unwrap();
    let app = TestApp::over(Arc::new(store), |app| app);
    begin(&app).await;
    let answers = join_all((0..SENDS).map(|number| send(&app, number))).await;
    one_turn_and_one_order(&app, &answers).await;
}

/// Another server of the same log.
fn twin_of(app: &TestApp) -> TestApp {
    let twin = App::new(app.app.log().clone(), app.app.subscriptions().clone());
    TestApp { app: Arc::new(twin.with_ids(Ids::default())), clock: app.clock.clone() }
}

/// Servers that share a log know nothing of each other's commands: the offset alone decides.
#[tokio::test]
async fn commands_that_do_not_stand_in_one_line_make_one_turn_all_the_same() {
    let store = FaultyStore::over(Arc::new(MemoryStore::default()));
    let app = TestApp::over(store.clone(), |app| app);
    begin(&app).await;
    let others: Vec<_> = (0..3).map(|_| twin_of(&app)).collect();
    store.hold();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let sending = async {
        let answers = join_all((0..SENDS).map(|number| send(&others[number % 3], number))).await;
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        answers
    };
    let flushing = async {
        while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
            tokio::task::yield_now().await;
            store.release();
            store.hold();
        }
    };
    let (answers, ()) = tokio::join!(sending, flushing);
    store.release();
    one_turn_and_one_order(&app, &answers).await;
}

/// Yields so many times, so that the other one is so far ahead.
async fn after(yields: usize, answer: impl Future<Output = Answer>) -> Answer {
    for _ in 0..yields {
        tokio::task::yield_now().await;
    }
    answer.await
}

#[tokio::test]
async fn a_turn_that_is_stopped_while_it_completes_has_one_end() {
    let mut outcomes = BTreeSet::new();
    for round in 0..64 {
        let store = FaultyStore::over(Arc::new(MemoryStore::default()));
        let app = TestApp::over(store.clone(), |app| app);
        begin(&app).await;
        let sent = done(&app, "messages", r#"{"id":"m1","text":"a"}"#).await;
        done(&app, "messages", r#"{"id":"m2","text":"b"}"#).await;
        let turn = sent["turnId"].as_str().unwrap();
        let (complete, stop) =
            (format!("turns/{turn}/complete"), format!(r#"{{"turnId":"{turn}"}}"#));
        // The one who stops it may be at another server of the same log.
        let twin = twin_of(&app);
        let stopper = if round % 2 == 0 { &app } else { &twin };
        store.hold();
        let (early, late) = ((round / 2) % 4, (round / 8) % 4);
        let flushing = async {
            for step in 0..64 {
                tokio::task::yield_now().await;
                if step % (1 + round / 32) == 0 {
                    store.release();
                    store.hold();
                }
            }
            store.release();
        };
        let (completed, stopped, ()) = tokio::join!(
            after(early, command(&app, &complete, r#"{"text":"whole"}"#)),
            after(late, command(stopper, "interrupt", &stop)),
            flushing,
        );
        let statuses = [completed.status.as_u16(), stopped.status.as_u16()];
        assert!(statuses == [200, 409] || statuses == [409, 200], "{statuses:?} in {round}");
        let (winner, loser) =
            if statuses[0] == 200 { (completed, stopped) } else { (stopped, completed) };
        assert_eq!(loser.code(), "turn_ended");
        assert_eq!(loser.json()["outcome"], winner.json()["outcome"]);
        outcomes.insert(winner.json()["outcome"].as_str().unwrap().to_owned());
        one_end(&app, turn).await;
    }
    assert_eq!(outcomes.len(), 2, "each of them wins sometimes");
}

/// The turn ended once, and the next one began once.
async fn one_end(app: &TestApp, turn: &str) {
    let events = events(app).await;
    let ends = ["turn.completed", "turn.interrupted", "turn.failed"];
    let is_end = |event: &&Value| ends.iter().any(|end| event["type"] == *end);
    let ended: Vec<_> = events.iter().filter(is_end).collect();
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0]["data"]["turnId"], turn);
    assert_eq!(events.iter().filter(|event| event["type"] == "turn.started").count(), 2);
}

#[tokio::test]
async fn a_command_between_events_of_others_is_decided_again_until_it_fits() {
    let store = FaultyStore::over(Arc::new(MemoryStore::default()));
    let app = TestApp::over(store.clone(), |app| app);
    begin(&app).await;
    store.hold();
    let raw = app.post("/api/sessions/s/events", r#"{"type":"session.ended","data":{}}"#);
    let flushing = async {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        assert_eq!(store.held(), 2, "the event, and the command that waits behind it");
        store.release();
    };
    let (raw, sent, ()) = tokio::join!(raw, send(&app, 1), flushing);
    assert_eq!(raw.json()["offset"], 2);
    assert_eq!((sent.status.as_u16(), &*sent.code()), (409, "session_ended"));
    assert_eq!(app.tail().await, 2);
}

#[tokio::test]
async fn a_command_that_others_are_always_ahead_of_is_given_up_and_can_be_sent_again() {
    let store = FaultyStore::over(Arc::new(MemoryStore::default()));
    let app = TestApp::over(store.clone(), |app| app);
    begin(&app).await;
    let ahead = || Box::pin(app.post("/api/sessions/s/events", r#"{"channel":"x"}"#));
    store.hold();
    let mut raw = ahead();
    assert!(futures_util::poll!(&mut raw).is_pending());
    let others = async {
        for _ in 0..2 * limits::COMMAND_TRIES_MAX {
            // Here the command decides in vain, and waits.
            tokio::task::yield_now().await;
            store.release();
            assert_eq!(raw.await.status, 200);
            store.hold();
            raw = ahead();
            assert!(futures_util::poll!(&mut raw).is_pending());
        }
        store.release();
        raw.await
    };
    let (given_up, last) = tokio::join!(send(&app, 1), others);
    assert_snapshot!(given_up.shown(), @r#"503 {"type":"urn:scrollback:problem:contended","title":"Contended","status":503,"code":"contended","message":"other writers were first each time; nothing was written, send it again","retryable":true}"#);
    assert!(given_up.headers.contains_key("retry-after"));
    assert_eq!(app.tail().await, last.json()["offset"]);
    assert_eq!(send(&app, 1).await.status, 200);
}

#[tokio::test]
async fn a_session_that_many_begin_at_once_begins_once() {
    let store = FaultyStore::over(Arc::new(MemoryStore::default()));
    let app = TestApp::over(store.clone(), |app| app);
    let twin = twin_of(&app);
    store.hold();
    let starts = (0..20).map(|number| {
        let body = format!(r#"{{"id":"s","title":"{}"}}"#, number / 2 % 2);
        let at = if number % 2 == 0 { &app } else { &twin };
        async move { at.post("/api/sessions", body).await }
    });
    let flushing = async {
        for _ in 0..200 {
            tokio::task::yield_now().await;
            store.release();
            store.hold();
        }
        store.release();
    };
    let (answers, ()) = tokio::join!(join_all(starts), flushing);
    let (begun, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((begun.len(), others.len()), (10, 10));
    assert!(begun.iter().all(|answer| answer.json()["offset"] == 1));
    assert!(others.iter().all(|answer| answer.code() == "session_exists"));
    assert_eq!(app.tail().await, 1);
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing_half_done() {
    let store = FaultyStore::over(Arc::new(MemoryStore::default()));
    let app = TestApp::over(store.clone(), |app| app);
    begin(&app).await;
    store.hold();
    let mut gone = Box::pin(send(&app, 1));
    assert!(futures_util::poll!(&mut gone).is_pending());
    let mut waiting = Box::pin(send(&app, 2));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(store.held(), 1, "the second one stands in line");
    drop(gone);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    store.release();
    let second = waiting.await;
    // What the first one sent is in the log all the same, and its retry learns so.
    assert_eq!((second.status.as_u16(), &second.json()["queued"]), (200, &true.into()));
    let first = send(&app, 1).await;
    assert_eq!((first.status.as_u16(), &first.json()["queued"]), (200, &false.into()));
    assert_eq!(first.json()["offset"], 4);
}
