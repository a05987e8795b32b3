//! Projection `queue`: messages that wait for their turn, and which messages were sent lately.
//!
//! It refuses to know how turns end. Invariants: messages wait in the order in which they were
//! added; what was sent is remembered as it was answered first, whatever became of it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::Event;
use crate::{
    limits,
    projection::Projection,
    session::vocabulary::{
        Id, KnownEvent,
        message::{MessageInfo, Role},
        part::Part,
        queue::QueueAdded,
        turn::TurnStarted,
    },
};

/// The queue of a session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Messages that wait, the next one first.
    pub messages: VecDeque<QueuedMessage>,
    /// Messages sent lately, the newest last; a bounded number of them.
    pub sent: VecDeque<SentMessage>,
    /// The last event that changed any of this.
    pub offset: u64,
}

/// A message that waits.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedMessage {
    /// The message.
    pub message_id: Id,
    /// The turn that will answer it, where that is known.
    pub turn_id: Option<Id>,
    /// Who wrote it.
    pub user_id: Option<Id>,
    /// Its text.
    pub text: Option<String>,
    /// Its parts.
    pub parts: Option<Vec<Part>>,
    /// Bytes of what is kept of it.
    pub bytes: usize,
    /// When it was added, Unix milliseconds.
    pub added_at: u64,
    /// The event that added it.
    pub offset: u64,
}

/// A message that was sent.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentMessage {
    /// The message.
    pub message_id: Id,
    /// The turn that answers it.
    pub turn_id: Option<Id>,
    /// It had to wait.
    pub queued: bool,
    /// The last event of the append that took it.
    pub offset: u64,
    /// The event that took it out of the queue unanswered.
    pub removed: Option<u64>,
}

impl Projection for Queue {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "queue";
    const VERSION: u32 = 1;

    fn apply(&mut self, event: &Event<'_>) {
        if event.offset <= self.offset {
            return;
        }
        if let Some(known) = &event.known
            && self.fold(known, event)
        {
            self.offset = event.offset;
        }
    }
}

impl Queue {
    /// A message that waits.
    #[must_use]
    pub fn find(&self, message_id: &Id) -> Option<&QueuedMessage> {
        self.messages.iter().find(|queued| queued.message_id == *message_id)
    }

    /// A message that was sent lately.
    #[must_use]
    pub fn sent(&self, message_id: &Id) -> Option<&SentMessage> {
        self.sent.iter().rev().find(|sent| sent.message_id == *message_id)
    }

    /// Bytes of the messages that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.messages.iter().map(|queued| queued.bytes).sum()
    }

    /// Whether the event means something here.
    fn fold(&mut self, known: &KnownEvent, event: &Event<'_>) -> bool {
        match known {
            KnownEvent::QueueAdded(added) => self.add(added, event),
            KnownEvent::QueueRemoved(removed) => {
                let started = removed.reason.as_deref() == Some("started");
                self.take(&removed.message_id, started, event.offset)
            }
            KnownEvent::MessageRemoved(removed) => self.remove(&removed.message_id, event.offset),
            KnownEvent::TurnStarted(turn) => self.start(turn, event.offset),
            KnownEvent::MessageCreated(message) => self.answer(&message.0, event.offset),
            KnownEvent::SessionEnded(_) | KnownEvent::SessionDeleted(_) => self.clear(event.offset),
            _ => false,
        }
    }

    /// A message that waits already stays in its place. Beyond the bounds, which only events that
    /// were not decided here go, a message is kept without its words, or not at all.
    fn add(&mut self, added: &QueueAdded, event: &Event<'_>) -> bool {
        let full = self.messages.len() >= limits::QUEUED_MESSAGES_MAX;
        if full || self.find(&added.message_id).is_some() {
            return false;
        }
        let bytes = event.data.map_or(0, |data| data.get().len());
        let fits = self.bytes().saturating_add(bytes) <= limits::QUEUED_BYTES_MAX;
        self.messages.push_back(QueuedMessage {
            message_id: added.message_id.clone(),
            turn_id: added.turn_id.clone(),
            user_id: added.user_id.clone(),
            text: added.text.clone().filter(|_| fits),
            parts: added.parts.clone().filter(|_| fits),
            bytes: if fits { bytes } else { 0 },
            added_at: event.timestamp_ms,
            offset: event.offset,
        });
        self.remember(SentMessage {
            message_id: added.message_id.clone(),
            turn_id: added.turn_id.clone(),
            queued: true,
            offset: event.offset,
            removed: None,
        });
        true
    }

    fn take(&mut self, message_id: &Id, started: bool, offset: u64) -> bool {
        let at = self.messages.iter().position(|it| it.message_id == *message_id);
        let Some(queued) = at.and_then(|at| self.messages.remove(at)) else { return false };
        self.left(&queued, (!started).then_some(offset));
        true
    }

    /// What left the queue is remembered, also where many were sent after it.
    fn left(&mut self, queued: &QueuedMessage, removed: Option<u64>) {
        let id = &queued.message_id;
        match self.sent.iter_mut().rev().find(|sent| sent.message_id == *id) {
            Some(sent) => sent.removed = sent.removed.or(removed),
            None => self.remember(SentMessage {
                message_id: id.clone(),
                turn_id: queued.turn_id.clone(),
                queued: true,
                offset: queued.offset,
                removed,
            }),
        }
    }

    /// A message that is removed right after it was taken back ends the append that did so.
    fn remove(&mut self, message_id: &Id, offset: u64) -> bool {
        if self.take(message_id, false, offset) {
            return true;
        }
        let just = offset.checked_sub(1);
        let taken = |it: &&mut SentMessage| it.message_id == *message_id && it.removed == just;
        match self.sent.iter_mut().rev().find(taken).filter(|it| it.removed.is_some()) {
            Some(sent) => sent.removed = Some(offset),
            None => return false,
        }
        true
    }

    fn clear(&mut self, offset: u64) -> bool {
        let waiting = std::mem::take(&mut self.messages);
        for queued in &waiting {
            self.left(queued, Some(offset));
        }
        !waiting.is_empty()
    }

    /// A message that is answered waits no longer, also where nothing says so.
    fn start(&mut self, turn: &TurnStarted, offset: u64) -> bool {
        let Some(message_id) = &turn.user_message_id else { return false };
        if self.take(message_id, true, offset) || self.sent(message_id).is_some() {
            return true;
        }
        self.remember(SentMessage {
            message_id: message_id.clone(),
            turn_id: Some(turn.turn_id.clone()),
            queued: false,
            offset,
            removed: None,
        });
        true
    }

    /// The empty answer ends the append that began the turn.
    fn answer(&mut self, message: &MessageInfo, offset: u64) -> bool {
        let begun = |sent: &&mut SentMessage| {
            let next = sent.offset.checked_add(1) == Some(offset);
            next && !sent.queued && sent.turn_id.is_some() && sent.turn_id == message.turn_id
        };
        let is_answer = message.role == Some(Role::Assistant);
        match self.sent.back_mut().filter(begun).filter(|_| is_answer) {
            Some(sent) => sent.offset = offset,
            None => return false,
        }
        true
    }

    fn remember(&mut self, sent: SentMessage) {
        self.sent.retain(|it| it.message_id != sent.message_id);
        self.sent.push_back(sent);
        while self.sent.len() > limits::SENT_REMEMBERED {
            self.sent.pop_front();
        }
    }
}
