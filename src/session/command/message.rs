//! Sending a message, and taking one back that waits.
//!
//! Invariants: a message is answered by one turn; it waits if and only if another turn runs when
//! it is sent; a message that was taken already is answered as it was the first time.

use super::{Answer, CommandState, Decided, MakeId, Rejected, events};
use crate::{
    limits,
    session::vocabulary::{
        Id, KnownEvent,
        message::{MessageCreated, MessageInfo, MessageRemoved, Role},
        part::Part,
        queue::QueueAdded,
    },
};

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A text.
    Text(String),
    /// Parts.
    Parts(Vec<Part>),
}

/// Send a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// Its id, unless one is to be made. A message that comes again has the same.
    pub id: Option<Id>,
    /// What it says.
    pub content: Content,
    /// Who wrote it.
    pub user_id: Option<Id>,
}

impl Send {
    pub(super) fn decide(
        &self,
        state: &CommandState<'_>,
        ids: MakeId<'_>,
    ) -> Result<Decided, Rejected> {
        state.exists()?;
        if let Some(id) = &self.id
            && let Some(decided) = again(state, id)?
        {
            return Ok(decided);
        }
        state.open()?;
        if self.content.is_empty() {
            return Err(Rejected::EmptyMessage);
        }
        let queued = state.turn.active.is_some();
        let message_id = self.id.clone().unwrap_or_else(&mut *ids);
        let turn_id = ids();
        let mut events = vec![self.created(message_id.clone(), turn_id.clone())];
        if queued {
            events.push(self.queued(state, message_id.clone(), turn_id.clone())?);
        } else {
            events.extend(events::begin(state, turn_id.clone(), message_id.clone(), ids));
        }
        Ok(Decided::write(events, Answer::Sent { message_id, turn_id, queued }))
    }

    fn created(&self, message_id: Id, turn_id: Id) -> KnownEvent {
        KnownEvent::MessageCreated(MessageCreated(MessageInfo {
            role: Some(Role::User),
            turn_id: Some(turn_id),
            user_id: self.user_id.clone(),
            content: self.content.text(),
            parts: self.content.parts(),
            ..events::message(message_id)
        }))
    }

    fn queued(
        &self,
        state: &CommandState<'_>,
        message_id: Id,
        turn_id: Id,
    ) -> Result<KnownEvent, Rejected> {
        let (messages, bytes) = (state.queue.messages.len(), state.queue.bytes());
        let added = KnownEvent::QueueAdded(QueueAdded {
            message_id,
            turn_id: Some(turn_id),
            user_id: self.user_id.clone(),
            position: u64::try_from(messages).ok().map(|before| before.saturating_add(1)),
            text: self.content.text(),
            parts: self.content.parts(),
            other: serde_json::Map::new(),
        });
        let more = added.data().map_or(0, |data| data.get().len());
        let too_large = bytes.saturating_add(more) > limits::QUEUED_BYTES_MAX;
        if too_large || messages >= limits::QUEUED_MESSAGES_MAX {
            return Err(Rejected::QueueFull { messages, bytes });
        }
        Ok(added)
    }
}

/// What was said when this message came the first time, if it did.
fn again(state: &CommandState<'_>, message_id: &Id) -> Result<Option<Decided>, Rejected> {
    let sent =
        state.queue.sent(message_id).map(|sent| (sent.turn_id.as_ref(), sent.queued, sent.offset));
    let waits = || {
        let queued = state.queue.find(message_id)?;
        Some((queued.turn_id.as_ref(), true, queued.offset))
    };
    let taken = || Rejected::MessageIdTaken { message_id: message_id.clone() };
    let answer = |turn_id: &Id, queued, offset| {
        let (message_id, turn_id) = (message_id.clone(), turn_id.clone());
        Decided::stands(Answer::Sent { message_id, turn_id, queued }, offset)
    };
    if let Some((turn_id, queued, offset)) = sent.or_else(waits) {
        let turn_id = turn_id.ok_or_else(taken)?;
        return Ok(Some(answer(turn_id, queued, offset)));
    }
    // Sent too long ago to be remembered in full.
    let Some(known) = (state.messages)(message_id) else { return Ok(None) };
    let turn_id = known.turn_id.filter(|_| known.role == Some(Role::User)).ok_or_else(taken)?;
    Ok(Some(answer(&turn_id, false, known.offset)))
}

impl Content {
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Parts(parts) => parts.is_empty(),
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Parts(_) => None,
        }
    }

    pub(super) fn parts(&self) -> Option<Vec<Part>> {
        match self {
            Self::Text(_) => None,
            Self::Parts(parts) => Some(parts.clone()),
        }
    }
}

/// Take a message back that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dequeue {
    /// The message.
    pub message_id: Id,
    /// Who takes it back.
    pub by: Option<Id>,
}

impl Dequeue {
    pub(super) fn decide(&self, state: &CommandState<'_>) -> Result<Decided, Rejected> {
        const REASON: &str = "dequeued";
        state.exists()?;
        let message_id = self.message_id.clone();
        let answer = Answer::Dequeued { message_id: message_id.clone() };
        if let Some(queued) = state.queue.find(&message_id) {
            let removed = events::removed(queued, None, REASON, self.by.as_ref());
            let reason = Some(REASON.to_owned());
            let gone = KnownEvent::MessageRemoved(MessageRemoved { message_id, reason });
            return Ok(Decided::write(vec![removed, gone], answer));
        }
        let sent = state.queue.sent(&message_id);
        if let Some(offset) = sent.and_then(|sent| sent.removed) {
            return Ok(Decided::stands(answer, offset));
        }
        if let Some(sent) = sent {
            return Err(Rejected::MessageNotQueued { message_id, turn_id: sent.turn_id.clone() });
        }
        state.open()?;
        match (state.messages)(&message_id) {
            Some(known) => Err(Rejected::MessageNotQueued { message_id, turn_id: known.turn_id }),
            None => Err(Rejected::MessageNotFound { message_id }),
        }
    }
}
