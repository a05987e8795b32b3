//! Where connections come in: accepted up to a bound, and up to one for each address where limits
//! of addresses are in force, over TCP and over a Unix socket. It refuses to know what is served.
//! Invariant: nothing that a client does, or leaves undone, keeps the next one from being accepted.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{extract::Request, response::Response};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower::Service;

pub(super) use self::doors::Doors;
pub use self::{certificates::TlsError, unix::UnixSocketError};
use self::{
    connection::Terms,
    crowd::{Crowd, Crowded, Member},
    line::{Line, Socket},
    unix::UnixSocket,
};
use super::{Settings, tasks::Tasks};
use crate::{
    clock::Clock,
    http::{Peer, RateLimits},
    metrics::{Limited, Metrics},
};

mod activity;
mod answers;
mod certificates;
mod connection;
mod crowd;
mod doors;
mod line;
mod patience;
mod places;
mod preface;
mod turn;
mod unix;

/// After a failed accept (no file handles are left, say) the next try waits this long.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Accepts and serves connections.
#[derive(Debug)]
pub struct Acceptor {
    tcp: TcpListener,
    unix: Option<UnixSocket>,
    terms: Arc<Terms>,
    /// Connections that may be open at once.
    places: usize,
    /// Those of each address, where they are counted.
    crowd: Option<Crowd>,
    metrics: Arc<Metrics>,
}

impl Acceptor {
    /// Opens the doors, with the limits that are in force, if they are. Once the first of the tokens
    /// is cancelled connections end when their requests in flight are answered, and at once when
    /// the second is.
    ///
    /// # Errors
    /// The system refuses to listen.
    pub(super) fn open(
        doors: Doors,
        settings: &Settings,
        limits: Option<&RateLimits>,
        metrics: Arc<Metrics>,
        (tasks, clock): (Tasks, Arc<dyn Clock>),
        (finish, abort): (CancellationToken, CancellationToken),
    ) -> anyhow::Result<Self> {
        let tls = doors.tls.clone();
        let (tcp, unix) = doors.open()?;
        if let Some(path) = &settings.unix_socket {
            tracing::info!(path = %path.display(), "listening on a Unix socket");
        }
        if let Some(tls) = tls.clone() {
            let clock = Arc::clone(&clock);
            tasks.service("certificate", async move { tls.watch(&*clock).await });
        }
        let trusted = Arc::from(settings.trusted_proxies.as_slice());
        let peers_wanted = limits.is_some();
        let terms = Terms { tasks, clock, finish, abort, tls, trusted, peers_wanted };
        let places = places::count();
        let most = limits.and_then(|of| places::of_one(of.connections_per_address, places));
        let crowd = most.map(Crowd::new);
        Ok(Self { tcp, unix, terms: Arc::new(terms), places, crowd, metrics })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Accepts until told to finish. At the bound of connections it waits: the system's queue
    /// holds the rest. What an address has beyond its own is closed.
    pub async fn run<S>(self, service: S)
    where
        S: Service<Request, Response = Response, Error = Infallible, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let places = Arc::new(Semaphore::new(self.places));
        let accepting = async {
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                match self.next().await {
                    Ok((socket, from)) => match self.admit(from) {
                        Ok(member) => {
                            let held = (place, member);
                            self.connection(socket, from, service.clone(), held);
                        }
                        Err(crowded) => {
                            self.turn_away(&socket, from, crowded);
                            // Whoever comes again at once would keep requests from their turn.
                            tokio::task::yield_now().await;
                        }
                    },
                    Err(error) => {
                        tracing::warn!(error = %error, "a connection was not accepted");
                        self.terms.clock.sleep(ACCEPT_AGAIN_AFTER).await;
                    }
                }
            }
        };
        self.terms.finish.run_until_cancelled(accepting).await;
    }

    /// The next connection of either kind.
    async fn next(&self) -> io::Result<(Socket, Peer)> {
        let unix = async {
            match &self.unix {
                Some(unix) => unix.accept().await,
                None => std::future::pending().await,
            }
        };
        let (stream, addr) = tokio::select! {
            tcp = self.tcp.accept() => tcp?,
            unix = unix => {
                return unix.map(|(stream, user)| (Socket::Unix(stream), Peer::User(user)));
            }
        };
        // Without it an answer may wait for the peer's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = %error, "TCP_NODELAY was refused");
        }
        Ok((Socket::Tcp(stream), Peer::Address(addr.ip().to_canonical())))
    }

    /// Counts a connection among those of its address, or of its user. A proxy that is believed
    /// brings those of many.
    fn admit(&self, from: Peer) -> Result<Option<Member>, Crowded> {
        match &self.crowd {
            Some(crowd) if !from.is_trusted(&self.terms.trusted) => {
                crowd.enter(from.into()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Lets a connection be closed before anything is done for it.
    fn turn_away(&self, socket: &Socket, from: Peer, crowded: Crowded) {
        self.metrics.limit(Limited::Connections);
        tracing::debug!(?from, error = %crowded, "a connection was closed at once");
        // It is reset, so that not even the system keeps anything of it.
        if let Socket::Tcp(stream) = socket
            && let Err(error) = stream.set_zero_linger()
        {
            tracing::debug!(%error, "SO_LINGER was refused");
        }
    }

    /// Serves a connection on its own, which keeps its place until it ends.
    fn connection<S>(
        &self,
        socket: Socket,
        from: Peer,
        service: S,
        held: (OwnedSemaphorePermit, Option<Member>),
    ) where
        S: Service<Request, Response = Response, Error = Infallible, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let terms = Arc::clone(&self.terms);
        let line = Line::new(socket, Arc::clone(&terms.clock));
        self.terms.tasks.connection(async move {
            if let Err(error) = connection::serve(line, from, service, &terms).await {
                tracing::debug!(error = %error, "a connection broke");
            }
            drop(held);
        });
    }
}
