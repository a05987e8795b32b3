//! `bench log`: the log without HTTP. Concurrent appenders over a store in a folder of their
//! own, beside the raw limit of the same groups in the same run.

use std::{
    env,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use tokio::task::JoinSet;

use super::{
    payload::Bodies,
    report::{Recorder, Row},
};
use crate::{
    clock::SystemClock,
    log::{self, Append, NewRecord, StreamPath},
    metrics::Metrics,
    server::settings::parse_span,
    store::sled::SledStore,
};

/// The log without HTTP: concurrent appends, each durable
#[derive(Debug, Args)]
pub(super) struct LogBench {
    /// Appenders at work at the same time
    #[arg(long, default_value_t = 64)]
    writers: usize,
    /// Streams they take turns with
    #[arg(long, default_value_t = 1_000)]
    streams: usize,
    /// Events each append carries
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Bytes of one event
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// Time that counts
    #[arg(long, default_value = "5s", value_parser = parse_span)]
    duration: Duration,
    /// Folder for the data, on the disk to measure [default: the temporary folder]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// One JSON line on standard output, the table on standard error
    #[arg(long)]
    pub(super) json: bool,
}

/// Measures, and removes what it wrote.
pub(super) fn run(args: &LogBench) -> Result<Vec<Row>> {
    let dir = args.dir.clone().unwrap_or_else(env::temp_dir);
    let path = dir.join(format!("scrollback-log-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let row = runtime.block_on(measure(args, &path));
    std::fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(vec![row?])
}

async fn measure(args: &LogBench, path: &std::path::Path) -> Result<Row> {
    let metrics = Arc::new(Metrics::default());
    let store = Arc::new(SledStore::open(path, Arc::clone(&metrics))?);
    let log = log::Log::new(store, Arc::new(SystemClock), log::Settings::default(), metrics);
    let streams = (0..args.streams.max(1)).map(|n| StreamPath::parse(&format!("bench/{n}")));
    let streams = Arc::new(streams.collect::<Result<Vec<_>, _>>()?);
    let bodies = Bodies::prepare(args.size, 1)?;
    let payloads: Arc<Vec<Bytes>> =
        Arc::new((0..512).map(|turn| Bytes::copy_from_slice(bodies.pick(turn))).collect());
    let recorder = Recorder::new(Duration::from_secs(1), args.duration)?;
    let mut tasks = JoinSet::new();
    for writer in 0..args.writers.max(1) {
        let appender = Appender {
            log: log.clone(),
            streams: Arc::clone(&streams),
            payloads: Arc::clone(&payloads),
            recorder: recorder.clone(),
            step: args.writers.max(1),
            batch: args.batch.max(1),
        };
        tasks.spawn(appender.run(writer));
    }
    for ended in tasks.join_all().await {
        ended?;
    }
    log.stop().await?;
    let what = format!("{} writers, {} streams, batch {}", args.writers, args.streams, args.batch);
    Ok(recorder.row("log", &what, None))
}

struct Appender {
    log: log::Log,
    streams: Arc<Vec<StreamPath>>,
    payloads: Arc<Vec<Bytes>>,
    recorder: Recorder,
    step: usize,
    batch: usize,
}

impl Appender {
    async fn run(self, writer: usize) -> Result<()> {
        let (mut stream, mut payload) = (writer, writer);
        loop {
            let began = Instant::now();
            if self.recorder.is_over(began) {
                return Ok(());
            }
            let path = self.streams.get(stream % self.streams.len()).context("no stream")?;
            stream += self.step;
            let records = (0..self.batch).map(|_| {
                payload += 1;
                let payload = self.payloads.get(payload % self.payloads.len()).cloned();
                NewRecord { id: None, payload: payload.unwrap_or_default() }
            });
            let append = Append::json(records);
            let bytes: usize = append.records.iter().map(|record| record.payload.len()).sum();
            self.log.append(path, append).await?;
            self.recorder.done(began, Instant::now(), self.batch as u64, bytes as u64);
        }
    }
}
