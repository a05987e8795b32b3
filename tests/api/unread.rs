//! Bodies that nobody reads, from clients who keep their connection: they are told where it ends,
//! and it goes on where the body was there as a whole.

use scrollback::server::{Running, Settings};

use crate::socket::{EVENT, EVENTS, Wire, post, settings, start, start_as};

const JSON: &str = "application/json";
/// As long as a body that a client sends for nothing.
const LONG: usize = 100_000;

/// The head of the answer to a request whose body has begun with `body`.
async fn head_of(server: &Running, request: &str) -> (Wire, String) {
    let mut wire = Wire::to(server).await;
    wire.send(request).await;
    let head = wire.until("\r\n\r\n").await.to_ascii_lowercase();
    (wire, head)
}

fn says_close(head: &str) -> bool {
    head.contains("\r\nconnection: close\r\n")
}

#[tokio::test]
async fn an_answer_before_the_body_has_come_says_that_the_connection_ends() {
    let open = start().await;
    let guarded = start_as(Settings { auth: true, ..settings() }).await;
    let long = |uri: &str, kind: &str| post(uri, kind, LONG, EVENT);
    let other_method = |method: &str, uri: &str| long(uri, JSON).replacen("POST", method, 1);
    for (server, status, request) in [
        (&guarded, "401", long(EVENTS, JSON)),
        (&guarded, "401", long("/v1/stream/a", "text/plain")),
        (&guarded, "401", long("/api/sessions", JSON)),
        (&open, "403", long(EVENTS, JSON).replace("host: x", "host: evil.example")),
        (&open, "415", long(EVENTS, "text/html")),
        (&open, "400", long("/api/events/a?expectedOffset=x", JSON)),
        (&open, "400", long("/v1/stream/a", "text/plain\r\nproducer-id: p")),
        (&open, "404", long("/v1/stream/__ds/x", "text/plain")),
        (&open, "404", long("/nothing", JSON)),
        (&open, "405", other_method("PATCH", "/api/streams")),
        (&open, "200", other_method("GET", "/version")),
    ] {
        let (_wire, head) = head_of(server, &request).await;
        let line = request.lines().next().unwrap();
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{line}: {head}");
        assert!(says_close(&head), "{line}: {head}");
        // Nor is it asked for: who waits to be asked sends it to nobody.
        let waits = request.replacen("host:", "expect: 100-continue\r\nhost:", 1);
        let waits = waits.split("\r\n\r\n").next().unwrap();
        let (_wire, head) = head_of(server, &format!("{waits}\r\n\r\n")).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{line}, asked: {head}");
        assert!(says_close(&head), "{line}, asked: {head}");
    }
    open.stop().await.unwrap();
    guarded.stop().await.unwrap();
}

#[tokio::test]
async fn an_answer_to_a_body_that_is_broken_says_that_the_connection_ends() {
    let server = start().await;
    let broken = post(EVENTS, JSON, 0, "no length\r\n");
    let broken = broken.replace("content-length: 0", "transfer-encoding: chunked");
    let (_wire, head) = head_of(&server, &broken).await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
    assert!(says_close(&head), "{head}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_connection_goes_on_where_the_body_of_what_is_refused_was_there() {
    let open = start().await;
    let guarded = start_as(Settings { auth: true, ..settings() }).await;
    let small = |uri: &str, kind: &str| post(uri, kind, EVENT.len(), EVENT);
    let chunked = small(EVENTS, JSON)
        .replace(&format!("content-length: {}", EVENT.len()), "transfer-encoding: chunked")
        .replace(EVENT, &format!("{:x}\r\n{EVENT}\r\n0\r\n\r\n", EVENT.len()));
    for (server, status, request) in [
        (&guarded, "401", small(EVENTS, JSON)),
        (&guarded, "401", chunked.clone()),
        (&guarded, "401", post(EVENTS, JSON, 0, "")),
        (&open, "403", small(EVENTS, JSON).replace("host: x", "host: evil.example")),
        (&open, "415", small(EVENTS, "text/html")),
        (&open, "404", small("/nothing", JSON)),
        (&open, "422", post(EVENTS, JSON, 2, "{}")),
        (&open, "200", small(EVENTS, JSON)),
        (&open, "200", chunked),
        (&open, "200", small("/version", JSON).replacen("POST", "GET", 1)),
    ] {
        let line = request.lines().next().unwrap();
        let (mut wire, head) = head_of(server, &request).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{line}: {head}");
        assert!(!says_close(&head), "{line}: {head}");
        wire.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
        wire.until("\"ok\"").await;
    }
    open.stop().await.unwrap();
    guarded.stop().await.unwrap();
}
