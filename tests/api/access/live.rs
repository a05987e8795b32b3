//! What is open when rights end: by the clock, in the middle of an answer, in the middle of a body.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::Request,
};
use http_body_util::BodyExt;
use scrollback::http;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::{EVENT, Guarded, grant, request, scoped};
use crate::util::NOW_MS;

#[tokio::test]
async fn a_live_read_ends_when_its_token_expires_and_not_before() {
    let guarded = Guarded::new();
    guarded.done("root", "POST", "/api/sessions", r#"{"id":"s"}"#).await;
    grant(&guarded.guard, "brief", scoped(&["read:sessions/*"]), Some(NOW_MS + 90_000));
    let mut live = guarded.follow("brief", "/api/sessions/s/stream?fromOffset=now").await;
    let across = guarded.follow("brief", "/api/events?channels=session:*").await;
    assert!(live.frame().await.unwrap().contains("caught-up"));
    guarded.app.clock.advance(Duration::from_millis(89_999));
    assert!(live.frame().await.unwrap().contains("heartbeat"));
    assert!(live.is_quiet().await);
    guarded.app.clock.advance(Duration::from_millis(1));
    assert_eq!(live.rest().await, r#"1 [end] {"offset":1,"reason":"unauthorized"}"#);
    let across = across.rest().await;
    assert!(across.contains(r#""reason":"unauthorized""#), "{across}");
    assert_eq!(guarded.get("brief", "/api/sessions/s/events").await.status, 401);
}

#[tokio::test]
async fn a_long_answer_of_the_protocol_breaks_off_between_its_pages() {
    let guarded = Guarded::new();
    guarded.done("root", "PUT", "/v1/stream/big", "").await;
    let records = vec![format!("{{\"x\":\"{}\"}}", "y".repeat(2_000)); 400].join(",");
    for _ in 0..4 {
        guarded.done("root", "POST", "/v1/stream/big", &format!("[{records}]")).await;
    }
    let revoked = guarded.scopes("reader", &["read:big"]);
    let asked = request("reader", "GET", "/v1/stream/big?offset=-1", "");
    let answer = http::service(guarded.app.app.clone()).oneshot(asked).await.unwrap();
    let mut body = answer.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    revoked.cancel();
    assert!(body.frame().await.unwrap().is_err(), "a body that breaks off is no whole answer");
}

#[tokio::test]
async fn a_body_that_comes_line_by_line_is_taken_while_its_token_holds() {
    let guarded = Guarded::new();
    let revoked = guarded.scopes("writer", &["write:sessions/s"]);
    let (lines, body) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = futures_util::stream::unfold(body, async |mut body| {
        body.recv().await.map(|piece| (piece, body))
    });
    let asked = Request::post("/api/sessions/s/events")
        .header("authorization", "Bearer writer")
        .header("content-type", "application/x-ndjson")
        .body(Body::from_stream(body))
        .unwrap();
    let line = || Ok(Bytes::from(format!("{EVENT}\n")));
    let writing = guarded.app.send(asked);
    let sending = async {
        lines.send(line()).await.unwrap();
        while guarded.app.tail().await == 0 {
            tokio::task::yield_now().await;
        }
        revoked.cancel();
        lines.send(line()).await.unwrap();
        drop(lines);
    };
    let (answer, ()) = tokio::join!(writing, sending);
    assert_eq!((answer.status.as_u16(), answer.json()["count"].as_u64()), (401, Some(1)));
    assert_eq!(guarded.app.tail().await, 1);
}
