//! Channel `presence`: who looks at the session.
//!
//! Invariant: a user who sends no heartbeat for half a minute leaves by an event, so that every
//! replay agrees.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::common::Id;

/// Somebody has come.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PresenceJoined {
    /// The user.
    pub user_id: Id,
    /// Their name.
    pub name: Option<String>,
    /// The colour they are shown in.
    pub color: Option<String>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Somebody is still there.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PresenceHeartbeat {
    /// The user.
    pub user_id: Id,
    /// Their name.
    pub name: Option<String>,
}

/// Somebody points at another place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PresenceCursor {
    /// The user.
    pub user_id: Id,
    /// The place: `x` and `y`, or whatever the client understands.
    pub cursor: Map<String, Value>,
}

/// Somebody has gone.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PresenceLeft {
    /// The user.
    pub user_id: Id,
    /// Why: `left`, `timeout` or another word.
    pub reason: Option<String>,
}
