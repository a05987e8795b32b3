//! Where and how the server is reached, as it was typed.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use crate::server::settings::{PORT, Settings, SocketMode, TrustedProxy};

/// TLS, sockets and proxies.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "How it is reached")]
pub(super) struct Reach {
    /// The server's certificate and those above it, in PEM; read again when it changes
    #[arg(long, env = "SCROLLBACK_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, env = "SCROLLBACK_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Unix socket to listen on beside the address
    #[arg(long, env = "SCROLLBACK_UNIX_SOCKET", value_name = "PATH")]
    unix_socket: Option<PathBuf>,
    /// Permissions of the Unix socket [default: 0600]
    #[arg(long, env = "SCROLLBACK_UNIX_SOCKET_MODE", value_name = "OCTAL")]
    unix_socket_mode: Option<SocketMode>,
    /// Proxies whose X-Forwarded headers are believed: addresses, networks or `unix`, which is
    /// whoever gets through the Unix socket, separated by commas
    #[arg(long, env = "SCROLLBACK_TRUSTED_PROXIES", value_name = "ADDRESS", value_delimiter = ',')]
    trusted_proxy: Vec<TrustedProxy>,
}

impl Reach {
    /// The settings with what was typed laid over.
    pub(super) fn over(self, file: Settings) -> Settings {
        let proxies = Some(self.trusted_proxy).filter(|proxies| !proxies.is_empty());
        Settings {
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            unix_socket: self.unix_socket.or(file.unix_socket),
            unix_socket_mode: self.unix_socket_mode.unwrap_or(file.unix_socket_mode),
            trusted_proxies: proxies.unwrap_or(file.trusted_proxies),
            ..file
        }
    }
}

/// What was typed is no address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "write an address and a port, such as 127.0.0.1:{PORT}, or [::1]:{PORT}, or 0.0.0.0:{PORT} for all \
     addresses of this machine; names such as localhost are not looked up"
)]
pub(super) struct NoAddress;

/// The address to listen on.
pub(super) fn parse_listen(text: &str) -> Result<SocketAddr, NoAddress> {
    text.parse().map_err(|_| NoAddress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_listen_on_has_a_port_and_no_name() {
        assert_eq!(parse_listen("127.0.0.1:4437"), Ok(Settings::default().listen));
        for text in ["localhost:4437", "127.0.0.1", ":4437", "4437", "http://127.0.0.1:4437", ""] {
            let error = parse_listen(text).unwrap_err();
            assert!(error.to_string().contains("127.0.0.1:4437, or [::1]:4437"), "{text}: {error}");
        }
    }
}
