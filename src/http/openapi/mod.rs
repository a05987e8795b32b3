//! The document of the interface at `GET /openapi.json`, in `OpenAPI` 3.1: schemas from the types of
//! the wire and the vocabulary of events, bounds from `limits`, what can fail from the codes.
//!
//! The operations stand here and not at their handlers: a handler stays as short as it is, and all
//! that clients can rely on is read in one place. Invariant: every route and method of the router is
//! here, and nothing else; `tests/api/openapi/` compares them, both ways, and runs the examples.

use std::sync::LazyLock;

use axum::{
    body::Bytes,
    extract::Request,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, ETAG},
    },
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use utoipa::{
    OpenApi,
    openapi::{
        PathItem, Paths,
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
        tag::Tag,
    },
};

use self::operation::Op;
use super::{extract::json_bytes, protocol::catch_up::matches_tag};
use crate::wire::{bodies, code::Code, commands, debug, problem::Problem, subscription, tokens};

mod answers;
mod operation;
mod parameters;
mod problems;
mod protocol;
mod schemas;
mod server;
mod session_commands;
mod sessions;
mod streams;
mod subscriptions;

/// What the document is about, for people.
const ABOUT: &str = "A durable, append-only event log for chat and agent sessions. Two faces of one \
    log: events under `/api`, the Durable Streams protocol under `/v1/stream`. `HEAD` works where \
    `GET` does. Every error is a problem (`application/problem+json`) whose `code` is for programs, \
    but for requests that are no HTTP or have too large a head: these are refused without a body.";

/// The types of the wire that operations refer to, and what these refer to.
#[derive(OpenApi)]
#[openapi(components(schemas(
    Code,
    Problem,
    bodies::AppendAnswer,
    bodies::BatchAnswer,
    bodies::BlameAnswer,
    bodies::ChannelsReset,
    bodies::CreateStream,
    bodies::EndData,
    bodies::EventsAnswer,
    bodies::HealthAnswer,
    bodies::NdjsonAnswer,
    bodies::OffsetAnswer,
    bodies::PlaceData,
    bodies::ResetData,
    bodies::SessionsAnswer,
    bodies::StateDiffAnswer,
    bodies::StreamsAnswer,
    bodies::VersionAnswer,
    commands::AddChunks,
    commands::Because,
    commands::ChangeSession,
    commands::CommandAnswer,
    commands::CompleteTurn,
    commands::FailTurn,
    commands::InterruptTurn,
    commands::NotePresence,
    commands::ReplyPermission,
    commands::SayReady,
    commands::SendMessage,
    commands::StartSession,
    commands::TypeInput,
    subscription::AboutWake,
    subscription::Acked,
    subscription::AddStreams,
    subscription::Claim,
    subscription::Claimed,
    subscription::PutSubscription,
    subscription::SubscriptionBody<'static>,
    subscription::WakeBody<'static>,
    debug::DebugAnswer,
    tokens::CreatedToken,
    tokens::CreateToken,
    tokens::RevokedAnswer,
    tokens::RevokedJwtBody,
    tokens::RevokeJwt,
    tokens::TokenBody,
    tokens::TokensAnswer,
)))]
struct Wire;

/// The areas, in the order of the document: their names, what they are about, what is in them.
type Area = (&'static str, &'static str, fn() -> Vec<Op>);
const AREAS: [Area; 6] = [
    (streams::TAG, streams::ABOUT, streams::operations),
    (sessions::TAG, sessions::ABOUT, sessions::operations),
    (session_commands::TAG, session_commands::ABOUT, session_commands::operations),
    (protocol::TAG, protocol::ABOUT, protocol::operations),
    (subscriptions::TAG, subscriptions::ABOUT, subscriptions::operations),
    (server::TAG, server::ABOUT, server::operations),
];

fn document() -> Value {
    let mut api = Wire::openapi();
    "Scrollback".clone_into(&mut api.info.title);
    env!("CARGO_PKG_VERSION").clone_into(&mut api.info.version);
    api.info.description = Some(ABOUT.to_owned());
    let mut paths = Paths::new();
    let mut tags = Vec::new();
    for (name, about, operations) in AREAS {
        let mut tag = Tag::new(name);
        tag.description = Some(about.to_owned());
        tags.push(tag);
        for operation in operations() {
            let (path, method, operation) = operation.finish(name);
            let item = paths.paths.entry(path).or_default();
            item.merge_operations(PathItem::new(method, operation));
        }
    }
    (api.paths, api.tags) = (paths, Some(tags));
    if let Some(components) = &mut api.components {
        components.add_security_schemes_from_iter(security());
    }
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    if let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas") {
        schemas.extend(schemas::events());
    }
    let events = "/components/schemas/EventsAnswer/properties/events/items";
    if let Some(items) = document.pointer_mut(events) {
        *items = json!({ "$ref": "#/components/schemas/Event" });
    }
    answers::show(&mut document);
    document
}

fn security() -> [(&'static str, SecurityScheme); 3] {
    let bearer = |text: &str| {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some(text.to_owned());
        SecurityScheme::Http(scheme)
    };
    let in_query = "The same token, for an `EventSource`, which has no headers of its own. It is \
        taken on GET of event streams only, and no log shows it.";
    let in_query = ApiKey::Query(ApiKeyValue::with_description("access_token", in_query));
    [
        ("bearer", bearer("A token of the server, where it wants one.")),
        ("accessToken", SecurityScheme::ApiKey(in_query)),
        ("wakeToken", bearer("The token that came with a wake.")),
    ]
}

/// The document as it is sent, and its tag.
static SENT: LazyLock<(Bytes, Option<HeaderValue>)> = LazyLock::new(|| {
    let text = serde_json::to_vec(&document()).unwrap_or_default();
    let tag = format!("\"{:08x}\"", crc32c::crc32c(&text));
    (text.into(), HeaderValue::from_str(&tag).ok())
});

/// The document may be kept for a while; a server of another version has another one.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// `GET /openapi.json`.
pub(super) async fn show(request: Request) -> Response {
    let (text, tag) = &*SENT;
    let mut response = if matches_tag(request.headers(), tag.as_ref()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        json_bytes(text.clone())
    };
    response.headers_mut().insert(CACHE_CONTROL, CACHED);
    if let Some(tag) = tag {
        response.headers_mut().insert(ETAG, tag.clone());
    }
    response
}
