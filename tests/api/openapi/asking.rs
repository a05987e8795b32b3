//! The requests of the document, sent to a server that has something to say: each is answered as the
//! document says.

use axum::{body::Body, http::Request};
use scrollback::wire::paths;
use serde_json::{Map, Value, json};

use super::{document, operations, parameters};
use crate::tokens::Asking;
use crate::util::{Answer, TestApp};

/// An answer to an example: what the example is called, and what came.
pub(super) type Answered = (String, Answer);

#[tokio::test]
async fn every_example_is_answered_as_the_document_says() {
    let document = document().await;
    let mut sent = 0;
    for (path, method, operation) in operations(&document) {
        for (_, answer) in answers(path, method, operation).await {
            holds(&document, operation, &answer, &format!("{method} {path}"));
            sent += 1;
        }
    }
    assert!(sent > 60, "only {sent} examples");
}

/// What the examples of an operation are answered with, and the same ones again where that may be
/// answered in another way.
pub(super) async fn answers(path: &str, method: &str, operation: &Value) -> Vec<Answered> {
    let mut answered = Vec::new();
    for (name, body) in examples(operation) {
        if path.starts_with(paths::TOKENS) {
            let asking = Asking::new();
            let request = request(&asking.app, path, method, operation, body).await;
            answered.push((name, asking.app.send(of_token(&asking, request).await).await));
            continue;
        }
        let app = furnished().await;
        let first = request(&app, path, method, operation, body.clone()).await;
        answered.push((name.clone(), app.send(first).await));
        if good_statuses(operation).len() > 1 {
            let again = request(&app, path, method, operation, body).await;
            answered.push((name, app.send(again).await));
        }
    }
    if operation["operationId"] == "getStream" {
        let app = furnished().await;
        for (name, uri) in [("json", "facts?offset=-1"), ("live", "notes/done?offset=-1&live=sse")]
        {
            answered.push((name.to_owned(), app.get(&format!("/v1/stream/{uri}")).await));
        }
    }
    answered
}

/// The statuses of an operation that come with a body and say that all went well.
pub(super) fn good_statuses(operation: &Value) -> Vec<&str> {
    let answers = operation["responses"].as_object().unwrap().iter();
    let good =
        answers.filter(|(status, said)| status.starts_with('2') && said["content"].is_object());
    good.map(|(status, _)| &**status).collect()
}

/// The request, about a token that there is, from somebody who may.
async fn of_token(asking: &Asking, mut request: Request<Body>) -> Request<Body> {
    let waits = asking.create(json!({ "worker": "w1" })).await;
    let uri = request.uri().to_string().replace("tok_1", waits["id"].as_str().unwrap());
    *request.uri_mut() = uri.parse().unwrap();
    let bearer = format!("Bearer {}", asking.root).parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    request
}

/// The bodies of an operation, each with its name and media type; one `None` where it takes none.
fn examples(operation: &Value) -> Vec<(String, Option<(String, Value)>)> {
    let content = operation["requestBody"]["content"].as_object().into_iter().flatten();
    let examples = content.flat_map(|(kind, content)| {
        let examples = content["examples"].as_object().into_iter().flatten();
        let of_kind = |value: &Value| Some((kind.clone(), value["value"].clone()));
        examples.map(move |(name, example)| (name.clone(), of_kind(example)))
    });
    let examples: Vec<_> = examples.collect();
    if examples.is_empty() { vec![("example".to_owned(), None)] } else { examples }
}

/// The state that all examples are asked of.
async fn furnished() -> TestApp {
    let app = TestApp::new();
    let done = |answer: Answer| assert!(answer.status.is_success(), "{}", answer.shown());
    done(app.post(paths::SESSIONS, r#"{"id":"demo"}"#).await);
    for message in [r#"{"id":"m1","text":"one"}"#, r#"{"id":"m2","text":"two"}"#] {
        done(app.post("/api/sessions/demo/messages", message).await);
    }
    done(app.post(paths::SESSIONS, r#"{"id":"old"}"#).await);
    done(app.post("/api/sessions/demo/events", json!(happened()).to_string()).await);
    done(app.put("/api/streams/agents/old", "{}").await);
    for stream in ["notes/today", "notes/old", "wakes"] {
        let body = Request::put(format!("/v1/stream/{stream}"));
        let kind = if stream == "wakes" { "application/json" } else { "text/plain" };
        done(app.send(body.header("content-type", kind).body(Body::empty()).unwrap()).await);
    }
    let pull = r#"{"type":"pull-wake","streams":["notes/today"],"wake_stream":"wakes"}"#;
    done(app.put("/v1/stream/__ds/subscriptions/indexer", pull).await);
    let called = r#"{"type":"webhook","pattern":"a","webhook":{"url":"https://worker.example/a"}}"#;
    done(app.put("/v1/stream/__ds/subscriptions/caller", called).await);
    done(app.post_as("/v1/stream/notes/today", "text/plain", "hello").await);
    let facts = Request::put("/v1/stream/facts").header("content-type", "application/json");
    done(app.send(facts.body(Body::from(r#"[{"n":1},{"n":2}]"#)).unwrap()).await);
    let ended = Request::put("/v1/stream/notes/done").header("content-type", "text/plain");
    let ended = ended.header("stream-closed", "true").body(Body::from("all is said"));
    done(app.send(ended.unwrap()).await);
    app
}

/// What the agent of the session has done so far.
fn happened() -> Vec<Value> {
    let tasks = json!([{ "id": "todo_1", "text": "Read the clock", "status": "in_progress" }]);
    let files = json!([{ "file": "src/clock.rs", "additions": 35, "deletions": 2 }]);
    let events = [
        ("permission.asked", json!({ "permissionId": "p1", "tool": "write" })),
        ("presence.joined", json!({ "userId": "u1", "name": "Ada" })),
        ("agent.state", json!({ "agentId": "coder", "state": "acting", "detail": "read" })),
        ("tool.pending", json!({ "callId": "call_1", "messageId": "m1", "tool": "read" })),
        ("todo.updated", json!({ "todos": tasks })),
        ("diff.updated", json!({ "files": files, "additions": 35, "deletions": 2 })),
        ("terminal.output", json!({ "terminalId": "term_1", "data": "68 lines\r\n" })),
    ];
    let as_event = |(index, (kind, data)): (usize, (&str, Value))| json!({ "id": format!("done{index}"), "type": kind, "data": data });
    events.into_iter().enumerate().map(as_event).collect()
}

/// The request of an example.
async fn request(
    app: &TestApp,
    path: &str,
    method: &str,
    operation: &Value,
    body: Option<(String, Value)>,
) -> Request<Body> {
    let (mut uri, mut query) = (path.to_owned(), Vec::new());
    let mut request = Request::builder().method(&*method.to_uppercase());
    for parameter in parameters(operation) {
        let name = parameter["name"].as_str().unwrap();
        let Some(example) = parameter.get("example") else {
            assert_ne!(parameter["required"], true, "{path} {name} has no example");
            continue;
        };
        let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        match parameter["in"].as_str().unwrap() {
            "path" => uri = uri.replace(&format!("{{{name}}}"), &example),
            "query" => query.push(format!("{name}={example}")),
            _ => request = request.header(name, example),
        }
    }
    let mut text = None;
    if let Some((kind, value)) = body {
        let is_text = !kind.ends_with("json") || kind.ends_with("ndjson");
        text = Some(if is_text { value.as_str().unwrap().to_owned() } else { value.to_string() });
        request = request.header("content-type", kind);
    }
    if operation["security"][0].get("wakeToken").is_some() {
        let claim = "/v1/stream/__ds/subscriptions/indexer/claim";
        let claimed = app.post(claim, r#"{"worker":"one"}"#).await.json();
        let known = claimed["wake_id"].as_str().unwrap();
        text = text.map(|text| text.replace("the one that came with the wake", known));
        let token = claimed["token"].as_str().unwrap();
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let uri = if query.is_empty() { uri } else { format!("{uri}?{}", query.join("&")) };
    request.uri(uri).body(text.map_or_else(Body::empty, Body::from)).unwrap()
}

/// Whether the answer is one of those that the document has.
fn holds(document: &Value, operation: &Value, answer: &Answer, shown: &str) {
    let status = answer.status.as_u16();
    // Nobody is called by a server of these tests, so nobody can call back.
    let is_called = operation["operationId"] == "callback";
    assert_eq!(answer.status.is_success(), !is_called, "{shown}: {}", answer.shown());
    let said = &operation["responses"][status.to_string()];
    assert!(said.is_object(), "{shown}: {status} is not documented");
    let Some(kind) = answer.headers.get("content-type") else {
        assert!(answer.body.is_empty(), "{shown}: a body without a type");
        return;
    };
    if answer.body.is_empty() {
        return;
    }
    let kind = kind.to_str().unwrap().split(';').next().unwrap();
    let content = said["content"].get(kind).or_else(|| said["content"].get("*/*"));
    let content = content.unwrap_or_else(|| panic!("{shown}: {status} as {kind}"));
    let value = if kind.ends_with("json") {
        answer.json()
    } else {
        json!(String::from_utf8_lossy(&answer.body))
    };
    let values = if kind == "text/event-stream" { events(answer) } else { vec![value] };
    let schema = json!({ "components": document["components"], "allOf": [content["schema"]] });
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let errors = values.iter().flat_map(|value| schema.iter_errors(value));
    let wrong: Vec<_> = errors.map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{shown}: {wrong:?}");
}

/// Server-sent events, each as an object of its fields.
pub(super) fn events(answer: &Answer) -> Vec<Value> {
    let fields = |frame: &str| -> Value {
        let fields = frame.lines().filter_map(|line| line.split_once(": "));
        let fields = fields.filter(|(name, _)| ["id", "event", "data"].contains(name));
        fields.map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>().into()
    };
    let events: Vec<_> = answer.text().split("\n\n").map(fields).collect();
    let last = |event: &Value| event["event"] == "end" || event["event"] == "control";
    assert!(events.iter().any(last), "{}", answer.text());
    events
}
