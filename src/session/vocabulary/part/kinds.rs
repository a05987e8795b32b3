//! The kinds of parts that a message is made of.
//!
//! Invariant: a part is written as it was read, unknown fields and all, but that its id is `id`.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::{step::Step, tool::ToolPart};
use crate::session::vocabulary::{
    common::{Fault, Id, Times, Tokens},
    field::{FieldError, from_value},
    shape::Shape,
};

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Part {
    /// Text.
    Text(TextPart),
    /// A call of a tool.
    Tool(ToolPart),
    /// What a model thinks before it answers.
    Reasoning(ReasoningPart),
    /// A file.
    File(FilePart),
    /// A file, under its other name.
    DataFile(FilePart),
    /// Something went wrong.
    Error(ErrorPart),
    /// Files as they are at a moment.
    Snapshot(SnapshotPart),
    /// Files as they were changed.
    Patch(PatchPart),
    /// A step begins.
    StepStart(StepStartPart),
    /// A step ends.
    StepFinish(StepFinishPart),
}

/// The names of the kinds.
const KINDS: &str = "one of `text`, `tool`, `reasoning`, `file`, `data-file`, `error`, \
                     `snapshot`, `patch`, `step-start`, `step-finish`";
const NAME: Shape = Shape { within: "", id: "id", id_names: &["partId", "partID"] };

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let map = Map::deserialize(from)?;
        Self::of(map).map_err(|error| D::Error::custom(error.marked()))
    }
}

impl Part {
    /// Reads a part of whichever kind it says it is.
    pub(in crate::session::vocabulary) fn of(
        mut map: Map<String, Value>,
    ) -> Result<Self, FieldError> {
        NAME.rename(&mut map);
        let kind = match map.remove("type") {
            Some(Value::String(kind)) => kind,
            Some(_) => return Err(FieldError::new("type", format!("must be {KINDS}"))),
            None => return Err(FieldError::new("type", "is missing")),
        };
        let part = Value::Object(map);
        let part = match &*kind {
            "text" => Self::Text(from_value(part)?),
            "tool" => Self::Tool(from_value(part)?),
            "reasoning" => Self::Reasoning(from_value(part)?),
            "file" => Self::File(from_value(part)?),
            "data-file" => Self::DataFile(from_value(part)?),
            "error" => Self::Error(from_value(part)?),
            "snapshot" => Self::Snapshot(from_value(part)?),
            "patch" => Self::Patch(from_value(part)?),
            "step-start" => Self::StepStart(from_value(part)?),
            "step-finish" => Self::StepFinish(from_value(part)?),
            other => {
                let shown: String = other.chars().take(64).collect();
                return Err(FieldError::new("type", format!("must be {KINDS}, not {shown:?}")));
            }
        };
        match part.lacks() {
            None => Ok(part),
            Some((field, rule)) => Err(FieldError::new(field, rule)),
        }
    }

    /// Of fields that stand for each other, one must be there.
    fn lacks(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Reasoning(ReasoningPart { text: None, reasoning: None, .. }) => {
                Some(("text", "is missing, and so is `reasoning`"))
            }
            Self::File(file) | Self::DataFile(file) if !file.names_a_file() => {
                Some(("file", "is missing, and so are `filename` and `url`"))
            }
            Self::Patch(PatchPart { patch: None, diff: None, .. }) => {
                Some(("patch", "is missing, and so is `diff`"))
            }
            _ => None,
        }
    }

    /// The part's id.
    #[must_use]
    pub fn id(&self) -> &Id {
        match self {
            Self::Text(part) => &part.id,
            Self::Tool(part) => &part.id,
            Self::Reasoning(part) => &part.id,
            Self::File(part) | Self::DataFile(part) => &part.id,
            Self::Error(part) => &part.id,
            Self::Snapshot(part) => &part.id,
            Self::Patch(part) => &part.id,
            Self::StepStart(part) => &part.id,
            Self::StepFinish(part) => &part.id,
        }
    }

    /// The text that grows by deltas, where the part has one.
    #[must_use]
    pub fn text_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Text(part) => Some(&mut part.text),
            Self::Reasoning(part) => part.reasoning.as_mut().or(part.text.as_mut()),
            _ => None,
        }
    }
}

/// Text.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TextPart {
    /// The part.
    pub id: Id,
    /// Its text up to now.
    pub text: String,
    /// When it began and ended.
    pub time: Option<Times>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a model thinks before it answers. It has `text` or `reasoning`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReasoningPart {
    /// The part.
    pub id: Id,
    /// Its text up to now.
    pub text: Option<String>,
    /// The same under its other name.
    pub reasoning: Option<String>,
    /// When it began and ended.
    pub time: Option<Times>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A file. It has `file`, `filename` or `url`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FilePart {
    /// The part.
    pub id: Id,
    /// Its path.
    pub file: Option<String>,
    /// Its name.
    pub filename: Option<String>,
    /// Its media type.
    pub mime: Option<String>,
    /// Where it is.
    pub url: Option<String>,
    /// Its bytes.
    pub size: Option<u64>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl FilePart {
    fn names_a_file(&self) -> bool {
        self.file.is_some() || self.filename.is_some() || self.url.is_some()
    }
}

/// Something went wrong.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ErrorPart {
    /// The part.
    pub id: Id,
    /// What it was.
    pub error: Fault,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Files as they are at a moment.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SnapshotPart {
    /// The part.
    pub id: Id,
    /// The snapshot: its name, or its content.
    pub snapshot: String,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Files as they were changed. It has `patch` or `diff`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PatchPart {
    /// The part.
    pub id: Id,
    /// The changes as a unified diff.
    pub patch: Option<String>,
    /// The same under its other name.
    pub diff: Option<String>,
    /// The files that were changed.
    pub files: Option<Vec<String>>,
    /// Lines added.
    pub additions: Option<u64>,
    /// Lines deleted.
    pub deletions: Option<u64>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A step begins.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StepStartPart {
    /// The part.
    pub id: Id,
    /// Which step.
    pub step: Step,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A step ends.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StepFinishPart {
    /// The part.
    pub id: Id,
    /// Which step. As an object it may hold duration, cost and tokens itself.
    pub step: Step,
    /// Why it ended.
    pub reason: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<f64>,
    /// What it cost, in dollars.
    pub cost: Option<f64>,
    /// Tokens it took.
    pub tokens: Option<Tokens>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
