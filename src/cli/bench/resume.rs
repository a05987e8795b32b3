//! `bench resume`: clients that come back. Each connects anew, asks for what follows an offset
//! near the tail, and measures the time from there to the first event.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio::task::JoinSet;

use super::{
    Common, catchup,
    payload::Bodies,
    report::{Recorder, Row, thread_cpu},
    sse::SseParser,
    target::Target,
};

/// Room for one read.
const READ_BYTES: usize = 8_192;
/// A client that fails this often gives up.
const FAILURES_MAX: u32 = 20;

/// Coming back: short connections that read from an offset near the tail
#[derive(Debug, Args)]
pub(super) struct Resume {
    #[command(flatten)]
    pub(super) common: Common,
    /// Clients that do so at the same time
    #[arg(long, default_value_t = 16)]
    subscribers: usize,
    /// Events in the stream
    #[arg(long, default_value_t = 10_000)]
    events: usize,
    /// Events a client has missed
    #[arg(long, default_value_t = 10)]
    behind: usize,
}

/// Loads the stream, lets the clients come and go, and returns the times to the first event.
pub(super) async fn run(args: &Resume) -> Result<Vec<Row>> {
    let target = args.common.target()?;
    let (_, from) = catchup::load(&target, args.common.size, args.events).await?;
    let mut conn = target.connect(READ_BYTES).await?;
    let bodies = Bodies::prepare(args.common.size, 1)?;
    for turn in 0..args.behind.max(1) {
        target.append(&mut conn, 0, bodies.pick(turn)).await?;
    }
    let recorder = Arc::new(Recorder::new(args.common.warmup, args.common.duration)?);
    let (began, cpu) = (Instant::now(), thread_cpu());
    let mut clients = JoinSet::new();
    for _ in 0..args.subscribers {
        clients.spawn(come_and_go(target.clone(), Arc::clone(&recorder), from.clone()));
    }
    while let Some(ended) = clients.join_next().await {
        ended?;
    }
    let setup = format!("{} clients, {} events behind", args.subscribers, args.behind);
    let mut row = recorder.row("resume", &setup, None);
    row.generator_cpu = super::cpu_share(cpu, began);
    Ok(vec![row])
}

async fn come_and_go(target: Target, recorder: Arc<Recorder>, from: String) {
    let mut failures = 0;
    loop {
        let sent = Instant::now();
        if recorder.is_over(sent) || failures >= FAILURES_MAX {
            return;
        }
        match first_event(&target, &from).await {
            Ok(bytes) => recorder.done(sent, Instant::now(), 1, bytes),
            Err(error) => {
                failures += 1;
                recorder.failed(&format!("{error:#}"));
            }
        }
    }
}

/// Connects, reads the first event, and drops the connection.
async fn first_event(target: &Target, from: &str) -> Result<u64> {
    let mut conn = target.follow(0, from, READ_BYTES).await?;
    let mut parser = SseParser::new();
    let mut first = None;
    while first.is_none() {
        let Some(piece) = conn.piece().await? else {
            bail!("the live read ended without an event")
        };
        parser.feed(piece, |event| {
            if event.name.is_empty() || event.name == b"data" {
                first.get_or_insert(event.data.len() as u64);
            }
        });
    }
    conn.abandon()?;
    first.context("no event")
}
