//! Parts of messages, on channel `message`: a part as it stands, what is added to it, its end.
//! The kinds of parts are in `part/kinds.rs`.
//!
//! Invariant: a part is named by its message's id and its own.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

pub use self::{
    kinds::{
        ErrorPart, FilePart, Part, PatchPart, ReasoningPart, SnapshotPart, StepFinishPart,
        StepStartPart, TextPart,
    },
    step::{Step, StepDetail},
    tool::{ToolDetail, ToolPart, ToolState, ToolStatus},
};
use super::{
    common::Id,
    field::{FieldError, from_value},
    shape::Shape,
};

mod kinds;
mod step;
mod tool;

/// A part as it stands now: it replaces what it was, or comes last where it is new. The part may
/// be within `part`, or flat beside `messageId` and `partId`. With `delta`: where the part has a
/// text, that is the whole text, the delta within; where it has none, the delta is added to what
/// there was.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MessagePartUpdated {
    /// The message.
    pub message_id: Id,
    /// The part.
    pub part: Part,
    /// What the part's text has grown by.
    pub delta: Option<String>,
}

const MESSAGE: Shape = Shape { within: "", id: "messageId", id_names: &["messageID"] };
const PART: Shape = Shape { within: "", id: "partId", id_names: &["partID", "id"] };

impl<'de> Deserialize<'de> for MessagePartUpdated {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let map = Map::deserialize(from)?;
        Self::of(map).map_err(|error| D::Error::custom(error.marked()))
    }
}

impl MessagePartUpdated {
    fn of(mut map: Map<String, Value>) -> Result<Self, FieldError> {
        MESSAGE.rename(&mut map);
        let mut message_id = map.remove("messageId");
        let delta = map.remove("delta");
        let (below, mut part) = match map.remove("part") {
            None => ("", flat(map)),
            Some(Value::Object(mut part)) => {
                MESSAGE.rename(&mut part);
                let within = part.remove("messageId");
                message_id = message_id.or(within);
                ("part", part)
            }
            Some(_) => return Err(FieldError::new("part", "must be an object")),
        };
        if delta.as_ref().is_some_and(Value::is_string) {
            give_text(&mut part);
        }
        let message_id = message_id.ok_or_else(|| FieldError::new("messageId", "is missing"))?;
        Ok(Self {
            message_id: from_value(message_id).map_err(|error| error.below("messageId"))?,
            part: Part::of(part).map_err(|error| error.below(below))?,
            delta: from_value(delta.unwrap_or_default()).map_err(|error| error.below("delta"))?,
        })
    }
}

/// The part that is meant where its fields are beside those of the event: its id is `partId`, and
/// `id`, where both are there, is the event's own.
fn flat(mut map: Map<String, Value>) -> Map<String, Value> {
    PART.rename(&mut map);
    if let Some(id) = map.remove("partId") {
        map.insert("id".to_owned(), id);
    }
    map
}

/// A part that grows by a delta may leave its text out.
fn give_text(part: &mut Map<String, Value>) {
    let is_text = matches!(part.get("type").and_then(Value::as_str), Some("text" | "reasoning"));
    if is_text && !part.contains_key("text") && !part.contains_key("reasoning") {
        part.insert("text".to_owned(), Value::String(String::new()));
    }
}

/// Text is added to the end of a part. Where the part is not known, it begins with this text.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MessagePartDelta {
    /// The message.
    #[serde(alias = "messageID")]
    pub message_id: Id,
    /// The part.
    #[serde(alias = "partID")]
    pub part_id: Id,
    /// The field of the part that grows; `text` unless said.
    pub field: Option<String>,
    /// What is added.
    pub delta: String,
}

/// A part is taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MessagePartRemoved {
    /// The message.
    #[serde(alias = "messageID")]
    pub message_id: Id,
    /// The part.
    #[serde(alias = "partID")]
    pub part_id: Id,
}
