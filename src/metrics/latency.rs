//! A histogram of times that takes no lock: an append observes two of them.
//!
//! It refuses to know what is timed. Invariant: every time that was observed is in one bucket.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

/// Upper bounds of the buckets, microseconds: from what memory answers to what somebody gave up
/// waiting for.
const BOUNDS_US: [u32; 17] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// Times by how long they were, seconds. A clone is the same histogram.
#[derive(Debug, Clone, Default)]
pub struct Latency(Arc<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    counts: [AtomicU64; BOUNDS_US.len()],
    beyond: AtomicU64,
    sum_us: AtomicU64,
}

impl Latency {
    /// Notes a time.
    pub fn observe(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let found =
            BOUNDS_US.iter().zip(&self.0.counts).find(|(bound, _)| us <= u64::from(**bound));
        found.map_or(&self.0.beyond, |(_, count)| count).fetch_add(1, Relaxed);
        self.0.sum_us.fetch_add(us, Relaxed);
    }

    /// How many times were noted.
    #[must_use]
    pub fn count(&self) -> u64 {
        let counts = self.0.counts.iter().chain([&self.0.beyond]);
        counts.map(|count| count.load(Relaxed)).sum()
    }
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = BOUNDS_US.iter().map(|bound| f64::from(*bound) / 1e6);
        let counts = self.0.counts.iter().map(|count| count.load(Relaxed));
        let mut buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        buckets.push((f64::INFINITY, self.0.beyond.load(Relaxed)));
        // The count is that of the buckets as they were read, so that both agree.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_micros(self.0.sum_us.load(Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_that_holds_it() {
        let times = Latency::default();
        for us in [0, 50, 51, 10_000_000, 10_000_001] {
            times.observe(Duration::from_micros(us));
        }
        let mut registry = Registry::default();
        registry.register("x", "X", times.clone());
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "x_sum 20.000102",
            "x_count 5",
            "x_bucket{le=\"0.00005\"} 2",
            "x_bucket{le=\"0.0001\"} 3",
            "x_bucket{le=\"10.0\"} 4",
            "x_bucket{le=\"+Inf\"} 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert_eq!(times.count(), 5);
    }
}
