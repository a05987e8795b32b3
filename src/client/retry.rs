//! How long to wait before something is tried again. Pure: no clock, no dice of its own.
//!
//! Invariant: waits grow by their factor up to their bound, and never beyond it.

use std::time::Duration;

/// How requests are tried again that failed in a way that passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// How often a request is sent at most, the first time included.
    pub tries: u32,
    /// How long the waits are.
    pub waits: Waits,
}

impl Default for RetryPolicy {
    /// Three tries, 500 ms, twice that the next time, 10 s at most.
    fn default() -> Self {
        let waits = Waits {
            first: Duration::from_millis(500),
            factor: 2,
            most: Duration::from_secs(10),
            jitter: true,
        };
        Self { tries: 3, waits }
    }
}

impl RetryPolicy {
    /// One try and no more.
    #[must_use]
    pub fn never() -> Self {
        Self { tries: 1, ..Self::default() }
    }

    /// The wait after a failed try, the first being 1; `None` where it was the last. `dice` is
    /// between 0 and 1; `asked` is what the server wants.
    #[must_use]
    pub fn wait_after(&self, attempt: u32, dice: f64, asked: Option<Duration>) -> Option<Duration> {
        (attempt < self.tries).then(|| self.waits.wait(attempt, dice, asked))
    }
}

/// Waits that grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// The first.
    pub first: Duration,
    /// Each is so many times the one before …
    pub factor: u32,
    /// … up to here.
    pub most: Duration,
    /// Each is shortened by up to its half, so that many clients do not come back at once.
    pub jitter: bool,
}

impl Waits {
    /// The waits of a follower: 1 s, twice as long each time, 30 s at most (mission, A6).
    pub const FOLLOWER: Self = Self {
        first: Duration::from_secs(1),
        factor: 2,
        most: Duration::from_secs(30),
        jitter: false,
    };

    /// The wait after so many failures, at least one. `dice` is between 0 and 1; what the server
    /// asks for is a floor, below the bound.
    #[must_use]
    pub fn wait(&self, failures: u32, dice: f64, asked: Option<Duration>) -> Duration {
        let grown = self.factor.saturating_pow(failures.saturating_sub(1));
        let full = self.first.saturating_mul(grown).min(self.most);
        let wait = if self.jitter { full.mul_f64(1.0 - dice.clamp(0.0, 1.0) / 2.0) } else { full };
        wait.max(asked.unwrap_or_default()).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_waits_from_one_second_to_thirty() {
        let secs: Vec<u64> =
            (1..=7).map(|failures| Waits::FOLLOWER.wait(failures, 0.5, None).as_secs()).collect();
        assert_eq!(secs, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(Waits::FOLLOWER.wait(u32::MAX, 0.0, None).as_secs(), 30);
    }

    #[test]
    fn a_request_is_sent_three_times_and_waits_no_longer_than_ten_seconds() {
        let policy = RetryPolicy::default();
        let ms = |attempt, dice| policy.wait_after(attempt, dice, None).map(|w| w.as_millis());
        assert_eq!([ms(1, 0.0), ms(2, 0.0), ms(3, 0.0)], [Some(500), Some(1_000), None]);
        assert_eq!([ms(1, 1.0), ms(2, 1.0)], [Some(250), Some(500)]);
        let many = RetryPolicy { tries: 99, ..policy };
        assert_eq!(many.wait_after(60, 0.0, None), Some(Duration::from_secs(10)));
        assert_eq!(RetryPolicy::never().wait_after(1, 0.0, None), None);
    }

    #[test]
    fn what_the_server_asks_for_is_a_floor_below_the_bound() {
        let asked = |secs| Some(Duration::from_secs(secs));
        let wait = |asked| RetryPolicy::default().wait_after(1, 0.0, asked).unwrap();
        assert_eq!(wait(asked(3)), Duration::from_secs(3));
        assert_eq!(wait(asked(0)), Duration::from_millis(500));
        assert_eq!(wait(asked(99)), Duration::from_secs(10));
    }
}
