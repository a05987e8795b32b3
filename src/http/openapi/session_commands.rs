//! The document of commands in sessions.

use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        HttpMethod,
        HttpMethod::{Delete, Patch, Post},
    },
};

use super::{
    operation::Op,
    problems::{APPEND, BODY, HIDDEN, JSON, PATH, PLACE, WRITE},
};
use crate::wire::{
    code::Code,
    commands::{
        AddChunks, Because, ChangeSession, CommandAnswer, CompleteTurn, FailTurn, InterruptTurn,
        NotePresence, ReplyPermission, SayReady, SendMessage, StartSession, TypeInput,
    },
    paths,
};

pub(super) const TAG: &str = "commands";
pub(super) const ABOUT: &str = "What somebody wants done in a session, decided against its state \
    (`docs/sessions.md`).";

/// What a command on a session can meet.
const SESSION: &[Code] = &[Code::SessionNotFound, Code::SessionDeleted];
/// What a command on a turn can meet.
const TURN: &[Code] = &[Code::TurnNotFound, Code::TurnNotStarted, Code::TurnEnded];
const ENDED: &[Code] = &[Code::SessionEnded];

pub(super) fn operations() -> Vec<Op> {
    let mut all = sessions();
    all.extend(people());
    all.extend(turns());
    all
}

fn sessions() -> Vec<Op> {
    let start = json!({ "id": "fresh", "title": "First steps", "model": "m1", "agent": "coder" });
    vec![
        command::<StartSession>(Post, paths::SESSIONS, "beginSession", "Begin a session", start)
            .or_no_body()
            .answers::<CommandAnswer>(201, "It has begun; the same again is the same answer.")
            .fails(&[&[Code::SessionExists, Code::SessionDeleted, Code::SessionEnded]]),
        done::<ChangeSession>(
            Patch,
            paths::SESSION,
            "changeSession",
            "Change a session",
            json!({ "title": "Second steps", "pinned": true }),
        )
        .fails(&[SESSION]),
        done::<Because>(
            Delete,
            paths::SESSION,
            "deleteSession",
            "Delete a session",
            json!({ "reason": "done with", "by": "u1" }),
        )
        .named("id", "old")
        .says("Its stream stays for audit and takes no more commands.")
        .or_no_body()
        .fails(&[SESSION]),
        done::<Because>(
            Post,
            paths::SESSION_END,
            "endSession",
            "End a session",
            json!({ "reason": "all is said" }),
        )
        .named("id", "old")
        .or_no_body()
        .fails(&[SESSION, ENDED]),
        done::<SayReady>(
            Post,
            paths::SESSION_READY,
            "sayReady",
            "A worker has taken the session up",
            json!({ "workerId": "w1" }),
        )
        .or_no_body()
        .fails(&[SESSION, ENDED]),
    ]
}

fn people() -> Vec<Op> {
    let presence = json!({ "userId": "u1", "type": "joined", "name": "Ada" });
    vec![
        done::<SendMessage>(
            Post,
            paths::SESSION_MESSAGES,
            "sendMessage",
            "Send a message",
            json!({ "id": "m3", "text": "hello" }),
        )
        .says("It starts a turn, or waits where one runs.")
        .fails(&[SESSION, ENDED])
        .fails(&[&[Code::EmptyMessage, Code::MessageIdTaken, Code::QueueFull]]),
        done::<Because>(
            Delete,
            paths::SESSION_QUEUED,
            "takeBackMessage",
            "Take back a message that waits",
            json!({ "by": "u1" }),
        )
        .or_no_body()
        .fails(&[SESSION, ENDED, &[Code::MessageNotFound, Code::MessageNotQueued]]),
        done::<NotePresence>(
            Post,
            paths::SESSION_PRESENCE,
            "notePresence",
            "Say who is there",
            presence,
        )
        .fails(&[SESSION]),
        done::<TypeInput>(
            Post,
            paths::SESSION_TERMINAL_INPUT,
            "typeInput",
            "Type into a terminal",
            json!({ "data": "ls\n", "userId": "u1" }),
        )
        .fails(&[SESSION, ENDED]),
        done::<ReplyPermission>(
            Post,
            paths::SESSION_PERMISSION_REPLY,
            "replyPermission",
            "Answer a request for permission",
            json!({ "reply": "once", "by": "u1" }),
        )
        .fails(&[SESSION, ENDED, &[Code::PermissionNotFound, Code::PermissionAnswered]]),
    ]
}

fn turns() -> Vec<Op> {
    vec![
        done::<InterruptTurn>(
            Post,
            paths::SESSION_INTERRUPT,
            "interruptTurn",
            "Stop the turn that runs",
            json!({ "reason": "enough", "by": "u1" }),
        )
        .or_no_body()
        .fails(&[SESSION, ENDED, TURN, &[Code::NothingRuns]]),
        done::<AddChunks>(
            Post,
            paths::TURN_CHUNKS,
            "addChunks",
            "Pieces of the answer of a turn",
            json!({ "index": 0, "texts": ["The", " answer"] }),
        )
        .fails(&[SESSION, ENDED, TURN, &[Code::PieceMissing]]),
        done::<CompleteTurn>(
            Post,
            paths::TURN_COMPLETE,
            "completeTurn",
            "End a turn with its answer",
            json!({ "text": "The answer", "finish": "stop" }),
        )
        .or_no_body()
        .fails(&[SESSION, ENDED, TURN]),
        done::<FailTurn>(
            Post,
            paths::TURN_FAIL,
            "failTurn",
            "End a turn with an error",
            json!({ "error": { "message": "the model did not answer" } }),
        )
        .fails(&[SESSION, ENDED, TURN]),
    ]
}

/// A command that is answered with a 200.
fn done<T: ToSchema>(
    method: HttpMethod,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    example: Value,
) -> Op {
    command::<T>(method, path, id, summary, example)
        .answers::<CommandAnswer>(200, "It is done, or was so already.")
}

/// What every command can meet: its body, the state it is decided against, the append.
fn command<T: ToSchema>(
    method: HttpMethod,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    example: Value,
) -> Op {
    Op::new(method, path, id, summary)
        .body::<T>(example)
        .fails(&[HIDDEN, PATH, BODY, JSON, APPEND, PLACE, WRITE])
        .fails(&[&[Code::InvalidBody, Code::InvalidEvent]])
}
