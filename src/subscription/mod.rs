//! Subscriptions: streams followed on behalf of workers, who are woken when there is something to
//! do and say what they have done (protocol, sections 6 and 7).
//!
//! A subscription is a stream of its own events below `__ds/`, and its state their fold; what it
//! follows it learns from the log. It refuses to know HTTP: requests to webhooks go out through
//! [`Post`]. Invariant: whatever is answered or sent to a worker is durable before, so a server
//! that is killed goes on in the middle of a lease or a retry as if it had not been.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;
use tokio::sync::{Mutex, Notify, OnceCell};

pub use self::{
    command::{Acknowledgement, Door},
    config::{Config, ConfigError, Delivery, check_id, paths},
    decide::Shown,
    error::{AckRefused, Refusal, SubscriptionError},
    keys::Keys,
    post::{Answer, Missed, Post, Posting, Request},
    target::{TargetError, Targets},
};
use self::{held::Subscription, state::State};
use crate::{log::Log, wire::subscription::Followed};

mod catch_up;
mod command;
mod config;
pub mod decide;
mod deliver;
mod error;
pub mod event;
mod held;
mod keys;
mod manage;
mod post;
mod record;
pub mod state;
pub mod target;
#[cfg(test)]
mod tests;

/// The subscriptions of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Subscriptions {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    log: Log,
    post: Arc<dyn Post>,
    settings: Settings,
    keys: OnceCell<Keys>,
    known: RwLock<BTreeMap<Arc<str>, Arc<Subscription>>>,
    /// Held while changes of streams are taken in, and while subscriptions come and go.
    turn: Mutex<()>,
    /// A subscription may be due.
    changed: Notify,
}

/// What subscriptions are run with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whom webhooks may call.
    pub targets: Targets,
    /// Under which URL workers reach the server, without a slash at its end. `None` where that is
    /// not known; then there are no webhooks.
    pub public_url: Option<Arc<str>>,
}

/// A subscription as it stands.
#[derive(Debug, Clone)]
pub struct View {
    /// Its id.
    pub id: Arc<str>,
    /// What it was made with.
    pub config: Config,
    /// When it was made, Unix milliseconds.
    pub created_ms: u64,
    /// A wake did not arrive and is to be tried again.
    pub is_failing: bool,
    /// The streams it follows.
    pub followed: Vec<Followed>,
    /// Name of the key that signs its requests, for webhooks.
    pub kid: Option<Arc<str>>,
}

impl Subscriptions {
    /// The subscriptions on a log.
    #[must_use]
    pub fn new(log: Log, post: Arc<dyn Post>, settings: Settings) -> Self {
        let inner = Inner {
            log,
            post,
            settings,
            keys: OnceCell::new(),
            known: RwLock::default(),
            turn: Mutex::new(()),
            changed: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Reads what is on the log. To be called once, before anything else.
    ///
    /// # Errors
    /// A subscription cannot be read.
    pub async fn load(&self) -> Result<(), SubscriptionError> {
        let inner = &self.inner;
        let ids = record::ids(&inner.log).await?;
        if ids.is_empty() {
            return Ok(());
        }
        // What changes from here on is noted; what has changed before is found by looking.
        inner.log.touched().watch();
        inner.log.touched().note_all();
        for id in ids {
            match inner.find(&id).await {
                Ok(_) | Err(SubscriptionError::NotFound(_)) => {}
                // It is as it is found, and asked for again by whoever asks for it.
                Err(error) => tracing::error!(subscription = id, %error, "it does not take part"),
            }
        }
        Ok(())
    }

    /// How many there are, and how many of them have a wake under way.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let known = self.inner.known.read();
        // One that is locked is being worked on.
        let is_pending = |known: &Arc<Subscription>| match known.held.try_lock() {
            Ok(held) => held.state().wake.is_some(),
            Err(_) => true,
        };
        (known.len(), known.values().filter(|known| is_pending(known)).count())
    }

    /// The public keys of the server, made where there are none yet.
    ///
    /// # Errors
    /// The log does not give or take them.
    pub async fn jwks(&self) -> Result<serde_json::Value, SubscriptionError> {
        self.inner.keys().await.map(Keys::jwks)
    }

    /// Where the public keys are, if the server knows its own address.
    #[must_use]
    pub fn jwks_url(&self) -> Option<String> {
        let base = self.inner.settings.public_url.as_ref()?;
        Some(format!("{base}{}", crate::wire::paths::JWKS))
    }
}

impl Inner {
    async fn keys(&self) -> Result<&Keys, SubscriptionError> {
        self.keys.get_or_try_init(|| record::keys(&self.log)).await
    }

    /// A subscription, by its id. The log is asked too: somebody may have made it who did not wait
    /// for the answer.
    async fn find(&self, id: &str) -> Result<Arc<Subscription>, SubscriptionError> {
        let found = self.known.read().get(id).cloned();
        let not_found = || SubscriptionError::NotFound(id.to_owned());
        if let Some(found) = found {
            return Ok(found);
        }
        check_id(id).map_err(|_| not_found())?;
        let folded = record::load(&self.log, id).await?.ok_or_else(not_found)?;
        Ok(self.adopt(id, folded).await)
    }

    /// Takes in a subscription that was found on the log.
    async fn adopt(&self, id: &str, folded: record::Folded) -> Arc<Subscription> {
        self.log.touched().watch();
        let found = Subscription::new(Arc::from(id), folded);
        found.held.lock().await.doubt(held::Standing::Unseen);
        let mut known = self.known.write();
        Arc::clone(known.entry(Arc::from(id)).or_insert(found))
    }

    fn all(&self) -> Vec<Arc<Subscription>> {
        self.known.read().values().cloned().collect()
    }

    fn now_ms(&self) -> u64 {
        self.log.clock().now_ms()
    }
}

/// A name for a wake that nobody can guess.
fn new_wake_id() -> String {
    format!("w_{:032x}", rand::random::<u128>())
}

/// What a state says of its failures.
fn is_failing(state: &State) -> bool {
    state.retry.is_some()
}
