//! How subscriptions learn what has happened on the log: streams that have changed are looked at,
//! linked where a pattern stands for them, and wakes are issued.
//!
//! Invariant: a change that was taken in is recorded, or it is noted again.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::MutexGuard;

use super::{
    Inner, SubscriptionError, decide,
    event::Event,
    held::{Found, Held, Subscription},
    new_wake_id, record,
};
use crate::{
    limits,
    log::{Changes, ReadError, StreamInfo, StreamPath, Touched},
};

/// Streams that have changed, as they are now.
type Seen = BTreeMap<Arc<str>, Option<Found>>;

/// Changes on their way into the subscriptions.
struct Taking<'a> {
    touched: &'a Touched,
    done: bool,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.touched.note_all();
        }
    }
}

impl Inner {
    /// Takes in what has changed since the last time.
    pub(super) async fn catch_up(&self) -> Result<(), SubscriptionError> {
        let _turn = self.turn.lock().await;
        let changes = self.log.touched().take();
        if changes.is_empty() {
            return Ok(());
        }
        let mut taking = Taking { touched: self.log.touched(), done: false };
        let subscriptions = self.all();
        let seen = self.look(&subscriptions, changes).await?;
        if !seen.is_empty() {
            for subscription in subscriptions {
                match self.take_in(&subscription, &seen).await {
                    Ok(()) | Err(SubscriptionError::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        taking.done = true;
        Ok(())
    }

    /// How the changed streams stand that somebody follows.
    async fn look(
        &self,
        subscriptions: &[Arc<Subscription>],
        changes: Changes,
    ) -> Result<Seen, SubscriptionError> {
        let mut seen = Seen::new();
        if changes.all {
            self.list(|info| {
                seen.insert(Arc::clone(&info.path), Some(found(info)));
            })
            .await?;
            for subscription in subscriptions {
                let held = subscription.held.lock().await;
                for path in held.state().links.keys() {
                    seen.entry(Arc::clone(path)).or_insert(None);
                }
            }
            return Ok(seen);
        }
        let mut followed = Vec::new();
        for path in changes.paths {
            if is_followed(subscriptions, &path).await {
                followed.push(path);
            }
        }
        for path in followed {
            let now = self.stream(&path).await?;
            seen.insert(path, now.as_ref().map(found));
        }
        Ok(seen)
    }

    async fn take_in(
        &self,
        subscription: &Subscription,
        seen: &Seen,
    ) -> Result<(), SubscriptionError> {
        let mut held = self.lock(subscription).await?;
        let events: Vec<_> =
            seen.iter().filter_map(|(path, found)| held.note(path, *found)).collect();
        self.record(subscription, &mut held, &joined(events)).await?;
        self.advance(subscription, &mut held).await?;
        Ok(())
    }

    /// Ends what has lapsed and issues a wake if there is something to do. Whether it did.
    pub(super) async fn advance(
        &self,
        subscription: &Subscription,
        held: &mut Held,
    ) -> Result<bool, SubscriptionError> {
        let now_ms = self.now_ms();
        let lapsed = decide::lapse(held.state(), now_ms);
        self.record(subscription, held, lapsed.as_slice()).await?;
        let wake = decide::wake(held.state(), held.pending(), &new_wake_id(), now_ms);
        self.record(subscription, held, wake.as_slice()).await?;
        subscription.note_due(held);
        Ok(wake.is_some())
    }

    /// The subscription, as the log has it.
    pub(super) async fn lock<'a>(
        &self,
        subscription: &'a Subscription,
    ) -> Result<MutexGuard<'a, Held>, SubscriptionError> {
        let mut held = subscription.held.lock().await;
        if held.in_doubt {
            match record::load(&self.log, &subscription.id).await? {
                Some(folded) => held.replace(folded),
                None => held.gone = true,
            }
            // Streams that were linked meanwhile are looked at.
            self.log.touched().note_all();
        }
        if held.gone {
            return Err(SubscriptionError::NotFound(subscription.id.to_string()));
        }
        Ok(held)
    }

    /// Makes events durable and folds them.
    pub(super) async fn record(
        &self,
        subscription: &Subscription,
        held: &mut Held,
        events: &[Event],
    ) -> Result<(), SubscriptionError> {
        if events.is_empty() {
            return Ok(());
        }
        // Whoever waits for this may be gone before it is over; the next one looks.
        held.in_doubt = true;
        record::append(&self.log, &subscription.id, &mut held.folded, events).await?;
        held.in_doubt = false;
        held.refresh_after(events);
        subscription.note_due(held);
        self.changed.notify_one();
        Ok(())
    }

    /// A stream as it stands, if there is one.
    pub(super) async fn stream(&self, path: &str) -> Result<Option<StreamInfo>, SubscriptionError> {
        let Ok(path) = StreamPath::parse(path) else { return Ok(None) };
        match self.log.info(&path).await {
            Ok(info) => Ok(Some(info)),
            Err(ReadError::NoStream(_) | ReadError::Gone(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Shows every stream.
    pub(super) async fn list(
        &self,
        mut show: impl FnMut(&StreamInfo),
    ) -> Result<(), SubscriptionError> {
        let mut after = String::new();
        loop {
            let infos = self.log.list("", &after, limits::LIST_LIMIT_MAX).await?;
            infos.iter().for_each(&mut show);
            match infos.last() {
                Some(last) if infos.len() == limits::LIST_LIMIT_MAX => {
                    after = last.path.to_string();
                }
                _ => return Ok(()),
            }
        }
    }
}

async fn is_followed(subscriptions: &[Arc<Subscription>], path: &str) -> bool {
    for subscription in subscriptions {
        let held = subscription.held.lock().await;
        if held.state().links.contains_key(path) || held.state().config.matches(path) {
            return true;
        }
    }
    false
}

pub(super) fn found(info: &StreamInfo) -> Found {
    Found { epoch: info.epoch, tail: info.tail.0 }
}

/// New links in as few events as they fit in.
fn joined(events: Vec<Event>) -> Vec<Event> {
    let (mut links, mut others) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Linked { links: more } => links.extend(more),
            other => others.push(other),
        }
    }
    let mut events = super::state::linked(&links);
    events.append(&mut others);
    events
}
