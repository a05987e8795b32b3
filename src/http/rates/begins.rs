//! Which stream a request would begin where it is not there, as its method and path say. Pure.
//!
//! It refuses to know whether the stream is there and whether the request is a good one.
//! Invariant: no request begins a stream for which this says none, but for subscriptions, which
//! have a limit of their own.

use axum::http::{Method, Uri};

use crate::{
    http::params::{self, Params},
    log::StreamPath,
};

/// The stream that a request would begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// It begins none, or none that could exist.
    None,
    /// One whose name is known only when the body is.
    New,
    /// This one, where it is not there.
    Stream(StreamPath),
}

/// Where routes have a path, and whether an append begins a stream there, too.
const PATHS: [(&str, bool); 3] =
    [("/v1/stream/", false), ("/api/streams/", false), ("/api/events/", true)];
/// Where they have the id of a session, with what is asked of it behind.
const SESSION: &str = "/api/sessions/";

/// The stream that a request would begin.
pub(super) fn target(method: &Method, uri: &Uri) -> Target {
    if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        return Target::None;
    }
    let path = uri.path();
    let stream = match path {
        "/api/sessions" => return Target::New,
        "/api/streams" => {
            let params = Params::of(uri).ok();
            let id = params.as_ref().and_then(|params| params.get("sessionId").ok().flatten());
            id.and_then(|id| StreamPath::session(id).ok())
        }
        _ if path.starts_with(SESSION) => {
            let id = path.get(SESSION.len()..).and_then(|rest| rest.split('/').next());
            let id = id.and_then(|id| params::decode_path(id).ok());
            id.and_then(|id| StreamPath::session(&id).ok())
        }
        _ => PATHS.iter().find_map(|(prefix, by_append)| {
            let named = path.strip_prefix(prefix)?;
            let begins = *by_append || *method == Method::PUT;
            let named = params::decode_path(named).ok().filter(|_| begins)?;
            StreamPath::parse(&named).ok()
        }),
    };
    stream.map_or(Target::None, Target::Stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_writes_names_the_stream_it_would_begin() {
        let stream = |text: &str| Target::Stream(StreamPath::parse(text).unwrap());
        for (method, uri, expected) in [
            (Method::PUT, "/v1/stream/a/b", stream("a/b")),
            (Method::PUT, "/api/streams/a%20b", stream("a b")),
            (Method::POST, "/api/events/a+b?validate=off", stream("a+b")),
            (Method::POST, "/api/sessions/s/events", stream("sessions/s")),
            (Method::POST, "/api/sessions/s%3A1/messages", stream("sessions/s:1")),
            (Method::POST, "/api/streams?sessionId=s", stream("sessions/s")),
            (Method::POST, "/api/sessions", Target::New),
            (Method::GET, "/api/sessions/s/events", Target::None),
            (Method::DELETE, "/v1/stream/a", Target::None),
            (Method::POST, "/v1/stream/a", Target::None),
            (Method::POST, "/api/streams", Target::None),
            (Method::PUT, "/v1/stream/../a", Target::None),
            (Method::POST, "/api/sessions/%ff/events", Target::None),
        ] {
            assert_eq!(target(&method, &uri.parse().unwrap()), expected, "{method} {uri}");
        }
    }
}
