//! Ids for events whose writer gave none: ULIDs that grow along the process, whatever the clock
//! does.

use std::sync::Arc;

use parking_lot::Mutex;
use ulid::{ULID_LEN, Ulid};

/// Makes event ids.
#[derive(Debug)]
pub struct Ids {
    last: Mutex<Ulid>,
    random: fn() -> u128,
}

impl Default for Ids {
    fn default() -> Self {
        Self { last: Mutex::new(Ulid::nil()), random: rand::random }
    }
}

impl Ids {
    /// Ids without randomness, for tests: the time, and 0, 1, 2 … within a millisecond.
    #[must_use]
    pub fn counting() -> Self {
        Self { random: || 0, ..Self::default() }
    }

    /// The next id. Larger than the one before, also where the clock went back.
    #[must_use]
    pub fn next(&self, now_ms: u64) -> Arc<str> {
        let ulid = self.next_ulid(now_ms);
        let mut digits = [0; ULID_LEN];
        Arc::from(&*ulid.array_to_str(&mut digits))
    }

    fn next_ulid(&self, now_ms: u64) -> Ulid {
        let mut last = self.last.lock();
        *last = if now_ms > last.timestamp_ms() {
            Ulid::from_parts(now_ms, (self.random)())
        } else {
            // Beyond the last id of a millisecond comes the first of the next.
            last.increment()
                .unwrap_or_else(|_| Ulid::from_parts(last.timestamp_ms() + 1, (self.random)()))
        };
        *last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_within_a_millisecond_and_when_the_clock_goes_back() {
        let ids = Ids::default();
        let made: Vec<_> = [5_000, 5_000, 5_000, 4_000, 5_001].map(|now| ids.next(now)).into();
        assert!(made.is_sorted(), "{made:?}");
        assert!(made.windows(2).all(|pair| pair[0] != pair[1]), "{made:?}");
        assert!(made.iter().all(|id| id.len() == ULID_LEN));
    }
}
