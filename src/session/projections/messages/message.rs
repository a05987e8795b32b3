//! One message as it stands: what was said of it, its parts, how far it is. Pure.
//!
//! Invariant: a message that has ended does not stream again.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::lanes::{Lane, TurnKey};
use crate::session::{
    projections::{
        Event,
        keyed::{Keyed, Named},
        merge::{keep_other, set, set_times},
    },
    vocabulary::{
        Fault, Id, Times, Tokens,
        message::{MessageInfo, Role},
        part::{Part, ReasoningPart, TextPart},
    },
};

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// It may still grow.
    Streaming,
    /// It is whole.
    Completed,
    /// Somebody stopped it; what there is of it stays.
    Interrupted,
    /// Something went wrong; what there is of it stays.
    Failed,
}

/// A message.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its id.
    pub id: Id,
    /// Who speaks.
    pub role: Role,
    /// How far it is.
    pub state: MessageState,
    /// Nobody has named it yet: its id is that of the event it began with.
    pub placeholder: Option<bool>,
    /// The turn it belongs to.
    pub turn_id: Option<Id>,
    /// The number of the turn, where turns have no ids.
    pub turn: Option<u64>,
    /// The person who wrote it.
    pub user_id: Option<Id>,
    /// The agent that wrote it.
    pub agent_id: Option<Id>,
    /// The message it answers.
    pub parent_id: Option<Id>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// Whose model it is.
    pub provider: Option<String>,
    /// Why the model stopped.
    pub finish: Option<String>,
    /// It was not finished.
    pub partial: Option<bool>,
    /// It was stopped by somebody.
    pub interrupted: Option<bool>,
    /// What went wrong.
    pub error: Option<Fault>,
    /// What it cost, in dollars.
    pub cost: Option<f64>,
    /// Tokens it took.
    pub tokens: Option<Tokens>,
    /// When it was made and completed, as its writer says.
    pub time: Option<Times>,
    /// When it was made, Unix milliseconds.
    pub created_at: u64,
    /// When it was changed last, Unix milliseconds.
    pub updated_at: u64,
    /// Its parts, in order.
    pub parts: Keyed<Part>,
    /// The event it began with.
    pub offset: u64,
    /// The event that changed it last.
    pub updated_offset: u64,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Fields of ours that a writer may use for something else.
const OWN: &[&str] = &["state", "placeholder", "turn"];

impl Named for Message {
    type Key = Id;

    fn key(&self) -> Id {
        self.id.clone()
    }
}

impl Named for Part {
    type Key = Id;

    fn key(&self) -> Id {
        self.id().clone()
    }
}

impl Message {
    /// A message that nothing is said of yet. Only an answer grows, so it is one.
    pub(super) fn new(id: &Id, event: &Event<'_>) -> Self {
        Self {
            id: id.clone(),
            role: Role::Assistant,
            state: MessageState::Streaming,
            placeholder: None,
            turn_id: None,
            turn: None,
            user_id: None,
            agent_id: None,
            parent_id: None,
            model: None,
            provider: None,
            finish: None,
            partial: None,
            interrupted: None,
            error: None,
            cost: None,
            tokens: None,
            time: None,
            created_at: event.timestamp_ms,
            updated_at: event.timestamp_ms,
            parts: Keyed::default(),
            offset: event.offset,
            updated_offset: event.offset,
            other: Map::new(),
        }
    }

    /// Notes which event changed it.
    pub(super) fn touch(&mut self, event: &Event<'_>) {
        self.updated_at = event.timestamp_ms;
        self.updated_offset = event.offset;
    }

    /// Whether it may still grow.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.state == MessageState::Streaming
    }

    /// Its text: that of its text parts, joined.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts.iter().filter_map(text_of).collect()
    }

    /// Takes what is said of it.
    pub(super) fn merge(&mut self, info: &MessageInfo) {
        self.role = info.role.unwrap_or(self.role);
        set(&mut self.turn_id, info.turn_id.as_ref());
        set(&mut self.turn, info.other.get("turn").and_then(Value::as_u64).as_ref());
        set(&mut self.user_id, info.user_id.as_ref());
        set(&mut self.agent_id, info.agent_id.as_ref());
        set(&mut self.parent_id, info.parent_id.as_ref());
        set(&mut self.model, info.model.as_ref());
        set(&mut self.provider, info.provider.as_ref());
        set(&mut self.finish, info.finish.as_ref());
        set(&mut self.partial, info.partial.as_ref());
        set(&mut self.interrupted, info.interrupted.as_ref());
        set(&mut self.error, info.error.as_ref());
        set(&mut self.cost, info.cost.as_ref());
        set(&mut self.tokens, info.tokens.as_ref());
        set_times(&mut self.time, info.time.as_ref());
        let times = info.time.as_ref();
        let created_at = info.created_at.or(times.and_then(|times| times.created));
        self.created_at = created_at.unwrap_or(self.created_at);
        self.updated_at = info.updated_at.unwrap_or(self.updated_at);
        keep_other(&mut self.other, &info.other, OWN);
        if let Some(parts) = &info.parts {
            self.parts = parts.iter().cloned().collect();
        }
        match &info.content {
            Some(content) if info.parts.as_ref().is_none_or(Vec::is_empty) => {
                self.set_text(content);
            }
            _ => {}
        }
        if self.role != Role::Assistant && self.is_streaming() {
            self.state = MessageState::Completed;
        }
    }

    /// It has ended; what was said of it tells how.
    pub(super) fn complete(&mut self) {
        self.state = match self {
            Self { state: MessageState::Failed, .. } | Self { error: Some(_), .. } => {
                MessageState::Failed
            }
            Self { state: MessageState::Interrupted, .. }
            | Self { interrupted: Some(true), .. } => MessageState::Interrupted,
            _ => MessageState::Completed,
        };
    }

    /// The whole text. Where its text parts say it already, they stay as they are; else the last
    /// of them has it, for an answer comes after the calls of tools.
    fn set_text(&mut self, content: &str) {
        if self.text() == content {
            return;
        }
        let last = self.parts.iter().rev().find(|part| text_of(part).is_some());
        let last = last.map(|part| part.id().clone());
        self.parts.retain(|part| text_of(part).is_none() || Some(part.id()) == last.as_ref());
        match last.and_then(|id| self.parts.get_mut(&id)) {
            Some(Part::Text(part)) => content.clone_into(&mut part.text),
            _ => self.push_text("text", content),
        }
    }

    /// Adds a chunk: to the last part where that is text, else in a new one, named by the event.
    pub(super) fn push_chunk(&mut self, event: &Event<'_>, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(part)) => part.text.push_str(text),
            _ => self.push_text(&format!("text-{}", event.offset), text),
        }
    }

    fn push_text(&mut self, id: &str, text: &str) {
        if let Some(id) = Id::new(id) {
            self.parts.put(text_part(id, text));
        }
    }

    /// Where chunks and turns find it, unless it is no answer.
    pub(super) fn lane(&self) -> Option<Lane> {
        let turn = TurnKey::of(self.turn_id.as_ref(), self.turn);
        (self.role == Role::Assistant).then(|| Lane { turn, agent: self.agent_id.clone() })
    }
}

/// The part that begins with a delta: what grows says which kind it is.
pub(super) fn begun_part(id: &Id, field: Option<&str>) -> Part {
    if field == Some("reasoning") {
        let text = Some(String::new());
        let (id, other) = (id.clone(), Map::new());
        return Part::Reasoning(ReasoningPart { id, text, reasoning: None, time: None, other });
    }
    text_part(id.clone(), "")
}

fn text_part(id: Id, text: &str) -> Part {
    Part::Text(TextPart { id, text: text.to_owned(), time: None, other: Map::new() })
}

fn text_of(part: &Part) -> Option<&str> {
    match part {
        Part::Text(part) => Some(&part.text),
        _ => None,
    }
}
