//! Answers as they came, piece by piece: the text of chunks joined by agent, turn and message.
//! It stays beside the complete messages.
//!
//! Invariant: pieces are joined in the order of the log, whatever place they claim.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::{
    Event,
    keyed::{Keyed, Named},
    merge::keep_other,
};
use crate::{
    projection::Projection,
    session::vocabulary::{Id, KnownEvent, chunks::ChunkAppended},
};

/// Pieces that agree in where they belong.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pieces {
    /// The agent that answers.
    pub agent_id: Option<Id>,
    /// The turn they belong to.
    pub turn_id: Option<Id>,
    /// The number of the turn, where turns have no ids.
    pub turn: Option<u64>,
    /// The message they belong to.
    pub message_id: Option<Id>,
    /// Their text, joined.
    pub text: String,
    /// How many there are.
    pub count: u64,
    /// The place that the last of them claims.
    pub index: Option<u64>,
    /// When the first came, Unix milliseconds.
    pub created_at: u64,
    /// When the last came, Unix milliseconds.
    pub updated_at: u64,
    /// The event of the first.
    pub offset: u64,
    /// The event of the last.
    pub updated_offset: u64,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Fields of ours that a writer may use for something else.
const OWN: &[&str] = &["count", "createdAt", "updatedAt"];

/// Agent, turn and message.
type Home = (Option<Id>, Option<Id>, Option<u64>, Option<Id>);

impl Named for Pieces {
    type Key = Home;

    fn key(&self) -> Home {
        (self.agent_id.clone(), self.turn_id.clone(), self.turn, self.message_id.clone())
    }
}

/// The answers of a session as they came: an array.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Chunks {
    list: Keyed<Pieces>,
}

impl Projection for Chunks {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "chunks";
    const VERSION: u32 = 1;

    fn apply(&mut self, event: &Event<'_>) {
        match &event.known {
            Some(KnownEvent::ChunkAppended(chunk)) => self.append(event, chunk),
            Some(KnownEvent::MessageRemoved(said)) => {
                self.list.retain(|pieces| pieces.message_id.as_ref() != Some(&said.message_id));
            }
            _ => {}
        }
    }
}

impl Chunks {
    /// The answers, in order.
    #[must_use]
    pub fn list(&self) -> &Keyed<Pieces> {
        &self.list
    }

    fn append(&mut self, event: &Event<'_>, chunk: &ChunkAppended) {
        let new = Pieces {
            agent_id: chunk.agent_id.clone(),
            turn_id: chunk.turn_id.clone(),
            turn: chunk.turn,
            message_id: chunk.message_id.clone(),
            text: String::new(),
            count: 0,
            index: None,
            created_at: event.timestamp_ms,
            updated_at: event.timestamp_ms,
            offset: event.offset,
            updated_offset: event.offset,
            other: Map::new(),
        };
        let pieces = self.list.entry(&new.key(), || new);
        pieces.text.push_str(&chunk.text);
        pieces.count = pieces.count.saturating_add(event.pieces);
        pieces.index = chunk.index.or(pieces.index);
        pieces.updated_at = event.timestamp_ms;
        pieces.updated_offset = event.offset;
        keep_other(&mut pieces.other, &chunk.other, OWN);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::session::projections::testing::{fold, text_of};

    #[test]
    fn pieces_are_joined_by_agent_and_turn() {
        let chunks: Chunks = fold(&[
            ("chunk.appended", json!({"agentId": "a", "turnId": "t", "index": 0, "text": "Hel"})),
            ("chunk.appended", json!({"agentId": "b", "turnId": "t", "text": "other"})),
            ("chunk.appended", json!({"agentId": "a", "turnId": "t", "index": 1, "content": "lo"})),
            ("chunk.appended", json!({"agentId": "a", "turn": 2, "text": "next", "model": "m"})),
        ]);
        insta::assert_snapshot!(text_of(&chunks), @r#"
        {"agentId":"a","count":2,"createdAt":1000,"index":1,"offset":1,"text":"Hello","turnId":"t","updatedAt":3000,"updatedOffset":3}
        {"agentId":"b","count":1,"createdAt":2000,"offset":2,"text":"other","turnId":"t","updatedAt":2000,"updatedOffset":2}
        {"agentId":"a","count":1,"createdAt":4000,"model":"m","offset":4,"text":"next","turn":2,"updatedAt":4000,"updatedOffset":4}
        "#);
    }

    #[test]
    fn the_pieces_of_a_message_go_with_it_and_stay_when_it_is_complete() {
        let events = [
            ("chunk.appended", json!({"messageId": "m", "text": "x"})),
            ("chunk.appended", json!({"agentId": "a", "text": "y"})),
            ("message.completed", json!({"messageId": "m", "content": "whole"})),
            ("message.removed", json!({"messageId": "m"})),
        ];
        let texts = |count| {
            let chunks: Chunks = fold(&events[..count]);
            chunks.list().iter().map(|pieces| pieces.text.clone()).collect::<Vec<_>>()
        };
        assert_eq!(texts(3), ["x", "y"]);
        assert_eq!(texts(4), ["y"]);
    }
}
