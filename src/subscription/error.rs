//! Why a request to a subscription was not carried out, as facts.

use std::sync::Arc;

use super::config::ConfigError;
use crate::log::{self, Refused};

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// No subscription has this id.
    #[error("no subscription has the id {0:?}")]
    NotFound(String),
    /// One with another configuration has it.
    #[error("subscription {0:?} exists with another configuration")]
    Exists(String),
    /// It cannot be made like this.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// As many as the server takes.
    #[error("the server has {max} subscriptions, and takes no more")]
    TooMany {
        /// The bound.
        max: usize,
    },
    /// The server does not know the address under which others reach it.
    #[error("the server does not know under which address workers reach it")]
    NoPublicUrl,
    /// The state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The log did not take or give a record.
    #[error(transparent)]
    Log(#[from] Refused),
}

/// Why the state of a subscription does not allow a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token is not one of this subscription.
    #[error("the token is not one of this subscription")]
    Token,
    /// The wake is over, or was never this one.
    #[error("the wake is over: the subscription is at generation {generation}")]
    Fenced {
        /// The generation it is at.
        generation: u64,
    },
    /// Somebody else holds the lease.
    #[error("worker {holder:?} holds the lease of generation {generation}")]
    Claimed {
        /// Who.
        holder: Arc<str>,
        /// Its generation.
        generation: u64,
    },
    /// All records are acknowledged.
    #[error("all records are acknowledged")]
    NothingPending,
    /// Workers of this subscription are called; they do not claim.
    #[error("the subscription calls a webhook; only those of type `pull-wake` are claimed")]
    NotPullWake,
    /// Workers of this subscription claim; they are not called.
    #[error(
        "the subscription is of type `pull-wake`; only those of type `webhook` are called back"
    )]
    NotWebhook,
    /// An offset that cannot be acknowledged.
    #[error("stream {stream:?} {reason}")]
    Ack {
        /// Its stream.
        stream: Arc<str>,
        /// Why.
        reason: AckRefused,
    },
}

/// Why an offset cannot be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AckRefused {
    /// The subscription does not follow the stream.
    #[error("is not followed by the subscription")]
    NotFollowed,
    /// A later one was acknowledged before.
    #[error("is acknowledged up to offset {acked} already")]
    Back {
        /// That one.
        acked: u64,
    },
    /// The stream ends before it.
    #[error("ends at offset {tail}")]
    Beyond {
        /// Its tail.
        tail: u64,
    },
}

impl From<log::ReadError> for SubscriptionError {
    fn from(error: log::ReadError) -> Self {
        Self::Log(Refused::Unavailable(error.to_string().into()))
    }
}
