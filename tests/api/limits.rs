//! Limits on those who use the server: what is refused, what is said, and what goes on all the
//! same. The bounds on what one request may hold are here, too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::Request,
};
use futures_util::StreamExt as _;
use insta::assert_snapshot;
use scrollback::{
    auth::{Grant, Guard, Rights, Scopes},
    http::{Allowance, Peer, RateLimits},
    limits,
};
use tokio_util::sync::CancellationToken;

use crate::util::{Answer, TestApp};

const EVENTS: &str = "/api/sessions/s/events";
const EVENT: &str = r#"{"channel":"x","data":{}}"#;
const NO_LIMIT: Allowance =
    Allowance { requests_per_second: 0, bytes_per_second: 0, live_readers: 0, streams_per_hour: 0 };

fn limited(address: Allowance) -> TestApp {
    let limits = RateLimits { address, token: NO_LIMIT, ..RateLimits::default() };
    TestApp::with(|app| app.with_rate_limits(limits))
}

fn from(address: &str, method: &str, uri: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri(uri);
    let request = request.header("content-type", "application/json");
    let peer = Peer::Address(address.parse().unwrap());
    request.extension(peer).body(body.into()).unwrap()
}

impl TestApp {
    async fn append_from(&self, address: &str, uri: &str) -> Answer {
        self.send(from(address, "POST", uri, EVENT)).await
    }
}

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";

fn retry_after(answer: &Answer) -> u64 {
    answer.headers["retry-after"].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn who_is_over_a_rate_is_told_which_and_when_to_come_again_and_nothing_is_written() {
    let app = limited(Allowance { requests_per_second: 2, ..NO_LIMIT });
    for _ in 0..10 {
        assert_eq!(app.append_from(A, EVENTS).await.status, 200);
    }
    let answer = app.append_from(A, EVENTS).await;
    assert_snapshot!(answer.shown(), @r#"429 {"type":"urn:scrollback:problem:too_many_requests","title":"Too many requests","status":429,"code":"too_many_requests","message":"the limit of this address is 2 requests a second, and it is used up; nothing was done, send it again in 1 s","retryable":true,"limit":"address.requests_per_second"}"#);
    assert_eq!(retry_after(&answer), 1);
    assert_eq!(app.tail().await, 10);
    assert_eq!(app.append_from(B, EVENTS).await.status, 200, "another goes on");
    app.clock.advance(Duration::from_secs(retry_after(&answer)));
    assert_eq!(app.append_from(A, EVENTS).await.status, 200);
}

#[tokio::test]
async fn whether_the_server_is_well_is_told_to_everybody() {
    let app = limited(Allowance { requests_per_second: 1, ..NO_LIMIT });
    for _ in 0..20 {
        assert_eq!(app.send(from(A, "GET", "/healthz", "")).await.status, 200);
        assert_eq!(app.send(from(A, "GET", "/readyz", "")).await.status, 200);
    }
    for _ in 0..5 {
        app.send(from(A, "GET", "/version", "")).await;
    }
    assert_eq!(app.send(from(A, "GET", "/version", "")).await.code(), "too_many_requests");
}

#[tokio::test]
async fn bytes_count_as_they_come_and_who_has_sent_too_many_waits_before_the_next_request() {
    let app = limited(Allowance { bytes_per_second: 100, ..NO_LIMIT });
    let filler = format!("{EVENT}{}", " ".repeat(1_475));
    assert_eq!(app.send(from(A, "POST", EVENTS, filler)).await.status, 200);
    let answer = app.append_from(A, EVENTS).await;
    assert_eq!((answer.status.as_u16(), retry_after(&answer)), (429, 11), "{}", answer.text());
    assert_eq!(answer.json()["limit"], "address.bytes_per_second");
    assert_eq!(app.tail().await, 1);
    app.clock.advance(Duration::from_secs(11));
    assert_eq!(app.append_from(A, EVENTS).await.status, 200);
}

#[tokio::test]
async fn a_body_that_has_begun_is_taken_in_at_the_rate_of_its_sender() {
    let app = limited(Allowance { bytes_per_second: 100, ..NO_LIMIT });
    let line = format!("{EVENT}{}\n", " ".repeat(600 - EVENT.len() - 1));
    let lines: Vec<_> =
        (0..3).map(|_| Ok::<_, std::io::Error>(Bytes::from(line.clone()))).collect();
    let body = Body::from_stream(futures_util::stream::iter(lines).boxed());
    let mut request = from(A, "POST", EVENTS, body);
    request.headers_mut().insert("content-type", "application/x-ndjson".parse().unwrap());
    let mut sent = std::pin::pin!(app.send(request));
    // 600 bytes are a hundred more than the burst, and so is each line that follows.
    for seconds in [2, 7, 5] {
        assert!(futures_util::poll!(&mut sent).is_pending(), "it waits for {seconds} s");
        app.clock.advance(Duration::from_secs(seconds));
    }
    let answer = tokio::time::timeout(Duration::from_secs(10), sent).await.unwrap();
    assert_eq!(answer.json()["count"], 3, "{}", answer.text());
}

#[tokio::test]
async fn who_has_begun_enough_streams_goes_on_in_those() {
    let app = limited(Allowance { streams_per_hour: 8, ..NO_LIMIT });
    for (method, uri) in [("POST", EVENTS), ("PUT", "/v1/stream/a")] {
        let answer = app.send(from(A, method, uri, EVENT)).await;
        assert!(answer.status.is_success(), "{}", answer.text());
    }
    for (method, uri) in [
        ("POST", "/api/sessions/other/events"),
        ("POST", "/api/streams?sessionId=other"),
        ("POST", "/api/sessions/other/messages"),
        ("POST", "/api/sessions"),
        ("POST", "/api/events/other"),
        ("PUT", "/api/streams/other"),
        ("PUT", "/v1/stream/other"),
    ] {
        let answer = app.send(from(A, method, uri, EVENT)).await;
        assert_eq!(answer.code(), "too_many_requests", "{method} {uri}");
        assert_eq!(answer.json()["limit"], "address.streams_per_hour");
        assert_eq!(retry_after(&answer), 1);
    }
    assert_eq!(app.append_from(A, EVENTS).await.status, 200);
    assert_eq!(app.send(from(A, "PUT", "/v1/stream/a", "[1]")).await.status, 200);
    assert_eq!(app.append_from(B, "/api/sessions/other/events").await.status, 200);
    app.clock.advance(Duration::from_secs(450));
    assert_eq!(app.append_from(A, "/api/sessions/third/events").await.status, 200);
}

#[tokio::test]
async fn live_reads_of_one_address_have_a_bound_and_their_places_come_back() {
    let app = limited(Allowance { live_readers: 2, ..NO_LIMIT });
    app.fill(1).await;
    let service = scrollback::http::service(Arc::clone(&app.app));
    let read = |uri| tower::ServiceExt::oneshot(service.clone(), from(A, "GET", uri, ""));
    let first = read("/api/sessions/s/stream").await.unwrap();
    let second = read("/api/events?channels=*").await.unwrap();
    for uri in [
        "/api/sessions/s/stream",
        "/v1/stream/sessions/s?live=sse&offset=-1",
        "/v1/stream/sessions/s?live=long-poll&offset=now",
        "/event",
    ] {
        let answer = app.send(from(A, "GET", uri, "")).await;
        assert_eq!(answer.code(), "too_many_requests", "{uri}");
        assert_eq!(answer.json()["limit"], "address.live_readers");
    }
    let metrics = app.app.log().metrics().render().unwrap();
    let counted = r#"scrollback_rate_limited_total{what="readers"} 4"#;
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    assert_eq!(app.app.readers(), 2);
    drop((first, second));
    assert_eq!(app.app.readers(), 0);
    assert_eq!(read("/api/sessions/s/stream").await.unwrap().status(), 200);
}

#[tokio::test]
async fn who_goes_on_asking_is_refused_late_and_what_it_sends_is_taken_in_first() {
    let app = limited(Allowance { requests_per_second: 1, ..NO_LIMIT });
    let free = 5 + 5 * limits::RATE_REFUSALS_PER_SECOND;
    for _ in 0..free {
        app.append_from(A, EVENTS).await;
    }
    let taken = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&taken);
    let pieces = futures_util::stream::repeat(EVENT).take(9).map(move |piece| {
        counts.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>(piece)
    });
    let mut sent = std::pin::pin!(app.send(from(A, "POST", EVENTS, Body::from_stream(pieces))));
    assert!(futures_util::poll!(&mut sent).is_pending());
    app.clock.advance(limits::RATE_REFUSED_PAUSE);
    let answer = tokio::time::timeout(Duration::from_secs(10), sent).await.unwrap();
    assert_eq!((answer.code().as_str(), taken.load(Ordering::Relaxed)), ("too_many_requests", 9));
    let metrics = app.app.log().metrics().render().unwrap();
    let counted = format!(r#"scrollback_rate_limited_total{{what="requests"}} {}"#, free - 5 + 1);
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    assert_eq!(app.append_from(B, EVENTS).await.status, 200, "another waits for nothing");
}

#[tokio::test]
async fn no_piece_of_a_body_makes_it_wait_for_so_long_that_it_looks_dead() {
    let app = limited(Allowance { bytes_per_second: 100, ..NO_LIMIT });
    let line = format!("{EVENT}{}\n", " ".repeat(100_000));
    let lines = futures_util::stream::repeat(line).take(2).map(Ok::<_, std::io::Error>);
    let mut request = from(A, "POST", EVENTS, Body::from_stream(lines));
    request.headers_mut().insert("content-type", "application/x-ndjson".parse().unwrap());
    let mut sent = std::pin::pin!(app.send(request));
    for _ in 0..2 {
        assert!(futures_util::poll!(&mut sent).is_pending());
        app.clock.advance(limits::RATE_BODY_WAIT_MAX);
    }
    let answer = tokio::time::timeout(Duration::from_secs(10), sent).await.unwrap();
    assert_eq!(answer.json()["count"], 2, "{}", answer.text());
    // What is there whole makes nobody wait for its end.
    let body = format!("{EVENT}{}", " ".repeat(100_000));
    let answer = app.send(from(B, "POST", EVENTS, body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn wrong_tokens_of_one_address_are_429_after_a_while_and_a_known_one_goes_on() {
    let guard = Guard::on();
    for secret in ["right", "other"] {
        let rights = Rights::Scopes(Scopes::new(vec!["admin:**".parse().unwrap()]));
        let revoked = CancellationToken::new();
        let id = Arc::from(secret);
        guard.grant(secret, Grant { id, rights, actor: None, ends_ms: None, revoked });
    }
    let limits = RateLimits { token: NO_LIMIT, address: NO_LIMIT, ..RateLimits::default() };
    let app = TestApp::with(|app| app.with_guard(guard).with_rate_limits(limits));
    let with = async |secret: &str| {
        let mut request = from(A, "POST", EVENTS, EVENT);
        request.headers_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
        app.send(request).await
    };
    assert_eq!(with("right").await.status, 200);
    for guess in 0..30 {
        assert_eq!(with(&format!("guess-{guess}")).await.code(), "unauthenticated");
    }
    let wrong = with("guess").await;
    assert_eq!((wrong.code().as_str(), retry_after(&wrong)), ("too_many_requests", 1));
    assert_eq!(wrong.json()["limit"], "failed_auth_per_minute");
    assert_eq!(with("other").await.body, wrong.body, "a right guess is answered as a wrong one");
    assert_eq!(with("right").await.status, 200);
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(with("other").await.status, 200);
}

#[tokio::test]
async fn json_is_nested_as_deep_as_is_taken_and_no_deeper_wherever_it_comes_in() {
    let app = TestApp::new();
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let event = |depth: usize| format!(r#"{{"channel":"x","data":{{"a":{}}}}}"#, nested(depth - 2));
    let most = limits::JSON_DEPTH_MAX;
    let ndjson = "application/x-ndjson";
    for (deep, status) in [(most, 200), (most + 1, 400), (127, 400), (128, 400), (9_000, 400)] {
        for (kind, uri, body) in [
            ("application/json", EVENTS, event(deep)),
            ("application/json", EVENTS, format!("[{}]", event(deep))),
            ("application/json", "/api/sessions/s/events?verbatim=on", event(deep)),
            ("application/json", "/api/sessions/s/events?validate=off", event(deep)),
            ("application/json", "/api/streams?sessionId=s", event(deep)),
            (ndjson, EVENTS, event(deep)),
        ] {
            let answer = app.post_as(uri, kind, body).await;
            assert_eq!(answer.status, status, "{uri} {kind} {deep}: {}", answer.text());
            assert!(status == 200 || answer.code() == "json_too_deep", "{}", answer.text());
        }
    }
    let deep = format!(r#"{{"a":{}}}"#, nested(most));
    for (method, uri) in [
        ("PUT", "/api/streams/a"),
        ("PUT", "/v1/stream/a"),
        ("POST", "/api/sessions"),
        ("POST", "/api/sessions/s/messages"),
        ("PATCH", "/api/sessions/s"),
        ("POST", "/api/sessions/s/presence"),
        ("POST", "/api/sessions/s/turns/t/chunks"),
    ] {
        let answer = app.send(from(A, method, uri, deep.clone())).await;
        assert_eq!(answer.code(), "json_too_deep", "{method} {uri}: {}", answer.text());
    }
    app.put("/v1/stream/a", "").await;
    let answer = app.send(from(A, "POST", "/v1/stream/a", deep.clone())).await;
    assert_eq!(answer.code(), "json_too_deep", "{}", answer.text());
    let subscription = "/v1/stream/__ds/subscriptions/x";
    let answer = app.send(from(A, "PUT", subscription, deep)).await;
    assert!(answer.text().contains("nested deeper than 100 levels"), "{}", answer.text());
}

#[tokio::test]
async fn a_query_is_as_long_as_is_taken_and_no_longer() {
    let app = TestApp::new();
    app.fill(1).await;
    let with = async |query: String| app.get(&format!("{EVENTS}?{query}")).await;
    let answer = with(format!("x={}", "y".repeat(limits::QUERY_BYTES_MAX - 2))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = with(format!("x={}", "y".repeat(limits::QUERY_BYTES_MAX - 1))).await;
    assert_eq!(answer.code(), "invalid_parameter");
    assert_eq!(with("x=y&".repeat(limits::QUERY_PARAMS_MAX)).await.status, 200);
    let answer = with("x=y&".repeat(limits::QUERY_PARAMS_MAX + 1)).await;
    assert_snapshot!(answer.shown(), @r#"400 {"type":"urn:scrollback:problem:invalid_parameter","title":"Invalid parameter","status":400,"code":"invalid_parameter","message":"the query has more than 64 parameters","retryable":false}"#);
}
