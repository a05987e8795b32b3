//! When each event of a replay is due. Pure: it reads no clock.
//!
//! Invariant: events are due in their order, whatever their timestamps say.

use std::{str::FromStr, time::Duration};

use crate::cli::demo;

/// A pause of the session that is longer is cut to this: who watches is not to wait for nothing.
pub(super) const GAP_MAX: Duration = Duration::from_secs(2);

/// How fast a session is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Speed {
    /// So many times as fast as it happened.
    Times(f64),
    /// Without waiting.
    Max,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = demo::speed(text).map_err(|error| format!("{error}, or max"))?;
        Ok(Self::Times(times))
    }
}

/// The pace of a replay.
#[derive(Debug)]
pub(super) struct Pace {
    speed: Speed,
    before_ms: Option<u64>,
    due: Duration,
}

impl Pace {
    /// A replay at a speed that has not begun.
    pub(super) fn new(speed: Speed) -> Self {
        Self { speed, before_ms: None, due: Duration::ZERO }
    }

    /// When the next event is due, from the start of the replay.
    pub(super) fn due(&mut self, timestamp_ms: u64) -> Duration {
        let gap = gap(self.before_ms, timestamp_ms).min(GAP_MAX);
        self.before_ms = self.before_ms.max(Some(timestamp_ms));
        if let Speed::Times(times) = self.speed {
            self.due += gap.div_f64(times);
        }
        self.due
    }
}

/// The time between an event and the newest before it.
pub(super) fn gap(before_ms: Option<u64>, now_ms: u64) -> Duration {
    let since = before_ms.map(|before| now_ms.saturating_sub(before));
    Duration::from_millis(since.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(speed: Speed, times: &[u64]) -> Vec<u64> {
        let mut pace = Pace::new(speed);
        times.iter().map(|ms| u64::try_from(pace.due(*ms).as_millis()).unwrap()).collect()
    }

    #[test]
    fn events_come_as_they_did_and_long_pauses_are_cut() {
        let times = [1_000_000, 1_000_500, 1_060_500, 1_060_500];
        assert_eq!(due(Speed::Times(1.0), &times), [0, 500, 2_500, 2_500]);
        assert_eq!(due(Speed::Times(10.0), &times), [0, 50, 250, 250]);
        assert_eq!(due(Speed::Max, &times), [0, 0, 0, 0]);
    }

    #[test]
    fn time_never_runs_backwards() {
        assert_eq!(due(Speed::Times(1.0), &[5_000, 1_000, 5_100]), [0, 0, 100]);
    }

    #[test]
    fn speeds_are_numbers_or_max() {
        assert_eq!("10x".parse(), Ok(Speed::Times(10.0)));
        assert_eq!("0.5".parse(), Ok(Speed::Times(0.5)));
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert!("fast".parse::<Speed>().unwrap_err().contains("max"));
    }
}
