//! Who is at the other end of a connection.

use std::net::IpAddr;

/// The address of the peer, as whoever accepts connections notes it in each request. None where
/// there is no address, as on a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub Option<IpAddr>);
