//! Channel `todo`: the list of what is to be done.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::common::Id;

/// The list as it stands now: it replaces what it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TodoUpdated {
    /// The items, in order.
    pub todos: Vec<TodoItem>,
}

/// Something to do.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TodoItem {
    /// The item.
    pub id: Id,
    /// What is to be done. It may come as `content`.
    #[serde(alias = "content")]
    pub text: String,
    /// How far it is.
    pub status: TodoStatus,
    /// How much it matters: `high`, `medium`, `low` or another word.
    pub priority: Option<String>,
    /// When it was put on the list, Unix milliseconds.
    pub created_at: Option<u64>,
    /// When it was done, Unix milliseconds.
    pub completed_at: Option<u64>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How far an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TodoStatus {
    /// Not begun.
    Pending,
    /// Begun.
    InProgress,
    /// Done.
    Completed,
    /// Given up.
    Cancelled,
}
