//! The subscription APIs of the Durable Streams protocol, below `/v1/stream/__ds` (sections 6
//! and 7): make, show, end, follow by name, claim, acknowledge, give back, and the public keys.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE},
        request::Parts,
    },
    response::Response,
    routing::{any, delete, get, post, put},
};
use chrono::{DateTime, SecondsFormat};
use serde::de::DeserializeOwned;

use super::{
    App, access,
    error::Fail,
    extract::{Kind as BodyKind, json, kind, path_params, unsupported, whole_body},
    layers,
};
use crate::{
    auth::Right,
    limits,
    log::{self, Pattern},
    subscription::{
        Acknowledgement, Config, Delivery, Door, Refusal, SubscriptionError, View,
        paths as stream_paths,
    },
    wire::{
        code::Code,
        paths,
        protocol::{self, Start},
        subscription::{
            AboutWake, Ack, Acked, AddStreams, Claim, JWKS, Kind, PutSubscription, Signing,
            SubscriptionBody, WebhookBody,
        },
    },
};

/// The routes, which come before those of streams.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route(paths::SUBSCRIPTION, put(create).get(show).delete(end))
        .route(paths::SUBSCRIPTION_STREAMS, post(follow))
        .route(paths::SUBSCRIPTION_MEMBER, delete(unfollow))
        .route(paths::SUBSCRIPTION_CALLBACK, post(callback))
        .route(paths::SUBSCRIPTION_CLAIM, post(claim))
        .route(paths::SUBSCRIPTION_ACK, post(ack))
        .route(paths::SUBSCRIPTION_RELEASE, post(release))
        .route(paths::JWKS, get(jwks))
        .route(paths::CONTROL, any(layers::no_such_route))
        .route(paths::CONTROL_REST, any(layers::no_such_route))
}

async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (id, parts, asked) = asked::<PutSubscription>(&app, request, Some(Right::Admin)).await?;
    let config = config(asked)?;
    access::may_subscribe(&app, &access::of(&parts.extensions), &config).await?;
    let (view, is_new) = app.subscriptions().put(&id, config).await?;
    let mut response = answer(&app, &view)?;
    if is_new {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

fn config(asked: PutSubscription) -> Result<Config, Fail> {
    let missing = |field| invalid(format!("`{field}` is missing"));
    if asked.filter.is_some() {
        return Err(invalid("`filter` is a draft of the protocol that this server does not take"));
    }
    let streams = asked.streams.unwrap_or_default();
    let delivery = match asked.kind {
        Kind::Webhook => {
            let webhook = asked.webhook.ok_or_else(|| missing("webhook.url"))?;
            Delivery::Webhook { url: Arc::from(webhook.url) }
        }
        Kind::PullWake => {
            let wake_stream = asked.wake_stream.ok_or_else(|| missing("wake_stream"))?;
            Delivery::PullWake { wake_stream: Arc::from(wake_stream) }
        }
    };
    let (pattern, description) = (asked.pattern.as_deref(), asked.description.as_deref());
    let config = Config::new(pattern, &streams, delivery, asked.lease_ttl_ms, description);
    config.map_err(|error| SubscriptionError::from(error).into())
}

async fn show(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (id, _) = named(&app, request, Right::Read).await?;
    answer(&app, &app.subscriptions().get(&id).await?)
}

async fn end(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, Fail> {
    let (id, _) = named(&app, request, Right::Admin).await?;
    app.subscriptions().delete(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn follow(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, Fail> {
    let (id, parts, asked) = asked::<AddStreams>(&app, request, Some(Right::Admin)).await?;
    let paths = stream_paths(&asked.streams).map_err(SubscriptionError::from)?;
    let access = access::of(&parts.extensions);
    access::may_follow(&app, &access, paths.iter().map(|path| &**path)).await?;
    app.subscriptions().follow(&id, paths).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unfollow(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, Fail> {
    let (mut parts, _) = request.into_parts();
    let params = path_params(&mut parts).await?;
    let [id, path] = <[String; 2]>::try_from(params).map_err(|_| invalid("names no stream"))?;
    access::subscription(&app, &access::of(&parts.extensions), Right::Admin, &id)?;
    app.subscriptions().unfollow(&id, &path).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn claim(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (id, _, asked) = asked::<Claim>(&app, request, Some(Right::Write)).await?;
    if !(1..=limits::WORKER_BYTES_MAX).contains(&asked.worker.len()) {
        return Err(invalid(format!("`worker` has 1 to {} bytes", limits::WORKER_BYTES_MAX)));
    }
    json(&app.subscriptions().claim(&id, &asked.worker).await?)
}

async fn callback(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    acknowledge(&app, Door::Callback, request).await
}

async fn ack(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    acknowledge(&app, Door::Ack, request).await
}

async fn acknowledge(app: &App, door: Door, request: Request) -> Result<Response, Fail> {
    let (id, parts, asked) = asked::<AboutWake>(app, request, None).await?;
    let given = Acknowledgement {
        token: token(&parts.headers)?,
        wake_id: asked.wake_id,
        generation: asked.generation,
        acks: asked.acks.iter().map(place).collect::<Result<_, _>>()?,
        done: asked.done,
    };
    let acknowledged = app.subscriptions().acknowledge(&id, door, given).await;
    let next_wake = acknowledged.map_err(|error| unseen(app, &parts, &id, error))?;
    json(&Acked { ok: true, next_wake })
}

fn place(ack: &Ack) -> Result<(Arc<str>, u64), Fail> {
    let stream = Arc::from(ack.stream.trim_matches('/'));
    match protocol::parse_start(&ack.offset) {
        Some(Start::After(offset)) => Ok((stream, offset)),
        _ => Err(Fail::control(
            Code::InvalidAck,
            format!("{:?} is no offset of a record; send one that the server gave", ack.offset),
        )),
    }
}

async fn release(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, Fail> {
    let (id, parts, asked) = asked::<AboutWake>(&app, request, None).await?;
    let token = token(&parts.headers)?;
    let released = app.subscriptions().release(&id, &token, asked.wake_id, asked.generation).await;
    released.map_err(|error| unseen(&app, &parts, &id, error))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn jwks(State(app): State<Arc<App>>) -> Result<Response, Fail> {
    let mut response = json(&app.subscriptions().jwks().await?)?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JWKS));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}

/// The subscription that a route names, with which the sender may do this.
async fn named(app: &App, request: Request, right: Right) -> Result<(String, Parts), Fail> {
    let (mut parts, _) = request.into_parts();
    let id = id_of(&mut parts).await?;
    access::subscription(app, &access::of(&parts.extensions), right, &id)?;
    Ok((id, parts))
}

async fn id_of(parts: &mut Parts) -> Result<String, Fail> {
    let params = path_params(parts).await?;
    params.into_iter().next().ok_or_else(|| invalid("the path names no subscription"))
}

/// The subscription that a route names, and what is asked of it. Who shows the token of a wake needs
/// no right of ours.
async fn asked<T: DeserializeOwned>(
    app: &App,
    request: Request,
    right: Option<Right>,
) -> Result<(String, Parts, T), Fail> {
    let (mut parts, mut body) = request.into_parts();
    let id = id_of(&mut parts).await?;
    if let Some(right) = right {
        access::subscription(app, &access::of(&parts.extensions), right, &id)?;
    }
    let body = whole_body(app, &parts.extensions, &mut body).await?;
    if kind(&parts.headers)? != BodyKind::Json {
        return Err(unsupported("this route takes one JSON object"));
    }
    log::json::validate(&body)
        .map_err(|error| invalid(format!("the JSON is not valid: {error}")))?;
    let asked = serde_json::from_slice(&body)
        .map_err(|error| invalid(format!("the body is not what this route takes: {error}")))?;
    Ok((id, parts, asked))
}

/// Whether a subscription is there, and of which kind it is, is told to those who may see it or show
/// its token; others have just another wrong token.
fn unseen(app: &App, parts: &Parts, id: &str, error: SubscriptionError) -> Fail {
    let tells = matches!(
        error,
        SubscriptionError::NotFound(_)
            | SubscriptionError::Refused(Refusal::NotPullWake | Refusal::NotWebhook)
    );
    let access = access::of(&parts.extensions);
    if tells && access::subscription(app, &access, Right::Read, id).is_err() {
        return Refusal::Token.into();
    }
    error.into()
}

fn token(headers: &HeaderMap) -> Result<String, Fail> {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|given| given.split_once(' '));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(token.trim().to_owned())
        }
        _ => Err(Fail::control(
            Code::TokenInvalid,
            "there is no token; send `Authorization: Bearer` with the one that came with the wake",
        )),
    }
}

fn invalid(message: impl Into<String>) -> Fail {
    Fail::control(Code::InvalidSubscription, message)
}

fn answer(app: &App, view: &View) -> Result<Response, Fail> {
    let jwks_url = app.subscriptions().jwks_url().unwrap_or_default();
    let signing = Signing {
        alg: "ed25519",
        kid: view.kid.as_deref().unwrap_or_default(),
        jwks_url: &jwks_url,
    };
    let (kind, webhook, wake_stream) = match &view.config.delivery {
        Delivery::Webhook { url } => (Kind::Webhook, Some(WebhookBody { url, signing }), None),
        Delivery::PullWake { wake_stream } => (Kind::PullWake, None, Some(&**wake_stream)),
    };
    // Where a stream ends is for workers; here it is how far they are.
    let mut streams = view.followed.clone();
    for followed in &mut streams {
        (followed.tail_offset, followed.has_pending) = (None, None);
    }
    json(&SubscriptionBody {
        id: &view.id,
        subscription_id: &view.id,
        kind,
        pattern: view.config.pattern.as_ref().map(Pattern::as_str),
        streams,
        webhook,
        wake_stream,
        lease_ttl_ms: view.config.lease_ttl_ms,
        created_at: rfc3339(view.created_ms),
        status: if view.is_failing { "failed" } else { "active" },
        description: view.config.description.as_deref(),
    })
}

fn rfc3339(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis);
    time.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}
