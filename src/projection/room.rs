//! Which states stay in memory where there are more than there is room for. Pure.
//!
//! Invariant: a state that somebody works on stays; one that a reader is attached to stays as far
//! as the room for those goes, those used last first.

use std::{cmp::Reverse, sync::Arc};

use crate::limits;

/// What is known of a state in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its stream.
    pub path: Arc<str>,
    /// When it was looked at last, Unix milliseconds.
    pub used_ms: u64,
    /// About how many bytes it has.
    pub bytes: usize,
    /// Somebody waits for it or folds it.
    pub is_busy: bool,
    /// A reader is attached to it.
    pub is_pinned: bool,
}

/// Whether one more may be pinned.
pub(super) fn takes_a_pin(held: &[Held]) -> bool {
    let pinned = || held.iter().filter(|held| held.is_pinned);
    let bytes = pinned().map(|held| held.bytes).sum::<usize>();
    pinned().count() < limits::VIEWS_PINNED_MAX && bytes < limits::VIEWS_PINNED_BYTES_MAX
}

/// Those that may go, the least used first. Pinned ones are among them where they have grown
/// beyond the room that there is.
pub(super) fn may_go(mut held: Vec<Held>) -> Vec<Held> {
    held.sort_by_key(|held| Reverse(held.used_ms));
    let (mut pins, mut bytes) = (0_usize, 0_usize);
    held.retain(|held| {
        if held.is_pinned {
            pins += 1;
            bytes = bytes.saturating_add(held.bytes);
        }
        let has_room = pins <= limits::VIEWS_PINNED_MAX && bytes <= limits::VIEWS_PINNED_BYTES_MAX;
        !(held.is_busy || held.is_pinned && has_room)
    });
    held.reverse();
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(path: &str, used_ms: u64) -> Held {
        Held { path: path.into(), used_ms, bytes: 1, is_busy: false, is_pinned: false }
    }

    fn pinned(path: &str, used_ms: u64, bytes: usize) -> Held {
        Held { bytes, is_pinned: true, ..held(path, used_ms) }
    }

    fn gone(held: Vec<Held>) -> Vec<String> {
        may_go(held).into_iter().map(|held| held.path.to_string()).collect()
    }

    #[test]
    fn those_that_nobody_holds_may_go_the_least_used_first() {
        let busy = Held { is_busy: true, ..held("busy", 0) };
        let all = vec![held("b", 2), held("a", 1), busy, pinned("pinned", 0, 1), held("c", 3)];
        assert_eq!(gone(all), ["a", "b", "c"]);
    }

    #[test]
    fn pins_hold_as_many_bytes_as_there_is_room_for_and_those_used_last() {
        let half = limits::VIEWS_PINNED_BYTES_MAX / 2;
        let all = vec![pinned("old", 1, 1), pinned("new", 3, half), pinned("middle", 2, half)];
        assert!(!takes_a_pin(&all) && takes_a_pin(&all[..2]));
        assert_eq!(gone(all), ["old"]);
    }

    #[test]
    fn pins_are_counted() {
        let most = limits::VIEWS_PINNED_MAX;
        let mut all: Vec<_> = (1..=most).map(|n| pinned("p", n as u64, 0)).collect();
        assert!(!takes_a_pin(&all) && takes_a_pin(&all[1..]));
        assert_eq!(gone(all.clone()), Vec::<String>::new());
        all.push(pinned("one more", 0, 0));
        assert_eq!(gone(all), ["one more"]);
    }
}
