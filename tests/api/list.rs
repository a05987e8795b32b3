//! The list across sessions and the streams they are: forks, streams that go, streams made anew,
//! and the list that was saved.

use std::{sync::Arc, time::Duration};

use scrollback::{
    limits,
    log::{Offset, Position, Record, StreamPath, Told},
    projection::{OrderFold as _, OrderView},
    session::{Ids, absence, list::Sessions},
    store::{ReadError, faulty::FaultyStore, memory::MemoryStore},
};
use serde_json::json;

use crate::{
    sessions::{begin, five, ids, tell},
    util::TestApp,
};

/// Makes a session as a fork of another one through the protocol.
async fn fork(app: &TestApp, from: &str, to: &str, at: Option<u64>) {
    let request = axum::http::Request::put(format!("/v1/stream/sessions/{to}"))
        .header("content-type", "application/json")
        .header("stream-forked-from", format!("/v1/stream/sessions/{from}"));
    let request = match at {
        Some(at) => request.header("stream-fork-offset", format!("{at:016}")),
        None => request,
    };
    let answer = app.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// What a list kept by nobody so far shows: folded from the log, and from what was saved.
async fn anew(app: &TestApp) -> Sessions {
    let log = app.app.log();
    let view = OrderView::<Sessions>::new(log.clone());
    let list = view.read(|list, _| list.clone()).await.unwrap();
    let position = *log.watch_order().borrow();
    assert_eq!(view.anew(position).await.unwrap(), list);
    list
}

async fn live(app: &TestApp) -> Sessions {
    app.app.sessions().read(|list, _| list.clone()).await.unwrap()
}

#[tokio::test]
async fn a_fork_is_listed_at_once_with_what_it_inherits() {
    let store = Arc::new(MemoryStore::default());
    let app = TestApp::over(store.clone(), |app| app);
    five(&app).await;
    tell(&app, "a", "session.updated", json!({"title": "Renamed"})).await;
    assert_eq!(ids(&app, "").await, "a e c b");
    fork(&app, "a", "early", Some(1)).await;
    app.clock.advance(Duration::from_secs(1));
    fork(&app, "c", "late", None).await;
    // The list says what the session itself says, and making it counts as activity.
    assert_eq!(ids(&app, "").await, "late early a e c b");
    assert_eq!(ids(&app, "search=first").await, "early");
    assert_eq!(ids(&app, "status=busy").await, "late c");
    let shown = app.get("/api/sessions?search=first").await.json()["sessions"][0].clone();
    assert_eq!((&shown["offset"], &shown["worker"]), (&json!(1), &json!("w1")));
    assert_eq!(shown["lastActivityAt"], json!(1_795_200_000_000_u64 + 8_000));
    // From there each goes its own way, also where the first word comes before anybody looks.
    fork(&app, "a", "told", None).await;
    tell(&app, "told", "session.updated", json!({"model": "m"})).await;
    tell(&app, "a", "session.updated", json!({"title": "Again"})).await;
    let told = app.get("/api/sessions?search=told").await.json()["sessions"][0].clone();
    assert_eq!((&told["title"], &told["model"]), (&json!("Renamed"), &json!("m")));
    assert_eq!(live(&app).await, anew(&app).await);
    // A fork outlives its source, and a restart.
    assert_eq!(app.request("DELETE", "/api/streams/sessions/a").await.status, 200);
    assert_eq!(ids(&app, "").await, "told late early e c b");
    let again = TestApp::over(store, |app| app);
    assert_eq!(ids(&again, "").await, "told late early e c b");
    assert_eq!(live(&again).await, live(&app).await);
}

#[tokio::test]
async fn a_session_leaves_the_list_with_its_stream_though_nobody_looks() {
    let store = Arc::new(MemoryStore::default());
    let app = TestApp::over(store.clone(), |app| app);
    let short = axum::http::Request::put("/v1/stream/sessions/short")
        .header("content-type", "application/json")
        .header("stream-ttl", "100");
    assert_eq!(app.send(short.body(axum::body::Body::empty()).unwrap()).await.status, 201);
    for id in ["short", "deleted", "kept"] {
        begin(&app, id, json!({"title": id})).await;
        tell(&app, id, "presence.joined", json!({"userId": "u"})).await;
    }
    assert_eq!(live(&app).await.count(), 3);
    app.app.sessions().save_unless_within(Duration::ZERO).await.unwrap();
    assert_eq!(app.request("DELETE", "/api/streams/sessions/deleted").await.status, 200);
    assert_eq!(live(&app).await.count(), 2);
    app.pass(Duration::from_secs(100)).await;
    assert_eq!(live(&app).await.count(), 1);
    let silent = live(&app).await.silent_since(u64::MAX, 9);
    assert_eq!(silent.iter().map(|silent| &*silent.session).collect::<Vec<_>>(), ["kept"]);
    // What was saved still has all three.
    let again = TestApp::over(store, |app| app);
    assert_eq!(live(&again).await, live(&app).await);
    assert_eq!(live(&again).await.count(), 1);
}

#[tokio::test]
async fn the_task_that_keeps_the_list_hears_of_streams_that_come_and_go() {
    let store = FaultyStore::over(Arc::new(MemoryStore::default()));
    let app = TestApp::over(store.clone(), |app| app);
    begin(&app, "a", json!({"title": "A"})).await;
    let mut task = Box::pin(app.app.sessions().clone().run());
    let mut counted = async || {
        for _ in 0..2 {
            app.clock.advance(limits::ORDER_VIEW_EVERY);
            for _ in 0..50 {
                assert!(futures_util::poll!(&mut task).is_pending());
                tokio::task::yield_now().await;
            }
        }
        // Whoever looks now finds it done, and has nothing to ask of the store.
        store.fail_reads(Some(ReadError::Unavailable(Arc::from("asked"))));
        let count = app.app.sessions().read(|list, _| list.count()).await.unwrap();
        store.fail_reads(None);
        count
    };
    assert_eq!(counted().await, 1);
    fork(&app, "a", "b", None).await;
    assert_eq!(counted().await, 2);
    assert_eq!(app.request("DELETE", "/api/streams/sessions/a").await.status, 200);
    assert_eq!(counted().await, 1);
}

#[tokio::test]
async fn a_session_made_anew_has_nothing_of_the_one_before() {
    let app = TestApp::new();
    begin(&app, "a", json!({"title": "Source"})).await;
    begin(&app, "b", json!({"title": "Old", "pinned": true, "worker": "w"})).await;
    tell(&app, "b", "turn.started", json!({"turnId": "t"})).await;
    assert_eq!(ids(&app, "worker=w").await, "b");
    // As a fork, whose first record of its own has an offset that the old one had, too.
    assert_eq!(app.request("DELETE", "/api/streams/sessions/b").await.status, 200);
    fork(&app, "a", "b", None).await;
    tell(&app, "b", "message.note", json!({})).await;
    let shown = app.get("/api/sessions?search=b").await.json()["sessions"][0].clone();
    assert_eq!((&shown["title"], &shown["pinned"]), (&json!("Source"), &json!(false)));
    assert_eq!(shown["status"], json!({"type": "idle"}));
    // And as a plain stream that has no event yet.
    assert_eq!(app.request("DELETE", "/api/streams/sessions/b").await.status, 200);
    assert_eq!(app.put("/api/streams/sessions/b", "{}").await.status, 201);
    assert_eq!(ids(&app, "").await, "a");
    assert_eq!(live(&app).await, anew(&app).await);
}

#[tokio::test]
async fn a_saved_list_is_compared_with_a_replay_and_made_anew() {
    let store = Arc::new(MemoryStore::default());
    let app = TestApp::over(store.clone(), |app| app);
    let list = app.app.sessions();
    assert_eq!(list.check().await.unwrap(), None);
    let short = app.put("/api/streams/sessions/cut", r#"{"retentionSeconds":60}"#).await;
    assert_eq!(short.status, 201);
    five(&app).await;
    begin(&app, "cut", json!({"title": "Cut"})).await;
    tell(&app, "b", "presence.joined", json!({"userId": "u"})).await;
    assert_eq!(app.request("POST", "/api/close/sessions/b").await.status, 200);
    app.clock.advance(Duration::from_secs(61));
    tell(&app, "cut", "session.updated", json!({"model": "m"})).await;
    fork(&app, "a", "forked", None).await;
    // Somebody in a closed session is forgotten without an event.
    let ids_of = Ids::default();
    absence::look(app.app.log(), list, &ids_of).await.unwrap();
    list.save_unless_within(Duration::ZERO).await.unwrap();
    // After it was saved: what comes later is no difference.
    fork(&app, "a", "later", None).await;
    assert_eq!(app.request("DELETE", "/api/streams/sessions/e").await.status, 200);
    app.pass(Duration::from_secs(0)).await;
    let checked = list.check().await.unwrap().unwrap();
    assert_eq!((checked.compared, checked.beginning_gone, checked.differing), (5, 1, 0));
    // A title that no event gave is saved.
    let path = StreamPath::session("c").unwrap();
    let epoch = app.app.log().info(&path).await.unwrap().epoch;
    let payload = r#"{"id":"x","channel":"session","type":"session.updated","timestamp":7,"data":{"title":"Wrong"}}"#;
    let record = Record {
        offset: Offset(3),
        position: Position(0),
        timestamp_ms: 0,
        payload: payload.into(),
    };
    let told = Told { path: path.shared(), epoch, inherited: Offset(0), record };
    list.read(|sessions, _| sessions.fold(&told)).await.unwrap();
    begin(&app, "f", json!({"title": "Sixth"})).await;
    list.save_unless_within(Duration::ZERO).await.unwrap();
    let checked = list.check().await.unwrap().unwrap();
    assert_eq!((checked.differing, checked.first.as_deref()), (1, Some("sessions/c")));
    assert_eq!(list.rebuild().await.unwrap(), 8);
    let checked = list.check().await.unwrap().unwrap();
    assert_eq!((checked.compared, checked.beginning_gone, checked.differing), (7, 1, 0));
    // What cannot be folded any more has stayed.
    let again = TestApp::over(store, |app| app);
    let cut = again.get("/api/sessions?search=cut").await.json()["sessions"][0].clone();
    assert_eq!((&cut["title"], &cut["model"]), (&json!("Cut"), &json!("m")));
}
