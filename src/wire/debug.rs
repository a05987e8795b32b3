//! What `GET /debug` answers: where a server spends its time and its memory, each list cut to its
//! head.

use serde::{Deserialize, Serialize};

/// The server at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DebugAnswer {
    /// Its version.
    pub version: String,
    /// Since when it runs, milliseconds.
    pub uptime_ms: u64,
    /// Connections that are open.
    pub connections: usize,
    /// Supervised tasks that run.
    pub tasks: Vec<String>,
    /// Live readers.
    pub readers: usize,
    /// Records that the slowest of them was behind, since the last scrape of the metrics.
    pub reader_lag: u64,
    /// Payload bytes that wait for the disk.
    pub queue_bytes: u64,
    /// Streams that the log keeps open.
    pub open_streams: usize,
    /// Those with the most readers, the most first.
    pub most_read: Vec<ReadStream>,
    /// The slowest flushes of the last quarter of an hour, the slowest first.
    pub slowest_flushes: Vec<SlowFlush>,
    /// States in memory, the largest first.
    pub views: Vec<OpenView>,
    /// States in memory, all of them.
    pub views_total: usize,
    /// Records that the list of sessions has yet to fold, unless it is folding now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_lag: Option<u64>,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Subscriptions with a wake under way.
    pub subscriptions_pending: usize,
    /// The disk, where it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskRoom>,
}

/// A stream that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReadStream {
    /// Its path.
    pub path: String,
    /// Readers that follow it now.
    pub readers: usize,
}

/// A flush of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SlowFlush {
    /// How long ago it ended, milliseconds.
    pub ago_ms: u64,
    /// How long it took, milliseconds.
    pub ms: f64,
    /// Writes that shared it.
    pub writes: usize,
    /// Their payload bytes.
    pub bytes: u64,
}

/// The state of a stream in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OpenView {
    /// The stream's path.
    pub path: String,
    /// Its size, bytes, about.
    pub bytes: usize,
    /// Since when nobody has looked at it, milliseconds.
    pub idle_ms: u64,
    /// A reader is connected that holds it.
    pub pinned: bool,
}

/// Room on the disk of the data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DiskRoom {
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Below so many the server is not ready.
    pub low_water_bytes: u64,
    /// Bytes of the disk.
    pub size_bytes: u64,
    /// Bytes of the data folder.
    pub data_bytes: u64,
}
