//! The document of the subscription APIs of the Durable Streams protocol.

use serde_json::{Value, json};
use utoipa::openapi::HttpMethod::{Delete, Get, Post, Put};

use super::{
    operation::{Op, Said},
    problems::{BODY, PATH, WRITE},
    schemas::{line, object},
};
use crate::wire::{
    code::Code,
    paths,
    subscription::{
        AboutWake, Acked, AddStreams, Claim, Claimed, JWKS, PutSubscription, SubscriptionBody,
    },
};

pub(super) const TAG: &str = "subscriptions";
pub(super) const ABOUT: &str = "Streams that are followed for workers, who are called (`webhook`) or \
    claim what there is to do (`pull-wake`).";

const MISSING: &[Code] = &[Code::SubscriptionNotFound, Code::InvalidSubscription];
const TAKES: &[Code] = &[Code::UnsupportedContentType, Code::InvalidSubscription];
const CACHED: Said = ("Cache-Control", "How long the keys may be kept.", line);

pub(super) fn operations() -> Vec<Op> {
    let mut all = subscriptions();
    all.extend(workers());
    all
}

fn subscriptions() -> Vec<Op> {
    let body = json!({ "type": "pull-wake", "pattern": "notes/*", "wake_stream": "wakes" });
    let keys = object(&[("keys", super::schemas::bare(utoipa::openapi::Type::Array))]);
    vec![
        Op::new(Put, paths::SUBSCRIPTION, "putSubscription", "Make a subscription")
            .named("id", "mailer")
            .body::<PutSubscription>(body)
            .answers::<SubscriptionBody<'_>>(201, "It was made.")
            .answers::<SubscriptionBody<'_>>(200, "It was there, made in the same way.")
            .fails(&[PATH, BODY, TAKES, WRITE])
            .fails(&[&[
                Code::WebhookUrlRejected,
                Code::SubscriptionNotFound,
                Code::SubscriptionExists,
                Code::TooManySubscriptions,
            ]]),
        Op::new(Get, paths::SUBSCRIPTION, "showSubscription", "A subscription as it stands")
            .answers::<SubscriptionBody<'_>>(200, "The subscription.")
            .fails(&[PATH, MISSING, WRITE]),
        Op::new(Delete, paths::SUBSCRIPTION, "endSubscription", "End a subscription")
            .named("id", "old")
            .answers_empty(204, "It is gone.")
            .fails(&[PATH, MISSING, WRITE]),
        Op::new(Post, paths::SUBSCRIPTION_STREAMS, "followStreams", "Follow streams by name")
            .body::<AddStreams>(json!({ "streams": ["notes/other"] }))
            .answers_empty(204, "They are followed.")
            .fails(&[PATH, BODY, TAKES, MISSING, WRITE]),
        Op::new(
            Delete,
            paths::SUBSCRIPTION_MEMBER,
            "unfollowStream",
            "No longer follow a stream by name",
        )
        .named("path", "notes/today")
        .answers_empty(204, "It is not followed by name.")
        .fails(&[PATH, MISSING, WRITE]),
        Op::new(Get, paths::JWKS, "keys", "The keys that sign requests to webhooks")
            .answers_in(200, JWKS, keys, "A set of public keys (RFC 7517).")
            .with_headers(200, &[CACHED])
            .fails(&[WRITE]),
    ]
}

fn workers() -> Vec<Op> {
    let call = "What a worker that was called has done";
    let ack = "What a worker that has claimed has done";
    vec![
        Op::new(Post, paths::SUBSCRIPTION_CLAIM, "claim", "Claim what there is to do")
            .body::<Claim>(json!({ "worker": "one" }))
            .answers::<Claimed>(200, "The wake, with the token to acknowledge it with.")
            .fails(&[PATH, BODY, TAKES, MISSING, WRITE])
            .fails(&[&[Code::AlreadyClaimed, Code::NothingPending]]),
        about_wake(paths::SUBSCRIPTION_CALLBACK, "callback", call).named("id", "caller"),
        about_wake(paths::SUBSCRIPTION_ACK, "ack", ack),
        Op::new(Post, paths::SUBSCRIPTION_RELEASE, "release", "Give a claim back")
            .body::<AboutWake>(wake(&json!([])))
            .answers_empty(204, "It is given back; what is not done wakes again.")
            .with_wake_token()
            .fails(&[PATH, BODY, TAKES, MISSING, WRITE])
            .fails(&[&[Code::TokenInvalid, Code::WakeFenced]]),
    ]
}

fn wake(acks: &Value) -> Value {
    json!({ "wake_id": "the one that came with the wake", "generation": 1, "acks": acks, "done": true })
}

fn about_wake(path: &'static str, id: &'static str, summary: &'static str) -> Op {
    let acks = json!([{ "stream": "notes/today", "offset": "0000000000000001" }]);
    Op::new(Post, path, id, summary)
        .body::<AboutWake>(wake(&acks))
        .answers::<Acked>(200, "It is noted.")
        .with_wake_token()
        .fails(&[PATH, BODY, TAKES, MISSING, WRITE])
        .fails(&[&[Code::TokenInvalid, Code::WakeFenced, Code::InvalidAck]])
}
