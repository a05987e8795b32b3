//! What workers ask of a subscription: claim, acknowledge, give back.

use std::sync::Arc;

use super::{Refusal, SubscriptionError, Subscriptions, decide, decide::Shown, new_wake_id};
use crate::wire::subscription::Claimed;

/// Through which door an acknowledgement comes: workers that are called come back through one,
/// those that claim through the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `…/callback`.
    Callback,
    /// `…/ack`.
    Ack,
}

/// An acknowledgement as a worker sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The token.
    pub token: String,
    /// The wake.
    pub wake_id: String,
    /// Its generation.
    pub generation: u64,
    /// Streams, and the offsets up to which their records are done.
    pub acks: Vec<(Arc<str>, u64)>,
    /// The wake is over.
    pub done: bool,
}

impl Subscriptions {
    /// Claims the lease for a worker.
    ///
    /// # Errors
    /// [`SubscriptionError`]; a [`Refusal`] says who holds it, or that there is nothing to do.
    pub async fn claim(&self, id: &str, worker: &str) -> Result<Claimed, SubscriptionError> {
        let inner = &self.inner;
        let keys = inner.keys().await?;
        inner.catch_up().await?;
        let subscription = inner.find(id).await?;
        let mut held = inner.lock(&subscription).await?;
        let now_ms = inner.now_ms();
        let lapsed = decide::lapse(held.state(), now_ms);
        inner.record(&subscription, &mut held, lapsed.as_slice()).await?;
        let wake_id = new_wake_id();
        let claimed = decide::claim(held.state(), held.pending(), worker, &wake_id, now_ms);
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(refusal) => {
                inner.advance(&subscription, &mut held).await?;
                return Err(refusal.into());
            }
        };
        inner.record(&subscription, &mut held, &claimed).await?;
        let streams = held.told_now();
        let state = held.state();
        let wake_id = state.wake.as_ref().map_or(wake_id, |wake| wake.id.to_string());
        Ok(Claimed {
            wake_id,
            generation: state.generation,
            token: keys.token(id, state.salt, state.generation),
            streams,
            lease_ttl_ms: state.config.lease_ttl_ms,
        })
    }

    /// Takes an acknowledgement. Whether another wake was issued.
    ///
    /// # Errors
    /// [`SubscriptionError`]; after an error nothing is acknowledged.
    pub async fn acknowledge(
        &self,
        id: &str,
        door: Door,
        given: Acknowledgement,
    ) -> Result<bool, SubscriptionError> {
        let inner = &self.inner;
        let keys = inner.keys().await?;
        inner.catch_up().await?;
        let subscription = inner.find(id).await?;
        let mut held = inner.lock(&subscription).await?;
        match (door, held.state().is_webhook()) {
            (Door::Callback, false) => return Err(Refusal::NotWebhook.into()),
            (Door::Ack, true) => return Err(Refusal::NotPullWake.into()),
            _ => {}
        }
        let token = keys.generation(&given.token, id, held.state().salt);
        let shown = Shown { token, generation: given.generation, wake_id: given.wake_id };
        let lapsed = decide::lapse(held.state(), inner.now_ms());
        inner.record(&subscription, &mut held, lapsed.as_slice()).await?;
        let (done, now_ms) = (given.done, inner.now_ms());
        let acked = decide::ack(held.state(), held.tails(), &shown, given.acks, done, now_ms);
        let acked = match acked {
            Ok(acked) => acked,
            Err(refusal) => {
                inner.advance(&subscription, &mut held).await?;
                return Err(refusal.into());
            }
        };
        inner.record(&subscription, &mut held, &[acked]).await?;
        Ok(done && inner.advance(&subscription, &mut held).await?)
    }

    /// Gives a claim back. Where there is still something to do, another wake is issued.
    ///
    /// # Errors
    /// [`SubscriptionError`].
    pub async fn release(
        &self,
        id: &str,
        token: &str,
        wake_id: String,
        generation: u64,
    ) -> Result<(), SubscriptionError> {
        let inner = &self.inner;
        let keys = inner.keys().await?;
        inner.catch_up().await?;
        let subscription = inner.find(id).await?;
        let mut held = inner.lock(&subscription).await?;
        let lapsed = decide::lapse(held.state(), inner.now_ms());
        inner.record(&subscription, &mut held, lapsed.as_slice()).await?;
        let token = keys.generation(token, id, held.state().salt);
        let released = decide::release(held.state(), &Shown { token, generation, wake_id });
        if let Ok(released) = &released {
            let released = std::slice::from_ref(released);
            inner.record(&subscription, &mut held, released).await?;
        }
        inner.advance(&subscription, &mut held).await?;
        released.map(drop).map_err(Into::into)
    }
}
