//! `GET /debug`: where the server spends its time and its memory, for whoever was woken by it.
//!
//! It gathers what others keep and changes nothing. Invariant: it costs one look at each open
//! stream and each state in memory, of which there are bounded numbers; no record is read.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{Request, State},
    response::Response,
};

use super::{App, access, error::Fail, extract::json};
use crate::{
    auth::Right,
    limits,
    metrics::Flush,
    projection::Held,
    wire::debug::{DebugAnswer, DiskRoom, OpenView, ReadStream, SlowFlush},
};

/// `GET /debug`.
pub(super) async fn debug(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    access::server(&app, &access::of(request.extensions()), Right::Admin, "debug")?;
    json(&answer(&app, Instant::now()))
}

fn answer(app: &App, now: Instant) -> DebugAnswer {
    let (log, host) = (app.log(), app.host());
    let (now_ms, metrics) = (log.clock().now_ms(), log.metrics());
    let (subscriptions, subscriptions_pending) = app.subscriptions().counts();
    let views = app.views().largest(limits::DEBUG_ENTRIES_MAX);
    let most_read = log.most_read(limits::DEBUG_ENTRIES_MAX).into_iter();
    let disk = host.room().map(|room| DiskRoom {
        free_bytes: room.free,
        low_water_bytes: app.low_water(),
        size_bytes: room.size,
        data_bytes: room.data,
    });
    DebugAnswer {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ms: now_ms.saturating_sub(host.started_ms()),
        connections: host.connections(),
        tasks: host.tasks().into_iter().map(str::to_owned).collect(),
        readers: app.readers(),
        reader_lag: metrics.reader_lag.get(),
        queue_bytes: metrics.queue_bytes.get(),
        open_streams: log.open_streams(),
        most_read: most_read.map(|(path, readers)| ReadStream { path, readers }).collect(),
        slowest_flushes: metrics.flushes.slowest(now).iter().map(|one| flush(one, now)).collect(),
        views: views.iter().map(|view| open_view(view, now_ms)).collect(),
        views_total: app.views().live(),
        list_lag: app.sessions().lag(),
        subscriptions,
        subscriptions_pending,
        disk,
    }
}

fn flush(flush: &Flush, now: Instant) -> SlowFlush {
    let ago = now.saturating_duration_since(flush.ended).as_millis();
    SlowFlush {
        ago_ms: u64::try_from(ago).unwrap_or(u64::MAX),
        ms: flush.time.as_secs_f64() * 1e3,
        writes: flush.writes,
        bytes: flush.bytes,
    }
}

fn open_view(view: &Held, now_ms: u64) -> OpenView {
    OpenView {
        path: view.path.as_ref().to_owned(),
        bytes: view.bytes,
        idle_ms: now_ms.saturating_sub(view.used_ms),
        pinned: view.is_pinned,
    }
}
