//! Channel `message`: messages as wholes. Their parts are in `part.rs`.
//!
//! Invariant: all events of a message name it by `messageId`; what they say replaces what was
//! said before, field by field.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::{
    common::{Fault, Id, Times, Tokens},
    field::FieldError,
    part::Part,
    shape::Shape,
};

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A person.
    User,
    /// A model.
    Assistant,
    /// The system.
    System,
}

/// What is known of a message. It may come within an object `info`, and the id as `messageID` or
/// `id`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MessageInfo {
    /// The message.
    pub message_id: Id,
    /// Who speaks. `message.created` has it.
    pub role: Option<Role>,
    /// The turn it belongs to.
    pub turn_id: Option<Id>,
    /// The person who wrote it.
    pub user_id: Option<Id>,
    /// The agent that wrote it.
    pub agent_id: Option<Id>,
    /// The message it answers.
    #[serde(alias = "parentID")]
    pub parent_id: Option<Id>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// Whose model it is.
    pub provider: Option<String>,
    /// Its whole text, where the writer says it: it stands for all deltas before.
    pub content: Option<String>,
    /// Its parts, where the writer says them at once: they replace all parts before.
    pub parts: Option<Vec<Part>>,
    /// Why the model stopped.
    pub finish: Option<String>,
    /// It was not finished.
    pub partial: Option<bool>,
    /// It was stopped by somebody.
    pub interrupted: Option<bool>,
    /// What went wrong.
    pub error: Option<Fault>,
    /// What it cost, in dollars.
    pub cost: Option<f64>,
    /// Tokens it took.
    pub tokens: Option<Tokens>,
    /// When it was made and completed.
    pub time: Option<Times>,
    /// When it was made, Unix milliseconds.
    pub created_at: Option<u64>,
    /// When it was changed last, Unix milliseconds.
    pub updated_at: Option<u64>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

const INFO: Shape = Shape { within: "info", id: "messageId", id_names: &["messageID", "id"] };

/// A message begins. An assistant's is empty at first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct MessageCreated(pub MessageInfo);

impl<'de> Deserialize<'de> for MessageCreated {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let map = Map::deserialize(from)?;
        let below = if map.contains_key("info") { "info" } else { "" };
        let read = || {
            let info: MessageInfo = INFO.of(map)?;
            match info.role {
                Some(_) => Ok(info),
                None => Err(FieldError::new("role", "is missing").below(below)),
            }
        };
        read().map(Self).map_err(|error| D::Error::custom(error.marked()))
    }
}

/// What is known of a message has changed. A message that is not there yet begins with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct MessageUpdated(pub MessageInfo);

impl<'de> Deserialize<'de> for MessageUpdated {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        INFO.read(from).map(Self)
    }
}

/// A message is complete. With `content` or `parts` it is the final state, whatever the chunks
/// and deltas before it said.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct MessageCompleted(pub MessageInfo);

impl<'de> Deserialize<'de> for MessageCompleted {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        INFO.read(from).map(Self)
    }
}

/// A message is taken away, with its parts.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MessageRemoved {
    /// The message.
    #[serde(alias = "messageID")]
    pub message_id: Id,
    /// Why.
    pub reason: Option<String>,
}
