//! A few things under keys, of which the least used goes when there are too many. Pure: the time
//! is handed in.
//!
//! It refuses to know what is kept. Invariants: there are never more than the cap; what is pinned
//! stays until it is unpinned or taken out by its key.

use std::{hash::Hash, num::NonZeroUsize, time::Duration};

use lru::LruCache;

/// All places are taken by what is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all {cap} places are pinned: unpin one, or allow more")]
pub struct AllPinned {
    /// How many places there are.
    pub cap: usize,
}

#[derive(Debug)]
struct Place<V> {
    value: V,
    pins: usize,
    used_ms: u64,
}

/// Values under keys, in the order of their last use.
#[derive(Debug)]
pub(super) struct Lru<K: Hash + Eq, V> {
    cap: NonZeroUsize,
    places: LruCache<K, Place<V>>,
}

impl<K: Hash + Eq + Clone, V> Lru<K, V> {
    pub(super) fn new(cap: NonZeroUsize) -> Self {
        Self { cap, places: LruCache::sparse(cap) }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The value of a key, used now.
    pub(super) fn get(&mut self, key: &K, now_ms: u64) -> Option<&mut V> {
        let place = self.places.get_mut(key)?;
        place.used_ms = now_ms;
        Some(&mut place.value)
    }

    /// Makes room for one more: the least used goes that is not pinned, where all places are taken.
    pub(super) fn make_room(&mut self) -> Result<Option<(K, V)>, AllPinned> {
        if self.places.len() < self.cap.get() {
            return Ok(None);
        }
        let mut oldest_first = self.places.iter().rev();
        let loose = oldest_first.find(|(_, place)| place.pins == 0).map(|(key, _)| key.clone());
        let gone = loose.and_then(|key| self.places.pop_entry(&key));
        let gone = gone.ok_or(AllPinned { cap: self.cap.get() })?;
        Ok(Some((gone.0, gone.1.value)))
    }

    /// Puts a value under a key, used now; the pins of the one before stay. What went in its place
    /// is given back: the value before under its key, or else the least used.
    pub(super) fn insert(
        &mut self,
        key: K,
        value: V,
        now_ms: u64,
    ) -> Result<Option<(K, V)>, AllPinned> {
        if let Some(place) = self.places.get_mut(&key) {
            place.used_ms = now_ms;
            return Ok(Some((key, std::mem::replace(&mut place.value, value))));
        }
        let gone = self.make_room()?;
        self.places.put(key, Place { value, pins: 0, used_ms: now_ms });
        Ok(gone)
    }

    /// Pins what is there once more; false where nothing is.
    pub(super) fn pin(&mut self, key: &K) -> bool {
        let place = self.places.peek_mut(key);
        place.map(|place| place.pins = place.pins.saturating_add(1)).is_some()
    }

    /// Takes one pin off.
    pub(super) fn unpin(&mut self, key: &K) {
        if let Some(place) = self.places.peek_mut(key) {
            place.pins = place.pins.saturating_sub(1);
        }
    }

    pub(super) fn is_pinned(&self, key: &K) -> bool {
        self.places.peek(key).is_some_and(|place| place.pins > 0)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.places.pop(key).map(|place| place.value)
    }

    /// Lets all go that were not used for so long and are not pinned. How many did.
    pub(super) fn evict_idle(&mut self, idle: Duration, now_ms: u64) -> usize {
        let before = self.places.len();
        let idle_ms = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        self.places
            .retain(|_, place| place.pins > 0 || now_ms.saturating_sub(place.used_ms) < idle_ms);
        before.saturating_sub(self.places.len())
    }

    /// All of them, the least used first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.places.iter().rev().map(|(key, place)| (key, &place.value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Get(u8),
        Insert(u8),
        Pin(u8),
        Unpin(u8),
        Remove(u8),
        Idle,
    }

    fn op() -> impl Strategy<Value = Op> {
        (0..6_u8, 0..7_u8).prop_map(|(op, key)| match op {
            0 => Op::Get(key),
            1 | 2 => Op::Insert(key),
            3 => Op::Pin(key),
            4 => Op::Unpin(key),
            _ if key < 5 => Op::Remove(key),
            _ => Op::Idle,
        })
    }

    /// The same as a list that is searched: key, value, pins, last use; the least used first.
    #[derive(Default)]
    struct Model(Vec<(u8, usize, usize, u64)>);

    impl Model {
        fn at(&self, key: u8) -> Option<usize> {
            self.0.iter().position(|place| place.0 == key)
        }

        fn use_it(&mut self, key: u8, now: u64) -> Option<usize> {
            let mut place = self.0.remove(self.at(key)?);
            place.3 = now;
            self.0.push(place);
            Some(place.1)
        }

        fn insert(&mut self, key: u8, value: usize, now: u64) -> Result<Option<(u8, usize)>, ()> {
            if let Some(before) = self.use_it(key, now) {
                self.0.last_mut().unwrap().1 = value;
                return Ok(Some((key, before)));
            }
            let mut gone = None;
            if self.0.len() == 3 {
                let loose = self.0.iter().position(|place| place.2 == 0).ok_or(())?;
                let place = self.0.remove(loose);
                gone = Some((place.0, place.1));
            }
            self.0.push((key, value, 0, now));
            Ok(gone)
        }
    }

    const IDLE: Duration = Duration::from_millis(25);

    proptest! {
            #[test]
            fn it_does_what_a_list_in_the_order_of_use_would_do(
                ops in prop::collection::vec((op(), 0..10_u64), 0..80),
            ) {
                let mut lru = Lru::new(NonZeroUsize::new(3).unwrap());
                let (mut model, mut now) = (Model::default(), 0);
                for (number, (op, wait)) in ops.into_iter().enumerate() {
                    now += wait;
                    match op {
                        Op::Get(key) => {
                            prop_assert_eq!(lru.get(&key, now).copied(), model.use_it(key, now));
                        }
                        Op::Insert(key) => {
                            let told = lru.insert(key, number, now).map_err(|_| ());
                            prop_assert_eq!(told, model.insert(key, number, now));
                        }
                        Op::Pin(key) => {
                            let at = model.at(key);
                            prop_assert_eq!(lru.pin(&key), at.is_some());
                            if let Some(at) = at {
    model.0[at].2 += 1;
    }
                        }
                        Op::Unpin(key) => {
                            lru.unpin(&key);
                            if let Some(at) = model.at(key) {
    model.0[at].2 = model.0[at].2.saturating_sub(1);
    }
                        }
                        Op::Remove(key) => {
                            let gone = model.at(key).map(|at| model.0.remove(at).1);
                            prop_assert_eq!(lru.remove(&key), gone);
                        }
                        Op::Idle => {
                            let before = model.0.len();
                            model.0.retain(|place| place.2 > 0 || now - place.3 < 25);
                            prop_assert_eq!(lru.evict_idle(IDLE, now), before - model.0.len());
                        }
                    }
                    let kept: Vec<_> = lru.iter().map(|(key, value)| (*key, *value)).collect();
                    let expected: Vec<_> = model.0.iter().map(|place| (place.0, place.1)).collect();
                    prop_assert_eq!(kept, expected);
                    prop_assert!(model.0.iter().all(|it| lru.is_pinned(&it.0) == (it.2 > 0)));
                    prop_assert!(lru.len() <= 3);
                }
            }
        }

    #[test]
    fn where_all_are_pinned_nothing_goes_and_nothing_comes() {
        let mut lru = Lru::new(NonZeroUsize::MIN);
        lru.insert("a", 1, 0).unwrap();
        assert!(lru.pin(&"a") && !lru.pin(&"b"));
        let refused = lru.insert("b", 2, 1).unwrap_err();
        assert_eq!(refused.to_string(), "all 1 places are pinned: unpin one, or allow more");
        assert_eq!((lru.get(&"a", 1).copied(), lru.evict_idle(IDLE, 9_999)), (Some(1), 0));
        lru.unpin(&"a");
        assert_eq!(lru.insert("b", 2, 2), Ok(Some(("a", 1))));
    }
}
