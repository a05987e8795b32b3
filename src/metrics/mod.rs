//! Everything the service counts, registered in one place under the names that `/metrics` shows
//! and `docs/operations/metrics.md` lists. It knows no layer; each layer moves its own counters.
//!
//! Invariant: the number of series is bounded, whatever is asked of the server.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use self::labels::ByReason;
pub use self::{
    flushes::{Flush, Flushes},
    labels::{Denied, Limited},
    latency::Latency,
    process::{Process, Usage},
    requests::{Kind, Requests},
};

mod flushes;
mod labels;
mod latency;
mod process;
mod requests;

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
    /// Requests answered, and the time until the answer began.
    pub requests: Requests,
    /// Bytes of bodies that came in.
    pub request_bytes: Counter,
    /// Bytes of bodies that went out.
    pub response_bytes: Counter,
    /// Time of an append, from its decision until it is durable.
    pub append_seconds: Latency,
    /// Flushes that took longer than a writer should wait.
    pub slow_flushes: Counter,
    /// The slowest flushes of late; not rendered.
    pub flushes: Flushes,
    /// Time of one compaction round.
    pub compaction_seconds: Latency,
    /// Block files that were copied and removed.
    pub reclaimed_files: Counter,
    /// Sweeps that came to their end.
    pub sweeps: Counter,
    /// Streams of which a sweep removed something.
    pub swept_streams: Counter,
    /// States of streams that were saved.
    pub checkpoints: Counter,
    /// Wakes of subscriptions that arrived.
    pub wakes_sent: Counter,
    /// Connections that are open. This gauge and those below are set when they are looked at.
    pub connections: Level,
    /// Streams that the log keeps open.
    pub open_streams: Level,
    /// States of streams in memory.
    pub live_views: Level,
    /// Records that the list of sessions has yet to fold.
    pub list_lag: Bytes,
    /// Subscriptions.
    pub subscriptions: Level,
    /// Subscriptions with a wake under way.
    pub subscriptions_pending: Level,
    /// Whether `/readyz` says yes.
    pub ready: Level,
    /// Bytes that are free on the disk of the data folder.
    pub disk_free_bytes: Bytes,
    /// Bytes of that disk.
    pub disk_size_bytes: Bytes,
    /// Bytes of the files of the data folder.
    pub data_bytes: Bytes,
    /// What the process uses.
    pub process: Process,
    /// Signatures of JSON Web Tokens that were checked.
    pub jwt_checks: Counter,
    denied: ByReason,
    limited: ByReason,
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
            requests: Requests::default(),
            request_bytes: Counter::default(),
            response_bytes: Counter::default(),
            append_seconds: Latency::default(),
            slow_flushes: Counter::default(),
            flushes: Flushes::default(),
            compaction_seconds: Latency::default(),
            reclaimed_files: Counter::default(),
            sweeps: Counter::default(),
            swept_streams: Counter::default(),
            checkpoints: Counter::default(),
            wakes_sent: Counter::default(),
            connections: Level::default(),
            open_streams: Level::default(),
            live_views: Level::default(),
            list_lag: Bytes::default(),
            subscriptions: Level::default(),
            subscriptions_pending: Level::default(),
            ready: Level::default(),
            disk_free_bytes: Bytes::default(),
            disk_size_bytes: Bytes::default(),
            data_bytes: Bytes::default(),
            process: Process::default(),
            jwt_checks: Counter::default(),
            denied: Denied::counters(),
            limited: Limited::counters(),
            registry: Registry::with_prefix("scrollback"),
        };
        metrics.register_log();
        metrics.register_store();
        metrics.register_folds();
        metrics.register_http();
        metrics
    }
}

impl Metrics {
    fn register_log(&mut self) {
        let r = &mut self.registry;
        // A gauge, not an info: what reads the older text form does not know those.
        let build = Family::<[(&str, &str); 1], Level>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        r.register("build_info", "What runs", build);
        r.register("appends", "Writes made durable", self.appends.clone());
        r.register("records", "Records made durable", self.records.clone());
        r.register("record_bytes", "Payload bytes made durable", self.record_bytes.clone());
        r.register("failed_writes", "Writes refused by the store", self.failed_writes.clone());
        r.register_with_unit(
            "append",
            "Time of an append, from its decision until it is durable",
            Unit::Seconds,
            self.append_seconds.clone(),
        );
        r.register("live_readers", "Live readers", self.readers.clone());
        r.register(
            "reader_lag_records",
            "Largest number of records a live reader was behind, since the last scrape",
            self.reader_lag.clone(),
        );
        r.register("open_streams", "Streams kept open by the log", self.open_streams.clone());
        r.register("sweeps", "Sweeps that came to their end", self.sweeps.clone());
        let help = "Streams of which a sweep removed something";
        r.register("swept_streams", help, self.swept_streams.clone());
        r.register("swept_records", "Records removed by retention", self.swept_records.clone());
    }

    fn register_store(&mut self) {
        let r = &mut self.registry;
        r.register_with_unit(
            "flush",
            "Time of one flush of the journal",
            Unit::Seconds,
            self.flush_seconds.clone(),
        );
        r.register("slow_flushes", "Flushes that kept writers waiting", self.slow_flushes.clone());
        r.register("group_writes", "Writes that shared one flush", self.group_writes.clone());
        r.register("queue_bytes", "Payload bytes waiting for the disk", self.queue_bytes.clone());
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
        r.register_with_unit(
            "compaction",
            "Time of one compaction round",
            Unit::Seconds,
            self.compaction_seconds.clone(),
        );
        let help = "Block files that were copied and removed";
        r.register("reclaimed_files", help, self.reclaimed_files.clone());
        let help = "Bytes free on the disk of the data folder; 0 until it was looked at";
        r.register("disk_free_bytes", help, self.disk_free_bytes.clone());
        let help = "Bytes of the disk of the data folder";
        r.register("disk_size_bytes", help, self.disk_size_bytes.clone());
        r.register("data_bytes", "Bytes of the data folder", self.data_bytes.clone());
    }

    fn register_folds(&mut self) {
        let r = &mut self.registry;
        r.register("live_views", "States of streams in memory", self.live_views.clone());
        r.register("checkpoints", "States that were saved", self.checkpoints.clone());
        let help = "Records that the list of sessions has yet to fold";
        r.register("list_lag_records", help, self.list_lag.clone());
        r.register(
            "unpinned_snapshots",
            "Snapshots whose state is not kept in memory for their reader, because too many are",
            self.unpinned_snapshots.clone(),
        );
        r.register("subscriptions", "Subscriptions", self.subscriptions.clone());
        let help = "Subscriptions with a wake under way";
        r.register("subscriptions_pending", help, self.subscriptions_pending.clone());
        r.register("wakes_sent", "Wakes that arrived", self.wakes_sent.clone());
        r.register("wakes_missed", "Wakes that did not arrive", self.wakes_missed.clone());
    }

    fn register_http(&mut self) {
        let r = &mut self.registry;
        r.register_collector(Box::new(self.requests.clone()));
        r.register("request_body_bytes", "Bytes of bodies that came", self.request_bytes.clone());
        let help = "Bytes of bodies that were sent";
        r.register("response_body_bytes", help, self.response_bytes.clone());
        r.register("server_errors", "Requests answered with a 5xx", self.server_errors.clone());
        r.register("auth_denied", "Requests that were not let in", self.denied.clone());
        let help = "Signatures of JSON Web Tokens that were checked";
        r.register("jwt_checks", help, self.jwt_checks.clone());
        let help = "Requests answered with a 429, and connections closed for a limit";
        r.register("rate_limited", help, self.limited.clone());
        r.register("connections", "Connections that are open", self.connections.clone());
        r.register("ready", "Whether /readyz says yes", self.ready.clone());
    }

    /// Counts a request that was not let in.
    pub fn deny(&self, reason: Denied) {
        reason.count(&self.denied);
    }

    /// Counts something of which there was too much.
    pub fn limit(&self, what: Limited) {
        what.count(&self.limited);
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
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, self.process.registry())?;
        encode_eof(&mut text)?;
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
