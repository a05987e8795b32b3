//! Turns are answered, stopped, and end.

use serde_json::{Map, json};

use super::{CREATED, NEXT, RUNNING, given, id, with_queue};
use crate::{
    limits,
    session::{
        command::{
            Answer, Chunks, Command, Complete, Content, Delta, Fail, Interrupt, Pieces, Rejected,
        },
        projections::turn::Outcome,
        vocabulary::{Fault, session::StatusKind},
    },
};

fn interrupt(turn_id: Option<&str>) -> Command {
    Command::Interrupt(Interrupt { turn_id: turn_id.map(id), reason: None, by: Some(id("u")) })
}

fn complete(turn_id: &str) -> Command {
    Command::Complete(Box::new(Complete {
        turn_id: id(turn_id),
        content: Some(Content::Text("All of it.".to_owned())),
        finish: Some("stop".to_owned()),
        tokens: serde_json::from_value(json!({"input": 3, "output": 5})).unwrap(),
        cost: Some(0.25),
    }))
}

fn fail(turn_id: &str) -> Command {
    let code = Some("provider_stream_ended".to_owned());
    let message = "The stream ended early.".to_owned();
    let error = Fault { message, code, retryable: None, other: Map::new() };
    Command::Fail(Fail { turn_id: id(turn_id), error })
}

fn texts(turn_id: &str, index: Option<u64>, texts: &[&str]) -> Command {
    let pieces = Pieces::Texts(texts.iter().map(|text| (*text).to_owned()).collect());
    Command::Chunks(Chunks { turn_id: id(turn_id), index, pieces })
}

fn deltas(turn_id: &str, index: Option<u64>, texts: &[&str]) -> Command {
    let delta = |text: &&str| Delta { part_id: id("p"), field: None, delta: (*text).to_owned() };
    let pieces = Pieces::Deltas(texts.iter().map(delta).collect());
    Command::Chunks(Chunks { turn_id: id(turn_id), index, pieces })
}

fn ended(turn_id: &str, outcome: Outcome) -> Answer {
    Answer::TurnEnded { turn_id: id(turn_id), outcome }
}

const COMPLETED: [&str; 2] = [
    r#"message.completed {"messageId":"a","role":"assistant","turnId":"t","content":"All of it.","finish":"stop","cost":0.25,"tokens":{"input":3,"output":5}}"#,
    r#"turn.completed {"turnId":"t","messageId":"a","reason":"completed"}"#,
];
const INTERRUPTED: [&str; 2] = [
    r#"message.updated {"messageId":"a","role":"assistant","turnId":"t","partial":true,"interrupted":true}"#,
    r#"turn.interrupted {"turnId":"t","messageId":"a","reason":"interrupted","by":"u"}"#,
];
const FAILED: [&str; 2] = [
    r#"message.updated {"messageId":"a","role":"assistant","turnId":"t","partial":true,"error":{"message":"The stream ended early.","code":"provider_stream_ended"}}"#,
    r#"turn.failed {"turnId":"t","messageId":"a","error":{"message":"The stream ended early.","code":"provider_stream_ended"}}"#,
];

fn ends() -> [(Command, [&'static str; 2], Outcome); 3] {
    [
        (complete("t"), COMPLETED, Outcome::Completed),
        (interrupt(Some("t")), INTERRUPTED, Outcome::Interrupted),
        (fail("t"), FAILED, Outcome::Failed),
    ]
}

#[test]
fn a_turn_ends_and_the_session_is_idle() {
    for (command, events, outcome) in ends() {
        let step = given(&RUNNING).when(command).then(&events).answers(&ended("t", outcome));
        let world = step.and_again_the_same().next();
        assert_eq!(world.turn.active, None);
        assert_eq!(world.turn.last.unwrap().outcome, outcome);
        assert_eq!(world.session.status.kind, StatusKind::Idle);
    }
}

#[test]
fn a_turn_that_ends_starts_the_next_one_in_the_same_append() {
    for (command, events, outcome) in ends() {
        let all: Vec<_> = events.into_iter().chain(NEXT).collect();
        let step = with_queue().when(command).then(&all).answers(&ended("t", outcome));
        let world = step.and_again_the_same().next();
        assert_eq!(world.turn.active.unwrap().turn_id, id("t2"));
        assert!(world.queue.messages.is_empty());
        assert_eq!(world.session.status.kind, StatusKind::Busy);
    }
}

#[test]
fn a_turn_has_one_end() {
    for (first, _, outcome) in ends() {
        let mut world = with_queue().when(first).next();
        let offset = world.turn.last.as_ref().unwrap().offset;
        for (second, _, other) in ends() {
            let step = world.when(second);
            world = if other == outcome {
                step.then(&[]).answers(&ended("t", outcome)).next()
            } else {
                step.rejected(&Rejected::TurnEnded { turn_id: id("t"), outcome, offset })
            };
        }
        let over = Rejected::TurnEnded { turn_id: id("t"), outcome, offset };
        world.when(texts("t", None, &["late"])).rejected(&over);
    }
}

#[test]
fn an_end_is_remembered_while_later_turns_come_and_go() {
    let mut world = given(&RUNNING).when(complete("t")).next();
    for n in 1..limits::TURNS_REMEMBERED {
        world.apply("turn.started", &format!(r#"{{"turnId":"n{n}"}}"#));
        world.apply("turn.completed", &format!(r#"{{"turnId":"n{n}"}}"#));
    }
    world = world.when(complete("t")).then(&[]).answers(&ended("t", Outcome::Completed)).next();
    world.apply("turn.started", r#"{"turnId":"last"}"#);
    world.apply("turn.completed", r#"{"turnId":"last"}"#);
    assert_eq!(world.turn.earlier.len() + 1, limits::TURNS_REMEMBERED);
    world.when(complete("t")).rejected(&Rejected::TurnNotFound { turn_id: id("t") });
}

#[test]
fn whatever_runs_can_be_stopped_without_its_name() {
    given(&RUNNING).when(interrupt(None)).then(&INTERRUPTED);
}

#[test]
fn stopping_an_idle_session_says_how_the_last_turn_ended() {
    given(&[CREATED]).when(interrupt(None)).rejected(&Rejected::NothingRuns { last: None });
    let world = given(&RUNNING).when(complete("t")).next();
    let last = Some((id("t"), Outcome::Completed));
    world.when(interrupt(None)).rejected(&Rejected::NothingRuns { last });
}

#[test]
fn a_turn_that_waits_or_is_not_known_cannot_be_answered() {
    let commands = |turn_id: &str| {
        [complete(turn_id), fail(turn_id), interrupt(Some(turn_id)), texts(turn_id, None, &["x"])]
    };
    for command in commands("t2") {
        let waits = Rejected::TurnNotStarted { turn_id: id("t2") };
        with_queue().when(command).rejected(&waits);
    }
    for command in commands("x") {
        with_queue().when(command.clone()).rejected(&Rejected::TurnNotFound { turn_id: id("x") });
        given(&[]).when(command.clone()).rejected(&Rejected::SessionNotFound);
        given(&[CREATED, "session.ended {}"])
            .when(command.clone())
            .rejected(&Rejected::SessionEnded);
        given(&[CREATED, "session.deleted {}"]).when(command).rejected(&Rejected::SessionDeleted);
    }
}

#[test]
fn pieces_are_numbered_within_their_turn() {
    given(&RUNNING)
        .when(texts("t", Some(0), &["Hel", "lo"]))
        .then(&[
            r#"chunk.appended {"agentId":"coder","turnId":"t","messageId":"a","index":0,"text":"Hel"}"#,
            r#"chunk.appended {"agentId":"coder","turnId":"t","messageId":"a","index":1,"text":"lo"}"#,
        ])
        .answers(&Answer::Chunked { turn_id: id("t"), next: 2 })
        .and_again_the_same()
        .next()
        .when(texts("t", Some(1), &["lo", "!"]))
        .then(&[r#"chunk.appended {"agentId":"coder","turnId":"t","messageId":"a","index":2,"text":"!"}"#])
        .and_again_the_same()
        .next()
        .when(texts("t", Some(4), &["?"]))
        .rejected(&Rejected::PieceMissing { next: 3, given: 4 });
}

#[test]
fn pieces_without_a_number_are_all_added() {
    let step = given(&RUNNING).when(texts("t", None, &["x"]));
    let world = step.next().when(texts("t", None, &["x"])).next();
    assert_eq!(world.turn.active.as_ref().unwrap().pieces, 2);
    world
        .when(texts("t", None, &[]))
        .then(&[])
        .answers(&Answer::Chunked { turn_id: id("t"), next: 2 });
}

#[test]
fn pieces_of_parts_are_numbered_in_the_same_way() {
    given(&RUNNING)
        .when(deltas("t", Some(0), &["Hel", "lo"]))
        .then(&[
            r#"message.part.delta {"messageId":"a","partId":"p","delta":"Hel"}"#,
            r#"message.part.delta {"messageId":"a","partId":"p","delta":"lo"}"#,
        ])
        .and_again_the_same()
        .next()
        .when(deltas("t", Some(1), &["lo", "!"]))
        .then(&[r#"message.part.delta {"messageId":"a","partId":"p","delta":"!"}"#])
        .answers(&Answer::Chunked { turn_id: id("t"), next: 3 });
}

#[test]
fn a_turn_of_another_writer_is_given_an_answer_when_it_needs_one() {
    let bare = [CREATED, r#"turn.started {"turnId":"t"}"#];
    let begun =
        r#"message.created {"messageId":"id1","role":"assistant","turnId":"t","agentId":"coder"}"#;
    given(&bare)
        .when(deltas("t", Some(0), &["x"]))
        .then(&[begun, r#"message.part.delta {"messageId":"id1","partId":"p","delta":"x"}"#]);
    given(&bare).when(complete("t")).then(&[
        begun,
        r#"message.completed {"messageId":"id1","role":"assistant","turnId":"t","content":"All of it.","finish":"stop","cost":0.25,"tokens":{"input":3,"output":5}}"#,
        r#"turn.completed {"turnId":"t","messageId":"id1","reason":"completed"}"#,
    ]);
    given(&bare)
        .when(interrupt(Some("t")))
        .then(&[r#"turn.interrupted {"turnId":"t","reason":"interrupted","by":"u"}"#]);
}

#[test]
fn a_turn_that_another_writer_began_takes_the_place_of_the_one_that_ran() {
    let mut world = given(&RUNNING);
    world.apply("turn.started", r#"{"turnId":"t9"}"#);
    world.apply("turn.completed", r#"{"turnId":"t"}"#);
    assert_eq!(world.turn.active.as_ref().unwrap().turn_id, id("t9"));
    let last = world.turn.last.as_ref().unwrap();
    assert_eq!((last.outcome, last.reason.as_deref()), (Outcome::Interrupted, Some("replaced")));
    assert_eq!(world.session.status.turn_id, Some(id("t9")));
    assert_eq!(world.turn.count, 2);
}

#[test]
fn a_message_whose_turn_was_used_already_is_answered_by_a_fresh_one() {
    let mut world = given(&RUNNING);
    world.apply("queue.added", r#"{"messageId":"m2","turnId":"t"}"#);
    let world = world.when(complete("t")).next();
    assert_eq!(world.turn.active.unwrap().turn_id, id("id1"));
}
