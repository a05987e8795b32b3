//! The ids a stream remembers, so that an event sent twice is written once. Pure: time comes in
//! with each id.
//!
//! The last [`limits::IDS_MIN`] ids are known whatever their age, and those of the last
//! [`limits::IDS_WINDOW`] up to [`limits::IDS_MAX`].

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::Offset;
use crate::limits;

/// Ids of recent records and where they are.
#[derive(Debug, Default)]
pub(super) struct IdWindow {
    offsets: HashMap<Arc<str>, Offset>,
    order: VecDeque<(Arc<str>, u64)>,
    /// Records up to here were written before the window began; their ids are yet to be read.
    unread: Option<Offset>,
}

impl IdWindow {
    /// The window of a new stream.
    pub(super) fn complete() -> Self {
        Self::default()
    }

    /// The window of a stream with records up to `tail`, whose ids are unknown so far.
    pub(super) fn before(tail: Offset) -> Self {
        Self { unread: (tail > Offset::ZERO).then_some(tail), ..Self::default() }
    }

    /// The tail up to which ids must be read before the window can be asked.
    pub(super) fn unread(&self) -> Option<Offset> {
        self.unread
    }

    /// Where the record with this id is.
    pub(super) fn get(&self, id: &str) -> Option<Offset> {
        self.offsets.get(id).copied()
    }

    /// Remembers the id of a record, the newest so far, and forgets what has left the window.
    pub(super) fn push(&mut self, id: Arc<str>, offset: Offset, timestamp_ms: u64) {
        if self.offsets.insert(Arc::clone(&id), offset).is_none() {
            self.order.push_back((id, timestamp_ms));
        }
        self.expire(timestamp_ms);
    }

    /// Adds the ids of older records, oldest first, if they are still missing.
    pub(super) fn fill(&mut self, older: Vec<(Arc<str>, Offset, u64)>) {
        if self.unread.take().is_none() {
            return;
        }
        for (id, offset, timestamp_ms) in older.into_iter().rev() {
            // The first of two records with one id is the one to answer with.
            if self.offsets.insert(Arc::clone(&id), offset).is_none() {
                self.order.push_front((id, timestamp_ms));
            }
        }
    }

    fn expire(&mut self, now_ms: u64) {
        let window_ms = u64::try_from(limits::IDS_WINDOW.as_millis()).unwrap_or(u64::MAX);
        while self.order.len() > limits::IDS_MIN {
            let Some((_, timestamp_ms)) = self.order.front() else { return };
            let young = now_ms.saturating_sub(*timestamp_ms) <= window_ms;
            if young && self.order.len() <= limits::IDS_MAX {
                return;
            }
            if let Some((id, _)) = self.order.pop_front() {
                self.offsets.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> Arc<str> {
        Arc::from(format!("id-{number}"))
    }

    fn pushed(count: usize, at_ms: impl Fn(usize) -> u64) -> IdWindow {
        let mut window = IdWindow::complete();
        for number in 1..=count {
            window.push(id(number), Offset(number as u64), at_ms(number));
        }
        window
    }

    #[test]
    fn the_last_ids_are_known_however_old_they_are() {
        let year_ms = 365 * 24 * 3_600_000;
        let window = pushed(limits::IDS_MIN + 5, |number| number as u64 * year_ms);
        assert_eq!(window.get("id-5"), None);
        assert_eq!(window.get("id-6"), Some(Offset(6)));
    }

    #[test]
    fn young_ids_are_known_beyond_the_last_ones_up_to_a_bound() {
        let window = pushed(limits::IDS_MAX + 3, |_| 1_000);
        assert_eq!(window.get("id-3"), None);
        assert_eq!(window.get("id-4"), Some(Offset(4)));
        assert_eq!(window.offsets.len(), limits::IDS_MAX);
    }

    #[test]
    fn ids_read_from_the_log_come_before_those_of_the_window() {
        let mut window = IdWindow::before(Offset(2));
        window.push(id(3), Offset(3), 9);
        window.fill(vec![(id(1), Offset(1), 7), (id(2), Offset(2), 8)]);
        assert_eq!(window.unread(), None);
        assert_eq!(window.get("id-1"), Some(Offset(1)));
        assert_eq!(window.get("id-3"), Some(Offset(3)));
        window.fill(vec![(id(9), Offset(1), 7)]);
        assert_eq!(window.get("id-9"), None, "a second filling changes nothing");
    }
}
