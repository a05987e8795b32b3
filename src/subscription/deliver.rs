//! Wakes on their way to workers: requests to webhooks and records on wake streams, sent when they
//! are due and tried again when they did not arrive.
//!
//! Invariant: a wake goes out after it is durable, and at most one of a subscription at a time.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};

use super::{
    Answer, Delivery, Inner, Missed, Request, SubscriptionError, Subscriptions, decide,
    held::{Held, Subscription},
};
use crate::{
    limits,
    log::{Append, JSON, NewRecord, StreamPath},
    wire::{
        paths,
        subscription::{WakeAnswer, WakeBody, WakeRecord},
    },
};

/// A wake that goes out.
struct Outgoing {
    subscription: Arc<Subscription>,
    wake_id: Arc<str>,
    message: Message,
}

enum Message {
    /// To a webhook, within its lease.
    Request(Request, Duration),
    /// To a wake stream.
    Record(Arc<str>, Bytes),
}

/// A wake that went out.
struct Sent {
    subscription: Arc<Subscription>,
    wake_id: Arc<str>,
    outcome: Outcome,
}

/// What became of it.
enum Outcome {
    /// It arrived; the worker may be done at once.
    Arrived { is_done: bool },
    /// It did not.
    Missed { reason: String, lapsed: bool },
}

impl Subscriptions {
    /// Wakes workers for ever; the server runs it as a task and stops it by dropping it.
    pub async fn run(self) {
        let inner = &*self.inner;
        let mut sending = FuturesUnordered::new();
        loop {
            let has_room = sending.len() < limits::WAKES_IN_FLIGHT_MAX;
            tokio::select! {
                () = inner.log.touched().moved() => {}
                () = inner.changed.notified() => {}
                // IMPORTANT: what is being sent holds no lock, because it stands still while
                // this loop does anything else; what became of it is recorded here.
                Some(sent) = sending.next(), if !sending.is_empty() => inner.sent(sent).await,
                () = inner.until_due(), if has_room => {}
            }
            if let Err(error) = inner.catch_up().await {
                tracing::warn!(%error, "subscriptions wait: the log does not take part");
                inner.log.clock().sleep(limits::SUBSCRIPTION_PAUSE).await;
                continue;
            }
            let room = limits::WAKES_IN_FLIGHT_MAX - sending.len();
            for outgoing in inner.due(room).await {
                sending.push(inner.send(outgoing));
            }
        }
    }
}

impl Inner {
    /// Completes when a subscription is to be looked at.
    async fn until_due(&self) {
        let due_ms = self.known.read().values().map(|known| known.due_ms()).min();
        let wait_ms = due_ms.unwrap_or(u64::MAX).saturating_sub(self.now_ms());
        // What changes meanwhile is told; this only bounds what a clock is asked for.
        let wait = Duration::from_millis(wait_ms).min(limits::LEASE_MAX);
        self.log.clock().sleep(wait).await;
    }

    /// Looks at the subscriptions whose time has come, and takes up to `room` wakes from them.
    async fn due(&self, room: usize) -> Vec<Outgoing> {
        let now_ms = self.now_ms();
        let mut outgoing = Vec::new();
        for subscription in self.all() {
            if subscription.due_ms() > now_ms || outgoing.len() == room {
                continue;
            }
            match self.step(&subscription).await {
                Ok(next) => outgoing.extend(next),
                Err(SubscriptionError::NotFound(_)) => {}
                Err(error) => {
                    tracing::warn!(subscription = &*subscription.id, %error, "a wake has to wait");
                    let mut held = subscription.held.lock().await;
                    let pause_ms = u64::try_from(limits::SUBSCRIPTION_PAUSE.as_millis());
                    held.pause_ms = self.now_ms().saturating_add(pause_ms.unwrap_or(u64::MAX));
                    subscription.note_due(&held);
                }
            }
        }
        outgoing
    }

    /// Ends what has lapsed, issues a wake if there is something to do, and takes it along if it
    /// is to go out.
    async fn step(
        &self,
        subscription: &Arc<Subscription>,
    ) -> Result<Option<Outgoing>, SubscriptionError> {
        let mut held = self.lock(subscription).await?;
        self.advance(subscription, &mut held).await?;
        let now_ms = self.now_ms();
        let state = held.state();
        let Some(wake) = state.wake.as_ref().filter(|wake| !wake.delivered) else {
            return Ok(None);
        };
        let must_wait = state.retry.is_some_and(|retry| retry.next_ms > now_ms);
        if must_wait || held.in_flight.as_ref() == Some(&wake.id) {
            return Ok(None);
        }
        let wake_id = Arc::clone(&wake.id);
        let again = decide::send(state, now_ms);
        self.record(subscription, &mut held, again.as_slice()).await?;
        let message = self.message(subscription, &held, &wake_id).await?;
        held.in_flight = Some(Arc::clone(&wake_id));
        subscription.note_due(&held);
        let subscription = Arc::clone(subscription);
        Ok(Some(Outgoing { subscription, wake_id, message }))
    }

    async fn message(
        &self,
        subscription: &Subscription,
        held: &Held,
        wake_id: &str,
    ) -> Result<Message, SubscriptionError> {
        let (id, state) = (&*subscription.id, held.state());
        let stream = state.wake.as_ref().map(|wake| &*wake.stream).unwrap_or_default();
        match &state.config.delivery {
            Delivery::PullWake { wake_stream } => {
                let (generation, ts) = (state.generation, self.now_ms());
                let kind = "wake";
                let record =
                    WakeRecord { kind, id: wake_id, subscription_id: id, stream, generation, ts };
                Ok(Message::Record(Arc::clone(wake_stream), text(&record)))
            }
            Delivery::Webhook { url } => {
                let keys = self.keys().await?;
                let base = self.settings.public_url.as_deref().unwrap_or_default();
                let body = text(&WakeBody {
                    subscription_id: id,
                    wake_id,
                    generation: state.generation,
                    streams: held.followed_by_wake(limits::WAKE_STREAMS_MAX),
                    callback_url: &format!("{base}{}", paths::callback(id)),
                    callback_token: &keys.token(id, state.salt, state.generation),
                });
                let signature = keys.sign(&body, self.now_ms() / 1_000);
                let request = Request { url: Arc::clone(url), body, signature };
                Ok(Message::Request(request, Duration::from_millis(state.config.lease_ttl_ms)))
            }
        }
    }

    /// Sends a wake.
    async fn send(&self, outgoing: Outgoing) -> Sent {
        let Outgoing { subscription, wake_id, message } = outgoing;
        let outcome = match message {
            Message::Request(request, lease) => self.call(request, lease).await,
            Message::Record(stream, record) => self.write(&stream, &wake_id, record).await,
        };
        Sent { subscription, wake_id, outcome }
    }

    /// Records what became of a wake.
    async fn sent(&self, Sent { subscription, wake_id, outcome }: Sent) {
        match self.conclude(&subscription, &wake_id, outcome).await {
            Ok(()) | Err(SubscriptionError::NotFound(_)) => {}
            Err(error) => {
                tracing::warn!(subscription = &*subscription.id, %error, "a wake goes out again");
            }
        }
    }

    async fn call(&self, request: Request, lease: Duration) -> Outcome {
        tokio::select! {
            answer = self.post.post(request) => answered(answer),
            () = self.log.clock().sleep(lease) => {
                Outcome::Missed { reason: "no answer within the lease".to_owned(), lapsed: true }
            }
        }
    }

    async fn write(&self, stream: &str, wake_id: &str, payload: Bytes) -> Outcome {
        let missed = |reason: String| Outcome::Missed { reason, lapsed: false };
        let path = match StreamPath::parse(stream) {
            Ok(path) => path,
            Err(error) => return missed(error.to_string()),
        };
        // Written again after a crash, it is known by its id and is there once.
        let record = NewRecord { id: Some(Arc::from(wake_id)), payload };
        let append = Append {
            records: [record].into_iter().collect(),
            content_type: Some(Arc::from(JSON)),
            ..Append::default()
        };
        match self.log.append(&path, append).await {
            Ok(_) => Outcome::Arrived { is_done: false },
            Err(error) => missed(error.to_string()),
        }
    }

    async fn conclude(
        &self,
        subscription: &Subscription,
        wake_id: &Arc<str>,
        outcome: Outcome,
    ) -> Result<(), SubscriptionError> {
        {
            let mut held = subscription.held.lock().await;
            if held.in_flight.as_ref() == Some(wake_id) {
                held.in_flight = None;
            }
            subscription.note_due(&held);
        }
        let mut held = self.lock(subscription).await?;
        let event = match outcome {
            Outcome::Arrived { is_done } => decide::arrived(held.state(), wake_id, is_done),
            Outcome::Missed { reason, lapsed } => {
                tracing::debug!(subscription = &*subscription.id, reason, "a wake did not arrive");
                self.log.metrics().wakes_missed.inc();
                let chance = rand::random();
                decide::missed(held.state(), wake_id, lapsed, chance, self.now_ms())
            }
        };
        self.record(subscription, &mut held, event.as_slice()).await?;
        self.advance(subscription, &mut held).await?;
        Ok(())
    }
}

fn answered(answer: Result<Answer, Missed>) -> Outcome {
    match answer {
        Ok(answer) if (200..300).contains(&answer.status) => {
            let said = serde_json::from_slice::<WakeAnswer>(&answer.body);
            Outcome::Arrived { is_done: said.is_ok_and(|said| said.done) }
        }
        Ok(answer) => {
            Outcome::Missed { reason: format!("status {}", answer.status), lapsed: false }
        }
        Err(missed) => Outcome::Missed { reason: missed.to_string(), lapsed: false },
    }
}

/// JSON of a body, none of which has anything that JSON cannot say.
fn text(body: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(body).unwrap_or_default().into()
}
