//! Sessions begin, change, get ready, end and are deleted; people look at them.

use serde_json::json;

use super::{CREATED, RUNNING, World, given, id, with_queue};
use crate::{
    limits,
    session::{
        command::{
            Answer, Change, Command, Delete, End, Interrupt, PermissionReply, Presence, Ready,
            Rejected, Start,
        },
        projections::{permissions::Permissions, turn::Outcome},
        vocabulary::{
            permission::Reply,
            presence::{PresenceHeartbeat, PresenceLeft},
            session::StatusKind,
            terminal::TerminalInput,
        },
    },
};

fn start() -> Start {
    let metadata = json!({"cost": 0.1, "z": [1, {"b": 1e3}], "a": null});
    Start {
        id: Some(id("s")),
        title: Some("Title".to_owned()),
        model: Some("large".to_owned()),
        parent: Some(id("p")),
        metadata: metadata.as_object().cloned(),
        ..Start::default()
    }
}

fn change() -> Change {
    let title = Some("Other".to_owned());
    Change { title, pinned: Some(true), archived: Some(false), ..Change::default() }
}

fn input() -> Command {
    let data = "ls\r".to_owned();
    Command::TerminalInput(TerminalInput { terminal_id: None, data, user_id: None, source: None })
}

fn heartbeat() -> Command {
    let heartbeat = PresenceHeartbeat { user_id: id("u"), name: None };
    Command::Presence(Presence::Heartbeat(heartbeat))
}

fn reply(reply: Reply) -> Command {
    Command::PermissionReply(PermissionReply { permission_id: id("p"), reply, by: Some(id("u")) })
}

#[test]
fn a_session_begins_once_whatever_is_changed_in_it_later() {
    let started = Answer::Started { session_id: id("s") };
    let world =
        given(&[]).when(Command::Start(start())).answers(&started).and_again_the_same().next();
    assert_eq!(world.log.len(), 1);
    let mut world = world.when(Command::Change(Box::new(change()))).and_again_the_same().next();
    assert_eq!(world.run(&Command::Start(start())), Ok((started, 1)));
    let other = Start { model: Some("small".to_owned()), ..start() };
    world.when(Command::Start(other)).rejected(&Rejected::StartedOtherwise);
}

#[test]
fn a_session_without_an_id_is_given_one() {
    given(&[])
        .when(Command::Start(Start::default()))
        .then(&[r#"session.created {"sessionId":"id1"}"#])
        .answers(&Answer::Started { session_id: id("id1") });
}

#[test]
fn a_session_in_which_something_was_said_already_can_still_be_begun() {
    let world = given(&[r#"message.created {"messageId":"m","role":"user"}"#]);
    assert!(world.session.exists);
    let start = Start { id: Some(id("s")), ..Start::default() };
    world.when(Command::Start(start)).then(&[r#"session.created {"sessionId":"s"}"#]);
}

#[test]
fn a_change_writes_what_differs_and_nothing_else() {
    given(&[r#"session.created {"title":"Other"}"#])
        .when(Command::Change(Box::new(change())))
        .then(&[r#"session.updated {"pinned":true}"#])
        .answers(&Answer::Changed)
        .and_again_the_same();
    given(&[]).when(Command::Change(Box::new(change()))).rejected(&Rejected::SessionNotFound);
}

#[test]
fn a_session_that_ends_stops_its_turn_and_empties_its_queue() {
    let end = End { reason: Some("done".to_owned()), by: Some(id("u")) };
    let world = with_queue()
        .when(Command::End(end))
        .then(&[
            r#"message.updated {"messageId":"a","role":"assistant","turnId":"t","partial":true,"interrupted":true}"#,
            r#"turn.interrupted {"turnId":"t","messageId":"a","reason":"session ended","by":"u"}"#,
            r#"queue.removed {"messageId":"m2","turnId":"t2","reason":"session ended","by":"u"}"#,
            r#"session.ended {"reason":"done","by":"u"}"#,
        ])
        .and_again_the_same()
        .next();
    assert_eq!(world.session.status.kind, StatusKind::Idle);
    assert_eq!(world.turn.active, None);
    assert!(world.queue.messages.is_empty());
}

#[test]
fn a_session_that_ended_can_be_looked_at_and_put_away_but_not_used() {
    let ended = [CREATED, r"session.ended {}"];
    for command in [
        Command::Ready(Ready::default()),
        Command::Interrupt(Interrupt::default()),
        input(),
        reply(Reply::Once),
    ] {
        given(&ended).when(command).rejected(&Rejected::SessionEnded);
    }
    given(&ended).when(Command::Change(Box::new(change()))).answers(&Answer::Changed);
    given(&ended).when(heartbeat()).answers(&Answer::Noted);
    given(&ended).when(Command::Delete(Delete::default())).answers(&Answer::Deleted);
}

#[test]
fn a_session_that_is_deleted_stops_its_turn_and_is_gone() {
    let mut world = given(&RUNNING)
        .when(Command::Delete(Delete::default()))
        .then(&[
            r#"message.updated {"messageId":"a","role":"assistant","turnId":"t","partial":true,"interrupted":true}"#,
            r#"turn.interrupted {"turnId":"t","messageId":"a","reason":"session deleted"}"#,
            r#"session.deleted {"sessionId":"s"}"#,
        ])
        .and_again_the_same()
        .next();
    assert!(!world.session.exists);
    for command in [
        Command::Start(start()),
        Command::Change(Box::new(change())),
        Command::End(End::default()),
        heartbeat(),
        input(),
    ] {
        world = world.when(command).rejected(&Rejected::SessionDeleted);
    }
}

#[test]
fn a_deletion_that_its_writer_did_not_decide_leaves_nothing_running_either() {
    let mut world = with_queue();
    world.apply("session.deleted", "{}");
    assert_eq!((world.turn.active.as_ref(), world.queue.messages.len()), (None, 0));
    assert_eq!(world.turn.last.unwrap().outcome, Outcome::Interrupted);
    assert!(world.queue.sent.back().unwrap().removed.is_some());
}

#[test]
fn a_session_is_ready_once_for_each_worker() {
    let ready = |worker| Command::Ready(Ready { worker_id: Some(id(worker)) });
    given(&[CREATED])
        .when(ready("w"))
        .then(&[r#"session.ready {"workerId":"w"}"#])
        .and_again_the_same()
        .next()
        .when(ready("v"))
        .then(&[r#"session.ready {"workerId":"v"}"#]);
    given(&[]).when(ready("w")).rejected(&Rejected::SessionNotFound);
}

#[test]
fn presence_and_typing_need_no_session_that_was_begun() {
    let left = PresenceLeft { user_id: id("u"), reason: Some("left".to_owned()) };
    given(&[])
        .when(heartbeat())
        .then(&[r#"presence.heartbeat {"userId":"u"}"#])
        .next()
        .when(Command::Presence(Presence::Left(left)))
        .then(&[r#"presence.left {"userId":"u","reason":"left"}"#])
        .next()
        .when(input())
        .then(&[r#"terminal.input {"data":"ls\r"}"#]);
}

#[test]
fn presence_is_no_activity() {
    let mut world = given(&[CREATED]);
    let before = world.session.clone();
    world.apply("presence.heartbeat", r#"{"userId":"u"}"#);
    assert_eq!(world.session, before);
    world.apply("reaction.added", "{}");
    assert_eq!(world.session.last_activity_at, Some(1_003));
}

const ASKED: &str = r#"permission.asked {"permissionId":"p","tool":"bash","messageId":"a","metadata":{"x":1},"reply":"?","more":2}"#;

#[test]
fn a_request_is_answered_once() {
    let world = given(&[CREATED, ASKED])
        .when(reply(Reply::Once))
        .then(&[
            r#"permission.replied {"permissionId":"p","reply":"once","messageId":"a","by":"u"}"#,
        ])
        .and_again_the_same()
        .next();
    let answered = Rejected::PermissionAnswered { permission_id: id("p"), reply: Reply::Once };
    let mut world = world.when(reply(Reply::Reject)).rejected(&answered);
    let (_, data) = ASKED.split_once(' ').unwrap();
    world.apply("permission.asked", data);
    assert!(world.permissions.pending.is_empty());
    let missing = Rejected::PermissionNotFound { permission_id: id("p") };
    given(&[CREATED]).when(reply(Reply::Once)).rejected(&missing);
}

#[test]
fn what_is_asked_is_shown_flat_and_without_names_of_ours() {
    let mut world = given(&[CREATED, ASKED]);
    let shown = |world: &World| serde_json::to_value(&world.permissions).unwrap();
    assert_eq!(
        shown(&world)["pending"],
        json!([{"permissionId": "p", "tool": "bash", "messageId": "a", "metadata": {"x": 1},
            "more": 2, "askedAt": 1_002, "offset": 2}])
    );
    let restored: Permissions = serde_json::from_value(shown(&world)).unwrap();
    assert_eq!(restored, world.permissions);
    world.apply("permission.replied", r#"{"permissionId":"p","reply":"always"}"#);
    assert_eq!(
        shown(&world)["answered"],
        json!([{"permissionId": "p", "tool": "bash", "messageId": "a", "askedAt": 1_002,
            "reply": "always", "repliedAt": 1_003, "offset": 3}])
    );
    let restored: Permissions = serde_json::from_value(shown(&world)).unwrap();
    assert_eq!(restored, world.permissions);
}

#[test]
fn only_so_many_requests_are_remembered() {
    let mut world = given(&[CREATED]);
    for n in 0..=limits::PERMISSIONS_PENDING_MAX {
        let asked = format!(r#"{{"permissionId":"p{n}","tool":"x"}}"#);
        world.apply("permission.asked", &asked);
    }
    assert_eq!(world.permissions.pending.len(), limits::PERMISSIONS_PENDING_MAX);
    assert!(world.permissions.pending(&id("p0")).is_none());
    for n in 0..=limits::PERMISSIONS_ANSWERED_MAX {
        let replied = format!(r#"{{"permissionId":"p{}","reply":"once"}}"#, n + 1);
        world.apply("permission.replied", &replied);
    }
    assert_eq!(world.permissions.answered.len(), limits::PERMISSIONS_ANSWERED_MAX);
    assert!(world.permissions.answered(&id("p1")).is_none());
}
