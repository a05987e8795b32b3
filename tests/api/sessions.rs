//! The list across sessions: `GET /api/sessions`.

use std::{sync::Arc, time::Duration};

use insta::assert_snapshot;
use scrollback::{
    session::absence,
    store::{faulty::FaultyStore, memory::MemoryStore},
};
use serde_json::json;

use crate::util::TestApp;

pub(crate) async fn tell(app: &TestApp, id: &str, kind: &str, data: serde_json::Value) {
    let channel = if kind.starts_with("presence") { "presence" } else { "session" };
    let event = json!({"channel": channel, "type": kind, "data": data});
    let answer = app.post(&format!("/api/sessions/{id}/events"), event.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    app.clock.advance(Duration::from_secs(1));
}

pub(crate) async fn begin(app: &TestApp, id: &str, more: serde_json::Value) {
    tell(app, id, "session.created", more).await;
}

/// The ids of a page, in its order.
pub(crate) async fn ids(app: &TestApp, query: &str) -> String {
    let body = app.get(&format!("/api/sessions?{query}")).await.json();
    let sessions = body["sessions"].as_array().unwrap_or_else(|| panic!("{body}")).clone();
    sessions.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
}

pub(crate) async fn five(app: &TestApp) {
    begin(app, "a", json!({"title": "First steps", "worker": "w1"})).await;
    begin(app, "b", json!({"title": "Second", "parentId": "a", "worker": "w2"})).await;
    begin(app, "c", json!({"title": "Third", "pinned": true})).await;
    begin(app, "d", json!({"title": "Fourth", "archived": true})).await;
    begin(app, "e", json!({"title": "Fifth"})).await;
    tell(app, "c", "turn.started", json!({"turnId": "t1"})).await;
    tell(app, "e", "session.ended", json!({})).await;
}

#[tokio::test]
async fn sessions_are_listed_by_what_they_are_the_newest_first() {
    let app = TestApp::new();
    five(&app).await;
    for (query, expected) in [
        ("", "e c b a"),
        ("archived=true", "e c d b a"),
        ("status=active", "c b a"),
        ("status=busy", "c"),
        ("status=idle", "b a"),
        ("status=ended", "e"),
        ("worker=w1", "a"),
        ("parent=a", "b"),
        ("roots=true", "e c a"),
        ("search=FIR", "a"),
        ("search=th", "e c"),
        ("search=nothing", ""),
    ] {
        assert_eq!(ids(&app, query).await, expected, "{query}");
    }
    let shown = app.get("/api/sessions?worker=w1").await.shown();
    assert_snapshot!(shown, @r#"200 {"sessions":[{"archived":false,"createdAt":1795200000000,"exists":true,"id":"a","lastActivityAt":1795200000000,"offset":1,"pinned":false,"ready":false,"status":{"type":"idle"},"title":"First steps","worker":"w1"}],"position":7}"#);
}

#[tokio::test]
async fn a_list_is_read_in_pages() {
    let app = TestApp::new();
    five(&app).await;
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("/api/sessions?limit=1{cursor}")).await.json();
        found.push(page["sessions"][0]["id"].as_str().unwrap().to_owned());
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, ["e", "c", "b", "a"]);
}

#[tokio::test]
async fn trimming_keeps_recent_and_pinned_sessions_and_what_they_were_begun_from() {
    let app = TestApp::new();
    five(&app).await;
    assert_eq!(ids(&app, "keep=1").await, "e c");
    tell(&app, "b", "session.updated", json!({"title": "again"})).await;
    assert_eq!(ids(&app, "keep=1").await, "b c a");
    assert_eq!(ids(&app, "keep=0").await, "c");
}

#[tokio::test]
async fn the_list_is_in_sync_with_what_happens() {
    let app = TestApp::new();
    five(&app).await;
    let position = app.get("/api/sessions").await.json()["position"].as_u64().unwrap();
    tell(&app, "a", "message.note", json!({})).await;
    assert_eq!(ids(&app, "").await, "a e c b");
    // Presence is no activity.
    tell(&app, "b", "presence.heartbeat", json!({"userId": "u"})).await;
    assert_eq!(ids(&app, "").await, "a e c b");
    tell(&app, "e", "session.deleted", json!({})).await;
    assert_eq!(ids(&app, "").await, "a c b");
    assert_eq!(app.request("DELETE", "/api/streams/sessions/c").await.status, 200);
    assert_eq!(ids(&app, "").await, "a b");
    begin(&app, "c", json!({"title": "Anew"})).await;
    assert_eq!(ids(&app, "search=anew").await, "c");
    // What changed since can be followed from the list's place.
    let uri = format!("/api/events?channels=session:*&live=false&cursor={position}");
    let mut live = app.follow(&uri).await;
    assert!(live.frame().await.unwrap().contains(r#""stream":"sessions/a","offset":2"#));
}

#[tokio::test]
async fn who_is_not_heard_of_for_half_a_minute_leaves_by_an_event() {
    let app = TestApp::new();
    let look = async || {
        let ids = scrollback::session::Ids::default();
        absence::look(app.app.log(), app.app.sessions(), &ids).await.unwrap()
    };
    for user in ["u1", "u2"] {
        tell(&app, "s", "presence.joined", json!({"userId": user})).await;
    }
    assert_eq!(look().await, 0);
    app.clock.advance(Duration::from_secs(20));
    tell(&app, "s", "presence.heartbeat", json!({"userId": "u2"})).await;
    app.clock.advance(Duration::from_secs(10));
    assert_eq!(look().await, 1);
    assert_eq!(look().await, 0, "it is said once");
    let left = app.get("/api/sessions/s/events?fromOffset=3").await.json()["events"].clone();
    assert_eq!(left[0]["type"], "presence.left");
    assert_eq!(left[0]["data"], json!({"userId": "u1", "reason": "timeout"}));
    // Somebody in a session that takes no more events is in nobody's way.
    assert_eq!(app.request("POST", "/api/close/sessions/s").await.status, 200);
    app.clock.advance(Duration::from_secs(60));
    assert_eq!((look().await, look().await), (0, 0));
}

#[tokio::test]
async fn after_a_start_everybody_has_the_time_to_be_heard_of_again() {
    let app = TestApp::new();
    tell(&app, "s", "presence.joined", json!({"userId": "u1"})).await;
    app.clock.advance(Duration::from_secs(60));
    let mut task = Box::pin(absence::run(app.app.log().clone(), app.app.sessions().clone()));
    let mut tail_after = async |seconds| {
        app.clock.advance(Duration::from_secs(seconds));
        for _ in 0..50 {
            assert!(futures_util::poll!(&mut task).is_pending());
            tokio::task::yield_now().await;
        }
        app.tail().await
    };
    let tails = [tail_after(0).await, tail_after(29).await, tail_after(1).await];
    assert_eq!((tails, tail_after(1).await), ([1, 1, 1], 2));
}

#[tokio::test]
async fn what_retention_has_taken_is_still_in_the_list_after_a_restart() {
    let store = Arc::new(MemoryStore::default());
    let app = TestApp::over(store.clone(), |app| app);
    begin(&app, "s", json!({"title": "Old", "model": "m"})).await;
    app.pass(scrollback::limits::RETENTION_DEFAULT).await;
    tell(&app, "s", "message.note", json!({})).await;
    app.pass(Duration::from_secs(60)).await;
    let again = TestApp::over(store, |app| app);
    let earliest = again.get("/api/streams/sessions/s").await.json()["earliest"].clone();
    assert_eq!(earliest, 2);
    let listed = again.get("/api/sessions").await.json()["sessions"][0].clone();
    assert_eq!((&listed["title"], &listed["model"]), (&json!("Old"), &json!("m")));
    let state = again.get("/api/sessions/s/state?projections=session").await.json();
    assert_eq!(state["projections"]["session"]["title"], "Old");
}

#[tokio::test]
async fn nobody_is_forgotten_because_others_are_busy_and_no_text_is_written_into() {
    let store = FaultyStore::over(Arc::new(MemoryStore::default()));
    let app = TestApp::over(store.clone(), |app| app);
    let ids = scrollback::session::Ids::default();
    let look = async || absence::look(app.app.log(), app.app.sessions(), &ids).await.unwrap();
    tell(&app, "s", "presence.joined", json!({"userId": "u1"})).await;
    let text =
        axum::http::Request::put("/v1/stream/sessions/text").header("content-type", "text/plain");
    let event = r#"{"id":"1","channel":"presence","type":"presence.joined","timestamp":1,"data":{"userId":"u2"}}"#;
    assert_eq!(app.send(text.body(event.into()).unwrap()).await.status, 201);
    app.clock.advance(Duration::from_secs(31));
    // Something is on its way to the disk while it is looked.
    store.hold();
    let mut writing = Box::pin(app.post("/api/sessions/s/events", r#"{"channel":"x","data":1}"#));
    assert!(futures_util::poll!(&mut writing).is_pending());
    let looking = async {
        let looked = look().await;
        assert_eq!(looked, 0);
    };
    let releasing = async {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        store.release();
    };
    tokio::join!(looking, releasing);
    assert_eq!(writing.await.status, 200);
    assert_eq!(look().await, 1, "the one in the session leaves");
    assert_eq!(app.get("/v1/stream/sessions/text").await.text(), event);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let app = TestApp::new();
    for query in [
        "status=asleep",
        "limit=0",
        "limit=1001",
        "cursor=x",
        "cursor=1.",
        "roots=maybe",
        "keep=-1",
    ] {
        let answer = app.get(&format!("/api/sessions?{query}")).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (400, "invalid_parameter"),
            "{query}"
        );
    }
}
