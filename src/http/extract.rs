//! From a request to the domain's values: stream paths out of routes, kinds of content out of
//! headers.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts, RawPathParams},
    http::{
        Extensions, HeaderMap, HeaderName, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use futures_util::Stream;
use serde::Serialize;

use super::{App, access, body::Incoming, error::Fail};
use crate::{
    auth::Right,
    limits,
    log::StreamPath,
    wire::{self, code::Code},
};

/// The stream that a route names, where the sender may do this with it: `{path}` is its path, `{id}`
/// the session's id.
pub(super) async fn stream_path(
    app: &App,
    parts: &mut Parts,
    right: Right,
) -> Result<StreamPath, Fail> {
    let path = named_stream(parts).await?;
    access::allow(app, &access::of(&parts.extensions), right, &path).await?;
    Ok(path)
}

async fn named_stream(parts: &mut Parts) -> Result<StreamPath, Fail> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| Fail::new(Code::InvalidPath, "the path is not UTF-8"))?;
    match params.iter().next() {
        Some(("id", id)) => Ok(StreamPath::session(id)?),
        Some((_, path)) => Ok(StreamPath::parse(path)?),
        None => Err(Fail::new(Code::InvalidPath, "the path names no stream")),
    }
}

/// What stands in the places of a route, in their order.
pub(super) async fn path_params(parts: &mut Parts) -> Result<Vec<String>, Fail> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| Fail::new(Code::InvalidPath, "the path is not UTF-8"))?;
    Ok(params.iter().map(|(_, value)| value.to_owned()).collect())
}

/// The whole body of a request whose sender may still do something when it has come.
pub(super) async fn whole_body(
    app: &App,
    extensions: &Extensions,
    body: &mut Body,
) -> Result<Bytes, Fail> {
    let body = Incoming::new(body, &**app.log().clock()).whole(app.body_room()).await?;
    access::holds(app, extensions)?;
    Ok(body)
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One JSON value.
    Json,
    /// One JSON value a line.
    Ndjson,
}

/// What the request says its body is.
pub(super) fn kind(headers: &HeaderMap) -> Result<Kind, Fail> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err(unsupported("the request has no Content-Type"));
    };
    if value.as_bytes() == wire::JSON.as_bytes() {
        return Ok(Kind::Json);
    }
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let kind = match parts.next().unwrap_or_default() {
        wire::JSON => Kind::Json,
        wire::NDJSON | "application/ndjson" => Kind::Ndjson,
        other if other.starts_with("application/") && other.ends_with("+json") => Kind::Json,
        other => return Err(unsupported(&format!("this route does not take {other:?}"))),
    };
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    match charset.map(|charset| charset.trim_matches('"')) {
        None | Some("utf-8" | "utf8" | "us-ascii") => Ok(kind),
        Some(other) => Err(unsupported(&format!("JSON is UTF-8, not {other:?}"))),
    }
}

/// A media type in lower case; `None` where the text is none. JSON has no parameters of meaning,
/// so it is always the same.
pub(super) fn media_type(given: &str) -> Option<String> {
    let lower = given.trim().to_ascii_lowercase();
    let (essence, parameters) = lower.split_once(';').unwrap_or((&lower, ""));
    let token = |text: &str| {
        let takes = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !text.is_empty() && text.bytes().all(takes)
    };
    let is_type = essence.trim().split_once('/').is_some_and(|(top, sub)| token(top) && token(sub));
    let is_plain = parameters.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if !is_type || !is_plain || lower.len() > limits::NAME_BYTES_MAX {
        return None;
    }
    Some(if essence.trim() == wire::JSON { wire::JSON.to_owned() } else { lower })
}

/// The body is of a kind that the route does not take.
pub(super) fn unsupported(message: &str) -> Fail {
    let hint = "send Content-Type: application/json, or application/x-ndjson for one event a line";
    Fail::new(Code::UnsupportedContentType, format!("{message}; {hint}"))
}

/// A JSON answer.
pub(super) fn json(answer: &impl Serialize) -> Result<Response, Fail> {
    match serde_json::to_vec(answer) {
        Ok(body) => Ok(json_bytes(body.into())),
        Err(error) => Err(Fail::new(Code::Internal, error.to_string())),
    }
}

/// A live answer: never stored, changed or held back on its way.
pub(super) fn event_stream(
    frames: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static,
) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(wire::EVENT_STREAM)),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(frames)).into_response()
}

/// Headers that an answer has, most of them by `layers::finish`.
const HEADERS_OF_AN_ANSWER: usize = 10;

/// A JSON answer that is written already.
pub(super) fn json_bytes(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    // With those that every answer gets: room that has to grow is copied.
    headers.reserve(HEADERS_OF_AN_ANSWER);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(wire::JSON));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(text: &'static str) -> Option<Kind> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(text));
        kind(&headers).ok()
    }

    #[test]
    fn json_is_taken_under_each_of_its_names() {
        for text in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/cloudevents+json",
        ] {
            assert_eq!(kind_of(text), Some(Kind::Json), "{text}");
        }
        assert_eq!(kind_of("application/x-ndjson"), Some(Kind::Ndjson));
        for text in ["", "text/plain", "text/json", "application/json; charset=latin1", "json"] {
            assert_eq!(kind_of(text), None, "{text}");
        }
    }
}
