//! What must never be taken: each is a clear 4xx, and nothing is written.

use axum::{body::Body, http::Request};
use futures_util::StreamExt as _;
use insta::assert_snapshot;
use scrollback::{limits, wire::code::Code};

use crate::util::{TestApp, pieces};

const EVENTS: &str = "/api/sessions/s/events";
const MESSAGE: &str = "/api/streams?sessionId=s";

#[tokio::test]
async fn bad_json_is_refused_everywhere_and_nothing_is_written() {
    let app = TestApp::new();
    let deep =
        format!("{{\"channel\":\"x\",\"data\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_array = "[".repeat(10_000);
    let bodies: &[&[u8]] = &[
        b"",
        b" ",
        b"{",
        b"nul",
        b"{\"channel\":\"x\"} {}",
        b"{\"channel\":\"x\",}",
        b"{'channel':'x'}",
        b"{\"channel\":\"\xff\xfe\"}",
        b"{\"channel\":\"x\",\"data\":\"\\ud800\"}",
        b"{\"channel\":\"x\",\"data\":\"\\udc00\\ud800\"}",
        b"{\"channel\":\"x\",\"data\":\"a\x00b\"}",
        b"{\"channel\":\"x\",\"data\":01}",
        b"{\"channel\":\"x\",\"data\":NaN}",
        b"\xef\xbb\xbf{\"channel\":\"x\"}",
        deep.as_bytes(),
        deep_array.as_bytes(),
    ];
    for body in bodies {
        for uri in [EVENTS, MESSAGE] {
            let answer = app.post(uri, body.to_vec()).await;
            let about = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            assert_eq!(answer.status, 400, "{about}: {}", answer.text());
            // What is both broken and too deep is either.
            let is_deep = body.len() > 100 && answer.code() == "json_too_deep";
            assert!(is_deep || answer.code() == "invalid_json", "{about}: {}", answer.text());
        }
        let lines = app.post_as(EVENTS, "application/x-ndjson", body.to_vec()).await;
        assert!(lines.status == 400 || body.trim_ascii().is_empty(), "{}", lines.text());
    }
    assert_eq!(app.tail().await, 0);
    assert_snapshot!(app.post(EVENTS, "{\"channel\":").await.shown(), @r#"400 {"type":"urn:scrollback:problem:invalid_json","title":"Invalid JSON","status":400,"code":"invalid_json","message":"the JSON is not valid: EOF while parsing a value at line 1, column 11","retryable":false}"#);
    assert_snapshot!(app.post(EVENTS, deep).await.shown(), @r#"400 {"type":"urn:scrollback:problem:json_too_deep","title":"JSON too deep","status":400,"code":"json_too_deep","message":"the JSON is nested deeper than 100 levels","retryable":false}"#);
}

#[tokio::test]
async fn events_that_break_a_rule_name_the_field() {
    let app = TestApp::new();
    for body in ["7", "\"x\"", "null", "{}", r#"{"channel":""}"#, r#"{"channel":"a\u0000b"}"#] {
        let answer = app.post(EVENTS, body).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (422, "invalid_event"), "{body}");
    }
    assert_snapshot!(app.post(EVENTS, r#"{"channel":"x","timestamp":"now"}"#).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_event","title":"Invalid event","status":422,"code":"invalid_event","message":"`timestamp` must be Unix milliseconds, an integer from 0 to 2^53 - 1","retryable":false,"field":"timestamp"}"#);
    assert_eq!(app.tail().await, 0);
}

#[tokio::test]
async fn offsets_are_plain_numbers() {
    let app = TestApp::new();
    app.fill(1).await;
    for offset in [
        "-1",
        "+1",
        "%201",
        "1.0",
        "1e3",
        "0x1",
        "abc",
        "",
        "9007199254740992",
        "99999999999999999999999",
    ] {
        for uri in [
            format!("{EVENTS}?fromOffset={offset}"),
            format!("{EVENTS}?order=desc&fromOffset={offset}"),
            format!("/api/sessions/s/stream?fromOffset={offset}"),
        ] {
            let answer = app.get(&uri).await;
            assert_eq!(
                (answer.status.as_u16(), &*answer.code()),
                (400, "invalid_parameter"),
                "{uri}"
            );
            assert_eq!(answer.json()["field"], "fromOffset", "{uri}");
        }
        let uri = format!("{EVENTS}?expectedOffset={offset}");
        assert_eq!(app.post(&uri, r#"{"channel":"x"}"#).await.json()["field"], "expectedOffset");
    }
    assert_eq!(app.tail().await, 1);
    assert_snapshot!(app.get(&format!("{EVENTS}?fromOffset=-1")).await.shown(), @r#"400 {"type":"urn:scrollback:problem:invalid_parameter","title":"Invalid parameter","status":400,"code":"invalid_parameter","message":"parameter `fromOffset` is \"-1\": an offset is written in decimal digits","retryable":false,"field":"fromOffset"}"#);
    assert_snapshot!(app.get(&format!("{EVENTS}?fromOffset=9007199254740992")).await.shown(), @r#"400 {"type":"urn:scrollback:problem:invalid_parameter","title":"Invalid parameter","status":400,"code":"invalid_parameter","message":"parameter `fromOffset` is \"9007199254740992\": an offset is at most 9007199254740991","retryable":false,"field":"fromOffset"}"#);
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let app = TestApp::new();
    app.fill(1).await;
    let stream = "/api/sessions/s/stream";
    for (uri, field) in [
        (format!("{EVENTS}?limit=0"), "limit"),
        (format!("{EVENTS}?limit=1001"), "limit"),
        (format!("{EVENTS}?order=up"), "order"),
        (format!("{EVENTS}?channels="), "channels"),
        (format!("{EVENTS}?types=a,,b"), "types"),
        (format!("{EVENTS}?limit=1&limit=2"), "limit"),
        (format!("{EVENTS}?fromTimestamp=-5"), "fromTimestamp"),
        (format!("{EVENTS}?channels=%ff"), "channels"),
        (format!("{stream}?live=maybe"), "live"),
        (format!("{stream}?limit=none"), "limit"),
        (format!("{stream}?fromTimestamp=1&fromOffset=1"), "fromTimestamp"),
        ("/api/streams?prefix=%00".to_owned(), "prefix"),
        ("/api/streams?cursor=%zz".to_owned(), "cursor"),
    ] {
        let answer = app.get(&uri).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["field"].as_str()),
            (400, Some(field)),
            "{uri}"
        );
    }
    let request = Request::get(stream).header("last-event-id", "x").body(Body::empty()).unwrap();
    assert_eq!(app.send(request).await.json()["field"], "Last-Event-ID");
    assert_eq!(app.get(&format!("{EVENTS}?unknown=1")).await.status, 200);
}

#[tokio::test]
async fn paths_that_could_mean_two_things_are_refused() {
    let app = TestApp::new();
    for path in
        ["a//b", "a/../b", "a/.", "%2e%2e/x", "a%00b", "a%0ab", "a%ffb", "a/", &"x".repeat(513)]
    {
        for uri in [
            format!("/api/events/{path}"),
            format!("/api/streams/{path}"),
            format!("/api/follow/{path}"),
        ] {
            let answer = app.get(&uri).await;
            assert_eq!((answer.status.as_u16(), &*answer.code()), (400, "invalid_path"), "{uri}");
        }
        let uri = format!("/api/events/{path}");
        assert_eq!(app.post(&uri, r#"{"channel":"x"}"#).await.code(), "invalid_path", "{uri}");
    }
    for id in ["a%2Fb", "..", "%00", "%c3%28"] {
        let answer = app.get(&format!("/api/sessions/{id}/events")).await;
        assert_eq!(answer.code(), "invalid_path", "{id}");
    }
    assert_eq!(app.get("/api/streams").await.json()["streams"].as_array().unwrap().len(), 0);
    assert_snapshot!(app.get("/api/sessions/a%00/events").await.shown(), @r#"400 {"type":"urn:scrollback:problem:invalid_path","title":"Invalid path","status":400,"code":"invalid_path","message":"the path has a control character at byte 10","retryable":false}"#);
}

#[tokio::test]
async fn other_content_types_are_refused() {
    let app = TestApp::new();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "x",
        "application/json; charset=latin1",
    ] {
        for uri in [EVENTS, MESSAGE] {
            let answer = app.post_as(uri, kind, r#"{"channel":"x","data":{}}"#).await;
            assert_eq!(answer.status, 415, "{kind}");
        }
    }
    let untyped = Request::post(EVENTS).body(Body::from(r#"{"channel":"x"}"#)).unwrap();
    assert_snapshot!(app.send(untyped).await.shown(), @r#"415 {"type":"urn:scrollback:problem:unsupported_content_type","title":"Unsupported content type","status":415,"code":"unsupported_content_type","message":"the request has no Content-Type; send Content-Type: application/json, or application/x-ndjson for one event a line","retryable":false}"#);
    assert_eq!(app.tail().await, 0);
}

#[tokio::test]
async fn bodies_and_events_above_the_bounds_are_refused() {
    let app = TestApp::new();
    let event = |bytes: usize| format!(r#"{{"channel":"x","data":"{}"}}"#, "x".repeat(bytes));
    assert_snapshot!(app.post(EVENTS, event(limits::RECORD_BYTES_MAX)).await.shown(), @r#"413 {"type":"urn:scrollback:problem:event_too_large","title":"Event too large","status":413,"code":"event_too_large","message":"the event has 262240 bytes; at most 262144 are allowed: keep larger things elsewhere and append a link","retryable":false}"#);
    let in_array = format!("[{},{}]", event(1), event(limits::RECORD_BYTES_MAX));
    assert_eq!(app.post(EVENTS, in_array).await.json()["index"], 1);
    assert_snapshot!(app.post(EVENTS, event(limits::BODY_BYTES_MAX)).await.shown(), @r#"413 {"type":"urn:scrollback:problem:body_too_large","title":"Body too large","status":413,"code":"body_too_large","message":"a body has at most 1048576 bytes; split it, or send NDJSON, which has no bound","retryable":false}"#);
    let piece: &[u8] = &[b' '; 16 * 1024];
    let endless = pieces(vec![piece; 256], false);
    assert_eq!(app.post(EVENTS, endless).await.code(), "body_too_large");
    assert_eq!(app.tail().await, 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_writes_nothing() {
    let app = TestApp::new();
    for uri in [EVENTS, MESSAGE] {
        let body = pieces(vec![br#"{"channel":"x","data":{}"#, b"}"], true);
        let answer = app.post(uri, body).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (400, "incomplete_body"));
        assert_eq!(answer.json()["retryable"], true);
    }
    assert_eq!(app.tail().await, 0);
}

/// The table of errors in the documentation is the one in the code.
#[test]
fn every_code_is_documented_with_its_status() {
    let text = include_str!("../../docs/http-api.md");
    for code in Code::ALL {
        let retryable = if code.is_retryable() { "yes" } else { "no" };
        let row = format!("| {} | `{}` | {retryable} | ", code.status(), code.as_str());
        assert!(text.contains(&row), "no row {row:?}");
    }
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let app = TestApp::new();
    for kind in ["application/json", "application/x-ndjson"] {
        let begun = futures_util::stream::iter([Ok::<_, std::io::Error>("{\"channel\":\"x\"")]);
        let body = Body::from_stream(begun.chain(futures_util::stream::pending()));
        let passing = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            app.clock.advance(limits::BODY_IDLE_TIMEOUT);
        };
        let (answer, ()) = tokio::join!(app.post_as(EVENTS, kind, body), passing);
        assert_eq!((answer.status.as_u16(), &*answer.code()), (408, "body_timeout"), "{kind}");
        assert_eq!(app.tail().await, 0);
    }
}
