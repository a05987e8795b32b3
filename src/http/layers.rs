//! What every answer goes through, and the answers where no handler is. One thin step each: the
//! path of an append has no layer that allocates.

use std::any::Any;

use axum::{
    extract::Request,
    http::{
        HeaderName, HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
            VARY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};

use super::{App, error::Fail};
use crate::wire::code::Code;

/// No answer is a page: should a browser show one, it loads and runs nothing, in no frame.
const NOTHING_ACTIVE: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const OVER_TLS_FOR_A_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Adds the headers that keep browsers from misreading an answer, and counts our own failures.
pub(super) fn finish(mut response: Response, app: &App) -> Response {
    if response.status().is_server_error() {
        app.log().metrics().server_errors.inc();
    }
    let headers = response.headers_mut();
    // Those below, and the id of the request: the map grows once at most.
    headers.reserve(6);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CONTENT_SECURITY_POLICY, NOTHING_ACTIVE);
    if app.is_tls() {
        headers.insert(STRICT_TRANSPORT_SECURITY, OVER_TLS_FOR_A_YEAR);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    } else if app.guard().is_on() {
        // Of one address, each token has an answer of its own.
        headers.append(VARY, HeaderValue::from_static("authorization"));
    }
    response
}

/// The last fence: the answer to a request that met a defect.
pub(super) fn panicked(payload: &(dyn Any + Send), request_id: &str) -> Response {
    let text = payload.downcast_ref::<&str>().copied();
    let reason = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    tracing::error!(request_id, reason, "a request met a defect");
    Fail::new(Code::Internal, "the server failed on this request; it is in its log").into_response()
}

/// The answer where no route is.
pub(super) async fn no_such_route(request: Request) -> Fail {
    let path = request.uri().path();
    let message = format!("there is nothing at {path}; GET / says where to go");
    Fail::new(Code::NotFound, message)
}

/// The answer where a route has other methods.
pub(super) async fn no_such_method(request: Request) -> Fail {
    let (method, path) = (request.method(), request.uri().path());
    let message = format!("{path} does not take {method}; the Allow header says what it takes");
    Fail::new(Code::MethodNotAllowed, message)
}
