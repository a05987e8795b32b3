//! Whether memory is flat. Pure: samples in, a verdict out.
//!
//! The rule: of one life of the server, the median of the last quarter is at most the median of
//! the second quarter, a tenth more, and [`ALLOWANCE_BYTES`]. The first quarter is left out,
//! for caches and tables fill then. The allowance is what the two page caches may still take after
//! it (`limits::PAGE_CACHE_BYTES`, `limits::NEWEST_CACHE_BYTES`); in a run of a minute it is most
//! of what is seen, in one of half an hour a leak of 100 bytes an event is several times that.

use serde::Serialize;

use crate::limits;

/// Growth that is none: caches that have a bound.
const ALLOWANCE_BYTES: u64 = (limits::PAGE_CACHE_BYTES + limits::NEWEST_CACHE_BYTES) as u64;
/// Samples below which nothing is said.
const SAMPLES_MIN: usize = 12;

/// What the samples of one life say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Verdict {
    /// Median of the second quarter.
    pub(super) early_bytes: u64,
    /// Median of the last quarter.
    pub(super) late_bytes: u64,
    /// The most that `late_bytes` may be.
    pub(super) allowed_bytes: u64,
    /// Whether it is.
    pub(super) is_flat: bool,
}

/// Judges resident bytes that were sampled at equal distances, oldest first; `None` where there
/// are too few.
pub(super) fn judge(samples: &[u64]) -> Option<Verdict> {
    let quarter = samples.len() / 4;
    if samples.len() < SAMPLES_MIN {
        return None;
    }
    let early_bytes = median(samples.get(quarter..2 * quarter)?)?;
    let late_bytes = median(samples.get(samples.len() - quarter..)?)?;
    let allowed_bytes = early_bytes + early_bytes / 10 + ALLOWANCE_BYTES;
    Some(Verdict { early_bytes, late_bytes, allowed_bytes, is_flat: late_bytes <= allowed_bytes })
}

fn median(of: &[u64]) -> Option<u64> {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn is_flat(samples: impl Iterator<Item = u64>) -> bool {
        judge(&samples.collect::<Vec<_>>()).unwrap().is_flat
    }

    #[test]
    fn memory_that_fills_its_caches_and_stays_is_flat() {
        assert!(is_flat((0..900).map(|second| 60 * MIB + second.min(200) * MIB / 4)));
        assert!(is_flat(std::iter::repeat_n(MIB, 12)));
    }

    #[test]
    fn a_steady_leak_is_not_flat() {
        assert!(!is_flat((0..900).map(|second| 100 * MIB + second * 200 * 1024)));
    }

    #[test]
    fn a_spike_is_no_leak_and_a_step_that_stays_is_one() {
        assert!(is_flat((0..400).map(|s| if s % 50 == 0 { 2_000 * MIB } else { 100 * MIB })));
        assert!(!is_flat((0..400).map(|s| if s > 250 { 300 * MIB } else { 100 * MIB })));
    }

    #[test]
    fn of_a_few_samples_nothing_is_said() {
        assert_eq!(judge(&[1; 11]), None);
        assert!(judge(&[1; 12]).is_some());
    }
}
