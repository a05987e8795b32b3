//! At the door: where a token may stand, what is answered before anything is read, forks, and what
//! browsers are told.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use tokio::io::AsyncWriteExt;

use super::{EVENT, Guarded, grant, scoped, socket::serve};
use crate::util::TestApp;

#[tokio::test]
async fn a_token_in_the_query_opens_event_streams_only() {
    let guarded = Guarded::new();
    guarded.done("root", "POST", "/api/sessions", r#"{"id":"s"}"#).await;
    for (method, uri, expected) in [
        ("GET", "/api/sessions/s/stream?live=false&access_token=root", 200),
        ("GET", "/api/sessions/s/stream?access%5Ftoken=root&live=false", 200),
        ("GET", "/api/sessions/s/stream?live=false&access_token=wrong", 401),
        ("GET", "/api/sessions/s/stream?live=false&access_token=root&access_token=root", 401),
        ("GET", "/event?live=false&access_token=root", 200),
        ("GET", "/api/sessions/s/events?access_token=root", 401),
        ("GET", "/api/backup?access_token=root", 401),
        ("POST", "/api/sessions/s/events?access_token=root", 401),
        ("HEAD", "/api/sessions/s/stream?live=false&access_token=root", 401),
    ] {
        let answer = guarded.ask("", method, uri, EVENT).await;
        assert_eq!(answer.status.as_u16(), expected, "{method} {uri}");
        assert!(!answer.text().contains("root"), "{method} {uri}: no answer shows it");
    }
    let both = guarded.get("wrong", "/event?live=false&access_token=root").await;
    assert_eq!(both.status, 401, "the header wins");
}

#[tokio::test]
async fn a_stranger_is_answered_before_the_body_is_read() {
    let guarded = Guarded::new();
    let addr = serve(guarded.app.app.clone()).await;
    for uri in ["/api/sessions/s/events", "/api/sessions", "/v1/stream/a"] {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let head = format!("POST {uri} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = [0; 12];
        let read = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut text);
        tokio::time::timeout(std::time::Duration::from_secs(10), read).await.unwrap().unwrap();
        assert_eq!(&text, b"HTTP/1.1 401", "{uri}");
    }
}

#[tokio::test]
async fn a_token_that_ends_while_its_body_comes_writes_nothing() {
    let guarded = Guarded::new();
    guarded.done("root", "POST", "/api/sessions", r#"{"id":"s"}"#).await;
    let wake = r#"{"type":"pull-wake","streams":["a"],"wake_stream":"b"}"#;
    for (method, uri, body) in [
        ("POST", "/api/sessions/s/events", EVENT),
        ("POST", "/api/events/sessions/s", EVENT),
        ("POST", "/api/streams?sessionId=s", r#"{"channel":"message","data":{}}"#),
        ("POST", "/v1/stream/sessions/s", EVENT),
        ("PUT", "/v1/stream/new", EVENT),
        ("PUT", "/api/streams/new", "{}"),
        ("POST", "/api/sessions", r#"{"id":"new"}"#),
        ("POST", "/api/sessions/s/messages", r#"{"text":"hello"}"#),
        ("PATCH", "/api/sessions/s", r#"{"title":"mine"}"#),
        ("PUT", "/v1/stream/__ds/subscriptions/new", wake),
    ] {
        let before = guarded.get("root", "/api/streams").await.text();
        let token = guarded.scopes("late", &["admin:**"]);
        let ending = futures_util::stream::once(async move {
            token.cancel();
            Ok::<_, std::io::Error>(body)
        });
        let request = super::request("late", method, uri, "").map(|_| Body::from_stream(ending));
        assert_eq!(guarded.app.send(request).await.code(), "unauthenticated", "{method} {uri}");
        let after = guarded.get("root", "/api/streams").await.text();
        assert_eq!(before, after, "{method} {uri}");
        let subscription = guarded.get("root", "/v1/stream/__ds/subscriptions/new").await;
        assert_eq!(subscription.status, 404, "{method} {uri}");
    }
}

#[tokio::test]
async fn a_fork_reads_its_source_and_writes_its_own_path() {
    let guarded = Guarded::new();
    guarded.done("root", "PUT", "/v1/stream/secret", "").await;
    guarded.done("root", "PUT", "/v1/stream/open/a", "").await;
    guarded.scopes("writer", &["write:mine/*", "read:open/*"]);
    let fork = |to: &str, from: &str| {
        let mut request = super::request("writer", "PUT", &format!("/v1/stream/{to}"), "");
        let from = format!("/v1/stream/{from}");
        request.headers_mut().insert("stream-forked-from", from.parse().unwrap());
        request
    };
    let hidden = guarded.app.send(fork("mine/x", "secret")).await;
    let missing = guarded.app.send(fork("mine/x", "secreT")).await;
    assert_eq!((hidden.status, missing.status), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert_eq!(hidden.text().replace("secret", "secreT"), missing.text());
    assert_eq!(guarded.app.send(fork("open/x", "open/a")).await.code(), "forbidden");
    assert_eq!(guarded.app.send(fork("mine/x", "open/a")).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn who_may_neither_read_nor_write_learns_nothing_from_what_a_write_expects() {
    let guarded = Guarded::new();
    guarded.done("root", "POST", "/api/sessions", r#"{"id":"s"}"#).await;
    guarded.scopes("other", &["admin:other/**"]);
    for (method, uri) in [
        ("POST", "/api/sessions/{}/events?expectedOffset=9"),
        ("PUT", "/v1/stream/sessions/{}"),
        ("PUT", "/api/streams/sessions/{}"),
    ] {
        let there = guarded.ask("other", method, &uri.replace("{}", "s"), EVENT).await;
        let nowhere = guarded.ask("other", method, &uri.replace("{}", "n"), EVENT).await;
        assert_eq!(there.code(), "stream_not_found", "{method} {uri}");
        let alike = nowhere.text().replace("sessions/n", "sessions/s");
        assert_eq!(there.text(), alike, "{method} {uri}");
    }
}

#[tokio::test]
async fn pages_of_named_origins_ask_with_a_token_and_preflights_need_none() {
    let guard = scrollback::auth::Guard::on();
    grant(&guard, "root", scoped(&["admin:**"]), None);
    let origins = vec!["https://app.example".to_owned()];
    let app = TestApp::with(|app| app.with_guard(guard).with_origins(origins));
    let preflight = |origin: &str| {
        let request = Request::builder().method("OPTIONS").uri("/api/sessions/s/events");
        let request =
            request.header("origin", origin).header("access-control-request-method", "POST");
        let asked = "authorization,content-type";
        request.header("access-control-request-headers", asked).body(Body::empty()).unwrap()
    };
    let answer = app.send(preflight("https://app.example")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["access-control-allow-headers"], "authorization,content-type");
    assert_eq!(answer.headers["access-control-allow-origin"], "https://app.example");
    let evil = app.send(preflight("https://evil.example")).await;
    assert!(!evil.headers.contains_key("access-control-allow-origin"));
    let mut stranger = super::request("", "GET", "/api/streams", "");
    stranger.headers_mut().insert("origin", "https://app.example".parse().unwrap());
    let stranger = app.send(stranger).await;
    assert_eq!(stranger.status, 401);
    assert_eq!(stranger.headers["access-control-allow-origin"], "https://app.example");
}

#[tokio::test]
async fn caches_keep_what_is_one_reader_s_apart() {
    let guarded = Guarded::new();
    guarded.done("root", "PUT", "/v1/stream/a", "").await;
    let page = guarded.get("root", "/v1/stream/a").await;
    assert!(page.headers["cache-control"].to_str().unwrap().starts_with("private"));
    assert_eq!(page.headers["vary"], "authorization");
    assert!(!page.headers.contains_key("strict-transport-security"));
    let tls = TestApp::with(|app| app.with_scheme("https"));
    assert_eq!(tls.get("/healthz").await.headers["strict-transport-security"], "max-age=31536000");
}
