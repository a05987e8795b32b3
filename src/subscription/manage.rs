//! Subscriptions come and go, and gain and lose streams by name.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Config, Delivery, Inner, Keys, SubscriptionError, Subscriptions, View,
    catch_up::found,
    config::check_id,
    event::Event,
    held::{Found, Held, Standing, Subscription},
    is_failing, record,
    state::{Link, linked},
    target,
};
use crate::{limits, log::Refused};

impl Subscriptions {
    /// Makes a subscription, or finds it made like this already. The streams it follows count as
    /// read up to where they are now. With it comes whether it is new.
    ///
    /// # Errors
    /// [`SubscriptionError`]; one with another configuration is [`SubscriptionError::Exists`].
    pub async fn put(&self, id: &str, config: Config) -> Result<(View, bool), SubscriptionError> {
        check_id(id)?;
        let inner = &self.inner;
        inner.check_webhook(&config)?;
        inner.keys().await?;
        inner.log.touched().watch();
        inner.catch_up().await?;
        // Nobody takes in changes between the look at the streams and the new subscription.
        let _turn = inner.turn.lock().await;
        if let Some(view) = inner.confirmed(id, &config).await? {
            return Ok((view, false));
        }
        if inner.known.read().len() >= limits::SUBSCRIPTIONS_MAX {
            return Err(SubscriptionError::TooMany { max: limits::SUBSCRIPTIONS_MAX });
        }
        let links = inner.backfill(&config).await?;
        let (at_ms, salt) = (inner.now_ms(), rand::random());
        let created = Event::Created { config: config.clone(), at_ms, salt };
        let events: Vec<_> = std::iter::once(created).chain(linked(&links)).collect();
        let Some(folded) = record::create(&inner.log, id, &events).await? else {
            let view = inner.confirmed(id, &config).await?;
            return view.map(|view| (view, false)).ok_or_else(|| Refused::Contended.into());
        };
        let subscription = Subscription::new(Arc::from(id), folded);
        let mut held = subscription.held.lock().await;
        for (path, link) in links {
            // Linked where it ended: nothing to record of it.
            let at = Found { epoch: link.epoch, tail: link.acked, inherited: 0 };
            held.note(&path, (link.epoch != 0).then_some(at));
        }
        let view = inner.view(id, &held);
        subscription.note_due(&held);
        drop(held);
        inner.known.write().insert(Arc::clone(&subscription.id), subscription);
        Ok((view, true))
    }

    /// A subscription as it stands.
    ///
    /// # Errors
    /// [`SubscriptionError::NotFound`], or the log does not answer.
    pub async fn get(&self, id: &str) -> Result<View, SubscriptionError> {
        let inner = &self.inner;
        inner.keys().await?;
        inner.catch_up().await?;
        let subscription = inner.find(id).await?;
        let held = inner.lock(&subscription).await?;
        Ok(inner.view(id, &held))
    }

    /// Ends a subscription: nothing of it is acknowledged any more. One that is not there is
    /// ended already.
    ///
    /// # Errors
    /// The log does not take the end.
    pub async fn delete(&self, id: &str) -> Result<(), SubscriptionError> {
        let inner = &self.inner;
        let _turn = inner.turn.lock().await;
        let subscription = match inner.find(id).await {
            Ok(subscription) => subscription,
            Err(SubscriptionError::NotFound(_)) => return Ok(()),
            // What cannot be read can be ended.
            Err(_) => return record::delete(&inner.log, id).await,
        };
        let mut held = subscription.held.lock().await;
        // Whoever waits for this may be gone before it is over; the next one looks.
        held.doubt(Standing::InDoubt);
        match record::delete(&inner.log, id).await {
            Ok(()) | Err(SubscriptionError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        held.standing = Standing::Gone;
        subscription.note_due(&held);
        inner.known.write().remove(id);
        Ok(())
    }

    /// Follows streams by name, from where they are now. Those that are followed stay where they
    /// are.
    ///
    /// # Errors
    /// [`SubscriptionError`].
    pub async fn follow(
        &self,
        id: &str,
        paths: BTreeSet<Arc<str>>,
    ) -> Result<(), SubscriptionError> {
        let inner = &self.inner;
        inner.catch_up().await?;
        // Nobody takes in changes between the look at the streams and the new links.
        let _turn = inner.turn.lock().await;
        let subscription = inner.find(id).await?;
        super::config::check_wakes(&subscription.config.delivery, &paths)?;
        let mut held = inner.lock(&subscription).await?;
        let mut links = Vec::new();
        let mut tails = Vec::new();
        for path in paths {
            let known = held.state().links.get(&path);
            if known.is_some_and(|link| link.explicit) {
                continue;
            }
            let now = inner.stream(&path).await?.as_ref().map(found);
            links.push((Arc::clone(&path), link(&held.state().config, &path, true, now)));
            tails.push((path, now));
        }
        if !fits(&held, &links) {
            return Err(super::ConfigError::TooManyStreams.into());
        }
        inner.record(&subscription, &mut held, &linked(&links)).await?;
        subscription.note_by_name();
        for (path, now) in tails {
            held.note(&path, now);
        }
        subscription.note_due(&held);
        Ok(())
    }

    /// Follows a stream by name no more; the pattern may still stand for it.
    ///
    /// # Errors
    /// [`SubscriptionError`].
    pub async fn unfollow(&self, id: &str, path: &str) -> Result<(), SubscriptionError> {
        let inner = &self.inner;
        let subscription = inner.find(id).await?;
        let mut held = inner.lock(&subscription).await?;
        let path: Arc<str> = Arc::from(path.trim_matches('/'));
        if held.state().links.get(&path).is_none_or(|link| !link.explicit) {
            return Ok(());
        }
        inner.record(&subscription, &mut held, &[Event::Unlinked { path }]).await
    }
}

impl Inner {
    /// The subscription of this id, if there is one and it was made like this.
    async fn confirmed(
        &self,
        id: &str,
        config: &Config,
    ) -> Result<Option<View>, SubscriptionError> {
        let known = match self.find(id).await {
            Ok(known) => known,
            Err(SubscriptionError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let held = match self.lock(&known).await {
            Ok(held) => held,
            Err(SubscriptionError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        if held.state().config != *config {
            return Err(SubscriptionError::Exists(id.to_owned()));
        }
        Ok(Some(self.view(id, &held)))
    }

    fn check_webhook(&self, config: &Config) -> Result<(), SubscriptionError> {
        if let Delivery::Webhook { url } = &config.delivery {
            target::check(url, self.settings.targets).map_err(super::ConfigError::from)?;
            if self.settings.public_url.is_none() {
                return Err(SubscriptionError::NoPublicUrl);
            }
        }
        Ok(())
    }

    /// The streams that a new subscription follows, at their tails.
    async fn backfill(&self, config: &Config) -> Result<Vec<(Arc<str>, Link)>, SubscriptionError> {
        let mut links = Vec::new();
        if let Some(pattern) = &config.pattern {
            self.list(pattern.prefix(), |info| {
                if config.matches(&info.path) {
                    let explicit = config.streams.contains(&info.path);
                    let link = link(config, &info.path, explicit, Some(found(info)));
                    links.push((Arc::clone(&info.path), link));
                }
            })
            .await?;
        }
        let named =
            config.streams.iter().filter(|path| !links.iter().any(|(known, _)| known == *path));
        let named: Vec<_> = named.cloned().collect();
        for path in named {
            let now = self.stream(&path).await?.as_ref().map(found);
            let link = link(config, &path, true, now);
            links.push((path, link));
        }
        let bytes: usize = links.iter().map(|(path, _)| path.len()).sum();
        let is_too_much = links.len() > limits::SUBSCRIPTION_LINKS_MAX
            || bytes > limits::SUBSCRIPTION_LINK_BYTES_MAX;
        if is_too_much { Err(super::ConfigError::TooManyStreams.into()) } else { Ok(links) }
    }

    fn view(&self, id: &str, held: &Held) -> View {
        let state = held.state();
        let kid = self.keys.get().map(Keys::kid).filter(|_| state.is_webhook());
        View {
            id: Arc::from(id),
            config: state.config.clone(),
            created_ms: state.created_ms,
            is_failing: is_failing(state),
            followed: held.followed(),
            kid: kid.cloned(),
        }
    }
}

/// A link to a stream at its tail.
fn link(config: &Config, path: &str, explicit: bool, now: Option<Found>) -> Link {
    let (epoch, acked) = now.map_or((0, 0), |now| (now.epoch, now.tail));
    Link { explicit, glob: config.matches(path), acked, epoch }
}

fn fits(held: &Held, links: &[(Arc<str>, Link)]) -> bool {
    let state = held.state();
    let new = links.iter().filter(|(path, _)| !state.links.contains_key(path));
    let (count, bytes) =
        new.fold((0, 0), |(count, bytes), (path, _)| (count + 1, bytes + path.len()));
    state.links.len() + count <= limits::SUBSCRIPTION_LINKS_MAX
        && state.link_bytes + bytes <= limits::SUBSCRIPTION_LINK_BYTES_MAX
}
