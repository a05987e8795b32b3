//! Runs of events that several commands write: a turn begins, the next one begins, all stops.
//!
//! Invariant: what ends a turn is followed by what begins the next one, in the same append.

use super::{CommandState, MakeId};
use crate::session::{
    projections::{queue::QueuedMessage, turn::ActiveTurn},
    vocabulary::{
        Fault, Id, KnownEvent,
        message::{MessageCreated, MessageInfo, MessageUpdated, Role},
        queue::QueueRemoved,
        turn::{TurnInterrupted, TurnStarted},
    },
};

/// A message of which nothing is known but its id.
pub(super) fn message(message_id: Id) -> MessageInfo {
    MessageInfo {
        message_id,
        role: None,
        turn_id: None,
        user_id: None,
        agent_id: None,
        parent_id: None,
        model: None,
        provider: None,
        content: None,
        parts: None,
        finish: None,
        partial: None,
        interrupted: None,
        error: None,
        cost: None,
        tokens: None,
        time: None,
        created_at: None,
        updated_at: None,
        other: serde_json::Map::new(),
    }
}

/// A turn begins, with an empty answer.
pub(super) fn begin(
    state: &CommandState<'_>,
    turn_id: Id,
    user_message_id: Id,
    ids: MakeId<'_>,
) -> [KnownEvent; 2] {
    let started = TurnStarted {
        turn_id,
        user_message_id: Some(user_message_id),
        message_id: Some(ids()),
        agent_id: agent_of(state),
    };
    let answer = empty_answer(state, &started);
    [KnownEvent::TurnStarted(started), answer]
}

/// The next message that waits is answered, if there is one.
pub(super) fn next(state: &CommandState<'_>, ids: MakeId<'_>) -> Vec<KnownEvent> {
    let Some(queued) = state.queue.messages.front() else { return Vec::new() };
    let fresh = queued.turn_id.clone().filter(|turn_id| !is_used(state, turn_id));
    let turn_id = fresh.unwrap_or_else(&mut *ids);
    let removed = removed(queued, Some(&turn_id), "started", None);
    let [started, answer] = begin(state, turn_id, queued.message_id.clone(), ids);
    vec![removed, started, answer]
}

/// A turn begins once, whatever the one who queued its message said.
fn is_used(state: &CommandState<'_>, turn_id: &Id) -> bool {
    let runs = state.turn.active.as_ref().is_some_and(|active| active.turn_id == *turn_id);
    runs || state.turn.ended(turn_id).is_some()
}

/// A message waits no longer.
pub(super) fn removed(
    queued: &QueuedMessage,
    turn_id: Option<&Id>,
    reason: &str,
    by: Option<&Id>,
) -> KnownEvent {
    KnownEvent::QueueRemoved(QueueRemoved {
        message_id: queued.message_id.clone(),
        turn_id: turn_id.or(queued.turn_id.as_ref()).cloned(),
        reason: Some(reason.to_owned()),
        by: by.cloned(),
    })
}

/// The answer of a turn that named none begins.
pub(super) fn late_answer(state: &CommandState<'_>, active: &ActiveTurn, id: Id) -> KnownEvent {
    let started = TurnStarted {
        turn_id: active.turn_id.clone(),
        user_message_id: active.user_message_id.clone(),
        message_id: Some(id),
        agent_id: active.agent_id.clone().or_else(|| agent_of(state)),
    };
    empty_answer(state, &started)
}

fn empty_answer(state: &CommandState<'_>, turn: &TurnStarted) -> KnownEvent {
    let id = turn.message_id.clone().unwrap_or_else(|| turn.turn_id.clone());
    KnownEvent::MessageCreated(MessageCreated(MessageInfo {
        role: Some(Role::Assistant),
        turn_id: Some(turn.turn_id.clone()),
        agent_id: turn.agent_id.clone(),
        parent_id: turn.user_message_id.clone(),
        model: state.session.model.clone(),
        provider: state.session.provider.clone(),
        ..message(id)
    }))
}

fn agent_of(state: &CommandState<'_>) -> Option<Id> {
    state.session.agent.as_deref().and_then(Id::new)
}

/// What there is of the answer stays, and says that it is not whole.
pub(super) fn partial(active: &ActiveTurn, error: Option<&Fault>) -> Option<KnownEvent> {
    let id = active.message_id.clone()?;
    Some(KnownEvent::MessageUpdated(MessageUpdated(MessageInfo {
        role: Some(Role::Assistant),
        turn_id: Some(active.turn_id.clone()),
        partial: Some(true),
        interrupted: error.is_none().then_some(true),
        error: error.cloned(),
        ..message(id)
    })))
}

/// A turn is stopped.
pub(super) fn interrupt(active: &ActiveTurn, reason: &str, by: Option<&Id>) -> Vec<KnownEvent> {
    let interrupted = KnownEvent::TurnInterrupted(TurnInterrupted {
        turn_id: active.turn_id.clone(),
        message_id: active.message_id.clone(),
        reason: Some(reason.to_owned()),
        by: by.cloned(),
    });
    partial(active, None).into_iter().chain([interrupted]).collect()
}

/// The turn that runs is stopped, and nothing waits any more.
pub(super) fn stop_all(state: &CommandState<'_>, reason: &str, by: Option<&Id>) -> Vec<KnownEvent> {
    let active = state.turn.active.as_ref();
    let mut events = active.map(|active| interrupt(active, reason, by)).unwrap_or_default();
    let waiting = state.queue.messages.iter();
    events.extend(waiting.map(|queued| removed(queued, None, reason, by)));
    events
}
