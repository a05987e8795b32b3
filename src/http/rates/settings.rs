//! What one token and one address may do, as the settings say it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::limits;

/// The limits of those who use the server, beside the server's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Whether they are in force. Unless given they are where the server asks who somebody is, and
    /// where it listens beyond loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforce: Option<bool>,
    /// Wrong tokens from one address in a minute; 0 is no limit.
    pub failed_auth_per_minute: u64,
    /// Connections that one address has open, but for proxies that are believed; 0 is no limit.
    pub connections_per_address: u64,
    /// What the holder of one token may do.
    pub token: Allowance,
    /// What one address may do, whoever is there; of IPv6 one network of 64 bits.
    pub address: Allowance,
}

/// What one of those who use the server may do. 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Allowance {
    /// Requests in a second.
    pub requests_per_second: u64,
    /// Bytes of request bodies in a second.
    pub bytes_per_second: u64,
    /// Live reads that are open at a time.
    pub live_readers: u64,
    /// Streams begun in an hour.
    pub streams_per_hour: u64,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            enforce: None,
            failed_auth_per_minute: limits::RATE_FAILED_AUTH_PER_MINUTE,
            connections_per_address: limits::RATE_CONNECTIONS,
            token: Allowance::default(),
            address: Allowance::default(),
        }
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            requests_per_second: limits::RATE_REQUESTS_PER_SECOND,
            bytes_per_second: limits::RATE_BYTES_PER_SECOND,
            live_readers: limits::RATE_LIVE_READERS,
            streams_per_hour: limits::RATE_STREAMS_PER_HOUR,
        }
    }
}

impl RateLimits {
    /// Whether they are in force for a server that listens here and asks who somebody is, or not.
    #[must_use]
    pub fn in_force(&self, listens: IpAddr, asks: bool) -> bool {
        self.enforce.unwrap_or(asks || !listens.is_loopback())
    }

    /// Whether anybody's new streams are counted.
    pub(super) fn counts_streams(&self) -> bool {
        self.token.streams_per_hour > 0 || self.address.streams_per_hour > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_in_force_where_strangers_may_come() {
        let given = |enforce| RateLimits { enforce, ..RateLimits::default() };
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(!given(None).in_force(at("127.0.0.1"), false));
        assert!(!given(None).in_force(at("::1"), false));
        assert!(given(None).in_force(at("127.0.0.1"), true));
        assert!(given(None).in_force(at("0.0.0.0"), false));
        assert!(given(Some(true)).in_force(at("127.0.0.1"), false));
        assert!(!given(Some(false)).in_force(at("0.0.0.0"), true));
    }
}
