//! Messages are sent, wait, and are taken back.

use super::{CREATED, RUNNING, World, given, id, with_queue};
use crate::{
    limits,
    session::{
        command::{Answer, Command, Content, Dequeue, Rejected, Send},
        vocabulary::session::StatusKind,
    },
};

fn send(message_id: &str, text: &str) -> Command {
    let content = Content::Text(text.to_owned());
    Command::Send(Send { id: Some(id(message_id)), content, user_id: Some(id("u")) })
}

fn dequeue(message_id: &str) -> Command {
    Command::Dequeue(Dequeue { message_id: id(message_id), by: Some(id("u")) })
}

fn sent(message_id: &str, turn_id: &str, queued: bool) -> Answer {
    Answer::Sent { message_id: id(message_id), turn_id: id(turn_id), queued }
}

#[test]
fn a_message_to_an_idle_session_starts_a_turn() {
    let world = given(&[r#"session.created {"model":"large","provider":"house","agent":"coder"}"#])
        .when(send("m", "hello"))
        .then(&[
            r#"message.created {"messageId":"m","role":"user","turnId":"id1","userId":"u","content":"hello"}"#,
            r#"turn.started {"turnId":"id1","userMessageId":"m","messageId":"id2","agentId":"coder"}"#,
            r#"message.created {"messageId":"id2","role":"assistant","turnId":"id1","agentId":"coder","parentId":"m","model":"large","provider":"house"}"#,
        ])
        .answers(&sent("m", "id1", false))
        .and_again_the_same()
        .next();
    assert_eq!(world.session.status.kind, StatusKind::Busy);
    assert_eq!(world.turn.active.as_ref().map(|active| active.turn_id.as_str()), Some("id1"));
}

#[test]
fn a_message_without_an_id_is_given_one() {
    let parts = serde_json::from_str(r#"[{"id":"p","type":"text","text":"hi"}]"#).unwrap();
    let send = Send { id: None, content: Content::Parts(parts), user_id: None };
    given(&[CREATED]).when(Command::Send(send)).then(&[
        r#"message.created {"messageId":"id1","role":"user","turnId":"id2","parts":[{"type":"text","id":"p","text":"hi"}]}"#,
        r#"turn.started {"turnId":"id2","userMessageId":"id1","messageId":"id3","agentId":"coder"}"#,
        r#"message.created {"messageId":"id3","role":"assistant","turnId":"id2","agentId":"coder","parentId":"id1"}"#,
    ]);
}

#[test]
fn a_message_to_a_busy_session_waits() {
    given(&RUNNING)
        .when(send("m2", "and?"))
        .then(&[
            r#"message.created {"messageId":"m2","role":"user","turnId":"id1","userId":"u","content":"and?"}"#,
            r#"queue.added {"messageId":"m2","turnId":"id1","userId":"u","position":1,"text":"and?"}"#,
        ])
        .answers(&sent("m2", "id1", true))
        .and_again_the_same()
        .next()
        .when(send("m3", "or?"))
        .then(&[
            r#"message.created {"messageId":"m3","role":"user","turnId":"id2","userId":"u","content":"or?"}"#,
            r#"queue.added {"messageId":"m3","turnId":"id2","userId":"u","position":2,"text":"or?"}"#,
        ]);
}

/// Offset and answer of the first try, whatever has become of the message since.
#[test]
fn a_message_that_comes_again_is_answered_as_it_was_the_first_time() {
    let mut world = given(&[CREATED]);
    let first = world.run(&send("m", "a")).unwrap();
    let second = world.run(&send("n", "b")).unwrap();
    let third = world.run(&send("o", "c")).unwrap();
    world.run(&dequeue("o")).unwrap();
    world.apply("turn.completed", r#"{"turnId":"id1"}"#);
    world.apply("turn.started", r#"{"turnId":"id3","userMessageId":"n"}"#);
    let before = world.log.len();
    assert_eq!(world.run(&send("m", "a")), Ok(first));
    assert_eq!(world.run(&send("n", "b")), Ok(second));
    assert_eq!(world.run(&send("o", "c")), Ok(third));
    assert_eq!(world.log.len(), before);
}

#[test]
fn a_message_of_long_ago_is_known_from_the_messages() {
    let mut world = given(&RUNNING);
    world.queue.sent.clear();
    assert_eq!(world.run(&send("m", "a")), Ok((sent("m", "t", false), 2)));
    assert_eq!(world.log.len(), RUNNING.len());
}

#[test]
fn the_id_of_an_answer_or_of_a_message_without_a_turn_is_taken() {
    let taken = |message_id| Rejected::MessageIdTaken { message_id: id(message_id) };
    let mut world = given(&RUNNING).when(send("a", "x")).rejected(&taken("a"));
    world.apply("message.created", r#"{"messageId":"n","role":"user"}"#);
    world.when(send("n", "x")).rejected(&taken("n"));
}

#[test]
fn an_empty_message_and_one_to_nowhere_are_rejected() {
    given(&[CREATED]).when(send("m", "")).rejected(&Rejected::EmptyMessage);
    given(&[]).when(send("m", "x")).rejected(&Rejected::SessionNotFound);
    let ended = given(&[CREATED, "session.ended {}"]);
    ended.when(send("m", "x")).rejected(&Rejected::SessionEnded);
    let deleted = given(&[CREATED, "session.deleted {}"]);
    deleted.when(send("m", "x")).rejected(&Rejected::SessionDeleted);
}

#[test]
fn a_full_queue_takes_no_more_messages() {
    let mut world = given(&RUNNING);
    for n in 0..limits::QUEUED_MESSAGES_MAX {
        world.run(&send(&format!("q{n}"), "x")).unwrap();
    }
    let (messages, bytes) = (limits::QUEUED_MESSAGES_MAX, world.queue.bytes());
    let world =
        world.when(send("one more", "x")).rejected(&Rejected::QueueFull { messages, bytes });
    let order = world.queue.messages.iter().map(|queued| queued.message_id.to_string());
    assert!(order.eq((0..limits::QUEUED_MESSAGES_MAX).map(|n| format!("q{n}"))));
    let world = world.when(send("q0", "x")).answers(&sent("q0", "id1", true)).then(&[]).next();
    let mut world = world.when(dequeue("q0")).and_again_the_same().next();
    assert_eq!(world.queue.sent.len(), limits::SENT_REMEMBERED);
    assert_eq!(world.run(&send("q0", "x")).unwrap().0, sent("q0", "id1", true));
}

#[test]
fn a_queue_of_large_messages_is_full_earlier() {
    let mut world = given(&RUNNING);
    let large = "x".repeat(limits::QUEUED_BYTES_MAX / 3);
    let taken = |world: &mut World, n: usize| world.run(&send(&format!("q{n}"), &large));
    taken(&mut world, 1).unwrap();
    taken(&mut world, 2).unwrap();
    let bytes = world.queue.bytes();
    assert_eq!(taken(&mut world, 3), Err(Rejected::QueueFull { messages: 2, bytes }));
}

#[test]
fn a_message_that_waits_can_be_taken_back() {
    let world = with_queue()
        .when(dequeue("m2"))
        .then(&[
            r#"queue.removed {"messageId":"m2","turnId":"t2","reason":"dequeued","by":"u"}"#,
            r#"message.removed {"messageId":"m2","reason":"dequeued"}"#,
        ])
        .answers(&Answer::Dequeued { message_id: id("m2") })
        .and_again_the_same()
        .next();
    let removed = world.queue.sent.back().unwrap().removed;
    assert_eq!(removed, Some(u64::try_from(world.log.len()).unwrap()));
    assert!(world.queue.messages.is_empty());
}

#[test]
fn a_message_that_does_not_wait_cannot_be_taken_back() {
    let turn_id = Some(id("t"));
    let runs = Rejected::MessageNotQueued { message_id: id("m"), turn_id };
    let world = given(&RUNNING).when(dequeue("m")).rejected(&runs);
    let missing = Rejected::MessageNotFound { message_id: id("x") };
    world.when(dequeue("x")).rejected(&missing);
    given(&[]).when(dequeue("m")).rejected(&Rejected::SessionNotFound);
    given(&[CREATED, "session.ended {}"]).when(dequeue("m")).rejected(&Rejected::SessionEnded);
}

#[test]
fn messages_of_other_writers_leave_the_queue_when_they_are_answered_or_removed() {
    let mut world = with_queue();
    world.apply("queue.added", r#"{"messageId":"m3"}"#);
    world.apply("message.removed", r#"{"messageId":"m2"}"#);
    assert_eq!(world.queue.messages.len(), 1);
    world.apply("turn.started", r#"{"turnId":"t9","userMessageId":"m3"}"#);
    assert!(world.queue.messages.is_empty());
    assert!(world.queue.sent(&id("m3")).unwrap().removed.is_none());
}
