//! Every request that there is, with what it needs.

use scrollback::wire::paths;

use self::Need::{Any, OwnToken, Public, Read, Server, Subscription, Write};
use super::EVENT;

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing.
    Public,
    /// A token of the subscription, and none of the server's.
    OwnToken,
    /// Any token: what is shown depends on it.
    Any,
    /// To read the session.
    Read,
    /// To write in it.
    Write,
    /// This right on this resource of the server's own.
    Server(&'static str),
    /// This right on the subscription.
    Subscription(&'static str),
}

/// Route, method, request, body, need.
pub(super) type Row = (&'static str, &'static str, &'static str, &'static str, Need);

const TOKENS: &str = "admin:__server/tokens";
const TOKEN: &str = r#"{"scopes":["read:a"]}"#;
const JTI: &str = r#"{"jti":"a"}"#;
const TURN: &str = r#"{"text":"x"}"#;
const FAIL: &str = r#"{"error":{"message":"x"}}"#;
pub(super) const SUBSCRIPTION: &str =
    r#"{"type":"pull-wake","wake_stream":"wakes","pattern":"sessions/*"}"#;
const WAKE: &str = r#"{"wake_id":"w","generation":1}"#;

/// All of them.
pub(super) fn rows() -> Vec<Row> {
    [streams(), reads(), views(), commands(), protocol(), subscriptions()].concat()
}

fn streams() -> Vec<Row> {
    vec![
        (paths::ROOT, "GET", "/", "", Public),
        (paths::HEALTH, "GET", "/healthz", "", Public),
        (paths::READY, "GET", "/readyz", "", Public),
        (paths::VERSION, "GET", "/version", "", Public),
        (paths::OPENAPI, "GET", "/openapi.json", "", Public),
        (paths::DEBUG, "GET", "/debug", "", Server("admin:__server/debug")),
        (paths::METRICS, "GET", "/metrics", "", Server("read:__server/metrics")),
        (paths::BACKUP, "GET", "/api/backup", "", Server("admin:__server/backup")),
        (paths::TOKENS, "GET", "/api/tokens", "", Server(TOKENS)),
        (paths::TOKENS, "POST", "/api/tokens", TOKEN, Server(TOKENS)),
        (paths::TOKENS_REVOKED, "GET", "/api/tokens/revoked", "", Server(TOKENS)),
        (paths::TOKENS_REVOKED, "POST", "/api/tokens/revoked", JTI, Server(TOKENS)),
        (paths::TOKEN, "DELETE", "/api/tokens/tok_1", "", Server(TOKENS)),
        (paths::TOKEN_APPROVE, "POST", "/api/tokens/tok_1/approve", "", Server(TOKENS)),
        (paths::STREAMS, "GET", "/api/streams", "", Any),
        (paths::STREAMS, "POST", "/api/streams?sessionId=s", EVENT, Write),
        (paths::STREAM, "GET", "/api/streams/sessions/s", "", Read),
        (paths::STREAM, "PUT", "/api/streams/sessions/s", "", Write),
        (paths::STREAM, "DELETE", "/api/streams/sessions/s", "", Write),
        (paths::CLOSE, "POST", "/api/close/sessions/s", "", Write),
        (paths::EVENTS, "GET", "/api/events/sessions/s", "", Read),
        (paths::EVENTS, "POST", "/api/events/sessions/s", EVENT, Write),
        (paths::FOLLOW, "GET", "/api/follow/sessions/s?live=false", "", Read),
        (paths::CHANNELS, "GET", "/api/events?channels=*&live=false", "", Any),
        (paths::CHANNEL, "GET", "/api/channels/session:s/stream?live=false", "", Any),
        (paths::BUS, "GET", "/event?live=false", "", Any),
    ]
}

fn reads() -> Vec<Row> {
    vec![
        (paths::SESSION_EVENTS, "GET", "/api/sessions/s/events", "", Read),
        (paths::SESSION_EVENTS, "POST", "/api/sessions/s/events", EVENT, Write),
        (paths::SESSION_STREAM, "GET", "/api/sessions/s/stream?live=false&snapshot=1", "", Read),
        (paths::STATE, "GET", "/api/sessions/s/state?at=1", "", Read),
        (paths::STATE_DIFF, "GET", "/api/sessions/s/state/diff?from=0&to=1", "", Read),
        (paths::BLAME, "GET", "/api/sessions/s/blame?pointer=/session/title", "", Read),
        (paths::MESSAGES, "GET", "/api/sessions/s/messages", "", Read),
        (paths::MESSAGE, "GET", "/api/sessions/s/messages/m", "", Read),
        (paths::TOOL_CALLS, "GET", "/api/sessions/s/toolCalls", "", Read),
        (paths::PERMISSIONS, "GET", "/api/sessions/s/permissions", "", Read),
        (paths::CHAT_MESSAGES, "GET", "/api/chat/s/messages", "", Read),
        (paths::CHAT_DIFF, "GET", "/api/chat/s/diff", "", Read),
        (paths::CHAT_TASKS, "GET", "/api/chat/s/todo", "", Read),
    ]
}

fn views() -> Vec<Row> {
    paths::VIEWS
        .map(|(route, _)| {
            let uri = match route {
                "/api/sessions/{id}/terminal" => "/api/sessions/s/terminal",
                "/api/sessions/{id}/presence" => "/api/sessions/s/presence",
                "/api/sessions/{id}/agents" => "/api/sessions/s/agents",
                "/api/sessions/{id}/queue" => "/api/sessions/s/queue",
                "/api/sessions/{id}/turn" => "/api/sessions/s/turn",
                "/api/sessions/{id}/todo" => "/api/sessions/s/todo",
                _ => "/api/sessions/s/diff",
            };
            (route, "GET", uri, "", Read)
        })
        .into()
}

fn commands() -> Vec<Row> {
    vec![
        (paths::SESSIONS, "GET", "/api/sessions", "", Any),
        (paths::SESSIONS, "POST", "/api/sessions", r#"{"id":"s"}"#, Write),
        (paths::SESSION, "PATCH", "/api/sessions/s", r#"{"title":"t"}"#, Write),
        (paths::SESSION, "DELETE", "/api/sessions/s", "", Write),
        (paths::SESSION_END, "POST", "/api/sessions/s/end", "", Write),
        (paths::SESSION_READY, "POST", "/api/sessions/s/ready", "", Write),
        (paths::SESSION_MESSAGES, "POST", "/api/sessions/s/messages", TURN, Write),
        (paths::SESSION_INTERRUPT, "POST", "/api/sessions/s/interrupt", "", Write),
        (paths::SESSION_QUEUED, "DELETE", "/api/sessions/s/queue/m", "", Write),
        (paths::SESSION_PRESENCE, "POST", "/api/sessions/s/presence", r#"{"userId":"u"}"#, Write),
        (
            paths::SESSION_TERMINAL_INPUT,
            "POST",
            "/api/sessions/s/terminal/input",
            r#"{"data":"ls"}"#,
            Write,
        ),
        (
            paths::SESSION_PERMISSION_REPLY,
            "POST",
            "/api/sessions/s/permissions/p/reply",
            r#"{"reply":"once"}"#,
            Write,
        ),
        (paths::TURN_CHUNKS, "POST", "/api/sessions/s/turns/t/chunks", TURN, Write),
        (paths::TURN_COMPLETE, "POST", "/api/sessions/s/turns/t/complete", "", Write),
        (paths::TURN_FAIL, "POST", "/api/sessions/s/turns/t/fail", FAIL, Write),
    ]
}

fn protocol() -> Vec<Row> {
    vec![
        (paths::PROTOCOL_STREAM, "GET", "/v1/stream/sessions/s", "", Read),
        (paths::PROTOCOL_STREAM, "PUT", "/v1/stream/sessions/s", "", Write),
        (paths::PROTOCOL_STREAM, "POST", "/v1/stream/sessions/s", EVENT, Write),
        (paths::PROTOCOL_STREAM, "DELETE", "/v1/stream/sessions/s", "", Write),
        (paths::JWKS, "GET", "/v1/stream/__ds/jwks.json", "", Public),
    ]
}

fn subscriptions() -> Vec<Row> {
    let admin = Subscription("admin");
    let below = "/v1/stream/__ds/subscriptions/a";
    let rest: [(&'static str, &'static str, &str, &'static str, Need); 9] = [
        (paths::SUBSCRIPTION, "PUT", "", SUBSCRIPTION, admin),
        (paths::SUBSCRIPTION, "GET", "", "", Subscription("read")),
        (paths::SUBSCRIPTION, "DELETE", "", "", admin),
        (paths::SUBSCRIPTION_STREAMS, "POST", "/streams", r#"{"streams":["x"]}"#, admin),
        (paths::SUBSCRIPTION_MEMBER, "DELETE", "/streams/x", "", admin),
        (paths::SUBSCRIPTION_CLAIM, "POST", "/claim", r#"{"worker":"w"}"#, Subscription("write")),
        (paths::SUBSCRIPTION_CALLBACK, "POST", "/callback", WAKE, OwnToken),
        (paths::SUBSCRIPTION_ACK, "POST", "/ack", WAKE, OwnToken),
        (paths::SUBSCRIPTION_RELEASE, "POST", "/release", WAKE, OwnToken),
    ];
    let uris = ["", "/streams", "/streams/x", "/claim", "/callback", "/ack", "/release"]
        .map(|end| (end, &*Box::leak(format!("{below}{end}").into_boxed_str())));
    let uri = |end: &str| uris.iter().find(|(known, _)| *known == end).unwrap().1;
    rest.map(|(route, method, end, body, need)| (route, method, uri(end), body, need)).into()
}
