//! Something that is said often, let through at most once in a while. Pure: the time is handed in.
//!
//! Invariant: what was offered last is always let through in the end.

use std::time::Duration;

/// Lets the first through at once, and of those that follow the newest once the time is over.
#[derive(Debug)]
pub struct Throttle<T> {
    every_ms: u64,
    passed_ms: Option<u64>,
    waiting: Option<T>,
}

impl<T> Throttle<T> {
    /// Lets one through in each `every`, rounded down to milliseconds.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        let every_ms = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        Self { every_ms, passed_ms: None, waiting: None }
    }

    /// Takes one in place of what waits.
    pub fn put(&mut self, value: T) {
        self.waiting = Some(value);
    }

    /// The same; gives it back where it may pass now.
    pub fn offer(&mut self, value: T, now_ms: u64) -> Option<T> {
        self.put(value);
        self.take_due(now_ms)
    }

    /// When what waits may pass, Unix milliseconds; `None` where nothing waits.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.waiting.as_ref()?;
        Some(self.passed_ms.map_or(0, |passed| passed.saturating_add(self.every_ms)))
    }

    /// What waits, where it may pass now.
    pub fn take_due(&mut self, now_ms: u64) -> Option<T> {
        // On a clock that was set back, the wait begins anew and does not last for ever.
        self.passed_ms = self.passed_ms.map(|passed| passed.min(now_ms));
        if self.due_ms()? > now_ms {
            return None;
        }
        self.passed_ms = Some(now_ms);
        self.waiting.take()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_passes_at_once_and_then_the_newest_when_the_time_is_over() {
        let mut throttle = Throttle::new(Duration::from_millis(50));
        assert_eq!(throttle.offer("a", 1_000), Some("a"));
        assert_eq!(throttle.offer("b", 1_010), None);
        assert_eq!(throttle.offer("c", 1_049), None);
        assert_eq!((throttle.due_ms(), throttle.take_due(1_049)), (Some(1_050), None));
        assert_eq!(throttle.take_due(1_050), Some("c"));
        assert_eq!((throttle.due_ms(), throttle.take_due(9_999)), (None, None));
        assert_eq!(throttle.offer("d", 9_999), Some("d"));
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nothing_up() {
        let mut throttle = Throttle::new(Duration::from_millis(50));
        throttle.offer(1, 1_000_000);
        assert_eq!((throttle.offer(2, 10), throttle.due_ms()), (None, Some(60)));
        assert_eq!(throttle.take_due(60), Some(2));
    }

    proptest! {
        #[test]
        fn never_more_often_than_it_may_and_always_the_last(
            steps in prop::collection::vec((0..40_u64, any::<bool>()), 1..60),
        ) {
            let (mut throttle, mut now) = (Throttle::new(Duration::from_millis(50)), 5_000);
            let (mut passed, mut offered) = (Vec::new(), None);
            for (number, (wait, offers)) in steps.into_iter().enumerate() {
                now += wait;
                let out = if offers {
                    offered = Some(number);
                    throttle.offer(number, now)
                } else {
                    throttle.take_due(now)
                };
                passed.extend(out.map(|value| (now, value)));
            }
            if let Some(due) = throttle.due_ms() {
                passed.extend(throttle.take_due(due).map(|value| (due, value)));
            }
            prop_assert_eq!(passed.last().map(|(_, value)| *value), offered);
            for pair in passed.windows(2) {
                prop_assert!(pair[1].0 - pair[0].0 >= 50 && pair[1].1 > pair[0].1);
            }
        }
    }
}
