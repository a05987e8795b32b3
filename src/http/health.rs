//! For operators: is it alive, does it take work, what does it count, which version is it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};

use super::{App, access, error::Fail, extract::json};
use crate::{
    auth::Right,
    log::Refused,
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
  GET  /healthz /readyz /metrics /version

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
    if let Some(reason) = app.log().poisoned() {
        return Err(Refused::Poisoned(reason).into());
    }
    if app.stopping().is_cancelled() {
        return Err(Refused::Closed.into());
    }
    json(&HealthAnswer { ok: true })
}

/// `GET /metrics`.
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    access::server(&app, &access::of(request.extensions()), Right::Read, "metrics")?;
    let text = app.log().metrics().render();
    let text = text.map_err(|error| Fail::new(Code::Internal, error.to_string()))?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(content_type))], text).into_response())
}

/// `GET /version`.
pub(super) async fn version() -> Result<Response, Fail> {
    json(&VersionAnswer {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}
