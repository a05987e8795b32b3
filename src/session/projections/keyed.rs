//! A list in order whose items are found by a key of their own: a plain array in JSON.
//!
//! It refuses to know what the items are. Invariant: no two items have the same key, and an item
//! keeps its place while others come and go.

use std::{fmt, hash::Hash};

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Has a key of its own that never changes while it is in a list.
pub trait Named {
    /// What it is found by.
    type Key: Hash + Eq + Clone + fmt::Debug;

    /// Its key.
    fn key(&self) -> Self::Key;
}

/// A list of items with keys.
#[derive(Clone)]
pub struct Keyed<T: Named> {
    items: IndexMap<T::Key, T>,
}

impl<T: Named> Keyed<T> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// All of them, in order.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.items.values()
    }

    /// The item of a key.
    #[must_use]
    pub fn get(&self, key: &T::Key) -> Option<&T> {
        self.items.get(key)
    }

    /// The item at a place.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<&T> {
        self.items.get_index(place).map(|(_, item)| item)
    }

    /// The last item.
    #[must_use]
    pub fn last(&self) -> Option<&T> {
        self.items.last().map(|(_, item)| item)
    }

    pub(super) fn get_mut(&mut self, key: &T::Key) -> Option<&mut T> {
        self.items.get_mut(key)
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        self.items.last_mut().map(|(_, item)| item)
    }

    /// The item of a key; where there is none, a new one comes last.
    pub(super) fn entry(&mut self, key: &T::Key, make: impl FnOnce() -> T) -> &mut T {
        self.items.entry(key.clone()).or_insert_with(make)
    }

    /// Puts an item in the place of the one with its key, or last.
    pub(super) fn put(&mut self, item: T) {
        self.items.insert(item.key(), item);
    }

    pub(super) fn remove(&mut self, key: &T::Key) -> Option<T> {
        self.items.shift_remove(key)
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.items.retain(|_, item| keep(item));
    }

    /// Gives an item another key, in its place. Nothing happens where the new key is taken.
    pub(super) fn rename(&mut self, old: &T::Key, change: impl FnOnce(&mut T)) {
        let Some(place) = self.items.get_index_of(old) else { return };
        let Some(mut item) = self.items.swap_remove(old) else { return };
        change(&mut item);
        let key = item.key();
        if self.items.contains_key(&key) {
            return;
        }
        let (last, _) = self.items.insert_full(key, item);
        self.items.swap_indices(place, last);
    }

    /// Lets those go that are the least by `rank`, until at most `max` are left.
    pub(super) fn trim(&mut self, max: usize, rank: impl Fn(&T) -> u64) {
        while self.items.len() > max {
            let ranked = self.items.values().enumerate();
            let least = ranked.min_by_key(|(_, item)| rank(item)).map(|(place, _)| place);
            let Some(place) = least else { return };
            self.items.shift_remove_index(place);
        }
    }
}

impl<T: Named> Default for Keyed<T> {
    fn default() -> Self {
        Self { items: IndexMap::new() }
    }
}

impl<T: Named + fmt::Debug> fmt::Debug for Keyed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.items.values()).finish()
    }
}

/// Lists are the same where their items are, in the same order.
impl<T: Named + PartialEq> PartialEq for Keyed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.items.values().eq(other.items.values())
    }
}

impl<T: Named> FromIterator<T> for Keyed<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self { items: items.into_iter().map(|item| (item.key(), item)).collect() }
    }
}

impl<T: Named + Serialize> Serialize for Keyed<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.items.values())
    }
}

impl<'de, T: Named + Deserialize<'de>> Deserialize<'de> for Keyed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let items = Vec::<T>::deserialize(from)?;
        let count = items.len();
        let list: Self = items.into_iter().collect();
        if list.len() < count {
            return Err(de::Error::custom("two items have the same key"));
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Item(u8, u64);

    impl Named for Item {
        type Key = u8;

        fn key(&self) -> u8 {
            self.0
        }
    }

    fn list(keys: &[u8]) -> Keyed<Item> {
        keys.iter().map(|key| Item(*key, 0)).collect()
    }

    #[test]
    fn a_renamed_item_keeps_its_place_wherever_that_is() {
        for place in 0..3 {
            let mut renamed = list(&[0, 1, 2]);
            renamed.rename(&place, |item| item.0 = 9);
            let mut expected = [0, 1, 2];
            expected[usize::from(place)] = 9;
            assert_eq!(renamed, list(&expected));
        }
    }

    #[test]
    fn what_goes_is_what_ranks_least_and_the_others_stay_in_order() {
        let mut items: Keyed<Item> =
            [Item(1, 5), Item(2, 3), Item(3, 9), Item(4, 4)].into_iter().collect();
        items.trim(2, |item| item.1);
        assert_eq!(items, [Item(1, 5), Item(3, 9)].into_iter().collect());
    }

    #[test]
    fn a_list_with_a_key_twice_is_not_read() {
        let read = |text| serde_json::from_str::<Keyed<Item>>(text);
        assert_eq!(read("[[1,0],[2,0]]").unwrap(), list(&[1, 2]));
        assert!(read("[[1,0],[1,1]]").is_err());
    }
}
