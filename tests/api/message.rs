//! `POST /api/streams?sessionId=`.

use insta::assert_snapshot;

use crate::util::TestApp;

const URI: &str = "/api/streams?sessionId=s";

#[tokio::test]
async fn a_message_is_answered_with_its_offset_and_id() {
    let app = TestApp::new();
    let body = r#"{"channel":"message","data":{"text":"hello"}}"#;
    assert_snapshot!(app.post(URI, body).await.shown(), @r#"200 {"ok":true,"offset":1,"id":"01M7X448000000000000000000"}"#);
    assert_snapshot!(app.post(URI, body).await.shown(), @r#"200 {"ok":true,"offset":2,"id":"01M7X448000000000000000001"}"#);
    assert_snapshot!(app.get("/api/sessions/s/events").await.shown(), @r#"200 {"events":[{"offset":1,"id":"01M7X448000000000000000000","channel":"message","type":"message","timestamp":1795200000000,"data":{"id":"01M7X448000000000000000000","timestamp":1795200000000,"text":"hello"}},{"offset":2,"id":"01M7X448000000000000000001","channel":"message","type":"message","timestamp":1795200000000,"data":{"id":"01M7X448000000000000000001","timestamp":1795200000000,"text":"hello"}}],"nextOffset":2,"tail":2,"earliest":1,"hasMore":false}"#);
}

#[tokio::test]
async fn a_message_sent_twice_is_written_once() {
    let app = TestApp::new();
    let body = r#"{"channel":"message","data":{"id":"m1","timestamp":5}}"#;
    assert_snapshot!(app.post(URI, body).await.shown(), @r#"200 {"ok":true,"offset":1,"id":"m1"}"#);
    app.fill(2).await;
    assert_snapshot!(app.post(URI, body).await.shown(), @r#"200 {"ok":true,"offset":1,"id":"m1","duplicate":true}"#);
    assert_eq!(app.tail().await, 3);
}

#[tokio::test]
async fn a_message_needs_a_session() {
    let app = TestApp::new();
    let body = r#"{"channel":"message","data":{}}"#;
    assert_snapshot!(app.post("/api/streams", body).await.shown(), @r#"400 {"type":"urn:scrollback:problem:invalid_parameter","title":"Invalid parameter","status":400,"code":"invalid_parameter","message":"parameter `sessionId` is missing; it says which session the message belongs to","retryable":false,"field":"sessionId"}"#);
    for uri in
        ["/api/streams?sessionId=", "/api/streams?sessionId=a%2Fb", "/api/streams?sessionId=%00"]
    {
        let answer = app.post(uri, body).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (400, "invalid_parameter"), "{uri}");
    }
}

#[tokio::test]
async fn a_message_has_an_object_as_data() {
    let app = TestApp::new();
    assert_snapshot!(app.post(URI, r#"{"channel":"message"}"#).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_event","title":"Invalid event","status":422,"code":"invalid_event","message":"`data` is missing","retryable":false,"field":"data"}"#);
    assert_snapshot!(app.post(URI, r#"[{"channel":"message","data":{}}]"#).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_event","title":"Invalid event","status":422,"code":"invalid_event","message":"an event is a JSON object, such as {\"channel\":\"message\",\"data\":{}}","retryable":false}"#);
    let lines = app.post_as(URI, "application/x-ndjson", "{}").await;
    assert_eq!(lines.code(), "unsupported_content_type");
    assert_eq!(app.tail().await, 0);
}
