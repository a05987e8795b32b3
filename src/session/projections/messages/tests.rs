//! Given events, then messages.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::session::projections::testing::{fold, record, text_of, with_event};

fn messages(events: &[(&str, Value)]) -> Messages {
    fold(events)
}

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

/// Each message as `id state "text"`.
fn short(messages: &Messages) -> Vec<String> {
    let line = |message: &Message| {
        let state = json!(message.state);
        format!("{} {} {:?}", message.id, state.as_str().unwrap(), message.text())
    };
    messages.list().iter().map(line).collect()
}

#[test]
fn a_conversation_with_deltas_is_as_users_see_it() {
    let state = messages(&[
        (
            "message.created",
            json!({"messageId": "q", "role": "user", "userId": "u", "content": "hi"}),
        ),
        ("turn.started", json!({"turnId": "t", "userMessageId": "q", "messageId": "a"})),
        (
            "message.created",
            json!({"info": {"id": "a", "role": "assistant", "agentId": "coder", "mode": "build",
                "time": {"created": 5}}}),
        ),
        (
            "message.part.updated",
            json!({"messageId": "a", "partId": "p1", "type": "reasoning", "text": ""}),
        ),
        ("message.part.delta", json!({"messageId": "a", "partId": "p1", "delta": "hm"})),
        ("message.part.delta", json!({"messageId": "a", "partId": "p2", "delta": "Hel"})),
        ("message.part.delta", json!({"messageId": "a", "partId": "p2", "delta": "lo"})),
        (
            "message.completed",
            json!({"messageId": "a", "finish": "stop", "cost": 0.5, "time": {"completed": 9}}),
        ),
        ("turn.completed", json!({"turnId": "t", "messageId": "a"})),
    ]);
    insta::assert_snapshot!(text_of(&state), @r#"
    {"createdAt":1000,"id":"q","offset":1,"parts":[{"id":"text","text":"hi","type":"text"}],"role":"user","state":"completed","turnId":"t","updatedAt":2000,"updatedOffset":2,"userId":"u"}
    {"agentId":"coder","cost":0.5,"createdAt":5,"finish":"stop","id":"a","mode":"build","offset":2,"parentId":"q","parts":[{"id":"p1","text":"hm","type":"reasoning"},{"id":"p2","text":"Hello","type":"text"}],"role":"assistant","state":"completed","time":{"completed":9,"created":5},"turnId":"t","updatedAt":9000,"updatedOffset":9}
    "#);
}

#[test]
fn a_delta_without_its_part_or_its_message_begins_them() {
    let state = messages(&[
        ("message.part.delta", json!({"messageId": "m", "partId": "p", "delta": "a"})),
        (
            "message.part.delta",
            json!({"messageId": "m", "partId": "r", "field": "reasoning", "delta": "b"}),
        ),
        ("message.part.delta", json!({"messageId": "m", "partId": "p", "delta": "c"})),
    ]);
    insta::assert_snapshot!(text_of(&state), @r#"{"createdAt":1000,"id":"m","offset":1,"parts":[{"id":"p","text":"ac","type":"text"},{"id":"r","text":"b","type":"reasoning"}],"role":"assistant","state":"streaming","updatedAt":3000,"updatedOffset":3}"#);
}

#[test]
fn parts_keep_their_order_when_they_change_and_go_when_they_are_removed() {
    let part = |id: &str, text: &str| json!({"messageId": "m", "part": {"id": id, "type": "text", "text": text}});
    let state = messages(&[
        ("message.part.updated", part("1", "a")),
        ("message.part.updated", part("2", "b")),
        ("message.part.updated", part("3", "c")),
        ("message.part.updated", part("1", "A")),
        ("message.part.removed", json!({"messageId": "m", "partId": "2"})),
        ("message.part.removed", json!({"messageId": "m", "partId": "2"})),
        ("message.part.removed", json!({"messageId": "nobody", "partId": "2"})),
    ]);
    assert_eq!(short(&state), [r#"m streaming "Ac""#]);
}

#[test]
fn an_update_with_a_delta_is_the_whole_text_or_grows_what_there_was() {
    let update = |text: Value| {
        let part = json!({"id": "p", "messageID": "m", "type": "text", "text": text});
        ("message.part.updated", json!({"part": part, "delta": "lo"}))
    };
    let first = ("message.part.delta", json!({"messageId": "m", "partId": "p", "delta": "hel"}));
    let bare = json!({"part": {"id": "p", "messageID": "m", "type": "text"}, "delta": "lo"});
    for events in [
        [first.clone(), update(json!("hello"))],
        [first.clone(), update(json!(""))],
        [first, ("message.part.updated", bare)],
    ] {
        assert_eq!(short(&messages(&events)), [r#"m streaming "hello""#]);
    }
}

#[test]
fn the_output_of_a_tool_grows_where_its_state_is() {
    for tool_state in [json!("running"), json!({"status": "running"})] {
        let delta = json!({"messageId": "m", "partId": "p", "field": "output", "delta": "x"});
        let part = json!({"id": "p", "type": "tool", "tool": "bash", "state": tool_state});
        let state = messages(&[
            ("message.part.updated", json!({"messageId": "m", "part": part})),
            ("message.part.delta", delta.clone()),
            ("message.part.delta", delta),
        ]);
        let part = serde_json::to_value(state.list().last().unwrap().parts.last()).unwrap();
        let output = part.pointer("/state/output").or(part.pointer("/output"));
        assert_eq!(output, Some(&json!("xx")));
    }
}

#[test]
fn chunks_of_an_agent_and_a_turn_are_one_answer() {
    let chunk = |agent: &str, turn: &str, text: &str| {
        ("chunk.appended", json!({"agentId": agent, "turnId": turn, "text": text}))
    };
    let state = messages(&[
        chunk("a", "t1", "Hel"),
        chunk("b", "t1", "other"),
        chunk("a", "t1", "lo"),
        chunk("a", "t2", "next"),
        ("turn.completed", json!({"turnId": "t1"})),
        chunk("a", "t1", " too late"),
    ]);
    assert_eq!(
        short(&state),
        [
            r#"event-1 completed "Hello""#,
            r#"event-2 completed "other""#,
            r#"event-4 streaming "next""#,
        ]
    );
}

#[test]
fn chunks_find_the_placeholder_of_their_turn_and_of_their_agent() {
    let state = messages(&[
        ("turn.started", json!({"turnId": "t", "messageId": "m"})),
        ("chunk.appended", json!({"agentId": "a", "turnId": "t", "text": "x"})),
        ("chunk.appended", json!({"turnId": "t", "text": "y"})),
        ("chunk.appended", json!({"agentId": "a", "text": "z"})),
        ("chunk.appended", json!({"agentId": "b", "turnId": "t", "text": "another"})),
        ("message.completed", json!({"messageId": "m"})),
        ("chunk.appended", json!({"agentId": "a", "text": "a new answer"})),
    ]);
    assert_eq!(
        short(&state),
        [
            r#"m completed "xyz""#,
            r#"event-5 streaming "another""#,
            r#"event-7 streaming "a new answer""#,
        ]
    );
}

#[test]
fn turns_without_ids_go_by_their_number() {
    let chunk = |turn: u64, text: &str| {
        ("chunk.appended", json!({"agentId": "a", "turn": turn, "text": text}))
    };
    let state = messages(&[chunk(1, "a"), chunk(2, "b"), chunk(1, "c")]);
    assert_eq!(short(&state), [r#"event-1 streaming "ac""#, r#"event-2 streaming "b""#]);
}

#[test]
fn a_complete_message_wins_over_the_chunks_before_and_after() {
    let named = json!({"messageId": "m", "role": "assistant", "turnId": "t", "agentId": "a",
        "content": "the whole answer"});
    let state = messages(&[
        ("chunk.appended", json!({"agentId": "a", "turnId": "t", "text": "the who"})),
        ("message.created", json!({"messageId": "next", "role": "user", "content": "?"})),
        ("message.completed", named.clone()),
        ("chunk.appended", json!({"agentId": "a", "turnId": "t", "text": "le"})),
        ("chunk.appended", json!({"messageId": "m", "text": "le"})),
        ("message.completed", named),
    ]);
    // The answer that began without a name has it now, in its place.
    assert_eq!(short(&state), [r#"m completed "the whole answer""#, r#"next completed "?""#]);
    assert_eq!(state.list().at(0).unwrap().placeholder, None);
}

#[test]
fn an_answer_that_has_a_name_does_not_get_another() {
    let named = |id: &str| {
        (
            "message.created",
            json!({"messageId": id, "role": "assistant", "turnId": "t", "agentId": "a"}),
        )
    };
    let chunk = ("chunk.appended", json!({"turnId": "t", "agentId": "a", "text": "x"}));
    let state = messages(&[named("m1"), chunk.clone(), named("m2"), chunk]);
    assert_eq!(short(&state), [r#"m1 streaming "x""#, r#"m2 streaming "x""#]);
}

#[test]
fn a_whole_text_keeps_parts_that_say_it_and_calls_of_tools() {
    let tool = json!({"messageId": "m", "part": {"id": "c", "type": "tool", "tool": "ls", "state": "completed"}});
    let begun = [
        ("message.part.delta", json!({"messageId": "m", "partId": "p1", "delta": "a"})),
        ("message.part.updated", tool),
        ("message.part.delta", json!({"messageId": "m", "partId": "p2", "delta": "b"})),
    ];
    let ids_after = |content: &str| {
        let mut events = begun.to_vec();
        events.push(("message.completed", json!({"messageId": "m", "content": content})));
        let state = messages(&events);
        let message = state.list().last().unwrap();
        let ids: Vec<_> = message.parts.iter().map(|part| part.id().to_string()).collect();
        (ids, message.text())
    };
    let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(ids_after("ab"), (ids(&["p1", "c", "p2"]), "ab".to_owned()));
    assert_eq!(ids_after("other"), (ids(&["c", "p2"]), "other".to_owned()));
}

#[test]
fn an_interrupted_or_failed_turn_leaves_what_there_is_and_says_so() {
    let begin = ("chunk.appended", json!({"turnId": "t", "agentId": "a", "text": "half"}));
    let late = ("chunk.appended", json!({"turnId": "t", "agentId": "a", "text": " more"}));
    let stopped = messages(&[
        begin.clone(),
        ("turn.interrupted", json!({"turnId": "t", "by": "u"})),
        late.clone(),
    ]);
    insta::assert_snapshot!(text_of(&stopped), @r#"{"agentId":"a","createdAt":1000,"id":"event-1","interrupted":true,"offset":1,"partial":true,"parts":[{"id":"text-1","text":"half","type":"text"}],"placeholder":true,"role":"assistant","state":"interrupted","turnId":"t","updatedAt":2000,"updatedOffset":2}"#);
    let failed = messages(&[
        begin,
        ("turn.failed", json!({"turnId": "t", "error": {"message": "gone", "code": "lost"}})),
        late,
    ]);
    insta::assert_snapshot!(text_of(&failed), @r#"{"agentId":"a","createdAt":1000,"error":{"code":"lost","message":"gone"},"id":"event-1","offset":1,"partial":true,"parts":[{"id":"text-1","text":"half","type":"text"}],"placeholder":true,"role":"assistant","state":"failed","turnId":"t","updatedAt":2000,"updatedOffset":2}"#);
}

#[test]
fn an_end_that_comes_after_the_message_is_complete_still_marks_the_answer_it_names() {
    let state = messages(&[
        ("message.created", json!({"messageId": "m", "role": "assistant", "turnId": "t"})),
        ("message.completed", json!({"messageId": "m", "finish": "error"})),
        ("turn.failed", json!({"turnId": "t", "messageId": "m", "error": "gone"})),
        ("message.completed", json!({"messageId": "m"})),
    ]);
    assert_eq!(state.list().last().unwrap().state, MessageState::Failed);
    let marked = messages(&[
        ("message.updated", json!({"messageId": "m", "interrupted": true, "partial": true})),
        ("message.completed", json!({"messageId": "m"})),
        ("turn.completed", json!({"turnId": "t", "messageId": "m"})),
    ]);
    assert_eq!(marked.list().last().unwrap().state, MessageState::Interrupted);
}

#[test]
fn a_turn_ends_its_own_answers_only_and_no_question() {
    let created = |id: &str, role: &str, turn: &str| {
        ("message.created", json!({"messageId": id, "role": role, "turnId": turn}))
    };
    let state = messages(&[
        created("q", "user", "t1"),
        created("a1", "assistant", "t1"),
        created("a2", "assistant", "t2"),
        ("turn.failed", json!({"turnId": "t1", "messageId": "q", "error": "x"})),
    ]);
    assert_eq!(short(&state), [r#"q completed """#, r#"a1 failed """#, r#"a2 streaming """#]);
}

#[test]
fn a_message_goes_with_its_parts_and_chunks_do_not_find_it() {
    let state = messages(&[
        ("message.created", json!({"messageId": "m", "role": "assistant", "turnId": "t"})),
        ("message.removed", json!({"messageId": "m", "reason": "dequeued"})),
        ("message.removed", json!({"messageId": "m"})),
        ("chunk.appended", json!({"turnId": "t", "text": "x"})),
    ]);
    assert_eq!(short(&state), [r#"event-4 streaming "x""#]);
}

#[test]
fn an_answer_that_moves_to_another_turn_is_found_there() {
    let state = messages(&[
        ("message.created", json!({"messageId": "m", "role": "assistant", "turnId": "t1"})),
        ("message.updated", json!({"messageId": "m", "turnId": "t2"})),
        ("turn.interrupted", json!({"turnId": "t1"})),
        ("chunk.appended", json!({"turnId": "t2", "text": "x"})),
    ]);
    assert_eq!(short(&state), [r#"m streaming "x""#]);
}

#[test]
fn unknown_fields_are_kept_but_for_those_that_are_ours() {
    let state = messages(&[(
        "message.created",
        json!({"messageId": "m", "id": "event", "role": "user", "state": "odd", "offset": 9,
            "placeholder": 1, "timestamp": 4, "mode": "plan"}),
    )]);
    let message = state.list().get(&id("m")).unwrap();
    assert_eq!(json!(message.other), json!({"mode": "plan"}));
    assert_eq!(message.offset, 1);
}

proptest! {
    #[test]
    fn deltas_join_to_their_text_in_whatever_order_parts_take_turns(
        deltas in prop::collection::vec((0..3_u8, "[a-zé ]{0,3}"), 0..40),
    ) {
        let mut state = Messages::default();
        let mut expected = [const { String::new() }; 3];
        for (offset, (part, delta)) in (1..).zip(&deltas) {
            let data = json!({"messageId": "m", "partId": format!("p{part}"), "delta": delta});
            let text = record(offset, "message.part.delta", &data);
            with_event(offset, &text, |event| state.apply(event));
            expected[usize::from(*part)].push_str(delta);
        }
        let parts = state.list().last().map(|message| message.parts.clone()).unwrap_or_default();
        for (part, text) in expected.iter().enumerate() {
            let found = parts.get(&id(&format!("p{part}"))).cloned();
            let found = found.map(|mut part| part.text_mut().cloned().unwrap());
            prop_assert_eq!(found.unwrap_or_default(), text.clone());
        }
    }
}
