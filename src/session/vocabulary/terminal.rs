//! Channel `terminal`: what was typed and what was shown.
//!
//! Invariant: the data of input and output is text with its control characters, kept to the byte.

use std::num::NonZero;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::common::Id;

/// Something was typed.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TerminalInput {
    /// The terminal, where a session has several.
    pub terminal_id: Option<Id>,
    /// The text.
    pub data: String,
    /// Who typed it.
    pub user_id: Option<Id>,
    /// Where it came from: `user`, `agent` or another word.
    pub source: Option<String>,
}

/// Something was shown.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TerminalOutput {
    /// The terminal, where a session has several.
    pub terminal_id: Option<Id>,
    /// The text.
    pub data: String,
    /// Where it came from: `stdout`, `stderr` or another word.
    pub source: Option<String>,
}

/// The window has another size.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TerminalResize {
    /// The terminal, where a session has several.
    pub terminal_id: Option<Id>,
    /// Columns.
    pub cols: NonZero<u16>,
    /// Rows.
    pub rows: NonZero<u16>,
}

/// The program has ended.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TerminalExit {
    /// The terminal, where a session has several.
    pub terminal_id: Option<Id>,
    /// Its exit code.
    pub exit_code: Option<i64>,
    /// The signal that ended it.
    pub signal: Option<String>,
}
