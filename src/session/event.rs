//! From the JSON object a client sent to the bytes that are stored. Pure but for the id that is
//! made where none was given.
//!
//! Values are spliced as they came. The order is fixed: id, channel, type, timestamp, data, actor,
//! then whatever else the client sent; readers of the stored bytes count on it.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{EventId, Ids};
use crate::{limits, log::json::JsonError, wire::sse::push_number};

/// Which of the two kinds of request the event came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// `data` may be any JSON value and is left as it is.
    Event,
    /// `data` is an object; its `id` and `timestamp` stand for the event's where that has none,
    /// and are filled in where they are missing.
    Message,
}

/// What is put in where the client left something out.
#[derive(Debug, Clone, Copy)]
pub struct Maker<'a> {
    /// Makes ids.
    pub ids: &'a Ids,
    /// The time, Unix milliseconds.
    pub now_ms: u64,
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
    let fields: Fields<'_> = parse(text)?;
    let channel = name("channel", fields.channel)?.ok_or_else(|| {
        EventError::field("channel", "is missing; it says what kind of event it is")
    })?;
    let data = fields.data.map_or("null", RawValue::get);
    let inner = match rules {
        Rules::Message => Some(message_data(fields.data)?),
        // The data is looked into only for the type it may name.
        Rules::Event if fields.kind.is_none() => Inner::of(data)?,
        Rules::Event => None,
    };
    let kind = match name("type", fields.kind)? {
        Some(kind) => kind,
        None => inner.as_ref().and_then(Inner::kind).unwrap_or(channel),
    };
    let filling = inner.as_ref().filter(|_| rules == Rules::Message);
    let id = event_id(&fields, filling, maker)?;
    let timestamp_ms = timestamp(&fields, filling, maker)?;

    out.extend_from_slice(b"{\"id\":");
    push_id(out, &id);
    push_field(out, b",\"channel\":", channel);
    push_field(out, b",\"type\":", kind);
    out.extend_from_slice(b",\"timestamp\":");
    push_number(out, timestamp_ms);
    out.extend_from_slice(b",\"data\":");
    match filling {
        Some(inner) => push_filled(out, data, inner, &id, timestamp_ms),
        None => out.extend_from_slice(data.as_bytes()),
    }
    if let Some(actor) = actor(fields.actor)? {
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

fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
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

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, EventError> {
    serde_json::from_str(text).map_err(|error| match twice(&error) {
        Some(field) => EventError::field(field, "is given twice"),
        None => JsonError::from(error).into(),
    })
}

/// The fields of an event as they came. A known one that is null is as good as missing.
#[derive(Default)]
struct Fields<'a> {
    id: Option<&'a RawValue>,
    channel: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
    actor: Option<&'a RawValue>,
    /// The others, each with its key as it came, quotes and all.
    others: SmallVec<[(&'a str, &'a RawValue); 4]>,
}

const TWICE: &str = "given twice: ";
const KNOWN: [&str; 6] = ["id", "channel", "type", "timestamp", "data", "actor"];

fn twice(error: &serde_json::Error) -> Option<&'static str> {
    let text = error.to_string();
    let name = text.strip_prefix(TWICE)?.split(' ').next()?;
    KNOWN.into_iter().find(|known| *known == name)
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    if !fields.set(key, value) {
                        let name = text_of(key).unwrap_or_default();
                        return Err(A::Error::custom(format_args!("{TWICE}{name} ")));
                    }
                }
                Ok(fields)
            }
        }
        from.deserialize_map(FieldsVisitor)
    }
}

impl<'a> Fields<'a> {
    /// Whether the field could be set: a known one is given once.
    fn set(&mut self, key: &'a RawValue, value: &'a RawValue) -> bool {
        let place = match text_of(key).as_deref() {
            Some("id") => &mut self.id,
            Some("channel") => &mut self.channel,
            Some("type") => &mut self.kind,
            Some("timestamp") => &mut self.timestamp,
            Some("data") => &mut self.data,
            Some("actor") => &mut self.actor,
            // Exports carry it. The log gives its own.
            Some("offset") => return true,
            _ => {
                self.others.push((key.get(), value));
                return true;
            }
        };
        if value.get() == "null" {
            return true;
        }
        place.replace(value).is_none()
    }
}

/// What is looked for inside the data.
#[derive(Default)]
struct Inner<'a> {
    id: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
    is_empty: bool,
}

impl<'a> Inner<'a> {
    /// Looks into the data, if it is an object.
    fn of(data: &'a str) -> Result<Option<Self>, EventError> {
        if data.starts_with('{') { parse(data).map(Some) } else { Ok(None) }
    }

    /// The type that the data names, if it can be one.
    fn kind(&self) -> Option<&'a str> {
        let raw = self.kind?;
        checked_text("data.type", raw, limits::NAME_BYTES_MAX).is_ok().then(|| raw.get())
    }
}

impl<'de> Deserialize<'de> for Inner<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InnerVisitor;
        impl<'de> Visitor<'de> for InnerVisitor {
            type Value = Inner<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Inner<'de>, A::Error> {
                let mut inner = Inner { is_empty: true, ..Inner::default() };
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    inner.is_empty = false;
                    match text_of(key).as_deref() {
                        Some("id") => inner.id = Some(value),
                        Some("timestamp") => inner.timestamp = Some(value),
                        Some("type") => inner.kind = Some(value),
                        _ => {}
                    }
                }
                Ok(inner)
            }
        }
        from.deserialize_map(InnerVisitor)
    }
}

#[cfg(test)]
mod tests;
