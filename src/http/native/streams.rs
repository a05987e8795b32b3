//! Streams as such: list, show, create, close, delete.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use crate::{
    auth::Right,
    http::{
        App, access,
        error::Fail,
        extract::{Kind, json, kind, media_type, stream_path, unsupported, whole_body},
        params::{Params, wrong},
    },
    limits,
    log::{Creation, JSON, Offset, StreamInfo, StreamSpec},
    wire::{
        bodies::{CreateStream, OffsetAnswer, StreamBody, StreamsAnswer},
        code::Code,
    },
};

/// `GET /api/streams`.
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let params = Params::of(request.uri())?;
    let prefix = text(&params, "prefix")?;
    let cursor = text(&params, "cursor")?;
    let limit = params.number("limit", 1..=limits::LIST_LIMIT_MAX)?;
    let limit = limit.unwrap_or(limits::LIST_LIMIT_DEFAULT);
    // One more than asked for tells whether there is a next page.
    let access = access::of(request.extensions());
    let (mut found, gave_up) = access::streams(&app, &access, prefix, cursor, limit + 1).await?;
    let has_more = found.len() > limit || gave_up;
    found.truncate(limit);
    let last = found.last().map(|info| info.path.to_string());
    json(&StreamsAnswer {
        streams: found.iter().map(|info| body_of(&app, info)).collect(),
        cursor: last.filter(|_| has_more),
    })
}

fn text<'a>(params: &'a Params<'_>, name: &str) -> Result<&'a str, Fail> {
    let text = params.get(name)?.unwrap_or_default();
    if text.len() > limits::PATH_BYTES_MAX {
        return Err(wrong(name, &format!("has more than {} bytes", limits::PATH_BYTES_MAX)));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong(name, "has a control character"));
    }
    Ok(text)
}

/// `GET /api/streams/{path}`.
pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, _) = request.into_parts();
    let path = stream_path(&app, &mut parts, Right::Read).await?;
    let info = app.log().info(&path).await?;
    json(&body_of(&app, &info))
}

/// `PUT /api/streams/{path}`.
pub(in crate::http) async fn create(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, mut body) = request.into_parts();
    let path = stream_path(&app, &mut parts, Right::Write).await?;
    let body = whole_body(&app, &parts.extensions, &mut body).await?;
    let creation = if body.is_empty() {
        StreamSpec::json().into()
    } else {
        if kind(&parts.headers)? != Kind::Json {
            return Err(unsupported("this route takes one JSON object"));
        }
        creation_of(&body)?
    };
    let created = app.log().create(&path, creation).await?;
    let mut response = json(&body_of(&app, &created.info))?;
    if !created.existed {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

fn creation_of(body: &[u8]) -> Result<Creation, Fail> {
    crate::log::json::validate(body)?;
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Fail::new(Code::InvalidBody, "the body is a JSON object, or nothing at all"));
    }
    let asked: CreateStream = serde_json::from_slice(body).map_err(|error| {
        Fail::new(Code::InvalidBody, format!("the body is not what this route takes: {error}"))
    })?;
    let content_type = match asked.content_type {
        None => JSON.to_owned(),
        Some(given) => media_type(&given).ok_or_else(|| {
            let message = format!(
                "`contentType` is {given:?}; it is a media type such as {JSON} or text/plain"
            );
            Fail::new(Code::InvalidBody, message)
                .with(|problem| problem.field = Some("contentType".to_owned()))
        })?,
    };
    let retention = asked.retention_seconds.map(retention).transpose()?;
    let spec = StreamSpec { content_type: Arc::from(content_type), retention, expiry: None };
    Ok(Creation { first: asked.first_offset.map(first).transpose()?, ..spec.into() })
}

fn first(offset: u64) -> Result<Offset, Fail> {
    if (1..=limits::FIRST_OFFSET_MAX).contains(&offset) {
        return Ok(Offset(offset));
    }
    let most = limits::FIRST_OFFSET_MAX;
    let message = format!("`firstOffset` is {offset}; it is a number from 1 to {most}");
    Err(Fail::new(Code::InvalidBody, message)
        .with(|problem| problem.field = Some("firstOffset".to_owned())))
}

fn retention(seconds: u64) -> Result<Duration, Fail> {
    let span = Duration::from_secs(seconds);
    if span < limits::RETENTION_MIN || seconds > limits::OFFSET_MAX / 1_000 {
        let (least, most) = (limits::RETENTION_MIN.as_secs(), limits::OFFSET_MAX / 1_000);
        return Err(Fail::new(
            Code::InvalidBody,
            format!("`retentionSeconds` is {seconds}; it is a number from {least} to {most}"),
        )
        .with(|problem| problem.field = Some("retentionSeconds".to_owned())));
    }
    Ok(span)
}

/// `DELETE /api/streams/{path}`.
pub(in crate::http) async fn delete(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, _) = request.into_parts();
    let path = stream_path(&app, &mut parts, Right::Write).await?;
    let tail = app.log().info(&path).await?.tail;
    app.log().delete(&path).await?;
    json(&OffsetAnswer { ok: true, offset: tail.0 })
}

/// `POST /api/close/{path}`.
pub(in crate::http) async fn close(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, _) = request.into_parts();
    let path = stream_path(&app, &mut parts, Right::Write).await?;
    let offset = app.log().close(&path).await?;
    json(&OffsetAnswer { ok: true, offset: offset.0 })
}

fn body_of(app: &App, info: &StreamInfo) -> StreamBody {
    StreamBody {
        path: info.path.to_string(),
        content_type: info.spec.content_type.to_string(),
        tail: info.tail.0,
        earliest: info.earliest.0,
        closed: info.closed,
        created_at: info.created_ms,
        last_append_at: (info.last_append_ms > 0).then_some(info.last_append_ms),
        epoch: epoch_text(info.epoch),
        retention_seconds: info.spec.retention.unwrap_or(app.log().retention()).as_secs(),
    }
}

/// The text form of a stream's epoch.
pub(super) fn epoch_text(epoch: u64) -> String {
    format!("{epoch:016x}")
}
