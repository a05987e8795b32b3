//! Health, metrics, headers, and routes that do not exist.

use insta::assert_snapshot;

use crate::util::TestApp;

#[tokio::test]
async fn a_server_says_how_it_is() {
    let app = TestApp::new();
    assert_snapshot!(app.get("/healthz").await.shown(), @r#"200 {"ok":true}"#);
    assert_snapshot!(app.get("/readyz").await.shown(), @r#"200 {"ok":true}"#);
    assert_eq!(app.get("/version").await.json()["name"], "scrollback");
    assert!(app.get("/").await.text().contains("/api/streams?sessionId=ID"));
    app.fill(2).await;
    let metrics = app.get("/metrics").await;
    assert!(
        metrics.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(metrics.text().ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_server_that_stops_is_not_ready() {
    let app = TestApp::new();
    app.fill(1).await;
    app.app.stop_readers();
    let answer = app.get("/readyz").await;
    assert_snapshot!(answer.shown(), @r#"503 {"type":"urn:scrollback:problem:stopping","title":"Stopping","status":503,"code":"stopping","message":"the server is stopping; send it again shortly","retryable":true}"#);
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(app.get("/healthz").await.status, 200);
    assert_eq!(app.get("/api/sessions/s/stream").await.code(), "stopping");
    assert!(app.get("/metrics").await.text().contains("scrollback_server_errors_total 2"));
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_browsers_heed() {
    let app = TestApp::new();
    app.fill(1).await;
    for uri in
        ["/healthz", "/nothing", "/api/sessions/s/events", "/api/sessions/s/stream?live=false"]
    {
        let headers = app.get(uri).await.headers;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{uri}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{uri}");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin", "{uri}");
        assert!(headers.contains_key("cache-control"), "{uri}");
        assert!(!headers.contains_key("access-control-allow-origin"), "{uri}");
    }
}

#[tokio::test]
async fn head_works_where_get_does() {
    let app = TestApp::new();
    app.fill(1).await;
    for uri in ["/healthz", "/api/streams", "/api/sessions/s/events", "/api/sessions/s/stream"] {
        let answer = app.request("HEAD", uri).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0), "{uri}");
    }
    assert_eq!(app.app.readers(), 0);
}

#[tokio::test]
async fn what_does_not_exist_is_a_problem_too() {
    let app = TestApp::new();
    assert_snapshot!(app.get("/api/nothing").await.shown(), @r#"404 {"type":"urn:scrollback:problem:not_found","title":"No such route","status":404,"code":"not_found","message":"there is nothing at /api/nothing; GET / says where to go","retryable":false}"#);
    let answer = app.request("DELETE", "/api/sessions/s/events").await;
    assert_snapshot!(answer.shown(), @r#"405 {"type":"urn:scrollback:problem:method_not_allowed","title":"Method not allowed","status":405,"code":"method_not_allowed","message":"/api/sessions/s/events does not take DELETE; the Allow header says what it takes","retryable":false}"#);
    assert_eq!(answer.headers["allow"], "GET,HEAD,POST");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
}
