//! `GET /api/sessions/{id}/state`, `…/state/diff`, `…/blame`.

use std::{fmt::Write as _, fs, path::PathBuf};

use insta::assert_snapshot;
use scrollback::limits;
use serde_json::{Value, json};

use crate::util::TestApp;

/// The sample sessions, and the offsets whose states are kept beside them.
pub(crate) const SAMPLES: [(&str, [u64; 5]); 4] = [
    ("coding-agent", [60, 300, 950, 1_224, 1_357]),
    ("team-chat", [40, 250, 500, 800, 1_072]),
    ("terminal", [20, 100, 300, 600, 1_059]),
    ("worker-chat", [28, 38, 50, 70, 96]),
];

/// The events of a sample session.
pub(crate) fn lines_of(name: &str) -> Vec<String> {
    fixture(&format!("sessions/{name}.ndjson")).lines().map(str::to_owned).collect()
}

fn fixture(path: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join("fixtures").join(path)).unwrap()
}

impl TestApp {
    /// Posts a sample session under its own name.
    pub(crate) async fn sample(&self, name: &str) {
        let events = fixture(&format!("sessions/{name}.ndjson"));
        let uri = format!("/api/sessions/{name}/events");
        let answer = self.post_as(&uri, "application/x-ndjson", events).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub(crate) async fn state_at(&self, session: &str, offset: u64) -> Value {
        let answer = self.get(&format!("/api/sessions/{session}/state?at={offset}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.headers["scrollback-offset"], offset.to_string());
        let mut body = answer.json();
        assert_eq!(body["offset"], offset);
        body["projections"].take()
    }

    async fn append(&self, kind: &str, data: &Value) {
        let body = json!({"type": kind, "data": data, "actor": {"kind": "user", "id": "u1"}});
        let answer = self.post("/api/sessions/s/events", body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    async fn todo(&self, text: &str) {
        let todos = json!([{"id": "1", "text": text, "status": "pending"}]);
        self.append("todo.updated", &json!({"todos": todos})).await;
    }

    async fn blame(&self, session: &str, query: &str) -> Value {
        let answer = self.get(&format!("/api/sessions/{session}/blame?{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

/// A projection as the states beside the samples have it: one line for each item.
fn text_of(state: &Value) -> String {
    match state {
        Value::Array(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name}: {value}");
            fields.iter().map(field).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

#[tokio::test]
async fn the_samples_have_their_states_at_every_offset_that_is_kept() {
    let app = TestApp::new();
    for (name, offsets) in SAMPLES {
        app.sample(name).await;
        for offset in offsets {
            let states = app.state_at(name, offset).await;
            let kept = fixture(&format!("states/{name}@{offset}.snap"));
            let (_, kept) = kept.split_once("\n---\n").unwrap();
            let sections = kept.split("\n# ").map(|section| section.trim_start_matches("# "));
            let mut count = 0;
            for section in sections {
                let (projection, text) = section.split_once('\n').unwrap();
                assert_eq!(text_of(&states[projection]).trim(), text.trim(), "{name}@{offset}");
                count += 1;
            }
            assert_eq!(count, states.as_object().unwrap().len());
        }
        let now = app.get(&format!("/api/sessions/{name}/state")).await.json();
        assert_eq!(now["projections"], app.state_at(name, offsets[4]).await);
        assert_eq!(now["offset"], offsets[4]);
    }
}

#[tokio::test]
async fn a_state_may_be_asked_for_in_part() {
    let app = TestApp::new();
    app.todo("write").await;
    let uri = "/api/sessions/s/state";
    assert_snapshot!(app.get(&format!("{uri}?projections=todo,presence")).await.shown(), @r#"200 {"offset":1,"projections":{"presence":[],"todo":{"todos":[{"id":"1","text":"write","status":"pending"}],"updatedAt":1795200000000,"updatedOffset":1}}}"#);
    assert_snapshot!(app.get(&format!("{uri}?at=0&projections=todo")).await.shown(), @r#"200 {"offset":0,"projections":{"todo":{"todos":[],"updatedAt":0,"updatedOffset":0}}}"#);
    assert_snapshot!(app.get(&format!("{uri}?projections=todo,todos")).await.shown(), @r#"400 {"type":"urn:scrollback:problem:invalid_parameter","title":"Invalid parameter","status":400,"code":"invalid_parameter","message":"parameter `projections` names \"todos\"; there are session, turn, queue, permissions, messages, toolCalls, chunks, presence, terminal, agents, todo, diff, config, app","retryable":false,"field":"projections"}"#);
}

#[tokio::test]
async fn a_state_that_is_not_to_be_had_says_why() {
    let app = TestApp::new();
    assert_eq!(app.get("/api/sessions/s/state").await.code(), "stream_not_found");
    app.todo("old").await;
    app.todo("older").await;
    let beyond = app.get("/api/sessions/s/state?at=3").await;
    assert_eq!((beyond.status.as_u16(), &*beyond.code()), (416, "offset_beyond_tail"));
    assert_eq!(beyond.json()["tail"], 2);
    app.clock.advance(limits::RETENTION_DEFAULT);
    app.todo("new").await;
    app.pass(std::time::Duration::from_secs(1)).await;
    let gone = app.get("/api/sessions/s/state?at=1").await;
    assert_eq!((gone.status.as_u16(), &*gone.code()), (410, "offset_trimmed"));
    assert_eq!(app.get("/api/sessions/s/state?at=x").await.code(), "invalid_parameter");
    app.put("/api/streams/sessions/text", r#"{"contentType":"text/plain"}"#).await;
    assert_eq!(app.get("/api/sessions/text/state").await.code(), "content_type_mismatch");
}

#[tokio::test]
async fn what_changed_between_two_offsets_is_a_patch() {
    let app = TestApp::new();
    app.todo("write").await;
    app.todo("read").await;
    let uri = "/api/sessions/s/state/diff";
    assert_snapshot!(app.get(&format!("{uri}?from=1&to=2&projections=todo")).await.shown(), @r#"200 {"from":1,"to":2,"patch":[{"op":"replace","path":"/todo/todos/0/text","value":"read"},{"op":"replace","path":"/todo/updatedOffset","value":2}]}"#);
    assert_snapshot!(app.get(&format!("{uri}?from=2&to=2")).await.shown(), @r#"200 {"from":2,"to":2,"patch":[]}"#);
    assert_snapshot!(app.get(&format!("{uri}?from=2")).await.shown(), @r#"400 {"type":"urn:scrollback:problem:invalid_parameter","title":"Invalid parameter","status":400,"code":"invalid_parameter","message":"parameter `to` is missing","retryable":false,"field":"to"}"#);
    assert_eq!(app.get(&format!("{uri}?from=1&to=3")).await.code(), "offset_beyond_tail");
}

#[tokio::test]
async fn a_patch_makes_the_one_state_out_of_the_other() {
    let app = TestApp::new();
    let mut seed = 7_u64;
    for (name, offsets) in SAMPLES {
        app.sample(name).await;
        for _ in 0..6 {
            let mut random = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 33) % (offsets[4] + 1)
            };
            let (from, to) = (random(), random());
            let mut state = app.state_at(name, from).await;
            let uri = format!("/api/sessions/{name}/state/diff?from={from}&to={to}");
            let answer = app.get(&uri).await.json();
            assert_eq!((&answer["from"], &answer["to"]), (&json!(from), &json!(to)));
            let patch: json_patch::Patch = serde_json::from_value(answer["patch"].clone()).unwrap();
            json_patch::patch(&mut state, &patch).unwrap();
            assert_eq!(state, app.state_at(name, to).await, "{name} {from} {to}");
        }
    }
}

#[tokio::test]
async fn a_value_leads_to_the_event_that_set_it() {
    let app = TestApp::new();
    for text in ["write", "read", "write", "write"] {
        app.todo(text).await;
    }
    let uri = "/api/sessions/s/blame?pointer=";
    assert_snapshot!(app.get(&format!("{uri}/todo/todos/0/text")).await.shown(), @r#"200 {"at":4,"pointer":"/todo/todos/0/text","value":"write","offset":3,"id":"01M7X448000000000000000002","type":"todo.updated","timestamp":1795200000000,"actor":{"id":"u1","kind":"user"},"scannedFrom":0,"cut":false}"#);
    assert_eq!(app.blame("s", "pointer=/todo/todos/0/text&at=2").await["offset"], 2);
    assert_eq!(app.blame("s", "pointer=/todo/todos/0/id").await["offset"], 1);
    assert_snapshot!(app.get(&format!("{uri}/todo/todos/1")).await.shown(), @r#"404 {"type":"urn:scrollback:problem:not_in_state","title":"Not in the state","status":404,"code":"not_in_state","message":"there is nothing at /todo/todos/1 at offset 4","retryable":false}"#);
    assert_eq!(app.get(&format!("{uri}/nothing")).await.code(), "not_in_state");
    assert_snapshot!(app.get(&format!("{uri}todo")).await.shown(), @r#"400 {"type":"urn:scrollback:problem:invalid_parameter","title":"Invalid parameter","status":400,"code":"invalid_parameter","message":"parameter `pointer` is \"todo\"; it is a JSON pointer such as /messages/0/state","retryable":false,"field":"pointer"}"#);
    assert_eq!(app.get("/api/sessions/s/blame").await.code(), "invalid_parameter");
    assert_eq!(app.get(&format!("{uri}/todo&at=9")).await.code(), "offset_beyond_tail");
}

#[tokio::test]
async fn where_the_event_is_no_longer_looked_at_the_answer_says_so() {
    let app = TestApp::new();
    app.todo("write").await;
    app.todo("read").await;
    app.clock.advance(limits::RETENTION_DEFAULT);
    app.append("presence.joined", &json!({"userId": "ann"})).await;
    app.append("presence.left", &json!({"userId": "ann"})).await;
    app.get("/api/sessions/s/state").await;
    app.pass(std::time::Duration::from_secs(1)).await;
    let answer = app.blame("s", "pointer=/todo/todos/0/text").await;
    assert_eq!((&answer["cut"], &answer["offset"]), (&json!(true), &json!(null)), "{answer}");
    assert_eq!(answer["scannedFrom"], 4);
    app.append("presence.joined", &json!({"userId": "bob"})).await;
    assert_eq!(app.blame("s", "pointer=/presence").await["offset"], 5);
}

#[tokio::test]
async fn a_session_of_which_nothing_is_kept_has_the_state_of_its_tail_only() {
    let app = TestApp::new();
    app.todo("write").await;
    app.todo("read").await;
    app.pass(limits::RETENTION_DEFAULT + std::time::Duration::from_secs(1)).await;
    let now = app.get("/api/sessions/s/state").await.json();
    assert_eq!((&now["offset"], &now["projections"]), (&json!(2), &app.state_at("s", 2).await));
    assert_eq!(app.get("/api/sessions/s/state?at=1").await.code(), "offset_trimmed");
    assert_eq!(app.blame("s", "pointer=/todo/todos").await["cut"], true);
}

/// Every place of a value, and what stands there.
fn places<'a>(value: &'a Value, pointer: String, into: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, format!("{pointer}/{index}"), into);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(item, format!("{pointer}/{name}"), into);
            }
        }
        _ => {}
    }
    into.push((pointer, value));
}

#[tokio::test]
async fn blame_agrees_with_a_look_at_every_state() {
    let app = TestApp::new();
    app.sample("worker-chat").await;
    let mut states = Vec::new();
    for offset in 0..=96 {
        states.push(app.state_at("worker-chat", offset).await);
    }
    for at in [50_usize, 96] {
        let mut all = Vec::new();
        places(&states[at], String::new(), &mut all);
        all.retain(|(pointer, _)| !pointer.is_empty());
        assert!(all.len() > 200, "{}", all.len());
        for (pointer, value) in all.iter().step_by(5) {
            let mut set = 0;
            for offset in 1..=at {
                let is = |offset: usize| states[offset].pointer(pointer) == Some(value);
                if is(offset) && !is(offset - 1) {
                    set = offset;
                }
            }
            let query = format!("at={at}&pointer={}", escaped(pointer));
            let answer = app.blame("worker-chat", &query).await;
            assert_eq!(answer["value"], **value, "{pointer}");
            // What is there from the beginning was set by no event.
            let set = (set > 0).then_some(set);
            assert_eq!(answer["offset"], json!(set), "{pointer}");
            assert_eq!(answer["cut"], false);
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        write!(out, "%{byte:02X}").unwrap();
    }
    out
}

#[tokio::test]
async fn the_documentation_shows_these_answers() {
    let app = TestApp::new();
    let message = r#"{"channel":"message","data":{"text":"hello"}}"#;
    app.post("/api/streams?sessionId=demo", message).await;
    app.clock.advance(std::time::Duration::from_millis(4_188));
    let events = json!([
        {"id": "todo-1", "channel": "todo", "type": "todo.added", "data": {"text": "write the docs"}},
        {"id": "todo-2", "channel": "todo", "data": {"text": "rest"}},
        {"channel": "terminal", "data": "one"},
        {"channel": "terminal", "data": "two"},
        {"channel": "terminal", "data": "three"},
    ]);
    app.post("/api/sessions/demo/events", events.to_string()).await;
    let document = include_str!("../../docs/http-api.md");
    for uri in [
        "/api/sessions/demo/state?projections=presence,todo",
        "/api/sessions/demo/state/diff?from=0&to=6&projections=session",
        "/api/sessions/demo/blame?pointer=/session/exists",
        "/api/chat/demo/messages?limit=400",
    ] {
        let answer = app.get(uri).await.text();
        assert!(document.contains(&format!("$S{uri}\"\n```\n\n```json\n{answer}\n")), "{answer}");
    }
}

#[tokio::test]
async fn the_end_of_time_is_a_time_too() {
    let app = TestApp::new();
    app.fill(2).await;
    let now = app.get("/api/sessions/s/state").await.text();
    let end = format!("/api/sessions/s/state?atTime={}", u64::MAX);
    assert_eq!(app.get(&end).await.text(), now);
}
