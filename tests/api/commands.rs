//! Commands in sessions. Bodies stand in the tests as they are sent.

use axum::{body::Body, http::Request};
use serde_json::Value;

use crate::util::{Answer, TestApp};

mod contention;
mod life;
mod queue;
mod rejections;
mod restart;

/// A command in session `s`.
pub(crate) async fn command(app: &TestApp, route: &str, body: &str) -> Answer {
    app.post(&format!("/api/sessions/s/{route}"), body.to_owned()).await
}

/// A request of any method, with a JSON body.
pub(crate) async fn request(app: &TestApp, method: &str, route: &str, body: &str) -> Answer {
    let uri = format!("/api/sessions/{route}");
    let request = Request::builder().method(method).uri(uri);
    let request = request.header("content-type", "application/json");
    app.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

/// The same, taken for granted.
pub(crate) async fn done(app: &TestApp, route: &str, body: &str) -> Value {
    let answer = command(app, route, body).await;
    assert!(answer.status.is_success(), "{route}: {}", answer.shown());
    answer.json()
}

/// Session `s` begins.
pub(crate) async fn begin(app: &TestApp) {
    let answer = app.post("/api/sessions", r#"{"id":"s","agent":"coder"}"#).await;
    assert_eq!(answer.status, 201, "{}", answer.shown());
}

/// All events of session `s`.
pub(crate) async fn events(app: &TestApp) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let uri = format!("/api/sessions/s/events?limit=1000&fromOffset={}", events.len());
        let page = app.get(&uri).await.json();
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        if page["hasMore"] == false {
            return events;
        }
    }
}

/// All events of session `s` after an offset, each in a line: its type and its data.
pub(crate) async fn lines(app: &TestApp, after: usize) -> String {
    let events = events(app).await;
    let line = |event: &Value| format!("{} {}", event["type"].as_str().unwrap(), event["data"]);
    events.iter().skip(after).map(line).collect::<Vec<_>>().join("\n")
}
