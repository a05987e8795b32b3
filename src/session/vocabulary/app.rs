//! Channel `app`: the application itself. Workers are in `worker.rs`.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

/// The application has started.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AppStarted {
    /// Its version.
    pub version: Option<String>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The application stops.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AppStopped {
    /// Why.
    pub reason: Option<String>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
