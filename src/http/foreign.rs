//! Pages in a browser, where the server asks nobody who they are: a browser on the machine sends
//! what any page tells it to, and some of that without asking the server first.
//!
//! Pure. It refuses to know tokens: where they are asked for, a page has none to send. Invariants:
//! a page writes only where its origin is named or of this machine; a server for this machine
//! answers under no name that somebody else may point at it.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{
        Method,
        header::{HOST, ORIGIN},
        uri::Authority,
    },
};

use super::{App, error::Fail};
use crate::wire::code::Code;

/// The answer to a page that may not ask this.
pub(super) fn page(app: &App, request: &Request) -> Option<Fail> {
    if app.guard().is_on() {
        return None;
    }
    let host = host(request);
    if let (Some(names), Some(host)) = (app.names(), host)
        && !is_ours(host, names)
    {
        return Some(refused(&format!(
            "this server is for programs of its own machine, and not for {host:?}; if that is a \
             proxy's name, say it with --public-url, or ask for tokens with --auth"
        )));
    }
    let origin = request.headers().get(ORIGIN)?;
    let origin = origin.to_str().unwrap_or_default();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    (!reads && !is_let_in(origin, host, app)).then(|| {
        refused(&format!(
            "pages of {origin:?} may not write here; if they are yours, name them with --cors-origin"
        ))
    })
}

fn refused(message: &str) -> Fail {
    Fail::new(Code::Forbidden, message)
}

/// The host that a client believes to talk to; HTTP/2 says it in the URI.
fn host(request: &Request) -> Option<&str> {
    let header = request.headers().get(HOST).map(|host| host.to_str().unwrap_or_default());
    header.or_else(|| request.uri().authority().map(Authority::as_str))
}

/// Whether a name may stand for a server of this machine: an address, which nobody can point
/// elsewhere, a name of this machine or of its own network, or one that was said.
fn is_ours(host: &str, names: &[String]) -> bool {
    let name = name_of(host);
    let is_of_machine = !name.contains('.') || name.to_ascii_lowercase().ends_with(".localhost");
    address(name).is_some()
        || is_of_machine
        || names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether pages of an origin may write: those of this machine, those under the name that the
/// server is asked by, and those that are named.
fn is_let_in(origin: &str, host: Option<&str>, app: &App) -> bool {
    let Some((_, of)) = origin.split_once("://") else { return false };
    let name = name_of(of);
    let is_here = address(name).map_or_else(
        || name == "localhost" || name.ends_with(".localhost"),
        |address| address.is_loopback(),
    );
    is_here
        || host.is_some_and(|host| host.eq_ignore_ascii_case(of))
        || app.origins().iter().any(|named| named == "*" || named == origin)
        || app.names().is_some_and(|names| names.iter().any(|known| known == name))
}

/// A host without its port, its brackets and the dot behind it.
fn name_of(host: &str) -> &str {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, _)) => inside,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.strip_suffix('.').unwrap_or(name)
}

fn address(name: &str) -> Option<IpAddr> {
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_this_machine_goes_by_no_name_of_somebody_else() {
        let names = ["log.example".to_owned()];
        for (host, ours) in [
            ("127.0.0.1:4437", true),
            ("127.0.0.1", true),
            ("[::1]:4437", true),
            ("localhost:4437", true),
            ("LOCALHOST", true),
            ("a.localhost.:80", true),
            ("machine:4437", true),
            ("log.example", true),
            ("LOG.example:443", true),
            ("evil.example:4437", false),
            ("evil.example.", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("log.example.evil.example", false),
            ("xlog.example", false),
        ] {
            assert_eq!(is_ours(host, &names), ours, "{host}");
        }
    }
}
