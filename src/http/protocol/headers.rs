//! The protocol's headers: read strictly from requests, written to answers.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use chrono::{DateTime, SecondsFormat};

use crate::{
    http::{error::Fail, extract::media_type},
    limits,
    log::{Expiry, Fork, Offset, Producer, StreamPath},
    wire::{
        paths,
        protocol::{self, Start},
    },
};

/// A header as text; `None` where it is missing.
pub(super) fn text<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> Result<Option<&'a str>, Fail> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(wrong(name, "is given twice"));
    }
    let text = value.to_str().map_err(|_| wrong(name, "is not plain text"))?;
    Ok(Some(text.trim_ascii()))
}

/// The content type that a request gives.
pub(super) fn content_type(headers: &HeaderMap) -> Result<Option<String>, Fail> {
    let given = text(headers, CONTENT_TYPE.as_str())?;
    let read = |given| {
        media_type(given)
            .ok_or_else(|| wrong("Content-Type", "is no media type, such as text/plain"))
    };
    given.map(read).transpose()
}

/// Says what a stream holds.
pub(super) fn set_content_type(headers: &mut HeaderMap, content_type: &str) {
    // It was a header's value when the stream was created.
    if let Ok(value) = HeaderValue::from_str(content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
}

/// A header that is not what it must be.
pub(super) fn wrong(name: &str, reason: &str) -> Fail {
    Fail::parameter(name, format!("header `{name}` {reason}"))
}

/// Whether the request closes the stream, or creates it closed. Only `true` does.
pub(super) fn closes(headers: &HeaderMap) -> Result<bool, Fail> {
    Ok(text(headers, protocol::CLOSED)?.is_some_and(|value| value.eq_ignore_ascii_case("true")))
}

/// The producer of a batch: all three headers, or none.
pub(super) fn producer(headers: &HeaderMap) -> Result<Option<Producer>, Fail> {
    let id = text(headers, protocol::PRODUCER_ID)?;
    let epoch = number(headers, protocol::PRODUCER_EPOCH)?;
    let seq = number(headers, protocol::PRODUCER_SEQ)?;
    match (id, epoch, seq) {
        (None, None, None) => Ok(None),
        (Some(""), _, _) => Err(wrong(protocol::PRODUCER_ID, "is empty")),
        (Some(id), _, _) if id.len() > limits::PRODUCER_ID_BYTES_MAX => {
            let reason = format!("has more than {} bytes", limits::PRODUCER_ID_BYTES_MAX);
            Err(wrong(protocol::PRODUCER_ID, &reason))
        }
        (Some(id), Some(epoch), Some(seq)) => Ok(Some(Producer { id: id.into(), epoch, seq })),
        (id, epoch, _) => {
            let missing = match (id, epoch) {
                (None, _) => protocol::PRODUCER_ID,
                (_, None) => protocol::PRODUCER_EPOCH,
                _ => protocol::PRODUCER_SEQ,
            };
            Err(wrong(missing, "is missing: a producer sends its id, epoch and seq together"))
        }
    }
}

fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<u64>, Fail> {
    let Some(text) = text(headers, name)? else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number <= limits::OFFSET_MAX);
    let wrong = || wrong(name, &format!("is {text:?}; it is an integer from 0 to 2^53 - 1"));
    number.map(Some).ok_or_else(wrong)
}

/// What the stream is forked from.
pub(super) fn fork(headers: &HeaderMap) -> Result<Option<Fork>, Fail> {
    let offset = text(headers, protocol::FORK_OFFSET)?;
    let sub = text(headers, protocol::FORK_SUB_OFFSET)?;
    let Some(source) = text(headers, protocol::FORKED_FROM)? else {
        return match (offset, sub) {
            (None, None) => Ok(None),
            (Some(_), _) => Err(wrong(protocol::FORK_OFFSET, "stands beside `Stream-Forked-From`")),
            _ => Err(wrong(protocol::FORK_SUB_OFFSET, "stands beside `Stream-Forked-From`")),
        };
    };
    let source = paths::protocol_path(source)
        .and_then(|path| StreamPath::parse(&path).ok())
        .ok_or_else(|| wrong(protocol::FORKED_FROM, "is no stream such as /v1/stream/a"))?;
    let at = offset.map(fork_offset).transpose()?;
    let sub = sub.map(whole).transpose()?.unwrap_or(0);
    if sub > 0 && at.is_none() {
        return Err(wrong(protocol::FORK_SUB_OFFSET, "stands beside `Stream-Fork-Offset`"));
    }
    Ok(Some(Fork { source, at, sub }))
}

/// The conformance suite names the beginning of a stream in the form of its own server.
const ZERO_OF_THE_SUITE: &str = "0000000000000000_0000000000000000";

fn fork_offset(text: &str) -> Result<Offset, Fail> {
    match protocol::parse_start(text) {
        Some(Start::After(offset)) => Ok(Offset(offset)),
        Some(Start::Beginning) => Ok(Offset::ZERO),
        _ if text == ZERO_OF_THE_SUITE => Ok(Offset::ZERO),
        _ => Err(wrong(protocol::FORK_OFFSET, &format!("is {text:?}, which is no offset"))),
    }
}

fn whole(text: &str) -> Result<u64, Fail> {
    plain(text).ok_or_else(|| {
        let reason = format!("is {text:?}; it is a whole number without leading zeros");
        wrong(protocol::FORK_SUB_OFFSET, &reason)
    })
}

/// Plain decimal digits: no sign, no leading zero.
fn plain(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| *number <= limits::OFFSET_MAX);
    number.filter(|_| digits && (text == "0" || !text.starts_with('0')))
}

/// When the stream is to end by itself.
pub(super) fn expiry(headers: &HeaderMap) -> Result<Option<Expiry>, Fail> {
    let (ttl, at) = (text(headers, protocol::TTL)?, text(headers, protocol::EXPIRES_AT)?);
    match (ttl, at) {
        (Some(_), Some(_)) => {
            Err(wrong(protocol::EXPIRES_AT, "cannot stand beside `Stream-TTL`; send one of them"))
        }
        (Some(ttl), None) => seconds(ttl).map(|seconds| Some(Expiry::Idle { seconds })),
        (None, Some(at)) => {
            let time = DateTime::parse_from_rfc3339(at).ok();
            let ms = time.and_then(|time| u64::try_from(time.timestamp_millis()).ok());
            let reason = "is no time such as 2026-11-21T12:00:00Z (RFC 3339)";
            ms.map(|ms| Some(Expiry::At { ms })).ok_or_else(|| wrong(protocol::EXPIRES_AT, reason))
        }
        (None, None) => Ok(None),
    }
}

/// Seconds, as the protocol writes them (section 5.1).
fn seconds(text: &str) -> Result<u64, Fail> {
    plain(text).filter(|seconds| *seconds <= limits::OFFSET_MAX / 1_000).ok_or_else(|| {
        wrong(protocol::TTL, &format!("is {text:?}; it is whole seconds, such as 3600"))
    })
}

/// Says when the stream ends by itself, as it was given.
pub(super) fn set_expiry(headers: &mut HeaderMap, expiry: Option<Expiry>) {
    match expiry {
        Some(Expiry::Idle { seconds }) => set(headers, protocol::TTL, HeaderValue::from(seconds)),
        Some(Expiry::At { ms }) => {
            let time = i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis);
            let text = time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
                set(headers, protocol::EXPIRES_AT, value);
            }
        }
        None => {}
    }
}

/// Sets a header of the protocol.
pub(super) fn set(headers: &mut HeaderMap, name: &'static str, value: impl Into<HeaderValue>) {
    headers.insert(HeaderName::from_static(name), value.into());
}

/// Sets the offset to go on from.
pub(super) fn set_next(headers: &mut HeaderMap, offset: Offset) {
    set(headers, protocol::NEXT_OFFSET, token(offset));
}

/// Says that the stream is closed, if so.
pub(super) fn set_closed(headers: &mut HeaderMap, closed: bool) {
    if closed {
        set(headers, protocol::CLOSED, HeaderValue::from_static("true"));
    }
}

/// An offset as a header has it.
pub(super) fn token(offset: Offset) -> HeaderValue {
    // Digits are always a header's value.
    HeaderValue::from_str(&protocol::offset(offset.0))
        .unwrap_or_else(|_| HeaderValue::from_static("-1"))
}
