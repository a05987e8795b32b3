//! The list of sessions: what each is and how it stands, folded from all sessions in commit order.
//!
//! It refuses to know messages. Invariants: folding an event twice changes nothing, because a
//! session's events count from the offset it stands at; what is known of a session is the fold of
//! its own stream, what it inherits among it. Listing and trimming are pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Stored, View,
    projections::{Event, session::Session},
    vocabulary::{Id, KnownEvent, session::StatusKind},
};
use crate::{limits, log::Told, projection::Projection};

mod order;

/// All sessions, by their ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sessions {
    by_id: BTreeMap<String, Listed>,
    /// The same by their places, for pages of the list.
    places: BTreeSet<Place>,
    /// Those with somebody in them.
    attended: BTreeSet<String>,
}

/// A session in the list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// The epoch of its stream.
    pub epoch: u64,
    /// What it is.
    pub session: Session,
    /// The last event that was folded.
    pub offset: u64,
    /// When something other than presence happened last, Unix milliseconds.
    pub active_ms: u64,
    /// Who is there, and when they were last heard of, Unix milliseconds.
    pub present: BTreeMap<Id, u64>,
}

/// Somebody who has not been heard of for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    /// The session they are in.
    pub session: String,
    /// Who.
    pub user: Id,
    /// When they were last heard of, Unix milliseconds.
    pub heard_ms: u64,
    /// The last event of the session.
    pub offset: u64,
}

/// Which sessions are asked for. What is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// How they stand.
    pub status: Option<Standing>,
    /// The worker they belong to.
    pub worker: Option<String>,
    /// The session they were begun from.
    pub parent: Option<String>,
    /// Only those that were begun from none.
    pub roots: bool,
    /// With archived ones.
    pub archived: bool,
    /// A part of their title or id, in any case.
    pub search: Option<String>,
}

/// How a session stands, in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has not ended.
    Active,
    /// It waits for somebody.
    Idle,
    /// A turn runs, or is tried again.
    Busy,
    /// It has ended.
    Ended,
}

/// A place in the list: the newest first, those of one moment by their ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it was active last, Unix milliseconds.
    pub active_ms: u64,
    /// Its id.
    pub id: String,
}

impl Standing {
    /// Reads a status of the interface.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "active" => Self::Active,
            "idle" => Self::Idle,
            "busy" => Self::Busy,
            "ended" | "terminated" => Self::Ended,
            _ => return None,
        })
    }

    fn is_of(self, session: &Session) -> bool {
        let ended = session.ended.is_some();
        match self {
            Self::Active => !ended,
            Self::Ended => ended,
            Self::Idle => !ended && session.status.kind == StatusKind::Idle,
            Self::Busy => !ended && session.status.kind != StatusKind::Idle,
        }
    }
}

impl Listed {
    fn fold(&mut self, told: &Told) {
        // Its stream was deleted and made anew where the epoch is another one.
        if self.epoch != told.epoch {
            *self = Self { epoch: told.epoch, ..Self::default() };
        }
        let record = &told.record;
        if record.offset.0 <= self.offset {
            return;
        }
        self.offset = record.offset.0;
        let view = View::at_front(&record.payload);
        if view.channel() != "presence" {
            self.active_ms = self.active_ms.max(record.timestamp_ms);
        }
        // Most events are about messages, and need not be read for this.
        let kind = view.kind();
        let is_told =
            ["session.", "turn.", "presence."].iter().any(|front| kind.starts_with(front));
        if is_told || !self.session.exists {
            let stored = Stored {
                offset: record.offset.0,
                timestamp_ms: record.timestamp_ms,
                payload: &record.payload,
            };
            if let Some(event) = Event::read(&stored) {
                self.session.apply(&event);
                self.hear(&event, record.timestamp_ms);
            }
        }
    }

    /// Notes who is there. The time is the server's: a client's clock may be wrong.
    fn hear(&mut self, event: &Event<'_>, now_ms: u64) {
        let user = match &event.known {
            Some(KnownEvent::PresenceJoined(said)) => &said.user_id,
            Some(KnownEvent::PresenceHeartbeat(said)) => &said.user_id,
            Some(KnownEvent::PresenceCursor(said)) => &said.user_id,
            Some(KnownEvent::PresenceLeft(said)) => {
                self.present.remove(&said.user_id);
                return;
            }
            _ => return,
        };
        self.present.insert(user.clone(), now_ms);
        if self.present.len() > limits::PRESENT_USERS_MAX {
            let longest = self.present.iter().min_by_key(|(_, heard_ms)| **heard_ms);
            let longest = longest.map(|(user, _)| user.clone());
            longest.map(|user| self.present.remove(&user));
        }
    }
}

impl Asked {
    fn takes(&self, id: &str, listed: &Listed) -> bool {
        let session = &listed.session;
        let is = |asked: &Option<String>, has: Option<&str>| {
            asked.as_ref().is_none_or(|asked| has == Some(asked.as_str()))
        };
        session.exists
            && (self.archived || !session.archived)
            && self.status.is_none_or(|status| status.is_of(session))
            && is(&self.worker, session.worker.as_deref())
            && is(&self.parent, session.parent_id.as_deref())
            && (!self.roots || session.parent_id.is_none())
            && self.search.as_ref().is_none_or(|search| is_found(search, id, session))
    }
}

fn is_found(search: &str, id: &str, session: &Session) -> bool {
    let search = search.to_lowercase();
    let title = session.title.as_deref().unwrap_or_default();
    id.to_lowercase().contains(&search) || title.to_lowercase().contains(&search)
}

impl Sessions {
    /// The sessions that are asked for, after a place, up to `limit`, with their places.
    #[must_use]
    pub fn list(
        &self,
        asked: &Asked,
        after: Option<&Place>,
        limit: usize,
    ) -> Vec<(Place, &Listed)> {
        self.list_seen(asked, |_, _| true, after, limit)
    }

    /// The same of those that may be seen.
    #[must_use]
    pub fn list_seen(
        &self,
        asked: &Asked,
        sees: impl Fn(&str, &Listed) -> bool,
        after: Option<&Place>,
        limit: usize,
    ) -> Vec<(Place, &Listed)> {
        let places = match after {
            Some(after) => self.places.range(..after),
            None => self.places.range::<Place, _>(..),
        };
        let found = places.rev().filter_map(|place| {
            let listed = self.by_id.get(&place.id)?;
            let is_listed = asked.takes(&place.id, listed) && sees(&place.id, listed);
            is_listed.then(|| (place.clone(), listed))
        });
        found.take(limit).collect()
    }

    /// The ids that stay when the list is trimmed: of those that may be seen the `recent` newest and
    /// those that are pinned or shared, and whatever these were begun from (mission, E6).
    #[must_use]
    pub fn kept(&self, recent: usize, sees: impl Fn(&str, &Listed) -> bool) -> BTreeSet<String> {
        let newest = self.list_seen(&Asked::default(), &sees, None, recent);
        let newest = newest.into_iter().map(|(place, _)| place.id);
        let held = self.by_id.iter().filter(|(id, listed)| {
            let session = &listed.session;
            session.exists && (session.pinned || session.share.is_some()) && sees(id, listed)
        });
        let mut open: Vec<String> = newest.chain(held.map(|(id, _)| id.clone())).collect();
        let mut kept = BTreeSet::new();
        while let Some(id) = open.pop() {
            let parent = self.by_id.get(&id).and_then(|listed| listed.session.parent_id.as_deref());
            // A circle of parents ends here.
            if kept.insert(id.clone()) {
                open.extend(parent.map(str::to_owned));
            }
        }
        kept
    }

    /// Who has not been heard of since a moment, in all sessions, up to `limit`.
    #[must_use]
    pub fn silent_since(&self, ms: u64, limit: usize) -> Vec<Silent> {
        let attended = self.attended.iter().filter_map(|id| self.by_id.get_key_value(id));
        let present = attended.flat_map(|(id, listed)| {
            listed.present.iter().map(move |(user, heard_ms)| (id, listed, user, *heard_ms))
        });
        let silent = present.filter(|(.., heard_ms)| *heard_ms <= ms).take(limit);
        let silent = silent.map(|(id, listed, user, heard_ms)| Silent {
            session: id.clone(),
            user: user.clone(),
            heard_ms,
            offset: listed.offset,
        });
        silent.collect()
    }

    /// The worker that a session belongs to.
    #[must_use]
    pub fn worker_of(&self, id: &str) -> Option<&str> {
        self.by_id.get(id)?.session.worker.as_deref()
    }

    /// The sessions that belong to a worker, by their ids.
    #[must_use]
    pub fn of_worker(&self, worker: &str) -> Vec<String> {
        let is_own =
            |listed: &Listed| listed.session.worker.as_deref().is_some_and(|own| own == worker);
        let own = self.by_id.iter().filter(|(_, listed)| is_own(listed));
        own.map(|(id, _)| id.clone()).collect()
    }

    /// How many there are that are not deleted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_id.values().filter(|listed| listed.session.exists).count()
    }

    /// Forgets somebody whose session takes no more events, unless they were heard of since.
    pub fn forget_user(&mut self, silent: &Silent) {
        let Some(listed) = self.by_id.get_mut(&silent.session) else { return };
        if listed.offset == silent.offset {
            listed.present.remove(&silent.user);
        }
        self.note(&silent.session, None);
    }

    /// Brings the places in line with a session, which stood at another place before.
    fn note(&mut self, id: &str, before: Option<u64>) {
        let place = |active_ms| Place { active_ms, id: id.to_owned() };
        let listed = self.by_id.get(id);
        let now = listed.map(|listed| listed.active_ms);
        if before != now {
            before.map(|active_ms| self.places.remove(&place(active_ms)));
            now.map(|active_ms| self.places.insert(place(active_ms)));
        }
        let is_attended = listed.is_some_and(|listed| !listed.present.is_empty());
        if is_attended != self.attended.contains(id) {
            if is_attended {
                self.attended.insert(id.to_owned());
            } else {
                self.attended.remove(id);
            }
        }
    }

    /// Puts a session in place of what is known of it.
    fn put(&mut self, id: &str, listed: Listed) {
        let before = self.by_id.insert(id.to_owned(), listed).map(|listed| listed.active_ms);
        self.note(id, before);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        log::{Offset, Position, Record},
        projection::OrderFold as _,
    };

    fn told(id: &str, offset: u64, kind: &str, data: &serde_json::Value) -> Told {
        let event =
            json!({"id": "x", "channel": "session", "type": kind, "timestamp": 7, "data": data});
        // In the order in which events are stored.
        let payload = format!(
            r#"{{"id":"x","channel":"session","type":{},"timestamp":7,"data":{}}}"#,
            event["type"], event["data"]
        );
        let (offset, position) = (Offset(offset), Position(offset));
        let record = Record { offset, position, timestamp_ms: offset.0, payload: payload.into() };
        let path = Arc::from(format!("sessions/{id}"));
        Told { path, epoch: 1, inherited: Offset(0), record }
    }

    fn folded(all: &[Told]) -> Sessions {
        let mut sessions = Sessions::default();
        for told in all {
            sessions.fold(told);
        }
        sessions
    }

    #[test]
    fn a_list_comes_back_from_its_checkpoint_and_folding_twice_changes_nothing() {
        let events = [
            told("a", 1, "session.created", &json!({"title": "A"})),
            told("b", 1, "message.note", &json!({})),
            told("a", 2, "turn.started", &json!({"turnId": "t"})),
        ];
        let once = folded(&events);
        let twice: Vec<_> = events.iter().chain(&events[1..]).cloned().collect();
        assert_eq!(folded(&twice), once);
        assert_eq!(Sessions::load(&once.save()), Some(once.clone()));
        assert_eq!(Sessions::load(b"rubbish"), None);
        assert_eq!(once.count(), 2);
    }

    #[test]
    fn a_stream_made_anew_begins_anew_wherever_its_records_begin() {
        let old = [
            told("a", 1, "session.created", &json!({"title": "A", "pinned": true})),
            told("a", 2, "presence.joined", &json!({"userId": "ann"})),
        ];
        for offset in [1, 2, 3] {
            let new = told("a", offset, "session.updated", &json!({"title": "B"}));
            let new = Told { epoch: 2, ..new };
            let both = folded(&[old.to_vec(), vec![new.clone()]].concat());
            assert_eq!(both, folded(&[new]), "{offset}");
            assert!(both.has("sessions/a", 2) && !both.has("sessions/a", 1));
        }
    }

    #[test]
    fn what_another_list_has_of_a_session_comes_in_its_place() {
        let mut mine = folded(&[
            told("a", 1, "session.created", &json!({"title": "A"})),
            told("b", 1, "session.created", &json!({"title": "B"})),
        ]);
        let theirs = [
            told("b", 1, "session.created", &json!({"title": "C"})),
            told("b", 2, "presence.joined", &json!({"userId": "ann"})),
        ];
        mine.take("sessions/b", &mut folded(&theirs));
        let there = [&[told("a", 1, "session.created", &json!({"title": "A"}))], &theirs[..]];
        assert_eq!(mine, folded(&there.concat()));
        // What the other one does not have is forgotten, and its place with it.
        mine.take("sessions/b", &mut Sessions::default());
        assert_eq!(mine, folded(there[0]));
        assert_eq!(mine.paths(), ["sessions/a"]);
    }

    #[test]
    fn who_was_heard_of_since_is_not_forgotten() {
        let here = json!({"userId": "ann"});
        let mut sessions = folded(&[told("a", 1, "presence.joined", &here)]);
        let silent = |sessions: &Sessions| sessions.silent_since(u64::MAX, 9);
        let before = silent(&sessions);
        assert_eq!(before.len(), 1);
        sessions.fold(&told("a", 2, "presence.heartbeat", &here));
        for silent in &before {
            sessions.forget_user(silent);
        }
        let after = silent(&sessions);
        assert_eq!(after.len(), 1);
        for silent in &after {
            sessions.forget_user(silent);
        }
        assert_eq!(silent(&sessions), []);
    }

    #[test]
    fn a_circle_of_parents_is_kept_once() {
        let sessions = folded(&[
            told("a", 1, "session.created", &json!({"parentId": "b", "pinned": true})),
            told("b", 1, "session.created", &json!({"parentId": "a"})),
            told("c", 1, "session.created", &json!({})),
        ]);
        let kept: Vec<_> = sessions.kept(0, |_, _| true).into_iter().collect();
        assert_eq!(kept, ["a", "b"]);
    }
}
