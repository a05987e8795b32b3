//! The token that a request presents: in its `Authorization`, or, where a page opens an event
//! stream and cannot send headers, in `?access_token=`.
//!
//! Invariant: a token in a query is gone before anything else sees the query, whatever becomes of
//! it, and however its name is written.

use axum::{
    extract::Request,
    http::{HeaderMap, Method, Uri, header::AUTHORIZATION},
};

use crate::{http::params::decode, wire::paths};

/// The token that counts: the header wins over the query, even where it holds none.
pub(super) fn presented<'a>(headers: &'a HeaderMap, in_query: Option<&'a str>) -> Option<&'a str> {
    if headers.contains_key(AUTHORIZATION) { bearer(headers) } else { in_query }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (only, more) = (given.next()?, given.next());
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    (more.is_none() && scheme.eq_ignore_ascii_case("bearer")).then(|| token.trim())
}

/// Takes the token out of the query. One that is given twice, or where none counts, is removed as
/// well, and counts for nothing.
pub(super) fn take_from_query(request: &mut Request) -> Option<String> {
    let query = request.uri().query()?;
    if !query.split('&').any(is_token) {
        return None;
    }
    let mut tokens = query.split('&').filter(|pair| is_token(pair));
    let (only, more) = (tokens.next(), tokens.next());
    let token = only.and_then(|pair| pair.split_once('=')).and_then(|(_, token)| {
        decode(token).ok().map(std::borrow::Cow::into_owned).filter(|_| more.is_none())
    });
    let rest: Vec<_> = query.split('&').filter(|pair| !is_token(pair)).collect();
    let path = request.uri().path();
    let counts = request.method() == Method::GET && is_event_stream(path, &rest);
    let without =
        if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
    let uri = with_path(request.uri(), &without);
    *request.uri_mut() = uri;
    token.filter(|_| counts)
}

fn is_token(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    decode(name).is_ok_and(|name| name == "access_token")
}

fn with_path(uri: &Uri, path_and_query: &str) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path_and_query.parse().ok();
    // A part of a valid query is valid; should it not be, the token goes all the same.
    parts.try_into().unwrap_or_default()
}

/// Whether a page opens this as an event stream.
fn is_event_stream(path: &str, query: &[&str]) -> bool {
    let is_below = |front: &str, end: &str| {
        let inner = path.strip_prefix(front).and_then(|rest| rest.strip_suffix(end));
        inner.is_some_and(|inner| !inner.is_empty())
    };
    path == paths::CHANNELS
        || path == paths::BUS
        || is_below("/api/channels/", "/stream")
        || is_below("/api/sessions/", "/stream")
        || is_below("/api/follow/", "")
        || (is_below("/v1/stream/", "") && query.contains(&"live=sse"))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use proptest::prelude::*;

    use super::*;

    fn taken(method: &str, uri: &str, authorization: &[&str]) -> (Option<String>, String) {
        let mut request = Request::builder().method(method).uri(uri);
        for value in authorization {
            request = request.header(AUTHORIZATION, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let in_query = take_from_query(&mut request);
        let token = presented(request.headers(), in_query.as_deref());
        (token.map(str::to_owned), request.uri().to_string())
    }

    #[test]
    fn a_token_in_the_query_counts_on_event_streams_only_and_is_removed_everywhere() {
        let live = "/api/sessions/s/stream";
        for (method, uri, token, left) in [
            ("GET", "/event?access_token=t", Some("t"), "/event"),
            ("GET", "/event?a=1&access_token=t&b=2", Some("t"), "/event?a=1&b=2"),
            ("GET", "/event?access%5Ftoken=t", Some("t"), "/event"),
            ("GET", "/event?%61ccess_token=a%2Eb", Some("a.b"), "/event"),
            ("GET", "/event?access_token=t&access_token=t", None, "/event"),
            ("GET", "/event?access_token=t&access%5ftoken=u", None, "/event"),
            ("GET", "/event?access_token", None, "/event"),
            ("GET", "/event?access_token=%zz", None, "/event"),
            ("GET", "/event?Access_Token=t", None, "/event?Access_Token=t"),
            ("GET", "/event?xaccess_token=t", None, "/event?xaccess_token=t"),
            ("HEAD", "/event?access_token=t", None, "/event"),
            ("POST", "/event?access_token=t", None, "/event"),
            ("GET", "/api/streams?access_token=t", None, "/api/streams"),
            ("GET", "/api/sessions//stream?access_token=t", None, "/api/sessions//stream"),
            ("GET", "/api/follow/a/b?access_token=t", Some("t"), "/api/follow/a/b"),
            ("GET", "/v1/stream/a?access_token=t", None, "/v1/stream/a"),
            ("GET", "/v1/stream/a?live=sse&access_token=t", Some("t"), "/v1/stream/a?live=sse"),
            ("GET", "http://h/event?access_token=t", Some("t"), "http://h/event"),
        ] {
            let expected = (token.map(str::to_owned), left.to_owned());
            assert_eq!(taken(method, uri, &[]), expected, "{method} {uri}");
        }
        let uri = format!("{live}?access_token=q");
        for (authorization, token) in [
            (&["Bearer h"][..], Some("h")),
            (&["bearer  h "], Some("h")),
            (&["Basic h"], None),
            (&["Bearer"], None),
            (&["Bearer h", "Bearer i"], None),
        ] {
            let expected = (token.map(str::to_owned), live.to_owned());
            assert_eq!(taken("GET", &uri, authorization), expected, "{authorization:?}");
        }
    }

    proptest! {
        #[test]
        fn no_token_stays_in_a_query(
            pairs in prop::collection::vec("(access_token|access%5Ftoken|%61ccess_token|a|)=(secret|1|)", 0..6),
        ) {
            let (_, left) = taken("GET", &format!("/event?{}", pairs.join("&")), &[]);
            let named = |pair: &&String| !pair.starts_with("a=") && pair.contains("ccess");
            let secrets = pairs.iter().filter(|pair| !named(pair) && pair.contains("secret"));
            prop_assert_eq!(left.matches("secret").count(), secrets.count());
            prop_assert!(!left.contains("ccess"));
        }
    }
}
