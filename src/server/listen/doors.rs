//! What a server needs to be reached, taken before anything else is done: its certificate, its
//! address, its Unix socket. It refuses to know what is served. Invariant: what is wrong with one
//! of them is told before the store is opened, and nobody gets through the address until it is.

use std::net::SocketAddr;

use anyhow::Context;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

use super::{
    certificates::{Certificates, TlsFiles},
    unix::UnixSocket,
};
use crate::{limits, server::Settings};

/// Addresses that are ours, and a certificate that is of use.
pub(in crate::server) struct Doors {
    /// Bound, so that nobody else gets it, and closed: clients are refused until the server runs.
    tcp: TcpSocket,
    pub(super) unix: Option<UnixSocket>,
    pub(super) tls: Option<Certificates>,
}

impl Doors {
    /// Takes what the settings name.
    ///
    /// # Errors
    /// An address is taken or not ours, or the certificate is of no use.
    pub(in crate::server) async fn of(settings: &Settings) -> anyhow::Result<Self> {
        let tls = match settings.tls_files() {
            Some((cert, key)) => Some(Certificates::load(TlsFiles { cert, key }).await?),
            None => None,
        };
        let tcp = bound(settings.listen);
        let tcp = tcp.with_context(|| format!("listening on {}", settings.listen))?;
        let mode = settings.unix_socket_mode.bits();
        let unix = settings.unix_socket.as_deref().map(|path| UnixSocket::bind(path, mode));
        Ok(Self { tcp, unix: unix.transpose()?, tls })
    }

    /// Opens the address.
    pub(super) fn open(self) -> anyhow::Result<(TcpListener, Option<UnixSocket>)> {
        let addr = self.tcp.local_addr().context("asking where the server listens")?;
        let tcp = self.tcp.listen(limits::CONNECTIONS_WAITING);
        Ok((tcp.with_context(|| format!("listening on {addr}"))?, self.unix))
    }
}

fn bound(addr: SocketAddr) -> std::io::Result<TcpSocket> {
    let tcp = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A server that is started again gets its address, though connections of the last one linger.
    tcp.set_reuseaddr(true)?;
    // Connections have it from the socket that accepts them.
    SockRef::from(&tcp).set_tcp_notsent_lowat(limits::SOCKET_UNSENT_BYTES)?;
    tcp.bind(addr)?;
    Ok(tcp)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn of_each_connection_the_system_holds_little() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let doors = Doors::of(&Settings { listen, ..Settings::default() }).await.unwrap();
        let (tcp, _) = doors.open().unwrap();
        let (client, accepted) =
            tokio::join!(TcpStream::connect(tcp.local_addr().unwrap()), tcp.accept());
        let (accepted, _) = accepted.unwrap();
        let held = SockRef::from(&accepted).tcp_notsent_lowat().unwrap();
        assert_eq!(held, limits::SOCKET_UNSENT_BYTES);
        drop(client);
    }
}
