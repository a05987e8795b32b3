//! The body of every error: `application/problem+json`, with what a program needs to go on.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{code::Code, subscription::ControlError};

/// An error as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `urn:scrollback:problem:` and the code.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub kind: Cow<'static, str>,
    /// The kind of problem in a few words.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong, for programs.
    pub code: Code,
    /// What went wrong and what to do about it, for people.
    pub message: String,
    /// Nothing was written by this request beyond `count`, and it may succeed later.
    pub retryable: bool,
    /// The parameter, header or field that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Which event of a batch, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// Which line of an NDJSON body, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Events of an NDJSON body that are in the stream all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Offset of the last event that is in the stream, or of the closed stream's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The offset the request expected; the batch, or the piece, that comes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    /// Where the tail is instead; the batch, or the piece, that came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<u64>,
    /// The first offset that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest: Option<u64>,
    /// Where the stream ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u64>,
    /// The `fromOffset` to go on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_from: Option<u64>,
    /// The turn it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
    /// How that turn ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// How a request for permission was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// The limit that the sender is over, as the settings call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// The same as the protocol's subscription APIs say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ControlError>,
    /// The request it is about, as the server's log names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// A problem with nothing but its code and message.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            kind: Cow::Borrowed(code.urn()),
            title: Cow::Borrowed(code.title()),
            status: code.status(),
            code,
            message: message.into(),
            retryable: code.is_retryable(),
            field: None,
            index: None,
            line: None,
            count: None,
            offset: None,
            expected: None,
            actual: None,
            earliest: None,
            tail: None,
            resume_from: None,
            turn_id: None,
            outcome: None,
            reply: None,
            limit: None,
            error: None,
            request_id: None,
        }
    }

    /// The same, about a parameter, header or field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}
