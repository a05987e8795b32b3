//! How subscriptions learn what has happened on the log: streams that have changed are looked at,
//! linked where a pattern stands for them, and wakes are issued.
//!
//! Invariant: a change that was taken in is recorded, or it is noted again.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use tokio::sync::MutexGuard;

use super::{
    Inner, SubscriptionError, decide,
    event::Event,
    held::{Found, Held, Standing, Subscription},
    new_wake_id, record,
};
use crate::{
    limits,
    log::{Changes, ReadError, StreamInfo, StreamPath, Touched},
};

/// Streams that have changed, as they are now.
type Seen = BTreeMap<Arc<str>, Option<Found>>;

/// What is done with a subscription.
pub(super) type Work<'a> = BoxFuture<'a, Result<(), SubscriptionError>>;

/// Changes on their way into the subscriptions. Where they do not come that far they are noted
/// again.
struct Taking<'a> {
    touched: &'a Touched,
    changes: Option<Changes>,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if let Some(changes) = self.changes.take() {
            self.touched.put_back(changes);
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
        let mut taking = Taking { touched: self.log.touched(), changes: Some(changes) };
        let subscriptions = self.all();
        let changes = taking.changes.as_ref().map(|changes| (&changes.paths, changes.all));
        let Some((paths, all)) = changes else { return Ok(()) };
        if all {
            // Each looks for itself, at what it follows.
            let look =
                |known: Arc<Subscription>| async move { self.look_anew(&known).await }.boxed();
            self.each(subscriptions, look).await;
        } else {
            let seen = Arc::new(self.look(&subscriptions, paths).await?);
            if !seen.is_empty() {
                let take_in = |known: Arc<Subscription>| {
                    let seen = Arc::clone(&seen);
                    async move { self.take_in(&known, &seen).await }.boxed()
                };
                self.each(subscriptions, take_in).await;
            }
        }
        taking.changes = None;
        Ok(())
    }

    /// Does something with each subscription, several at a time. One that fails has to wait, and
    /// looks anew then; the others do not wait for it.
    pub(super) async fn each<'a>(
        &'a self,
        subscriptions: Vec<Arc<Subscription>>,
        work: impl Fn(Arc<Subscription>) -> Work<'a>,
    ) {
        let working = subscriptions.into_iter().map(|subscription| {
            let working = work(Arc::clone(&subscription));
            let settled = async move {
                if let Err(error) = working.await {
                    self.pause(&subscription, &error).await;
                }
            };
            settled.boxed()
        });
        let working: Vec<BoxFuture<'a, ()>> = working.collect();
        let mut working = stream::iter(working).buffer_unordered(limits::SUBSCRIPTIONS_AT_ONCE);
        while working.next().await.is_some() {}
    }

    /// A subscription that failed waits for a while.
    pub(super) async fn pause(&self, subscription: &Subscription, error: &SubscriptionError) {
        if matches!(error, SubscriptionError::NotFound(_)) {
            return;
        }
        tracing::warn!(subscription = &*subscription.id, %error, "a subscription has to wait");
        let mut held = subscription.held.lock().await;
        let pause_ms = u64::try_from(limits::SUBSCRIPTION_PAUSE.as_millis()).unwrap_or(u64::MAX);
        held.pause_ms = self.now_ms().saturating_add(pause_ms);
        held.doubt(Standing::Unseen);
        subscription.note_due(&held);
    }

    /// How the changed streams stand that somebody follows.
    async fn look(
        &self,
        subscriptions: &[Arc<Subscription>],
        paths: &HashSet<Arc<str>>,
    ) -> Result<Seen, SubscriptionError> {
        let mut seen = Seen::new();
        for path in paths {
            if is_followed(subscriptions, path).await {
                let now = self.stream(path).await?;
                seen.insert(Arc::clone(path), now.as_ref().map(found));
            }
        }
        Ok(seen)
    }

    async fn look_anew(&self, subscription: &Subscription) -> Result<(), SubscriptionError> {
        subscription.held.lock().await.doubt(Standing::Unseen);
        let mut held = self.lock(subscription).await?;
        self.advance(subscription, &mut held).await?;
        Ok(())
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

    /// Ends what has lapsed or has come to nothing, and issues a wake if there is something to do.
    /// Whether it did.
    pub(super) async fn advance(
        &self,
        subscription: &Subscription,
        held: &mut Held,
    ) -> Result<bool, SubscriptionError> {
        let now_ms = self.now_ms();
        let lapsed = decide::lapse(held.state(), now_ms);
        self.record(subscription, held, lapsed.as_slice()).await?;
        let moot = decide::moot(held.state(), held.has_pending());
        self.record(subscription, held, moot.as_slice()).await?;
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
        if held.standing == Standing::InDoubt {
            match record::load(&self.log, &subscription.id).await? {
                Some(folded) if folded.state.config == subscription.config => held.replace(folded),
                _ => {
                    held.standing = Standing::Gone;
                    self.known.write().remove(&subscription.id);
                }
            }
        }
        if held.standing == Standing::Gone {
            return Err(SubscriptionError::NotFound(subscription.id.to_string()));
        }
        if held.standing == Standing::Unseen {
            self.look_again(subscription, &mut held).await?;
        }
        Ok(held)
    }

    /// Looks at every stream that a subscription follows or would.
    async fn look_again(
        &self,
        subscription: &Subscription,
        held: &mut Held,
    ) -> Result<(), SubscriptionError> {
        let mut seen = Seen::new();
        if let Some(pattern) = &subscription.config.pattern {
            let is_followed = |path: &str| subscription.config.matches(path);
            self.list(pattern.prefix(), |info| {
                if is_followed(&info.path) {
                    seen.insert(Arc::clone(&info.path), Some(found(info)));
                }
            })
            .await?;
        }
        let links = held.state().links.keys().filter(|path| !seen.contains_key(*path));
        let links: Vec<_> = links.cloned().collect();
        for path in links {
            let now = self.stream(&path).await?;
            seen.insert(path, now.as_ref().map(found));
        }
        let events = seen.iter().filter_map(|(path, found)| held.note(path, *found)).collect();
        self.record(subscription, held, &joined(events)).await?;
        held.standing = Standing::Sure;
        Ok(())
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
        let before = std::mem::replace(&mut held.standing, Standing::InDoubt);
        record::append(&self.log, &subscription.id, &mut held.folded, events).await?;
        held.standing = before;
        held.refresh_after(events);
        held.end_what_is_over();
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

    /// Shows every stream whose path begins with a prefix.
    pub(super) async fn list(
        &self,
        prefix: &str,
        mut show: impl FnMut(&StreamInfo),
    ) -> Result<(), SubscriptionError> {
        let mut after = String::new();
        loop {
            let infos = self.log.list(prefix, &after, limits::LIST_LIMIT_MAX).await?;
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
        if subscription.follows(path).await {
            return true;
        }
    }
    false
}

pub(super) fn found(info: &StreamInfo) -> Found {
    Found { epoch: info.epoch, tail: info.tail.0, inherited: info.before_own().0 }
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
