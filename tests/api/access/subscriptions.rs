//! Subscriptions and rights: nobody follows what they may not read, or has wakes written where they
//! may not write, by way of a subscription that is theirs.

use serde_json::{Value, json};

use super::{EVENT, Guarded};
use crate::util::Answer;

const MINE: &str = "/v1/stream/__ds/subscriptions/acme-1";

/// Two tenants with the same rights, each on what is their own.
async fn tenants() -> Guarded {
    let guarded = Guarded::new();
    for name in ["acme", "other"] {
        let (admin, own) =
            (format!("admin:__ds/subscriptions/{name}-1"), format!("tenants/{name}/**"));
        let scopes = [admin, format!("read:{own}"), format!("write:{own}")];
        guarded.scopes(name, &scopes.each_ref().map(String::as_str));
        let uri = format!("/api/events/tenants/{name}/log");
        guarded.done("root", "POST", &uri, EVENT).await;
    }
    guarded
}

async fn put(guarded: &Guarded, token: &str, body: Value) -> Answer {
    guarded.ask(token, "PUT", MINE, &body.to_string()).await
}

fn pull(pattern: &str, streams: &[&str], wake: &str) -> Value {
    let mut body = json!({"type": "pull-wake", "streams": streams, "wake_stream": wake});
    if !pattern.is_empty() {
        body["pattern"] = pattern.into();
    }
    body
}

#[tokio::test]
async fn nobody_follows_by_a_subscription_what_they_may_not_read() {
    let guarded = tenants().await;
    for pattern in ["**", "tenants/**", "tenants/*/log", "*/*/log", "tenants/other/*", "sessions/*"]
    {
        let refused = put(&guarded, "acme", pull(pattern, &[], "tenants/acme/wakes")).await;
        assert_eq!(refused.code(), "forbidden", "{pattern}: {}", refused.text());
        assert!(!refused.text().contains("tenants/other/log"), "{}", refused.text());
    }
    let webhook =
        json!({"type": "webhook", "pattern": "**", "webhook": {"url": "https://h.example/x"}});
    assert_eq!(put(&guarded, "acme", webhook).await.code(), "forbidden");
    assert_eq!(guarded.get("root", MINE).await.status, 404, "nothing was made");
}

#[tokio::test]
async fn a_stream_by_name_that_may_not_be_read_is_answered_as_one_that_is_not_there() {
    let guarded = tenants().await;
    let wake = "tenants/acme/wakes";
    let there = put(&guarded, "acme", pull("", &["tenants/other/log"], wake)).await;
    let missing = put(&guarded, "acme", pull("", &["tenants/other/lot"], wake)).await;
    assert_eq!((there.status.as_u16(), there.code()), (404, "stream_not_found".to_owned()));
    assert_eq!(there.text().replace("/log", "/lot"), missing.text());
    let made = put(&guarded, "acme", pull("tenants/acme/*", &["tenants/acme/log"], wake)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let add = async |path: &str| {
        let body = json!({"streams": ["tenants/acme/new", path]}).to_string();
        guarded.post("acme", &format!("{MINE}/streams"), &body).await
    };
    let there = add("tenants/other/log").await;
    assert_eq!(there.code(), "stream_not_found");
    assert_eq!(there.text().replace("/log", "/lot"), add("tenants/other/lot").await.text());
    let shown = guarded.get("acme", MINE).await.text();
    assert!(!shown.contains("tenants/other") && !shown.contains("acme/new"), "{shown}");
    assert_eq!(add("tenants/acme/more").await.status, 204);
}

#[tokio::test]
async fn wakes_are_written_where_whoever_makes_a_subscription_may_write() {
    let guarded = tenants().await;
    let follows = "tenants/acme/*";
    for (wake, code) in [
        ("tenants/other/log", "stream_not_found"),
        ("tenants/other/none", "stream_not_found"),
        ("sessions/s", "stream_not_found"),
    ] {
        let refused = put(&guarded, "acme", pull(follows, &[], wake)).await;
        assert_eq!(refused.code(), code, "{wake}: {}", refused.text());
    }
    guarded.scopes("reader", &["admin:__ds/subscriptions/*", "read:**"]);
    let refused = put(&guarded, "reader", pull("**", &[], "tenants/acme/wakes")).await;
    assert_eq!(refused.code(), "forbidden");
    let made = put(&guarded, "acme", pull(follows, &[], "tenants/acme/wakes")).await;
    assert_eq!(made.status, 201, "{}", made.text());
    // Whoever else may see to it does not make it their own by asking for the same.
    guarded.scopes("helper", &["admin:__ds/subscriptions/*"]);
    let again = put(&guarded, "helper", pull(follows, &[], "tenants/acme/wakes")).await;
    assert_eq!(again.code(), "forbidden");
}

#[tokio::test]
async fn what_begins_later_shows_only_where_it_might_be_read() {
    let guarded = tenants().await;
    let made = put(&guarded, "acme", pull("tenants/acme/**", &[], "tenants/acme/wakes")).await;
    assert_eq!(made.status, 201, "{}", made.text());
    for path in ["tenants/other/secret", "tenants/acme/new", "tenants/acmes", "secret"] {
        guarded.done("root", "POST", &format!("/api/events/{path}"), EVENT).await;
    }
    let claimed = guarded.post("acme", &format!("{MINE}/claim"), r#"{"worker":"w"}"#).await;
    assert_eq!(claimed.status, 200, "{}", claimed.text());
    let streams = claimed.json()["streams"].as_array().unwrap().clone();
    let mut paths: Vec<_> = streams.iter().map(|stream| stream["path"].as_str().unwrap()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["tenants/acme/log", "tenants/acme/new"]);
}
