//! Channel `toolCalls`: calls of tools outside the parts of a message.
//!
//! Invariant: all events of a call name it by `callId`; what they say replaces what was said before,
//! field by field.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::common::{Fault, Id, Times};

/// What is known of a call of a tool.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ToolCall {
    /// The call.
    #[serde(alias = "callID")]
    pub call_id: Id,
    /// The tool's name. `tool.pending` has it.
    pub tool: Option<String>,
    /// The message it belongs to.
    #[serde(alias = "messageID")]
    pub message_id: Option<Id>,
    /// The turn it belongs to.
    pub turn_id: Option<Id>,
    /// The agent that calls.
    pub agent_id: Option<Id>,
    /// What it is about, in a line.
    pub title: Option<String>,
    /// What the tool was given.
    pub input: Option<Value>,
    /// What it gave back.
    pub output: Option<Value>,
    /// Why it failed. `tool.error` has it.
    pub error: Option<Fault>,
    /// When it began and ended.
    pub time: Option<Times>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A model asks for a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct ToolPending(pub ToolCall);

/// A call runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct ToolRunning(pub ToolCall);

/// A call has ended well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct ToolCompleted(pub ToolCall);

/// A call has failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct ToolError(pub ToolCall);
