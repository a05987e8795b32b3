//! The protocol's headers: read strictly from requests, written to answers.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, SecondsFormat};

use crate::{
    http::error::Fail,
    limits,
    log::{Expiry, Offset, Producer},
    wire::{code::Code, protocol},
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

/// What the protocol has and this server has not yet is refused, and never ignored.
pub(super) fn refuse_unknown(headers: &HeaderMap) -> Result<(), Fail> {
    for name in [protocol::FORKED_FROM, protocol::FORK_OFFSET, protocol::FORK_SUB_OFFSET] {
        if headers.contains_key(name) {
            let message = format!("header `{name}`: this server does not have it yet");
            return Err(Fail::new(Code::NotImplemented, message)
                .with(|problem| problem.field = Some(name.to_owned())));
        }
    }
    Ok(())
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

/// Plain decimal seconds: no sign, no leading zero (protocol, section 5.1).
fn seconds(text: &str) -> Result<u64, Fail> {
    let plain = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|seconds| *seconds <= limits::OFFSET_MAX / 1_000);
    seconds.filter(|_| plain && digits).ok_or_else(|| {
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
