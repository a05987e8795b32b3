//! Projection `turn`: the turn that runs, and how those before it ended.
//!
//! It refuses to know what is said in a turn. Invariants: at most one turn runs; a turn has one
//! end, its first.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::Event;
use crate::{
    limits,
    projection::Projection,
    session::vocabulary::{
        Fault, Id, KnownEvent,
        chunks::ChunkAppended,
        message::{MessageInfo, Role},
        turn::TurnStarted,
    },
};

/// The turns of a session.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// The turn that runs.
    pub active: Option<ActiveTurn>,
    /// The turn that ended last.
    pub last: Option<EndedTurn>,
    /// Turns that ended before it, the newest last; a bounded number of them.
    pub earlier: VecDeque<PastTurn>,
    /// Turns that have begun.
    pub count: u64,
    /// The last event that changed any of this.
    pub offset: u64,
}

/// A turn that runs.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveTurn {
    /// The turn.
    pub turn_id: Id,
    /// The message that is answered.
    pub user_message_id: Option<Id>,
    /// The answer.
    pub message_id: Option<Id>,
    /// The agent that answers.
    pub agent_id: Option<Id>,
    /// When it began, Unix milliseconds.
    pub started_at: u64,
    /// The event that began it.
    pub offset: u64,
    /// Pieces of the answer so far, and so the index of the next one.
    pub pieces: u64,
    /// The event with the newest of them.
    pub pieces_offset: Option<u64>,
}

/// A turn that ended.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedTurn {
    /// The turn.
    pub turn_id: Id,
    /// The message that was answered.
    pub user_message_id: Option<Id>,
    /// The answer, or what there is of it.
    pub message_id: Option<Id>,
    /// The agent that answered.
    pub agent_id: Option<Id>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: Option<String>,
    /// Who ended it.
    pub by: Option<Id>,
    /// What went wrong.
    pub error: Option<Fault>,
    /// When it began, Unix milliseconds.
    pub started_at: u64,
    /// When it ended, Unix milliseconds.
    pub ended_at: u64,
    /// The event that ended it.
    pub offset: u64,
}

/// What is remembered of a turn that ended a while ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastTurn {
    /// The turn.
    pub turn_id: Id,
    /// How it ended.
    pub outcome: Outcome,
    /// The event that ended it.
    pub offset: u64,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The answer is complete.
    Completed,
    /// Somebody, or what came next, stopped it.
    Interrupted,
    /// Something went wrong.
    Failed,
}

/// What an event says about the end of a turn.
struct Ending<'a> {
    outcome: Outcome,
    message_id: Option<&'a Id>,
    reason: Option<&'a str>,
    by: Option<&'a Id>,
    error: Option<&'a Fault>,
}

impl<'a> Ending<'a> {
    fn new(outcome: Outcome, message_id: Option<&'a Id>, reason: Option<&'a str>) -> Self {
        Self { outcome, message_id, reason, by: None, error: None }
    }
}

impl Projection for Turn {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "turn";
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

impl Turn {
    /// How a turn ended and by which event, if it did and is still remembered.
    #[must_use]
    pub fn ended(&self, turn_id: &Id) -> Option<PastTurn> {
        let last = self.last.as_ref().filter(|last| last.turn_id == *turn_id);
        let earlier = || self.earlier.iter().rev().find(|past| past.turn_id == *turn_id).cloned();
        last.map(EndedTurn::past).or_else(earlier)
    }

    /// Whether the event means something here.
    fn fold(&mut self, known: &KnownEvent, event: &Event<'_>) -> bool {
        match known {
            KnownEvent::TurnStarted(turn) => self.start(turn, event),
            KnownEvent::TurnCompleted(turn) => {
                let message_id = turn.message_id.as_ref();
                let end = Ending::new(Outcome::Completed, message_id, turn.reason.as_deref());
                self.end(Some(&turn.turn_id), &end, event)
            }
            KnownEvent::TurnInterrupted(turn) => {
                let message_id = turn.message_id.as_ref();
                let end = Ending::new(Outcome::Interrupted, message_id, turn.reason.as_deref());
                self.end(Some(&turn.turn_id), &Ending { by: turn.by.as_ref(), ..end }, event)
            }
            KnownEvent::TurnFailed(turn) => {
                let end = Ending::new(Outcome::Failed, turn.message_id.as_ref(), None);
                self.end(Some(&turn.turn_id), &Ending { error: Some(&turn.error), ..end }, event)
            }
            KnownEvent::SessionEnded(_) => self.stop("session ended", event),
            KnownEvent::SessionDeleted(_) => self.stop("session deleted", event),
            KnownEvent::MessageCreated(message) => self.answer(&message.0),
            KnownEvent::ChunkAppended(chunk) => self.piece(chunk, event),
            KnownEvent::MessagePartDelta(piece) => {
                let active = self.active.as_mut();
                let Some(active) = active.filter(|it| it.is_answer(&piece.message_id)) else {
                    return false;
                };
                active.grow(event);
                true
            }
            _ => false,
        }
    }

    /// A turn that began while another one ran takes its place: its writer knew of no other.
    fn start(&mut self, turn: &TurnStarted, event: &Event<'_>) -> bool {
        let again = self.active.as_ref().is_some_and(|active| active.turn_id == turn.turn_id);
        if again || self.ended(&turn.turn_id).is_some() {
            return false;
        }
        self.stop("replaced", event);
        self.count = self.count.saturating_add(1);
        self.active = Some(ActiveTurn {
            turn_id: turn.turn_id.clone(),
            user_message_id: turn.user_message_id.clone(),
            message_id: turn.message_id.clone(),
            agent_id: turn.agent_id.clone(),
            started_at: event.timestamp_ms,
            offset: event.offset,
            pieces: 0,
            pieces_offset: None,
        });
        true
    }

    fn stop(&mut self, reason: &str, event: &Event<'_>) -> bool {
        self.end(None, &Ending::new(Outcome::Interrupted, None, Some(reason)), event)
    }

    /// Ends the turn that runs, unless another one is named.
    fn end(&mut self, turn_id: Option<&Id>, ending: &Ending<'_>, event: &Event<'_>) -> bool {
        let named = |active: &mut ActiveTurn| turn_id.is_none_or(|id| active.turn_id == *id);
        let Some(turn) = self.active.take_if(named) else { return false };
        if let Some(last) = &self.last {
            self.earlier.push_back(last.past());
        }
        while self.earlier.len() >= limits::TURNS_REMEMBERED {
            self.earlier.pop_front();
        }
        self.last = Some(EndedTurn {
            turn_id: turn.turn_id,
            user_message_id: turn.user_message_id,
            message_id: ending.message_id.cloned().or(turn.message_id),
            agent_id: turn.agent_id,
            outcome: ending.outcome,
            reason: ending.reason.map(str::to_owned),
            by: ending.by.cloned(),
            error: ending.error.cloned(),
            started_at: turn.started_at,
            ended_at: event.timestamp_ms,
            offset: event.offset,
        });
        true
    }

    /// The first message of an assistant in the turn is its answer, where the turn named none.
    fn answer(&mut self, message: &MessageInfo) -> bool {
        let of_turn = |active: &&mut ActiveTurn| message.turn_id.as_ref() == Some(&active.turn_id);
        let Some(active) = self.active.as_mut().filter(of_turn) else { return false };
        if message.role != Some(Role::Assistant) || active.message_id.is_some() {
            return false;
        }
        active.message_id = Some(message.message_id.clone());
        active.agent_id = active.agent_id.take().or_else(|| message.agent_id.clone());
        true
    }

    fn piece(&mut self, chunk: &ChunkAppended, event: &Event<'_>) -> bool {
        let Some(active) = self.active.as_mut().filter(|active| active.has(chunk)) else {
            return false;
        };
        active.grow(event);
        true
    }
}

impl ActiveTurn {
    fn is_answer(&self, message_id: &Id) -> bool {
        self.message_id.as_ref() == Some(message_id)
    }

    fn has(&self, chunk: &ChunkAppended) -> bool {
        match (&chunk.turn_id, &chunk.message_id) {
            (Some(turn_id), _) => *turn_id == self.turn_id,
            (None, Some(message_id)) => self.is_answer(message_id),
            (None, None) => false,
        }
    }

    fn grow(&mut self, event: &Event<'_>) {
        self.pieces = self.pieces.saturating_add(event.pieces);
        self.pieces_offset = Some(event.offset);
    }
}

impl EndedTurn {
    fn past(&self) -> PastTurn {
        PastTurn { turn_id: self.turn_id.clone(), outcome: self.outcome, offset: self.offset }
    }
}
