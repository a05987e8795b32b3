//! What a run measured: a recorder that many tasks share, and its table and JSON line. It knows
//! numbers, not how they came about.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;

/// Longest latency that is told apart from longer ones.
const LATENCY_MAX_NS: u64 = 120_000_000_000;

#[derive(Debug)]
struct Counts {
    latency_ns: Histogram<u64>,
    requests: u64,
    events: u64,
    bytes: u64,
    errors: u64,
    first_error: Option<String>,
}

/// Collects from every task of a run; what happens during the warm-up is not counted.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    counts: Arc<Mutex<Counts>>,
    from: Instant,
    until: Instant,
}

impl Recorder {
    /// Counts what ends after `warmup` and within `duration` from then.
    pub(super) fn new(warmup: Duration, duration: Duration) -> Result<Self> {
        let counts = Counts {
            latency_ns: Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3)?,
            requests: 0,
            events: 0,
            bytes: 0,
            errors: 0,
            first_error: None,
        };
        let from = Instant::now() + warmup;
        let until = from + duration;
        Ok(Self { counts: Arc::new(Mutex::new(counts)), from, until })
    }

    /// Whether the run is over at `now`.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// Counts a request that ended at `now` and carried `events`.
    pub(super) fn done(&self, sent: Instant, now: Instant, events: u64, bytes: u64) {
        if now < self.from || now > self.until {
            return;
        }
        let mut counts = self.counts.lock();
        counts.latency_ns.saturating_record(nanos(now - sent));
        counts.requests += 1;
        counts.events += events;
        counts.bytes += bytes;
    }

    /// Counts an event that took `latency` to arrive, whenever that was.
    pub(super) fn arrived(&self, latency_ns: u64) {
        let mut counts = self.counts.lock();
        counts.latency_ns.saturating_record(latency_ns);
        counts.events += 1;
    }

    /// Counts a failure, whenever it was: there should be none.
    pub(super) fn failed(&self, error: &dyn std::fmt::Display) {
        let mut counts = self.counts.lock();
        counts.errors += 1;
        counts.first_error.get_or_insert_with(|| error.to_string());
    }

    /// The figures, over the time the run was meant to take or over `took` where that is known.
    pub(super) fn row(&self, bench: &'static str, setup: &str, took: Option<Duration>) -> Row {
        let counts = self.counts.lock();
        let seconds = took.unwrap_or(self.until - self.from).as_secs_f64();
        let ms = |quantile: f64| millis(counts.latency_ns.value_at_quantile(quantile));
        Row {
            bench,
            setup: setup.to_owned(),
            seconds,
            events_per_s: per_second(counts.events, seconds),
            requests_per_s: per_second(counts.requests, seconds),
            mb_per_s: per_second(counts.bytes, seconds) / 1e6,
            p50_ms: ms(0.5),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
            max_ms: millis(counts.latency_ns.max()),
            events: counts.events,
            errors: counts.errors,
            first_error: counts.first_error.clone(),
            generator_cpu: None,
            rss_bytes: None,
        }
    }
}

/// One line of results.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) bench: &'static str,
    pub(super) setup: String,
    pub(super) seconds: f64,
    pub(super) events_per_s: f64,
    pub(super) requests_per_s: f64,
    pub(super) mb_per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    pub(super) events: u64,
    pub(super) errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_error: Option<String>,
    /// Share of one core the load generator took: near 1 it may be the bottleneck itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) generator_cpu: Option<f64>,
    /// Resident memory of the server for each idle reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rss_bytes: Option<u64>,
}

/// Prints the rows: a table, and with `json` one JSON line each on standard output.
pub(super) fn print(rows: &[Row], json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        for row in rows {
            writeln!(out, "{}", serde_json::to_string(row)?)?;
        }
        return io::stderr().lock().write_all(table(rows).as_bytes());
    }
    out.write_all(table(rows).as_bytes())
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.setup.len()).max().unwrap_or(0).max(5);
    let mut text = format!(
        "{:<8} {:<width$} {:>10} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>6} {:>5}\n",
        "bench",
        "setup",
        "events/s",
        "req/s",
        "MB/s",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "max ms",
        "errors",
        "gen%"
    );
    for row in rows {
        let cpu = row.generator_cpu.map_or_else(String::new, |cpu| format!("{:.0}", cpu * 100.0));
        let _ = writeln!(
            text,
            "{:<8} {:<width$} {:>10.0} {:>9.0} {:>8.1} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>6} {cpu:>5}",
            row.bench,
            row.setup,
            row.events_per_s,
            row.requests_per_s,
            row.mb_per_s,
            row.p50_ms,
            row.p90_ms,
            row.p99_ms,
            row.max_ms,
            row.errors
        );
        if let Some(bytes) = row.rss_bytes {
            let _ = writeln!(text, "         {bytes} bytes of server memory for each reader");
        }
        if let Some(error) = &row.first_error {
            let _ = writeln!(text, "         first error: {error}");
        }
    }
    text
}

/// The processor time this thread has used, where the system tells.
pub(super) fn thread_cpu() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Whole nanoseconds.
pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(1e-9)
}
