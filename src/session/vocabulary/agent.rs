//! Channel `agentState`: what an agent does, and the steps it takes.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::common::Id;

/// An agent does something else now.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AgentState {
    /// The agent.
    pub agent_id: Id,
    /// What it does: `idle`, `thinking`, `acting`, `waiting`, `writing`, `interrupted` or another word.
    pub state: String,
    /// The turn it works on.
    pub turn_id: Option<Id>,
    /// More about it, such as the tool it uses.
    pub detail: Option<String>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An agent begins a step.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AgentStep {
    /// The agent.
    pub agent_id: Id,
    /// Its number within the turn.
    pub step: Option<u64>,
    /// What it is about.
    pub title: Option<String>,
    /// The turn it belongs to.
    pub turn_id: Option<Id>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
