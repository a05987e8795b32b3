//! `bench append`: writers that each send an append, wait for its acknowledgement, and send the
//! next. Invariant: an append counts only once it was acknowledged.

use std::{sync::Arc, time::Instant};

use anyhow::Result;
use clap::Args;
use tokio::task::JoinSet;

use super::{
    Common,
    conn::Conn,
    payload::Bodies,
    report::{Recorder, Row, thread_cpu},
    target::Target,
};

/// A writer that fails this often in a row gives up.
const FAILURES_MAX: u32 = 20;
/// Room for one answer: larger than any, so that one read takes it whole …
const ANSWER_BYTES: usize = 4_096;
/// … also where it lists the id of each event.
const ANSWER_BYTES_EACH: usize = 64;

/// Appends as fast as they are acknowledged
#[derive(Debug, Args)]
pub(super) struct Append {
    #[command(flatten)]
    pub(super) common: Common,
    /// Connections that write at the same time
    #[arg(long, default_value_t = 64)]
    writers: usize,
    /// Streams they write to
    #[arg(long, default_value_t = 1)]
    streams: usize,
    /// Events in each append
    #[arg(long, default_value_t = 1)]
    batch: usize,
}

struct Plan {
    target: Target,
    bodies: Bodies,
    recorder: Recorder,
    writers: usize,
    streams: usize,
    batch: u64,
    answer_bytes: usize,
}

/// Runs the writers and returns what they achieved.
pub(super) async fn run(args: &Append) -> Result<Vec<Row>> {
    let target = args.common.target()?;
    let bodies = Bodies::prepare(args.common.size, args.batch)?;
    target.create(args.streams).await?;
    let answer_bytes = ANSWER_BYTES + args.batch * ANSWER_BYTES_EACH;
    let mut conns = Vec::with_capacity(args.writers);
    for _ in 0..args.writers {
        conns.push(target.connect(answer_bytes).await?);
    }
    let plan = Arc::new(Plan {
        target,
        bodies,
        recorder: Recorder::new(args.common.warmup, args.common.duration)?,
        writers: args.writers,
        streams: args.streams.max(1),
        batch: args.batch as u64,
        answer_bytes,
    });
    let (began, cpu) = (Instant::now(), thread_cpu());
    let mut writers = JoinSet::new();
    for (index, conn) in conns.into_iter().enumerate() {
        writers.spawn(write(Arc::clone(&plan), index, conn));
    }
    while let Some(ended) = writers.join_next().await {
        ended?;
    }
    let setup = format!("{} writers, {} streams, batch {}", args.writers, args.streams, args.batch);
    let mut row = plan.recorder.row("append", &setup, None);
    row.generator_cpu = super::cpu_share(cpu, began);
    Ok(vec![row])
}

async fn write(plan: Arc<Plan>, writer: usize, mut conn: Conn) {
    let heads = heads(&plan, writer);
    let mut request = Vec::with_capacity(plan.bodies.body_bytes() + 512);
    let mut failures = 0;
    for (turn, head) in heads.iter().cycle().enumerate() {
        request.clear();
        request.extend_from_slice(head);
        // Writers start at different places, so that neighbours in the log differ.
        request.extend_from_slice(plan.bodies.pick(turn + writer * 17));
        let sent = Instant::now();
        if plan.recorder.is_over(sent) || failures >= FAILURES_MAX {
            return;
        }
        match conn.exchange(&request).await {
            Ok(status) if (200..300).contains(&status) => {
                failures = 0;
                plan.recorder.done(sent, Instant::now(), plan.batch, request.len() as u64);
            }
            Ok(status) => {
                failures += 1;
                plan.recorder.failed(&format!("an append was answered {status}"));
            }
            Err(error) => {
                failures += 1;
                plan.recorder.failed(&error);
                if let Ok(again) = plan.target.connect(plan.answer_bytes).await {
                    conn = again;
                }
            }
        }
    }
}

/// The request heads a writer goes through: its share of the streams, or its one stream.
fn heads(plan: &Plan, writer: usize) -> Vec<Vec<u8>> {
    share(writer, plan.writers, plan.streams)
        .map(|stream| plan.target.append_head(stream, plan.bodies.body_bytes()))
        .collect()
}

fn share(writer: usize, writers: usize, streams: usize) -> impl Iterator<Item = usize> {
    let count = streams.saturating_sub(writer % streams).div_ceil(writers).max(1);
    (0..count).map(move |turn| (writer + turn * writers) % streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(writers: usize, streams: usize) -> Vec<Vec<usize>> {
        (0..writers).map(|writer| share(writer, writers, streams).collect()).collect()
    }

    #[test]
    fn every_stream_has_a_writer_and_writers_keep_apart() {
        assert_eq!(shares(3, 1), [[0], [0], [0]]);
        assert_eq!(shares(2, 5), [vec![0, 2, 4], vec![1, 3]]);
        let mut all: Vec<usize> = shares(64, 1_000).concat();
        all.sort_unstable();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>());
    }
}
