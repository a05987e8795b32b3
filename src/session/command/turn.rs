//! What is done to the turn that runs: stop it, add to its answer, end it.
//!
//! Invariants: a turn has one end; whoever ends it starts the next message that waits.

use super::{Answer, CommandState, Decided, MakeId, Rejected, events, message::Content};
use crate::session::{
    projections::turn::{ActiveTurn, Outcome},
    vocabulary::{
        Fault, Id, KnownEvent, Tokens,
        chunks::ChunkAppended,
        message::{MessageCompleted, MessageInfo, Role},
        part::MessagePartDelta,
        turn::{TurnCompleted, TurnFailed},
    },
};

/// Stop the turn that runs. The partial answer stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interrupt {
    /// The turn. Without it, the one that runs now, whichever that is: said again, that may be
    /// the next one.
    pub turn_id: Option<Id>,
    /// Why; `interrupted` unless said.
    pub reason: Option<String>,
    /// Who stops it.
    pub by: Option<Id>,
}

impl Interrupt {
    /// Where nothing runs it is rejected: whoever stops a turn must learn that nothing was
    /// stopped, and how the last turn ended instead.
    pub(super) fn decide(
        &self,
        state: &CommandState<'_>,
        ids: MakeId<'_>,
    ) -> Result<Decided, Rejected> {
        state.exists()?;
        let active = match &self.turn_id {
            Some(turn_id) => match running(state, turn_id, Some(Outcome::Interrupted))? {
                Found::Runs(active) => active,
                Found::Ended(decided) => return Ok(decided),
            },
            None => {
                state.open()?;
                let last = state.turn.last.as_ref();
                let last = || last.map(|last| (last.turn_id.clone(), last.outcome));
                state.turn.active.as_ref().ok_or_else(|| Rejected::NothingRuns { last: last() })?
            }
        };
        let reason = self.reason.as_deref().unwrap_or("interrupted");
        let events = events::interrupt(active, reason, self.by.as_ref());
        Ok(ended(state, active, Outcome::Interrupted, events, ids))
    }
}

/// Pieces of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pieces {
    /// Texts, one after another.
    Texts(Vec<String>),
    /// Texts added to parts of the answer.
    Deltas(Vec<Delta>),
}

/// A text that is added to a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The part.
    pub part_id: Id,
    /// The field of the part that grows; `text` unless said.
    pub field: Option<String>,
    /// What is added.
    pub delta: String,
}

/// Add pieces to the answer of the turn that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunks {
    /// The turn.
    pub turn_id: Id,
    /// The index of the first piece, counted from 0 within the turn. With it, pieces that are
    /// there already are passed over; without it, all are added.
    pub index: Option<u64>,
    /// The pieces.
    pub pieces: Pieces,
}

impl Chunks {
    pub(super) fn decide(
        &self,
        state: &CommandState<'_>,
        ids: MakeId<'_>,
    ) -> Result<Decided, Rejected> {
        state.exists()?;
        let active = match running(state, &self.turn_id, None)? {
            Found::Runs(active) => active,
            Found::Ended(decided) => return Ok(decided),
        };
        let given = self.index.unwrap_or(active.pieces);
        let Some(known) = active.pieces.checked_sub(given) else {
            return Err(Rejected::PieceMissing { next: active.pieces, given });
        };
        let skip = usize::try_from(known).unwrap_or(usize::MAX);
        let mut events = Vec::new();
        let added = match &self.pieces {
            Pieces::Texts(texts) => {
                let new = (active.pieces..).zip(texts.iter().skip(skip));
                events.extend(new.map(|(index, text)| chunk(active, index, text)));
                events.len()
            }
            Pieces::Deltas(deltas) => {
                let new = deltas.get(skip..).unwrap_or_default();
                if !new.is_empty() {
                    let (message_id, made) = answer_of(state, active, ids);
                    events.extend(made);
                    events.extend(new.iter().map(|delta| part_delta(&message_id, delta)));
                }
                new.len()
            }
        };
        let added = u64::try_from(added).unwrap_or(u64::MAX);
        let next = active.pieces.saturating_add(added);
        let answer = Answer::Chunked { turn_id: self.turn_id.clone(), next };
        if events.is_empty() {
            return Ok(Decided::stands(answer, active.pieces_offset.unwrap_or(active.offset)));
        }
        Ok(Decided::write(events, answer))
    }
}

fn chunk(active: &ActiveTurn, index: u64, text: &str) -> KnownEvent {
    KnownEvent::ChunkAppended(ChunkAppended {
        agent_id: active.agent_id.clone(),
        turn_id: Some(active.turn_id.clone()),
        turn: None,
        message_id: active.message_id.clone(),
        index: Some(index),
        text: text.to_owned(),
        other: serde_json::Map::new(),
    })
}

fn part_delta(message_id: &Id, delta: &Delta) -> KnownEvent {
    KnownEvent::MessagePartDelta(MessagePartDelta {
        message_id: message_id.clone(),
        part_id: delta.part_id.clone(),
        field: delta.field.clone(),
        delta: delta.delta.clone(),
    })
}

/// End the turn that runs with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Complete {
    /// The turn.
    pub turn_id: Id,
    /// The whole answer: it stands for all pieces before.
    pub content: Option<Content>,
    /// Why the model stopped.
    pub finish: Option<String>,
    /// Tokens it took.
    pub tokens: Option<Tokens>,
    /// What it cost, in dollars.
    pub cost: Option<f64>,
}

impl Complete {
    pub(super) fn decide(
        &self,
        state: &CommandState<'_>,
        ids: MakeId<'_>,
    ) -> Result<Decided, Rejected> {
        const OUTCOME: Outcome = Outcome::Completed;
        state.exists()?;
        let active = match running(state, &self.turn_id, Some(OUTCOME))? {
            Found::Runs(active) => active,
            Found::Ended(decided) => return Ok(decided),
        };
        let (message_id, made) = answer_of(state, active, ids);
        let mut events: Vec<_> = made.into_iter().collect();
        events.push(KnownEvent::MessageCompleted(MessageCompleted(MessageInfo {
            role: Some(Role::Assistant),
            turn_id: Some(self.turn_id.clone()),
            content: self.content.as_ref().and_then(Content::text),
            parts: self.content.as_ref().and_then(Content::parts),
            finish: self.finish.clone(),
            cost: self.cost.filter(|cost| cost.is_finite()),
            tokens: self.tokens.clone(),
            ..events::message(message_id.clone())
        })));
        events.push(KnownEvent::TurnCompleted(TurnCompleted {
            turn_id: self.turn_id.clone(),
            message_id: Some(message_id),
            reason: Some("completed".to_owned()),
        }));
        Ok(ended(state, active, OUTCOME, events, ids))
    }
}

/// End the turn that runs with an error. The partial answer stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Fail {
    /// The turn.
    pub turn_id: Id,
    /// What went wrong.
    pub error: Fault,
}

impl Fail {
    pub(super) fn decide(
        &self,
        state: &CommandState<'_>,
        ids: MakeId<'_>,
    ) -> Result<Decided, Rejected> {
        const OUTCOME: Outcome = Outcome::Failed;
        state.exists()?;
        let active = match running(state, &self.turn_id, Some(OUTCOME))? {
            Found::Runs(active) => active,
            Found::Ended(decided) => return Ok(decided),
        };
        let failed = KnownEvent::TurnFailed(TurnFailed {
            turn_id: self.turn_id.clone(),
            message_id: active.message_id.clone(),
            error: self.error.clone(),
        });
        let partial = events::partial(active, Some(&self.error));
        Ok(ended(state, active, OUTCOME, partial.into_iter().chain([failed]).collect(), ids))
    }
}

/// A turn that a command names.
enum Found<'a> {
    /// It runs.
    Runs(&'a ActiveTurn),
    /// It has ended as the command wants it.
    Ended(Decided),
}

/// The turn of this id, unless it is over and not in the way that is wanted.
fn running<'a>(
    state: &CommandState<'a>,
    turn_id: &Id,
    wanted: Option<Outcome>,
) -> Result<Found<'a>, Rejected> {
    if let Some(active) = state.turn.active.as_ref().filter(|it| it.turn_id == *turn_id) {
        return Ok(Found::Runs(active));
    }
    let turn_id = turn_id.clone();
    if let Some(past) = state.turn.ended(&turn_id) {
        let (outcome, offset) = (past.outcome, past.offset);
        return if wanted == Some(outcome) {
            Ok(Found::Ended(Decided::stands(Answer::TurnEnded { turn_id, outcome }, offset)))
        } else {
            Err(Rejected::TurnEnded { turn_id, outcome, offset })
        };
    }
    state.open()?;
    let waits = state.queue.messages.iter().any(|it| it.turn_id.as_ref() == Some(&turn_id));
    let rejected = if waits {
        Rejected::TurnNotStarted { turn_id }
    } else {
        Rejected::TurnNotFound { turn_id }
    };
    Err(rejected)
}

/// The answer of a turn, and the event that begins it where there was none.
fn answer_of(
    state: &CommandState<'_>,
    active: &ActiveTurn,
    ids: MakeId<'_>,
) -> (Id, Option<KnownEvent>) {
    match &active.message_id {
        Some(message_id) => (message_id.clone(), None),
        None => {
            let id = ids();
            (id.clone(), Some(events::late_answer(state, active, id)))
        }
    }
}

/// The end of a turn, and what comes after it.
fn ended(
    state: &CommandState<'_>,
    active: &ActiveTurn,
    outcome: Outcome,
    mut events: Vec<KnownEvent>,
    ids: MakeId<'_>,
) -> Decided {
    events.extend(events::next(state, ids));
    Decided::write(events, Answer::TurnEnded { turn_id: active.turn_id.clone(), outcome })
}
