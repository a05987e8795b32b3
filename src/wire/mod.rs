//! What crosses the wire: routes, bodies, error codes, SSE frames. A leaf: it imports nothing of
//! ours and knows no domain type, so that server, command line and SDK agree by sharing it.

pub mod bodies;
pub mod code;
pub mod commands;
pub mod debug;
pub mod paths;
pub mod problem;
pub mod protocol;
pub mod sse;
pub mod subscription;
pub mod tokens;

/// The header with the offset that an answer stands at.
pub const SCROLLBACK_OFFSET: &str = "scrollback-offset";
/// The header with the epoch of the stream that is read live, so that a client whose line breaks
/// before the first `caught-up` still notices when the stream is made anew.
pub const SCROLLBACK_EPOCH: &str = "scrollback-epoch";
/// The header that names a request, in the answer and in the server's log.
pub const REQUEST_ID: &str = "x-request-id";
/// The content type of JSON bodies.
pub const JSON: &str = "application/json";
/// The content type of bodies with one JSON value a line.
pub const NDJSON: &str = "application/x-ndjson";
/// The content type of streams that were created without one.
pub const OCTET_STREAM: &str = "application/octet-stream";
/// The content type of live reads.
pub const EVENT_STREAM: &str = "text/event-stream";
/// The content type of backups.
pub const BACKUP: &str = "application/vnd.scrollback.backup";
/// The content type of errors.
pub const PROBLEM: &str = "application/problem+json";
