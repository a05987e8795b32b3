//! `PUT` and `DELETE /v1/stream/{path}`.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::LOCATION, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    append::records,
    headers::{
        closes, content_type, expiry, fork, set_closed, set_content_type, set_expiry, set_next,
    },
};
use crate::{
    auth::Right,
    http::{
        App, access,
        error::Fail,
        extract::{stream_path, whole_body},
        origin,
    },
    log::{CreateError, Creation, Fork, JSON, ReadError, StreamSpec},
    wire::{OCTET_STREAM, paths},
};

/// Creates a stream, with the body as its first content. Creating it again is a 200.
pub(in crate::http) async fn create(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, mut body) = request.into_parts();
    let path = stream_path(&app, &mut parts, Right::Write).await?;
    let (closed, mut expiry) = (closes(&parts.headers)?, expiry(&parts.headers)?);
    let fork = fork(&parts.headers)?;
    let access = access::of(&parts.extensions);
    if let Some(fork) = &fork {
        access::allow(&app, &access, Right::Read, &fork.source).await?;
    }
    let source = match (&fork, app.log().info(&path).await) {
        // Creating it again: what it took over is its own by now, whatever became of its source.
        (Some(_), Ok(info)) => Some(info.spec),
        (fork, _) => source(&app, fork.as_ref()).await?,
    };
    if let (None, Some(source)) = (expiry, &source) {
        expiry = source.expiry;
    }
    let inherited = source.map(|source| source.content_type.to_string());
    let content_type =
        content_type(&parts.headers)?.or(inherited).unwrap_or_else(|| OCTET_STREAM.to_owned());
    let body = whole_body(&app, &parts.extensions, &mut body).await?;
    let records = records(&content_type, &body)?;
    if content_type == JSON {
        access::vouch(&access, false, records.iter().map(|record| &**record))?;
    }
    let creation = Creation {
        records,
        spec: StreamSpec { content_type: Arc::from(content_type), retention: None, expiry },
        fork,
        closed: Some(closed),
        first: None,
    };
    let created = app.log().create(&path, creation).await?;
    let status = if created.existed { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = status.into_response();
    let headers = response.headers_mut();
    set_content_type(headers, &created.info.spec.content_type);
    set_next(headers, created.info.tail);
    set_closed(headers, created.info.closed);
    set_expiry(headers, created.info.spec.expiry);
    if !created.existed
        && let Some(location) = location(&app, &parts, path.as_str())
    {
        headers.insert(LOCATION, location);
    }
    Ok(response)
}

/// What a fork takes over from its source where it says nothing itself.
async fn source(app: &App, fork: Option<&Fork>) -> Result<Option<StreamSpec>, Fail> {
    let Some(fork) = fork else { return Ok(None) };
    match app.log().info(&fork.source).await {
        Ok(info) => Ok(Some(info.spec)),
        // A name that is taken and not to be had, as far as creations go.
        Err(ReadError::Gone(_)) => Err(CreateError::Exists(fork.source.clone()).into()),
        Err(error) => Err(error.into()),
    }
}

/// The stream's URL, under which the client reaches it.
fn location(app: &App, parts: &Parts, path: &str) -> Option<HeaderValue> {
    let origin = origin::of(app, parts);
    HeaderValue::from_str(&format!("{origin}{}", paths::protocol_stream(path))).ok()
}

/// Deletes a stream.
pub(in crate::http) async fn delete(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, _) = request.into_parts();
    let path = stream_path(&app, &mut parts, Right::Write).await?;
    app.log().delete(&path).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
