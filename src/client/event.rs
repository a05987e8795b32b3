//! An event as it comes from the server, and one on its way there.
//!
//! Invariant: the bytes of an event are kept as they came, so that nothing is lost on the way
//! through a client that does not understand it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};
use serde_with::skip_serializing_none;

use crate::session::{
    Stored,
    projections::{self, Projections},
    vocabulary::KnownEvent,
};

/// A record of a stream, in the envelope with its offset. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Event {
    json: Bytes,
    head: Arc<Head>,
    pieces: u64,
}

#[derive(Debug, Clone)]
struct Head {
    stream: Option<String>,
    offset: u64,
    id: String,
    channel: String,
    kind: String,
    timestamp: u64,
    data: Option<Box<RawValue>>,
    actor: Option<Box<RawValue>>,
}

impl Event {
    /// Reads an event as the server shows it. Writers may put any fields into one, so all that is
    /// asked of it is an offset; of a field that is there twice the first counts.
    ///
    /// # Errors
    /// It is none: no JSON object, or without an offset.
    pub fn read(json: impl Into<Bytes>) -> serde_json::Result<Self> {
        let json = json.into();
        let fields: Fields<'_> = serde_json::from_slice(&json)?;
        // A field of this name is the writer's own where one stream is read.
        let head = Head { stream: None, ..fields.head()? };
        Ok(Self { json, head: Arc::new(head), pieces: 1 })
    }

    /// The same of a read of several streams, where the server says the stream in front.
    pub(super) fn read_across(json: impl Into<Bytes>) -> serde_json::Result<Self> {
        let json = json.into();
        let head = serde_json::from_slice::<Fields<'_>>(&json)?.head()?;
        Ok(Self { json, head: Arc::new(head), pieces: 1 })
    }

    /// The path of its stream, where it came from a read of several.
    #[must_use]
    pub fn stream(&self) -> Option<&str> {
        self.head.stream.as_deref()
    }

    /// Its offset.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.head.offset
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.head.id
    }

    /// Its channel, such as `message`.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.head.channel
    }

    /// Its type, such as `message.part.delta`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.head.kind
    }

    /// When it says it happened, Unix milliseconds.
    #[must_use]
    pub fn timestamp_ms(&self) -> u64 {
        self.head.timestamp
    }

    /// Its data as JSON text; `null` where it has none.
    #[must_use]
    pub fn data(&self) -> &str {
        self.head.data.as_ref().map_or("null", |data| data.get())
    }

    /// Who wrote it, as JSON text, where that is known.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.head.actor.as_ref().map(|actor| actor.get())
    }

    /// Its data as a type of yours.
    ///
    /// # Errors
    /// They are none.
    pub fn data_as<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.data())
    }

    /// What it means, where that is known.
    #[must_use]
    pub fn known(&self) -> Option<KnownEvent> {
        KnownEvent::read(&self.head.channel, &self.head.kind, self.data())
    }

    /// The whole event as it came.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// How many pieces of text it brings: 1, unless a [`Coalescer`](super::Coalescer) has joined
    /// several into it. It is not in the JSON: who keeps events keeps them as they came.
    #[must_use]
    pub fn pieces(&self) -> u64 {
        self.pieces
    }

    /// The same with other data, in which so many pieces are joined.
    ///
    /// # Errors
    /// None that an event which was read can cause; serde's signature has one.
    pub(super) fn joined(&self, data: Box<RawValue>, pieces: u64) -> serde_json::Result<Self> {
        let mut fields: BTreeMap<String, &RawValue> = serde_json::from_slice(&self.json)?;
        fields.insert("data".to_owned(), &data);
        let json = serde_json::to_vec(&fields)?.into();
        let head = Head { data: Some(data), ..Head::clone(&self.head) };
        Ok(Self { json, head: Arc::new(head), pieces })
    }

    /// Folds it into a state, as the server does. An event that the state has changes nothing.
    pub fn fold_into(&self, state: &mut Projections) {
        let stored = Stored {
            offset: self.head.offset,
            timestamp_ms: self.head.timestamp,
            payload: &self.json,
        };
        match projections::Event::read(&stored) {
            Some(mut event) => {
                event.pieces = self.pieces;
                state.apply(&event);
            }
            // It means nothing here, and counts as folded.
            None => state.offset = state.offset.max(self.head.offset),
        }
    }
}

/// The fields of an event, the first of each name.
struct Fields<'a>(HashMap<Cow<'a, str>, &'a RawValue>);

impl Fields<'_> {
    fn head(&self) -> serde_json::Result<Head> {
        let text = |name: &str| self.0.get(name).map(|value| value.get());
        let string = |name: &str| text(name).and_then(|text| serde_json::from_str(text).ok());
        let raw = |name: &str| self.0.get(name).map(|value| (*value).to_owned());
        let offset = text("offset").ok_or_else(|| de::Error::missing_field("offset"))?;
        Ok(Head {
            stream: string("stream"),
            offset: serde_json::from_str(offset)?,
            id: string("id").unwrap_or_default(),
            channel: string("channel").unwrap_or_default(),
            kind: string("type").unwrap_or_default(),
            timestamp: text("timestamp").and_then(|ms| ms.parse().ok()).unwrap_or_default(),
            data: raw("data"),
            actor: raw("actor"),
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct First;
        impl<'de> Visitor<'de> for First {
            type Value = HashMap<Cow<'de, str>, &'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = HashMap::new();
                while let Some(name) = map.next_key::<Name<'de>>()? {
                    let value = map.next_value()?;
                    fields.entry(name.0).or_insert(value);
                }
                Ok(fields)
            }
        }
        from.deserialize_map(First).map(Self)
    }
}

/// The name of a field, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Eq for Event {}

/// An event to be written.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NewEvent {
    /// Its id, by which it is known again when it is sent twice. Made where there is none.
    pub id: Option<String>,
    /// Its channel.
    pub channel: String,
    /// Its type; the server derives one where there is none.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// When it happened, Unix milliseconds; the server's time where it is not said.
    pub timestamp: Option<u64>,
    /// What it says.
    pub data: Value,
    /// Other fields, which are kept with it.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl NewEvent {
    /// An event of a channel and a type, with its data.
    #[must_use]
    pub fn new(channel: impl Into<String>, kind: impl Into<String>, data: Value) -> Self {
        let (channel, kind) = (channel.into(), Some(kind.into()));
        Self { channel, kind, data, ..Self::default() }
    }

    /// The same under an id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = r#"{"offset":3,"id":"a","channel":"todo","type":"todo.updated","timestamp":7,"data":{"todos":[]},"x":1}"#;

    #[test]
    fn an_event_is_kept_as_it_came() {
        let event = Event::read(SHOWN).unwrap();
        assert_eq!((event.offset(), event.id(), event.channel()), (3, "a", "todo"));
        assert_eq!((event.kind(), event.timestamp_ms()), ("todo.updated", 7));
        assert_eq!((event.data(), event.actor()), (r#"{"todos":[]}"#, None));
        assert_eq!(event.json(), SHOWN);
        assert!(matches!(event.known(), Some(KnownEvent::TodoUpdated(_))));
        let mut state = Projections::default();
        event.fold_into(&mut state);
        assert_eq!(state.offset, 3);
        assert!(Event::read("{}").is_err());
    }

    #[test]
    fn whatever_fields_a_writer_sends_an_event_with_an_offset_can_be_read() {
        let read = |more: &str| {
            let text = format!(r#"{{"offset":3,"id":"a","channel":"c","type":"t",{more}}}"#);
            Event::read(text).unwrap()
        };
        assert_eq!(read(r#""data":1,"stream":7"#).stream(), None);
        assert_eq!(read(r#""data":1,"stream":"other""#).stream(), None);
        assert_eq!(read(r#""timestamp":-1"#).timestamp_ms(), 0);
        assert_eq!(read(r#""timestamp":1.5"#).timestamp_ms(), 0);
        assert_eq!(read(r#""data":1,"data":2"#).data(), "1");
        assert_eq!(read(r#""actor":1,"actor":2,"channel":3"#).actor(), Some("1"));
        let across = r#"{"stream":"sessions/n","offset":3,"stream":"x","stream":7}"#;
        assert_eq!(Event::read_across(across).unwrap().stream(), Some("sessions/n"));
        let mut state = Projections::default();
        read(r#""timestamp":-1"#).fold_into(&mut state);
        assert_eq!(state.offset, 3, "as the server counts it");
    }

    #[test]
    fn what_an_event_to_be_written_does_not_say_is_not_written() {
        let event = NewEvent::new("note", "note.added", serde_json::json!({"a": 1}));
        let text = serde_json::to_string(&event.clone().with_id("x")).unwrap();
        assert_eq!(text, r#"{"id":"x","channel":"note","type":"note.added","data":{"a":1}}"#);
        let read: NewEvent = serde_json::from_str(r#"{"channel":"c","data":1,"y":2}"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"channel":"c","data":1,"y":2}"#);
    }
}
