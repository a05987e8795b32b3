//! The slowest flushes of late, for whoever asks why appends wait.
//!
//! Invariant: as few flushes are kept as `KEPT` says, none older than `LATE`.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Flushes that are kept: enough to see whether slow ones come in a row.
const KEPT: usize = 16;
/// How long a flush is of late: the span between two looks of somebody who was woken.
const LATE: Duration = Duration::from_secs(15 * 60);

/// One flush of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flush {
    /// When it had ended.
    pub ended: Instant,
    /// How long it took.
    pub time: Duration,
    /// Writes that it made durable.
    pub writes: usize,
    /// Payload bytes that it made durable.
    pub bytes: u64,
}

/// The slowest flushes of late.
#[derive(Debug, Default)]
pub struct Flushes(Mutex<Vec<Flush>>);

impl Flushes {
    /// Notes a flush, and forgets what is not of late any more.
    pub fn note(&self, flush: Flush) {
        let mut kept = self.0.lock();
        kept.retain(|known| is_late(known, flush.ended));
        let place = kept.partition_point(|known| known.time >= flush.time);
        if place < KEPT {
            kept.truncate(KEPT - 1);
            kept.insert(place, flush);
        }
    }

    /// The slowest, the slowest first.
    #[must_use]
    pub fn slowest(&self, now: Instant) -> Vec<Flush> {
        self.0.lock().iter().filter(|known| is_late(known, now)).copied().collect()
    }
}

fn is_late(flush: &Flush, now: Instant) -> bool {
    now.saturating_duration_since(flush.ended) < LATE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_late_are_kept_the_slowest_first() {
        let (flushes, begun) = (Flushes::default(), Instant::now());
        let flush = |second, ms| Flush {
            ended: begun + Duration::from_secs(second),
            time: Duration::from_millis(ms),
            writes: 1,
            bytes: 1,
        };
        for ms in 1..=100 {
            flushes.note(flush(ms, ms * 37 % 101));
        }
        let times = |second| -> Vec<u128> {
            let slowest = flushes.slowest(begun + Duration::from_secs(second));
            slowest.iter().map(|flush| flush.time.as_millis()).collect()
        };
        assert_eq!(times(100), (85..=100).rev().collect::<Vec<_>>());
        // What is not of late gives way to what is, however short that was.
        flushes.note(flush(2_000, 1));
        assert_eq!(times(2_000), [1]);
        assert_eq!(times(2_000 + LATE.as_secs()), [0; 0]);
    }
}
