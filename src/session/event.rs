//! From the JSON object a client sent to the bytes that are stored. Pure but for the id that is
//! made where none was given.
//!
//! Values are spliced as they came. The order is fixed: id, channel, type, timestamp, data, actor,
//! then whatever else the client sent; readers of the stored bytes count on it.

use std::{borrow::Cow, sync::Arc};

use serde_json::value::RawValue;

use self::fields::{Fields, Inner, parse, text_of};
use super::{
    EventId, Ids,
    vocabulary::{self, FieldError, Kind},
};
use crate::{limits, log::json::JsonError, wire::sse::push_number};

mod fields;

/// How the events of a request are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Which kind of request they came with.
    pub form: Form,
    /// Whether the data of types that the vocabulary knows is checked against it.
    pub validate: bool,
}

impl Rules {
    /// Events as they are, checked.
    pub const EVENT: Self = Self { form: Form::Event, validate: true };
    /// One message, checked.
    pub const MESSAGE: Self = Self { form: Form::Message, validate: true };
}

/// The kinds of requests with events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `data` may be any JSON value and is left as it is.
    Event,
    /// `data` is an object; its `id` and `timestamp` stand for the event's where that has none,
    /// and are filled in where they are missing.
    Message,
    /// The object is stored to the byte, whatever is in it: it was an event before, and is copied.
    Verbatim,
}

/// What is put in where the client left something out.
#[derive(Debug, Clone, Copy)]
pub struct Maker<'a> {
    /// Makes ids.
    pub ids: &'a Ids,
    /// The time, Unix milliseconds.
    pub now_ms: u64,
    /// Who writes, as the JSON of `actor`: it stands over what the client gave, where it is known.
    pub actor: Option<&'a str>,
}

/// Why an event was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not JSON, or JSON that breaks readers.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Bytes that are not text.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// Another JSON value than an object.
    #[error("an event is a JSON object, such as {{\"channel\":\"message\",\"data\":{{}}}}")]
    NotAnObject,
    /// A field breaks a rule.
    #[error("`{field}` {rule}")]
    Field {
        /// The field.
        field: &'static str,
        /// The rule it breaks.
        rule: Cow<'static, str>,
    },
    /// The data is not what the event's type says it is.
    #[error(transparent)]
    Data(#[from] FieldError),
}

impl EventError {
    fn field(field: &'static str, rule: impl Into<Cow<'static, str>>) -> Self {
        Self::Field { field, rule: rule.into() }
    }
}

/// Appends the stored form of the event to `out`.
///
/// `text` must be one valid JSON value. After an error `out` may hold a part of the event.
pub(super) fn write(
    out: &mut Vec<u8>,
    text: &str,
    rules: Rules,
    maker: &Maker<'_>,
) -> Result<EventId, EventError> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(EventError::NotAnObject);
    }
    if rules.form == Form::Verbatim {
        return copy(out, text);
    }
    let mut fields: Fields<'_> = parse(text)?;
    if fields.channel.is_none() && fields.data.is_none() {
        fields.data = fields.take_properties();
    }
    let channel = channel(&fields)?;
    let data = fields.data.map_or("null", RawValue::get);
    let inner = match rules.form {
        Form::Message => Some(message_data(fields.data)?),
        // The data is looked into only for the type it may name.
        Form::Event if fields.kind.is_none() => Inner::of(data)?,
        Form::Event | Form::Verbatim => None,
    };
    let kind = match name("type", fields.kind)? {
        Some(kind) => kind,
        None => inner.as_ref().and_then(kind_within).unwrap_or(&channel),
    };
    let filling = inner.as_ref().filter(|_| rules.form == Form::Message);
    let id = event_id(&fields, filling, maker)?;
    let timestamp_ms = timestamp(&fields, filling, maker)?;

    out.extend_from_slice(b"{\"id\":");
    push_id(out, &id);
    push_field(out, b",\"channel\":", &channel);
    push_field(out, b",\"type\":", kind);
    out.extend_from_slice(b",\"timestamp\":");
    push_number(out, timestamp_ms);
    out.extend_from_slice(b",\"data\":");
    let start = out.len();
    match filling {
        Some(inner) => push_filled(out, data, inner, &id, timestamp_ms),
        None => out.extend_from_slice(data.as_bytes()),
    }
    if let Some(known) = known(kind).filter(|_| rules.validate) {
        // What is checked is what is stored.
        check(known, out.get(start..).unwrap_or_default())?;
    }
    let given = actor(fields.actor)?;
    if let Some(actor) = maker.actor.or(given) {
        push_field(out, b",\"actor\":", actor);
    }
    for (key, value) in &fields.others {
        out.push(b',');
        out.extend_from_slice(key.as_bytes());
        push_field(out, b":", value.get());
    }
    out.push(b'}');
    Ok(EventId { text: id.text, given: id.raw.is_some() })
}

/// Copies an event as it is. What was once taken is not judged again: without a readable id it has
/// none that could come again.
fn copy(out: &mut Vec<u8>, text: &str) -> Result<EventId, EventError> {
    let text = text.trim_ascii();
    let fields = Inner::of(text)?;
    out.extend_from_slice(text.as_bytes());
    let id = fields.and_then(|fields| text_of(fields.id?));
    Ok(EventId { text: Arc::from(id.as_deref().unwrap_or_default()), given: id.is_some() })
}

/// The JSON text of the channel: the one given, or the one that the type belongs to.
fn channel<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, EventError> {
    if let Some(given) = name("channel", fields.channel)? {
        return Ok(Cow::Borrowed(given));
    }
    let kind = fields.kind.and_then(text_of);
    match kind.as_deref().and_then(vocabulary::channel_of) {
        Some(channel) => Ok(Cow::Owned(format!("\"{channel}\""))),
        None => Err(EventError::field("channel", "is missing; it says what kind of event it is")),
    }
}

/// The kind that the JSON text of a type names.
fn known(kind: &str) -> Option<Kind> {
    let text = kind.strip_prefix('"')?.strip_suffix('"')?;
    if text.contains('\\') {
        Kind::of(&serde_json::from_str::<String>(kind).ok()?)
    } else {
        Kind::of(text)
    }
}

fn check(kind: Kind, data: &[u8]) -> Result<(), EventError> {
    let data = std::str::from_utf8(data).map_err(|_| EventError::NotUtf8)?;
    Ok(kind.check(data)?)
}

/// The type that the data names, if it can be one.
fn kind_within<'a>(inner: &Inner<'a>) -> Option<&'a str> {
    let raw = inner.kind?;
    checked_text("data.type", raw, limits::NAME_BYTES_MAX).is_ok().then(|| raw.get())
}

/// An id, with the JSON text it came as.
struct Id<'a> {
    text: Arc<str>,
    raw: Option<&'a str>,
}

fn push_field(out: &mut Vec<u8>, key: &[u8], value: &str) {
    out.extend_from_slice(key);
    out.extend_from_slice(value.as_bytes());
}

fn push_id(out: &mut Vec<u8>, id: &Id<'_>) {
    if let Some(raw) = id.raw {
        out.extend_from_slice(raw.as_bytes());
    } else {
        out.push(b'"');
        out.extend_from_slice(id.text.as_bytes());
        out.push(b'"');
    }
}

/// The data with its `id` and `timestamp` in front, where it has none of its own.
fn push_filled(out: &mut Vec<u8>, data: &str, inner: &Inner<'_>, id: &Id<'_>, timestamp_ms: u64) {
    out.push(b'{');
    let start = out.len();
    if inner.id.is_none() {
        out.extend_from_slice(b"\"id\":");
        push_id(out, id);
    }
    if inner.timestamp.is_none() {
        out.extend_from_slice(if out.len() > start {
            b",\"timestamp\":"
        } else {
            b"\"timestamp\":"
        });
        push_number(out, timestamp_ms);
    }
    if out.len() > start && !inner.is_empty {
        out.push(b',');
    }
    out.extend_from_slice(data.as_bytes().get(1..).unwrap_or_default());
}

fn event_id<'a>(
    fields: &Fields<'a>,
    filling: Option<&Inner<'a>>,
    maker: &Maker<'_>,
) -> Result<Id<'a>, EventError> {
    let own = fields.id.map(|raw| ("id", raw));
    // An id in the data that is no text, or empty, is the client's own business.
    let within = || {
        let raw = filling?.id?;
        (text_of(raw).is_some_and(|text| !text.is_empty())).then_some(("data.id", raw))
    };
    let Some((field, raw)) = own.or_else(within) else {
        return Ok(Id { text: maker.ids.next(maker.now_ms), raw: None });
    };
    let text = checked_text(field, raw, limits::EVENT_ID_BYTES_MAX)?;
    Ok(Id { text: Arc::from(text.as_ref()), raw: Some(raw.get()) })
}

fn timestamp(
    fields: &Fields<'_>,
    filling: Option<&Inner<'_>>,
    maker: &Maker<'_>,
) -> Result<u64, EventError> {
    let Some(raw) = fields.timestamp else {
        let within = filling.and_then(|inner| integer(inner.timestamp?));
        return Ok(within.unwrap_or(maker.now_ms));
    };
    integer(raw).ok_or_else(|| {
        EventError::field("timestamp", "must be Unix milliseconds, an integer from 0 to 2^53 - 1")
    })
}

fn actor(raw: Option<&RawValue>) -> Result<Option<&str>, EventError> {
    match raw.map(RawValue::get) {
        Some(actor) if !actor.starts_with('{') => Err(EventError::field(
            "actor",
            "must be an object, such as {\"kind\":\"user\",\"id\":\"u1\"}",
        )),
        actor => Ok(actor),
    }
}

/// The JSON text of a name, checked.
fn name<'a>(field: &'static str, raw: Option<&'a RawValue>) -> Result<Option<&'a str>, EventError> {
    let Some(raw) = raw else { return Ok(None) };
    checked_text(field, raw, limits::NAME_BYTES_MAX)?;
    Ok(Some(raw.get()))
}

fn checked_text<'a>(
    field: &'static str,
    raw: &'a RawValue,
    bytes_max: usize,
) -> Result<Cow<'a, str>, EventError> {
    let text = text_of(raw).ok_or_else(|| EventError::field(field, "must be a text"))?;
    if text.is_empty() {
        return Err(EventError::field(field, "must not be empty"));
    }
    if text.len() > bytes_max {
        return Err(EventError::field(field, format!("must have at most {bytes_max} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(EventError::field(field, "must not have control characters"));
    }
    Ok(text)
}

fn integer(raw: &RawValue) -> Option<u64> {
    let text = raw.get();
    let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    number.filter(|number| *number <= limits::OFFSET_MAX)
}

fn message_data(data: Option<&RawValue>) -> Result<Inner<'_>, EventError> {
    let data = data.ok_or_else(|| EventError::field("data", "is missing"))?;
    Inner::of(data.get())?.ok_or_else(|| EventError::field("data", "must be an object"))
}

#[cfg(test)]
mod tests;
