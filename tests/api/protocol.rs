//! The Durable Streams protocol at `/v1/stream/{path}`: what its conformance suite does not ask,
//! and what both faces of one stream see. The suite itself is in `tests/conformance`.

use std::time::Duration;

use axum::{body::Body, http::Request};
use http_body_util::BodyExt as _;
use insta::assert_snapshot;
use proptest::prelude::*;
use scrollback::limits;
use tower::ServiceExt as _;

use crate::util::{Answer, TestApp};

pub(crate) const A: &str = "/v1/stream/a";

/// A request with headers, one a line.
pub(crate) fn request(
    method: &str,
    uri: &str,
    headers: &str,
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(uri);
    for line in headers.lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        request = request.header(name.trim(), value.trim());
    }
    request.body(body.into()).unwrap()
}

pub(crate) async fn send(
    app: &TestApp,
    method: &str,
    uri: &str,
    headers: &str,
    body: &'static str,
) -> Answer {
    app.send(request(method, uri, headers, body)).await
}

/// The status and what the protocol says in headers, in one line.
pub(crate) fn said(answer: &Answer) -> String {
    let headers = answer.headers.iter().filter(|(name, _)| {
        ["stream-", "producer-"].iter().any(|begin| name.as_str().starts_with(begin))
    });
    let mut said: Vec<String> =
        headers.map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
    said.sort();
    format!("{} {}", answer.status.as_u16(), said.join(" "))
}

pub(crate) async fn text(app: &TestApp) {
    let created = send(app, "PUT", A, "content-type: text/plain", "").await;
    assert_eq!(created.status, 201);
}

#[tokio::test]
async fn a_session_is_one_stream_with_two_faces() {
    let app = TestApp::new();
    app.fill(2).await;
    let json = "content-type: application/json";
    let uri = "/v1/stream/sessions/s";
    let appended = send(&app, "POST", uri, json, r#"[{"n" : 1},[2]]"#).await;
    assert_eq!(said(&appended), "204 stream-next-offset=0000000000000004");
    let page = send(&app, "GET", &format!("{uri}?offset=0000000000000001"), "", "").await;
    assert_snapshot!(page.text(), @r#"[{"id":"e2","channel":"c2","type":"t.2","timestamp":1795200000000,"data":2},{"n" : 1},[2]]"#);
    assert_eq!(said(&page), "200 stream-next-offset=0000000000000004 stream-up-to-date=true");
    let events = app.get("/api/sessions/s/events?fromOffset=2").await;
    assert_eq!(events.offsets(), [3, 4]);
    let raw = r#""id":"record-3","channel":"data","type":"data","timestamp":1795200000000,"data":{"n" : 1}}"#;
    assert!(events.text().contains(raw), "{}", events.text());
}

#[tokio::test]
async fn a_producer_is_answered_by_the_rules_of_the_protocol() {
    let app = TestApp::new();
    text(&app).await;
    let batch = async |epoch: u64, seq: u64| {
        let headers = format!(
            "content-type: text/plain\nproducer-id: p\nproducer-epoch: {epoch}\nproducer-seq: {seq}"
        );
        said(&send(&app, "POST", A, &headers, "x").await)
    };
    let mut answers = Vec::new();
    for (epoch, seq) in [(0, 1), (0, 0), (0, 1), (0, 0), (0, 3), (1, 1), (1, 0), (0, 2)] {
        answers.push(format!("{epoch}/{seq}: {}", batch(epoch, seq).await));
    }
    assert_snapshot!(answers.join("\n"), @r"
    0/1: 409 producer-expected-seq=0 producer-received-seq=1
    0/0: 200 producer-epoch=0 producer-seq=0 stream-next-offset=0000000000000001
    0/1: 200 producer-epoch=0 producer-seq=1 stream-next-offset=0000000000000002
    0/0: 204 producer-epoch=0 producer-seq=1 stream-next-offset=0000000000000002
    0/3: 409 producer-expected-seq=2 producer-received-seq=3
    1/1: 400 
    1/0: 200 producer-epoch=1 producer-seq=0 stream-next-offset=0000000000000003
    0/2: 403 producer-epoch=1
    ");
}

#[tokio::test]
async fn the_last_append_and_the_close_are_one_step() {
    let app = TestApp::new();
    text(&app).await;
    let closing = "content-type: text/plain\nstream-closed: true";
    let closed = send(&app, "POST", A, closing, "end").await;
    assert_eq!(said(&closed), "204 stream-closed=true stream-next-offset=0000000000000001");
    let late = send(&app, "POST", A, "content-type: text/plain", "late").await;
    assert_eq!(said(&late), "409 stream-closed=true stream-next-offset=0000000000000001");
    assert_eq!(late.code(), "stream_closed");
    let page = send(&app, "GET", A, "", "").await;
    let tag = page.headers["etag"].to_str().unwrap();
    assert!(tag.ends_with(":0:1:c\""), "{tag}");
    let same = send(&app, "GET", A, &format!("if-none-match: {tag}"), "").await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
}

#[tokio::test]
async fn a_long_poll_waits_answers_and_gives_up() {
    let app = TestApp::new();
    text(&app).await;
    let uri = format!("{A}?offset=now&live=long-poll");
    let waiting = send(&app, "GET", &uri, "", "");
    let writing = async {
        tokio::task::yield_now().await;
        send(&app, "POST", A, "content-type: text/plain", "x").await
    };
    let (answer, _) = tokio::join!(waiting, writing);
    assert_eq!((answer.status.as_u16(), &*answer.text()), (200, "x"));
    let passing = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        app.clock.advance(limits::LONG_POLL_WAIT);
    };
    let (answer, ()) = tokio::join!(send(&app, "GET", &uri, "", ""), passing);
    let cursor = answer.headers["stream-cursor"].to_str().unwrap();
    assert_eq!(
        said(&answer),
        format!(
            "204 stream-cursor={cursor} stream-next-offset=0000000000000001 stream-up-to-date=true"
        )
    );
}

#[tokio::test]
async fn server_sent_events_pair_data_with_control_and_end_after_a_minute() {
    let app = TestApp::new();
    text(&app).await;
    for body in ["a\n b", "c"] {
        send(&app, "POST", A, "content-type: text/plain", body).await;
    }
    let service = scrollback::http::service(app.app.clone());
    // An event source that saw offset 1 goes on behind it, whatever its URL says.
    for (seen, data) in [("", "data:a\ndata:  bc"), ("last-event-id: 0000000000000001", "data:c")] {
        let asked = request("GET", &format!("{A}?offset=-1&live=sse"), seen, Body::empty());
        let mut body = service.clone().oneshot(asked).await.unwrap().into_body();
        let mut text = String::new();
        while !text.contains("upToDate") {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            text += std::str::from_utf8(&piece).unwrap();
        }
        let (events, cursor) = text.split_once("\"streamCursor\":\"").unwrap();
        assert_eq!(
            events,
            format!(
                "retry: 1000\n\nevent: data\n{data}\n\nid: 0000000000000002\nevent: control\n\
                 data:{{\"streamNextOffset\":\"0000000000000002\","
            )
        );
        assert!(cursor.ends_with("\",\"upToDate\":true}\n\n"), "{cursor}");
        app.clock.advance(limits::PROTOCOL_SSE_LASTS + Duration::from_secs(1));
        assert!(body.frame().await.is_none(), "it ends after a minute");
    }
}

#[tokio::test]
async fn a_read_before_what_is_kept_is_gone_and_the_beginning_is_what_is_kept() {
    let app = TestApp::new();
    text(&app).await;
    send(&app, "POST", A, "content-type: text/plain", "old").await;
    app.pass(limits::RETENTION_DEFAULT + Duration::from_secs(1)).await;
    send(&app, "POST", A, "content-type: text/plain", "new").await;
    for live in ["", "&live=long-poll", "&live=sse"] {
        let gone = send(&app, "GET", &format!("{A}?offset=0000000000000000{live}"), "", "").await;
        assert_eq!((gone.status.as_u16(), &*gone.code()), (410, "offset_trimmed"), "{live}");
    }
    assert_eq!(send(&app, "GET", &format!("{A}?offset=-1"), "", "").await.text(), "new");
}

#[tokio::test]
async fn a_read_may_begin_at_a_time() {
    let app = TestApp::new();
    text(&app).await;
    for body in ["a", "b"] {
        send(&app, "POST", A, "content-type: text/plain", body).await;
        app.clock.advance(Duration::from_secs(1));
    }
    let since = crate::util::NOW_MS + 500;
    assert_eq!(send(&app, "GET", &format!("{A}?timestamp={since}"), "", "").await.text(), "b");
}

#[tokio::test]
async fn bodies_beyond_one_record_read_back_as_they_came() {
    let app = TestApp::new();
    send(&app, "PUT", A, "", "").await;
    let body: Vec<u8> = (0..=250).cycle().take(limits::BODY_BYTES_MAX).collect();
    let kind = "content-type: application/octet-stream";
    let appended = app.send(request("POST", A, kind, body.clone())).await;
    assert_eq!(said(&appended), "204 stream-next-offset=0000000000000004");
    let page = send(&app, "GET", A, "", "").await;
    assert!(page.body == body);
}

#[tokio::test]
async fn pages_of_other_origins_are_let_in_where_they_are_named() {
    let app = TestApp::with(|app| app.with_origins(vec!["https://app.example".to_owned()]));
    text(&app).await;
    for (origin, allowed) in [("https://app.example", true), ("https://evil.example", false)] {
        let answer = send(&app, "GET", A, &format!("origin: {origin}"), "").await;
        assert_eq!(answer.headers.contains_key("access-control-allow-origin"), allowed);
    }
    let none = TestApp::new();
    text(&none).await;
    let answer = send(&none, "GET", A, "origin: https://app.example", "").await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands in a header or parameter: a 4xx with a reason or a success, never a 5xx,
    /// and a refused request has written nothing.
    #[test]
    fn any_header_and_parameter_is_taken_or_refused(
        header in prop::sample::select(&[
            "stream-seq", "stream-ttl", "stream-expires-at", "stream-closed", "content-type",
            "producer-id", "producer-epoch", "producer-seq", "last-event-id", "if-none-match",
        ][..]),
        value in prop_oneof!["[ -~]{0,40}", "-?[0-9]{0,25}", "[a-z]{1,8}/[a-z]{1,8}(;[ -~]{0,9})?"],
        parameter in prop::sample::select(&["offset", "live", "cursor", "timestamp", "x"][..]),
        query in "[!-~&&[^#&<>\"`{}|^\\\\]]{0,20}",
        method in prop::sample::select(&["PUT", "POST", "GET", "HEAD"][..]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let app = TestApp::new();
            text(&app).await;
            let uri = format!("{A}?{parameter}={query}");
            let asked = Request::builder().method(method).uri(&uri).header(header, value.as_str());
            let Ok(asked) = asked.body(Body::from("x")) else { return };
            let service = scrollback::http::service(app.app.clone());
            let answer = service.oneshot(asked).await;
            let status = answer.unwrap().status();
            assert!(!status.is_server_error(), "{method} {uri} {header}: {value:?} gave {status}");
            let tail = send(&app, "HEAD", A, "", "").await;
            let written = tail.headers.get("stream-next-offset").is_some_and(|next| next != "0000000000000000");
            if status.is_client_error() {
                assert!(!written, "{method} {uri} {header}: {value:?} gave {status} and wrote");
            }
        });
    }
}
