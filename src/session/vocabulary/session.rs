//! Channel `session`: what a session is and how it stands. Turns are in `turn.rs`.
//!
//! Invariant: of a session's description every field may be missing; what is there stands for a
//! change in `session.updated`.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::{
    common::{Id, TextOr, text_or_object},
    field::FieldError,
    shape::Shape,
};

/// What is known of a session. In `session.updated`: what has changed. It may come within an
/// object `info`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionInfo {
    /// The session's id, where the writer says it.
    pub session_id: Option<Id>,
    /// Its title.
    pub title: Option<String>,
    /// The model that answers.
    pub model: Option<String>,
    /// Whose model it is.
    pub provider: Option<String>,
    /// The agent that answers.
    pub agent: Option<String>,
    /// The worker it belongs to. It may come as `workerId`.
    #[serde(alias = "workerId")]
    pub worker: Option<Id>,
    /// The session it was begun from.
    #[serde(alias = "parentID")]
    pub parent_id: Option<Id>,
    /// What it has changed in files.
    pub summary: Option<SessionSummary>,
    /// Where others can see it.
    pub share: Option<SessionShare>,
    /// It stays when old sessions are trimmed.
    pub pinned: Option<bool>,
    /// It is kept out of the list.
    pub archived: Option<bool>,
    /// When it was made, Unix milliseconds.
    pub created_at: Option<u64>,
    /// When it was looked at last, Unix milliseconds.
    pub last_accessed: Option<u64>,
    /// Whatever its maker wants to keep with it.
    pub metadata: Option<Map<String, Value>>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a session has changed in files.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionSummary {
    /// Lines added.
    pub additions: u64,
    /// Lines deleted.
    pub deletions: u64,
    /// Files changed.
    pub files: u64,
    /// Diffs made.
    pub diffs: Option<u64>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Where others can see a session.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionShare {
    /// The address.
    pub url: String,
    /// When it was shared, Unix milliseconds.
    pub created_at: Option<u64>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

const INFO: Shape = Shape { within: "info", id: "sessionId", id_names: &["sessionID"] };

/// A session begins.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct SessionCreated(pub SessionInfo);

impl<'de> Deserialize<'de> for SessionCreated {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        INFO.read(from).map(Self)
    }
}

/// What is known of a session has changed: the fields that are there replace the older ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct SessionUpdated(pub SessionInfo);

impl<'de> Deserialize<'de> for SessionUpdated {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        INFO.read(from).map(Self)
    }
}

/// A session is deleted: it leaves the list.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionDeleted {
    /// The session's id, where the writer says it.
    #[serde(alias = "sessionID")]
    pub session_id: Option<Id>,
    /// Why.
    pub reason: Option<String>,
    /// Who deleted it.
    pub by: Option<Id>,
}

/// What a session does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum StatusKind {
    /// Nothing.
    Idle,
    /// A turn is running.
    Busy,
    /// A turn waits to be tried again.
    Retry,
}

/// A session does something else now. `status` may be an object that holds `type`, `attempt`,
/// `message` and `next`. `retry` needs all three.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionStatus {
    /// What it does.
    pub status: StatusKind,
    /// The turn that runs.
    pub turn_id: Option<Id>,
    /// Of `retry`: how often it was tried.
    pub attempt: Option<u64>,
    /// Of `retry`: why it failed.
    pub message: Option<String>,
    /// Of `retry`: when it is tried again, Unix milliseconds.
    pub next: Option<u64>,
}

impl<'de> Deserialize<'de> for SessionStatus {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Flat {
            status: Either,
            turn_id: Option<Id>,
            attempt: Option<u64>,
            message: Option<String>,
            next: Option<u64>,
        }
        let flat = Flat::deserialize(from)?;
        let (below, status) = match flat.status {
            Either::Kind(status) => {
                let Flat { turn_id, attempt, message, next, .. } = flat;
                ("", Self { status, turn_id, attempt, message, next })
            }
            Either::Whole(Whole { kind, attempt, message, next }) => {
                let turn_id = flat.turn_id;
                ("status", Self { status: kind, turn_id, attempt, message, next })
            }
        };
        match status.lacks() {
            None => Ok(status),
            Some(field) => {
                let error = FieldError::new(field, "is missing; `retry` has one").below(below);
                Err(D::Error::custom(error.marked()))
            }
        }
    }
}

impl SessionStatus {
    /// The field that is missing for `retry`.
    fn lacks(&self) -> Option<&'static str> {
        let fields = [
            ("attempt", self.attempt.is_some()),
            ("message", self.message.is_some()),
            ("next", self.next.is_some()),
        ];
        let needed = (self.status == StatusKind::Retry).then_some(fields)?;
        needed.into_iter().find(|(_, there)| !there).map(|(field, _)| field)
    }
}

#[derive(Deserialize)]
struct Whole {
    #[serde(rename = "type")]
    kind: StatusKind,
    attempt: Option<u64>,
    message: Option<String>,
    next: Option<u64>,
}

enum Either {
    Kind(StatusKind),
    Whole(Whole),
}

impl<'de> Deserialize<'de> for Either {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match text_or_object(from, "`idle`, `busy`, `retry` or an object with such a `type`")? {
            TextOr::Object(whole) => Ok(Self::Whole(whole)),
            TextOr::Text(text) => StatusKind::deserialize(Value::String(text))
                .map(Self::Kind)
                .map_err(D::Error::custom),
        }
    }
}

/// A worker has taken the session up: messages are answered from now on.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionReady {
    /// The worker.
    pub worker_id: Option<Id>,
}

/// A session is over.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionEnded {
    /// Why.
    pub reason: Option<String>,
    /// Who ended it.
    pub by: Option<Id>,
}
