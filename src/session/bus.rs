//! Events as a coding agent's clients know them: `{"type", "properties"}`, of all sessions on one
//! bus (mission, E1). Pure.
//!
//! Invariant: what a session's event says passes through as it came; the session it is of stands
//! in its properties, and the status that a turn's beginning and end mean follows it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The first event on a bus.
pub const CONNECTED: &[u8] = br#"{"type":"server.connected","properties":{}}"#;
/// The event on a quiet one.
pub const HEARTBEAT: &[u8] = br#"{"type":"server.heartbeat","properties":{}}"#;

/// What of a stored event is on the bus.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// The events that stand on the bus for a stored record: none where it has no envelope, two where
/// a status follows it.
#[must_use]
pub fn events(path: &str, payload: &[u8]) -> Vec<Vec<u8>> {
    let Ok(said) = serde_json::from_slice::<Said<'_>>(payload) else { return Vec::new() };
    let session = path.strip_prefix("sessions/");
    // A type that says no more than its channel is not one that these clients know.
    if said.kind == said.channel {
        return Vec::new();
    }
    let mut events = vec![event(&said.kind, session, said.data.map_or("{}", RawValue::get))];
    let status = session.and(status_after(&said.kind));
    events.extend(status.map(|status| {
        let properties = format!(r#"{{"status":{{"type":"{status}"}}}}"#);
        event("session.status", session, &properties)
    }));
    events
}

/// What a session does after an event of its turns.
fn status_after(kind: &str) -> Option<&'static str> {
    match kind {
        "turn.started" => Some("busy"),
        "turn.completed" | "turn.interrupted" | "turn.failed" => Some("idle"),
        _ => None,
    }
}

fn event(kind: &str, session: Option<&str>, data: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 96);
    out.extend_from_slice(b"{\"type\":");
    push_text(&mut out, kind);
    out.extend_from_slice(b",\"properties\":{");
    let fields = fields_of(data);
    // One that names its session itself is left as it is.
    let session = session.filter(|_| !has_session(data));
    if let Some(session) = session {
        out.extend_from_slice(b"\"sessionID\":");
        push_text(&mut out, session);
    }
    if let Some(fields) = fields {
        if session.is_some() && !fields.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(fields.as_bytes());
    } else {
        if session.is_some() {
            out.push(b',');
        }
        out.extend_from_slice(b"\"value\":");
        out.extend_from_slice(data.as_bytes());
    }
    out.extend_from_slice(b"}}");
    out
}

/// What stands between the braces of an object.
fn fields_of(data: &str) -> Option<&str> {
    let inner = data.trim().strip_prefix('{')?.strip_suffix('}')?;
    Some(inner.trim())
}

fn has_session(data: &str) -> bool {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "sessionID")]
        session: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_str::<Named>(data).is_ok_and(|named| named.session.is_some())
}

/// A text as JSON, which can say every text.
fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&serde_json::to_vec(text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn shown(path: &str, kind: &str, data: &str) -> Vec<String> {
        let payload = format!(
            r#"{{"id":"1","channel":"session","type":"{kind}","timestamp":1,"data":{data}}}"#
        );
        let events = events(path, payload.as_bytes());
        let text = |event: Vec<u8>| {
            serde_json::from_slice::<Value>(&event).unwrap();
            String::from_utf8(event).unwrap()
        };
        events.into_iter().map(text).collect()
    }

    #[test]
    fn an_event_stands_on_the_bus_as_it_came_with_its_session() {
        let part = r#"{ "part" : {"id":"p"}, "delta":"x" }"#;
        assert_eq!(
            shown("sessions/s", "message.part.updated", part),
            [
                r#"{"type":"message.part.updated","properties":{"sessionID":"s","part" : {"id":"p"}, "delta":"x"}}"#
            ]
        );
        assert_eq!(
            shown("sessions/s", "permission.asked", r#"{"sessionID":"other"}"#),
            [r#"{"type":"permission.asked","properties":{"sessionID":"other"}}"#]
        );
        for (path, data, expected) in [
            ("sessions/s", "{}", r#"{"sessionID":"s"}"#),
            ("sessions/s", "7", r#"{"sessionID":"s","value":7}"#),
            ("sessions/s", "null", r#"{"sessionID":"s"}"#),
            ("config/ai", r#"{"model":"m"}"#, r#"{"model":"m"}"#),
            ("config/ai", "[1]", r#"{"value":[1]}"#),
        ] {
            let event = format!(r#"{{"type":"a.b","properties":{expected}}}"#);
            assert_eq!(shown(path, "a.b", data), [event]);
        }
    }

    #[test]
    fn the_status_follows_the_beginning_and_the_end_of_a_turn() {
        let started = shown("sessions/s", "turn.started", r#"{"turnId":"t"}"#);
        let busy =
            r#"{"type":"session.status","properties":{"sessionID":"s","status":{"type":"busy"}}}"#;
        assert_eq!((started.len(), started[1].as_str()), (2, busy));
        for kind in ["turn.completed", "turn.interrupted", "turn.failed"] {
            let ended = shown("sessions/s", kind, r#"{"turnId":"t"}"#);
            assert!(ended[1].contains(r#"{"type":"idle"}"#), "{ended:?}");
        }
    }

    #[test]
    fn what_has_no_type_of_its_own_is_not_on_the_bus() {
        assert!(shown("sessions/s", "session", "{}").is_empty());
        assert!(events("sessions/s", b"[1,2]").is_empty());
    }
}
