//! Commands: what somebody wants done in a session, decided to events or to a rejection.
//!
//! It refuses to know clocks, storage and HTTP: a decision is a pure function of the state, the
//! command and fresh ids. Invariants: events that are decided pass the vocabulary; a command that
//! comes again after it was done writes nothing, where it names what it acts on; a session has one
//! running turn at most, and every turn one end.

use serde::Serialize;
use serde_json::value::RawValue;

pub use self::{
    change::{Change, Delete, End, Ready},
    message::{Content, Dequeue, Send},
    permission::PermissionReply,
    presence::Presence,
    rejected::Rejected,
    start::Start,
    turn::{Chunks, Complete, Delta, Fail, Interrupt, Pieces},
};
use crate::session::{
    projections::{
        permissions::Permissions,
        queue::Queue,
        session::Session,
        turn::{Outcome, Turn},
    },
    vocabulary::{Id, KnownEvent, message::Role, permission::Reply, terminal::TerminalInput},
};

mod change;
mod events;
mod message;
mod permission;
mod presence;
mod rejected;
mod start;
mod terminal;
#[cfg(test)]
mod tests;
mod turn;

/// What somebody wants done in a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Begin it.
    Start(Start),
    /// Change what is known of it.
    Change(Box<Change>),
    /// Delete it.
    Delete(Delete),
    /// End it: nothing is answered in it any more.
    End(End),
    /// Send a message.
    Send(Send),
    /// Take a message back that waits.
    Dequeue(Dequeue),
    /// Stop the turn that runs.
    Interrupt(Interrupt),
    /// Come, stay, point, go.
    Presence(Presence),
    /// Type into a terminal.
    TerminalInput(TerminalInput),
    /// Answer a request for permission.
    PermissionReply(PermissionReply),
    /// Add pieces to the answer.
    Chunks(Chunks),
    /// End the turn with its answer.
    Complete(Box<Complete>),
    /// End the turn with an error.
    Fail(Fail),
    /// Say that messages are answered from now on.
    Ready(Ready),
}

/// The state that commands are decided against: projections that stand at one offset.
#[derive(Clone, Copy)]
pub struct CommandState<'a> {
    /// What the session is.
    pub session: &'a Session,
    /// Its turns.
    pub turn: &'a Turn,
    /// Its queue.
    pub queue: &'a Queue,
    /// Its permissions.
    pub permissions: &'a Permissions,
    /// Finds a message among all messages of the session.
    pub messages: &'a dyn Fn(&Id) -> Option<KnownMessage>,
}

/// A message that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownMessage {
    /// Who speaks in it.
    pub role: Option<Role>,
    /// The turn it belongs to.
    pub turn_id: Option<Id>,
    /// The event that began it.
    pub offset: u64,
}

/// A command that is accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// What to append, in one step and at the offset of the state. Empty where all is as it was
    /// asked for already.
    pub events: Vec<KnownEvent>,
    /// What to say, once they are appended.
    pub answer: Answer,
    /// Where there is nothing to append: the offset at which what was asked for already stands.
    pub stands_at: Option<u64>,
}

/// What is said to a command that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The session has begun.
    Started {
        /// Its id.
        session_id: Id,
    },
    /// The session is as it was asked for.
    Changed,
    /// The session is deleted.
    Deleted,
    /// The session has ended.
    Ended,
    /// The session is ready.
    Ready,
    /// The message is taken.
    Sent {
        /// Its id.
        message_id: Id,
        /// The turn that answers it.
        turn_id: Id,
        /// It had to wait for another turn.
        queued: bool,
    },
    /// The message waits no longer.
    Dequeued {
        /// Its id.
        message_id: Id,
    },
    /// The turn has ended.
    TurnEnded {
        /// Its id.
        turn_id: Id,
        /// How it ended.
        outcome: Outcome,
    },
    /// The pieces are in.
    Chunked {
        /// The turn.
        turn_id: Id,
        /// The index of the piece that comes next.
        next: u64,
    },
    /// The request is answered.
    Replied {
        /// The request.
        permission_id: Id,
        /// The answer.
        reply: Reply,
    },
    /// It is noted.
    Noted,
}

impl Decided {
    fn write(events: Vec<KnownEvent>, answer: Answer) -> Self {
        Self { events, answer, stands_at: None }
    }

    fn stands(answer: Answer, offset: u64) -> Self {
        Self { events: Vec::new(), answer, stands_at: Some(offset) }
    }

    /// The events as the JSON texts that [`crate::session::EventBatch`] takes.
    ///
    /// # Errors
    /// None that these types can cause; serde's signature has one.
    pub fn texts(&self) -> serde_json::Result<Vec<String>> {
        let text = |event: &KnownEvent| {
            let (kind, data) = (event.kind(), event.data()?);
            let (channel, kind) = (kind.channel(), kind.as_str());
            serde_json::to_string(&Envelope { channel, kind, data: &data })
        };
        self.events.iter().map(text).collect()
    }
}

/// An event before it has an id and a time.
#[derive(Serialize)]
struct Envelope<'a> {
    channel: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    data: &'a RawValue,
}

/// Where new ids come from.
pub type MakeId<'a> = &'a mut dyn FnMut() -> Id;

/// Decides a command.
///
/// # Errors
/// [`Rejected`]: nothing is to be written.
pub fn decide(
    state: &CommandState<'_>,
    command: &Command,
    ids: MakeId<'_>,
) -> Result<Decided, Rejected> {
    if state.session.deleted.is_some() && !matches!(command, Command::Delete(_)) {
        return Err(Rejected::SessionDeleted);
    }
    match command {
        Command::Start(start) => start.decide(state, ids),
        Command::Change(change) => change.decide(state),
        Command::Delete(delete) => delete.decide(state),
        Command::End(end) => end.decide(state),
        Command::Send(send) => send.decide(state, ids),
        Command::Dequeue(dequeue) => dequeue.decide(state),
        Command::Interrupt(interrupt) => interrupt.decide(state, ids),
        Command::Presence(presence) => Ok(presence.decide()),
        Command::TerminalInput(input) => terminal::decide(state, input),
        Command::PermissionReply(reply) => reply.decide(state),
        Command::Chunks(chunks) => chunks.decide(state, ids),
        Command::Complete(complete) => complete.decide(state, ids),
        Command::Fail(fail) => fail.decide(state, ids),
        Command::Ready(ready) => ready.decide(state),
    }
}

impl CommandState<'_> {
    /// The session must be there.
    fn exists(&self) -> Result<(), Rejected> {
        if self.session.exists { Ok(()) } else { Err(Rejected::SessionNotFound) }
    }

    /// The session must not have ended.
    fn open(&self) -> Result<(), Rejected> {
        if self.session.ended.is_some() { Err(Rejected::SessionEnded) } else { Ok(()) }
    }
}
