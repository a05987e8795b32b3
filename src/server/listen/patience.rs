//! For how long the other end is waited for, while something waits to be taken. Pure. Invariant:
//! time runs down only while something waits; whoever takes its pace is waited for as long as it
//! does, and who does not is given up on, however it spreads what it takes.

use std::time::Duration;

use crate::limits;

/// The time that is left to the other end. Waiting costs it, what is taken buys some of it back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    left_ms: u64,
    /// Since then something waits.
    since_ms: Option<u64>,
}

impl Patience {
    /// All there is.
    pub(super) fn new() -> Self {
        Self { left_ms: millis(limits::WRITE_STALLED), since_ms: None }
    }

    /// Something waits, from now on or already, and for so long it may go on.
    pub(super) fn wait(&mut self, now_ms: u64) -> Duration {
        let waited = now_ms.saturating_sub(*self.since_ms.get_or_insert(now_ms));
        Duration::from_millis(self.left_ms.saturating_sub(waited))
    }

    /// So many bytes were taken, and nothing waits until that is said again.
    pub(super) fn taken(&mut self, bytes: usize, now_ms: u64) {
        let waited = self.since_ms.take().map_or(0, |since| now_ms.saturating_sub(since));
        let bought = millis(limits::WRITE_BYTE_BUYS).saturating_mul(bytes as u64);
        let left = self.left_ms.saturating_sub(waited).saturating_add(bought);
        self.left_ms = left.min(millis(limits::WRITE_STALLED));
    }

    /// Whether nothing of it is used up.
    pub(super) fn is_whole(&self) -> bool {
        self.since_ms.is_none() && self.left_ms >= millis(limits::WRITE_STALLED)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The seconds after which somebody is given up on who takes `bytes` each `every` seconds while
    /// more waits, if it is within a day.
    fn given_up_after(bytes: usize, every: u64) -> Option<u64> {
        let (mut patience, mut now) = (Patience::new(), 0);
        while now < 86_400 {
            let left = patience.wait(now * 1_000);
            if left <= Duration::from_secs(every) {
                return Some(now + left.as_secs());
            }
            now += every;
            patience.taken(bytes, now * 1_000);
        }
        None
    }

    #[test]
    fn who_takes_nothing_or_next_to_nothing_is_given_up_on_at_about_the_same_time() {
        let all = limits::WRITE_STALLED.as_secs();
        assert_eq!(given_up_after(0, all), Some(all));
        assert_eq!(given_up_after(0, 7), Some(all));
        assert_eq!(given_up_after(10, all - 1), Some(all));
        assert_eq!(given_up_after(100, 1), Some(2 * all - 1));
    }

    #[test]
    fn a_phone_at_the_edge_of_its_network_is_waited_for() {
        assert_eq!(given_up_after(300, 1), None);
        // Lines take what waits in lumps, and some of them are long in coming.
        assert_eq!(given_up_after(64 * 1024, 110), None);
    }

    #[test]
    fn nothing_that_waits_costs_nothing() {
        let mut patience = Patience::new();
        assert!(patience.is_whole());
        patience.wait(0);
        assert!(!patience.is_whole());
        patience.taken(0, millis(limits::WRITE_STALLED) / 2);
        assert_eq!(patience.wait(86_400_000), limits::WRITE_STALLED / 2);
        patience.taken(usize::MAX, 86_400_000);
        assert!(patience.is_whole());
    }

    #[test]
    fn a_clock_that_goes_back_gives_nobody_up() {
        let mut patience = Patience::new();
        patience.wait(1_000_000);
        assert_eq!(patience.wait(0), limits::WRITE_STALLED);
        patience.taken(0, 0);
        assert!(patience.is_whole());
    }

    proptest! {
        #[test]
        fn whoever_takes_its_pace_is_waited_for(
            waits in prop::collection::vec((0_u64..100, 0_usize..100), 1..100),
        ) {
            let (mut patience, mut now_ms) = (Patience::new(), 0);
            for (seconds, more) in waits {
                prop_assert!(patience.wait(now_ms) > Duration::from_secs(seconds));
                now_ms += seconds * 1_000;
                // As many bytes as the time costs, or more.
                let pace = usize::try_from(seconds * 1_000 / millis(limits::WRITE_BYTE_BUYS));
                patience.taken(pace.unwrap() + more, now_ms);
            }
        }
    }
}
