//! Random choices that a seed repeats. Pure. It knows nothing of what is chosen.

use std::time::Duration;

/// A sequence of numbers (SplitMix64): every actor has its own, made of the seed and its name.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// The sequence of a seed and a number of its user's.
    pub(super) fn new(seed: u64, user: u64) -> Self {
        let mut dice = Self(seed ^ user.wrapping_mul(0xD134_2543_DE82_EF95));
        dice.next();
        dice
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is taken for 1 where it is 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Whether this is one of so many times out of a hundred.
    pub(super) fn percent(&mut self, times: u64) -> bool {
        self.below(100) < times
    }

    /// A span of whole milliseconds from `least` on, shorter than `most`.
    pub(super) fn span_ms(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most.saturating_sub(least)))
    }

    /// One of some things.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let at = usize::try_from(self.below(of.len() as u64)).ok()?;
        of.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_user_choose_the_same_and_others_do_not() {
        let drawn = |seed, user| {
            let mut dice = Dice::new(seed, user);
            [dice.next(), dice.below(10), dice.next()]
        };
        assert_eq!(drawn(7, 1), drawn(7, 1));
        assert_ne!(drawn(7, 1), drawn(7, 2));
        assert_ne!(drawn(7, 1), drawn(8, 1));
    }

    #[test]
    fn spans_and_picks_keep_within_their_bounds() {
        let mut dice = Dice::new(1, 1);
        for _ in 0..200 {
            let span = dice.span_ms(5, 9);
            assert!((5..9).contains(&span.as_millis()));
            assert!(dice.pick(&[1, 2, 3]).is_some());
        }
        assert_eq!(dice.pick::<u8>(&[]), None);
    }
}
