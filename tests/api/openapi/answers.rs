//! The examples of answers, `fixtures/openapi/answers.json`, are what the server answers to the
//! examples of requests; and `docs/openapi.json` is the document that it sends. Both are written by
//! `make openapi`, so that a change of the interface is seen where it is reviewed.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::{Map, Value, json};

use super::{
    asking::{answers, events, good_statuses},
    document, operations,
};
use crate::util::Answer;

/// What the server makes up anew each time, and what is shown in its place.
const MADE_UP: &[(&str, &str)] = &[
    ("epoch", "0c4d04762284a8d4"),
    ("id", "tok_5ab02150dce1"),
    ("kid", "ds_example-example-example-example-example-exa"),
    ("secret", "sb_example-example-example-example-example-example-e"),
    ("token", "1.example-example-example-example-example-exa"),
    ("wake_id", "w_aa1f886277bed4498d14a92bdb65228c"),
    ("x", "example-example-example-example-example-exa"),
];
/// How long the server of an example has been up: that of a test has no beginning.
const UPTIME_MS: u64 = 5_025_000;
/// Of a text that is long, so many lines are shown.
const LINES_SHOWN: usize = 12;
/// No line of what is kept is longer, but for long texts.
const WIDTH: usize = 120;
/// What has no example: the bytes of a backup.
const NOT_SHOWN: &str = "backup";

/// By operation, status, media type and name.
type Examples = BTreeMap<String, BTreeMap<String, BTreeMap<String, Map<String, Value>>>>;

/// The file at this path of the tree; it is written first where that is asked for.
fn kept(path: &str, made: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("SCROLLBACK_BLESS").is_some() {
        fs::write(&path, made).unwrap();
    }
    fs::read_to_string(path).unwrap()
}

/// For people who look at what has changed: each value on a line of its own, unless it is short.
fn pretty(value: &Value, indent: usize) -> String {
    let flat = value.to_string();
    if indent + flat.len() <= WIDTH {
        return flat;
    }
    let (between, inner) = (format!(",\n{:indent$} ", ""), indent + 1);
    let lines: Vec<_> = match value {
        Value::Object(fields) => {
            let line = |(name, field)| format!("{}: {}", json!(name), pretty(field, inner));
            fields.iter().map(line).collect()
        }
        Value::Array(items) => items.iter().map(|item| pretty(item, inner)).collect(),
        _ => return flat,
    };
    let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
    format!("{open}\n{:indent$} {}\n{:indent$}{close}", "", lines.join(&between), "")
}

/// An answer as examples: their names and what they show.
fn shown(id: &str, kind: &str, name: &str, answer: &Answer) -> Vec<(String, Value)> {
    if kind == "text/event-stream" {
        let named =
            |event: Value| (event["event"].as_str().unwrap_or("event").to_owned(), settled(event));
        return events(answer).into_iter().filter(|event| *event != json!({})).map(named).collect();
    }
    let value = match id {
        "openapi" => json!({ "openapi": answer.json()["openapi"], "info": answer.json()["info"] }),
        "metrics" => answer.text().lines().take(LINES_SHOWN).collect::<Vec<_>>().join("\n").into(),
        _ if kind.ends_with("json") => settled(answer.json()),
        _ => answer.text().into(),
    };
    vec![(name.to_owned(), value)]
}

/// The value with the same in it each time. What is made up has the length of what is shown.
fn settled(mut value: Value) -> Value {
    for (name, field) in value.as_object_mut().into_iter().flatten() {
        let made_up = MADE_UP.iter().find(|(known, _)| known == name);
        match (made_up, &mut *field) {
            (Some((name, shown)), Value::String(text))
                if *name != "id" || text.starts_with("tok_") =>
            {
                assert_eq!(text.len(), shown.len(), "{name} {text}");
                (*shown).clone_into(text);
            }
            // The data of a server-sent event.
            (_, Value::String(text)) if name == "data" => {
                let data = text
                    .strip_prefix('{')
                    .and_then(|_| serde_json::from_str::<Map<_, _>>(text).ok());
                if let Some(epoch) = data.as_ref().and_then(|data| data.get("epoch")?.as_str()) {
                    *text = text.replace(epoch, MADE_UP[0].1);
                }
            }
            (_, uptime @ Value::Number(_)) if name == "uptimeMs" => *uptime = UPTIME_MS.into(),
            (_, field) => *field = settled(field.take()),
        }
    }
    for item in value.as_array_mut().into_iter().flatten() {
        *item = settled(item.take());
    }
    value
}

/// What the server answers now.
async fn live(document: &Value) -> Examples {
    let mut examples = Examples::new();
    for (path, method, operation) in operations(document) {
        let id = operation["operationId"].as_str().unwrap();
        for (name, answer) in answers(path, method, operation).await {
            let status = answer.status.as_u16().to_string();
            if !good_statuses(operation).contains(&&*status) || id == NOT_SHOWN {
                continue;
            }
            let kind = answer.headers["content-type"].to_str().unwrap().split(';').next().unwrap();
            let known = operation["responses"][&status]["content"].get(kind);
            let statuses = examples.entry(id.to_owned()).or_default();
            let kinds = statuses.entry(status).or_default();
            let names = kinds.entry(known.map_or("*/*", |_| kind).to_owned()).or_default();
            for (name, value) in shown(id, kind, &name, &answer) {
                names.entry(name).or_insert(value);
            }
        }
    }
    // Nobody is called by a server of these tests. Who has claimed is answered in the same way.
    examples.insert("callback".to_owned(), examples["ack"].clone());
    examples
}

#[tokio::test]
async fn the_examples_of_answers_are_what_the_server_answers() {
    let document = document().await;
    let made = pretty(&serde_json::to_value(live(&document).await).unwrap(), 0) + "\n";
    let kept = kept("fixtures/openapi/answers.json", &made);
    assert!(made == kept, "answers are not those of fixtures/openapi/answers.json: make openapi");
    let kept: Examples = serde_json::from_str(&kept).unwrap();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        for status in good_statuses(operation).into_iter().filter(|_| id != NOT_SHOWN) {
            let said = operation["responses"][status]["content"].as_object().unwrap();
            for kind in said.keys() {
                let has_one = kept.get(id).and_then(|kept| kept.get(status)?.get(kind));
                assert!(has_one.is_some(), "{method} {path} {status} {kind} has no example");
            }
        }
    }
}

#[tokio::test]
async fn the_document_in_the_tree_is_the_one_that_is_sent() {
    let document = document().await;
    let kept = kept("docs/openapi.json", &(pretty(&document, 0) + "\n"));
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert!(kept == document, "docs/openapi.json is not what the server sends: make openapi");
}

#[tokio::test]
async fn every_example_of_an_answer_is_of_its_schema() {
    let (document, mut checked) = (document().await, 0);
    for (path, method, operation) in operations(&document) {
        for status in good_statuses(operation) {
            for content in operation["responses"][status]["content"].as_object().unwrap().values() {
                let schema =
                    json!({ "components": document["components"], "allOf": [content["schema"]] });
                let schema = jsonschema::draft202012::new(&schema).unwrap();
                for (name, example) in content["examples"].as_object().into_iter().flatten() {
                    let errors = schema.iter_errors(&example["value"]);
                    let wrong: Vec<_> = errors.map(|error| error.to_string()).collect();
                    assert!(wrong.is_empty(), "{method} {path} {status} {name}: {wrong:?}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 60, "only {checked} examples");
}
