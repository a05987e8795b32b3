//! The whole life of a session.

use axum::{body::Body, http::Request};
use insta::assert_snapshot;

use super::{command, done, lines, request};
use crate::util::TestApp;

#[tokio::test]
async fn a_session_is_begun_talked_in_ended_and_deleted() {
    let app = TestApp::new();
    let body = r#"{"id":"s","title":"T","model":"m1","provider":"p","parent":"s0","worker":"w","agent":"coder","metadata":{"k":[1]},"unknown":1}"#;
    assert_snapshot!(app.post("/api/sessions", body).await.shown(), @r#"201 {"ok":true,"id":"s","offset":1}"#);
    assert_snapshot!(command(&app, "ready", r#"{"workerId":"w"}"#).await.shown(), @r#"200 {"ok":true,"offset":2}"#);
    assert_snapshot!(command(&app, "presence", r#"{"type":"joined","userId":"u","name":"Ada"}"#).await.shown(), @r#"200 {"ok":true,"offset":3}"#);
    assert_snapshot!(command(&app, "messages", r#"{"id":"m1","text":"hello","userId":"u"}"#).await.shown(), @r#"200 {"ok":true,"id":"m1","turnId":"01M7X448000000000000000003","offset":6,"queued":false}"#);
    let turn = turn_of(&app, "m1").await;
    assert_snapshot!(command(&app, &format!("turns/{turn}/chunks"), r#"{"index":0,"texts":["Hel","lo"]}"#).await.shown(), @r#"200 {"ok":true,"turnId":"01M7X448000000000000000003","offset":8,"next":2}"#);
    assert_snapshot!(command(&app, &format!("turns/{turn}/chunks"), r#"{"text":"!"}"#).await.shown(), @r#"200 {"ok":true,"turnId":"01M7X448000000000000000003","offset":9,"next":3}"#);
    assert_snapshot!(command(&app, &format!("turns/{turn}/complete"), r#"{"text":"Hello!","finish":"stop","tokens":{"input":3,"output":2},"cost":0.01}"#).await.shown(), @r#"200 {"ok":true,"turnId":"01M7X448000000000000000003","offset":11,"outcome":"completed"}"#);
    assert_snapshot!(command(&app, "terminal/input", r#"{"data":"ls\r","userId":"u"}"#).await.shown(), @r#"200 {"ok":true,"offset":12}"#);
    assert_snapshot!(request(&app, "PATCH", "s", r#"{"title":"T2","pinned":true,"summary":{"additions":1,"deletions":2,"files":3}}"#).await.shown(), @r#"200 {"ok":true,"offset":13}"#);
    assert_snapshot!(request(&app, "PATCH", "s", r#"{"title":"T2"}"#).await.shown(), @r#"200 {"ok":true,"offset":13}"#);
    assert_snapshot!(command(&app, "end", r#"{"reason":"done","by":"u"}"#).await.shown(), @r#"200 {"ok":true,"offset":14}"#);
    assert_snapshot!(request(&app, "DELETE", "s", "").await.shown(), @r#"200 {"ok":true,"offset":15}"#);
    assert_snapshot!(lines(&app, 0).await, @r#"
    session.created {"agent":"coder","metadata":{"k":[1]},"model":"m1","parentId":"s0","provider":"p","sessionId":"s","title":"T","worker":"w"}
    session.ready {"workerId":"w"}
    presence.joined {"name":"Ada","userId":"u"}
    message.created {"content":"hello","messageId":"m1","role":"user","turnId":"01M7X448000000000000000003","userId":"u"}
    turn.started {"agentId":"coder","messageId":"01M7X448000000000000000004","turnId":"01M7X448000000000000000003","userMessageId":"m1"}
    message.created {"agentId":"coder","messageId":"01M7X448000000000000000004","model":"m1","parentId":"m1","provider":"p","role":"assistant","turnId":"01M7X448000000000000000003"}
    chunk.appended {"agentId":"coder","index":0,"messageId":"01M7X448000000000000000004","text":"Hel","turnId":"01M7X448000000000000000003"}
    chunk.appended {"agentId":"coder","index":1,"messageId":"01M7X448000000000000000004","text":"lo","turnId":"01M7X448000000000000000003"}
    chunk.appended {"agentId":"coder","index":2,"messageId":"01M7X448000000000000000004","text":"!","turnId":"01M7X448000000000000000003"}
    message.completed {"content":"Hello!","cost":0.01,"finish":"stop","messageId":"01M7X448000000000000000004","role":"assistant","tokens":{"input":3,"output":2},"turnId":"01M7X448000000000000000003"}
    turn.completed {"messageId":"01M7X448000000000000000004","reason":"completed","turnId":"01M7X448000000000000000003"}
    terminal.input {"data":"ls\r","userId":"u"}
    session.updated {"pinned":true,"summary":{"additions":1,"deletions":2,"files":3},"title":"T2"}
    session.ended {"by":"u","reason":"done"}
    session.deleted {"sessionId":"s"}
    "#);
}

/// The turn that answers a message; asking for it is sending it again.
async fn turn_of(app: &TestApp, message: &str) -> String {
    let body = format!(r#"{{"id":"{message}","text":"hello"}}"#);
    done(app, "messages", &body).await["turnId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn ids_are_made_where_none_are_given() {
    let app = TestApp::new();
    let begun = app.post("/api/sessions", "{}").await;
    assert_snapshot!(begun.shown(), @r#"201 {"ok":true,"id":"01M7X448000000000000000000","offset":1}"#);
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    let uri = format!("/api/sessions/{id}/messages");
    assert_snapshot!(app.post(&uri, r#"{"parts":[{"id":"p","type":"text","text":"hi"}]}"#).await.shown(), @r#"200 {"ok":true,"id":"01M7X448000000000000000002","turnId":"01M7X448000000000000000003","offset":4,"queued":false}"#);
    // Without a body and without a type for it, too.
    let bare = app.request("POST", "/api/sessions").await;
    assert_eq!((bare.status.as_u16(), bare.json()["offset"].as_u64()), (201, Some(1)));
    assert_ne!(bare.json()["id"], id);
}

#[tokio::test]
async fn a_permission_is_asked_and_answered_once() {
    let app = TestApp::new();
    super::begin(&app).await;
    let asked = r#"{"type":"permission.asked","data":{"id":"p1","permission":"write"}}"#;
    app.post("/api/sessions/s/events", asked).await;
    let uri = "permissions/p1/reply";
    assert_snapshot!(command(&app, uri, r#"{"reply":"maybe"}"#).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_body","title":"Invalid body","status":422,"code":"invalid_body","message":"`reply` must be one of `once`, `always`, `reject`, not `maybe`","retryable":false,"field":"reply"}"#);
    assert_snapshot!(command(&app, uri, r#"{"reply":"always","by":"u"}"#).await.shown(), @r#"200 {"ok":true,"id":"p1","offset":3,"reply":"always"}"#);
    assert_snapshot!(command(&app, uri, r#"{"reply":"always","by":"u"}"#).await.shown(), @r#"200 {"ok":true,"id":"p1","offset":3,"reply":"always"}"#);
    assert_snapshot!(command(&app, uri, r#"{"reply":"reject"}"#).await.shown(), @r#"409 {"type":"urn:scrollback:problem:permission_answered","title":"Request answered","status":409,"code":"permission_answered","message":"the request `p1` was answered otherwise; the first answer holds","retryable":false,"reply":"always"}"#);
    assert_snapshot!(lines(&app, 2).await, @r#"permission.replied {"by":"u","permissionId":"p1","reply":"always"}"#);
}

#[tokio::test]
async fn people_come_point_stay_and_go() {
    let app = TestApp::new();
    for body in [
        r#"{"userId":"u"}"#,
        r#"{"userId":"u","cursor":{"x":1}}"#,
        r#"{"type":"presence.left","userId":"u","reason":"closed"}"#,
    ] {
        done(&app, "presence", body).await;
    }
    assert_snapshot!(lines(&app, 0).await, @r#"
    presence.heartbeat {"userId":"u"}
    presence.cursor {"cursor":{"x":1},"userId":"u"}
    presence.left {"reason":"closed","userId":"u"}
    "#);
    assert_snapshot!(command(&app, "presence", r#"{"type":"gone","userId":"u"}"#).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_body","title":"Invalid body","status":422,"code":"invalid_body","message":"`type` must be `joined`, `heartbeat`, `cursor` or `left`","retryable":false,"field":"type"}"#);
    assert_snapshot!(command(&app, "presence", "{}").await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_body","title":"Invalid body","status":422,"code":"invalid_body","message":"`userId` is missing","retryable":false,"field":"userId"}"#);
}

#[tokio::test]
async fn what_makes_a_session_goes_through_one_stream_for_readers_of_all_kinds() {
    let app = TestApp::new();
    let mut live = {
        super::begin(&app).await;
        app.follow("/api/sessions/s/stream?fromOffset=1").await
    };
    live.frames(1).await;
    done(&app, "messages", r#"{"id":"m","text":"hi"}"#).await;
    let offset = |frame: &str| frame.split(' ').next().unwrap().to_owned();
    let frames = live.frames(3).await;
    assert_eq!(frames.lines().map(offset).collect::<Vec<_>>(), ["2", "3", "4"]);
    assert!(live.is_quiet().await);
    let raw = Request::post("/api/sessions/s/events?expectedOffset=4");
    let raw = raw.header("content-type", "application/json");
    let raw = raw.body(Body::from(r#"{"channel":"x"}"#)).unwrap();
    assert_eq!(app.send(raw).await.json()["offset"], 5);
    // The next command stands behind it.
    assert_eq!(done(&app, "interrupt", "{}").await["offset"], 7);
}

#[tokio::test]
async fn an_answer_in_parts_grows_part_by_part() {
    let app = TestApp::new();
    super::begin(&app).await;
    let turn = turn_of(&app, "m1").await;
    let (chunks, tail) = (format!("turns/{turn}/chunks"), app.tail().await);
    let body = r#"{"index":0,"deltas":[{"partId":"p1","delta":"Hel"},{"partId":"p1","field":"text","delta":"lo"}]}"#;
    assert_snapshot!(command(&app, &chunks, body).await.shown(), @r#"200 {"ok":true,"turnId":"01M7X448000000000000000001","offset":6,"next":2}"#);
    assert_snapshot!(command(&app, &chunks, body).await.shown(), @r#"200 {"ok":true,"turnId":"01M7X448000000000000000001","offset":6,"next":2}"#);
    let parts = r#"{"parts":[{"id":"p1","type":"text","text":"Hello"}]}"#;
    done(&app, &format!("turns/{turn}/complete"), parts).await;
    assert_snapshot!(lines(&app, usize::try_from(tail).unwrap()).await, @r#"
    message.part.delta {"delta":"Hel","messageId":"01M7X448000000000000000002","partId":"p1"}
    message.part.delta {"delta":"lo","field":"text","messageId":"01M7X448000000000000000002","partId":"p1"}
    message.completed {"messageId":"01M7X448000000000000000002","parts":[{"id":"p1","text":"Hello","type":"text"}],"role":"assistant","turnId":"01M7X448000000000000000001"}
    turn.completed {"messageId":"01M7X448000000000000000002","reason":"completed","turnId":"01M7X448000000000000000001"}
    "#);
}
