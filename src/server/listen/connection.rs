//! One connection, from its first byte: a TLS handshake where there is a certificate, then
//! HTTP/1.1 or HTTP/2, with bounds on headers, on silence and on what is under way at once. It
//! refuses to know what is served. Invariant: a connection ends by itself when its client does
//! nothing any more, and once it is told to, with its requests in flight answered.

use std::{convert::Infallible, fmt, future::Future, io, net::IpAddr, pin::pin, sync::Arc};

use axum::{body::Body, extract::Request, http::HeaderMap, response::Response};
use futures_util::FutureExt as _;
use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::{
    activity::Activity, answers, certificates::Certificates, line::Line, preface::Version,
    turn::Turn,
};
use crate::{
    clock::Clock,
    http::{
        Peer, TrustedProxy,
        origin::{Front, is_told},
        peer::forwarded,
    },
    limits,
    server::tasks::Tasks,
};

/// What all connections are served with.
pub(super) struct Terms {
    pub(super) tasks: Tasks,
    pub(super) clock: Arc<dyn Clock>,
    /// Connections end once their requests in flight are answered.
    pub(super) finish: CancellationToken,
    /// Connections end at once.
    pub(super) abort: CancellationToken,
    pub(super) tls: Option<Certificates>,
    pub(super) trusted: Arc<[TrustedProxy]>,
    /// Whether anybody asks where requests come from: it costs each of them allocations.
    pub(super) peers_wanted: bool,
}

impl Terms {
    fn callers(&self, from: Peer) -> Callers {
        let trusted = from.is_trusted(&self.trusted).then(|| Arc::clone(&self.trusted));
        // Over the Unix socket there is no TLS.
        let is_tls = self.tls.is_some() && matches!(from, Peer::Address(_));
        let scheme = if is_tls { "https" } else { "http" };
        Callers { from, behind: trusted, peers_wanted: self.peers_wanted, scheme }
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

/// Why a connection ended otherwise than with its last answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Line(#[from] io::Error),
    #[error("the client did not say in time what it wants")]
    Slow,
}

/// Serves a connection to its end.
pub(super) async fn serve<S>(
    mut line: Line,
    from: Peer,
    service: S,
    terms: &Terms,
) -> Result<(), Broken>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    // What few connections need is boxed, so that it costs the others no room.
    if let (Some(tls), Peer::Address(addr)) = (&terms.tls, from) {
        return Box::pin(over_tls(line, addr, service, tls, terms)).await;
    }
    let version = in_time(limits::HEADER_TIMEOUT, line.version(), terms).await?;
    match version {
        None => Ok(()),
        Some(Version::One) => http1(line, from, service, terms).await,
        Some(Version::Two) => Box::pin(http2(line, from, service, terms)).await,
    }
}

async fn over_tls<S>(
    line: Line,
    addr: IpAddr,
    service: S,
    tls: &Certificates,
    terms: &Terms,
) -> Result<(), Broken>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    let handshake = tls.acceptor().accept(line).into_fallible().map(Ok);
    let line = match in_time(limits::TLS_HANDSHAKE_WITHIN, handshake, terms).await? {
        None => return Ok(()),
        Some(Ok(line)) => line,
        Some(Err((error, line))) => {
            hold(terms).await;
            drop(line);
            return Err(error.into());
        }
    };
    let is_http2 = line.get_ref().1.alpn_protocol() == Some(b"h2");
    if is_http2 {
        http2(line, Peer::Address(addr), service, terms).await
    } else {
        http1(line, Peer::Address(addr), service, terms).await
    }
}

/// What comes before the first request, within its time; `None` where the server stops first.
async fn in_time<T>(
    within: std::time::Duration,
    first: impl Future<Output = io::Result<T>>,
    terms: &Terms,
) -> Result<Option<T>, Broken> {
    tokio::select! {
        biased;
        done = first => Ok(Some(done?)),
        () = terms.finish.cancelled() => Ok(None),
        () = terms.clock.sleep(within) => Err(Broken::Slow),
    }
}

async fn http1<L, S>(line: L, from: Peer, service: S, terms: &Terms) -> Result<(), Broken>
where
    L: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone,
{
    let callers = terms.callers(from);
    let turn = Turn::default();
    let answer = service_fn(|request: hyper::Request<Incoming>| {
        let (mut service, request) = (service.clone(), callers.named(request));
        turn.begin().then(move |()| service.call(request))
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_TIMEOUT)
        .max_buf_size(limits::HEADER_BYTES_MAX);
    let connection = builder.serve_connection(TokioIo::new(line), answer);
    turn.each(drive(connection, std::future::pending(), terms)).await
}

async fn http2<L, S>(line: L, from: Peer, service: S, terms: &Terms) -> Result<(), Broken>
where
    L: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    let (callers, activity) = (terms.callers(from), Activity::default());
    let counted = activity.clone();
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let asked = counted.begin();
        let answer = service.clone().call(callers.named(request));
        async move { answer.await.map(|response| response.map(|body| asked.answered(body))) }
    });
    let (tasks, clock) = (terms.tasks.clone(), Arc::clone(&terms.clock));
    let requests = Requests { tasks, clock, abort: terms.abort.clone() };
    let mut builder = http2::Builder::new(requests);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::HTTP2_STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits::HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(limits::HTTP2_SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(limits::HTTP2_RESETS_PENDING_MAX)
        .max_local_error_reset_streams(limits::HTTP2_RESETS_OURS_MAX)
        .keep_alive_interval(limits::HTTP2_PING_EVERY)
        .keep_alive_timeout(limits::HTTP2_PING_WITHIN);
    let connection = builder.serve_connection(TokioIo::new(line), answer);
    let served = drive(connection, activity.until_quiet(&*terms.clock), terms).await;
    if served.is_err() {
        // The connection is closed already, and what broke it cannot be told apart; its place is
        // held all the same, which costs one who was merely cut off little.
        hold(terms).await;
    }
    served
}

/// Drives a connection to its end, which it is told of when the server stops, or when there has
/// been enough of it.
async fn drive<C>(
    connection: C,
    enough: impl Future<Output = ()>,
    terms: &Terms,
) -> Result<(), Broken>
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = pin!(connection);
    // Nothing is aborted that was not told to finish, so until then one signal is watched.
    tokio::select! {
        biased;
        served = connection.as_mut() => {
            if served.as_ref().is_err_and(hyper::Error::is_parse) {
                hold(terms).await;
            }
            return Ok(served?);
        }
        () = terms.finish.cancelled() => connection.as_mut().graceful_shutdown(),
        () = enough => {
            connection.as_mut().graceful_shutdown();
            return tokio::select! {
                served = connection => Ok(served?),
                () = terms.clock.sleep(limits::HTTP2_GOODBYE_WITHIN) => Ok(()),
            };
        }
    }
    Ok(terms.abort.run_until_cancelled(connection).await.unwrap_or(Ok(()))?)
}

/// Lets a connection that brought rubbish stay open for a while, with nothing read of it and its
/// place taken: its client has the time to read the refusal, which closing on bytes that were not
/// read would take from it, and one who comes again and again is slowed down at its own cost.
async fn hold(terms: &Terms) {
    let held = terms.clock.sleep(limits::RUBBISH_HELD);
    terms.finish.run_until_cancelled(held).await;
}

/// Who asks over one connection.
struct Callers {
    /// The other end of the connection.
    from: Peer,
    /// The proxies to look through, where the connection is one's.
    behind: Option<Arc<[TrustedProxy]>>,
    peers_wanted: bool,
    /// What is spoken over it.
    scheme: &'static str,
}

impl Callers {
    /// Who sent a request with these headers.
    fn peer(&self, headers: &HeaderMap) -> Peer {
        match &self.behind {
            None => self.from,
            Some(trusted) => forwarded(self.from, headers, trusted),
        }
    }

    /// How whoever sent a request with these headers reaches the server.
    fn front(&self, headers: &HeaderMap) -> Front {
        let front = Front::new(self.scheme);
        if self.behind.is_some() { front.behind(headers) } else { front }
    }

    /// A request with its peer, and with how that reaches the server, among its extensions, where
    /// anybody wants to know.
    fn named(&self, request: hyper::Request<Incoming>) -> Request {
        let mut request = request.map(Body::new);
        if self.peers_wanted {
            let peer = self.peer(request.headers());
            request.extensions_mut().insert(peer);
        }
        if is_told(request.method()) {
            let front = self.front(request.headers());
            request.extensions_mut().insert(front);
        }
        request
    }
}

/// Runs the requests of a connection of HTTP/2, each on its own.
#[derive(Clone)]
struct Requests {
    tasks: Tasks,
    clock: Arc<dyn Clock>,
    abort: CancellationToken,
}

impl<F> Executor<F> for Requests
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, work: F) {
        let (clock, abort) = (Arc::clone(&self.clock), self.abort.clone());
        self.tasks.request(async move {
            abort.run_until_cancelled(answers::watched(work, &*clock)).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    /// Whom a request is of that names another, over a connection from there.
    fn seen(from: Peer, trusted: &[TrustedProxy]) -> Peer {
        let terms = Terms {
            tasks: Tasks::default(),
            clock: ManualClock::at(0),
            finish: CancellationToken::new(),
            abort: CancellationToken::new(),
            tls: None,
            trusted: Arc::from(trusted),
            peers_wanted: true,
        };
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "192.0.2.7".parse().unwrap());
        terms.callers(from).peer(&headers)
    }

    #[test]
    fn only_a_proxy_that_is_believed_speaks_for_others() {
        let tcp = |text: &str| Peer::Address(text.parse().unwrap());
        let trusted = ["10.0.0.1".parse().unwrap()];
        assert_eq!(seen(tcp("10.0.0.2"), &trusted), tcp("10.0.0.2"));
        assert_eq!(seen(Peer::User(33), &trusted), Peer::User(33));
        assert_eq!(seen(tcp("10.0.0.1"), &trusted), tcp("192.0.2.7"));
        let trusted = ["unix".parse().unwrap()];
        assert_eq!(seen(tcp("127.0.0.1"), &trusted), tcp("127.0.0.1"));
        assert_eq!(seen(Peer::User(33), &trusted), tcp("192.0.2.7"));
    }
}
