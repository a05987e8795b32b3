//! NDJSON bodies.

use insta::assert_snapshot;
use scrollback::limits;

use crate::util::{Answer, TestApp, pieces};

const URI: &str = "/api/sessions/s/events";
const NDJSON: &str = "application/x-ndjson";

fn lines(numbers: std::ops::Range<usize>) -> String {
    let line = |n| format!("{{\"id\":\"n{n}\",\"channel\":\"x\",\"data\":{n}}}\n");
    numbers.map(line).collect::<Vec<_>>().concat()
}

async fn post(app: &TestApp, body: impl Into<axum::body::Body>) -> Answer {
    app.post_as(URI, NDJSON, body).await
}

#[tokio::test]
async fn a_body_of_any_length_is_appended_in_steps() {
    let app = TestApp::new();
    assert_snapshot!(post(&app, lines(0..2_500)).await.shown(), @r#"200 {"ok":true,"count":2500,"duplicates":0,"offset":2500}"#);
    assert_snapshot!(post(&app, lines(2_400..2_600)).await.shown(), @r#"200 {"ok":true,"count":200,"duplicates":100,"offset":2600}"#);
    let page = app.get("/api/sessions/s/events?fromOffset=2499").await;
    assert_eq!(page.json()["events"][0]["id"], "n2499");
    assert_eq!(app.tail().await, 2_600);
}

#[tokio::test]
async fn empty_lines_and_a_missing_last_line_break_are_no_mistake() {
    let app = TestApp::new();
    let body =
        pieces(vec![b"\n{\"channel\":", b"\"x\"}\r\n  \n", b"{\"channel\":\"y\"", b"}"], false);
    assert_snapshot!(post(&app, body).await.shown(), @r#"200 {"ok":true,"count":2,"duplicates":0,"offset":2}"#);
    assert_snapshot!(post(&app, "").await.shown(), @r#"200 {"ok":true,"count":0,"duplicates":0}"#);
}

#[tokio::test]
async fn a_bad_line_leaves_its_step_out_and_says_what_is_in() {
    let app = TestApp::new();
    let body = lines(0..limits::NDJSON_STEP_RECORDS) + &lines(1_000..1_003) + "{\"channel\":}\n";
    assert_snapshot!(post(&app, body).await.shown(), @r#"400 {"type":"urn:scrollback:problem:invalid_json","title":"Invalid JSON","status":400,"code":"invalid_json","message":"the JSON is not valid: expected value at line 1, column 12","retryable":false,"line":1004,"count":1000,"offset":1000}"#);
    assert_eq!(app.tail().await, 1_000);
    assert_snapshot!(post(&app, "{\"channel\":\"x\"}\n{\"data\":1}").await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_event","title":"Invalid event","status":422,"code":"invalid_event","message":"`channel` is missing; it says what kind of event it is","retryable":false,"field":"channel","line":2,"count":0}"#);
    assert_eq!(app.tail().await, 1_000);
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing_of_its_last_line() {
    let app = TestApp::new();
    let body = pieces(vec![b"{\"channel\":\"x\"}\n{\"channel\":", b"\"y\"}"], true);
    let answer = post(&app, body).await;
    assert_eq!(answer.code(), "incomplete_body");
    assert!(app.tail().await <= 1);
}

#[tokio::test]
async fn the_expected_offset_moves_with_each_step() {
    let app = TestApp::new();
    let uri = format!("{URI}?expectedOffset=0");
    let answer = app.post_as(&uri, NDJSON, lines(0..2_200)).await;
    assert_eq!(answer.json()["offset"], 2_200);
    // All of it again: duplicates expect nothing.
    assert_eq!(app.post_as(&uri, NDJSON, lines(2_000..2_200)).await.json()["duplicates"], 200);
    assert_snapshot!(app.post_as(&uri, NDJSON, lines(3_000..3_002)).await.shown(), @r#"409 {"type":"urn:scrollback:problem:offset_mismatch","title":"Offset mismatch","status":409,"code":"offset_mismatch","message":"the stream ends at offset 2200, not at 0; read what was appended since, and decide again","retryable":false,"count":0,"expected":0,"actual":2200}"#);
}

#[tokio::test]
async fn a_line_has_a_bound() {
    let app = TestApp::new();
    let large =
        format!("{{\"channel\":\"x\",\"data\":\"{}\"}}\n", "x".repeat(limits::RECORD_BYTES_MAX));
    assert_snapshot!(post(&app, "{\"channel\":\"x\"}\n".to_owned() + &large).await.shown(), @r#"413 {"type":"urn:scrollback:problem:event_too_large","title":"Event too large","status":413,"code":"event_too_large","message":"the event has 262240 bytes; at most 262144 are allowed: keep larger things elsewhere and append a link","retryable":false,"line":2,"count":0}"#);
    let endless = "x".repeat(limits::BODY_BYTES_MAX + 1);
    assert_eq!(post(&app, endless).await.code(), "event_too_large");
    assert_eq!(app.tail().await, 0);
}

#[tokio::test]
async fn a_verbatim_copy_is_the_same_to_the_byte_and_takes_every_place() {
    let app = TestApp::new();
    let lines = [
        // Of a known type with wrong data; in an order of its own; with an id that comes twice.
        r#"{"type":"terminal.output", "channel":"terminal","id":"a","timestamp":5,"data":{"data":7}}"#,
        r#"{"id":"b","channel":"x","type":"y","timestamp":6,"data":{ "n":1.0 },"more":"\u00e9"}"#,
        r#"{"id":"b","channel":"x","type":"y","timestamp":6,"data":2}"#,
    ];
    let copy = async |expected: u64| {
        let uri = format!("{URI}?verbatim=on&expectedOffset={expected}");
        app.post_as(&uri, NDJSON, lines.join("\n")).await.shown()
    };
    assert_snapshot!(copy(0).await, @r#"200 {"ok":true,"count":3,"duplicates":0,"offset":3}"#);
    let page = app.get(URI).await.text();
    for (offset, line) in (1..).zip(lines) {
        let shown = format!("{{\"offset\":{offset},{}", &line[1..]);
        assert!(page.contains(&shown), "{page}");
    }
    // It came again: then the place it expects is taken.
    assert!(copy(0).await.starts_with("409 "));
    // What was copied is known by its id to those who append.
    let again = app.post(URI, r#"{"id":"a","channel":"x"}"#).await;
    assert_eq!(again.json()["duplicate"], true);
    let message = app.post("/api/streams?sessionId=s&verbatim=on", r#"{"channel":"x","data":{}}"#);
    assert_eq!(message.await.json()["offset"], 4, "a message is filled in all the same");
}
