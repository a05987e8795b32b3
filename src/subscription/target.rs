//! Which addresses a webhook may call, so that nobody uses the server to reach what only the
//! server can reach (protocol, section 6.2). Pure.
//!
//! Invariant: an address is called only if its URL passes here, and each number its name stands
//! for passes here again when it is called.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::limits;

/// Who may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Targets {
    /// Public addresses over HTTPS.
    Public,
    /// These, and over plain HTTP `localhost` and `127.x.x.x`: for development.
    Localhost,
}

/// Why an address is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a URL of the web.
    #[error(
        "`webhook.url` is no URL with a host, of at most {} bytes",
        limits::WEBHOOK_URL_BYTES_MAX
    )]
    NoUrl,
    /// It has a name or a password in it.
    #[error("`webhook.url` holds credentials; requests are signed instead")]
    Credentials,
    /// Plain HTTP.
    #[error(
        "`webhook.url` begins with https://; http:// is for localhost, where the server allows it"
    )]
    Plain,
    /// An address of a local network.
    #[error("`webhook.url` leads to {0}, which is not a public address")]
    Local(String),
}

/// Checks the address of a webhook.
///
/// # Errors
/// The first rule it breaks.
pub fn check(text: &str, targets: Targets) -> Result<Url, TargetError> {
    if text.len() > limits::WEBHOOK_URL_BYTES_MAX {
        return Err(TargetError::NoUrl);
    }
    let url = Url::parse(text).map_err(|_| TargetError::NoUrl)?;
    let host = url.host().ok_or(TargetError::NoUrl)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetError::Credentials);
    }
    let is_localhost = match &host {
        Host::Domain(name) => is_localhost(name),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(_) => false,
    };
    match url.scheme() {
        "http" if is_localhost && targets == Targets::Localhost => return Ok(url),
        "http" => return Err(TargetError::Plain),
        "https" => {}
        _ => return Err(TargetError::NoUrl),
    }
    let is_public = match host {
        Host::Domain(name) => !is_local_name(name),
        Host::Ipv4(address) => is_public(IpAddr::V4(address)),
        Host::Ipv6(address) => is_public(IpAddr::V6(address)),
    };
    let host = url.host_str().unwrap_or_default().to_owned();
    if is_public { Ok(url) } else { Err(TargetError::Local(host)) }
}

/// Whether a name is the one for this machine.
#[must_use]
pub fn is_localhost(name: &str) -> bool {
    name.trim_end_matches('.').eq_ignore_ascii_case("localhost")
}

/// Names that never leave the machine or its network (RFC 6761, RFC 6762, RFC 8375).
fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    is_localhost(last) || matches!(last, "local" | "internal") || name.ends_with("home.arpa")
}

/// Whether an address is one of the public internet (RFC 6890 and the registries behind it).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_for_protocols = a == 192 && b == 0 && (c == 0 || c == 2);
    let is_relay = (a, b, c) == (192, 88, 99);
    let is_for_benchmarks = a == 198 && (b == 18 || b == 19);
    // Public by its number, and within a large cloud the host's own door for its guests.
    let is_host_of_guests = address.octets() == [168, 63, 129, 16];
    !(a == 0
        || a >= 240
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || is_shared
        || is_for_protocols
        || is_relay
        || is_for_benchmarks
        || is_host_of_guests)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let [first, second, ..] = segments;
    // Addresses that carry one of version 4 lead to where that one leads.
    let carried = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            return carried(high, low);
        }
        [0x2002, high, low, ..] => return carried(high, low),
        _ => {}
    }
    // Only 2000::/3 is given out to the public internet.
    let is_given_out = first & 0xe000 == 0x2000;
    let is_for_protocols = first == 0x2001 && second < 0x0200;
    let is_documentation = (first == 0x2001 && second == 0x0db8) || first == 0x3fff;
    is_given_out && !is_for_protocols && !is_documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_over_https_are_called() {
        for url in [
            "https://worker.example/hooks",
            "https://8.8.8.8:8443/x?y=1",
            "https://[2606:4700::1]/",
        ] {
            assert!(check(url, Targets::Public).is_ok(), "{url}");
        }
        for url in [
            "http://worker.example/hooks",
            "http://10.0.0.1/hook",
            "http://127.0.0.1/hook",
            "https://10.0.0.1/",
            "https://172.31.0.1/",
            "https://192.168.1.1/",
            "https://169.254.169.254/latest",
            "https://100.64.0.1/",
            "https://127.0.0.1/",
            "https://0.0.0.0/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://printer.local/",
            "https://metadata.google.internal/",
            "https://user:secret@worker.example/",
            "ftp://worker.example/",
            "file:///etc/passwd",
            "/hooks",
            "",
        ] {
            for targets in [Targets::Public, Targets::Localhost] {
                if targets == Targets::Localhost && url.starts_with("http://127.") {
                    continue;
                }
                assert!(check(url, targets).is_err(), "{url}");
            }
        }
        let long = format!("https://worker.example/{}", "x".repeat(limits::WEBHOOK_URL_BYTES_MAX));
        assert_eq!(check(&long, Targets::Public), Err(TargetError::NoUrl));
    }

    #[test]
    fn no_spelling_of_a_local_address_passes() {
        for url in [
            "https://0/",
            "https://127.1/",
            "https://017700000001/",
            "https://0x7f000001/",
            "https://255.255.255.255/",
            "https://100.100.100.200/",
            "https://168.63.129.16/",
            "https://192.0.0.192/",
            "https://[::]/",
            "https://[::a9fe:a9fe]/",
            "https://[::ffff:169.254.169.254]/",
            "https://[::ffff:0:169.254.169.254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[64:ff9b:1::1]/",
            "https://[2002:a9fe:a9fe::1]/",
            "https://[2001:0:a9fe:a9fe::]/",
            "https://[fd00:ec2::254]/",
            "https://[ff02::1]/",
            "https://metadata.google.internal./",
        ] {
            assert!(check(url, Targets::Public).is_err(), "{url}");
            assert!(check(url, Targets::Localhost).is_err(), "{url}");
        }
    }

    #[test]
    fn in_development_the_machine_itself_is_called_over_plain_http() {
        for url in ["http://localhost:3000/hook", "http://127.0.0.1:9/", "http://127.8.8.8/"] {
            assert!(check(url, Targets::Localhost).is_ok(), "{url}");
            assert_eq!(check(url, Targets::Public), Err(TargetError::Plain), "{url}");
        }
        for url in ["http://[::1]/", "http://localhost.example/", "http://10.0.0.1/"] {
            assert_eq!(check(url, Targets::Localhost), Err(TargetError::Plain), "{url}");
        }
    }
}
