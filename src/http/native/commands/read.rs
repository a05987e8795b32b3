//! From the body of a command to the command. Pure.
//!
//! Invariant: a field that is not what it should be is an error that names it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    http::error::Fail,
    log::StreamPath,
    session::{
        command::{
            Change, Chunks, Command, Complete, Content, Delete, Delta, Dequeue, End, Interrupt,
            PermissionReply, Pieces, Presence, Ready, Send, Start,
        },
        vocabulary::{
            FieldError, Id,
            presence::{PresenceCursor, PresenceHeartbeat, PresenceJoined, PresenceLeft},
            read_field,
            terminal::TerminalInput,
        },
    },
    wire::{code::Code, commands as wire},
};

type Read<T> = Result<T, Fail>;

/// The body is not what its route takes.
pub(super) fn invalid(error: FieldError) -> Fail {
    let FieldError { path, rule } = error;
    if path.is_empty() {
        return Fail::new(Code::InvalidBody, format!("the body {rule}"));
    }
    Fail::new(Code::InvalidBody, format!("`{path}` {rule}"))
        .with(|problem| problem.field = Some(path))
}

fn wrong(field: &str, rule: &str) -> Fail {
    invalid(FieldError { path: field.to_owned(), rule: rule.to_owned() })
}

fn typed<T: DeserializeOwned>(field: &str, value: impl Into<Value>) -> Read<T> {
    read_field(field, value.into()).map_err(invalid)
}

fn optional<T: DeserializeOwned>(field: &str, value: Option<impl Into<Value>>) -> Read<Option<T>> {
    value.map(|value| typed(field, value)).transpose()
}

fn required<T>(field: &str, value: Option<T>) -> Read<T> {
    value.ok_or_else(|| wrong(field, "is missing"))
}

pub(super) fn start(asked: wire::StartSession, made: impl FnOnce() -> Id) -> Read<Start> {
    Ok(Start {
        id: Some(optional("id", asked.id)?.unwrap_or_else(made)),
        title: asked.title,
        model: asked.model,
        provider: asked.provider,
        agent: asked.agent,
        worker: optional("worker", asked.worker)?,
        parent: optional("parent", asked.parent)?,
        metadata: asked.metadata,
    })
}

/// The stream of the session that is begun.
pub(super) fn session_of(start: &Start) -> Read<StreamPath> {
    let id = start.id.as_deref().unwrap_or_default();
    StreamPath::session(id).map_err(|error| wrong("id", &format!("is no id of a session: {error}")))
}

pub(super) fn change(asked: wire::ChangeSession) -> Read<Command> {
    Ok(Command::Change(Box::new(Change {
        title: asked.title,
        model: asked.model,
        provider: asked.provider,
        agent: asked.agent,
        worker: optional("worker", asked.worker)?,
        parent: optional("parent", asked.parent)?,
        summary: optional("summary", asked.summary)?,
        share: optional("share", asked.share)?,
        pinned: asked.pinned,
        archived: asked.archived,
        metadata: asked.metadata,
    })))
}

pub(super) fn delete(asked: wire::Because) -> Read<Command> {
    Ok(Command::Delete(Delete { reason: asked.reason, by: optional("by", asked.by)? }))
}

pub(super) fn end(asked: wire::Because) -> Read<Command> {
    Ok(Command::End(End { reason: asked.reason, by: optional("by", asked.by)? }))
}

pub(super) fn ready(asked: wire::SayReady) -> Read<Command> {
    Ok(Command::Ready(Ready { worker_id: optional("workerId", asked.worker_id)? }))
}

pub(super) fn send(asked: wire::SendMessage) -> Read<Command> {
    let content = content(asked.text, asked.parts)?;
    Ok(Command::Send(Send {
        id: optional("id", asked.id)?,
        content: required("text", content)?,
        user_id: optional("userId", asked.user_id)?,
    }))
}

fn content(text: Option<String>, parts: Option<Vec<Value>>) -> Read<Option<Content>> {
    match (text, parts) {
        (Some(_), Some(_)) => Err(wrong("parts", "and `text` are given, and only one is taken")),
        (Some(text), None) => Ok(Some(Content::Text(text))),
        (None, Some(parts)) => Ok(Some(Content::Parts(typed("parts", parts)?))),
        (None, None) => Ok(None),
    }
}

pub(super) fn interrupt(asked: wire::InterruptTurn) -> Read<Command> {
    Ok(Command::Interrupt(Interrupt {
        turn_id: optional("turnId", asked.turn_id)?,
        reason: asked.reason,
        by: optional("by", asked.by)?,
    }))
}

pub(super) fn dequeue(message_id: Id, asked: wire::Because) -> Read<Command> {
    Ok(Command::Dequeue(Dequeue { message_id, by: optional("by", asked.by)? }))
}

pub(super) fn presence(asked: wire::NotePresence) -> Read<Command> {
    let user_id: Id = typed("userId", required("userId", asked.user_id)?)?;
    let said = asked.kind.as_deref().map(|kind| kind.strip_prefix("presence.").unwrap_or(kind));
    let kind = said.unwrap_or(if asked.cursor.is_some() { "cursor" } else { "heartbeat" });
    let presence = match kind {
        "joined" => Presence::Joined(PresenceJoined {
            user_id,
            name: asked.name,
            color: asked.color,
            other: asked.cursor.map(|at| ("cursor".to_owned(), at.into())).into_iter().collect(),
        }),
        "heartbeat" => Presence::Heartbeat(PresenceHeartbeat { user_id, name: asked.name }),
        "cursor" => {
            let cursor = required("cursor", asked.cursor)?;
            Presence::Cursor(PresenceCursor { user_id, cursor })
        }
        "left" => Presence::Left(PresenceLeft { user_id, reason: asked.reason }),
        _ => return Err(wrong("type", "must be `joined`, `heartbeat`, `cursor` or `left`")),
    };
    Ok(Command::Presence(presence))
}

pub(super) fn type_input(asked: wire::TypeInput) -> Read<Command> {
    Ok(Command::TerminalInput(TerminalInput {
        terminal_id: optional("terminalId", asked.terminal_id)?,
        data: required("data", asked.data)?,
        user_id: optional("userId", asked.user_id)?,
        source: asked.source,
    }))
}

pub(super) fn reply(permission_id: Id, asked: wire::ReplyPermission) -> Read<Command> {
    let reply = typed("reply", required("reply", asked.reply)?)?;
    let by = optional("by", asked.by)?;
    Ok(Command::PermissionReply(PermissionReply { permission_id, reply, by }))
}

pub(super) fn chunks(turn_id: Id, asked: wire::AddChunks) -> Read<Command> {
    let one = asked.text.map(|text| vec![text]);
    let pieces = match (one, asked.texts, asked.deltas) {
        (Some(texts), None, None) | (None, Some(texts), None) => Pieces::Texts(texts),
        (None, None, Some(deltas)) => Pieces::Deltas(deltas_of(deltas)?),
        (None, None, None) => {
            return Err(wrong("text", "is missing, and so are `texts` and `deltas`"));
        }
        _ => return Err(wrong("text", "`texts` and `deltas` cannot be given together")),
    };
    Ok(Command::Chunks(Chunks { turn_id, index: asked.index, pieces }))
}

fn deltas_of(deltas: Vec<wire::PartDelta>) -> Read<Vec<Delta>> {
    let delta = |(index, delta): (usize, wire::PartDelta)| {
        let part_id = format!("deltas[{index}].partId");
        Ok(Delta {
            part_id: typed(&part_id, required(&part_id, delta.part_id)?)?,
            field: delta.field,
            delta: required(&format!("deltas[{index}].delta"), delta.delta)?,
        })
    };
    deltas.into_iter().enumerate().map(delta).collect()
}

pub(super) fn complete(turn_id: Id, asked: wire::CompleteTurn) -> Read<Command> {
    Ok(Command::Complete(Box::new(Complete {
        turn_id,
        content: content(asked.text, asked.parts)?,
        finish: asked.finish,
        tokens: optional("tokens", asked.tokens)?,
        cost: asked.cost,
    })))
}

pub(super) fn fail(turn_id: Id, asked: wire::FailTurn) -> Read<Command> {
    let error = typed("error", required("error", asked.error)?)?;
    Ok(Command::Fail(crate::session::command::Fail { turn_id, error }))
}
