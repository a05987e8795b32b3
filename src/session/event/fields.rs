//! The fields of an event as they came, and what is looked for inside its data. Pure.
//!
//! Invariant: a value is the bytes that came; a field that is known is given once.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::EventError;
use crate::log::json::JsonError;

/// Reads a value; a field that is given twice is named.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, EventError> {
    serde_json::from_str(text).map_err(|error| match twice(&error) {
        Some(field) => EventError::field(field, "is given twice"),
        None => JsonError::from(error).into(),
    })
}

/// The fields of an event as they came. A known one that is null is as good as missing.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) id: Option<&'a RawValue>,
    pub(super) channel: Option<&'a RawValue>,
    pub(super) kind: Option<&'a RawValue>,
    pub(super) timestamp: Option<&'a RawValue>,
    pub(super) data: Option<&'a RawValue>,
    pub(super) actor: Option<&'a RawValue>,
    /// The others, each with its key as it came, quotes and all.
    pub(super) others: SmallVec<[(&'a str, &'a RawValue); 4]>,
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

    /// What stands for the data in events without a channel.
    pub(super) fn take_properties(&mut self) -> Option<&'a RawValue> {
        let mut others = self.others.iter();
        let at = others.position(|(key, _)| *key == "\"properties\"")?;
        Some(self.others.remove(at).1)
    }
}

/// What is looked for inside the data.
#[derive(Default)]
pub(super) struct Inner<'a> {
    pub(super) id: Option<&'a RawValue>,
    pub(super) timestamp: Option<&'a RawValue>,
    pub(super) kind: Option<&'a RawValue>,
    pub(super) is_empty: bool,
}

impl<'a> Inner<'a> {
    /// Looks into the data, if it is an object.
    pub(super) fn of(data: &'a str) -> Result<Option<Self>, EventError> {
        if data.starts_with('{') { parse(data).map(Some) } else { Ok(None) }
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

/// A JSON string's text.
pub(super) fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}
