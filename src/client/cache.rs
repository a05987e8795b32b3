//! States of sessions that nobody follows at the moment, to go on from. Pure: the time is handed
//! in, and what is saved are bytes.
//!
//! Invariants: there are never more than the cap; what was not used for a while goes, unless it is
//! pinned; a key says which fold its state is of, so that what another version of this library
//! has saved is not read.

use std::{fmt, num::NonZeroUsize, time::Duration};

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};

use super::{AllPinned, Session, collections::Kept, lru::Lru};
use crate::session::projections::Projections;

/// Of the keys and of what is saved. It grows when either changes.
const FORMAT: u32 = 1;
/// As many as a person has open, in tabs and beside them.
pub(super) const STATES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(29);
/// A person who has not come back in this time begins anew.
const IDLE_MAX: Duration = Duration::from_secs(20 * 60);

/// The key of a session's state: format, versions of the projections, server and session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CacheKey(String);

impl CacheKey {
    /// The key of a session, for this version of the library.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        Self(format!("{}{}", version(), session.client().url(&format!("/{}", session.path()))))
    }

    fn is_of_this_version(&self) -> bool {
        self.0.starts_with(&version())
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What every key of this version begins with.
fn version() -> String {
    let folds = Projections::versions().iter();
    let folds: Vec<_> = folds.map(|(name, version)| format!("{name}={version}")).collect();
    format!("{FORMAT}-{:08x} ", crc32c::crc32c(folds.join(" ").as_bytes()))
}

/// What was saved cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the saved states are damaged: begin with an empty cache")]
pub struct Damaged;

#[derive(Serialize, Deserialize)]
struct Saved {
    key: CacheKey,
    epoch: Option<String>,
    state: Bytes,
}

/// States by session, the least used of which goes first.
#[derive(Debug)]
pub struct StateCache {
    idle: Duration,
    states: Lru<CacheKey, Kept>,
}

impl Default for StateCache {
    /// 30 states, each for 20 minutes after its last use.
    fn default() -> Self {
        Self::new(STATES_MAX, IDLE_MAX)
    }
}

impl StateCache {
    /// So many states, each for this long after its last use.
    #[must_use]
    pub fn new(cap: NonZeroUsize, idle: Duration) -> Self {
        Self { idle, states: Lru::new(cap) }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state of a key. Looking at it is a use.
    #[must_use]
    pub fn get(&mut self, key: &CacheKey, now_ms: u64) -> Option<&Kept> {
        self.evict_idle(now_ms);
        self.states.get(key, now_ms).map(|kept| &*kept)
    }

    /// Puts a state under a key. Where there is no place left, the least used goes.
    ///
    /// # Errors
    /// All others are pinned; nothing is changed.
    pub fn put(&mut self, key: CacheKey, kept: Kept, now_ms: u64) -> Result<(), AllPinned> {
        self.evict_idle(now_ms);
        self.states.insert(key, kept, now_ms).map(drop)
    }

    /// Takes a state out.
    pub fn take(&mut self, key: &CacheKey, now_ms: u64) -> Option<Kept> {
        self.evict_idle(now_ms);
        self.states.remove(key)
    }

    /// Pins a state, so that it stays until it is unpinned as often; false where there is none.
    #[must_use]
    pub fn pin(&mut self, key: &CacheKey) -> bool {
        self.states.pin(key)
    }

    /// Takes one pin off a state.
    pub fn unpin(&mut self, key: &CacheKey) {
        self.states.unpin(key);
    }

    /// Lets those go that were not used for too long. How many did. It is also done whenever the
    /// cache is used.
    pub fn evict_idle(&mut self, now_ms: u64) -> usize {
        self.states.evict_idle(self.idle, now_ms)
    }

    /// All states as bytes, for a file or the like.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let saved: Vec<Saved> = self
            .states
            .iter()
            .filter_map(|(key, kept)| {
                let state = rmp_serde::to_vec_named(&kept.state).ok()?.into();
                Some(Saved { key: key.clone(), epoch: kept.epoch.clone(), state })
            })
            .collect();
        // Nothing in it cannot be said; what is cut short is damaged.
        let body = rmp_serde::to_vec_named(&saved).unwrap_or_default();
        let mut bytes = crc32c::crc32c(&body).to_be_bytes().to_vec();
        bytes.extend(body);
        bytes
    }

    /// Adds the states that were saved, as if they were used now and in the order of their use.
    /// Those of another version are passed over. How many came.
    ///
    /// # Errors
    /// [`Damaged`]; nothing is changed.
    pub fn load(&mut self, mut bytes: &[u8], now_ms: u64) -> Result<usize, Damaged> {
        let sum = bytes.try_get_u32().map_err(|_| Damaged)?;
        if crc32c::crc32c(bytes) != sum {
            return Err(Damaged);
        }
        let saved: Vec<Saved> = rmp_serde::from_slice(bytes).map_err(|_| Damaged)?;
        let mut states = Vec::new();
        for Saved { key, epoch, state } in saved {
            if key.is_of_this_version() {
                let state = rmp_serde::from_slice(&state).map_err(|_| Damaged)?;
                states.push((key, Kept { state, epoch }));
            }
        }
        let put = |(key, kept)| self.put(key, kept, now_ms).is_ok();
        Ok(states.into_iter().map(put).filter(|came| *came).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Client, Event};

    fn key(id: &str) -> CacheKey {
        CacheKey::of(&Client::new("http://127.0.0.1:1").unwrap().session(id))
    }

    fn kept(text: &str) -> Kept {
        let event = Event::read(format!(
            r#"{{"offset":7,"id":"e","channel":"message","type":"message.created","timestamp":1,"data":{{"messageId":"m","role":"user","content":"{text}"}}}}"#
        ));
        let mut kept = Kept { epoch: Some("e1".to_owned()), ..Kept::default() };
        event.unwrap().fold_into(&mut kept.state);
        kept
    }

    #[test]
    fn what_is_saved_comes_back_in_the_order_of_its_use() {
        let mut cache = StateCache::default();
        for (now, id) in (0..).zip(["a", "b", "c"]) {
            cache.put(key(id), kept(id), now).unwrap();
        }
        assert_eq!(cache.get(&key("a"), 5), Some(&kept("a")));
        let mut loaded = StateCache::new(NonZeroUsize::new(2).unwrap(), IDLE_MAX);
        assert_eq!(loaded.load(&cache.save(), 9), Ok(3));
        assert_eq!(loaded.len(), 2);
        assert_eq!(loaded.take(&key("b"), 9), None);
        assert_eq!(loaded.take(&key("c"), 9), Some(kept("c")));
        assert_eq!(loaded.take(&key("a"), 9), Some(kept("a")));
        assert!(loaded.is_empty());
    }

    #[test]
    fn what_another_version_has_saved_is_passed_over() {
        let mut cache = StateCache::default();
        let session = key("a").to_string().split_once(' ').unwrap().1.to_owned();
        assert_eq!(session, "http://127.0.0.1:1/sessions/a");
        for other in [format!("0-{session}"), format!("1-00000000 {session}"), session] {
            cache.put(CacheKey(other), kept("a"), 0).unwrap();
        }
        cache.put(key("a"), kept("mine"), 0).unwrap();
        let mut loaded = StateCache::default();
        assert_eq!(loaded.load(&cache.save(), 0), Ok(1));
        assert_eq!(loaded.get(&key("a"), 0), Some(&kept("mine")));
    }

    #[test]
    fn what_is_damaged_is_refused_whole() {
        let mut cache = StateCache::default();
        cache.put(key("a"), kept("a"), 0).unwrap();
        let saved = cache.save();
        for place in 0..saved.len() {
            let mut damaged = saved.clone();
            damaged[place] ^= 1;
            assert_eq!(cache.load(&damaged, 0), Err(Damaged), "byte {place}");
            assert_eq!(cache.load(&saved[..place], 0), Err(Damaged), "{place} bytes");
        }
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn what_nobody_uses_for_twenty_minutes_goes_unless_it_is_pinned() {
        let mut cache = StateCache::default();
        cache.put(key("a"), kept("a"), 0).unwrap();
        cache.put(key("b"), kept("b"), 0).unwrap();
        assert!(cache.pin(&key("b")) && !cache.pin(&key("c")));
        let minutes = |n: u64| n * 60_000;
        assert!(cache.get(&key("a"), minutes(19)).is_some());
        assert!(cache.get(&key("a"), minutes(38)).is_some());
        assert_eq!(cache.evict_idle(minutes(57)), 0);
        assert_eq!(cache.evict_idle(minutes(58)), 1);
        assert_eq!((cache.len(), cache.get(&key("a"), minutes(58))), (1, None));
        cache.unpin(&key("b"));
        assert_eq!((cache.evict_idle(minutes(58)), cache.is_empty()), (1, true));
    }
}
