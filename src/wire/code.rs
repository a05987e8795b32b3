//! The error codes of the interface: what each is called, its HTTP status, and whether the same
//! request may be sent again. A code never changes its meaning.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $retry:ident, $title:literal;)*) => {
        /// What went wrong, for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// All of them, in the order of their status.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The text form.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// `urn:scrollback:problem:` and the text form.
            #[must_use]
            pub fn urn(self) -> &'static str {
                match self { $(Self::$name => concat!("urn:scrollback:problem:", $text),)* }
            }

            /// The HTTP status it is sent with.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The kind of problem in a few words.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// Nothing was written, and the same request may succeed later.
            #[must_use]
            pub fn is_retryable(self) -> bool {
                match self { $(Self::$name => codes!(@$retry),)* }
            }
        }
    };
    (@again) => { true };
    (@never) => { false };
}

codes! {
    /// The body is not JSON, or JSON that breaks readers.
    InvalidJson = "invalid_json", 400, never, "Invalid JSON";
    /// The body is JSON, nested deeper than is taken.
    JsonTooDeep = "json_too_deep", 400, never, "JSON too deep";
    /// A query parameter or header has a value it may not have.
    InvalidParameter = "invalid_parameter", 400, never, "Invalid parameter";
    /// The path names no stream that could exist.
    InvalidPath = "invalid_path", 400, never, "Invalid path";
    /// The body ended before it was complete.
    IncompleteBody = "incomplete_body", 400, again, "Incomplete body";
    /// The subscription cannot be made or asked like this.
    InvalidSubscription = "invalid_subscription", 400, never, "Invalid subscription";
    /// The address of the webhook is none that the server calls.
    WebhookUrlRejected = "webhook_url_rejected", 400, never, "Webhook address rejected";
    /// The token is not one of this subscription.
    TokenInvalid = "token_invalid", 401, never, "Invalid token";
    /// Who asks has no token, or one that is not valid.
    Unauthenticated = "unauthenticated", 401, never, "Not authenticated";
    /// The token does not allow it.
    Forbidden = "forbidden", 403, never, "Forbidden";
    /// A younger epoch of the producer is at work.
    ProducerFenced = "producer_fenced", 403, never, "Producer fenced";
    /// No stream is there.
    StreamNotFound = "stream_not_found", 404, never, "No such stream";
    /// The stream is there, and what was asked for is not in its state.
    NotInState = "not_in_state", 404, never, "Not in the state";
    /// No subscription has this id.
    SubscriptionNotFound = "subscription_not_found", 404, never, "No such subscription";
    /// Nothing was ever said in the session.
    SessionNotFound = "session_not_found", 404, never, "No such session";
    /// The session has no such message.
    MessageNotFound = "message_not_found", 404, never, "No such message";
    /// The session has no such turn.
    TurnNotFound = "turn_not_found", 404, never, "No such turn";
    /// The session has no such request for permission.
    PermissionNotFound = "permission_not_found", 404, never, "No such request";
    /// No token has this id, or it needs no approval.
    TokenNotFound = "token_not_found", 404, never, "No such token";
    /// No such route.
    NotFound = "not_found", 404, never, "No such route";
    /// The route has other methods.
    MethodNotAllowed = "method_not_allowed", 405, never, "Method not allowed";
    /// The body stopped coming.
    BodyTimeout = "body_timeout", 408, again, "Body timed out";
    /// The tail is not at `expectedOffset`.
    OffsetMismatch = "offset_mismatch", 409, never, "Offset mismatch";
    /// The stream takes no more records.
    StreamClosed = "stream_closed", 409, never, "Stream closed";
    /// The stream exists with another configuration.
    StreamExists = "stream_exists", 409, never, "Stream exists";
    /// The stream holds another kind of content.
    ContentTypeMismatch = "content_type_mismatch", 409, never, "Content type mismatch";
    /// Batches of the producer before this one are missing.
    ProducerGap = "producer_gap", 409, never, "Producer gap";
    /// The writer's sequence does not grow.
    SeqConflict = "seq_conflict", 409, never, "Sequence conflict";
    /// The subscription exists with another configuration.
    SubscriptionExists = "subscription_exists", 409, never, "Subscription exists";
    /// The wake is over.
    WakeFenced = "wake_fenced", 409, never, "Wake over";
    /// Another worker holds the lease.
    AlreadyClaimed = "already_claimed", 409, again, "Already claimed";
    /// There is nothing to claim.
    NothingPending = "nothing_pending", 409, again, "Nothing pending";
    /// The offset cannot be acknowledged.
    InvalidAck = "invalid_ack", 409, never, "Invalid acknowledgement";
    /// The session was begun with other settings.
    SessionExists = "session_exists", 409, never, "Session exists";
    /// The session has ended.
    SessionEnded = "session_ended", 409, never, "Session ended";
    /// Another message of the session has this id.
    MessageIdTaken = "message_id_taken", 409, never, "Message id taken";
    /// The message does not wait for a turn.
    MessageNotQueued = "message_not_queued", 409, never, "Message not queued";
    /// A backup is being taken.
    BackupRunning = "backup_running", 409, again, "Backup running";
    /// No turn is running.
    NothingRuns = "nothing_runs", 409, never, "Nothing runs";
    /// The turn waits in the queue.
    TurnNotStarted = "turn_not_started", 409, again, "Turn not started";
    /// The turn has ended, and otherwise.
    TurnEnded = "turn_ended", 409, never, "Turn ended";
    /// Pieces of the answer before these are missing.
    PieceMissing = "piece_missing", 409, never, "Piece missing";
    /// The request was answered otherwise.
    PermissionAnswered = "permission_answered", 409, never, "Request answered";
    /// The stream was deleted, and is kept for its forks.
    StreamGone = "stream_gone", 410, never, "Stream deleted";
    /// The session is deleted.
    SessionDeleted = "session_deleted", 410, never, "Session deleted";
    /// The records asked for are no longer kept.
    OffsetTrimmed = "offset_trimmed", 410, never, "Records no longer kept";
    /// The records asked for cannot be read back.
    RecordsDamaged = "records_damaged", 410, never, "Records damaged";
    /// The body is too large.
    BodyTooLarge = "body_too_large", 413, never, "Body too large";
    /// An event is too large.
    EventTooLarge = "event_too_large", 413, never, "Event too large";
    /// A batch has too many events.
    BatchTooLarge = "batch_too_large", 413, never, "Batch too large";
    /// The body is of a kind that the route does not take.
    UnsupportedContentType = "unsupported_content_type", 415, never, "Unsupported content type";
    /// The offset lies beyond the tail.
    OffsetBeyondTail = "offset_beyond_tail", 416, never, "Offset beyond the tail";
    /// The body is JSON, but not what the route takes.
    InvalidBody = "invalid_body", 422, never, "Invalid body";
    /// An event breaks a rule of the envelope.
    InvalidEvent = "invalid_event", 422, never, "Invalid event";
    /// A batch without events.
    EmptyBatch = "empty_batch", 422, never, "Empty batch";
    /// A message without text and parts.
    EmptyMessage = "empty_message", 422, never, "Empty message";
    /// The sender of the request is over one of its limits.
    TooManyRequests = "too_many_requests", 429, again, "Too many requests";
    /// The stream has as many producers as it takes.
    TooManyProducers = "too_many_producers", 429, never, "Too many producers";
    /// As many messages as a session holds back wait for their turn.
    QueueFull = "queue_full", 429, again, "Queue full";
    /// The stream has as many forks as it takes.
    TooManyForks = "too_many_forks", 429, never, "Too many forks";
    /// The server has as many subscriptions as it takes.
    TooManySubscriptions = "too_many_subscriptions", 429, never, "Too many subscriptions";
    /// The server has as many tokens as it takes.
    TooManyTokens = "too_many_tokens", 429, never, "Too many tokens";
    /// A defect of the server.
    Internal = "internal", 500, never, "Internal error";
    /// The queue of appends is full.
    Busy = "busy", 503, again, "Busy";
    /// Other writers were first each time.
    Contended = "contended", 503, again, "Contended";
    /// As many live readers as the server takes are connected.
    TooManyReaders = "too_many_readers", 503, again, "Too many readers";
    /// The server is about to end.
    Stopping = "stopping", 503, again, "Stopping";
    /// The index or the disk could not be read.
    Unavailable = "unavailable", 503, again, "Unavailable";
    /// Little room is left on the disk of the log.
    DiskLow = "disk_low", 503, again, "Disk low";
    /// A flush failed: whether the request took place is known after the restart.
    Poisoned = "poisoned", 503, never, "Log stopped";
    /// The disk is full.
    DiskFull = "disk_full", 507, again, "Disk full";
}

// By hand: the derive does not see names that a macro hands on.
#[cfg(feature = "server")]
impl utoipa::PartialSchema for Code {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let names = Self::ALL.iter().map(|code| code.as_str());
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::Type::String)
            .description(Some("What went wrong, for programs."))
            .enum_values(Some(names))
            .into()
    }
}

#[cfg(feature = "server")]
impl utoipa::ToSchema for Code {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_listed_by_status_and_read_back_from_their_text() {
        let statuses: Vec<u16> = Code::ALL.iter().map(|code| code.status()).collect();
        assert!(statuses.is_sorted(), "{statuses:?}");
        for code in Code::ALL {
            let text = serde_json::to_string(code).unwrap();
            assert_eq!(text, format!("\"{}\"", code.as_str()));
            assert_eq!(serde_json::from_str::<Code>(&text).unwrap(), *code);
        }
    }
}
