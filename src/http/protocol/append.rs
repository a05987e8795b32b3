//! `POST /v1/stream/{path}`: append, close, or both in one step.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use smallvec::SmallVec;

use super::headers::{
    closes, content_type, producer, set, set_closed, set_next, text, token, wrong,
};
use crate::{
    auth::Right,
    http::{
        App, access,
        error::Fail,
        extract::{stream_path, whole_body},
    },
    limits,
    log::{
        Append, AppendError, Appended, JSON, NewRecord, PathError, ProducerError, StreamPath, json,
    },
    wire::{code::Code, protocol},
};

/// Appends the body.
pub(in crate::http) async fn append(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, mut body) = request.into_parts();
    let path = stream_path(&app, &mut parts, Right::Write).await?;
    to_path(&app, &path, &parts, &mut body).await
}

/// The same, to a stream that is known already.
pub(in crate::http) async fn to_stream(
    app: &App,
    stream: Result<StreamPath, PathError>,
    parts: &Parts,
    body: &mut Body,
) -> Result<Response, Fail> {
    let path = stream?;
    access::allow(app, &access::of(&parts.extensions), Right::Write, &path).await?;
    to_path(app, &path, parts, body).await
}

async fn to_path(
    app: &App,
    path: &StreamPath,
    parts: &Parts,
    body: &mut Body,
) -> Result<Response, Fail> {
    let headers = &parts.headers;
    let (close, producer) = (closes(headers)?, producer(headers)?);
    let seq = text(headers, protocol::SEQ)?;
    if seq.is_some_and(|seq| seq.is_empty() || seq.len() > limits::SEQ_BYTES_MAX) {
        let reason = format!("has 1 to {} bytes", limits::SEQ_BYTES_MAX);
        return Err(wrong(protocol::SEQ, &reason));
    }
    let body = whole_body(app, &parts.extensions, body).await?;
    let append = Append { producer, seq: seq.map(Arc::from), close, ..Append::default() };
    let append = if body.is_empty() { append } else { with_body(headers, &body, append)? };
    if append.records.is_empty() && !close {
        let message = "the body is empty; send at least one byte, or `Stream-Closed: true`";
        // What is not there comes before what is wrong with the request.
        app.log().info(path).await?;
        return Err(Fail::new(Code::InvalidParameter, message));
    }
    let access = access::of(&parts.extensions);
    if append.content_type.as_deref() == Some(JSON) {
        let payloads = append.records.iter().map(|record| &*record.payload);
        access::vouch(&access, false, payloads)?;
    }
    access::still_theirs(app, &access, path).await?;
    answer(app, path, append).await
}

fn with_body(headers: &HeaderMap, body: &Bytes, append: Append) -> Result<Append, Fail> {
    let media_type = content_type(headers)?.ok_or_else(|| {
        wrong("Content-Type", "is missing; it is the one that the stream was created with")
    })?;
    let records = records(&media_type, body)?;
    if records.is_empty() {
        let message = "the array is empty; an append has at least one message";
        return Err(Fail::new(Code::InvalidJson, message));
    }
    let record = |payload| NewRecord { id: None, payload };
    let records: SmallVec<_> = records.into_iter().map(record).collect();
    Ok(Append { records, content_type: Some(Arc::from(media_type)), ..append })
}

/// A body cut into records: messages of JSON, and pieces of anything else, which is read back as
/// one run of bytes wherever it is cut.
pub(super) fn records(media_type: &str, body: &Bytes) -> Result<Vec<Bytes>, Fail> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    if media_type == JSON {
        return Ok(json::flatten(body)?);
    }
    let is_text = media_type.starts_with("text/");
    let (mut records, mut rest) = (Vec::new(), body.clone());
    while !rest.is_empty() {
        let at = limits::RECORD_BYTES_MAX.min(rest.len());
        records.push(rest.split_to(if is_text { char_boundary(&rest, at) } else { at }));
    }
    Ok(records)
}

/// The last place up to `at` that lies between two characters of UTF-8; `at` where none is near.
fn char_boundary(text: &[u8], at: usize) -> usize {
    let is_inside = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (at.saturating_sub(3)..=at).rev().find(|at| !is_inside(at)).unwrap_or(at)
}

async fn answer(app: &App, path: &StreamPath, append: Append) -> Result<Response, Fail> {
    let (by_producer, has_records) = (append.producer.is_some(), !append.records.is_empty());
    let appended = app.log().append(path, append).await.map_err(refused)?;
    // New data of a producer is a 200; a duplicate, and anything without a producer, a 204.
    let status = if by_producer && has_records && !appended.duplicate {
        StatusCode::OK
    } else {
        StatusCode::NO_CONTENT
    };
    let mut response = status.into_response();
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    write(headers, &appended);
    Ok(response)
}

fn write(headers: &mut HeaderMap, appended: &Appended) {
    set_next(headers, appended.tail);
    set_closed(headers, appended.closed);
    if let Some(last) = appended.producer {
        set(headers, protocol::PRODUCER_EPOCH, HeaderValue::from(last.epoch));
        set(headers, protocol::PRODUCER_SEQ, HeaderValue::from(last.seq));
    }
}

/// A refused append, with what the protocol says of it in headers.
fn refused(error: AppendError) -> Fail {
    let name = HeaderName::from_static;
    let headers: SmallVec<[_; 2]> = match &error {
        AppendError::Closed(fact) => SmallVec::from_iter([
            (name(protocol::CLOSED), HeaderValue::from_static("true")),
            (name(protocol::NEXT_OFFSET), token(fact.tail)),
        ]),
        AppendError::Producer(ProducerError::Fenced { current, .. }) => {
            SmallVec::from_iter([(name(protocol::PRODUCER_EPOCH), HeaderValue::from(*current))])
        }
        AppendError::Producer(ProducerError::Gap { expected, received }) => SmallVec::from_iter([
            (name(protocol::PRODUCER_EXPECTED_SEQ), HeaderValue::from(*expected)),
            (name(protocol::PRODUCER_RECEIVED_SEQ), HeaderValue::from(*received)),
        ]),
        _ => SmallVec::new(),
    };
    let fail = Fail::from(error);
    headers.into_iter().fold(fail, |fail, (name, value)| fail.header(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters_and_other_bytes_anywhere() {
        let text = Bytes::from("€".repeat(100_000));
        let sizes = |media_type| -> Vec<usize> {
            records(media_type, &text).unwrap().iter().map(Bytes::len).collect()
        };
        assert_eq!(sizes("text/plain"), [262_143, 37_857]);
        assert_eq!(sizes("application/octet-stream"), [262_144, 37_856]);
        // What is no UTF-8 is cut all the same.
        let noise = Bytes::from(vec![0x80; 300_000]);
        let cut: Vec<_> = records("text/plain", &noise).unwrap();
        assert_eq!(cut.iter().map(Bytes::len).collect::<Vec<_>>(), [262_144, 37_856]);
    }
}
