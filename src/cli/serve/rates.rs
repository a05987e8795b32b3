//! What each token and each address may take, as it was typed.

use clap::Args;

use crate::server::settings::{Allowance, RateLimits, Settings};

/// Rates; the file has the other limits.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What each may take")]
pub(super) struct Rates {
    /// Whether the limits of tokens and addresses are in force [default: with authentication, and
    /// where the server listens beyond loopback]
    #[arg(long, env = "SCROLLBACK_LIMITS", value_name = "BOOL")]
    limits: Option<bool>,
    /// Requests of one token in a second; 0 is no limit [default: 2000]
    #[arg(long, env = "SCROLLBACK_TOKEN_REQUESTS", value_name = "NUMBER")]
    token_requests: Option<u64>,
    /// Bytes of request bodies of one token in a second; 0 is no limit [default: 33554432]
    #[arg(long, env = "SCROLLBACK_TOKEN_BYTES", value_name = "NUMBER")]
    token_bytes: Option<u64>,
    /// Requests of one address in a second; 0 is no limit [default: 2000]
    #[arg(long, env = "SCROLLBACK_ADDRESS_REQUESTS", value_name = "NUMBER")]
    address_requests: Option<u64>,
    /// Bytes of request bodies of one address in a second; 0 is no limit [default: 33554432]
    #[arg(long, env = "SCROLLBACK_ADDRESS_BYTES", value_name = "NUMBER")]
    address_bytes: Option<u64>,
}

impl Rates {
    /// The settings with what was typed laid over.
    pub(super) fn over(self, file: Settings) -> Settings {
        let limits = RateLimits {
            enforce: self.limits.or(file.limits.enforce),
            token: allowance(file.limits.token, self.token_requests, self.token_bytes),
            address: allowance(file.limits.address, self.address_requests, self.address_bytes),
            ..file.limits
        };
        Settings { limits, ..file }
    }
}

/// What the file allows, with what was typed laid over it.
fn allowance(file: Allowance, requests: Option<u64>, bytes: Option<u64>) -> Allowance {
    Allowance {
        requests_per_second: requests.unwrap_or(file.requests_per_second),
        bytes_per_second: bytes.unwrap_or(file.bytes_per_second),
        ..file
    }
}
