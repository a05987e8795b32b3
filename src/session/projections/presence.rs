//! Who is there: users with their cursors, in the order in which they came.
//!
//! It refuses to know what time it is. Invariant: a user goes by an event only; who is not heard
//! of for half a minute is made to leave by whoever keeps the session.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::{
    Event,
    keyed::{Keyed, Named},
    merge::{keep_other, set},
};
use crate::{
    limits,
    projection::Projection,
    session::vocabulary::{Id, KnownEvent},
};

/// Somebody who is there.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Present {
    /// The user.
    pub user_id: Id,
    /// Their name.
    pub name: Option<String>,
    /// The colour they are shown in.
    pub color: Option<String>,
    /// Where they point.
    pub cursor: Option<Map<String, Value>>,
    /// When they came, Unix milliseconds.
    pub joined_at: u64,
    /// When they were last heard of, Unix milliseconds.
    pub last_seen_at: u64,
    /// The event they came with.
    pub offset: u64,
    /// The event they were last heard of in.
    pub updated_offset: u64,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Fields of ours that a writer may use for something else.
const OWN: &[&str] = &["cursor", "joinedAt", "lastSeenAt"];

impl Named for Present {
    type Key = Id;

    fn key(&self) -> Id {
        self.user_id.clone()
    }
}

/// Who is there: an array.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Presence {
    users: Keyed<Present>,
}

impl Projection for Presence {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "presence";
    const VERSION: u32 = 1;

    fn apply(&mut self, event: &Event<'_>) {
        match &event.known {
            Some(KnownEvent::PresenceJoined(said)) => self.seen(event, &said.user_id, |user| {
                set(&mut user.name, said.name.as_ref());
                set(&mut user.color, said.color.as_ref());
                keep_other(&mut user.other, &said.other, OWN);
            }),
            Some(KnownEvent::PresenceHeartbeat(said)) => self.seen(event, &said.user_id, |user| {
                set(&mut user.name, said.name.as_ref());
            }),
            Some(KnownEvent::PresenceCursor(said)) => self.seen(event, &said.user_id, |user| {
                user.cursor = Some(said.cursor.clone());
            }),
            Some(KnownEvent::PresenceLeft(said)) => drop(self.users.remove(&said.user_id)),
            _ => {}
        }
    }
}

impl Presence {
    /// The users, in the order in which they came.
    #[must_use]
    pub fn users(&self) -> &Keyed<Present> {
        &self.users
    }

    fn seen(&mut self, event: &Event<'_>, id: &Id, change: impl FnOnce(&mut Present)) {
        let user = self.users.entry(id, || Present {
            user_id: id.clone(),
            name: None,
            color: None,
            cursor: None,
            joined_at: event.timestamp_ms,
            last_seen_at: event.timestamp_ms,
            offset: event.offset,
            updated_offset: event.offset,
            other: Map::new(),
        });
        user.last_seen_at = event.timestamp_ms;
        user.updated_offset = event.offset;
        change(user);
        self.users.trim(limits::PRESENT_USERS_MAX, |user| user.updated_offset);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::session::projections::testing::{fold, text_of};

    #[test]
    fn users_come_move_and_go() {
        let presence: Presence = fold(&[
            ("presence.joined", json!({"userId": "u1", "name": "Mara", "color": "teal", "tab": 2})),
            ("presence.joined", json!({"userId": "u2"})),
            ("presence.cursor", json!({"userId": "u1", "cursor": {"x": 1, "y": 2}})),
            ("presence.heartbeat", json!({"userId": "u3", "name": "Tomek"})),
            ("presence.left", json!({"userId": "u2", "reason": "timeout"})),
            ("presence.heartbeat", json!({"userId": "u1"})),
        ]);
        insta::assert_snapshot!(text_of(&presence), @r#"
        {"color":"teal","cursor":{"x":1,"y":2},"joinedAt":1000,"lastSeenAt":6000,"name":"Mara","offset":1,"tab":2,"updatedOffset":6,"userId":"u1"}
        {"joinedAt":4000,"lastSeenAt":4000,"name":"Tomek","offset":4,"updatedOffset":4,"userId":"u3"}
        "#);
    }

    #[test]
    fn beyond_the_bound_the_user_not_heard_of_for_longest_goes() {
        let max = limits::PRESENT_USERS_MAX;
        let mut events: Vec<_> =
            (0..max).map(|n| ("presence.joined", json!({"userId": format!("u{n}")}))).collect();
        events.push(("presence.heartbeat", json!({"userId": "u0"})));
        events.push(("presence.joined", json!({"userId": "late"})));
        let presence: Presence = fold(&events);
        let there = |id: &str| presence.users().get(&Id::new(id).unwrap()).is_some();
        assert_eq!(presence.users().len(), max);
        assert!(there("u0") && there("late") && !there("u1"));
    }
}
