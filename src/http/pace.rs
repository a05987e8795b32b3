//! How fast a body has to come. Pure. Invariant: a body that goes on coming at its pace is never
//! cut by it, and one that does not is within [`limits::BODY_BEHIND_MAX`], however fast it began.

use std::time::Duration;

use crate::limits;

/// The time that a body has left. It runs down while nothing comes, and each byte buys some of it
/// back, up to a bound.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    byte_buys: Duration,
    /// The body is over then, whatever its pace.
    within: Option<Duration>,
    begun: Option<Begun>,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    at_ms: u64,
    until_ms: u64,
}

impl Pace {
    /// Of a body that is read whole.
    pub(super) const WHOLE: Self =
        Self { byte_buys: limits::BODY_BYTE_BUYS, within: Some(limits::BODY_WITHIN), begun: None };
    /// Of a body that is worked on while it comes, for as long as its writer likes.
    pub(super) const NDJSON: Self =
        Self { byte_buys: limits::NDJSON_BYTE_BUYS, within: None, begun: None };

    /// Takes note of bytes that came since the last look, and says how much longer the next may
    /// take; `None` where the time is over.
    pub(super) fn left(&mut self, bytes: usize, now_ms: u64) -> Option<Duration> {
        let most = now_ms.saturating_add(millis(limits::BODY_BEHIND_MAX));
        let begun = self.begun.get_or_insert(Begun { at_ms: now_ms, until_ms: most });
        let bought = millis(self.byte_buys).saturating_mul(bytes as u64);
        begun.until_ms = begun.until_ms.saturating_add(bought).min(most);
        let end = self.within.map_or(u64::MAX, |within| begun.at_ms.saturating_add(millis(within)));
        let left = begun.until_ms.min(end).saturating_sub(now_ms);
        (left > 0).then(|| Duration::from_millis(left))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The seconds after which a body is cut of which `bytes` come each `every` seconds, if it is
    /// within a day.
    fn cut_after(mut pace: Pace, bytes: usize, every: u64) -> Option<u64> {
        pace.left(0, 0).unwrap();
        let mut seconds = (0..86_400).step_by(usize::try_from(every).unwrap()).skip(1);
        seconds.find(|second| pace.left(bytes, second * 1_000).is_none())
    }

    #[test]
    fn single_bytes_keep_no_place() {
        assert_eq!(cut_after(Pace::WHOLE, 1, 29), Some(87));
        assert_eq!(cut_after(Pace::NDJSON, 1, 29), Some(87));
        assert_eq!(cut_after(Pace::NDJSON, 0, 1), Some(60));
    }

    #[test]
    fn a_small_event_each_half_minute_keeps_the_place_of_an_open_body() {
        let event = r#"{"channel":"x","data":{}}"#.len() + 1;
        assert_eq!(cut_after(Pace::NDJSON, event, 29), None);
        assert_eq!(cut_after(Pace::NDJSON, 1, 1), None);
    }

    #[test]
    fn a_whole_body_comes_at_its_pace_and_in_its_time() {
        assert_eq!(cut_after(Pace::WHOLE, 500, 1), Some(120));
        assert_eq!(cut_after(Pace::WHOLE, 2_000, 1), Some(limits::BODY_WITHIN.as_secs()));
    }

    #[test]
    fn what_came_fast_at_first_is_no_credit_for_ever() {
        let mut pace = Pace::NDJSON;
        pace.left(0, 0).unwrap();
        assert_eq!(pace.left(usize::MAX, 1_000), Some(limits::BODY_BEHIND_MAX));
        assert_eq!(pace.left(0, 1_000 + millis(limits::BODY_BEHIND_MAX)), None);
    }

    #[test]
    fn a_clock_that_goes_back_cuts_nothing() {
        let mut pace = Pace::WHOLE;
        pace.left(0, 1_000_000).unwrap();
        assert_eq!(pace.left(1, 0), Some(limits::BODY_BEHIND_MAX));
    }

    proptest! {
        #[test]
        fn nobody_at_the_pace_is_cut(pieces in prop::collection::vec((0_u64..60, 0_usize..9), 0..99)) {
            let mut pace = Pace::NDJSON;
            let mut now_ms = 0;
            pace.left(0, now_ms).unwrap();
            for (seconds, more) in pieces {
                now_ms += seconds * 1_000;
                // As many bytes as the time costs, or more.
                let bytes = usize::try_from(seconds).unwrap() / 2 + 1 + more;
                prop_assert!(pace.left(bytes, now_ms).is_some());
            }
        }
    }
}
