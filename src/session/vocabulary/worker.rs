//! Workers, on channel `app`: those who answer messages.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::common::Id;

/// A worker takes up work.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorkerOnline {
    /// The worker.
    pub worker_id: Id,
    /// Its version.
    pub version: Option<String>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A worker is gone.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorkerOffline {
    /// The worker.
    pub worker_id: Id,
    /// Why.
    pub reason: Option<String>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
