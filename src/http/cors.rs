//! Which pages of other origins may use the server. Off unless origins are named.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::wire::{self, protocol};

/// How long a browser keeps the answer to its preflight.
const MAX_AGE: Duration = Duration::from_secs(3_600);

/// What pages may read of an answer beyond its body.
const EXPOSED: [&str; 17] = [
    protocol::NEXT_OFFSET,
    protocol::UP_TO_DATE,
    protocol::CLOSED,
    protocol::CURSOR,
    protocol::TTL,
    protocol::EXPIRES_AT,
    protocol::SSE_ENCODING,
    protocol::PRODUCER_EPOCH,
    protocol::PRODUCER_SEQ,
    protocol::PRODUCER_EXPECTED_SEQ,
    protocol::PRODUCER_RECEIVED_SEQ,
    wire::SCROLLBACK_EPOCH,
    wire::SCROLLBACK_OFFSET,
    wire::REQUEST_ID,
    "etag",
    "location",
    "retry-after",
];

/// The layer for these origins; none where no origin is named.
pub(super) fn layer(origins: &[String]) -> Option<CorsLayer> {
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let values: Vec<HeaderValue> =
            origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
        if values.is_empty() {
            return None;
        }
        AllowOrigin::list(values)
    };
    let methods =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let layer = CorsLayer::new()
        .allow_origin(origin)
        .allow_methods(methods)
        // A star would not stand for `Authorization`.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED.map(HeaderName::from_static))
        .max_age(MAX_AGE);
    Some(layer)
}
