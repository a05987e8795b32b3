//! The routes, as the router takes them, and the same as a client writes them.

/// A plain page that says where to go next.
pub const ROOT: &str = "/";
/// The process answers.
pub const HEALTH: &str = "/healthz";
/// The server takes reads and writes.
pub const READY: &str = "/readyz";
/// Counters in the `OpenMetrics` form.
pub const METRICS: &str = "/metrics";
/// What the server is busy with, for admins.
pub const DEBUG: &str = "/debug";
/// Name and version.
pub const VERSION: &str = "/version";
/// The document of this interface.
pub const OPENAPI: &str = "/openapi.json";

/// The listing of streams; `POST` with `sessionId` appends to a session.
pub const STREAMS: &str = "/api/streams";
/// One stream.
pub const STREAM: &str = "/api/streams/{*path}";
/// One stream, over the Durable Streams protocol.
pub const PROTOCOL_STREAM: &str = "/v1/stream/{*path}";
/// Subscriptions of the protocol, and what is asked of one.
pub const SUBSCRIPTION: &str = "/v1/stream/__ds/subscriptions/{id}";
/// Streams it follows by name.
pub const SUBSCRIPTION_STREAMS: &str = "/v1/stream/__ds/subscriptions/{id}/streams";
/// One of these.
pub const SUBSCRIPTION_MEMBER: &str = "/v1/stream/__ds/subscriptions/{id}/streams/{*path}";
/// Workers that are called come back here.
pub const SUBSCRIPTION_CALLBACK: &str = "/v1/stream/__ds/subscriptions/{id}/callback";
/// Workers that ask for the lease.
pub const SUBSCRIPTION_CLAIM: &str = "/v1/stream/__ds/subscriptions/{id}/claim";
/// Workers that have claimed, and are done.
pub const SUBSCRIPTION_ACK: &str = "/v1/stream/__ds/subscriptions/{id}/ack";
/// Workers that have claimed, and give it back.
pub const SUBSCRIPTION_RELEASE: &str = "/v1/stream/__ds/subscriptions/{id}/release";
/// The keys that sign requests to webhooks.
pub const JWKS: &str = "/v1/stream/__ds/jwks.json";
/// What else is asked below the server's own prefix.
pub const CONTROL_REST: &str = "/v1/stream/__ds/{*rest}";
/// The prefix itself.
pub const CONTROL: &str = "/v1/stream/__ds";

/// Everything the server holds.
pub const BACKUP: &str = "/api/backup";
/// Tokens: `POST` makes one.
pub const TOKENS: &str = "/api/tokens";
/// JSON Web Tokens that are revoked: `POST` revokes one.
pub const TOKENS_REVOKED: &str = "/api/tokens/revoked";
/// One token.
pub const TOKEN: &str = "/api/tokens/{id}";
/// A worker's token is approved.
pub const TOKEN_APPROVE: &str = "/api/tokens/{id}/approve";
/// Closes a stream.
pub const CLOSE: &str = "/api/close/{*path}";
/// Events of a stream.
pub const EVENTS: &str = "/api/events/{*path}";
/// Events of a stream as they come.
pub const FOLLOW: &str = "/api/follow/{*path}";
/// Events of several streams as they come.
pub const CHANNELS: &str = "/api/events";
/// Events of all sessions, as the clients of a coding agent know them.
pub const BUS: &str = "/event";
/// Events of the streams that one name stands for.
pub const CHANNEL: &str = "/api/channels/{name}/stream";
/// Events of a session.
pub const SESSION_EVENTS: &str = "/api/sessions/{id}/events";
/// Events of a session as they come.
pub const SESSION_STREAM: &str = "/api/sessions/{id}/stream";
/// The state of a session.
pub const STATE: &str = "/api/sessions/{id}/state";
/// What changed in it between two offsets.
pub const STATE_DIFF: &str = "/api/sessions/{id}/state/diff";
/// Which event set a value in it.
pub const BLAME: &str = "/api/sessions/{id}/blame";
/// The conversation.
pub const MESSAGES: &str = "/api/sessions/{id}/messages";
/// One message.
pub const MESSAGE: &str = "/api/sessions/{id}/messages/{mid}";
/// The calls of tools.
pub const TOOL_CALLS: &str = "/api/sessions/{id}/toolCalls";
/// What agents ask for.
pub const PERMISSIONS: &str = "/api/sessions/{id}/permissions";
/// Projections that have a route of their own, named as they are.
pub const VIEWS: [(&str, &str); 7] = [
    ("/api/sessions/{id}/terminal", "terminal"),
    ("/api/sessions/{id}/presence", "presence"),
    ("/api/sessions/{id}/agents", "agents"),
    ("/api/sessions/{id}/queue", "queue"),
    ("/api/sessions/{id}/turn", "turn"),
    ("/api/sessions/{id}/todo", "todo"),
    ("/api/sessions/{id}/diff", "diff"),
];
/// The conversation, as chat clients ask for it.
pub const CHAT_MESSAGES: &str = "/api/chat/{id}/messages";
/// Changes in files, in the same manner.
pub const CHAT_DIFF: &str = "/api/chat/{id}/diff";
/// What is to be done, in the same manner.
pub const CHAT_TASKS: &str = "/api/chat/{id}/todo";

/// Sessions: `POST` begins one.
pub const SESSIONS: &str = "/api/sessions";
/// One session.
pub const SESSION: &str = "/api/sessions/{id}";
/// Ends a session.
pub const SESSION_END: &str = "/api/sessions/{id}/end";
/// A worker has taken a session up.
pub const SESSION_READY: &str = "/api/sessions/{id}/ready";
/// Messages of a session.
pub const SESSION_MESSAGES: &str = "/api/sessions/{id}/messages";
/// Stops the turn that runs.
pub const SESSION_INTERRUPT: &str = "/api/sessions/{id}/interrupt";
/// A message that waits for its turn.
pub const SESSION_QUEUED: &str = "/api/sessions/{id}/queue/{messageId}";
/// Who looks at a session.
pub const SESSION_PRESENCE: &str = "/api/sessions/{id}/presence";
/// What is typed into a terminal of a session.
pub const SESSION_TERMINAL_INPUT: &str = "/api/sessions/{id}/terminal/input";
/// The answer to a request for permission.
pub const SESSION_PERMISSION_REPLY: &str = "/api/sessions/{id}/permissions/{permissionId}/reply";
/// Pieces of the answer of a turn.
pub const TURN_CHUNKS: &str = "/api/sessions/{id}/turns/{turnId}/chunks";
/// Ends a turn with its answer.
pub const TURN_COMPLETE: &str = "/api/sessions/{id}/turns/{turnId}/complete";
/// Ends a turn with an error.
pub const TURN_FAIL: &str = "/api/sessions/{id}/turns/{turnId}/fail";

/// Every route above but [`VIEWS`]: the router and the document of the interface are held against it.
const NAMED: &[&str] = &[
    ROOT,
    HEALTH,
    READY,
    METRICS,
    DEBUG,
    VERSION,
    OPENAPI,
    TOKENS,
    TOKENS_REVOKED,
    TOKEN,
    TOKEN_APPROVE,
    STREAMS,
    STREAM,
    PROTOCOL_STREAM,
    SUBSCRIPTION,
    SUBSCRIPTION_STREAMS,
    SUBSCRIPTION_MEMBER,
    SUBSCRIPTION_CALLBACK,
    SUBSCRIPTION_CLAIM,
    SUBSCRIPTION_ACK,
    SUBSCRIPTION_RELEASE,
    JWKS,
    CONTROL_REST,
    CONTROL,
    BACKUP,
    CLOSE,
    EVENTS,
    FOLLOW,
    CHANNELS,
    BUS,
    CHANNEL,
    SESSION_EVENTS,
    SESSION_STREAM,
    STATE,
    STATE_DIFF,
    BLAME,
    MESSAGES,
    MESSAGE,
    TOOL_CALLS,
    PERMISSIONS,
    CHAT_MESSAGES,
    CHAT_DIFF,
    CHAT_TASKS,
    SESSIONS,
    SESSION,
    SESSION_END,
    SESSION_READY,
    SESSION_MESSAGES,
    SESSION_INTERRUPT,
    SESSION_QUEUED,
    SESSION_PRESENCE,
    SESSION_TERMINAL_INPUT,
    SESSION_PERMISSION_REPLY,
    TURN_CHUNKS,
    TURN_COMPLETE,
    TURN_FAIL,
];

/// Every route of the router, some of them twice.
pub fn all() -> impl Iterator<Item = &'static str> {
    NAMED.iter().copied().chain(VIEWS.map(|(path, _)| path))
}

/// The session whose events a path names, where nothing in it has to be decoded.
#[must_use]
pub fn plain_session(path: &str) -> Option<&str> {
    let id = path.strip_prefix("/api/sessions/")?.strip_suffix("/events")?;
    (!id.is_empty() && !id.contains(['/', '%'])).then_some(id)
}

/// The stream whose events a path names by its own, where nothing in it has to be decoded.
#[must_use]
pub fn plain_events(path: &str) -> Option<&str> {
    let stream = path.strip_prefix("/api/events/")?;
    (!stream.is_empty() && !stream.contains('%')).then_some(stream)
}

/// The stream that a path of the protocol names, where nothing in it has to be decoded.
#[must_use]
pub fn plain_stream(path: &str) -> Option<&str> {
    let stream = path.strip_prefix("/v1/stream/")?;
    (!stream.is_empty() && !stream.contains('%') && !stream.starts_with("__ds")).then_some(stream)
}

/// `/api/streams/{path}`.
#[must_use]
pub fn stream(path: &str) -> String {
    format!("/api/streams/{}", escaped(path))
}

/// `/v1/stream/{path}`.
#[must_use]
pub fn protocol_stream(path: &str) -> String {
    format!("/v1/stream/{}", escaped(path))
}

/// The path of a stream out of its URL on the protocol's side, with or without a host.
#[must_use]
pub fn protocol_path(url: &str) -> Option<String> {
    let path = match url.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => url,
    };
    let escaped = path.strip_prefix("/v1/stream/")?;
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push(u8::try_from(high << 4 | low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// `/v1/stream/__ds/subscriptions/{id}/callback`.
#[must_use]
pub fn callback(id: &str) -> String {
    SUBSCRIPTION_CALLBACK.replace("{id}", &escaped(id))
}

/// `/api/close/{path}`.
#[must_use]
pub fn close(path: &str) -> String {
    format!("/api/close/{}", escaped(path))
}

/// `/api/events/{path}`.
#[must_use]
pub fn events(path: &str) -> String {
    format!("/api/events/{}", escaped(path))
}

/// `/api/follow/{path}`.
#[must_use]
pub fn follow(path: &str) -> String {
    format!("/api/follow/{}", escaped(path))
}

/// Percent-encodes what may not stand in a path as it is; slashes stay.
#[must_use]
pub fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => {
                out.push(char::from(byte));
            }
            _ => {
                out.push('%');
                for nibble in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                    out.push(digit.to_ascii_uppercase());
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_session_is_one_segment_without_escapes() {
        assert_eq!(plain_session("/api/sessions/a:b/events"), Some("a:b"));
        for path in [
            "/api/sessions//events",
            "/api/sessions/events",
            "/api/sessions/a/b/events",
            "/api/sessions/a%20b/events",
            "/api/sessions/a/events/",
            "/api/sessions/a/stream",
        ] {
            assert_eq!(plain_session(path), None, "{path}");
        }
    }

    #[test]
    fn plain_events_are_those_of_a_path_without_escapes() {
        assert_eq!(plain_events("/api/events/a/b"), Some("a/b"));
        for path in ["/api/events", "/api/events/", "/api/events/a%20b", "/api/eventsa"] {
            assert_eq!(plain_events(path), None, "{path}");
        }
    }

    #[test]
    fn a_plain_stream_is_what_stands_behind_the_prefix() {
        assert_eq!(plain_stream("/v1/stream/a/b"), Some("a/b"));
        for path in ["/v1/stream/", "/v1/stream/a%20b", "/v1/stream/__ds/a", "/v1/streams/a"] {
            assert_eq!(plain_stream(path), None, "{path}");
        }
    }

    #[test]
    fn a_stream_is_found_in_its_url() {
        for url in ["/v1/stream/a/b%20c", "http://x:1/v1/stream/a/b%20c"] {
            assert_eq!(protocol_path(url).as_deref(), Some("a/b c"));
        }
        for url in ["a", "/v2/stream/a", "http://x", "/v1/stream/%", "/v1/stream/%ff"] {
            assert_eq!(protocol_path(url), None, "{url}");
        }
    }

    #[test]
    fn a_path_is_written_so_that_it_reads_back_as_it_is() {
        assert_eq!(events("sessions/a b"), "/api/events/sessions/a%20b");
        assert_eq!(stream("x/é?#%"), "/api/streams/x/%C3%A9%3F%23%25");
    }
}
