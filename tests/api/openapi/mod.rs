//! The document of the interface: it has what the router has and nothing else; each of its examples
//! is a request that a server answers as it says, or the answer; and the copy of it in the tree is
//! the one that is sent.

use std::collections::{BTreeMap, BTreeSet};

use axum::{body::Body, http::Request};
use scrollback::wire::{code::Code, paths};
use serde_json::{Value, json};

use crate::util::TestApp;

mod answers;
mod asking;

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
