//! `bench idle`: subscribers that only wait, and the server memory each of them takes. It reads
//! the server's resident memory from the system, so it runs on the server's machine.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::time::timeout;

use super::{
    Common,
    payload::Bodies,
    report::{Recorder, Row},
};
use crate::clock::{Clock, SystemClock};

/// Room for one read: these connections hardly ever have one.
const READ_BYTES: usize = 1_024;
/// How long a subscriber may take to be served its first bytes.
const FIRST_BYTES_WITHIN: Duration = Duration::from_secs(10);

/// Waiting: server memory for each idle subscriber
#[derive(Debug, Args)]
pub(super) struct Idle {
    #[command(flatten)]
    pub(super) common: Common,
    /// Subscribers to open
    #[arg(long, default_value_t = 1_000)]
    subscribers: usize,
    /// Streams they follow
    #[arg(long, default_value_t = 1)]
    streams: usize,
    /// Process id of the server
    #[arg(long)]
    pid: u32,
}

/// Opens the subscribers and returns the memory for each; latencies are those of opening.
pub(super) async fn run(args: &Idle) -> Result<Vec<Row>> {
    let target = args.common.target()?;
    let streams = args.streams.max(1);
    target.create(streams).await?;
    let mut writer = target.connect(READ_BYTES).await?;
    let bodies = Bodies::prepare(args.common.size, 1)?;
    let mut from = Vec::with_capacity(streams);
    for stream in 0..streams {
        from.push(target.append(&mut writer, stream, bodies.pick(stream)).await?);
    }
    SystemClock.sleep(args.common.warmup).await;
    let before = resident_bytes(args.pid)?;
    let recorder = Recorder::new(Duration::ZERO, Duration::from_hours(24))?;
    let began = Instant::now();
    let mut open = Vec::with_capacity(args.subscribers);
    for (stream, from) in from.iter().enumerate().cycle().take(args.subscribers) {
        let sent = Instant::now();
        let mut conn = target.follow(stream, from, READ_BYTES).await?;
        let first = timeout(FIRST_BYTES_WITHIN, conn.piece()).await;
        ensure!(first.context("a subscriber was not served")??.is_some(), "a live read ended");
        recorder.done(sent, Instant::now(), 0, 0);
        open.push(conn);
    }
    let took = began.elapsed();
    SystemClock.sleep(args.common.duration).await;
    let grown = resident_bytes(args.pid)?.saturating_sub(before);
    let setup = format!("{} subscribers, {streams} streams", args.subscribers);
    let mut row = recorder.row("idle", &setup, Some(took));
    row.rss_bytes = Some(grown / open.len().max(1) as u64);
    Ok(vec![row])
}

/// The memory of a process that is in RAM.
pub(super) fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("no process {pid} here"))?;
    resident_in(&status).context("the system does not tell the resident memory")
}

fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_a_status_file() {
        assert_eq!(resident_in("Name:\tx\nVmRSS:\t   2048 kB\nThreads:\t1\n"), Some(2_097_152));
        assert_eq!(resident_in("Name:\tx\n"), None);
    }
}
