//! The types of the vocabulary over HTTP: what is taken, and what is refused for which field.

use std::{collections::BTreeMap, fs, path::Path};

use insta::assert_snapshot;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::util::TestApp;

const URI: &str = "/api/sessions/s/events";

#[derive(Debug, Deserialize)]
struct Examples {
    valid: Vec<Box<RawValue>>,
    invalid: Vec<Invalid>,
}

#[derive(Debug, Deserialize)]
struct Invalid {
    field: String,
    data: Box<RawValue>,
}

fn examples() -> BTreeMap<String, Examples> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/events");
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with("schema.json") {
            let text = fs::read_to_string(path).unwrap();
            all.extend(serde_json::from_str::<BTreeMap<String, Examples>>(&text).unwrap());
        }
    }
    assert!(all.len() > 40, "only {} types have examples", all.len());
    all
}

#[tokio::test]
async fn every_valid_example_is_taken_in_both_forms() {
    let app = TestApp::new();
    for (kind, examples) in examples() {
        for data in examples.valid {
            for field in ["data", "properties"] {
                let body = format!(r#"{{"type":"{kind}","{field}":{data}}}"#);
                let answer = app.post(URI, body.clone()).await;
                assert_eq!(answer.status, 200, "{body}: {}", answer.text());
                let offset = answer.json()["offset"].as_u64().unwrap();
                let page = app.get(&format!("{URI}?fromOffset={}", offset - 1)).await;
                let kept = format!(r#""type":"{kind}","timestamp":1795200000000,"data":{data}}}"#);
                assert!(page.text().contains(&kept), "{kept} is not in {}", page.text());
            }
        }
    }
}

#[tokio::test]
async fn every_invalid_example_is_refused_for_its_field_and_taken_unchecked() {
    let app = TestApp::new();
    let mut unchecked = 0;
    for (kind, examples) in examples() {
        for Invalid { field, data } in examples.invalid {
            let body = format!(r#"{{"type":"{kind}","data":{data}}}"#);
            let answer = app.post(URI, body.clone()).await;
            assert_eq!(answer.status, 422, "{body}: {}", answer.text());
            assert_eq!(answer.code(), "invalid_event");
            assert_eq!(answer.json()["field"], *field, "{body}");
            let answer = app.post(&format!("{URI}?validate=off"), body).await;
            unchecked += 1;
            assert_eq!(answer.json()["offset"], unchecked, "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_refusal_says_which_event_of_many_it_was() {
    let app = TestApp::new();
    let good = r#"{"channel":"presence","type":"presence.heartbeat","data":{"userId":"u1"}}"#;
    let bad = r#"{"type":"message.part.updated","properties":{"messageID":"m","part":{"id":"p","type":"sound"}}}"#;
    assert_snapshot!(app.post(URI, bad).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_event","title":"Invalid event","status":422,"code":"invalid_event","message":"`data.part.type` must be one of `text`, `tool`, `reasoning`, `file`, `data-file`, `error`, `snapshot`, `patch`, `step-start`, `step-finish`, not \"sound\"","retryable":false,"field":"data.part.type"}"#);
    assert_snapshot!(app.post(URI, format!("[{good},{bad}]")).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_event","title":"Invalid event","status":422,"code":"invalid_event","message":"`data.part.type` must be one of `text`, `tool`, `reasoning`, `file`, `data-file`, `error`, `snapshot`, `patch`, `step-start`, `step-finish`, not \"sound\"","retryable":false,"field":"data.part.type","index":1}"#);
    let lines = format!("{good}\n\n{bad}\n");
    assert_snapshot!(app.post_as(URI, "application/x-ndjson", lines.clone()).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_event","title":"Invalid event","status":422,"code":"invalid_event","message":"`data.part.type` must be one of `text`, `tool`, `reasoning`, `file`, `data-file`, `error`, `snapshot`, `patch`, `step-start`, `step-finish`, not \"sound\"","retryable":false,"field":"data.part.type","line":3,"count":0}"#);
    let message = r#"{"channel":"terminal","type":"terminal.resize","data":{"cols":80,"rows":-1}}"#;
    assert_snapshot!(app.post("/api/streams?sessionId=s", message).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_event","title":"Invalid event","status":422,"code":"invalid_event","message":"`data.rows` must be a whole number from 1 to 65535, not integer `-1`","retryable":false,"field":"data.rows"}"#);
    assert_eq!(app.tail().await, 0);
    for uri in [URI, "/api/events/agents/coder"] {
        let uri = format!("{uri}?validate=off");
        assert_eq!(app.post(&uri, bad).await.status, 200);
        assert_eq!(app.post(&uri, format!("[{good},{bad}]")).await.status, 200);
        assert_eq!(app.post_as(&uri, "application/x-ndjson", lines.clone()).await.status, 200);
    }
    let uri = "/api/streams?sessionId=s&validate=off";
    assert_eq!(app.post(uri, message).await.status, 200);
    assert_eq!(app.tail().await, 6);
}

#[tokio::test]
async fn validation_is_on_or_off() {
    let app = TestApp::new();
    let event = r#"{"channel":"x"}"#;
    assert_eq!(app.post(&format!("{URI}?validate=on"), event).await.status, 200);
    for value in ["false", "", "OFF", "off&validate=off"] {
        let answer = app.post(&format!("{URI}?validate={value}"), event).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (400, "invalid_parameter"),
            "{value}"
        );
    }
    assert_snapshot!(app.post(&format!("{URI}?validate=no"), event).await.shown(), @r#"400 {"type":"urn:scrollback:problem:invalid_parameter","title":"Invalid parameter","status":400,"code":"invalid_parameter","message":"parameter `validate` is \"no\"; it is on or off","retryable":false,"field":"validate"}"#);
}

#[tokio::test]
async fn an_event_without_channel_gets_the_one_of_its_type() {
    let app = TestApp::new();
    let body = r#"{"id":"a","type":"message.part.updated","properties":{"part":{"id":"p","messageID":"m","type":"text","text":"The"},"delta":"The"}}"#;
    assert_snapshot!(app.post(URI, body).await.shown(), @r#"200 {"ok":true,"offset":1,"id":"a"}"#);
    assert_snapshot!(app.get(URI).await.shown(), @r#"200 {"events":[{"offset":1,"id":"a","channel":"message","type":"message.part.updated","timestamp":1795200000000,"data":{"part":{"id":"p","messageID":"m","type":"text","text":"The"},"delta":"The"}}],"nextOffset":1,"tail":1,"earliest":1,"hasMore":false}"#);
    let message = r#"{"type":"terminal.input","data":{"id":"b","data":"ls\n"}}"#;
    assert_snapshot!(app.post("/api/streams?sessionId=s", message).await.shown(), @r#"200 {"ok":true,"offset":2,"id":"b"}"#);
    assert_snapshot!(app.post(URI, r#"{"type":"server.connected","properties":{}}"#).await.shown(), @r#"422 {"type":"urn:scrollback:problem:invalid_event","title":"Invalid event","status":422,"code":"invalid_event","message":"`channel` is missing; it says what kind of event it is","retryable":false,"field":"channel"}"#);
}
