//! How requests to webhooks leave: a trait, so that tests take their place.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

/// A future that a [`Post`] hands out.
pub type Posting<'a> = Pin<Box<dyn Future<Output = Result<Answer, Missed>> + Send + 'a>>;

/// Sends requests to webhooks.
pub trait Post: std::fmt::Debug + Send + Sync + 'static {
    /// Sends one request. Whoever calls bounds its time, by dropping it.
    fn post(&self, request: Request) -> Posting<'_>;
}

/// A request to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The address.
    pub url: Arc<str>,
    /// The JSON text.
    pub body: Bytes,
    /// The value of `Webhook-Signature`.
    pub signature: String,
}

/// A webhook's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The beginning of its body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Missed(pub String);
