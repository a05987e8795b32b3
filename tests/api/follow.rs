//! `GET /api/sessions/{id}/stream`.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::Request};
use insta::assert_snapshot;
use scrollback::{
    limits,
    log::{Append, NewRecord, Offset, StreamPath},
    store::{ReadError, faulty::FaultyStore, memory::MemoryStore},
};

use crate::util::TestApp;

const URI: &str = "/api/sessions/s/stream";
const EVENT: &str = r#"{"channel":"x"}"#;

#[tokio::test]
async fn a_reader_gets_what_is_there_and_then_what_comes() {
    let app = TestApp::new();
    app.fill(3).await;
    let mut live = app.follow(URI).await;
    assert_eq!(live.headers["content-type"], "text/event-stream");
    assert_eq!(live.headers["cache-control"], "no-cache, no-transform");
    assert_eq!(live.headers["x-accel-buffering"], "no");
    let first = live.frame().await.unwrap();
    assert_snapshot!(first, @r#"
    id: 1
    data: {"offset":1,"id":"e1","channel":"c1","type":"t.1","timestamp":1795200000000,"data":1}
    "#);
    assert_snapshot!(live.frames(3).await, @r#"
    2 e2
    3 e3
    3 [caught-up] {"epoch":"E","offset":3}
    "#);
    assert!(live.is_quiet().await);
    app.post("/api/sessions/s/events", r#"{"id":"new","channel":"x"}"#).await;
    assert_snapshot!(live.frames(1).await, @r#"4 new"#);
    assert!(live.is_quiet().await);
}

#[tokio::test]
async fn a_reader_resumes_where_it_was_by_either_means() {
    let app = TestApp::new();
    app.fill(4).await;
    let ends = format!("{URI}?live=false");
    assert_snapshot!(app.follow(&format!("{ends}&fromOffset=2")).await.rest().await, @r#"
    3 e3
    4 e4
    4 [caught-up] {"epoch":"E","offset":4}
    4 [end] {"offset":4,"reason":"tail"}
    "#);
    // The header is newer than the address, which an EventSource never changes.
    let live = app.follow_from(&format!("{ends}&fromOffset=1"), Some("3")).await;
    assert_snapshot!(live.rest().await, @r#"
    4 e4
    4 [caught-up] {"epoch":"E","offset":4}
    4 [end] {"offset":4,"reason":"tail"}
    "#);
    assert_eq!(app.follow_from(&ends, Some("")).await.rest().await.lines().count(), 6);
    assert_snapshot!(app.follow(&format!("{ends}&fromOffset=now")).await.rest().await, @r#"
    4 [caught-up] {"epoch":"E","offset":4}
    4 [end] {"offset":4,"reason":"tail"}
    "#);
}

#[tokio::test]
async fn a_reader_may_begin_at_a_time() {
    let app = TestApp::new();
    app.fill(2).await;
    app.clock.advance(Duration::from_millis(10));
    app.post("/api/sessions/s/events", r#"{"id":"late","channel":"x"}"#).await;
    let uri = format!("{URI}?live=false&fromTimestamp={}", crate::util::NOW_MS + 5);
    assert_snapshot!(app.follow(&uri).await.rest().await, @r#"
    3 late
    3 [caught-up] {"epoch":"E","offset":3}
    3 [end] {"offset":3,"reason":"tail"}
    "#);
}

#[tokio::test]
async fn filters_leave_out_events_and_keep_the_place() {
    let app = TestApp::new();
    app.fill(5).await;
    let live = app.follow(&format!("{URI}?live=false&channels=c1")).await;
    assert_snapshot!(live.rest().await, @r#"
    1 e1
    4 e4
    5 [caught-up] {"epoch":"E","offset":5}
    5 [end] {"offset":5,"reason":"tail"}
    "#);
    let live = app.follow(&format!("{URI}?live=false&types=t.2,t.3&channels=c2")).await;
    assert_snapshot!(live.rest().await, @r#"
    2 e2
    5 [caught-up] {"epoch":"E","offset":5}
    5 [end] {"offset":5,"reason":"tail"}
    "#);
}

#[tokio::test]
async fn a_reader_that_wants_so_many_events_gets_so_many() {
    let app = TestApp::new();
    app.fill(5).await;
    assert_snapshot!(app.follow(&format!("{URI}?limit=2")).await.rest().await, @r#"
    1 e1
    2 e2
    2 [end] {"offset":2,"reason":"limit"}
    "#);
    assert_snapshot!(app.follow(&format!("{URI}?limit=1&channels=c2")).await.rest().await, @r#"
    2 e2
    2 [end] {"offset":2,"reason":"limit"}
    "#);
}

#[tokio::test]
async fn a_quiet_line_has_a_heartbeat() {
    let app = TestApp::new();
    app.fill(1).await;
    let mut live = app.follow(&format!("{URI}?fromOffset=now")).await;
    assert_snapshot!(live.frames(1).await, @r#"1 [caught-up] {"epoch":"E","offset":1}"#);
    assert!(live.is_quiet().await);
    app.clock.advance(limits::HEARTBEAT_EVERY);
    assert_snapshot!(live.frames(1).await, @r#"1 [heartbeat] {"offset":1,"timestamp":1795200015000}"#);
    assert!(live.is_quiet().await);
    app.clock.advance(limits::HEARTBEAT_EVERY);
    assert_snapshot!(live.frames(1).await, @r#"1 [heartbeat] {"offset":1,"timestamp":1795200030000}"#);
}

#[tokio::test]
async fn a_reader_is_told_what_is_no_longer_kept() {
    let app = TestApp::new();
    app.put("/api/streams/sessions/s", r#"{"retentionSeconds":60}"#).await;
    app.fill(3).await;
    app.clock.advance(Duration::from_secs(50));
    app.post("/api/sessions/s/events", r#"{"id":"kept","channel":"x"}"#).await;
    app.pass(Duration::from_secs(11)).await;
    let live = app.follow(&format!("{URI}?live=false&fromOffset=1")).await;
    assert_snapshot!(live.rest().await, @r#"
    3 [reset] {"earliest":4,"message":"the records asked for are no longer kept; reading goes on after offset 3: drop what was built from this stream, or mark the gap","reason":"trimmed","resumeFrom":3}
    4 kept
    4 [caught-up] {"epoch":"E","offset":4}
    4 [end] {"offset":4,"reason":"tail"}
    "#);
    let live = app.follow(&format!("{URI}?live=false&fromOffset=3")).await;
    assert_snapshot!(live.rest().await, @r#"
    4 kept
    4 [caught-up] {"epoch":"E","offset":4}
    4 [end] {"offset":4,"reason":"tail"}
    "#);
}

#[tokio::test]
async fn a_reader_of_a_stream_made_anew_is_told_and_begins_again() {
    let app = TestApp::new();
    app.fill(3).await;
    let epoch =
        app.get("/api/streams/sessions/s").await.json()["epoch"].as_str().unwrap().to_owned();
    app.request("DELETE", "/api/streams/sessions/s").await;
    app.fill(2).await;
    let live = app.follow_from(&format!("{URI}?live=false"), Some("3")).await;
    assert_snapshot!(live.rest().await, @r#"
    0 [reset] {"earliest":1,"message":"the offset lies beyond the end: the stream was made anew; reading goes on after offset 0: drop what was built from this stream, or mark the gap","reason":"beyond","resumeFrom":0}
    1 e1
    2 e2
    2 [caught-up] {"epoch":"E","offset":2}
    2 [end] {"offset":2,"reason":"tail"}
    "#);
    // The place exists again; only the epoch tells.
    let live = app.follow(&format!("{URI}?live=false&fromOffset=1&epoch={epoch}")).await;
    assert_snapshot!(live.rest().await, @r#"
    0 [reset] {"earliest":1,"message":"the stream was deleted and made anew; reading goes on after offset 0: drop what was built from this stream, or mark the gap","reason":"recreated","resumeFrom":0}
    1 e1
    2 e2
    2 [caught-up] {"epoch":"E","offset":2}
    2 [end] {"offset":2,"reason":"tail"}
    "#);
}

#[tokio::test]
async fn a_reader_ends_with_its_stream() {
    let app = TestApp::new();
    app.fill(1).await;
    let mut closing = app.follow(&format!("{URI}?fromOffset=1")).await;
    closing.frames(1).await;
    app.request("POST", "/api/close/sessions/s").await;
    assert_snapshot!(closing.rest().await, @r#"1 [end] {"offset":1,"reason":"closed"}"#);
    let closed = app.follow(&format!("{URI}?fromOffset=1")).await;
    assert_snapshot!(closed.rest().await, @r#"
    1 [caught-up] {"epoch":"E","offset":1}
    1 [end] {"offset":1,"reason":"closed"}
    "#);
    let mut other = app.follow(&format!("{URI}?fromOffset=1&live=true")).await;
    other.frames(1).await;
    assert_snapshot!(other.rest().await, @r#"1 [end] {"offset":1,"reason":"closed"}"#);

    app.post("/api/events/gone", EVENT).await;
    let mut deleting = app.follow("/api/follow/gone?fromOffset=now").await;
    deleting.frames(1).await;
    app.request("DELETE", "/api/streams/gone").await;
    assert_snapshot!(deleting.rest().await, @r#"1 [end] {"offset":1,"reason":"deleted"}"#);
}

#[tokio::test]
async fn a_reader_ends_when_the_server_stops() {
    let app = TestApp::new();
    app.fill(1).await;
    let mut live = app.follow(URI).await;
    live.frames(2).await;
    assert_eq!(app.app.readers(), 1);
    app.app.stop_readers();
    assert_snapshot!(live.rest().await, @r#"1 [end] {"offset":1,"reason":"shutdown"}"#);
    assert_eq!(app.app.readers(), 0);
}

#[tokio::test]
async fn readers_have_a_bound_and_give_their_place_back() {
    let app = TestApp::with(|app| app.with_readers_max(1));
    app.fill(1).await;
    let live = app.follow(URI).await;
    let answer = app.get(URI).await;
    assert_snapshot!(answer.shown(), @r#"503 {"type":"urn:scrollback:problem:too_many_readers","title":"Too many readers","status":503,"code":"too_many_readers","message":"the server has as many live readers as it takes; try again shortly","retryable":true}"#);
    assert_eq!(answer.headers["retry-after"], "1");
    drop(live);
    app.follow(URI).await;
    assert_eq!(app.app.readers(), 0);
}

#[tokio::test]
async fn unknown_sessions_are_not_followed() {
    let app = TestApp::new();
    assert_eq!(app.get(URI).await.code(), "stream_not_found");
    let request = Request::get(URI).header("last-event-id", "3").body(Body::empty()).unwrap();
    assert_eq!(app.send(request).await.code(), "stream_not_found");
}

#[tokio::test]
async fn line_breaks_inside_an_event_do_not_break_its_frame() {
    let app = TestApp::new();
    app.post(
        "/api/sessions/s/events",
        "{\"id\":\"a\",\"channel\":\"x\",\"data\":{\n \"k\":\r\n1\r}}",
    )
    .await;
    let path = StreamPath::session("s").unwrap();
    let record = NewRecord { id: None, payload: "[1,\n2]".into() };
    app.app.log().append(&path, Append::json([record])).await.unwrap();
    let mut live = app.follow(URI).await;
    assert_snapshot!(live.frame().await.unwrap(), @r#"
    id: 1
    data: {"offset":1,"id":"a","channel":"x","type":"x","timestamp":1795200000000,"data":{
    data:  "k":
    data: 1
    data: }}
    "#);
    assert_snapshot!(live.frame().await.unwrap(), @r#"
    id: 2
    data: {"offset":2,"id":"record-2","channel":"data","type":"data","timestamp":1795200000000,"data":[1,
    data: 2]}
    "#);
}

#[tokio::test]
async fn readers_at_the_tail_share_what_they_are_sent() {
    let app = TestApp::new();
    app.fill(1).await;
    let mut readers = Vec::new();
    for _ in 0..50 {
        let mut live = app.follow(&format!("{URI}?fromOffset=1")).await;
        live.frames(1).await;
        readers.push(live);
    }
    for n in 2..=20 {
        app.post("/api/sessions/s/events", format!(r#"{{"id":"m{n}","channel":"x"}}"#)).await;
        if n % 5 == 0 {
            for live in &mut readers {
                let expected: Vec<String> = (n - 4..=n).map(|n| format!("{n} m{n}")).collect();
                let first = usize::from(n == 5);
                assert_eq!(live.frames(5 - first).await, expected[first..].join("\n"));
            }
        }
    }
}

#[tokio::test]
async fn damaged_records_are_a_reset_and_not_silence() {
    let store = FaultyStore::over(Arc::new(MemoryStore::default()));
    let app = TestApp::over(Arc::<FaultyStore>::clone(&store), |app| app);
    app.fill(4).await;
    let mut live = app.follow(&format!("{URI}?live=false")).await;
    let (from, to, reason) = (Offset(1), Offset(2), Arc::from("bad checksum"));
    store.fail_reads(Some(ReadError::Lost { from, to, reason }));
    assert_snapshot!(live.frames(1).await, @r#"2 [reset] {"earliest":3,"message":"records are damaged and cannot be read back; reading goes on after offset 2: drop what was built from this stream, or mark the gap","reason":"damaged","resumeFrom":2}"#);
    store.fail_reads(None);
    assert_snapshot!(live.rest().await, @r#"
    3 e3
    4 e4
    4 [caught-up] {"epoch":"E","offset":4}
    4 [end] {"offset":4,"reason":"tail"}
    "#);
}
