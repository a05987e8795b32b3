//! Who stands as the writer: the holder of the token, whatever the writer says.

use std::sync::Arc;

use scrollback::auth::Grant;
use tokio_util::sync::CancellationToken;

use super::{Guarded, scoped};

const ANN: &str = r#"{"kind":"user","id":"ann"}"#;

fn guarded() -> Guarded {
    let guarded = Guarded::new();
    guarded.guard.grant(
        "ann",
        Grant {
            id: Arc::from("ann"),
            rights: scoped(&["admin:**"]),
            actor: Some(Arc::from(ANN)),
            ends_ms: None,
            revoked: CancellationToken::new(),
        },
    );
    guarded
}

async fn actors(guarded: &Guarded) -> Vec<serde_json::Value> {
    let page = guarded.get("root", "/api/sessions/s/events?limit=100").await.json();
    page["events"].as_array().unwrap().iter().map(|event| event["actor"].clone()).collect()
}

#[tokio::test]
async fn every_event_of_a_holder_carries_who_they_are() {
    let guarded = guarded();
    let other = r#"{"channel":"note","data":{},"actor":{"kind":"user","id":"bob"}}"#;
    for (method, uri, body) in [
        ("POST", "/api/sessions", r#"{"id":"s"}"#.to_owned()),
        ("POST", "/api/sessions/s/events", other.to_owned()),
        ("POST", "/api/sessions/s/events", format!("[{other},{other}]")),
        ("POST", "/api/streams?sessionId=s", other.to_owned()),
        ("POST", "/api/events/sessions/s", other.to_owned()),
        ("POST", "/api/sessions/s/messages", r#"{"text":"hello"}"#.to_owned()),
        ("POST", "/api/sessions/s/presence", r#"{"userId":"bob"}"#.to_owned()),
    ] {
        guarded.done("ann", method, uri, &body).await;
    }
    let mut lines =
        super::request("ann", "POST", "/api/sessions/s/events", &format!("{other}\n{other}"));
    lines.headers_mut().insert("content-type", "application/x-ndjson".parse().unwrap());
    assert_eq!(guarded.app.send(lines).await.status, 200);
    let ann: serde_json::Value = serde_json::from_str(ANN).unwrap();
    let written = actors(&guarded).await;
    assert!(written.len() > 11 && written.iter().all(|actor| *actor == ann), "{written:?}");
    // Who writes for others names them.
    guarded.done("root", "POST", "/api/sessions/s/events", other).await;
    assert_eq!(actors(&guarded).await.last().unwrap()["id"], "bob");
}

#[tokio::test]
async fn what_is_stored_to_the_byte_may_name_nobody_else() {
    let guarded = guarded();
    guarded.done("root", "POST", "/api/sessions", r#"{"id":"s"}"#).await;
    let event = |id: &str, actor: &str| {
        format!(
            r#"{{"id":"{id}","channel":"c","type":"c","timestamp":1,"data":{{}},"actor":{actor}}}"#
        )
    };
    let (own, foreign) = (event("1", ANN), event("2", r#"{"kind":"user","id":"bob"}"#));
    for uri in ["/v1/stream/sessions/s", "/api/sessions/s/events?verbatim=on"] {
        for body in [foreign.clone(), format!("[{own},{foreign}]")] {
            let answer = guarded.post("ann", uri, &body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (403, "forbidden"),
                "{uri}"
            );
        }
    }
    let put = guarded.ask("ann", "PUT", "/v1/stream/sessions/new", &foreign).await;
    assert_eq!(put.code(), "forbidden");
    assert_eq!(guarded.get("root", "/api/streams/sessions/new").await.status, 404);
    assert_eq!(actors(&guarded).await.len(), 1, "nothing was written");
    guarded.done("ann", "POST", "/v1/stream/sessions/s", &own).await;
    guarded.done("ann", "POST", "/v1/stream/sessions/s", r#"{"channel":"c"}"#).await;
    guarded.done("root", "POST", "/v1/stream/sessions/s", &foreign).await;
}
