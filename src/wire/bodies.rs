//! Request and response bodies, in camelCase. They derive both directions: the server writes
//! what the command line and the SDK read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The answer to one appended event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AppendAnswer {
    /// Always true.
    pub ok: bool,
    /// Its offset.
    pub offset: u64,
    /// Its id.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub id: Arc<str>,
    /// It was there before, by its id: nothing was written.
    #[serde(default, skip_serializing_if = "is_false")]
    pub duplicate: bool,
}

/// The answer to an array of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct BatchAnswer {
    /// Always true.
    pub ok: bool,
    /// Offset of the last event that was written, or of the last duplicate.
    pub offset: u64,
    /// Events in the request.
    pub count: u64,
    /// Those of them that were there before.
    pub duplicates: u64,
    /// Where each one is.
    pub offsets: Vec<u64>,
    /// The id of each one.
    pub ids: Vec<String>,
}

/// The answer to an NDJSON body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct NdjsonAnswer {
    /// Always true.
    pub ok: bool,
    /// Events in the body.
    pub count: u64,
    /// Those of them that were there before.
    pub duplicates: u64,
    /// Offset of the last event that was written, or of the last duplicate; absent for an empty
    /// body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

/// The answer to a write that has no event of its own: closing, deleting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OffsetAnswer {
    /// Always true.
    pub ok: bool,
    /// The stream's final offset.
    pub offset: u64,
}

/// A page of events.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct EventsAnswer {
    /// The events, each in the envelope with its offset.
    #[cfg_attr(feature = "server", schema(value_type = Vec<Object>))]
    pub events: Vec<Box<RawValue>>,
    /// The `fromOffset` of the next page.
    pub next_offset: u64,
    /// Where the stream ends.
    pub tail: u64,
    /// The first offset that is kept.
    pub earliest: u64,
    /// The next page has something to look at.
    pub has_more: bool,
}

/// What changed in a state between two offsets.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StateDiffAnswer {
    /// The offset of the state before.
    pub from: u64,
    /// The offset of the state after.
    pub to: u64,
    /// A JSON Patch (RFC 6902) that makes the one out of the other.
    #[cfg_attr(feature = "server", schema(value_type = serde_json::Value))]
    pub patch: Box<RawValue>,
}

/// Which event set a value.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct BlameAnswer {
    /// The offset at which the value was looked at.
    pub at: u64,
    /// The place.
    pub pointer: String,
    /// What stands there.
    #[cfg_attr(feature = "server", schema(value_type = serde_json::Value))]
    pub value: Box<RawValue>,
    /// The offset of the event; null where it lies before those that were looked at.
    pub offset: Option<u64>,
    /// Its id.
    pub id: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// When it says it happened, Unix milliseconds.
    pub timestamp: Option<u64>,
    /// Who wrote it, where it says so.
    #[cfg_attr(feature = "server", schema(value_type = Option<serde_json::Value>))]
    pub actor: Option<Box<RawValue>>,
    /// Events that were looked at: those after this offset.
    pub scanned_from: u64,
    /// They were not all, and the value was there before the first of them: ask again with `at`
    /// at `scannedFrom`.
    pub cut: bool,
}

/// A stream as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StreamBody {
    /// Its path.
    pub path: String,
    /// Media type of its records.
    pub content_type: String,
    /// Offset of its last record.
    pub tail: u64,
    /// First offset that is kept; tail + 1 where none is.
    pub earliest: u64,
    /// It takes no more records.
    pub closed: bool,
    /// When it was made, Unix milliseconds.
    pub created_at: u64,
    /// When the last record was appended, Unix milliseconds; null before the first.
    pub last_append_at: Option<u64>,
    /// Random, given at creation, 16 hexadecimal digits: a stream made anew has another one.
    pub epoch: String,
    /// How long its records are kept.
    pub retention_seconds: u64,
}

/// The answer to a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StreamsAnswer {
    /// The streams, in path order.
    pub streams: Vec<StreamBody>,
    /// The `cursor` of the next page; null on the last one.
    pub cursor: Option<String>,
}

/// The body of a creation. All of it is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateStream {
    /// Media type of its records; JSON unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// How long its records are kept; the server's setting unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_seconds: Option<u64>,
    /// The offset of its first record, for a stream that takes the place of another one whose
    /// beginning is gone; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_offset: Option<u64>,
}

/// The answer of `/healthz` and `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct HealthAnswer {
    /// Always true; what is not well is a problem.
    pub ok: bool,
}

/// The answer of `/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct VersionAnswer {
    /// `scrollback`.
    pub name: String,
    /// The package's version.
    pub version: String,
}

/// The data of the SSE events `caught-up` and `heartbeat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PlaceData {
    /// Everything up to here has been sent, or was filtered out.
    pub offset: u64,
    /// The stream's epoch (`caught-up`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// The server's time, Unix milliseconds (`heartbeat`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
}

/// Why a live read does not go on where it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum ResetReason {
    /// The records are no longer kept.
    Trimmed,
    /// The records cannot be read back.
    Damaged,
    /// The stream was deleted and made anew.
    Recreated,
    /// The offset lies beyond the tail: the stream was made anew, or the offset is of another.
    Beyond,
}

/// The data of the SSE event `reset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ResetData {
    /// Why.
    pub reason: ResetReason,
    /// The first offset that is kept.
    pub earliest: u64,
    /// The read goes on after this offset.
    pub resume_from: u64,
    /// What it means and what to do.
    pub message: String,
}

/// The data of the SSE event `reset` of a live read of several streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChannelsReset {
    /// Why: `trimmed` or `beyond`.
    pub reason: ResetReason,
    /// The read goes on after this position.
    pub cursor: u64,
    /// What it means and what to do.
    pub message: String,
}

/// Why a live read has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum EndReason {
    /// The stream is closed and read to its end.
    Closed,
    /// The stream was deleted.
    Deleted,
    /// The server stops: connect again.
    Shutdown,
    /// As many events as asked for were sent.
    Limit,
    /// The tail, where only what was there was asked for.
    Tail,
    /// The store does not answer: connect again.
    Unavailable,
    /// The token holds no more, or the session belongs to another worker now: connecting again
    /// with the same token does not help.
    Unauthorized,
}

/// The data of the SSE event `end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct EndData {
    /// Why.
    pub reason: EndReason,
    /// Everything up to here has been sent, or was filtered out.
    pub offset: u64,
}

/// `GET /api/sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SessionsAnswer {
    /// The sessions, the newest first.
    #[cfg_attr(feature = "server", schema(value_type = Vec<Object>))]
    pub sessions: Vec<serde_json::Map<String, serde_json::Value>>,
    /// The `cursor` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The place in the order of all events that the list stands at: events after it are the
    /// changes since.
    pub position: u64,
}
