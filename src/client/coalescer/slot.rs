//! What waits for the next flush: an event as it came, or pieces of text that were joined. Pure.
//!
//! Invariant: times do not run backwards within a slot. States keep the latest time they have
//! seen, so that a piece with an earlier one has to come out after it.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use crate::{client::Event, session::vocabulary::chunks::ChunkAppended};

/// What waits.
#[derive(Debug)]
pub(super) enum Slot {
    /// An event as it came.
    Whole(Event),
    /// Text for a field of a part; the event is the newest of those that brought it.
    Delta { event: Event, text: String, pieces: u64 },
    /// Text of an answer, in the same way.
    Chunk { event: Event, said: Box<ChunkAppended>, pieces: u64 },
}

impl Slot {
    pub(super) fn delta(event: Event, text: String) -> Self {
        let pieces = event.pieces();
        Self::Delta { event, text, pieces }
    }

    pub(super) fn chunk(event: Event, said: ChunkAppended) -> Self {
        let pieces = event.pieces();
        Self::Chunk { event, said: Box::new(said), pieces }
    }

    fn event(&self) -> &Event {
        match self {
            Self::Whole(event) | Self::Delta { event, .. } | Self::Chunk { event, .. } => event,
        }
    }

    /// Whether a later event may take its place, as far as channel and time go.
    pub(super) fn gives_way_to(&self, event: &Event) -> bool {
        let before = self.event();
        before.channel() == event.channel() && before.timestamp_ms() <= event.timestamp_ms()
    }

    /// Whether a later piece of the same text may be joined with it: another writer's may not.
    pub(super) fn goes_on_with(&self, piece: &Self) -> bool {
        self.gives_way_to(piece.event()) && self.event().actor() == piece.event().actor()
    }

    /// The two as one, at the place of the later one.
    pub(super) fn joined(self, piece: Self) -> Self {
        match (self, piece) {
            (
                Self::Delta { mut text, pieces: before, .. },
                Self::Delta { event, text: more, pieces },
            ) => {
                text.push_str(&more);
                Self::Delta { event, text, pieces: pieces.saturating_add(before) }
            }
            (
                Self::Chunk { said: mut all, pieces: before, .. },
                Self::Chunk { event, said, pieces },
            ) => {
                all.text.push_str(&said.text);
                all.index = said.index.or(all.index);
                all.other.extend(said.other);
                Self::Chunk { event, said: all, pieces: pieces.saturating_add(before) }
            }
            // Runs are of one kind.
            (_, piece) => piece,
        }
    }

    pub(super) fn into_event(self) -> Event {
        let (event, joined) = match self {
            Self::Whole(event) => return event,
            Self::Delta { event, pieces, .. } | Self::Chunk { event, pieces, .. }
                if event.pieces() == pieces =>
            {
                return event;
            }
            Self::Delta { event, text, pieces } => {
                let joined = with_delta(&event, &text).and_then(|data| event.joined(data, pieces));
                (event, joined)
            }
            Self::Chunk { event, said, pieces } => {
                let joined = to_raw_value(&said).and_then(|data| event.joined(data, pieces));
                (event, joined)
            }
        };
        // What was read from JSON can be written as JSON.
        joined.unwrap_or(event)
    }
}

/// The data of an event with another delta.
fn with_delta(event: &Event, text: &str) -> serde_json::Result<Box<RawValue>> {
    let mut data: BTreeMap<String, Box<RawValue>> = event.data_as()?;
    data.insert("delta".to_owned(), to_raw_value(text)?);
    to_raw_value(&data)
}
