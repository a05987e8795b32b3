//! What every handler shares: the log, the maker of ids, the count of live readers, and the
//! signal that the server stops.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::http::Extensions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{
    access::{self, Owners},
    body::BodyRoom,
    error::Fail,
    host::{Host, NoHost},
    protocol::catch_up::Damaged,
    rates::{self, Limiter, OrderReads, Place, RateLimits},
};
use crate::{
    auth::{Access, Guard, Tokens},
    limits,
    log::{Log, StreamPath, StreamSpec},
    projection::{OrderView, Views},
    session::{
        CommandError, Done, Executor, Ids, KeepStates, Maker, command::Command, list::Sessions,
        projections::Projections,
    },
    subscription::Subscriptions,
    wire::code::Code,
};

/// The state of the HTTP face.
#[derive(Debug)]
pub struct App {
    log: Log,
    guard: Guard,
    tokens: Option<Tokens>,
    owners: Owners,
    subscriptions: Subscriptions,
    views: Views<Projections>,
    sessions: OrderView<Sessions>,
    executor: Executor,
    ids: Ids,
    json: StreamSpec,
    readers: AtomicUsize,
    readers_max: usize,
    limiter: Option<Arc<Limiter>>,
    order_reads: OrderReads,
    origins: Vec<String>,
    names: Option<Vec<String>>,
    scheme: &'static str,
    public_url: Option<String>,
    host: Arc<dyn Host>,
    low_water: u64,
    damaged: Damaged,
    body_room: BodyRoom,
    backups: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl App {
    /// The face of a log and of the subscriptions on it.
    #[must_use]
    pub fn new(log: Log, subscriptions: Subscriptions) -> Self {
        let (views, sessions) = (Views::new(log.clone()), OrderView::new(log.clone()));
        log.set_trim_guard(Box::new(KeepStates::new(&views, &sessions)));
        let executor = Executor::new(log.clone(), views.clone());
        Self {
            log,
            guard: Guard::off(),
            tokens: None,
            owners: Owners::default(),
            subscriptions,
            views,
            sessions,
            executor,
            ids: Ids::default(),
            json: StreamSpec::json(),
            readers: AtomicUsize::new(0),
            readers_max: limits::LIVE_READERS_MAX,
            limiter: None,
            order_reads: OrderReads::default(),
            origins: Vec::new(),
            names: None,
            scheme: "http",
            public_url: None,
            host: Arc::new(NoHost),
            low_water: limits::LOW_WATER_BYTES,
            damaged: Damaged::default(),
            body_room: BodyRoom::new(limits::BODIES_BYTES_MAX),
            backups: Arc::new(Semaphore::new(limits::BACKUPS_MAX)),
            stopping: CancellationToken::new(),
        }
    }

    /// The same with another maker of ids.
    #[must_use]
    pub fn with_ids(mut self, ids: Ids) -> Self {
        self.ids = ids;
        self
    }

    /// The same with another bound on live readers.
    #[must_use]
    pub fn with_readers_max(mut self, readers_max: usize) -> Self {
        self.readers_max = readers_max;
        self
    }

    /// The same with limits on those who use it.
    #[must_use]
    pub fn with_rate_limits(mut self, settings: RateLimits) -> Self {
        self.limiter = Some(Arc::new(Limiter::new(settings)));
        self
    }

    /// The same for pages of other origins; `*` is every origin.
    #[must_use]
    pub fn with_origins(mut self, origins: Vec<String>) -> Self {
        self.origins = origins;
        self
    }

    /// The same for this machine only: pages reach it by its address, or by one of these names.
    #[must_use]
    pub fn with_names(mut self, names: Option<Vec<String>>) -> Self {
        self.names = names;
        self
    }

    /// The same with a guard that knows who may do what.
    #[must_use]
    pub fn with_guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    /// The same for a server whose tokens these are: their guard is its own.
    #[must_use]
    pub fn with_tokens(mut self, tokens: Option<Tokens>) -> Self {
        self.guard = tokens.as_ref().map_or_else(Guard::off, |tokens| tokens.guard().clone());
        self.tokens = tokens;
        self
    }

    /// The tokens that may be seen to, where the server has any.
    pub(super) fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }

    /// Knows who may do what.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The same where clients come over another scheme than `http`.
    #[must_use]
    pub fn with_scheme(mut self, scheme: &'static str) -> Self {
        self.scheme = scheme;
        self
    }

    /// What URLs of the server begin with.
    pub(super) fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The same under this URL, without a slash at its end, whatever clients ask for.
    #[must_use]
    pub fn with_public_url(mut self, url: Option<String>) -> Self {
        self.public_url = url;
        self
    }

    /// The URL that it is said to be reached by.
    pub(super) fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// The limits on those who use it, where they are in force.
    pub(super) fn limiter(&self) -> Option<&Arc<Limiter>> {
        self.limiter.as_ref()
    }

    /// Reads in commit order that lie far behind.
    pub(super) fn order_reads(&self) -> &OrderReads {
        &self.order_reads
    }

    /// The same in a process that tells of itself.
    #[must_use]
    pub fn with_host(mut self, host: Arc<dyn Host>) -> Self {
        self.host = host;
        self
    }

    /// The same with another mark: with fewer bytes free on its disk it is not ready.
    #[must_use]
    pub fn with_low_water(mut self, bytes: u64) -> Self {
        self.low_water = bytes;
        self
    }

    /// The process around it.
    pub(super) fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// With fewer bytes free on its disk it is not ready.
    pub(super) fn low_water(&self) -> u64 {
        self.low_water
    }

    /// Origins whose pages may read and write.
    pub(super) fn origins(&self) -> &[String] {
        &self.origins
    }

    /// The names that pages may reach it by, beside its address, where it is for this machine only.
    pub(super) fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// The same with other room for bodies that have not ended.
    #[must_use]
    pub fn with_body_room(mut self, bytes: usize) -> Self {
        self.body_room = BodyRoom::new(bytes);
        self
    }

    /// Room for bodies that have not ended.
    pub(super) fn body_room(&self) -> &BodyRoom {
        &self.body_room
    }

    /// Where records are known to be damaged.
    pub(super) fn damaged(&self) -> &Damaged {
        &self.damaged
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The states of sessions.
    #[must_use]
    pub fn views(&self) -> &Views<Projections> {
        &self.views
    }

    /// The list of sessions.
    #[must_use]
    pub fn sessions(&self) -> &OrderView<Sessions> {
        &self.sessions
    }

    /// The subscriptions on the log.
    #[must_use]
    pub fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// Decides a command in a session and does it.
    pub(super) async fn run(
        &self,
        session: &StreamPath,
        command: &Command,
        access: &Access,
    ) -> Result<Done, Fail> {
        match self.executor.run(session, command, &self.ids, access::by(access)).await {
            Err(CommandError::NotTheirs) => Err(access::hidden(self, session)),
            done => Ok(done?),
        }
    }

    /// What an event gets that its writer left out, now, and who the writer is.
    pub(super) fn maker<'a>(&'a self, access: &'a Access) -> Maker<'a> {
        let (ids, now_ms) = (&self.ids, self.log.clock().now_ms());
        Maker { ids, now_ms, actor: access::actor(access) }
    }

    /// The workers that sessions belonged to a moment ago.
    pub(super) fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Whether whoever asks does so over TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.scheme == "https"
    }

    /// Makes ids.
    pub(super) fn ids(&self) -> &Ids {
        &self.ids
    }

    /// What streams are made with that begin with their first event.
    #[must_use]
    pub fn json(&self) -> &StreamSpec {
        &self.json
    }

    /// Ends live reads and makes `/readyz` fail. Other requests go on.
    pub fn stop_readers(&self) {
        self.stopping.cancel();
    }

    /// The signal that live reads end.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Live readers that are connected.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    /// A place among those who take a backup, if there is one.
    pub(super) fn backing_up(&self) -> Result<OwnedSemaphorePermit, Fail> {
        Arc::clone(&self.backups).try_acquire_owned().map_err(|_| {
            Fail::new(
                Code::BackupRunning,
                "a backup is being taken already; try again when it is done",
            )
        })
    }

    /// A place among the live readers, of the server and of whoever sent the request with these
    /// extensions, if there is one.
    pub(super) fn seat(self: &Arc<Self>, sender: &Extensions) -> Result<Seat, Fail> {
        let place = rates::seat(self, sender)?;
        let taken = self.readers.fetch_add(1, Ordering::Relaxed);
        // From here on dropping the seat gives it back.
        let seat = Seat { app: Arc::clone(self), _place: place };
        self.log.metrics().readers.inc();
        (taken < self.readers_max).then_some(seat).ok_or_else(|| {
            Fail::new(
                Code::TooManyReaders,
                "the server has as many live readers as it takes; try again shortly",
            )
        })
    }
}

/// A live reader's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    app: Arc<App>,
    _place: Option<Place>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.app.readers.fetch_sub(1, Ordering::Relaxed);
        self.app.log.metrics().readers.dec();
    }
}
