//! The subscription APIs of the Durable Streams protocol over HTTP: forms of requests, answers and
//! errors. What happens in time is tested beside the code, and over real sockets in `tests/cli`.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::util::{Answer, TestApp};

const ROOT: &str = "/v1/stream/__ds/subscriptions";

async fn put(app: &TestApp, id: &str, body: &'static str) -> Answer {
    app.put(&format!("{ROOT}/{id}"), body).await
}

async fn pull(app: &TestApp) {
    let body = r#"{"type":"pull-wake","pattern":"events/*","wake_stream":"wake"}"#;
    assert_eq!(put(app, "s", body).await.status, 201);
    assert_eq!(app.put("/v1/stream/events/a", "[1,2]").await.status, 201);
}

async fn ask(app: &TestApp, action: &str, token: &str, body: Value) -> Answer {
    let request = axum::http::Request::post(format!("{ROOT}/s/{action}"))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"));
    app.send(request.body(body.to_string().into()).unwrap()).await
}

/// The code of an error, as the protocol has it and as we do.
fn codes(answer: &Answer) -> String {
    let body = answer.json();
    format!(
        "{} {} {}",
        answer.status.as_u16(),
        body["error"]["code"].as_str().unwrap_or("-"),
        body["code"].as_str().unwrap_or("-")
    )
}

#[tokio::test]
async fn a_subscription_is_answered_as_the_protocol_says() {
    let app = TestApp::new();
    let body = r#"{"type":"webhook","pattern":"events/*","streams":["b","a"],"webhook":{"url":"https://worker.example/hook"},"description":"d"}"#;
    let made = put(&app, "s", body).await;
    assert_eq!(made.status, 201);
    let kid = made.json()["webhook"]["signing"]["kid"].as_str().unwrap().to_owned();
    assert_snapshot!(made.text().replace(&kid, "KID"), @r#"{"id":"s","subscription_id":"s","type":"webhook","pattern":"events/*","streams":[{"path":"a","link_type":"explicit","acked_offset":"0000000000000000"},{"path":"b","link_type":"explicit","acked_offset":"0000000000000000"}],"webhook":{"url":"https://worker.example/hook","signing":{"alg":"ed25519","kid":"KID","jwks_url":"https://log.example/v1/stream/__ds/jwks.json"}},"wake_stream":null,"lease_ttl_ms":30000,"created_at":"2026-11-20T18:40:00.000Z","status":"active","description":"d"}"#);
    let again = put(&app, "s", body).await;
    assert_eq!((again.status.as_u16(), again.text()), (200, made.text()));
    let other = r#"{"type":"pull-wake","pattern":"events/*","wake_stream":"w"}"#;
    assert_eq!(
        codes(&put(&app, "s", other).await),
        "409 SUBSCRIPTION_ALREADY_EXISTS subscription_exists"
    );
    let keys = app.get("/v1/stream/__ds/jwks.json").await;
    assert_eq!(keys.headers["content-type"], "application/jwk-set+json");
    assert_eq!(keys.headers["cache-control"], "public, max-age=300");
    assert_eq!(keys.json()["keys"][0]["kid"], kid);
}

#[tokio::test]
async fn a_subscription_that_cannot_be_is_refused_with_a_reason() {
    let app = TestApp::new();
    let mut answers = Vec::new();
    for (id, body) in [
        ("s", r#"{"type":"webhook","pattern":"a","webhook":{"url":"http://10.0.0.1/hook"}}"#),
        ("s", r#"{"type":"webhook","pattern":"a","webhook":{"url":"https://[::1]/hook"}}"#),
        ("s", r#"{"type":"webhook","pattern":"a"}"#),
        ("s", r#"{"type":"pull-wake","pattern":"a"}"#),
        ("s", r#"{"type":"pull-wake","wake_stream":"w"}"#),
        ("s", r#"{"type":"pull-wake","wake_stream":"w","pattern":"a//b"}"#),
        ("s", r#"{"type":"pull-wake","wake_stream":"__ds/keys","pattern":"a"}"#),
        ("s", r#"{"type":"pull-wake","wake_stream":"w","pattern":"a","lease_ttl_ms":999}"#),
        ("s", r#"{"type":"pull-wake","wake_stream":"w","pattern":"a","lease_ttl_ms":"1"}"#),
        ("s", r#"{"type":"mail","pattern":"a"}"#),
        ("s", "[]"),
        ("s", "{"),
        ("a%20b", r#"{"type":"pull-wake","wake_stream":"w","pattern":"a"}"#),
    ] {
        answers.push(codes(&put(&app, id, body).await));
    }
    assert_snapshot!(answers.join("\n"), @r#"
    400 WEBHOOK_URL_REJECTED webhook_url_rejected
    400 WEBHOOK_URL_REJECTED webhook_url_rejected
    400 INVALID_REQUEST invalid_subscription
    400 INVALID_REQUEST invalid_subscription
    400 INVALID_REQUEST invalid_subscription
    400 INVALID_REQUEST invalid_subscription
    400 INVALID_REQUEST invalid_subscription
    400 INVALID_REQUEST invalid_subscription
    400 INVALID_REQUEST invalid_subscription
    400 INVALID_REQUEST invalid_subscription
    400 INVALID_REQUEST invalid_subscription
    400 INVALID_REQUEST invalid_subscription
    400 INVALID_REQUEST invalid_subscription
    "#);
    assert_eq!(app.get(&format!("{ROOT}/s")).await.status, 404);
}

#[tokio::test]
async fn a_worker_claims_acknowledges_and_is_fenced() {
    let app = TestApp::new();
    pull(&app).await;
    let claimed = ask(&app, "claim", "", json!({"worker": "one"})).await;
    let wake = claimed.json();
    let (id, token) = (wake["wake_id"].as_str().unwrap(), wake["token"].as_str().unwrap());
    assert_snapshot!(claimed.text().replace(id, "WAKE").replace(token, "TOKEN"), @r#"{"wake_id":"WAKE","generation":1,"token":"TOKEN","streams":[{"path":"events/a","link_type":"glob","acked_offset":"0000000000000000","tail_offset":"0000000000000002","has_pending":true}],"lease_ttl_ms":30000}"#);
    let busy = ask(&app, "claim", "", json!({"worker": "two"})).await;
    assert_eq!(busy.headers["content-type"], "application/json");
    assert_snapshot!(busy.shown(), @r#"409 {"type":"urn:scrollback:problem:already_claimed","title":"Already claimed","status":409,"code":"already_claimed","message":"worker \"one\" holds the lease of generation 1; wait for the next wake","retryable":true,"error":{"code":"ALREADY_CLAIMED","current_holder":"one","generation":1}}"#);
    let about = |acks: Value| json!({"wake_id": id, "generation": 1, "acks": acks, "done": true});
    let acks = json!([{"stream": "events/a", "offset": "0000000000000002"}]);
    let mut answers = Vec::new();
    for (token, acks) in [
        ("", json!([])),
        ("1.AAAA", json!([])),
        (token, json!([{"stream": "events/a", "offset": "-1"}])),
        (token, json!([{"stream": "events/a", "offset": "x"}])),
        (token, json!([{"path": "events/a", "offset": "0000000000000003"}])),
        (token, json!([{"offset": "0000000000000003"}])),
    ] {
        answers.push(codes(&ask(&app, "ack", token, about(acks)).await));
    }
    answers.push(codes(&ask(&app, "callback", token, about(acks.clone())).await));
    answers.push(ask(&app, "ack", token, about(acks.clone())).await.shown());
    answers.push(codes(&ask(&app, "ack", token, about(acks)).await));
    answers.push(codes(&ask(&app, "claim", "", json!({"worker": "one"})).await));
    answers.push(codes(&ask(&app, "claim", "", json!({"worker": ""})).await));
    answers.push(codes(&ask(&app, "claim", "", json!({})).await));
    assert_snapshot!(answers.join("\n"), @r#"
    401 TOKEN_INVALID token_invalid
    401 TOKEN_INVALID token_invalid
    409 INVALID_OFFSET invalid_ack
    409 INVALID_OFFSET invalid_ack
    409 INVALID_OFFSET invalid_ack
    400 INVALID_REQUEST invalid_subscription
    400 INVALID_REQUEST invalid_subscription
    200 {"ok":true,"next_wake":false}
    409 FENCED wake_fenced
    409 NO_PENDING_WORK nothing_pending
    400 INVALID_REQUEST invalid_subscription
    400 INVALID_REQUEST invalid_subscription
    "#);
    assert_eq!(app.request("DELETE", &format!("{ROOT}/s")).await.status, 204);
    assert_eq!(
        codes(&ask(&app, "claim", "", json!({"worker": "one"})).await),
        "404 SUBSCRIPTION_NOT_FOUND subscription_not_found"
    );
}

#[tokio::test]
async fn streams_are_added_and_removed_by_name() {
    let app = TestApp::new();
    pull(&app).await;
    let added = ask(&app, "streams", "", json!({"streams": ["x y", "/events/a/"]})).await;
    assert_eq!(added.status, 204);
    let refused = ask(&app, "streams", "", json!({"streams": ["a//b"]})).await;
    assert_eq!(codes(&refused), "400 INVALID_REQUEST invalid_subscription");
    for path in ["x%20y", "absent", "events%2Fa"] {
        let removed = app.request("DELETE", &format!("{ROOT}/s/streams/{path}")).await;
        assert_eq!(removed.status, 204, "{path}");
    }
    let streams = app.get(&format!("{ROOT}/s")).await.json()["streams"].clone();
    assert_eq!(
        streams,
        json!([{"path": "events/a", "link_type": "glob", "acked_offset": "0000000000000000"}])
    );
}

#[tokio::test]
async fn the_server_s_own_streams_are_out_of_reach() {
    let app = TestApp::new();
    app.get("/v1/stream/__ds/jwks.json").await;
    let fork = "stream-forked-from: /v1/stream/__ds/keys";
    for (method, uri, headers) in [
        ("GET", "/v1/stream/__ds/keys", ""),
        ("GET", "/v1/stream/__ds", ""),
        ("POST", "/v1/stream/__ds/keys", ""),
        ("DELETE", "/v1/stream/__ds/keys", ""),
        ("GET", "/v1/stream/%5F%5Fds/keys", ""),
        ("POST", "/v1/stream/%5F%5Fds/keys", ""),
        ("GET", "/v1/stream//__ds/keys", ""),
        ("GET", "/api/streams/__ds/keys", ""),
        ("DELETE", "/api/streams/__ds/keys", ""),
        ("GET", "/api/events/__ds/keys", ""),
        ("POST", "/api/events/__ds/keys", ""),
        ("GET", "/api/follow/__ds/keys", ""),
        ("POST", "/api/close/__ds/keys", ""),
        ("PUT", "/v1/stream/mine", fork),
    ] {
        let mut request = axum::http::Request::builder().method(method).uri(uri);
        request = request.header("content-type", "application/json");
        if let Some((name, value)) = headers.split_once(": ") {
            request = request.header(name, value);
        }
        let answer = app.send(request.body("{\"channel\":\"c\"}".into()).unwrap()).await;
        assert!([400, 404].contains(&answer.status.as_u16()), "{method} {uri}: {}", answer.shown());
    }
    app.put("/v1/stream/a", "").await;
    for prefix in ["", "_", "__ds/"] {
        let listed = app.get(&format!("/api/streams?prefix={prefix}")).await.text();
        assert!(!listed.contains("__ds"), "{listed}");
    }
}
