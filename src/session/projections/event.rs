//! An event as projections see it: a stored record, read once for all of them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::session::{Stored, vocabulary::KnownEvent};

/// An event of a session.
#[derive(Debug)]
pub struct Event<'a> {
    /// Its offset.
    pub offset: u64,
    /// Its id.
    pub id: Cow<'a, str>,
    /// Its channel.
    pub channel: Cow<'a, str>,
    /// Its type.
    pub kind: Cow<'a, str>,
    /// When it says it happened, Unix milliseconds.
    pub timestamp_ms: u64,
    /// Who wrote it, as it came.
    pub actor: Option<&'a RawValue>,
    /// Its data, as it came.
    pub data: Option<&'a RawValue>,
    /// What it means, where that is known.
    pub known: Option<KnownEvent>,
    /// How many pieces of text it brings: 1, unless a client has joined several into it.
    pub pieces: u64,
}

/// The envelope as it is stored.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    timestamp: u64,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    actor: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    /// Reads a stored record; `None` where it has no envelope and so means nothing here.
    #[must_use]
    pub fn read(stored: &Stored<'a>) -> Option<Self> {
        let envelope: Envelope<'a> = serde_json::from_slice(stored.payload).ok()?;
        let known = envelope
            .data
            .and_then(|data| KnownEvent::read(&envelope.channel, &envelope.kind, data.get()));
        Some(Self {
            offset: stored.offset,
            id: envelope.id,
            channel: envelope.channel,
            kind: envelope.kind,
            timestamp_ms: envelope.timestamp,
            actor: envelope.actor,
            data: envelope.data,
            known,
            pieces: 1,
        })
    }
}
