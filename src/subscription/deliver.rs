//! Wakes on their way to workers: requests to webhooks and records on wake streams, sent when they
//! are due and tried again when they did not arrive.
//!
//! Invariant: a wake goes out after it is durable, and at most one of a subscription at a time.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use parking_lot::Mutex as Lock;
use tokio_util::sync::CancellationToken;

use super::{
    Answer, Delivery, Inner, Missed, Request, SubscriptionError, Subscriptions, decide,
    held::{Held, InFlight, Outcome, Subscription},
    state::Wake,
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
    over: CancellationToken,
}

enum Message {
    /// To a webhook, within its lease.
    Request(Request, Duration),
    /// To a wake stream.
    Record(Arc<str>, NewRecord),
}

/// A wake that went out.
struct Sent {
    subscription: Arc<Subscription>,
    wake_id: Arc<str>,
    outcome: Outcome,
}

impl Subscriptions {
    /// Wakes workers for ever; the server runs it as a task and stops it by dropping it.
    pub async fn run(self) {
        let inner = &*self.inner;
        let mut sending = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = inner.log.touched().moved() => {}
                () = inner.changed.notified() => {}
                // IMPORTANT: what is being sent holds no lock, because it stands still while
                // this loop does anything else; what became of it is recorded here.
                Some(sent) = sending.next(), if !sending.is_empty() => inner.sent(sent).await,
                () = inner.until_due() => {}
            }
            if let Err(error) = inner.catch_up().await {
                tracing::warn!(%error, "subscriptions wait: the log does not take part");
                inner.log.clock().sleep(limits::SUBSCRIPTION_PAUSE).await;
                continue;
            }
            // One of each subscription at most, and so no more than there are subscriptions.
            for outgoing in inner.due().await {
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

    /// Looks at the subscriptions whose time has come, and takes wakes from them.
    async fn due(&self) -> Vec<Outgoing> {
        let now_ms = self.now_ms();
        let due = self.all().into_iter().filter(|known| known.due_ms() <= now_ms);
        let due: Vec<_> = due.collect();
        let outgoing = Arc::new(Lock::new(Vec::new()));
        let step = |known: Arc<Subscription>| {
            let outgoing = Arc::clone(&outgoing);
            let step = async move {
                let next = self.step(&known).await?;
                outgoing.lock().extend(next);
                Ok(())
            };
            step.boxed()
        };
        self.each(due, step).await;
        let mut outgoing = outgoing.lock();
        std::mem::take(&mut *outgoing)
    }

    /// Ends what has lapsed, issues a wake if there is something to do, and takes it along if it
    /// is to go out.
    async fn step(
        &self,
        subscription: &Arc<Subscription>,
    ) -> Result<Option<Outgoing>, SubscriptionError> {
        let mut held = self.lock(subscription).await?;
        self.note_outcome(subscription, &mut held).await?;
        self.advance(subscription, &mut held).await?;
        let now_ms = self.now_ms();
        if held.in_flight.is_some() || !decide::goes_out(held.state(), now_ms) {
            return Ok(None);
        }
        let again = decide::send(held.state(), now_ms);
        self.record(subscription, &mut held, again.as_slice()).await?;
        let Some(wake) = held.state().wake.clone() else { return Ok(None) };
        let message = self.message(subscription, &mut held, &wake).await?;
        let over = CancellationToken::new();
        let wake_id = Arc::clone(&wake.id);
        held.in_flight = Some(InFlight { wake_id: Arc::clone(&wake_id), over: over.clone() });
        subscription.note_due(&held);
        let subscription = Arc::clone(subscription);
        Ok(Some(Outgoing { subscription, wake_id, message, over }))
    }

    async fn message(
        &self,
        subscription: &Subscription,
        held: &mut Held,
        wake: &Wake,
    ) -> Result<Message, SubscriptionError> {
        let id = &*subscription.id;
        let (generation, salt) = (held.state().generation, held.state().salt);
        let config = &subscription.config;
        match &config.delivery {
            Delivery::PullWake { wake_stream } => {
                let (kind, stream, ts) = ("wake", &*wake.stream, self.now_ms());
                // Written again after a crash, it is known by its id and is there once.
                let times = wake.announced;
                let name =
                    if times == 0 { wake.id.to_string() } else { format!("{}.{times}", wake.id) };
                let record =
                    WakeRecord { kind, id: &name, subscription_id: id, stream, generation, ts };
                let payload = text(&record);
                let record = NewRecord { id: Some(Arc::from(name)), payload };
                Ok(Message::Record(Arc::clone(wake_stream), record))
            }
            Delivery::Webhook { url } => {
                let keys = self.keys().await?;
                let base = self.settings.public_url.as_deref().unwrap_or_default();
                let body = text(&WakeBody {
                    subscription_id: id,
                    wake_id: &wake.id,
                    generation,
                    streams: held.told_by_wake(),
                    callback_url: &format!("{base}{}", paths::callback(id)),
                    callback_token: &keys.token(id, salt, generation),
                });
                let signature = keys.sign(&body, self.now_ms() / 1_000);
                let request = Request { url: Arc::clone(url), body, signature };
                Ok(Message::Request(request, Duration::from_millis(config.lease_ttl_ms)))
            }
        }
    }

    /// Sends a wake, as long as it is not over.
    async fn send(&self, outgoing: Outgoing) -> Sent {
        let Outgoing { subscription, wake_id, message, over } = outgoing;
        let sending = async {
            match message {
                Message::Request(request, lease) => self.call(request, lease).await,
                Message::Record(stream, record) => self.write(&stream, record).await,
            }
        };
        let outcome = over.run_until_cancelled(sending).await.unwrap_or(Outcome::Over);
        Sent { subscription, wake_id, outcome }
    }

    /// Records what became of a wake.
    async fn sent(&self, Sent { subscription, wake_id, outcome }: Sent) {
        {
            let mut held = subscription.held.lock().await;
            held.in_flight = None;
            // Kept until the log has it, so that nobody is called twice for a full disk.
            held.outcome = Some((wake_id, outcome));
            subscription.note_due(&held);
        }
        if let Err(error) = self.conclude(&subscription).await {
            self.pause(&subscription, &error).await;
        }
    }

    async fn conclude(&self, subscription: &Subscription) -> Result<(), SubscriptionError> {
        let mut held = self.lock(subscription).await?;
        self.note_outcome(subscription, &mut held).await?;
        self.advance(subscription, &mut held).await?;
        Ok(())
    }

    async fn note_outcome(
        &self,
        subscription: &Subscription,
        held: &mut Held,
    ) -> Result<(), SubscriptionError> {
        let Some((wake_id, outcome)) = held.outcome.clone() else { return Ok(()) };
        let (state, now_ms) = (held.state(), self.now_ms());
        let event = match outcome {
            Outcome::Arrived { is_done } => {
                self.log.metrics().wakes_sent.inc();
                decide::arrived(state, &wake_id, is_done, now_ms)
            }
            Outcome::Missed { reason, lapsed } => {
                let subscription = &*subscription.id;
                tracing::debug!(subscription, %reason, "a wake did not arrive");
                self.log.metrics().wakes_missed.inc();
                decide::missed(state, &wake_id, lapsed, rand::random(), now_ms)
            }
            Outcome::Over => None,
        };
        self.record(subscription, held, event.as_slice()).await?;
        held.outcome = None;
        Ok(())
    }

    async fn call(&self, request: Request, lease: Duration) -> Outcome {
        tokio::select! {
            answer = self.post.post(request) => answered(answer),
            () = self.log.clock().sleep(lease) => {
                Outcome::Missed { reason: "no answer within the lease".into(), lapsed: true }
            }
        }
    }

    async fn write(&self, stream: &str, record: NewRecord) -> Outcome {
        let missed = |reason: String| Outcome::Missed { reason: reason.into(), lapsed: false };
        let path = match StreamPath::parse(stream) {
            Ok(path) => path,
            Err(error) => return missed(error.to_string()),
        };
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
}

fn answered(answer: Result<Answer, Missed>) -> Outcome {
    match answer {
        Ok(answer) if (200..300).contains(&answer.status) => {
            let said = serde_json::from_slice::<WakeAnswer>(&answer.body);
            Outcome::Arrived { is_done: said.is_ok_and(|said| said.done) }
        }
        Ok(answer) => {
            Outcome::Missed { reason: format!("status {}", answer.status).into(), lapsed: false }
        }
        Err(missed) => Outcome::Missed { reason: missed.to_string().into(), lapsed: false },
    }
}

/// JSON of a body, none of which has anything that JSON cannot say.
fn text(body: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(body).unwrap_or_default().into()
}
