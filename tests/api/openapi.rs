//! The document of the interface: it has what the router has and nothing else, and each of its
//! examples is a request that a server answers as it says.

use std::collections::{BTreeMap, BTreeSet};

use axum::{body::Body, http::Request};
use scrollback::wire::{code::Code, paths};
use serde_json::{Map, Value, json};

use crate::tokens::Asking;
use crate::util::{Answer, TestApp};

/// Routes that answer as if they were none, so that nothing below them is taken for a stream.
const CLOSED_ROUTES: [&str; 2] = [paths::CONTROL, paths::CONTROL_REST];

async fn document() -> Value {
    TestApp::new().get(paths::OPENAPI).await.json()
}

/// Path, method and operation of everything in the document.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let items = document["paths"].as_object().unwrap().iter();
    let methods = items.flat_map(|(path, item)| {
        let item = item.as_object().unwrap();
        item.iter().map(move |(method, operation)| (&**path, &**method, operation))
    });
    methods.collect()
}

#[tokio::test]
async fn the_document_has_the_routes_of_the_router_and_no_others() {
    let (app, document) = (TestApp::new(), document().await);
    let documented: BTreeSet<String> = operations(&document)
        .iter()
        .map(|(path, method, _)| format!("{} {path}", method.to_uppercase()))
        .collect();
    let mut routed = BTreeSet::new();
    for path in paths::all().filter(|path| !CLOSED_ROUTES.contains(path)) {
        let answer = app.request("BREW", &filled(path)).await;
        assert_eq!(answer.status, 405, "{path} is not in the router");
        let allowed: Vec<&str> = answer.headers["allow"].to_str().unwrap().split(',').collect();
        let path = path.replace("{*", "{");
        for method in &allowed {
            // `HEAD` comes with `GET`, but for where it is an operation of its own.
            if *method != "HEAD" || documented.contains(&format!("HEAD {path}")) {
                routed.insert(format!("{method} {path}"));
            }
        }
    }
    let missing: Vec<_> = routed.difference(&documented).collect();
    assert!(missing.is_empty(), "not in src/http/openapi/: {missing:#?}");
    let gone: Vec<_> = documented.difference(&routed).collect();
    assert!(gone.is_empty(), "in the document, and not in the router: {gone:#?}");
}

/// A path of the router with something at its places.
fn filled(path: &str) -> String {
    let mut filled = String::new();
    for (index, part) in path.split(['{', '}']).enumerate() {
        filled += if index % 2 == 0 { part } else { "x" };
    }
    filled
}

#[tokio::test]
async fn the_document_is_openapi_3_1_and_whole() {
    let document = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is the name of two operations");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{id}");
        assert!(operation["security"].is_array(), "{id}");
        let places = path.matches('{').count();
        let named = parameters(operation).filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(places, named, "{method} {path}");
        for status in operation["responses"].as_object().unwrap().keys() {
            assert!(status.parse::<u16>().is_ok(), "{id} {status}");
        }
        let bodies: Vec<_> = contents(&operation["requestBody"]).collect();
        let has_example = bodies.iter().any(|content| content["examples"].is_object());
        assert!(has_example || bodies.is_empty(), "{id} has no example of its body");
    }
    let mut wrong = Vec::new();
    references(&document, &mut |target| {
        let place = target.strip_prefix('#').unwrap_or_default();
        if document.pointer(place).is_none() {
            wrong.push(target.to_owned());
        }
    });
    assert!(wrong.is_empty(), "references to nothing: {wrong:?}");
}

fn parameters(operation: &Value) -> impl Iterator<Item = &Value> {
    operation["parameters"].as_array().into_iter().flatten()
}

fn contents(body: &Value) -> impl Iterator<Item = &Value> {
    body["content"].as_object().into_iter().flat_map(|content| content.values())
}

fn references(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get("$ref") {
                see(target);
            }
            fields.values().for_each(|value| references(value, see));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, see)),
        _ => {}
    }
}

#[tokio::test]
async fn every_code_is_somewhere_in_the_document_and_at_its_status() {
    let document = document().await;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, _, operation) in operations(&document) {
        for (status, answer) in operation["responses"].as_object().unwrap() {
            for content in contents(answer) {
                let codes = content.pointer("/schema/allOf/1/properties/code/enum");
                for code in codes.and_then(Value::as_array).into_iter().flatten() {
                    let statuses = found.entry(code.as_str().unwrap().to_owned()).or_default();
                    statuses.insert(status.clone());
                }
            }
        }
    }
    // What is said where a route has other methods is said by no operation.
    for code in Code::ALL.iter().filter(|code| **code != Code::MethodNotAllowed) {
        let statuses = found.remove(code.as_str()).unwrap_or_default();
        let expected = BTreeSet::from([code.status().to_string()]);
        assert_eq!(statuses, expected, "{}", code.as_str());
    }
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn the_document_is_sent_once() {
    let app = TestApp::new();
    let first = app.get(paths::OPENAPI).await;
    assert_eq!(first.headers["content-type"], "application/json");
    assert_eq!(first.headers["cache-control"], "public, max-age=300");
    let known = Request::get(paths::OPENAPI).header("if-none-match", &first.headers["etag"]);
    let again = app.send(known.body(Body::empty()).unwrap()).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    assert_eq!(again.headers["etag"], first.headers["etag"]);
    let other = Request::get(paths::OPENAPI).header("if-none-match", "\"other\"");
    assert_eq!(app.send(other.body(Body::empty()).unwrap()).await.status, 200);
}

#[tokio::test]
async fn every_example_is_answered_as_the_document_says() {
    let document = document().await;
    let mut sent = 0;
    for (path, method, operation) in operations(&document) {
        for body in examples(operation) {
            let answer = if path.starts_with(paths::TOKENS) {
                let asking = Asking::new();
                let request = request(&asking.app, path, method, operation, body).await;
                asking.app.send(of_token(&asking, request).await).await
            } else {
                let app = furnished().await;
                app.send(request(&app, path, method, operation, body).await).await
            };
            holds(&document, operation, &answer, &format!("{method} {path}"));
            sent += 1;
        }
    }
    assert!(sent > 60, "only {sent} examples");
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

/// The bodies of an operation with their media types; one `None` where it takes none.
fn examples(operation: &Value) -> Vec<Option<(String, Value)>> {
    let content = operation["requestBody"]["content"].as_object().into_iter().flatten();
    let examples = content.flat_map(|(kind, content)| {
        let examples = content["examples"].as_object().into_iter().flatten();
        examples.map(move |(_, example)| Some((kind.clone(), example["value"].clone())))
    });
    let examples: Vec<_> = examples.collect();
    if examples.is_empty() { vec![None] } else { examples }
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
    let asked = r#"{"type":"permission.asked","data":{"permissionId":"p1","tool":"write"}}"#;
    done(app.post("/api/sessions/demo/events", asked).await);
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
    app
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
fn events(answer: &Answer) -> Vec<Value> {
    let fields = |frame: &str| -> Value {
        let fields = frame.lines().filter_map(|line| line.split_once(": "));
        let fields = fields.filter(|(name, _)| ["id", "event", "data"].contains(name));
        fields.map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>().into()
    };
    let events: Vec<_> = answer.text().split("\n\n").map(fields).collect();
    assert!(events.iter().any(|event| event["event"] == "end"), "{}", answer.text());
    events
}

#[tokio::test]
async fn the_examples_of_known_events_are_known_to_the_document() {
    let document = document().await;
    let known =
        json!({ "components": document["components"], "$ref": "#/components/schemas/KnownEvent" });
    let known = jsonschema::draft202012::new(&known).unwrap();
    let kinds = document["components"]["schemas"]["KnownEvent"]["oneOf"].as_array().unwrap();
    assert!(kinds.len() > 40, "only {} types", kinds.len());
    let good = json!({ "type": "presence.heartbeat", "data": { "userId": "u1" } });
    assert!(known.is_valid(&good));
    for bad in [
        json!({ "type": "presence.heartbeat", "data": {} }),
        json!({ "type": "presence.heartbeat", "data": { "userId": 1 } }),
        json!({ "type": "nobody.knows", "data": {} }),
    ] {
        assert!(!known.is_valid(&bad), "{bad}");
    }
}
