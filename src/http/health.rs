//! For operators: is it alive, does it take work, what does it count, which version is it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};

use super::{
    App, access,
    error::Fail,
    extract::json,
    ready::{Facts, unready},
};
use crate::{
    auth::Right,
    wire::{
        bodies::{HealthAnswer, VersionAnswer},
        code::Code,
    },
};

const ROOT: &str = "\
Scrollback, a durable append-only event log.

  POST /api/streams?sessionId=ID            append one message: {\"channel\":\"message\",\"data\":{}}
  POST /api/sessions/ID/events              append one event, an array of events, or NDJSON
  GET  /api/sessions/ID/events?fromOffset=N read
  GET  /api/sessions/ID/stream?fromOffset=N follow (server-sent events)
  GET  /api/streams                         list
  GET  /healthz /readyz /metrics /debug /version

Try:
  curl -N 'http://HOST/api/sessions/demo/stream'
";

/// `GET /`.
pub(super) async fn root() -> &'static str {
    ROOT
}

/// `GET /healthz`.
pub(super) async fn live() -> Result<Response, Fail> {
    json(&HealthAnswer { ok: true })
}

/// `GET /readyz`.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<Response, Fail> {
    match unready(&facts(&app)) {
        Some(reason) => Err(reason.into()),
        None => json(&HealthAnswer { ok: true }),
    }
}

fn facts(app: &App) -> Facts {
    Facts {
        poisoned: app.log().poisoned(),
        is_stopping: app.stopping().is_cancelled(),
        free: app.host().room().map(|room| room.free),
        low_water: app.low_water(),
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    access::server(&app, &access::of(request.extensions()), Right::Read, "metrics")?;
    look(&app);
    let text = app.log().metrics().render();
    let text = text.map_err(|error| Fail::new(Code::Internal, error.to_string()))?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(content_type))], text).into_response())
}

/// Sets the gauges that nobody moves: what they show is there to be looked at.
fn look(app: &App) {
    let (host, metrics) = (app.host(), app.log().metrics());
    let (subscriptions, pending) = app.subscriptions().counts();
    for (gauge, count) in [
        (&metrics.connections, host.connections()),
        (&metrics.open_streams, app.log().open_streams()),
        (&metrics.live_views, app.views().live()),
        (&metrics.subscriptions, subscriptions),
        (&metrics.subscriptions_pending, pending),
        (&metrics.ready, usize::from(unready(&facts(app)).is_none())),
    ] {
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    // While it is being folded, what was known before is near enough.
    if let Some(lag) = app.sessions().lag() {
        metrics.list_lag.set(lag);
    }
    if let Some(room) = host.room() {
        metrics.disk_free_bytes.set(room.free);
        metrics.disk_size_bytes.set(room.size);
        metrics.data_bytes.set(room.data);
    }
    metrics.process.set(&host.usage(), host.started_ms());
}

/// `GET /version`.
pub(super) async fn version() -> Result<Response, Fail> {
    json(&VersionAnswer {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}
