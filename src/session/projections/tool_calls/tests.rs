//! Given events, then calls.

use serde_json::json;

use super::*;
use crate::session::projections::testing::{fold, text_of};

fn part(state: impl Into<Value>) -> (&'static str, Value) {
    let part = json!({"id": "p", "type": "tool", "tool": "bash", "callID": "c",
        "state": state.into()});
    ("message.part.updated", json!({"messageId": "m", "part": part}))
}

/// Each call as `id status`.
fn short(events: &[(&str, Value)]) -> Vec<String> {
    let calls: ToolCalls = fold(events);
    let line = |call: &Call| {
        format!("{} {}", call.call_id, json!(call.status).as_str().unwrap_or_default())
    };
    calls.list().iter().map(line).collect()
}

#[test]
fn a_call_is_asked_for_runs_and_ends() {
    let calls: ToolCalls = fold(&[
        ("tool.pending", json!({"callId": "c1", "tool": "read", "turnId": "t", "agentId": "a"})),
        ("tool.pending", json!({"callId": "c2", "tool": "bash", "cwd": "/", "status": "odd"})),
        ("tool.running", json!({"callId": "c1", "input": {"path": "x"}, "time": {"start": 1}})),
        ("tool.completed", json!({"callId": "c1", "output": "68 lines", "time": {"end": 2}})),
        ("tool.error", json!({"callId": "c2", "error": "denied"})),
    ]);
    insta::assert_snapshot!(text_of(&calls), @r#"
    {"agentId":"a","callId":"c1","createdAt":1000,"input":{"path":"x"},"offset":1,"output":"68 lines","status":"completed","time":{"end":2,"start":1},"tool":"read","turnId":"t","updatedAt":4000,"updatedOffset":4}
    {"callId":"c2","createdAt":2000,"cwd":"/","error":{"message":"denied"},"offset":2,"status":"error","tool":"bash","updatedAt":5000,"updatedOffset":5}
    "#);
}

#[test]
fn a_part_of_a_message_is_a_call_in_either_form() {
    let flat = json!({"messageId": "m", "partId": "q", "type": "tool", "tool": "ls",
        "state": "error", "input": {"a": 1}, "error": {"message": "no"}, "extra": true});
    let calls: ToolCalls = fold(&[
        part(json!({"status": "pending"})),
        part(json!({"status": "running", "input": {"command": "ls"}, "time": {"start": 1}})),
        (
            "message.part.delta",
            json!({"messageId": "m", "partId": "p", "field": "output", "delta": "a"}),
        ),
        part(json!({"status": "completed", "output": "a b", "title": "list", "time": {"end": 2},
            "metadata": {"exit": 0}})),
        ("message.part.updated", flat),
    ]);
    insta::assert_snapshot!(text_of(&calls), @r#"
    {"callId":"c","createdAt":1000,"input":{"command":"ls"},"messageId":"m","metadata":{"exit":0},"offset":1,"output":"a b","partId":"p","status":"completed","time":{"end":2,"start":1},"title":"list","tool":"bash","updatedAt":4000,"updatedOffset":4}
    {"callId":"q","createdAt":5000,"error":{"message":"no"},"extra":true,"input":{"a":1},"messageId":"m","offset":5,"partId":"q","status":"error","tool":"ls","updatedAt":5000,"updatedOffset":5}
    "#);
}

#[test]
fn a_call_that_is_said_in_both_ways_is_one_call() {
    let both = [
        ("tool.pending", json!({"callId": "c", "tool": "bash", "messageId": "m"})),
        part("running"),
        ("tool.completed", json!({"callId": "c", "messageId": "elsewhere", "output": "x"})),
    ];
    assert_eq!(short(&both), ["c completed"]);
    let calls: ToolCalls = fold(&both);
    assert_eq!(calls.list().last().unwrap().message_id, Id::new("m"));
}

#[test]
fn a_call_goes_with_its_part_and_with_its_message() {
    let own = ("tool.running", json!({"callId": "own", "tool": "x", "messageId": "m"}));
    let begun = [own, part("running")];
    assert_eq!(short(&begun), ["own running", "c running"]);
    let text = json!({"messageId": "m", "part": {"id": "p", "type": "text", "text": "x"}});
    let all = json!({"messageId": "m", "parts": [{"id": "z", "type": "text", "text": "x"}]});
    for end in [
        ("message.part.removed", json!({"messageId": "m", "partId": "p"})),
        ("message.part.updated", text),
        ("message.completed", all),
        ("message.removed", json!({"messageId": "m"})),
    ] {
        assert_eq!(short(&[&begun[..], &[end]].concat()), ["own running"]);
    }
}

#[test]
fn a_part_whose_call_gets_its_name_later_is_still_one_call() {
    let nameless = json!({"messageId": "m", "part": {"id": "p", "type": "tool", "tool": "bash",
        "state": "pending"}});
    assert_eq!(short(&[("message.part.updated", nameless), part("running")]), ["c running"]);
}

#[test]
fn the_parts_of_a_complete_message_are_its_calls() {
    let parts = json!({"messageId": "m", "parts": [
        {"id": "p", "type": "tool", "tool": "bash", "callId": "c", "state": "completed"},
        {"id": "q", "type": "tool", "tool": "bash", "state": "error", "error": "x"},
    ]});
    assert_eq!(short(&[part("running"), ("message.completed", parts)]), ["c completed", "q error"]);
}
