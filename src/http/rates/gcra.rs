//! How fast something may go: the generic cell rate algorithm. Pure; it refuses to know what is
//! counted, for whom, and what time it is.
//!
//! All that is kept is one moment: the one at which everything that was taken is paid for. So a
//! holder that is forgotten and found again has at most its burst once more, and nothing has to be
//! filled up in the background. What is taken is taken whole, also where it goes beyond the burst;
//! then the next one waits until that is paid for. Invariant: over any span of time no more is
//! taken than the burst, what the rate allows in that time, and one last piece.

use std::time::Duration;

/// So many units in a span of time, and some at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    units: u64,
    span_ns: u64,
    burst_ns: u64,
}

/// The moment at which everything that was taken is paid for, in nanoseconds of Unix time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Paid(u64);

impl Rate {
    /// `units` in each `span`, and what comes together in `burst` at once, at least one. None for
    /// 0 units, which stands for no limit.
    pub(super) fn new(units: u64, span: Duration, burst: Duration) -> Option<Self> {
        let (span_ns, burst_ns) = (nanos(span), nanos(burst));
        let rate = Self { units, span_ns, burst_ns };
        (units > 0).then(|| Self { burst_ns: burst_ns.max(rate.price(1)), ..rate })
    }

    /// How long until something may be taken again; None where it may be now.
    pub(super) fn wait(self, paid: Paid, now_ns: u64) -> Option<Duration> {
        let room_from = paid.0.saturating_sub(self.burst_ns).saturating_add(1);
        let wait = room_from.saturating_sub(now_ns);
        (paid.0 > 0 && wait > 0).then(|| Duration::from_nanos(wait))
    }

    /// Takes units, whether there is room for them or not.
    pub(super) fn take(self, paid: &mut Paid, now_ns: u64, units: u64) {
        paid.0 = paid.0.max(now_ns).saturating_add(self.price(units));
    }

    /// The time that pays for units.
    fn price(self, units: u64) -> u64 {
        let ns = u128::from(units) * u128::from(self.span_ns) / u128::from(self.units.max(1));
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const BEGIN: u64 = 1_795_200_000 * SECOND;

    fn rate(units: u64, burst: u64) -> Rate {
        Rate::new(units, Duration::from_secs(1), Duration::from_secs(burst)).unwrap()
    }

    /// How many single units are had at one moment.
    fn had(rate: Rate, paid: &mut Paid, now: u64) -> u64 {
        let mut count = 0;
        while rate.wait(*paid, now).is_none() {
            rate.take(paid, now, 1);
            count += 1;
        }
        count
    }

    #[test]
    fn a_burst_is_had_at_once_and_then_what_the_rate_allows() {
        let (rate, mut paid) = (rate(10, 5), Paid::default());
        assert_eq!(had(rate, &mut paid, BEGIN), 50);
        assert_eq!(rate.wait(paid, BEGIN), Some(Duration::from_nanos(1)));
        assert_eq!(had(rate, &mut paid, BEGIN + 1), 1);
        assert_eq!(had(rate, &mut paid, BEGIN + 2 * SECOND), 19);
        assert_eq!(had(rate, &mut paid, BEGIN + 3_600 * SECOND), 50);
    }

    #[test]
    fn what_goes_beyond_the_burst_is_paid_for_before_anything_else() {
        let (rate, mut paid) = (rate(100, 1), Paid::default());
        rate.take(&mut paid, BEGIN, 1_100);
        let wait = rate.wait(paid, BEGIN).unwrap();
        assert_eq!(wait, Duration::from_secs(10) + Duration::from_nanos(1));
        assert!(rate.wait(paid, BEGIN + 10 * SECOND).is_some());
        assert_eq!(rate.wait(paid, BEGIN + 10 * SECOND + 1), None);
    }

    #[test]
    fn one_unit_is_had_however_short_the_burst_and_nothing_is_no_limit() {
        let slow = Rate::new(1, Duration::from_secs(3_600), Duration::ZERO).unwrap();
        assert_eq!(had(slow, &mut Paid::default(), BEGIN), 1);
        assert_eq!(Rate::new(0, Duration::from_secs(1), Duration::ZERO), None);
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_the_burst_and_the_rate_and_one_piece(
            units in 1..5_000_u64,
            burst in 0..10_u64,
            tries in prop::collection::vec((0..2_000_000_000_u64, 1..100_u64), 1..200),
        ) {
            let (rate, mut paid, mut now, mut taken) = (rate(units, burst), Paid::default(), BEGIN, 0);
            let mut largest = 0;
            for (later, piece) in tries {
                now += later;
                if rate.wait(paid, now).is_none() {
                    rate.take(&mut paid, now, piece);
                    taken += piece;
                    largest = largest.max(piece);
                }
            }
            let passed = (now - BEGIN) / SECOND + 1;
            prop_assert!(taken <= units * burst.max(1) + units * passed + largest);
        }

        #[test]
        fn after_the_wait_that_is_told_there_is_room(
            units in 1..5_000_u64, burst in 0..10_u64, taken in 0..100_000_u64,
        ) {
            let (rate, mut paid) = (rate(units, burst), Paid::default());
            rate.take(&mut paid, BEGIN, taken);
            let wait = rate.wait(paid, BEGIN).map_or(0, nanos);
            prop_assert_eq!(rate.wait(paid, BEGIN + wait), None);
            if wait > 1 {
                prop_assert!(rate.wait(paid, BEGIN + wait - 1).is_some());
            }
        }
    }
}
