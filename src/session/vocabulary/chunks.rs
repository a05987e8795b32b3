//! Channel `chunks`: an answer as it comes, piece by piece, by agent and turn. What the pieces say
//! stays beside the complete message.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::common::Id;

/// A piece of an answer. It says at least one of `agentId`, `turnId` and `messageId`: pieces that
/// agree in them make one message.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChunkAppended {
    /// The agent that answers.
    pub agent_id: Option<Id>,
    /// The turn it belongs to.
    pub turn_id: Option<Id>,
    /// The number of the turn, where turns have no ids.
    pub turn: Option<u64>,
    /// The message it belongs to.
    #[serde(alias = "messageID")]
    pub message_id: Option<Id>,
    /// Its place among the pieces.
    pub index: Option<u64>,
    /// What is added. It may come as `content` or `delta`.
    #[serde(alias = "content", alias = "delta")]
    pub text: String,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl ChunkAppended {
    /// It says where it belongs.
    pub(super) fn has_home(&self) -> bool {
        self.agent_id.is_some() || self.turn_id.is_some() || self.message_id.is_some()
    }
}
