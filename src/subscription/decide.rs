//! What may happen to a subscription, decided from its state, the tails of its streams and the
//! time (protocol, section 7). Pure: each decision is the event to record, or why there is none.
//!
//! Invariant: an acknowledgement counts only for the wake in flight, under its generation, before
//! its lease has ended.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    error::{AckRefused, Refusal},
    event::Event,
    state::{Retry, State},
};
use crate::limits;

/// Tails of the streams that a subscription follows, as far as they exist.
pub type Tails = BTreeMap<Arc<str>, u64>;

/// What a worker shows of the wake it works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Generation of its token; `None` where the token is not the subscription's.
    pub token: Option<u64>,
    /// The generation it names.
    pub generation: u64,
    /// The wake it names.
    pub wake_id: String,
}

/// A new wake, if there is anything to wake for and none is in flight. `pending` names streams
/// with their tails.
#[must_use]
pub fn wake(
    state: &State,
    pending: impl Iterator<Item = (Arc<str>, u64)>,
    wake_id: &str,
    now_ms: u64,
) -> Option<Event> {
    let must_wait = state.retry.is_some_and(|retry| retry.next_ms > now_ms);
    if must_wait { None } else { issue(state, pending, wake_id, now_ms) }
}

fn issue(
    state: &State,
    pending: impl Iterator<Item = (Arc<str>, u64)>,
    wake_id: &str,
    now_ms: u64,
) -> Option<Event> {
    if state.wake.is_some() {
        return None;
    }
    let mut bytes = 0;
    let fits = |(path, _): &(Arc<str>, u64)| {
        bytes += path.len();
        bytes <= limits::WAKE_PATH_BYTES_MAX
    };
    let mut tails: Vec<_> = pending.take(limits::WAKE_STREAMS_MAX).take_while(fits).collect();
    let stream = Arc::clone(&tails.first()?.0);
    let lease_ms = state.is_webhook().then(|| lease(state, now_ms));
    if !state.is_webhook() {
        tails.clear();
    }
    let generation = state.generation + 1;
    Some(Event::Woken { wake_id: Arc::from(wake_id), generation, stream, tails, lease_ms })
}

/// The end of a lease, if its time has come.
#[must_use]
pub fn lapse(state: &State, now_ms: u64) -> Option<Event> {
    let ends_ms = state.wake.as_ref()?.lease_ms?;
    let Retry { attempts, next_ms } = state.retry.unwrap_or(Retry { attempts: 0, next_ms: 0 });
    (ends_ms <= now_ms).then_some(Event::Lapsed { attempts, next_ms })
}

/// The end of a wake that nobody works on and that has nothing to do any more: the next records
/// have a wake of their own.
#[must_use]
pub fn moot(state: &State, has_pending: bool) -> Option<Event> {
    let wake = state.wake.as_ref()?;
    let is_moot = !state.is_webhook() && wake.holder.is_none() && !has_pending;
    is_moot.then_some(Event::Released)
}

/// Whether the wake in flight is to be sent now.
#[must_use]
pub fn goes_out(state: &State, now_ms: u64) -> bool {
    let must_wait = state.retry.is_some_and(|retry| retry.next_ms > now_ms);
    state.wake.as_ref().is_some_and(|wake| {
        let again = wake.again_ms.is_some_and(|again_ms| again_ms <= now_ms);
        wake.holder.is_none() && !must_wait && (!wake.delivered || again)
    })
}

/// A worker's claim: the lease, on the wake in flight or on a new one.
///
/// # Errors
/// Somebody else holds it, there is nothing to do, or workers of this subscription are called.
pub fn claim(
    state: &State,
    pending: impl Iterator<Item = (Arc<str>, u64)>,
    worker: &str,
    wake_id: &str,
    now_ms: u64,
) -> Result<Vec<Event>, Refusal> {
    if state.is_webhook() {
        return Err(Refusal::NotPullWake);
    }
    if let Some(holder) = state.wake.as_ref().and_then(|wake| wake.holder.clone()) {
        return Err(Refusal::Claimed { holder, generation: state.generation });
    }
    let mut pending = pending.peekable();
    if pending.peek().is_none() {
        return Err(Refusal::NothingPending);
    }
    // A worker that asks need not be woken: a wake that is still to go out goes out no more.
    let claimed = Event::Claimed { worker: Arc::from(worker), lease_ms: lease(state, now_ms) };
    Ok(issue(state, pending, wake_id, now_ms).into_iter().chain([claimed]).collect())
}

/// A worker's acknowledgement, which also keeps its lease or (with `done`) ends its wake.
///
/// # Errors
/// It is not about the wake in flight, or an offset is none to acknowledge.
pub fn ack(
    state: &State,
    tails: &Tails,
    shown: &Shown,
    acks: Vec<(Arc<str>, u64)>,
    done: bool,
    now_ms: u64,
) -> Result<Event, Refusal> {
    check(state, shown)?;
    let replaced = state.wake.as_ref().map(|wake| &wake.replaced);
    let is_same = |path: &Arc<str>| replaced.is_none_or(|replaced| !replaced.contains(path));
    let acks: Vec<_> = acks.into_iter().filter(|(path, _)| is_same(path)).collect();
    for (path, offset) in &acks {
        let refused = |reason| Err(Refusal::Ack { stream: Arc::clone(path), reason });
        let Some(link) = state.links.get(path) else { return refused(AckRefused::NotFollowed) };
        let tail = tails.get(path).copied().unwrap_or(0);
        if *offset < link.acked {
            return refused(AckRefused::Back { acked: link.acked });
        }
        if *offset > tail {
            return refused(AckRefused::Beyond { tail });
        }
    }
    let lease_ms = (!done).then(|| lease(state, now_ms));
    Ok(Event::Acked { acks, lease_ms, done })
}

/// A worker gives its claim back.
///
/// # Errors
/// It is not about the wake in flight, or workers of this subscription are called.
pub fn release(state: &State, shown: &Shown) -> Result<Event, Refusal> {
    if state.is_webhook() {
        return Err(Refusal::NotPullWake);
    }
    check(state, shown)?;
    Ok(Event::Released)
}

/// What is recorded before a wake goes out (again).
#[must_use]
pub fn send(state: &State, now_ms: u64) -> Option<Event> {
    let lease_ms = state.is_webhook().then(|| lease(state, now_ms));
    state.retry.map(|_| Event::Retried { lease_ms })
}

/// What comes of a wake that arrived. Where the worker is done at once, all that the wake named
/// is acknowledged.
#[must_use]
pub fn arrived(state: &State, wake_id: &str, is_done: bool, now_ms: u64) -> Option<Event> {
    let wake = state.wake.as_ref().filter(|wake| &*wake.id == wake_id)?;
    if is_done {
        return Some(Event::Acked { acks: wake.tails.clone(), lease_ms: None, done: true });
    }
    if state.is_webhook() {
        return (!wake.delivered).then_some(Event::Delivered);
    }
    let lease = Duration::from_millis(state.config.lease_ttl_ms);
    let wait = lease.saturating_mul(2_u32.saturating_pow(wake.announced));
    let wait = wait.max(limits::LEASE_DEFAULT).min(limits::WAKE_AGAIN_MAX);
    let again_ms = now_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    wake.holder.is_none().then_some(Event::Announced { again_ms })
}

/// What comes of a wake that did not arrive. `chance`, from 0 to 1, spreads the tries of many
/// subscriptions.
#[must_use]
pub fn missed(
    state: &State,
    wake_id: &str,
    lapsed: bool,
    chance: f64,
    now_ms: u64,
) -> Option<Event> {
    // A worker that has called back has it, whatever became of the answer.
    let wake = state.wake.as_ref().filter(|wake| &*wake.id == wake_id && wake.holder.is_none())?;
    if wake.delivered && wake.again_ms.is_none() {
        return None;
    }
    let attempts = state.retry.map_or(0, |retry| retry.attempts).saturating_add(1);
    let next_ms = now_ms.saturating_add(backoff_ms(attempts, chance));
    Some(if lapsed {
        Event::Lapsed { attempts, next_ms }
    } else {
        Event::Failed { attempts, next_ms }
    })
}

/// How long to wait after so many failures in a row: twice as long each time, a fifth more or
/// less by chance (protocol, section 7.1).
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a minute of milliseconds is exact, and no chance makes it negative"
)]
pub fn backoff_ms(attempts: u32, chance: f64) -> u64 {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    let span = limits::WAKE_RETRY_FIRST.saturating_mul(doubled).min(limits::WAKE_RETRY_MAX);
    let spread = 0.8 + 0.4 * chance.clamp(0.0, 1.0);
    (span.as_millis() as f64 * spread).round() as u64
}

/// When a subscription wants to be looked at: a wake is to go out, or a lease ends.
#[must_use]
pub fn due_ms(state: &State, has_pending: bool, in_flight: bool) -> u64 {
    let retry_ms = state.retry.map_or(0, |retry| retry.next_ms);
    match &state.wake {
        _ if in_flight => u64::MAX,
        None if has_pending => retry_ms,
        None => u64::MAX,
        Some(_) if moot(state, has_pending).is_some() => 0,
        Some(wake) if !wake.delivered => retry_ms,
        Some(wake) => {
            let again_ms = wake.again_ms.map_or(u64::MAX, |again_ms| again_ms.max(retry_ms));
            again_ms.min(wake.lease_ms.unwrap_or(u64::MAX))
        }
    }
}

fn lease(state: &State, now_ms: u64) -> u64 {
    now_ms.saturating_add(state.config.lease_ttl_ms)
}

/// The four things that must hold (protocol, section 7.3).
fn check(state: &State, shown: &Shown) -> Result<(), Refusal> {
    let Some(token) = shown.token else { return Err(Refusal::Token) };
    let is_current = state.wake.as_ref().is_some_and(|wake| *wake.id == *shown.wake_id)
        && token == state.generation
        && shown.generation == state.generation;
    if is_current { Ok(()) } else { Err(Refusal::Fenced { generation: state.generation }) }
}
