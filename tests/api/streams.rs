//! Streams as such: listing, creation, deletion.

use insta::assert_snapshot;

use crate::util::{Answer, TestApp};

/// The answer without the epoch, which is random.
fn shown(answer: &Answer) -> String {
    let mut json = answer.json();
    let removed = json.as_object_mut().unwrap().remove("epoch").unwrap();
    assert_eq!(removed.as_str().unwrap().len(), 16);
    format!("{} {json}", answer.status.as_u16())
}

fn paths(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let streams = json["streams"].as_array().unwrap();
    streams.iter().map(|stream| stream["path"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_stream_is_shown_as_it_stands() {
    let app = TestApp::new();
    assert_snapshot!(app.get("/api/streams/sessions/s").await.shown(), @r#"404 {"type":"urn:scrollback:problem:stream_not_found","title":"No such stream","status":404,"code":"stream_not_found","message":"stream sessions/s does not exist; it begins with its first event, or with PUT /api/streams/{path}","retryable":false}"#);
    app.fill(3).await;
    assert_snapshot!(shown(&app.get("/api/streams/sessions/s").await), @r#"200 {"closed":false,"contentType":"application/json","createdAt":1795200000000,"earliest":1,"lastAppendAt":1795200000000,"path":"sessions/s","retentionSeconds":2592000,"tail":3}"#);
}

#[tokio::test]
async fn streams_are_listed_by_path_page_by_page() {
    let app = TestApp::new();
    for path in ["b", "a/2", "a/1", "c", "a/3"] {
        app.request("PUT", &format!("/api/streams/{path}")).await;
    }
    let all = app.get("/api/streams").await;
    assert_eq!(paths(&all), ["a/1", "a/2", "a/3", "b", "c"]);
    assert!(all.json()["cursor"].is_null());
    let first = app.get("/api/streams?prefix=a/&limit=2").await;
    assert_eq!(
        (paths(&first), &first.json()["cursor"]),
        (vec!["a/1".into(), "a/2".into()], &"a/2".into())
    );
    let second = app.get("/api/streams?prefix=a/&limit=2&cursor=a/2").await;
    assert_eq!(paths(&second), ["a/3"]);
    assert!(second.json()["cursor"].is_null());
    assert_snapshot!(app.get("/api/streams?prefix=nothing").await.shown(), @r#"200 {"streams":[],"cursor":null}"#);
    assert_snapshot!(app.get("/api/streams?limit=0").await.shown(), @r#"400 {"type":"urn:scrollback:problem:invalid_parameter","title":"Invalid parameter","status":400,"code":"invalid_parameter","message":"parameter `limit` is \"0\"; it is a number from 1 to 1000","retryable":false,"field":"limit"}"#);
}

#[tokio::test]
async fn creation_is_repeatable_with_the_same_configuration() {
    let app = TestApp::new();
    let uri = "/api/streams/notes";
    let body = r#"{"contentType":"Text/Plain; charset=utf-8","retentionSeconds":3600}"#;
    assert_snapshot!(shown(&app.put(uri, body).await), @r#"201 {"closed":false,"contentType":"text/plain; charset=utf-8","createdAt":1795200000000,"earliest":1,"lastAppendAt":null,"path":"notes","retentionSeconds":3600,"tail":0}"#);
    assert_eq!(app.put(uri, body).await.status, 200);
    assert_snapshot!(app.put(uri, "{}").await.shown(), @r#"409 {"type":"urn:scrollback:problem:stream_exists","title":"Stream exists","status":409,"code":"stream_exists","message":"stream notes exists with another configuration; delete it first, or ask for the one it has","retryable":false}"#);
}

#[tokio::test]
async fn wrong_configurations_are_named() {
    let app = TestApp::new();
    let uri = "/api/streams/notes";
    assert_snapshot!(app.put(uri, r#"{"contentType":"plain"}"#).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_body","title":"Invalid body","status":422,"code":"invalid_body","message":"`contentType` is \"plain\"; it is a media type such as application/json or text/plain","retryable":false,"field":"contentType"}"#);
    assert_snapshot!(app.put(uri, r#"{"retentionSeconds":0}"#).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_body","title":"Invalid body","status":422,"code":"invalid_body","message":"`retentionSeconds` is 0; it is a number from 1 to 9007199254740","retryable":false,"field":"retentionSeconds"}"#);
    assert_snapshot!(app.put(uri, r#"{"retention":"1d"}"#).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_body","title":"Invalid body","status":422,"code":"invalid_body","message":"the body is not what this route takes: unknown field `retention`, expected one of `contentType`, `retentionSeconds`, `firstOffset` at line 1 column 12","retryable":false}"#);
    for body in ["[]", "{", r#"{"retentionSeconds":-1}"#, r#"{"contentType":"a/b\u0000"}"#] {
        assert!(app.put(uri, body).await.status.is_client_error(), "{body}");
    }
    assert_eq!(app.get(uri).await.status, 404);
}

#[tokio::test]
async fn deletion_frees_the_path() {
    let app = TestApp::new();
    app.fill(3).await;
    assert_snapshot!(app.request("DELETE", "/api/streams/sessions/s").await.shown(), @r#"200 {"ok":true,"offset":3}"#);
    assert_eq!(app.get("/api/sessions/s/events").await.status, 404);
    assert_eq!(app.request("DELETE", "/api/streams/sessions/s").await.status, 404);
    assert_eq!(app.request("POST", "/api/close/sessions/s").await.status, 404);
    app.fill(1).await;
    assert_eq!(app.tail().await, 1);
}

#[tokio::test]
async fn a_stream_may_begin_at_the_offset_where_another_was_cut() {
    let app = TestApp::new();
    let uri = "/api/streams/sessions/s";
    assert_snapshot!(shown(&app.put(uri, r#"{"firstOffset":40}"#).await), @r#"201 {"closed":false,"contentType":"application/json","createdAt":1795200000000,"earliest":40,"lastAppendAt":null,"path":"sessions/s","retentionSeconds":2592000,"tail":39}"#);
    assert_eq!(app.put(uri, r#"{"firstOffset":40}"#).await.status, 200);
    assert_eq!(app.put(uri, r#"{"firstOffset":1}"#).await.status, 409);
    app.fill(2).await;
    assert_eq!(app.get("/api/sessions/s/events").await.offsets(), [40, 41]);
    let gone = app.get("/api/sessions/s/events?fromOffset=0").await;
    assert_eq!((gone.status.as_u16(), gone.json()["earliest"].as_u64()), (410, Some(40)));
    let state = app.get("/api/sessions/s/state").await;
    assert_eq!(state.json()["offset"], 41);
    assert_snapshot!(app.put("/api/streams/x", r#"{"firstOffset":0}"#).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_body","title":"Invalid body","status":422,"code":"invalid_body","message":"`firstOffset` is 0; it is a number from 1 to 4503599627370495","retryable":false,"field":"firstOffset"}"#);
}
