//! What goes into the next batch, and when. Pure: no clock and no network.
//!
//! It refuses to know what the items are. Invariants: items leave in the order in which they came,
//! each once; a batch keeps the limits, but for a single item that is larger alone; nothing
//! lingers longer than it may.

use std::{collections::VecDeque, time::Duration};

/// How large a batch grows, and how long it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchLimits {
    /// How long an item waits for others to go with.
    pub(super) linger: Duration,
    /// Items at most.
    pub(super) items: usize,
    /// Bytes at most.
    pub(super) bytes: usize,
}

/// Items on their way into batches. The one who fills it bounds it.
#[derive(Debug)]
pub(super) struct Batcher<T> {
    limits: BatchLimits,
    waiting: VecDeque<Waiting<T>>,
    /// Bytes of all that wait.
    bytes: usize,
    /// The first so many go without lingering.
    urgent: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    bytes: usize,
    since_ms: u64,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// Send these.
    Batch(Vec<T>),
    /// Wait so long for more.
    In(Duration),
    /// There is nothing.
    Nothing,
}

impl<T> Batcher<T> {
    pub(super) fn new(limits: BatchLimits) -> Self {
        Self { limits, waiting: VecDeque::new(), bytes: 0, urgent: 0 }
    }

    /// Takes an item in that has waited since `since_ms`.
    pub(super) fn push(&mut self, item: T, bytes: usize, since_ms: u64) {
        self.bytes += bytes;
        self.waiting.push_back(Waiting { item, bytes, since_ms });
    }

    /// What is there now goes without lingering.
    pub(super) fn urge(&mut self) {
        self.urgent = self.waiting.len();
    }

    /// The next batch would not grow by what comes.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.limits.items || self.bytes >= self.limits.bytes
    }

    /// What to do at this time, Unix milliseconds.
    pub(super) fn next(&mut self, now_ms: u64) -> Next<T> {
        let Some(first) = self.waiting.front() else { return Next::Nothing };
        // A clock that was put back must not make anybody wait longer than the linger.
        let waited = Duration::from_millis(now_ms.saturating_sub(first.since_ms));
        let left = self.limits.linger.saturating_sub(waited);
        if self.urgent == 0 && !self.is_full() && !left.is_zero() {
            return Next::In(left);
        }
        let batch = self.take();
        self.urgent = self.urgent.saturating_sub(batch.len());
        Next::Batch(batch)
    }

    /// Everything that waits, for those who cannot send it any more.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.bytes = 0;
        self.waiting.drain(..).map(|waiting| waiting.item)
    }

    fn take(&mut self) -> Vec<T> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.waiting.pop_front_if(|next| {
            let fits = bytes + next.bytes <= self.limits.bytes && batch.len() < self.limits.items;
            fits || batch.is_empty()
        }) {
            bytes += next.bytes;
            batch.push(next.item);
        }
        self.bytes -= bytes;
        batch
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: BatchLimits =
        BatchLimits { linger: Duration::from_millis(5), items: 3, bytes: 100 };

    #[test]
    fn a_batch_goes_when_its_first_item_has_lingered_or_it_is_full() {
        let mut batcher = Batcher::new(LIMITS);
        assert_eq!(batcher.next(0), Next::Nothing);
        batcher.push('a', 10, 100);
        batcher.push('b', 10, 103);
        assert_eq!(batcher.next(103), Next::In(Duration::from_millis(2)));
        assert_eq!(batcher.next(105), Next::Batch(vec!['a', 'b']));
        for item in ['c', 'd', 'e', 'f'] {
            batcher.push(item, 10, 106);
        }
        assert_eq!(batcher.next(106), Next::Batch(vec!['c', 'd', 'e']));
        assert_eq!(batcher.next(106), Next::In(Duration::from_millis(5)));
    }

    #[test]
    fn what_is_urged_does_not_linger_and_what_comes_later_does() {
        let mut batcher = Batcher::new(LIMITS);
        batcher.push('a', 90, 0);
        batcher.push('b', 90, 0);
        batcher.urge();
        batcher.push('c', 10, 0);
        assert_eq!(batcher.next(0), Next::Batch(vec!['a']));
        assert_eq!(batcher.next(0), Next::Batch(vec!['b', 'c']));
        batcher.push('d', 10, 0);
        assert!(matches!(batcher.next(0), Next::In(_)));
        assert_eq!(batcher.drain().collect::<Vec<_>>(), ['d']);
    }

    #[test]
    fn an_item_that_is_larger_than_a_batch_goes_alone() {
        let mut batcher = Batcher::new(LIMITS);
        batcher.push('a', 500, 0);
        batcher.push('b', 10, 0);
        assert_eq!(batcher.next(0), Next::Batch(vec!['a']));
        assert!(matches!(batcher.next(0), Next::In(_)));
    }

    proptest! {
        #[test]
        fn items_leave_in_order_once_within_the_limits_and_in_time(
            steps in proptest::collection::vec((0..150_usize, 0..4_u64, 0..10_u8), 1..80),
        ) {
            let mut batcher = Batcher::new(LIMITS);
            let (mut now, mut came, mut left) = (0, Vec::new(), Vec::new());
            for (item, (bytes, passes, what)) in steps.into_iter().enumerate() {
                batcher.push((item, bytes, now), bytes, now);
                came.push(item);
                if what == 0 {
                    batcher.urge();
                }
                now += passes;
                while let Next::Batch(batch) = batcher.next(now) {
                    let total: usize = batch.iter().map(|(_, bytes, _)| bytes).sum();
                    prop_assert!(batch.len() == 1 || (batch.len() <= 3 && total <= 100));
                    left.extend(batch.into_iter().map(|(item, ..)| item));
                }
                if let Next::In(wait) = batcher.next(now) {
                    let oldest = batcher.waiting.front().map(|first| first.since_ms).unwrap();
                    prop_assert_eq!(now + u64::try_from(wait.as_millis()).unwrap(), oldest + 5);
                }
            }
            left.extend(batcher.drain().map(|(item, ..)| item));
            prop_assert_eq!(came, left);
            prop_assert_eq!(batcher.bytes, 0);
        }
    }
}
