//! Who is at the other end of a connection, also through proxies that are believed. Pure: it
//! refuses to know sockets. Invariant: nobody but a proxy that is believed can say of itself that
//! it is somebody else.

use std::{fmt, net::IpAddr, str::FromStr};

use axum::http::HeaderMap;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Where a request comes from; `None` where it came over a Unix socket. Among the extensions of a
/// request where limits of addresses are in force: nobody else asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub Option<IpAddr>);

/// Addresses of proxies whose `X-Forwarded-For` is believed: one address, or a network such as
/// `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustedProxy(IpNet);

/// Not an address of a proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a proxy; write one such as 10.0.0.1, or a network, 10.0.0.0/8")]
pub struct ProxyError(String);

impl FromStr for TrustedProxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let alone = |text: &str| text.parse().ok().map(|addr: IpAddr| addr.to_canonical().into());
        let net = text.parse().ok().or_else(|| alone(text));
        net.map(Self).ok_or_else(|| ProxyError(text.to_owned()))
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
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

/// Whether an address is one of a proxy that is believed.
#[must_use]
pub fn is_trusted(addr: IpAddr, trusted: &[TrustedProxy]) -> bool {
    trusted.iter().any(|proxy| proxy.0.contains(&addr.to_canonical()))
}

/// Who sent a request that came from `proxy`, which is believed: the right-most address in
/// `X-Forwarded-For` that is not one of ours. What stands left of it anybody may have written. At
/// something that is no address it ends: then it is the proxy that handed it on.
#[must_use]
pub fn forwarded(proxy: IpAddr, headers: &HeaderMap, trusted: &[TrustedProxy]) -> IpAddr {
    let mut nearest = proxy.to_canonical();
    let lines = headers.get_all(FORWARDED_FOR);
    let lines: Vec<_> = lines.iter().map(|line| line.to_str().unwrap_or_default()).collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Some(addr) = address(entry.trim()) else { return nearest };
        nearest = addr;
        if !is_trusted(addr, trusted) {
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

    fn seen(lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        forwarded("10.0.0.1".parse().unwrap(), &headers, &trusted()).to_string()
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
        for text in ["10.0.0.1", "10.0.0.0/8", "fd00::1", "fd00::/8"] {
            let proxy: TrustedProxy = text.parse().unwrap();
            assert_eq!(proxy.to_string(), text);
        }
        for text in ["", "proxy", "10.0.0.0/33", "10.0.0", "10.0.0.1:80", "*"] {
            assert_eq!(text.parse::<TrustedProxy>(), Err(ProxyError(text.to_owned())));
        }
        assert!(is_trusted("10.9.8.7".parse().unwrap(), &trusted()));
        assert!(is_trusted("::ffff:10.9.8.7".parse().unwrap(), &trusted()));
        assert!(!is_trusted("11.0.0.1".parse().unwrap(), &trusted()));
        assert!(!is_trusted("11.0.0.1".parse().unwrap(), &[]));
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
