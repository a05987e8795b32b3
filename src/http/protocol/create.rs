//! `PUT` and `DELETE /v1/stream/{path}`.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, HOST, LOCATION},
        request::Parts,
    },
    response::{IntoResponse, Response},
};

use super::{
    append::records,
    headers::{closes, expiry, refuse_unknown, set_closed, set_expiry, set_next, text, wrong},
};
use crate::{
    http::{
        App,
        body::Incoming,
        error::Fail,
        extract::{media_type, stream_path},
    },
    log::{Creation, StreamSpec},
    wire::{OCTET_STREAM, paths},
};

/// Creates a stream, with the body as its first content. Creating it again is a 200.
pub(in crate::http) async fn create(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, body) = request.into_parts();
    let path = stream_path(&mut parts).await?;
    refuse_unknown(&parts.headers)?;
    let (closed, expiry) = (closes(&parts.headers)?, expiry(&parts.headers)?);
    let content_type = match text(&parts.headers, "content-type")? {
        None => OCTET_STREAM.to_owned(),
        Some(given) => media_type(given)
            .ok_or_else(|| wrong("Content-Type", "is no media type, such as text/plain"))?,
    };
    let body = Incoming::new(body, &**app.log().clock()).whole().await?;
    let creation = Creation {
        records: records(&content_type, &body)?,
        spec: StreamSpec { content_type: Arc::from(content_type), retention: None, expiry },
        closed: Some(closed),
    };
    let created = app.log().create(&path, creation).await?;
    let status = if created.existed { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = status.into_response();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&created.info.spec.content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    set_next(headers, created.info.tail);
    set_closed(headers, created.info.closed);
    set_expiry(headers, created.info.spec.expiry);
    if !created.existed
        && let Some(location) = location(&parts, path.as_str())
    {
        headers.insert(LOCATION, location);
    }
    Ok(response)
}

/// The stream's URL as the client wrote its host.
fn location(parts: &Parts, path: &str) -> Option<HeaderValue> {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let origin = host.map_or_else(String::new, |host| format!("http://{host}"));
    HeaderValue::from_str(&format!("{origin}{}", paths::protocol_stream(path))).ok()
}

/// Deletes a stream.
pub(in crate::http) async fn delete(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, _) = request.into_parts();
    let path = stream_path(&mut parts).await?;
    app.log().delete(&path).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
