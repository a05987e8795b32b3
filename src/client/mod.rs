//! The Rust SDK: how a program talks to a server over HTTP.
//!
//! - [`Client`] and [`ClientBuilder`]: a server, and how failures are met;
//! - [`Session`]: the commands and reads of one session;
//! - [`Follower`]: everything that happens in a stream, whatever the network does;
//! - [`Producer`], [`NdjsonWriter`] and [`Optimistic`]: writes exactly once, as they come, and shown
//!   before they are there;
//! - [`Router`] and [`Coalescer`]: its events, handed to those who want them, and made fewer;
//! - [`Collections`], with [`Terminal`] over them: the state of a session, and live queries;
//! - [`LiveSet`] and [`StateCache`]: many sessions, a bounded number of them at once;
//! - [`Presence`] and [`Agents`]: who is there, and what an agent does.
//!
//! It refuses to know the server: everything it sees went over a socket. Invariant: what may be
//! sent twice does nothing twice, and what may not is sent again only where the first was
//! certainly not done.

mod agents;
pub mod backup;
mod builder;
mod cache;
mod coalescer;
mod collections;
mod error;
mod event;
mod follow;
mod health;
#[cfg(feature = "cli")]
mod import;
mod live_set;
mod lru;
mod ndjson;
mod optimistic;
mod presence;
mod producer;
mod request;
mod retry;
mod router;
mod session;
mod state;
mod streams;
mod task;
mod terminal;
mod throttle;
mod tokens;

use std::{fmt, sync::Arc, time::Duration};

pub use self::{
    agents::{AgentFollower, Agents},
    builder::ClientBuilder,
    cache::{CacheKey, Damaged, StateCache},
    coalescer::{Coalesced, Coalescer},
    collections::{Collections, Kept, LiveQuery, Over, Standing},
    error::ClientError,
    event::{Event, NewEvent},
    follow::{Broken, Ended, FollowOptions, Followed, Follower},
    live_set::{LiveSet, Pinned},
    lru::AllPinned,
    ndjson::{NdjsonError, NdjsonWriter},
    optimistic::{
        Callbacks, Entry, OnWrite, Optimistic, OptimisticError, OptimisticOptions, Rejection, Write,
    },
    presence::{Presence, Visitor},
    producer::{Producer, ProducerError, ProducerOptions, Receipt, Written},
    retry::{RetryPolicy, Waits},
    router::{Router, Subscription, Unfit, Why},
    session::{ListQuery, Messages, Session, StateAt},
    state::State,
    streams::ReadQuery,
    terminal::Terminal,
    throttle::Throttle,
};
use crate::{clock::Clock, session::Ids};

/// A server, by its URL. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    base: String,
    answer_within: Duration,
    silent_for: Duration,
    retry: RetryPolicy,
    reconnect: Waits,
    clock: Arc<dyn Clock>,
    ids: Ids,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.inner.base).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the server at `url`, such as `http://127.0.0.1:4437`, with the settings of
    /// [`ClientBuilder::new`].
    ///
    /// # Errors
    /// The URL is not one.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        Self::builder(url).build()
    }

    /// Settings of a client of the server at `url`.
    #[must_use]
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url)
    }

    /// The session with this id, whether it is there or not.
    #[must_use]
    pub fn session(&self, id: impl Into<String>) -> Session {
        Session::new(self.clone(), id.into())
    }

    /// The URL of a route.
    #[must_use]
    pub fn url(&self, route: &str) -> String {
        format!("{}{route}", self.inner.base)
    }

    /// An id for what has none yet, so that it may be sent twice.
    fn new_id(&self) -> String {
        self.inner.ids.next(self.inner.clock.now_ms()).to_string()
    }
}
