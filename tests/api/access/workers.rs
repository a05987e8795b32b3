//! Workers: their own sessions and nothing else, whatever they write, and no longer than they have
//! them.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use scrollback::limits;

use super::{EVENT, Guarded, request};

/// Two workers, a session for each, and one for nobody.
async fn office() -> Guarded {
    let guarded = Guarded::new();
    guarded.worker("one", "w1");
    guarded.worker("two", "w2");
    for body in [r#"{"id":"a","worker":"w1"}"#, r#"{"id":"b","worker":"w2"}"#, r#"{"id":"free"}"#] {
        guarded.done("root", "POST", "/api/sessions", body).await;
    }
    guarded
}

#[tokio::test]
async fn a_worker_has_the_sessions_that_are_its_own_and_its_own_stream() {
    let office = office().await;
    for (token, uri, expected) in [
        ("one", "/api/sessions/a/events", 200),
        ("one", "/api/sessions/b/events", 404),
        ("one", "/api/sessions/free/events", 404),
        ("two", "/api/sessions/a/state", 404),
        ("two", "/api/chat/b/messages", 200),
        ("one", "/metrics", 403),
        ("one", "/api/backup", 403),
        ("one", "/v1/stream/__ds/subscriptions/x", 404),
    ] {
        assert_eq!(office.get(token, uri).await.status, expected, "{token} {uri}");
    }
    for (token, uri, expected) in [
        ("one", "/api/sessions/a/events", 200),
        ("one", "/api/sessions/b/events", 404),
        ("one", "/api/sessions/none/events", 404),
        ("one", "/api/events/workers/w1", 200),
        ("one", "/api/events/workers/w2", 404),
        ("one", "/api/events/agents/w1", 404),
        ("one", "/api/sessions/b/end", 404),
        ("one", "/v1/stream/sessions/b", 404),
    ] {
        let answer = office.post(token, uri, EVENT).await;
        let status = answer.status.as_u16();
        assert_eq!(status, expected, "{token} {uri}: {}", answer.text());
    }
    let put = office.ask("one", "PUT", "/api/streams/sessions/none", "").await;
    assert_eq!(put.code(), "stream_not_found");
    assert_eq!(office.get("root", "/api/streams/sessions/none").await.status, 404);
}

#[tokio::test]
async fn a_worker_lists_what_is_its_own_and_finds_what_was_assigned_while_it_was_away() {
    let office = office().await;
    let ids = |answer: crate::util::Answer| -> Vec<String> {
        let json = answer.json();
        let sessions = json["sessions"].as_array().unwrap().clone();
        sessions.iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(office.get("one", "/api/sessions").await), ["a"]);
    assert_eq!(ids(office.get("one", "/api/sessions?worker=w2").await), Vec::<String>::new());
    assert_eq!(ids(office.get("one", "/api/sessions?keep=5&limit=1").await), ["a"]);
    let mut live = office.follow("one", "/api/events?channels=session:*,worker:*&cursor=0").await;
    let begun = live.frame().await.unwrap();
    assert!(begun.contains("\"stream\":\"sessions/a\""), "{begun}");
    assert!(live.frame().await.unwrap().contains("caught-up"));

    office.done("root", "PATCH", "/api/sessions/free", r#"{"worker":"w1"}"#).await;
    let told = live.frame().await.unwrap();
    assert!(told.contains("\"stream\":\"sessions/free\""), "{told}");
    office.done("two", "POST", "/api/sessions/b/events", EVENT).await;
    office.done("root", "POST", "/api/events/workers/w2", EVENT).await;
    assert!(live.is_quiet().await, "what is another's is not told");
    let found = office.get("one", "/api/sessions?worker=w1&status=idle").await;
    assert_eq!(ids(found), ["free", "a"]);
    let streams = office.get("one", "/api/streams?limit=1").await.json();
    assert_eq!(streams["streams"][0]["path"], "sessions/a");
    let next = office.get("one", "/api/streams?limit=1&cursor=sessions/a").await.json();
    assert_eq!(
        (next["streams"][0]["path"].as_str(), &next["cursor"]),
        (Some("sessions/free"), &serde_json::Value::Null)
    );
}

#[tokio::test]
async fn a_worker_begins_sessions_as_itself_and_neither_takes_nor_gives_any() {
    let office = office().await;
    office.done("one", "POST", "/api/sessions", r#"{"id":"new"}"#).await;
    let state = office.get("root", "/api/sessions/new/state?projections=session").await.json();
    assert_eq!(state["projections"]["session"]["worker"], "w1");
    office.done("one", "POST", "/api/sessions", r#"{"id":"new"}"#).await;
    office.done("one", "POST", "/api/sessions", r#"{"id":"same","worker":"w1"}"#).await;
    office.done("one", "PATCH", "/api/sessions/new", r#"{"title":"t","worker":"w1"}"#).await;
    office.done("root", "PUT", "/api/streams/sessions/empty", "").await;
    for (method, uri, body, expected) in [
        ("POST", "/api/sessions", r#"{"id":"x","worker":"w2"}"#, "forbidden"),
        ("POST", "/api/sessions", r#"{"id":"b"}"#, "stream_not_found"),
        ("POST", "/api/sessions", r#"{"id":"free"}"#, "stream_not_found"),
        ("POST", "/api/sessions", r#"{"id":"empty"}"#, "stream_not_found"),
        ("PATCH", "/api/sessions/a", r#"{"worker":"w2"}"#, "forbidden"),
        ("PATCH", "/api/sessions/free", r#"{"worker":"w1"}"#, "stream_not_found"),
    ] {
        let answer = office.ask("one", method, uri, body).await;
        assert_eq!(answer.code(), expected, "{method} {uri} {body}: {}", answer.text());
    }
    let event = |kind: &str, data: &str| {
        format!(r#"{{"type":"{kind}","channel":"session","data":{data}}}"#)
    };
    let before = office.get("root", "/api/streams/sessions/a").await.json()["tail"].clone();
    for event in [
        event("session.updated", r#"{"worker":"w2"}"#),
        event("session.updated", r#"{"info":{"workerId":"w2"}}"#),
        event("session.created", r#"{"title":"t"}"#),
        format!("[{EVENT},{}]", event("session.updated", r#"{"worker":"w2"}"#)),
    ] {
        for uri in [
            "/api/sessions/a/events",
            "/api/sessions/a/events?verbatim=on&validate=off",
            "/v1/stream/sessions/a",
            "/api/events/sessions/a?validate=off",
        ] {
            // What is stored to the byte has to be whole.
            let whole = event.replacen("{\"type\"", "{\"id\":\"i\",\"timestamp\":1,\"type\"", 1);
            let body =
                if uri.contains("verbatim") || uri.contains("v1") { whole } else { event.clone() };
            let body = body.replace("[{\"id\":\"i\",\"timestamp\":1,", "[{").replace(
                ",{\"type\":\"session",
                ",{\"id\":\"i\",\"timestamp\":1,\"type\":\"session",
            );
            let answer = office.post("one", uri, &body).await;
            assert_eq!(answer.code(), "forbidden", "{uri} {body}: {}", answer.shown());
        }
    }
    let after = office.get("root", "/api/streams/sessions/a").await.json()["tail"].clone();
    assert_eq!(before, after, "nothing was written");
}

#[tokio::test]
async fn a_session_that_moves_is_closed_to_the_first_worker_at_once_and_its_reads_within_a_second()
{
    let office = office().await;
    office.done("one", "POST", "/api/sessions/a/events", EVENT).await;
    let mut live = office.follow("one", "/api/sessions/a/stream?fromOffset=now").await;
    assert!(live.frame().await.unwrap().contains("caught-up"));
    office.done("root", "PATCH", "/api/sessions/a", r#"{"worker":"w2"}"#).await;
    // Commands are decided on the state itself.
    let send = office.post("one", "/api/sessions/a/messages", r#"{"text":"x"}"#).await;
    assert_eq!(send.code(), "stream_not_found");
    office.done("two", "POST", "/api/sessions/a/messages", r#"{"text":"x"}"#).await;
    for (method, uri, body) in WRITES {
        let refused = office.ask("one", method, uri, body).await;
        assert_eq!(refused.code(), "stream_not_found", "{method} {uri}");
    }
    office.app.clock.advance(limits::OWNER_KNOWN_FOR);
    let rest = live.rest().await;
    assert_eq!(rest, r#"2 [end] {"offset":2,"reason":"unauthorized"}"#);
    office.done("two", "POST", "/api/sessions/a/events", EVENT).await;
    office.app.clock.advance(Duration::from_secs(9));
    office.done("two", "POST", "/api/sessions/a/events", EVENT).await;
}

/// Ways to write in session `a`.
const WRITES: [(&str, &str, &str); 7] = [
    ("POST", "/api/sessions/a/events", EVENT),
    ("POST", "/api/events/sessions/a", EVENT),
    ("POST", "/api/streams?sessionId=a", r#"{"channel":"message","data":{}}"#),
    ("POST", "/v1/stream/sessions/a", EVENT),
    ("POST", "/api/close/sessions/a", ""),
    ("DELETE", "/v1/stream/sessions/a", ""),
    ("DELETE", "/api/streams/sessions/a", ""),
];

#[tokio::test]
async fn a_body_that_is_under_way_while_its_session_moves_is_not_written() {
    let ndjson = ("POST", "/api/sessions/a/events", "application/x-ndjson");
    let whole = [
        ("POST", "/api/sessions/a/events", "application/json"),
        ("POST", "/api/events/sessions/a", "application/json"),
        ("POST", "/api/streams?sessionId=a", "application/json"),
        ("POST", "/v1/stream/sessions/a", "application/json"),
    ];
    for (method, uri, kind) in whole.into_iter().chain([ndjson]) {
        let office = Arc::new(office().await);
        office.done("one", "POST", "/api/sessions/a/events", EVENT).await;
        let mover = Arc::clone(&office);
        let body = futures_util::stream::once(async move {
            mover.done("root", "PATCH", "/api/sessions/a", r#"{"worker":"w2"}"#).await;
            Ok::<_, std::io::Error>(EVENT)
        });
        let mut request = request("one", method, uri, "").map(|_| Body::from_stream(body));
        request.headers_mut().insert("content-type", kind.parse().unwrap());
        let answer = office.app.send(request).await;
        assert_eq!(answer.code(), "stream_not_found", "{method} {uri}: {}", answer.text());
        let tail = office.get("root", "/api/streams/sessions/a").await.json()["tail"].clone();
        assert_eq!(tail, 3, "{method} {uri}");
    }
}

#[tokio::test]
async fn a_session_that_comes_back_is_open_again_and_much_in_between_changes_nothing() {
    let office = office().await;
    office.done("one", "POST", "/api/sessions/a/events", EVENT).await;
    for worker in ["w2", "w1"] {
        let body = format!(r#"{{"worker":"{worker}"}}"#);
        office.done("root", "PATCH", "/api/sessions/a", &body).await;
    }
    office.done("one", "POST", "/api/sessions/a/events", EVENT).await;
    let many = format!("[{}]", vec![EVENT; limits::PAGE_RECORDS + 1].join(","));
    office.done("root", "POST", "/api/sessions/a/events", &many).await;
    office.done("one", "POST", "/api/sessions/a/events", EVENT).await;
    office.done("root", "POST", "/api/sessions/a/events", &many).await;
    office.done("root", "PATCH", "/api/sessions/a", r#"{"worker":"w2"}"#).await;
    assert_eq!(office.post("one", "/api/sessions/a/events", EVENT).await.status, 404);
}

#[tokio::test]
async fn a_session_that_was_made_anew_under_its_name_is_another_one() {
    let office = office().await;
    for _ in 0..3 {
        office.done("one", "POST", "/api/sessions/a/events", EVENT).await;
    }
    office.done("root", "DELETE", "/api/streams/sessions/a", "").await;
    office.done("root", "POST", "/api/sessions", r#"{"id":"a","worker":"w2"}"#).await;
    assert_eq!(office.post("one", "/v1/stream/sessions/a", EVENT).await.status, 404);
    office.done("two", "POST", "/api/sessions/a/events", EVENT).await;
}
