//! Commands that are not done: each says why, in words and in a code, and writes nothing.

use insta::assert_snapshot;
use scrollback::limits;

use super::{begin, command, done, request};
use crate::util::TestApp;

/// Every command in session `s`, as a method, a route and a body.
const COMMANDS: &[(&str, &str, &str)] = &[
    ("PATCH", "s", r#"{"title":"x"}"#),
    ("POST", "s/end", ""),
    ("POST", "s/ready", ""),
    ("POST", "s/messages", r#"{"text":"x"}"#),
    ("POST", "s/interrupt", ""),
    ("DELETE", "s/queue/m", ""),
    ("POST", "s/permissions/p/reply", r#"{"reply":"once"}"#),
    ("POST", "s/turns/t/chunks", r#"{"text":"x"}"#),
    ("POST", "s/turns/t/complete", ""),
    ("POST", "s/turns/t/fail", r#"{"error":"x"}"#),
];

async fn codes(app: &TestApp) -> Vec<String> {
    let mut codes = Vec::new();
    for (method, route, body) in COMMANDS {
        let answer = request(app, method, route, body).await;
        let line = format!("{method} {route} {} {}", answer.status.as_u16(), answer.code());
        codes.push(line.trim_end().to_owned());
    }
    codes
}

#[tokio::test]
async fn a_session_that_never_was_takes_no_commands() {
    let app = TestApp::new();
    for line in codes(&app).await {
        assert!(line.ends_with(" 404 session_not_found"), "{line}");
    }
    assert_eq!(request(&app, "DELETE", "s", "").await.code(), "session_not_found");
    assert_eq!(app.tail().await, 0);
    assert_snapshot!(command(&app, "interrupt", "").await.shown(), @r#"404 {"type":"urn:scrollback:problem:session_not_found","title":"No such session","status":404,"code":"session_not_found","message":"there is no such session; begin it with POST /api/sessions","retryable":false}"#);
}

#[tokio::test]
async fn a_deleted_session_takes_no_commands_and_its_stream_stays() {
    let app = TestApp::new();
    begin(&app).await;
    done(&app, "messages", r#"{"id":"m","text":"x"}"#).await;
    let deleted = request(&app, "DELETE", "s", "").await;
    assert_eq!(request(&app, "DELETE", "s", "").await.shown(), deleted.shown());
    let tail = app.tail().await;
    assert_eq!(deleted.json()["offset"], tail);
    for line in codes(&app).await {
        assert!(line.ends_with(" 410 session_deleted"), "{line}");
    }
    for (route, body) in [("presence", r#"{"userId":"u"}"#), ("terminal/input", r#"{"data":"x"}"#)]
    {
        assert_eq!(command(&app, route, body).await.code(), "session_deleted");
    }
    let again = app.post("/api/sessions", r#"{"id":"s","agent":"coder"}"#).await;
    assert_snapshot!(again.shown(), @r#"410 {"type":"urn:scrollback:problem:session_deleted","title":"Session deleted","status":410,"code":"session_deleted","message":"the session is deleted; its events can still be read; begin another session","retryable":false}"#);
    assert_eq!(app.tail().await, tail);
    assert_eq!(super::events(&app).await.len() as u64, tail);
}

#[tokio::test]
async fn an_ended_session_answers_nothing_and_can_be_put_away() {
    let app = TestApp::new();
    begin(&app).await;
    let ended = command(&app, "end", "").await;
    assert_eq!(command(&app, "end", "").await.shown(), ended.shown());
    assert_snapshot!(codes(&app).await.join("\n"), @r#"
    PATCH s 200
    POST s/end 200
    POST s/ready 409 session_ended
    POST s/messages 409 session_ended
    POST s/interrupt 409 session_ended
    DELETE s/queue/m 409 session_ended
    POST s/permissions/p/reply 409 session_ended
    POST s/turns/t/chunks 409 session_ended
    POST s/turns/t/complete 409 session_ended
    POST s/turns/t/fail 409 session_ended
    "#);
    assert_snapshot!(command(&app, "messages", r#"{"text":"x"}"#).await.shown(), @r#"409 {"type":"urn:scrollback:problem:session_ended","title":"Session ended","status":409,"code":"session_ended","message":"the session has ended; it can be read and renamed; begin another session","retryable":false}"#);
    assert_eq!(request(&app, "DELETE", "s", "").await.status, 200);
}

#[tokio::test]
async fn every_rejection_says_what_to_do() {
    let app = TestApp::new();
    begin(&app).await;
    assert_snapshot!(app.post("/api/sessions", r#"{"id":"s","agent":"other"}"#).await.shown(), @r#"409 {"type":"urn:scrollback:problem:session_exists","title":"Session exists","status":409,"code":"session_exists","message":"the session was begun with other settings; change it with PATCH, or begin one with another id, or with none","retryable":false}"#);
    assert_snapshot!(command(&app, "interrupt", "").await.shown(), @r#"409 {"type":"urn:scrollback:problem:nothing_runs","title":"Nothing runs","status":409,"code":"nothing_runs","message":"no turn is running; there is nothing to stop","retryable":false}"#);
    assert_snapshot!(command(&app, "messages", r#"{"text":""}"#).await.shown(), @r#"422 {"type":"urn:scrollback:problem:empty_message","title":"Empty message","status":422,"code":"empty_message","message":"a message has a text or parts; send a `text`, or `parts` with one part at least","retryable":false,"field":"text"}"#);
    assert_snapshot!(command(&app, "turns/t/complete", "").await.shown(), @r#"404 {"type":"urn:scrollback:problem:turn_not_found","title":"No such turn","status":404,"code":"turn_not_found","message":"there is no turn `t`; it never began, or ended long ago","retryable":false,"turnId":"t"}"#);
    assert_snapshot!(command(&app, "permissions/p/reply", r#"{"reply":"once"}"#).await.shown(), @r#"404 {"type":"urn:scrollback:problem:permission_not_found","title":"No such request","status":404,"code":"permission_not_found","message":"there is no request `p`; it was never asked, or answered long ago","retryable":false}"#);
    let sent = done(&app, "messages", r#"{"id":"m1","text":"x"}"#).await;
    let turn = sent["turnId"].as_str().unwrap().to_owned();
    let waits = done(&app, "messages", r#"{"id":"m2","text":"x"}"#).await;
    let waits = waits["turnId"].as_str().unwrap().to_owned();
    let code = async |route: String, body| {
        let answer = command(&app, &route, body).await;
        (answer.status.as_u16(), answer.code())
    };
    assert_eq!(code(format!("turns/{waits}/complete"), "").await, (409, "turn_not_started".into()));
    assert_snapshot!(command(&app, &format!("turns/{turn}/chunks"), r#"{"index":4,"text":"x"}"#).await.shown(), @r#"409 {"type":"urn:scrollback:problem:piece_missing","title":"Piece missing","status":409,"code":"piece_missing","message":"the next piece is 0, not 4; send the pieces from `expected` on","retryable":false,"expected":0,"actual":4}"#);
    let answer = super::events(&app).await[3]["data"]["messageId"].clone();
    let taken = format!(r#"{{"id":{answer},"text":"x"}}"#);
    assert_eq!(code("messages".into(), &taken).await, (409, "message_id_taken".into()));
    done(&app, &format!("turns/{turn}/complete"), r#"{"text":"y"}"#).await;
    assert_snapshot!(command(&app, &format!("turns/{turn}/fail"), r#"{"error":"late"}"#).await.shown(), @r#"409 {"type":"urn:scrollback:problem:turn_ended","title":"Turn ended","status":409,"code":"turn_ended","message":"the turn `01M7X448000000000000000001` has ended already; stop working on it","retryable":false,"offset":8,"turnId":"01M7X448000000000000000001","outcome":"completed"}"#);
    done(&app, "interrupt", "").await;
    assert_snapshot!(command(&app, "interrupt", "").await.shown(), @r#"409 {"type":"urn:scrollback:problem:nothing_runs","title":"Nothing runs","status":409,"code":"nothing_runs","message":"no turn is running; there is nothing to stop","retryable":false,"turnId":"01M7X448000000000000000006","outcome":"interrupted"}"#);
}

#[tokio::test]
async fn a_queue_that_is_full_takes_no_more() {
    let app = TestApp::new();
    begin(&app).await;
    done(&app, "messages", r#"{"text":"x"}"#).await;
    let text = "x".repeat(limits::RECORD_BYTES_MAX - 1_024);
    let body = format!(r#"{{"text":"{text}"}}"#);
    let mut taken = 0;
    let full = loop {
        let answer = command(&app, "messages", &body).await;
        if answer.status != 200 {
            break answer;
        }
        taken += 1;
    };
    assert_eq!(taken, 16);
    assert_snapshot!(full.shown(), @r#"429 {"type":"urn:scrollback:problem:queue_full","title":"Queue full","status":429,"code":"queue_full","message":"the queue is full: 16 messages with 4179575 bytes wait; send it again when a turn has ended","retryable":true}"#);
}

#[tokio::test]
async fn bodies_that_are_not_what_a_route_takes_name_the_field() {
    let app = TestApp::new();
    begin(&app).await;
    let tail = app.tail().await;
    for (method, route, body, field) in [
        ("POST", "s/messages", "{}", Some("text")),
        ("POST", "s/messages", "[]", None),
        ("POST", "s/messages", r#"{"text":1}"#, Some("text")),
        ("POST", "s/messages", r#"{"text":"x","parts":[]}"#, Some("parts")),
        ("POST", "s/messages", r#"{"parts":[{"type":"text"}]}"#, Some("parts[0].id")),
        ("POST", "s/messages", r#"{"id":"","text":"x"}"#, Some("id")),
        ("PATCH", "s", r#"{"pinned":"yes"}"#, Some("pinned")),
        ("PATCH", "s", r#"{"share":{}}"#, Some("share.url")),
        ("PATCH", "s", r#"{"metadata":1}"#, Some("metadata")),
        ("POST", "s/turns/t/chunks", "{}", Some("text")),
        ("POST", "s/turns/t/chunks", r#"{"index":-1,"text":"x"}"#, Some("index")),
        ("POST", "s/turns/t/chunks", r#"{"deltas":[{"delta":"x"}]}"#, Some("deltas[0].partId")),
        ("POST", "s/turns/t/complete", r#"{"tokens":{"input":"x"}}"#, Some("tokens.input")),
        ("POST", "s/turns/t/fail", "{}", Some("error")),
        ("POST", "s/turns/t/fail", r#"{"error":{}}"#, Some("error.message")),
        ("POST", "s/permissions/p/reply", "{}", Some("reply")),
        ("POST", "s/presence", r#"{"type":"cursor","userId":"u"}"#, Some("cursor")),
        ("POST", "s/terminal/input", "{}", Some("data")),
        ("POST", "s/ready", r#"{"workerId":7}"#, Some("workerId")),
    ] {
        let answer = request(&app, method, route, body).await;
        let found = (answer.code(), answer.json()["field"].as_str().map(str::to_owned));
        assert_eq!(found, ("invalid_body".into(), field.map(str::to_owned)), "{route} {body}");
        assert_eq!(answer.status, 422);
    }
    for id in ["a/b", "..", "a\u{1}"] {
        let body = serde_json::json!({ "id": id }).to_string();
        let answer = app.post("/api/sessions", body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["field"]), (422, &"id".into()), "{id}");
    }
    let uri = "/api/sessions/s/messages";
    assert_eq!(app.post_as(uri, "text/plain", "x").await.code(), "unsupported_content_type");
    assert_eq!(app.post(uri, "{").await.code(), "invalid_json");
    assert_eq!(
        request(&app, "DELETE", &format!("s/queue/{}", "x".repeat(129)), "").await.code(),
        "invalid_path"
    );
    assert_eq!(app.tail().await, tail);
    assert_snapshot!(command(&app, "messages", "{}").await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_body","title":"Invalid body","status":422,"code":"invalid_body","message":"`text` is missing","retryable":false,"field":"text"}"#);
}

#[tokio::test]
async fn an_answer_that_is_too_large_for_an_event_is_refused_whole() {
    let app = TestApp::new();
    begin(&app).await;
    let turn = done(&app, "messages", r#"{"text":"x"}"#).await["turnId"].clone();
    let tail = app.tail().await;
    let text = "x".repeat(limits::RECORD_BYTES_MAX);
    let body = format!(r#"{{"text":"{text}"}}"#);
    let uri = format!("turns/{}/complete", turn.as_str().unwrap());
    let answer = command(&app, &uri, &body).await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (413, "event_too_large"));
    assert!(answer.json()["index"].is_null());
    assert_eq!(app.tail().await, tail);
}
