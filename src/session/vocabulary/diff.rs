//! Channel `diff`: what the session has changed in files.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

/// All changes as they stand now: they replace what was said before.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DiffUpdated {
    /// The files. They may come as `diffs`.
    #[serde(alias = "diffs")]
    pub files: Vec<FileDiff>,
    /// Lines added in all of them.
    pub additions: Option<u64>,
    /// Lines deleted in all of them.
    pub deletions: Option<u64>,
}

/// What has changed in a file.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FileDiff {
    /// The file. It may come as `file`.
    #[serde(alias = "file")]
    pub path: String,
    /// Lines added.
    pub additions: u64,
    /// Lines deleted.
    pub deletions: u64,
    /// What became of it: `added`, `modified`, `deleted` or another word.
    pub status: Option<String>,
    /// The changes as a unified diff. They may come as `diff`.
    #[serde(alias = "diff")]
    pub patch: Option<String>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
