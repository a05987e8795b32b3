//! What records claim beyond what they tell: who wrote them, and whose a session is. Pure.
//!
//! It refuses to know tokens. Invariant: a record claims what those see who fold it, however it is
//! written: it is read as they read it.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use super::{Stored, projections::Event, vocabulary::KnownEvent};

/// Whether a record gives a session of this worker away: to another worker, or to none by beginning
/// it anew.
#[must_use]
pub fn gives_away(payload: &[u8], worker: &str) -> bool {
    let stored = Stored { offset: 1, timestamp_ms: 0, payload };
    match Event::read(&stored).and_then(|event| event.known) {
        Some(KnownEvent::SessionCreated(created)) => created.0.worker.as_deref() != Some(worker),
        Some(KnownEvent::SessionUpdated(updated)) => {
            updated.0.worker.as_deref().is_some_and(|other| other != worker)
        }
        _ => false,
    }
}

/// Whether a record names another actor than this one, which is given as JSON.
#[must_use]
pub fn names_another(payload: &[u8], actor: &str) -> bool {
    let Ok(actor) = serde_json::from_str::<Value>(actor) else { return true };
    match serde_json::from_slice::<Actors>(payload) {
        Ok(named) => named.0.iter().any(|named| *named != actor),
        // An object that cannot be looked through may name anybody; other values name nobody.
        Err(_) => payload.trim_ascii_start().starts_with(b"{"),
    }
}

/// Every `actor` of an envelope: of two, readers may take either.
struct Actors(Vec<Value>);

impl<'de> Deserialize<'de> for Actors {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ActorsVisitor;
        impl<'de> Visitor<'de> for ActorsVisitor {
            type Value = Actors;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Actors, A::Error> {
                let mut actors = Vec::new();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if key == "actor" {
                        actors.push(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Actors(actors))
            }
        }
        from.deserialize_map(ActorsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: &str) -> Vec<u8> {
        let text = format!(
            r#"{{"id":"1","channel":"session","type":"{kind}","timestamp":1,"data":{data}}}"#
        );
        text.into_bytes()
    }

    #[test]
    fn a_session_is_given_away_by_whatever_readers_take_for_its_worker() {
        for (kind, data, expected) in [
            ("session.updated", r#"{"title":"x"}"#, false),
            ("session.updated", r#"{"worker":"w1"}"#, false),
            ("session.updated", r#"{"worker":"w2"}"#, true),
            ("session.updated", r#"{"workerId":"w2"}"#, true),
            ("session.updated", r#"{"info":{"worker":"w2"}}"#, true),
            ("session.updated", r#"{"info":{"worker":"w1"}}"#, false),
            ("session.created", r#"{"worker":"w1"}"#, false),
            ("session.created", r#"{"worker":"w2"}"#, true),
            ("session.created", "{}", true),
            ("session.ended", r#"{"worker":"w2"}"#, false),
            ("message.note", r#"{"worker":"w2"}"#, false),
        ] {
            assert_eq!(gives_away(&event(kind, data), "w1"), expected, "{kind} {data}");
        }
        // A type may be written in many ways, and stand anywhere.
        let other = br#"{"data":{"worker":"w2"},"type":"session\u002eupdated","timestamp":1,"channel":"session","id":"1"}"#;
        assert!(gives_away(other, "w1"));
        assert!(!gives_away(b"[1]", "w1") && !gives_away(b"rubbish", "w1"));
    }

    #[test]
    fn every_actor_of_a_record_is_the_one_it_may_name() {
        let actor = r#"{"kind":"user","id":"u1"}"#;
        for (record, expected) in [
            (r#"{"channel":"c"}"#, false),
            (r#"{"actor":{"id":"u1", "kind":"user"}}"#, false),
            (r#"{"actor":{"kind":"user","id":"u2"}}"#, true),
            (r#"{"actor":{"kind":"user","id":"u1","more":1}}"#, true),
            (r#"{"actor":null}"#, true),
            (r#"{"actor":{"kind":"user","id":"u1"},"actor":{}}"#, true),
            (r#"{"\u0061ctor":{}}"#, true),
            (r#"{"data":{"actor":{}}}"#, false),
            (&format!(r#"{{"actor":{}}}"#, "[".repeat(500) + &"]".repeat(500)), true),
            ("[{}]", false),
            ("7", false),
        ] {
            assert_eq!(names_another(record.as_bytes(), actor), expected, "{record}");
        }
    }
}
