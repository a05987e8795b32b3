//! The step that a part begins or ends: its number, or an object that says more.

use std::fmt;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use crate::session::vocabulary::common::Id;

/// A step: its number, or more about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub enum Step {
    /// Its number within the turn.
    Number(u64),
    /// More about it.
    Detail(StepDetail),
}

/// A step with its name and, once it has ended, what it took.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StepDetail {
    /// The step.
    pub id: Id,
    /// What it is about.
    pub name: String,
    /// `running` or `completed`.
    pub status: Option<String>,
    /// How long it took.
    pub duration: Option<f64>,
    /// What it cost, in dollars.
    pub cost: Option<f64>,
    /// Tokens the model read.
    pub input_tokens: Option<u64>,
    /// Tokens the model wrote.
    pub output_tokens: Option<u64>,
    /// Of them, spent on reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Tokens read from the provider's cache.
    pub cache_read_tokens: Option<u64>,
    /// Tokens written to it.
    pub cache_write_tokens: Option<u64>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct StepVisitor;
        impl<'de> Visitor<'de> for StepVisitor {
            type Value = Step;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or an object with `id` and `name`")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Step, E> {
                Ok(Step::Number(number))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Step, A::Error> {
                StepDetail::deserialize(MapAccessDeserializer::new(map)).map(Step::Detail)
            }
        }
        from.deserialize_any(StepVisitor)
    }
}
