//! Channel `queue`: messages that wait for the running turn to end.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::{common::Id, part::Part};

/// A message waits.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct QueueAdded {
    /// The message.
    #[serde(alias = "messageID")]
    pub message_id: Id,
    /// The turn that will answer it.
    pub turn_id: Option<Id>,
    /// Who wrote it.
    pub user_id: Option<Id>,
    /// Its place in the queue, from 1.
    pub position: Option<u64>,
    /// Its text.
    pub text: Option<String>,
    /// Its parts.
    pub parts: Option<Vec<Part>>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A message waits no longer.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct QueueRemoved {
    /// The message.
    #[serde(alias = "messageID")]
    pub message_id: Id,
    /// The turn that answers it, or would have.
    pub turn_id: Option<Id>,
    /// Why: `started`, `dequeued` or another word.
    pub reason: Option<String>,
    /// Who took it back.
    pub by: Option<Id>,
}
