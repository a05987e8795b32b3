//! Under which scheme and host a client reaches the server, for the URLs that answers tell. Pure:
//! it refuses to know sockets, and which proxies are believed. Invariants: what the settings say
//! counts before what anybody else says; what is no scheme, or no host, is part of no URL.

use axum::http::{HeaderMap, HeaderName, Method, header::HOST, request::Parts, uri::Authority};
use url::Url;

use super::App;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What a connection knows of how its client reaches the server, and a handler cannot know. Among
/// the extensions of requests that [`is_told`] of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    scheme: &'static str,
    /// What a proxy says, in the place of the host that the request names.
    host: Option<String>,
}

impl Front {
    /// What a client sees who speaks this scheme.
    #[must_use]
    pub fn new(scheme: &'static str) -> Self {
        Self { scheme, host: None }
    }

    /// What clients of a proxy see that sent these headers, and that is believed: what it does not
    /// say, or says otherwise than a URL would, is as the proxy itself has it. Of several entries
    /// the right-most one counts, which nobody but this proxy can have written.
    #[must_use]
    pub fn behind(self, headers: &HeaderMap) -> Self {
        let scheme = last(headers, &FORWARDED_PROTO).and_then(scheme).unwrap_or(self.scheme);
        let host = last(headers, &FORWARDED_HOST).filter(|host| is_host(host));
        Self { scheme, host: host.map(str::to_owned).or(self.host) }
    }
}

/// Whether the answer to a request of this kind may tell a URL. Appends are none of them.
#[must_use]
pub fn is_told(method: &Method) -> bool {
    method == Method::PUT
}

/// What URLs begin with for whoever sent a request; empty where it named no host.
pub(super) fn of(app: &App, parts: &Parts) -> String {
    if let Some(url) = app.public_url() {
        return url.to_owned();
    }
    let front = parts.extensions.get::<Front>();
    let scheme = front.map_or(app.scheme(), |front| front.scheme);
    let asked = || parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 has no such header, and says it in the URI.
    let asked = || asked().or_else(|| parts.uri.authority().map(Authority::as_str));
    let host = front.and_then(|front| front.host.as_deref()).or_else(asked);
    host.map_or_else(String::new, |host| format!("{scheme}://{host}"))
}

/// The right-most entry of a header.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    line.rsplit(',').next().map(str::trim)
}

fn scheme(said: &str) -> Option<&'static str> {
    ["https", "http"].into_iter().find(|scheme| said.eq_ignore_ascii_case(scheme))
}

/// Whether a text is a name or an address, with a port or without.
fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let parses = || Url::parse(&format!("http://{text}")).is_ok();
    text.bytes().all(plain) && !text.ends_with(':') && parses()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(lines: &[(&HeaderName, &str)]) -> (&'static str, Option<String>) {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(*name, line.parse().unwrap());
        }
        let front = Front::new("http").behind(&headers);
        (front.scheme, front.host)
    }

    #[test]
    fn what_is_no_scheme_and_no_host_is_not_heard() {
        for said in ["", "ftp", "javascript", "https:", "https://", "https evil", "https;x", "é"] {
            assert_eq!(seen(&[(&FORWARDED_PROTO, said)]), ("http", None), "{said}");
        }
        for said in [
            "", ":", ":80", "a b", "a/b", "a?b", "a#b", "u@a", "u:p@a", "http://a", "a:x", "a:",
            "a:99999", "[::1", "a\"b", "a<b", "é", "a\\b", "a%2fb",
        ] {
            assert_eq!(seen(&[(&FORWARDED_HOST, said)]), ("http", None), "{said}");
        }
    }

    #[test]
    fn a_proxy_says_the_scheme_and_the_host_or_one_of_them() {
        assert_eq!(seen(&[]), ("http", None));
        assert_eq!(seen(&[(&FORWARDED_PROTO, "HTTPS")]), ("https", None));
        for host in ["log.example", "log.example:8443", "127.0.0.1:80", "[::1]:80", "a_b"] {
            assert_eq!(seen(&[(&FORWARDED_HOST, host)]), ("http", Some(host.to_owned())));
        }
        let over_tls = Front::new("https").behind(&HeaderMap::new());
        assert_eq!(over_tls, Front::new("https"));
    }

    #[test]
    fn of_several_entries_the_one_of_the_nearest_proxy_counts() {
        let proto = [(&FORWARDED_PROTO, "http"), (&FORWARDED_PROTO, "http, https")];
        assert_eq!(seen(&proto).0, "https");
        assert_eq!(seen(&[(&FORWARDED_PROTO, "https, rubbish")]).0, "http");
        let host = seen(&[(&FORWARDED_HOST, "evil.example, log.example")]).1;
        assert_eq!(host.as_deref(), Some("log.example"));
    }

    proptest! {
        #[test]
        fn whatever_a_header_says_a_url_stays_one_with_that_host(said in "[ -~]{0,40}") {
            if let Some(host) = seen(&[(&FORWARDED_HOST, &said)]).1 {
                let url = Url::parse(&format!("http://{host}/x")).unwrap();
                prop_assert_eq!(url.path(), "/x");
                prop_assert!(url.username().is_empty() && url.query().is_none());
            }
        }
    }
}
