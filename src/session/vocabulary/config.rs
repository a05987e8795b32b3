//! Channel `config`: providers, models, rules and agents that people choose.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::common::Id;

/// A provider can be used.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigProviderAdded {
    /// The provider.
    pub provider: Id,
    /// How it is reached. Keys do not belong in a log.
    pub config: Option<Map<String, Value>>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A provider is set up in another way.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigProviderUpdated {
    /// The provider.
    pub provider: Id,
    /// How it is reached. Keys do not belong in a log.
    pub config: Option<Map<String, Value>>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A provider can no longer be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigProviderRemoved {
    /// The provider.
    pub provider: Id,
}

/// A model was chosen.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigModelSelected {
    /// Whose model it is.
    pub provider: Option<Id>,
    /// The model.
    pub model: Id,
}

/// A rule was switched on or off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigRuleToggled {
    /// The rule.
    pub rule: Id,
    /// It is on.
    pub enabled: bool,
}

/// An agent was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigAgentSelected {
    /// The agent.
    pub agent: Id,
}
