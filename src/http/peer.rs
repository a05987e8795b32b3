//! Who is at the other end of a connection, also through proxies that are believed. Pure: it
//! refuses to know sockets. Invariant: nobody but a proxy that is believed can say of itself that
//! it is somebody else.

use std::{fmt, net::IpAddr, str::FromStr};

use axum::http::HeaderMap;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// How those who come over the Unix socket are named among the proxies.
const UNIX_SOCKET: &str = "unix";

/// Where a request comes from. Among the extensions of a request where limits of addresses are in
/// force: nobody else asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// An address of the network.
    Address(IpAddr),
    /// A user of this machine, by the system's number, who came over the Unix socket.
    User(u32),
}

impl Peer {
    /// Whether it is a proxy that is believed.
    #[must_use]
    pub fn is_trusted(self, trusted: &[TrustedProxy]) -> bool {
        trusted.iter().any(|proxy| match (proxy.0, self) {
            (Believed::Network(net), Self::Address(addr)) => net.contains(&addr.to_canonical()),
            (Believed::UnixSocket, Self::User(_)) => true,
            _ => false,
        })
    }
}

/// Proxies that are believed about who asks: one address, a network such as `10.0.0.0/8`, or
/// `unix`, which is whoever gets through the Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustedProxy(Believed);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Believed {
    Network(IpNet),
    UnixSocket,
}

/// Not a proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no proxy; write an address such as 10.0.0.1, a network, 10.0.0.0/8, or unix for \
     whoever comes over the Unix socket"
)]
pub struct ProxyError(String);

impl FromStr for TrustedProxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        if text == UNIX_SOCKET {
            return Ok(Self(Believed::UnixSocket));
        }
        let alone = |text: &str| text.parse().ok().map(|addr: IpAddr| addr.to_canonical().into());
        let net = text.parse().ok().or_else(|| alone(text));
        net.map(|net| Self(Believed::Network(net))).ok_or_else(|| ProxyError(text.to_owned()))
    }
}

impl TryFrom<String> for TrustedProxy {
    type Error = ProxyError;

    fn try_from(text: String) -> Result<Self, ProxyError> {
        text.parse()
    }
}

impl From<TrustedProxy> for String {
    fn from(proxy: TrustedProxy) -> Self {
        proxy.to_string()
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Believed::UnixSocket => f.write_str(UNIX_SOCKET),
            Believed::Network(net) if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(f),
            Believed::Network(net) => net.fmt(f),
        }
    }
}

/// Who sent a request that came from `proxy`, which is believed: the right-most address in
/// `X-Forwarded-For` that is not one of ours. What stands left of it anybody may have written. At
/// something that is no address it ends: then it is the proxy that handed it on.
#[must_use]
pub fn forwarded(proxy: Peer, headers: &HeaderMap, trusted: &[TrustedProxy]) -> Peer {
    let mut nearest = proxy;
    let lines = headers.get_all(FORWARDED_FOR);
    let lines: Vec<_> = lines.iter().map(|line| line.to_str().unwrap_or_default()).collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Some(addr) = address(entry.trim()) else { return nearest };
        nearest = Peer::Address(addr);
        if !nearest.is_trusted(trusted) {
            return nearest;
        }
    }
    nearest
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn address(entry: &str) -> Option<IpAddr> {
    let bracketed = entry.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let parsed = match bracketed {
        Some((inside, "")) => inside.parse().ok(),
        _ => entry
            .parse()
            .ok()
            .or_else(|| entry.parse().ok().map(|socket: std::net::SocketAddr| socket.ip())),
    };
    parsed.map(|addr: IpAddr| addr.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trusted() -> Vec<TrustedProxy> {
        vec!["10.0.0.0/8".parse().unwrap(), "fd00::1".parse().unwrap()]
    }

    fn address(text: &str) -> Peer {
        Peer::Address(text.parse().unwrap())
    }

    fn seen(lines: &[&str]) -> String {
        match behind(address("10.0.0.1"), lines) {
            Peer::Address(addr) => addr.to_string(),
            Peer::User(user) => format!("user {user}"),
        }
    }

    fn behind(proxy: Peer, lines: &[&str]) -> Peer {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        forwarded(proxy, &headers, &trusted())
    }

    #[test]
    fn the_right_most_address_that_is_no_proxy_is_the_peer() {
        for (lines, peer) in [
            (&["192.0.2.7"][..], "192.0.2.7"),
            (&["198.51.100.1, 192.0.2.7"], "192.0.2.7"),
            (&["192.0.2.7, 10.0.0.3, fd00::1"], "192.0.2.7"),
            (&["198.51.100.1", "192.0.2.7,10.0.0.3"], "192.0.2.7"),
            (&["192.0.2.7:4711"], "192.0.2.7"),
            (&["[2001:db8::7]:4711"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["::ffff:192.0.2.7"], "192.0.2.7"),
            (&["192.0.2.7, ::ffff:10.0.0.9"], "192.0.2.7"),
        ] {
            assert_eq!(seen(lines), peer, "{lines:?}");
        }
    }

    #[test]
    fn garbage_is_never_an_address_and_hides_what_stands_left_of_it() {
        for (lines, peer) in [
            (&[][..], "10.0.0.1"),
            (&[""], "10.0.0.1"),
            (&["unknown"], "10.0.0.1"),
            (&["192.0.2.7, unknown"], "10.0.0.1"),
            (&["192.0.2.7, _hidden, 10.0.0.3"], "10.0.0.3"),
            (&["192.0.2.7,"], "10.0.0.1"),
            (&["10.0.0.4, 10.0.0.3"], "10.0.0.4"),
            (&["[192.0.2.7"], "10.0.0.1"),
            (&["[::1]x"], "10.0.0.1"),
            (&["192.0.2.7 192.0.2.8"], "10.0.0.1"),
        ] {
            assert_eq!(seen(lines), peer, "{lines:?}");
        }
    }

    #[test]
    fn proxies_are_addresses_and_networks_and_are_written_as_they_are_read() {
        for text in ["10.0.0.1", "10.0.0.0/8", "fd00::1", "fd00::/8", "unix"] {
            let proxy: TrustedProxy = text.parse().unwrap();
            assert_eq!(proxy.to_string(), text);
        }
        for text in ["", "proxy", "10.0.0.0/33", "10.0.0", "10.0.0.1:80", "*", "unix:"] {
            assert_eq!(text.parse::<TrustedProxy>(), Err(ProxyError(text.to_owned())));
        }
        assert!(address("10.9.8.7").is_trusted(&trusted()));
        assert!(address("::ffff:10.9.8.7").is_trusted(&trusted()));
        assert!(!address("11.0.0.1").is_trusted(&trusted()));
        assert!(!address("11.0.0.1").is_trusted(&[]));
    }

    #[test]
    fn the_unix_socket_is_believed_where_that_is_said_and_no_address_is_for_it() {
        let unix: TrustedProxy = "unix".parse().unwrap();
        let everywhere: TrustedProxy = "0.0.0.0/0".parse().unwrap();
        assert!(!Peer::User(0).is_trusted(&[everywhere]));
        assert!(!address("127.0.0.1").is_trusted(&[unix]));
        assert!(Peer::User(0).is_trusted(&[everywhere, unix]));
    }

    #[test]
    fn who_came_over_the_socket_is_whom_its_proxy_names_or_the_user_that_the_proxy_runs_as() {
        let proxy = Peer::User(33);
        assert_eq!(behind(proxy, &["198.51.100.1, 192.0.2.7"]), address("192.0.2.7"));
        for lines in [&[][..], &["unix:"], &["192.0.2.7, unix:"], &["user 7"]] {
            assert_eq!(behind(proxy, lines), proxy, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_left_of_an_address_changes_nothing(left in "[ -~]{0,40}") {
            let line = format!("{left}, 192.0.2.7, 10.0.0.3");
            prop_assert_eq!(seen(&[&line]), "192.0.2.7");
        }

        #[test]
        fn no_header_makes_it_fail(line in "[ -~]{0,60}") {
            seen(&[&line]);
        }
    }
}
