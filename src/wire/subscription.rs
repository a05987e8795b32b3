//! Bodies of the subscription APIs (protocol, sections 6 and 7): requests, answers, and what is
//! sent to workers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::code::Code;

/// Signs a request to a webhook (protocol, section 7.1).
pub const SIGNATURE: &str = "webhook-signature";
/// Media type of a set of keys (RFC 7517).
pub const JWKS: &str = "application/jwk-set+json";

/// `PUT …/__ds/subscriptions/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct PutSubscription {
    /// `webhook` or `pull-wake`.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The streams to follow by their paths.
    pub pattern: Option<String>,
    /// The streams to follow by name.
    pub streams: Option<Vec<String>>,
    /// A condition on records: a draft of the protocol, which is refused.
    pub filter: Option<serde_json::Value>,
    /// Whom to call.
    pub webhook: Option<Webhook>,
    /// Where to write wakes.
    pub wake_stream: Option<String>,
    /// Milliseconds.
    pub lease_ttl_ms: Option<u64>,
    /// For people.
    pub description: Option<String>,
}

/// How workers are woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "server", schema(as = SubscriptionKind))]
pub enum Kind {
    /// They are called.
    Webhook,
    /// They read a stream, and claim.
    PullWake,
}

/// A webhook in a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Webhook {
    /// Its address.
    pub url: String,
}

/// `POST …/streams`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AddStreams {
    /// Paths.
    pub streams: Vec<String>,
}

/// `POST …/claim`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Claim {
    /// Name of the worker.
    pub worker: String,
}

/// `POST …/callback`, `…/ack` and `…/release`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AboutWake {
    /// The wake.
    pub wake_id: String,
    /// Its generation.
    pub generation: u64,
    /// What is done.
    #[serde(default)]
    pub acks: Vec<Ack>,
    /// The wake is over.
    #[serde(default)]
    pub done: bool,
}

/// One acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Ack {
    /// The stream's path.
    #[serde(alias = "path")]
    pub stream: String,
    /// The last record that is done.
    pub offset: String,
}

/// A subscription, answered.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SubscriptionBody<'a> {
    /// Its name.
    pub id: &'a str,
    /// The same.
    pub subscription_id: &'a str,
    /// How workers are woken.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// As it was given.
    pub pattern: Option<&'a str>,
    /// The streams it follows.
    pub streams: Vec<Followed>,
    /// Whom it calls.
    pub webhook: Option<WebhookBody<'a>>,
    /// Where it writes wakes.
    pub wake_stream: Option<&'a str>,
    /// Milliseconds.
    pub lease_ttl_ms: u64,
    /// RFC 3339.
    pub created_at: String,
    /// `active`, or `failed` while a wake that did not arrive is to be tried again.
    pub status: &'static str,
    /// As it was given.
    pub description: Option<&'a str>,
}

/// A webhook, answered.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WebhookBody<'a> {
    /// Its address.
    pub url: &'a str,
    /// How requests to it are signed.
    pub signing: Signing<'a>,
}

/// How requests are signed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Signing<'a> {
    /// `ed25519`.
    pub alg: &'static str,
    /// Name of the key.
    pub kid: &'a str,
    /// Where the public half is.
    pub jwks_url: &'a str,
}

/// A stream that a subscription follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Followed {
    /// Its path.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub path: Arc<str>,
    /// Why it is followed; by name wins.
    pub link_type: LinkType,
    /// The last record that is done.
    pub acked_offset: String,
    /// Its end, where a worker is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail_offset: Option<String>,
    /// There is something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_pending: Option<bool>,
}

/// Why a stream is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum LinkType {
    /// The pattern stands for it.
    Glob,
    /// It was named.
    Explicit,
}

/// What a webhook is sent.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WakeBody<'a> {
    /// The subscription.
    pub subscription_id: &'a str,
    /// The wake.
    pub wake_id: &'a str,
    /// Its generation.
    pub generation: u64,
    /// What there is to do.
    pub streams: Vec<Followed>,
    /// Where to call back.
    pub callback_url: &'a str,
    /// The token to do it with.
    pub callback_token: &'a str,
}

/// What a webhook answers, as far as it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct WakeAnswer {
    /// All that the wake named is done.
    #[serde(default)]
    pub done: bool,
}

/// The record on a wake stream.
#[derive(Debug, Clone, Serialize)]
pub struct WakeRecord<'a> {
    /// `wake`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The wake; a record of it is written once.
    pub id: &'a str,
    /// The subscription.
    pub subscription_id: &'a str,
    /// A stream with something to do.
    pub stream: &'a str,
    /// Generation of the wake.
    pub generation: u64,
    /// When, Unix milliseconds.
    pub ts: u64,
}

/// The answer to a claim.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Claimed {
    /// The wake.
    pub wake_id: String,
    /// Its generation.
    pub generation: u64,
    /// The token to acknowledge with.
    pub token: String,
    /// What there is to do.
    pub streams: Vec<Followed>,
    /// Milliseconds.
    pub lease_ttl_ms: u64,
}

/// The answer to an acknowledgement.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Acked {
    /// True.
    pub ok: bool,
    /// There is more to do: another wake was issued.
    pub next_wake: bool,
}

/// An error of the subscription APIs (protocol, sections 7.1 and 7.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ControlError {
    /// What went wrong, for programs.
    pub code: String,
    /// Who holds the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_holder: Option<String>,
    /// The generation that the subscription is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// What the protocol calls an error.
#[must_use]
pub fn control_code(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::InvalidSubscription => "INVALID_REQUEST",
        Code::WebhookUrlRejected => "WEBHOOK_URL_REJECTED",
        Code::TokenInvalid => "TOKEN_INVALID",
        Code::SubscriptionNotFound => "SUBSCRIPTION_NOT_FOUND",
        Code::SubscriptionExists => "SUBSCRIPTION_ALREADY_EXISTS",
        Code::WakeFenced => "FENCED",
        Code::AlreadyClaimed => "ALREADY_CLAIMED",
        Code::NothingPending => "NO_PENDING_WORK",
        Code::InvalidAck => "INVALID_OFFSET",
        Code::TooManySubscriptions => "TOO_MANY_SUBSCRIPTIONS",
        _ => return None,
    })
}
