//! The process: start order, stop order.
//!
//! Started from the store outwards, stopped from the outside in: accept no more, end live reads
//! with a last event, let requests in flight finish, stop the tasks, flush and close the store.
//! Each step has a deadline, and what misses it is logged and left behind.

use std::{future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

pub use self::settings::Settings;
use self::{
    disk::{Disk, Folder, Probe},
    host::Process,
    listen::{Acceptor, Doors},
    notify::Manager,
    tasks::Tasks,
    webhooks::Webhooks,
};
use crate::{
    auth::Tokens,
    clock::{Clock, SystemClock},
    http::{self, App, RateLimits},
    limits,
    log::{self, Log, sweeper},
    metrics::Metrics,
    session::absence,
    store::{Store, sled::SledStore},
    subscription::{self, Subscriptions},
};

mod asking;
pub mod disk;
mod host;
pub mod listen;
pub mod notify;
pub mod offline;
pub mod offline_list;
#[cfg(feature = "otlp")]
mod otlp;
pub mod settings;
mod socket_mode;
pub mod tasks;
pub mod telemetry;
pub mod webhooks;

/// Runs a server until `stop` completes, or until it cannot go on.
///
/// # Errors
/// It could not be started or stopped, a task failed, or the log was poisoned.
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let running = start(settings).await?;
    let url = running.url();
    let asked = running.app.guard().is_on();
    let token = if asked { " -H \"authorization: Bearer $SCROLLBACK_TOKEN\"" } else { "" };
    eprintln!(
        "scrollback listens on {url}; try: curl '{url}/api/streams?sessionId=demo'{token} -H \
         'content-type: application/json' -d '{{\"channel\":\"message\",\"data\":{{\"text\":\"hello\"}}}}'"
    );
    let manager = Manager::of_process();
    manager.ready(&url);
    let log = running.log().clone();
    let feed = async { manager.feed(&**log.clock(), || log.poisoned().is_none()).await };
    let mut feed = pin!(feed);
    let failed = tokio::select! {
        () = stop => None,
        reason = running.until_failed() => Some(reason),
        never = &mut feed => match never {},
    };
    if let Some(reason) = &failed {
        tracing::error!(reason = %reason, "the server cannot go on");
    }
    manager.stopping();
    let stopped = tokio::select! {
        stopped = running.stop() => stopped,
        never = feed => match never {},
    };
    match failed {
        Some(reason) => anyhow::bail!("the server could not go on: {reason}"),
        None => stopped,
    }
}

/// Completes at the first SIGTERM or SIGINT.
///
/// # Errors
/// The system refuses to tell of signals.
pub fn signals() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("watching for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watching for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    })
}

/// Starts a server on the machine's clock and the store of its data folder.
///
/// # Errors
/// The settings break a rule, the data folder cannot be opened, the address cannot be listened on.
pub async fn start(settings: Settings) -> anyhow::Result<Running> {
    settings.check()?;
    let metrics = Arc::new(Metrics::default());
    // Before the store, which may take its time: what is wrong with it is soon told.
    let doors = (asking::open(&settings)?, Doors::of(&settings).await?);
    let store = open_store(&settings, &metrics).await?;
    start_behind(doors, &settings, store, Arc::new(SystemClock), metrics).await
}

/// Opens the store of the data folder. Opening replays the journal, so it leaves the runtime.
async fn open_store(settings: &Settings, metrics: &Arc<Metrics>) -> anyhow::Result<Arc<dyn Store>> {
    let (path, metrics) = (settings.data_dir.clone(), Arc::clone(metrics));
    let opening = tokio::task::spawn_blocking(move || SledStore::open(&path, metrics));
    Ok(Arc::new(opening.await.context("opening the data folder")??))
}

/// Starts a server on a store and a clock of the caller's.
///
/// # Errors
/// The address cannot be listened on, or a file of tokens cannot be used.
pub async fn start_with(
    settings: &Settings,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<Running> {
    let doors = (asking::open(settings)?, Doors::of(settings).await?);
    start_behind(doors, settings, store, clock, metrics).await
}

/// Starts a server behind its doors, with the tokens that it asks for, if it does.
async fn start_behind(
    (tokens, doors): (Option<Tokens>, Doors),
    settings: &Settings,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<Running> {
    let log_settings = log::Settings { retention: settings.retention };
    let log = Log::new(store, Arc::clone(&clock), log_settings, metrics);
    let tasks = Tasks::default();
    let (finish, abort) = (CancellationToken::new(), CancellationToken::new());
    let limits = limits_in_force(settings, tokens.is_some());
    let (counts, stops) = (Arc::clone(log.metrics()), (finish.clone(), abort.clone()));
    let acceptor = Acceptor::open(doors, settings, limits, counts, (tasks.clone(), clock), stops)?;
    let addr = acceptor.addr().context("asking where the server listens")?;
    let subscriptions = subscriptions(settings, &log, addr).await?;
    let disk = watch_disk(settings, &log, &tasks).await?;
    let host = Process { started_ms: log.clock().now_ms(), tasks: tasks.clone(), disk };
    let app = App::new(log.clone(), subscriptions.clone())
        .with_host(Arc::new(host))
        .with_low_water(settings.low_water)
        .with_origins(settings.cors_origins.clone())
        .with_names(settings.names())
        .with_scheme(settings.scheme())
        .with_public_url(settings.said_url());
    let app = app.with_tokens(tokens.clone());
    let app = Arc::new(match limits {
        Some(limits) => app.with_rate_limits(limits.clone()),
        None => app,
    });
    if let Some(known) = tokens {
        tasks.service("tokens", known.run(Arc::clone(log.clock())));
    }
    let sweeping = log.clone();
    let views = app.views().clone();
    tasks.service("views", async {
        views.run().await;
        Ok(())
    });
    let leaving = absence::run(log.clone(), app.sessions().clone());
    tasks.service("absence", async {
        leaving.await;
        Ok(())
    });
    let sessions = app.sessions().clone();
    tasks.service("sessions", async {
        sessions.run().await;
        Ok(())
    });
    tasks.service("subscriptions", async {
        subscriptions.run().await;
        Ok(())
    });
    tasks.service("sweeper", async {
        sweeper::run(sweeping).await;
        Ok(())
    });
    let service = http::service(Arc::clone(&app));
    tasks.service("acceptor", async {
        acceptor.run(service).await;
        Ok(())
    });
    tracing::info!(%addr, "listening");
    Ok(Running { addr, scheme: settings.scheme(), log, app, tasks, finish, abort })
}

/// The limits on those who use a server that asks who somebody is, or not, where they are in
/// force.
fn limits_in_force(settings: &Settings, asks: bool) -> Option<&RateLimits> {
    let limits = &settings.limits;
    limits.in_force(settings.listen.ip(), asks).then_some(limits)
}

/// The disk, looked at once before anybody asks, and then for ever.
async fn watch_disk(settings: &Settings, log: &Log, tasks: &Tasks) -> anyhow::Result<Disk> {
    let (disk, low_water) = (Disk::default(), settings.low_water);
    let probe: Arc<dyn Probe> = Arc::new(Folder(settings.data_dir.clone()));
    let (first, first_probe) = (disk.clone(), Arc::clone(&probe));
    let looking = tokio::task::spawn_blocking(move || first.look(&*first_probe, low_water));
    looking.await.context("looking at the disk")?;
    tasks.service("disk", disk.clone().watch(probe, Arc::clone(log.clock()), low_water));
    Ok(disk)
}

/// The subscriptions on the log, read before anybody asks for them.
async fn subscriptions(
    settings: &Settings,
    log: &Log,
    addr: SocketAddr,
) -> anyhow::Result<Subscriptions> {
    let targets = settings.webhook_targets();
    let public_url = settings.public_url(addr).map(Arc::from);
    let with = subscription::Settings { targets, public_url };
    let webhooks = Arc::new(Webhooks::new(targets)?);
    let subscriptions = Subscriptions::new(log.clone(), webhooks, with);
    subscriptions.load().await.context("reading the subscriptions")?;
    Ok(subscriptions)
}

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    scheme: &'static str,
    log: Log,
    app: Arc<App>,
    tasks: Tasks,
    finish: CancellationToken,
    abort: CancellationToken,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.addr)
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.tasks.connections()
    }

    /// Completes when it cannot go on, with the reason.
    pub async fn until_failed(&self) -> Arc<str> {
        tokio::select! {
            reason = self.tasks.until_failed() => reason,
            reason = self.log.until_poisoned() => reason,
        }
    }

    /// Stops it.
    ///
    /// # Errors
    /// What was queued could not be flushed, or the store did not close in time.
    pub async fn stop(self) -> anyhow::Result<()> {
        tracing::info!(readers = self.app.readers(), "stopping: accepting no more");
        // Live reads are told before their connections are: the last event goes out first.
        self.app.stop_readers();
        self.finish.cancel();
        self.step("live reads", limits::STOP_READERS_WITHIN, self.until_unread()).await;
        let disconnected = self.tasks.until_disconnected();
        self.step("requests", limits::STOP_WRITERS_WITHIN, disconnected).await;
        self.abort.cancel();
        self.tasks.until_disconnected().await;
        self.tasks.stop_services().await;
        // What was folded is saved where that is quickly done; the log has it all.
        let sessions = self.app.sessions().save_unless_within(Duration::ZERO);
        if let Some(Err(error)) = self.step("sessions", limits::STOP_READERS_WITHIN, sessions).await
        {
            tracing::warn!(%error, "the list of sessions was not saved");
        }
        let closed = self.step("store", limits::STOP_STORE_WITHIN, self.log.stop()).await;
        let closed = closed.context("the store did not close in time")?;
        closed.context("closing the store")?;
        tracing::info!("stopped");
        Ok(())
    }

    /// Completes when no live reader is left, looking again now and then: this is the only place
    /// that waits for it.
    async fn until_unread(&self) {
        while self.app.readers() > 0 {
            self.log.clock().sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// One step of stopping, within its deadline.
    async fn step<T>(
        &self,
        name: &str,
        within: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.log.clock().sleep(within) => {
                tracing::warn!(step = name, deadline = ?within, "stopping: gave up waiting");
                None
            }
        }
    }
}

const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);
