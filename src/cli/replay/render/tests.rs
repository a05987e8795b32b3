//! The layout of a session, from events as they come.

use serde_json::{Value, json};

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "data is written where it is used")]
fn event(offset: u64, ms: u64, kind: &str, data: Value) -> Event {
    let channel = kind.split('.').next().unwrap();
    let json = json!({
        "offset": offset, "id": format!("e{offset}"), "channel": channel, "type": kind,
        "timestamp": 1_795_165_200_000 + ms, "data": data, "actor": {"kind": "agent", "id": "coder"},
    });
    Event::read(json.to_string()).unwrap()
}

fn shown(events: &[Event]) -> String {
    let mut renderer = Renderer::new(Paint::new(false), Speech::default());
    let mut out: String = events.iter().map(|event| renderer.show(event)).collect();
    out.push_str(&renderer.end());
    out
}

fn delta(offset: u64, text: &str) -> Event {
    let data = json!({"messageId": "m", "partId": "p", "delta": text});
    event(offset, offset * 10, "message.part.delta", data)
}

#[test]
fn text_streams_in_and_comes_once_though_it_is_said_again() {
    let part = |offset, text: &str| {
        let part = json!({"id": "p", "type": "text", "text": text});
        event(offset, 100, "message.part.updated", json!({"messageId": "m", "part": part}))
    };
    let events = [
        event(
            1,
            0,
            "message.created",
            json!({"messageId": "m", "role": "assistant", "agentId": "guide"}),
        ),
        delta(2, "The fern"),
        delta(3, " house\nopens"),
        event(4, 45, "presence.heartbeat", json!({"userId": "u"})),
        delta(5, " at nine."),
        part(6, "The fern house\nopens at nine."),
        part(7, "The fern house\nopens at nine. Or ten."),
        part(8, "Closed."),
        event(
            9,
            120,
            "message.completed",
            json!({"messageId": "m", "finish": "stop", "content": "Closed."}),
        ),
    ];
    insta::assert_snapshot!(shown(&events), @r#"
    1    +00:00.000  guide         message m begins
    2    +00:00.020  guide         The fern house
    3    +00:00.030  guide         opens
    4    +00:00.045  presence      presence.heartbeat userId="u"
    5    +00:00.050  guide          at nine. Or ten.
    8    +00:00.100  guide         the whole text is now:
    8    +00:00.100  guide         Closed.
    9    +00:00.120  guide         message m completed finish="stop"
    "#);
}

#[test]
fn what_an_agent_thinks_is_told_apart_from_what_it_says() {
    let thought = json!({"id": "p", "type": "reasoning", "text": ""});
    let more = json!({"messageId": "m", "partId": "q", "delta": "At nine."});
    let events = [
        event(1, 0, "message.part.updated", json!({"messageId": "m", "part": thought})),
        delta(2, "When does"),
        delta(3, " it open?"),
        event(4, 40, "message.part.delta", more),
        event(5, 50, "message.completed", json!({"messageId": "m", "content": "At nine."})),
    ];
    insta::assert_snapshot!(shown(&events), @r#"
    2    +00:00.020  coder thinks  When does it open?
    4    +00:00.040  coder         At nine.
    5    +00:00.050  coder         message m completed
    "#);
}

#[test]
fn terminal_output_keeps_its_lines_and_moves_no_cursor() {
    let output = |offset, data: &str| {
        event(offset, 0, "terminal.output", json!({"terminalId": "t1", "data": data}))
    };
    let events = [
        output(1, "\u{1b}[1;32m$ cargo test\u{1b}[0m\r\n40 %\r"),
        output(2, "done\u{1b}[2J\u{1b}]0;title\u{7}\n"),
        output(3, "\u{1b}[38:5:1mred\u{1b}[m, cut \u{1b}["),
    ];
    let text = shown(&events);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    insta::assert_snapshot!(text, @r#"
    1    +00:00.000  t1            $ cargo test
    1    +00:00.000  t1            40 %\rdone\x1b[2J\x1b]0;title\x07
    3    +00:00.000  t1            red, cut \x1b[
    "#);
}

#[test]
fn an_event_that_nobody_knows_is_shown_with_its_type_and_data() {
    let events = [
        event(1, 0, "reaction.added", json!({"emoji": "👀", "by": null})),
        event(2, 70_000, "server.note", json!("a\u{1b}[31mb")),
        event(3, 70_000, "message.part.delta", json!({"delta": 7})),
        event(4, 7_270_000, "turn.failed", json!({"turnId": "t", "error": "lost\u{9b}2J"})),
    ];
    insta::assert_snapshot!(shown(&events), @r#"
    1    +00:00.000  reaction      reaction.added emoji="👀"
                  …  1 min 10 s
    2    +01:10.000  server        server.note "a\u001b[31mb"
    3    +01:10.000  message       message.part.delta delta=7
                  …  2 h 0 min
    4  +2:01:10.000  turn          ── t failed: lost\u{9b}2J
    "#);
}

#[test]
fn calls_questions_and_lists_are_a_line_each() {
    let call = |offset, kind: &str, more: Value| {
        let mut data = json!({"callId": "c", "tool": "read", "messageId": "m"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event(offset, 0, kind, data)
    };
    let state = json!({"status": "error", "error": "no such file"});
    let part = json!({"id": "p", "type": "tool", "tool": "write", "state": state});
    let todo = |text: &str, status: &str| json!({"id": text, "text": text, "status": status});
    let events = [
        call(1, "tool.running", json!({"input": {"path": "a\nb"}})),
        call(2, "tool.completed", json!({"output": "x".repeat(300)})),
        event(3, 0, "message.part.updated", json!({"messageId": "m", "part": part})),
        event(
            4,
            0,
            "permission.asked",
            json!({"permissionId": "q", "permission": "read", "patterns": ["a/*", "b"]}),
        ),
        event(5, 0, "permission.replied", json!({"permissionId": "q", "reply": "once", "by": "u"})),
        event(
            6,
            0,
            "todo.updated",
            json!({"todos": [todo("a", "completed"), todo("b", "in_progress")]}),
        ),
        event(
            7,
            0,
            "diff.updated",
            json!({"files": [{"path": "a", "additions": 2, "deletions": 1}]}),
        ),
        event(8, 0, "terminal.input", json!({"data": "ls\n", "userId": "u"})),
        event(
            9,
            0,
            "turn.started",
            json!({"turnId": "t", "agentId": "guide", "userMessageId": "m"}),
        ),
    ];
    insta::assert_snapshot!(shown(&events), @r#"
    1    +00:00.000  tool          read running {"path":"a\nb"}
    2    +00:00.000  tool          read completed "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
    3    +00:00.000  tool          write failed no such file
    4    +00:00.000  permission    q asked: read on a/*, b
    5    +00:00.000  permission    q answered: once by u
    6    +00:00.000  todo          1 of 2 done, now: b
    7    +00:00.000  diff          1 files, +2 -1
    8    +00:00.000  terminal      u types "ls\n"
    9    +00:00.000  turn          ── t started by guide answers m
    "#);
}

#[test]
fn what_a_state_has_is_known_before_the_first_event() {
    let mut speech = Speech::default();
    speech.know(&[json!({
        "id": "m", "role": "assistant", "agentId": "guide",
        "parts": [{"id": "p", "type": "text", "text": "The fern"}],
    })]);
    let mut renderer = Renderer::new(Paint::new(false), speech);
    renderer.show(&delta(10, " house"));
    let whole = json!({"messageId": "m", "content": "The fern house opens."});
    let text = renderer.show(&event(11, 200, "message.completed", whole));
    assert!(text.contains("guide") && text.contains(" opens.") && !text.contains("fern"), "{text}");
}

#[test]
fn colours_surround_text_and_are_ended() {
    let mut renderer = Renderer::new(Paint::new(true), Speech::default());
    let failed = event(1, 0, "turn.failed", json!({"turnId": "t", "error": "lost"}));
    let text = renderer.show(&failed);
    assert_eq!(text.matches("\u{1b}[0m").count() * 2, text.matches('\u{1b}').count(), "{text:?}");
}

#[test]
fn times_are_told_from_the_beginning() {
    assert_eq!(after_text(1_000, 1_000), "+00:00.000");
    assert_eq!(after_text(0, 62_345), "+01:02.345");
    assert_eq!(after_text(0, 36_062_345), "+10:01:02.345");
    assert_eq!(after_text(500, 0), "-00:00.500");
    assert_eq!([span_text(5), span_text(125), span_text(7_322)], ["5 s", "2 min 5 s", "2 h 2 min"]);
}
