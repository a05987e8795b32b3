//! `POST /api/sessions/{id}/events` and `POST /api/events/{path}` with JSON bodies.

use insta::assert_snapshot;

use crate::util::TestApp;

const URI: &str = "/api/sessions/s/events";

#[tokio::test]
async fn an_event_is_answered_with_its_offset() {
    let app = TestApp::new();
    let event = r#"{"id":"a","channel":"todo","data":[1]}"#;
    assert_snapshot!(app.post(URI, event).await.shown(), @r#"200 {"ok":true,"offset":1,"id":"a"}"#);
    assert_snapshot!(app.post(URI, event).await.shown(), @r#"200 {"ok":true,"offset":1,"id":"a","duplicate":true}"#);
    let typed = app.post_as(URI, "application/json; charset=utf-8", r#"{"channel":"x"}"#).await;
    assert_eq!(typed.json()["offset"], 2);
}

#[tokio::test]
async fn events_go_to_any_path() {
    let app = TestApp::new();
    let uri = "/api/events/agents/coder%20one";
    assert_eq!(app.post(uri, r#"{"channel":"x"}"#).await.json()["offset"], 1);
    assert_eq!(app.get(uri).await.offsets(), [1]);
    assert_eq!(app.get("/api/streams/agents/coder%20one").await.json()["tail"], 1);
    assert_eq!(app.post("/api/events/sessions/s", r#"{"channel":"x"}"#).await.json()["offset"], 1);
    assert_eq!(app.tail().await, 1, "a session is the stream below sessions/");
}

#[tokio::test]
async fn an_array_is_all_or_nothing() {
    let app = TestApp::new();
    let events = r#"[{"id":"a","channel":"x"}, {"channel":"x"}, {"id":"a","channel":"x"}]"#;
    assert_snapshot!(app.post(URI, events).await.shown(), @r#"200 {"ok":true,"offset":2,"count":3,"duplicates":1,"offsets":[1,2,1],"ids":["a","01M7X448000000000000000000","a"]}"#);
    assert_snapshot!(app.post(URI, r#"[{"channel":"x"},{"channel":7}]"#).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_event","title":"Invalid event","status":422,"code":"invalid_event","message":"`channel` must be a text","retryable":false,"field":"channel","index":1}"#);
    assert_snapshot!(app.post(URI, r#"[{"channel":"x"},[{"channel":"x"}]]"#).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_event","title":"Invalid event","status":422,"code":"invalid_event","message":"an event is a JSON object, such as {\"channel\":\"message\",\"data\":{}}","retryable":false,"index":1}"#);
    assert_snapshot!(app.post(URI, "[]").await.shown(), @r#"422 {"type":"urn:scrollback:problem:empty_batch","title":"Empty batch","status":422,"code":"empty_batch","message":"the array has no events; send at least one","retryable":false}"#);
    assert_eq!(app.tail().await, 2);
}

#[tokio::test]
async fn an_expected_offset_must_be_the_tail() {
    let app = TestApp::new();
    let event = |id: &str| format!(r#"{{"id":"{id}","channel":"x"}}"#);
    let at = |n: u64| format!("{URI}?expectedOffset={n}");
    assert_eq!(app.post(&at(0), event("a")).await.json()["offset"], 1);
    assert_snapshot!(app.post(&at(0), event("b")).await.shown(), @r#"409 {"type":"urn:scrollback:problem:offset_mismatch","title":"Offset mismatch","status":409,"code":"offset_mismatch","message":"the stream ends at offset 1, not at 0; read what was appended since, and decide again","retryable":false,"expected":0,"actual":1}"#);
    assert_eq!(app.post(&at(0), event("a")).await.json()["duplicate"], true);
    assert_eq!(app.post(&at(1), event("b")).await.json()["offset"], 2);
    let message = format!("/api/streams?sessionId=s&expectedOffset={}", 9);
    let answer = app.post(&message, r#"{"channel":"x","data":{}}"#).await;
    assert_eq!(
        (answer.code(), answer.json()["actual"].clone()),
        ("offset_mismatch".into(), 2.into())
    );
}

#[tokio::test]
async fn a_closed_stream_takes_no_more_but_knows_what_it_has() {
    let app = TestApp::new();
    app.fill(2).await;
    assert_snapshot!(app.request("POST", "/api/close/sessions/s").await.shown(), @r#"200 {"ok":true,"offset":2}"#);
    assert_snapshot!(app.post(URI, r#"{"channel":"x"}"#).await.shown(), @r#"409 {"type":"urn:scrollback:problem:stream_closed","title":"Stream closed","status":409,"code":"stream_closed","message":"stream sessions/s is closed at offset 2 and takes no more events","retryable":false,"tail":2}"#);
    assert_eq!(app.post(URI, r#"{"id":"e2","channel":"x"}"#).await.json()["offset"], 2);
    assert_snapshot!(app.request("POST", "/api/close/sessions/s").await.shown(), @r#"200 {"ok":true,"offset":2}"#);
}

#[tokio::test]
async fn events_do_not_go_to_streams_of_something_else() {
    let app = TestApp::new();
    app.put("/api/streams/notes", r#"{"contentType":"text/plain"}"#).await;
    assert_snapshot!(app.post("/api/events/notes", r#"{"channel":"x"}"#).await.shown(), @r#"409 {"type":"urn:scrollback:problem:content_type_mismatch","title":"Content type mismatch","status":409,"code":"content_type_mismatch","message":"the stream holds text/plain, not application/json; events go to streams of application/json","retryable":false}"#);
    assert_snapshot!(app.get("/api/events/notes").await.shown(), @r#"409 {"type":"urn:scrollback:problem:content_type_mismatch","title":"Content type mismatch","status":409,"code":"content_type_mismatch","message":"the stream holds text/plain, not events of application/json","retryable":false}"#);
    assert_eq!(app.get("/api/follow/notes").await.code(), "content_type_mismatch");
}

#[tokio::test]
async fn a_batch_has_a_bound() {
    let app = TestApp::new();
    let events = vec![r#"{"channel":"x"}"#; 10_001].join(",");
    assert_snapshot!(app.post(URI, format!("[{events}]")).await.shown(), @r#"413 {"type":"urn:scrollback:problem:batch_too_large","title":"Batch too large","status":413,"code":"batch_too_large","message":"a batch has 1 to 10000 records, not 10001; split it, or send NDJSON, which has no bound","retryable":false}"#);
    assert_eq!(app.tail().await, 0);
}
