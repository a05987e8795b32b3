//! Channel `permission`: an agent asks whether it may, somebody answers.
//!
//! Invariant: a request is pending from the event that asks to the first one that answers.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::{
    common::{Id, TextOr, text_or_object},
    shape::Shape,
};

/// What is asked for.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PermissionRequest {
    /// The request. It may come as `id` or `requestID`.
    pub permission_id: Id,
    /// What is asked for: `read`, `write`, `execute` or another word. It or `tool` is there.
    pub permission: Option<String>,
    /// The tool that asks: its name, or an object with `messageID` and `callID`.
    pub tool: Option<PermissionTool>,
    /// What it is about, in a line.
    pub title: Option<String>,
    /// What it would be allowed for, such as `src/*`.
    pub patterns: Option<Vec<String>>,
    /// The message in which it is asked.
    #[serde(alias = "messageID")]
    pub message_id: Option<Id>,
    /// The part in which it is asked.
    #[serde(alias = "partID")]
    pub part_id: Option<Id>,
    /// The call that waits for the answer.
    #[serde(alias = "callID")]
    pub call_id: Option<Id>,
    /// Whatever the one who asks wants to show.
    pub metadata: Option<Map<String, Value>>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The tool that asks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub enum PermissionTool {
    /// Its name.
    Name(String),
    /// The call.
    Call(PermissionCall),
}

/// The call that asks.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PermissionCall {
    /// The message in which it is asked.
    #[serde(rename = "messageID", alias = "messageId")]
    pub message_id: Id,
    /// The call.
    #[serde(rename = "callID", alias = "callId")]
    pub call_id: Id,
}

impl<'de> Deserialize<'de> for PermissionTool {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let tool = text_or_object(from, "a name or an object with `messageID` and `callID`")?;
        Ok(match tool {
            TextOr::Text(name) => Self::Name(name),
            TextOr::Object(call) => Self::Call(call),
        })
    }
}

/// An agent asks whether it may do something, and waits.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct PermissionAsked(pub PermissionRequest);

const ASKED: Shape =
    Shape { within: "", id: "permissionId", id_names: &["permissionID", "requestID", "id"] };

impl<'de> Deserialize<'de> for PermissionAsked {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        ASKED.read(from).map(Self)
    }
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// This time.
    Once,
    /// This time and from now on.
    Always,
    /// No.
    Reject,
}

/// A request is answered. Later answers change nothing.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PermissionReplied {
    /// The request. It may come as `requestID`.
    #[serde(alias = "permissionID", alias = "requestID", alias = "requestId")]
    pub permission_id: Id,
    /// The answer.
    pub reply: Reply,
    /// The message in which it was asked.
    #[serde(alias = "messageID")]
    pub message_id: Option<Id>,
    /// Who answered.
    pub by: Option<Id>,
}
