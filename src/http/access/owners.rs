//! Which worker a session belongs to, remembered for a moment.
//!
//! A worker writes pieces by the hundred, and each asks whether the session is still its own: the
//! list of sessions, caught up each time, would fold what all others write for it. Invariant: only
//! what was true is remembered, and for no longer than [`limits::OWNER_KNOWN_FOR`].

use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use crate::limits;

/// Sessions and the workers that had them a moment ago.
#[derive(Debug)]
pub(in crate::http) struct Owners(Mutex<LruCache<String, Owner>>);

#[derive(Debug)]
struct Owner {
    worker: Arc<str>,
    seen_ms: u64,
}

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

    /// The session was the worker's at a time, or was not.
    pub(super) fn note(&self, session: &str, worker: &Arc<str>, has: bool, seen_ms: u64) {
        let mut owners = self.0.lock();
        if has {
            let owner = Owner { worker: Arc::clone(worker), seen_ms };
            owners.put(session.to_owned(), owner);
        } else if owners.peek(session).is_some_and(|owner| owner.worker == *worker) {
            owners.pop(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
