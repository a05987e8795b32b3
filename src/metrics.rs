//! Everything the service counts, registered in one place under the names that `/metrics` shows.
//! It knows no layer; each layer moves its own counters.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

type Level = Gauge<i64>;
type Bytes = Gauge<u64, AtomicU64>;

/// The counters of one server.
#[derive(Debug)]
pub struct Metrics {
    /// Writes made durable.
    pub appends: Counter,
    /// Records made durable.
    pub records: Counter,
    /// Payload bytes made durable.
    pub record_bytes: Counter,
    /// Writes that were refused by the store.
    pub failed_writes: Counter,
    /// Time of one flush of the journal, seconds.
    pub flush_seconds: Histogram,
    /// Writes that shared one flush.
    pub group_writes: Histogram,
    /// Payload bytes that wait for the disk.
    pub queue_bytes: Bytes,
    /// Live readers.
    pub readers: Level,
    /// Records that live readers have yet to be given, at their last step, the largest since the
    /// last look.
    pub reader_lag: Bytes,
    /// Records removed by retention.
    pub swept_records: Counter,
    /// Journal bytes that a restart would replay.
    pub journal_bytes: Bytes,
    /// Payload bytes held in memory for the journal.
    pub memtable_bytes: Bytes,
    /// Bytes of block files.
    pub block_bytes: Bytes,
    /// Bytes of block files that are still referred to.
    pub live_block_bytes: Bytes,
    /// Compaction rounds.
    pub compactions: Counter,
    /// Wakes of subscriptions that did not arrive, once for each try.
    pub wakes_missed: Counter,
    /// Snapshots whose state was not kept in memory for their reader: too many are.
    pub unpinned_snapshots: Counter,
    /// Requests answered with a 5xx.
    pub server_errors: Counter,
    /// Requests that were refused because their sender is over a limit.
    pub rate_limited: Counter,
    registry: Registry,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = [
            0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
            1.0,
        ];
        let sizes = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
        let mut metrics = Self {
            appends: Counter::default(),
            records: Counter::default(),
            record_bytes: Counter::default(),
            failed_writes: Counter::default(),
            flush_seconds: Histogram::new(seconds),
            group_writes: Histogram::new(sizes),
            queue_bytes: Bytes::default(),
            readers: Level::default(),
            reader_lag: Bytes::default(),
            swept_records: Counter::default(),
            journal_bytes: Bytes::default(),
            memtable_bytes: Bytes::default(),
            block_bytes: Bytes::default(),
            live_block_bytes: Bytes::default(),
            compactions: Counter::default(),
            wakes_missed: Counter::default(),
            unpinned_snapshots: Counter::default(),
            server_errors: Counter::default(),
            rate_limited: Counter::default(),
            registry: Registry::with_prefix("scrollback"),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("appends", "Writes made durable", self.appends.clone());
        r.register("records", "Records made durable", self.records.clone());
        r.register("record_bytes", "Payload bytes made durable", self.record_bytes.clone());
        r.register("failed_writes", "Writes refused by the store", self.failed_writes.clone());
        r.register_with_unit(
            "flush",
            "Time of one flush of the journal",
            Unit::Seconds,
            self.flush_seconds.clone(),
        );
        r.register("group_writes", "Writes that shared one flush", self.group_writes.clone());
        r.register("queue_bytes", "Payload bytes waiting for the disk", self.queue_bytes.clone());
        r.register("live_readers", "Live readers", self.readers.clone());
        r.register(
            "reader_lag_records",
            "Largest number of records a live reader was behind, since the last scrape",
            self.reader_lag.clone(),
        );
        r.register("swept_records", "Records removed by retention", self.swept_records.clone());
        r.register(
            "journal_bytes",
            "Journal bytes that a restart would replay",
            self.journal_bytes.clone(),
        );
        r.register(
            "memtable_bytes",
            "Payload bytes held in memory for the journal",
            self.memtable_bytes.clone(),
        );
        r.register("store_block_bytes", "Bytes of block files", self.block_bytes.clone());
        r.register(
            "store_live_block_bytes",
            "Bytes of block files still referred to",
            self.live_block_bytes.clone(),
        );
        r.register("compactions", "Compaction rounds", self.compactions.clone());
        r.register("wakes_missed", "Wakes that did not arrive", self.wakes_missed.clone());
        r.register(
            "unpinned_snapshots",
            "Snapshots whose state is not kept in memory for their reader, because too many are",
            self.unpinned_snapshots.clone(),
        );
        r.register("server_errors", "Requests answered with a 5xx", self.server_errors.clone());
        r.register(
            "rate_limited",
            "Requests refused because their sender is over a limit",
            self.rate_limited.clone(),
        );
    }

    /// Notes how far a live reader is behind.
    pub fn note_lag(&self, records: u64) {
        self.reader_lag.inner().fetch_max(records, std::sync::atomic::Ordering::Relaxed);
    }

    /// The `OpenMetrics` text form.
    ///
    /// # Errors
    /// A metric could not be formatted.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        self.reader_lag.set(0);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_shows_under_its_documented_name() {
        let metrics = Metrics::default();
        metrics.appends.inc();
        metrics.note_lag(7);
        metrics.note_lag(3);
        let text = metrics.render().unwrap();
        for line in ["scrollback_appends_total 1", "scrollback_reader_lag_records 7"] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(metrics.render().unwrap().contains("scrollback_reader_lag_records 0"));
    }
}
