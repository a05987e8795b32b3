//! Messages that wait, and turns that end.

use insta::assert_snapshot;

use super::{begin, command, done, lines, request};
use crate::util::TestApp;

async fn send(app: &TestApp, id: &str) -> String {
    let body = format!(r#"{{"id":"{id}","text":"{id}?"}}"#);
    done(app, "messages", &body).await["turnId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_message_waits_while_a_turn_runs_and_can_be_taken_back() {
    let app = TestApp::new();
    begin(&app).await;
    send(&app, "m1").await;
    assert_snapshot!(command(&app, "messages", r#"{"id":"m2","text":"and?"}"#).await.shown(), @r#"200 {"ok":true,"id":"m2","turnId":"01M7X448000000000000000006","offset":6,"queued":true}"#);
    assert_snapshot!(request(&app, "DELETE", "s/queue/m2", "").await.shown(), @r#"200 {"ok":true,"id":"m2","offset":8}"#);
    assert_snapshot!(request(&app, "DELETE", "s/queue/m2", r#"{"by":"u"}"#).await.shown(), @r#"200 {"ok":true,"id":"m2","offset":8}"#);
    assert_snapshot!(lines(&app, 4).await, @r#"
    message.created {"content":"and?","messageId":"m2","role":"user","turnId":"01M7X448000000000000000006"}
    queue.added {"messageId":"m2","position":1,"text":"and?","turnId":"01M7X448000000000000000006"}
    queue.removed {"messageId":"m2","reason":"dequeued","turnId":"01M7X448000000000000000006"}
    message.removed {"messageId":"m2","reason":"dequeued"}
    "#);
    assert_snapshot!(request(&app, "DELETE", "s/queue/m1", "").await.shown(), @r#"409 {"type":"urn:scrollback:problem:message_not_queued","title":"Message not queued","status":409,"code":"message_not_queued","message":"the message `m1` does not wait for a turn; interrupt the turn that answers it instead","retryable":false,"turnId":"01M7X448000000000000000001"}"#);
    assert_snapshot!(request(&app, "DELETE", "s/queue/m0", "").await.shown(), @r#"404 {"type":"urn:scrollback:problem:message_not_found","title":"No such message","status":404,"code":"message_not_found","message":"there is no message `m0`; it was never sent, or is no longer known","retryable":false}"#);
}

#[tokio::test]
async fn an_interrupt_keeps_the_partial_answer_and_starts_what_waits() {
    let app = TestApp::new();
    begin(&app).await;
    let turn = send(&app, "m1").await;
    done(&app, &format!("turns/{turn}/chunks"), r#"{"text":"half an ans"}"#).await;
    let next = send(&app, "m2").await;
    let before = app.tail().await;
    let body = format!(r#"{{"turnId":"{turn}","by":"u"}}"#);
    let stopped = command(&app, "interrupt", &body).await;
    assert_snapshot!(stopped.shown(), @r#"200 {"ok":true,"turnId":"01M7X448000000000000000001","offset":12,"outcome":"interrupted"}"#);
    assert_snapshot!(lines(&app, usize::try_from(before).unwrap()).await, @r#"
    message.updated {"interrupted":true,"messageId":"01M7X448000000000000000002","partial":true,"role":"assistant","turnId":"01M7X448000000000000000001"}
    turn.interrupted {"by":"u","messageId":"01M7X448000000000000000002","reason":"interrupted","turnId":"01M7X448000000000000000001"}
    queue.removed {"messageId":"m2","reason":"started","turnId":"01M7X448000000000000000007"}
    turn.started {"agentId":"coder","messageId":"01M7X44800000000000000000A","turnId":"01M7X448000000000000000007","userMessageId":"m2"}
    message.created {"agentId":"coder","messageId":"01M7X44800000000000000000A","parentId":"m2","role":"assistant","turnId":"01M7X448000000000000000007"}
    "#);
    // Again, it is stopped already, and the turn that runs now goes on.
    assert_eq!(command(&app, "interrupt", &body).await.json()["turnId"], turn);
    assert_eq!(app.tail().await, stopped.json()["offset"]);
    let (answer, running) = app
        .app
        .views()
        .read(&scrollback::log::StreamPath::session("s").unwrap(), |state, _| {
            let messages = state.json("messages").unwrap();
            let turn = state.json("turn").unwrap();
            (messages[1].clone(), turn["active"]["turnId"].clone())
        })
        .await
        .unwrap();
    assert_eq!(running, next);
    assert_eq!((&answer["state"], &answer["partial"]), (&"interrupted".into(), &true.into()));
    assert!(answer.to_string().contains("half an ans"), "{answer}");
}

#[tokio::test]
async fn a_complete_answer_starts_what_waits_in_the_same_append() {
    let app = TestApp::new();
    begin(&app).await;
    let turn = send(&app, "m1").await;
    send(&app, "m2").await;
    send(&app, "m3").await;
    let before = app.tail().await;
    let complete = format!("turns/{turn}/complete");
    let ended = command(&app, &complete, r#"{"text":"whole"}"#).await;
    assert_snapshot!(ended.shown(), @r#"200 {"ok":true,"turnId":"01M7X448000000000000000001","offset":13,"outcome":"completed"}"#);
    assert_snapshot!(lines(&app, usize::try_from(before).unwrap()).await, @r#"
    message.completed {"content":"whole","messageId":"01M7X448000000000000000002","role":"assistant","turnId":"01M7X448000000000000000001"}
    turn.completed {"messageId":"01M7X448000000000000000002","reason":"completed","turnId":"01M7X448000000000000000001"}
    queue.removed {"messageId":"m2","reason":"started","turnId":"01M7X448000000000000000006"}
    turn.started {"agentId":"coder","messageId":"01M7X44800000000000000000C","turnId":"01M7X448000000000000000006","userMessageId":"m2"}
    message.created {"agentId":"coder","messageId":"01M7X44800000000000000000C","parentId":"m2","role":"assistant","turnId":"01M7X448000000000000000006"}
    "#);
    let again = command(&app, &complete, r#"{"text":"whole"}"#).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json()["outcome"], "completed");
    assert_eq!(app.tail().await, ended.json()["offset"]);
}

#[tokio::test]
async fn a_turn_fails_with_an_error_and_the_next_one_begins() {
    let app = TestApp::new();
    begin(&app).await;
    let turn = send(&app, "m1").await;
    let next = send(&app, "m2").await;
    let before = app.tail().await;
    let fail = format!("turns/{turn}/fail");
    assert_snapshot!(command(&app, &fail, r#"{"error":{"message":"no model","code":"overloaded","retryable":true}}"#).await.shown(), @r#"200 {"ok":true,"turnId":"01M7X448000000000000000001","offset":11,"outcome":"failed"}"#);
    assert_snapshot!(lines(&app, usize::try_from(before).unwrap()).await, @r#"
    message.updated {"error":{"code":"overloaded","message":"no model","retryable":true},"messageId":"01M7X448000000000000000002","partial":true,"role":"assistant","turnId":"01M7X448000000000000000001"}
    turn.failed {"error":{"code":"overloaded","message":"no model","retryable":true},"messageId":"01M7X448000000000000000002","turnId":"01M7X448000000000000000001"}
    queue.removed {"messageId":"m2","reason":"started","turnId":"01M7X448000000000000000006"}
    turn.started {"agentId":"coder","messageId":"01M7X448000000000000000009","turnId":"01M7X448000000000000000006","userMessageId":"m2"}
    message.created {"agentId":"coder","messageId":"01M7X448000000000000000009","parentId":"m2","role":"assistant","turnId":"01M7X448000000000000000006"}
    "#);
    let fail = format!("turns/{next}/fail");
    assert_eq!(command(&app, &fail, r#"{"error":"worker gone"}"#).await.status, 200);
}

#[tokio::test]
async fn what_comes_again_is_answered_as_before_and_writes_nothing() {
    let app = TestApp::new();
    begin(&app).await;
    let routes = [
        ("messages", r#"{"id":"m1","text":"a"}"#),
        ("messages", r#"{"id":"m2","text":"b"}"#),
        ("ready", r#"{"workerId":"w"}"#),
    ];
    let mut first = Vec::new();
    for (route, body) in routes {
        first.push(command(&app, route, body).await.shown());
    }
    let turn = send(&app, "m1").await;
    let pieces = (&*format!("turns/{turn}/chunks"), r#"{"index":0,"texts":["x","y"]}"#);
    first.push(command(&app, pieces.0, pieces.1).await.shown());
    let tail = app.tail().await;
    for ((route, body), first) in routes.into_iter().chain([pieces]).zip(first) {
        assert_eq!(command(&app, route, body).await.shown(), first);
    }
    let begun = app.post("/api/sessions", r#"{"id":"s","agent":"coder"}"#).await;
    assert_eq!(begun.shown(), r#"201 {"ok":true,"id":"s","offset":1}"#);
    assert_eq!(app.tail().await, tail);
    // Pieces that are there in part are added from where they are new.
    let more = command(&app, pieces.0, r#"{"index":1,"texts":["y","z"]}"#).await.json();
    assert_eq!((&more["next"], more["offset"].as_u64()), (&3.into(), Some(tail + 1)));
}
