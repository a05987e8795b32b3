//! How a stored record is shown: the stored bytes with the offset in front. A record that is not
//! in the envelope (it was written through the protocol) is put into one. Nothing is parsed and
//! printed again: bytes are spliced.

use std::{borrow::Cow, sync::LazyLock};

use memchr::{memchr2, memmem::Finder};
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use crate::wire::sse::push_number;

/// The channel and type of a record that has none.
const PLAIN: &str = "data";

/// A record as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// Its offset.
    pub offset: u64,
    /// When it was appended, Unix milliseconds.
    pub timestamp_ms: u64,
    /// Its bytes: one JSON value.
    pub payload: &'a [u8],
}

impl<'a> Stored<'a> {
    /// The parts of the event as it is shown, in order. `head` is overwritten; it is handed in so
    /// that a page of events shares one.
    pub fn parts<'b>(&self, head: &'b mut Vec<u8>) -> [&'b [u8]; 3]
    where
        'a: 'b,
    {
        head.clear();
        head.extend_from_slice(b"{\"offset\":");
        push_number(head, self.offset);
        head.push(b',');
        if is_enveloped(self.payload) {
            return [head, self.payload.get(1..).unwrap_or_default(), b""];
        }
        head.extend_from_slice(b"\"id\":\"record-");
        push_number(head, self.offset);
        head.extend_from_slice(b"\",\"channel\":\"data\",\"type\":\"data\",\"timestamp\":");
        push_number(head, self.timestamp_ms);
        head.extend_from_slice(b",\"data\":");
        [head, self.payload, b"}"]
    }
}

/// What filters ask of a stored record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View<'a> {
    channel: Cow<'a, str>,
    kind: Cow<'a, str>,
}

impl<'a> View<'a> {
    /// Looks at a stored record.
    #[must_use]
    pub fn of(payload: &'a [u8]) -> Self {
        let found = match scan(payload) {
            Some(view) if !mentions_offset(payload) => Some(view),
            _ => parse(payload),
        };
        found.unwrap_or(Self { channel: Cow::Borrowed(PLAIN), kind: Cow::Borrowed(PLAIN) })
    }

    /// The same of what the front of a record says, however the rest of it looks. Enough for whom
    /// a rare record in a foreign form may be one without an envelope.
    #[must_use]
    pub fn at_front(payload: &'a [u8]) -> Self {
        let plain = || Self { channel: Cow::Borrowed(PLAIN), kind: Cow::Borrowed(PLAIN) };
        scan(payload).unwrap_or_else(plain)
    }

    /// Its channel.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }
}

fn is_enveloped(payload: &[u8]) -> bool {
    (has_front(payload) && !mentions_offset(payload)) || parse(payload).is_some()
}

/// Whether a record begins as `event.rs` writes it. This is asked of every record that is shown,
/// so it looks no further than it must: what is stored was valid JSON when it came.
fn has_front(payload: &[u8]) -> bool {
    let front = || {
        let rest = payload.strip_prefix(b"{\"id\":\"")?;
        let rest = after_string(rest)?.strip_prefix(b",\"channel\":\"")?;
        after_string(rest)?.strip_prefix(b",\"type\":\"")
    };
    front().is_some()
}

/// What follows a JSON string of which the opening quote is gone.
fn after_string(text: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return text.get(at + 1..),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// An `offset` of the writer's own would be in the way of ours; where the word occurs at all,
/// the record is parsed to see whether it stands at the top.
fn mentions_offset(payload: &[u8]) -> bool {
    static OFFSET: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"offset"));
    OFFSET.find(payload).is_some()
}

/// Reads the front of an event as `event.rs` writes it.
fn scan(payload: &[u8]) -> Option<View<'_>> {
    let rest = payload.strip_prefix(b"{\"id\":\"")?;
    let (_, rest) = string(rest)?;
    let (channel, rest) = string(rest.strip_prefix(b",\"channel\":\"")?)?;
    let (kind, _) = string(rest.strip_prefix(b",\"type\":\"")?)?;
    Some(View { channel, kind })
}

/// The rest of a JSON string after its opening quote, and what follows it.
fn string(text: &[u8]) -> Option<(Cow<'_, str>, &[u8])> {
    let mut at = 0;
    let mut escaped = false;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            break;
        }
        escaped = true;
        at += 2;
    }
    let (inner, rest) = (text.get(..at)?, text.get(at + 1..)?);
    let inner = std::str::from_utf8(inner).ok()?;
    let inner = if escaped {
        Cow::Owned(serde_json::from_str(&format!("\"{inner}\"")).ok()?)
    } else {
        Cow::Borrowed(inner)
    };
    Some((inner, rest))
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "id")]
    _id: Cow<'a, str>,
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default, deserialize_with = "present")]
    offset: bool,
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(from)?;
    Ok(true)
}

/// Reads an event in whatever order its fields come.
fn parse(payload: &[u8]) -> Option<View<'_>> {
    if payload.first() != Some(&b'{') {
        return None;
    }
    let envelope: Envelope<'_> = serde_json::from_slice(payload).ok()?;
    (!envelope.offset).then_some(View { channel: envelope.channel, kind: envelope.kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(payload: &str) -> String {
        let stored = Stored { offset: 7, timestamp_ms: 99, payload: payload.as_bytes() };
        String::from_utf8(stored.parts(&mut Vec::new()).concat()).unwrap()
    }

    #[test]
    fn an_event_is_shown_with_its_offset_in_front() {
        assert_eq!(
            shown(r#"{"id":"a","channel":"c","type":"t","data":{"x" : 1.0}}"#),
            r#"{"offset":7,"id":"a","channel":"c","type":"t","data":{"x" : 1.0}}"#,
        );
        assert_eq!(
            shown(r#"{"type":"t","channel":"c","id":"a","data":{"offset":3}}"#),
            r#"{"offset":7,"type":"t","channel":"c","id":"a","data":{"offset":3}}"#,
        );
    }

    #[test]
    fn what_is_no_event_is_put_into_an_envelope() {
        let wrapped = |data: &str| {
            format!(
                r#"{{"offset":7,"id":"record-7","channel":"data","type":"data","timestamp":99,"data":{data}}}"#
            )
        };
        for payload in [
            "1",
            "\"offset\"",
            "[{}]",
            r#"{"a":1}"#,
            r#"{"id":"a","channel":"c","type":"t","data":1,"offset":null}"#,
            r#"{"id":"a","channel":3,"type":"t"}"#,
        ] {
            assert_eq!(shown(payload), wrapped(payload));
            assert_eq!(View::of(payload.as_bytes()).channel(), "data");
        }
    }

    #[test]
    fn names_are_compared_as_they_read_and_not_as_they_are_escaped() {
        let view = View::of(br#"{"id":"\"","channel":"caf\u00e9","type":"a\\b"}"#);
        assert_eq!((view.channel(), view.kind()), ("café", "a\\b"));
    }
}
