//! Turns, on channel `session`: a user's message is being answered, and how that ended.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::common::{Fault, Id};

/// A turn begins.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnStarted {
    /// The turn.
    pub turn_id: Id,
    /// The message that is answered.
    pub user_message_id: Option<Id>,
    /// The message that will be the answer.
    #[serde(alias = "messageID")]
    pub message_id: Option<Id>,
    /// The agent that answers.
    pub agent_id: Option<Id>,
}

/// A turn ended with its answer complete.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnCompleted {
    /// The turn.
    pub turn_id: Id,
    /// The answer.
    #[serde(alias = "messageID")]
    pub message_id: Option<Id>,
    /// Why it stopped.
    pub reason: Option<String>,
}

/// A turn was stopped by somebody. What there is of the answer stays.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnInterrupted {
    /// The turn.
    pub turn_id: Id,
    /// The partial answer.
    #[serde(alias = "messageID")]
    pub message_id: Option<Id>,
    /// Why it stopped.
    pub reason: Option<String>,
    /// Who stopped it.
    pub by: Option<Id>,
}

/// A turn ended with an error. What there is of the answer stays.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnFailed {
    /// The turn.
    pub turn_id: Id,
    /// The partial answer.
    #[serde(alias = "messageID")]
    pub message_id: Option<Id>,
    /// What went wrong.
    pub error: Fault,
}
