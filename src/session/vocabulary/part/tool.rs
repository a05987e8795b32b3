//! A tool's call as a part of a message. Its state is a word, or an object that holds the word,
//! the input and the result: both are in use, and each is kept as it came.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use crate::session::vocabulary::common::{Fault, Id, TextOr, Times, text_or_object};

/// A call of a tool.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ToolPart {
    /// The part.
    pub id: Id,
    /// The tool's name.
    pub tool: String,
    /// The call, as the model names it.
    #[serde(alias = "callID")]
    pub call_id: Option<Id>,
    /// How far it is.
    pub state: ToolState,
    /// What the tool was given.
    pub input: Option<Value>,
    /// What it gave back.
    pub output: Option<Value>,
    /// Why it failed.
    pub error: Option<Fault>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How far a tool's call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ToolStatus {
    /// The model has asked for it.
    Pending,
    /// It runs.
    Running,
    /// It has ended well.
    Completed,
    /// It has failed.
    Error,
}

/// How far a tool's call is: a word, or an object with the word and more.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub enum ToolState {
    /// The word; input and result are beside it.
    Status(ToolStatus),
    /// The word with input and result.
    Detail(Box<ToolDetail>),
}

impl ToolState {
    /// The word.
    #[must_use]
    pub fn status(&self) -> ToolStatus {
        match self {
            Self::Status(status) => *status,
            Self::Detail(detail) => detail.status,
        }
    }
}

/// How far a tool's call is, with what goes with it.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ToolDetail {
    /// The word.
    pub status: ToolStatus,
    /// What the tool was given.
    pub input: Option<Value>,
    /// What it gave back.
    pub output: Option<Value>,
    /// Why it failed.
    pub error: Option<Fault>,
    /// What it is about, in a line.
    pub title: Option<String>,
    /// When it began and ended.
    pub time: Option<Times>,
    /// Whatever the tool wants to keep with it.
    pub metadata: Option<Map<String, Value>>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl<'de> Deserialize<'de> for ToolState {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match text_or_object(from, "a status or an object with a `status`")? {
            TextOr::Object(detail) => Ok(Self::Detail(Box::new(detail))),
            TextOr::Text(text) => ToolStatus::deserialize(Value::String(text))
                .map(Self::Status)
                .map_err(D::Error::custom),
        }
    }
}
