//! Which worker a session belongs to, remembered for a moment.
//!
//! A worker writes pieces by the hundred, and each asks whether the session is still its own: the
//! list of sessions, caught up each time, would fold what all others write for it. Invariant: only
//! what was true is remembered: with a time, for no longer than [`limits::OWNER_KNOWN_FOR`], or with a
//! place in the session, from which whoever writes reads on.

use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use crate::{limits, log::Offset};

/// Sessions and the workers that had them a moment ago.
#[derive(Debug)]
pub(in crate::http) struct Owners(Mutex<LruCache<String, Owner>>);

#[derive(Debug)]
struct Owner {
    worker: Arc<str>,
    seen_ms: u64,
    /// Epoch of the session's stream, and an offset at which it was the worker's.
    place: Option<Place>,
}

/// Epoch of a stream, and an offset in it.
type Place = (u64, Offset);

impl Default for Owners {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(limits::OWNERS_KNOWN_MAX)))
    }
}

impl Owners {
    /// The session was the worker's a moment ago.
    pub(super) fn has(&self, session: &str, worker: &str, now_ms: u64) -> bool {
        let known_for = u64::try_from(limits::OWNER_KNOWN_FOR.as_millis()).unwrap_or(0);
        let mut owners = self.0.lock();
        owners.get(session).is_some_and(|owner| {
            // A clock that was set back says nothing of how long ago it was.
            let age = now_ms.checked_sub(owner.seen_ms);
            &*owner.worker == worker && age.is_some_and(|age| age < known_for)
        })
    }

    /// A place at which the session was the worker's.
    pub(super) fn place(&self, session: &str, worker: &str) -> Option<Place> {
        let mut owners = self.0.lock();
        owners.get(session).filter(|owner| &*owner.worker == worker)?.place
    }

    /// The session was the worker's at a place and a time.
    pub(super) fn note_place(&self, session: &str, worker: &Arc<str>, place: Place, seen_ms: u64) {
        let owner = Owner { worker: Arc::clone(worker), seen_ms, place: Some(place) };
        self.0.lock().put(session.to_owned(), owner);
    }

    /// The session was the worker's at a time, or was not.
    pub(super) fn note(&self, session: &str, worker: &Arc<str>, has: bool, seen_ms: u64) {
        let mut owners = self.0.lock();
        if has {
            let before = owners.peek(session).filter(|owner| owner.worker == *worker);
            let place = before.and_then(|owner| owner.place);
            owners.put(session.to_owned(), Owner { worker: Arc::clone(worker), seen_ms, place });
        } else if owners.peek(session).is_some_and(|owner| owner.worker == *worker) {
            owners.pop(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_that_of_the_worker_who_has_the_session() {
        let (owners, w1) = (Owners::default(), Arc::from("w1"));
        owners.note_place("s", &w1, (7, Offset(3)), 5_000);
        assert_eq!(owners.place("s", "w1"), Some((7, Offset(3))));
        owners.note("s", &w1, true, 6_000);
        assert_eq!(owners.place("s", "w1"), Some((7, Offset(3))), "a look keeps it");
        assert_eq!(owners.place("s", "w2"), None);
        owners.note("s", &Arc::from("w2"), true, 6_000);
        assert_eq!((owners.place("s", "w1"), owners.place("s", "w2")), (None, None));
    }

    #[test]
    fn what_was_seen_counts_for_a_moment_and_for_that_worker_only() {
        let (owners, w1) = (Owners::default(), Arc::from("w1"));
        assert!(!owners.has("s", "w1", 5_000));
        owners.note("s", &w1, true, 5_000);
        assert!(owners.has("s", "w1", 5_000) && owners.has("s", "w1", 5_999));
        assert!(!owners.has("s", "w1", 6_000), "a moment is over");
        assert!(!owners.has("s", "w1", 4_999), "the clock was set back");
        assert!(!owners.has("s", "w2", 5_000) && !owners.has("t", "w1", 5_000));
        owners.note("s", &Arc::from("w2"), false, 5_001);
        assert!(owners.has("s", "w1", 5_001), "that it is not another's says nothing of this one");
        owners.note("s", &w1, false, 5_002);
        assert!(!owners.has("s", "w1", 5_002));
    }
}
