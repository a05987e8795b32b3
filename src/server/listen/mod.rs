//! Connections: accepted up to a bound, served with bounds on headers and on silence, ended
//! gracefully. It refuses to know what is served.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{body::Body, extract::Request, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::tasks::Tasks;
use crate::{clock::Clock, limits};

/// After a failed accept (no file handles are left, say) the next try waits this long.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Accepts and serves connections.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
    /// Connections end once their request in flight is answered.
    finish: CancellationToken,
    /// Connections end at once.
    abort: CancellationToken,
}

impl Acceptor {
    /// Listens at `addr`.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(
        addr: SocketAddr,
        tasks: Tasks,
        clock: Arc<dyn Clock>,
        finish: CancellationToken,
        abort: CancellationToken,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        Ok(Self { listener, tasks, clock, finish, abort })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts until told to finish. At the bound of connections it waits: the system's queue
    /// holds the rest.
    pub async fn run<S>(self, service: S)
    where
        S: Service<Request, Response = Response, Error = Infallible, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let places = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
        let finish = self.finish.clone();
        let accepting = async {
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                match self.listener.accept().await {
                    Ok((stream, _)) => self.connection(stream, service.clone(), place),
                    Err(error) => {
                        tracing::warn!(error = %error, "a connection was not accepted");
                        self.clock.sleep(ACCEPT_AGAIN_AFTER).await;
                    }
                }
            }
        };
        finish.run_until_cancelled(accepting).await;
    }

    fn connection<S>(&self, stream: TcpStream, service: S, place: OwnedSemaphorePermit)
    where
        S: Service<Request, Response = Response, Error = Infallible, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        // Without it an answer may wait for the peer's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = %error, "TCP_NODELAY was refused");
        }
        let (finish, abort) = (self.finish.clone(), self.abort.clone());
        self.tasks.connection(async move {
            if let Err(error) = serve(stream, service, &finish, &abort).await {
                tracing::debug!(error = %error, "a connection broke");
            }
            drop(place);
        });
    }
}

async fn serve<S>(
    stream: TcpStream,
    service: S,
    finish: &CancellationToken,
    abort: &CancellationToken,
) -> hyper::Result<()>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone,
{
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        service.clone().call(request.map(Body::new))
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_TIMEOUT)
        .max_buf_size(limits::HEADER_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer));
    // Nothing is aborted that was not told to finish, so until then one signal is watched.
    tokio::select! {
        biased;
        served = connection.as_mut() => return served,
        () = finish.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    abort.run_until_cancelled(connection).await.unwrap_or(Ok(()))
}
