//! The load bench: closed loops over real sockets that measure what a client sees. It owns no
//! server, and works on any that speaks one of the two protocols. Invariant: nothing in a
//! measured loop is dearer than the request itself, so one thread loads a server on the next core.

mod append;
mod attacks;
mod catchup;
mod conn;
mod framing;
mod hostile;
mod idle;
mod log;
mod payload;
mod raw;
mod report;
mod resume;
mod soak;
mod sse;
mod tail;
mod target;

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, Subcommand};

use self::target::{Protocol, Target};
use super::connection::ServerUrl;
use crate::server::settings::parse_span;

/// Measure a server under load
#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Append(append::Append),
    Tail(tail::Tail),
    Catchup(catchup::Catchup),
    Resume(resume::Resume),
    Idle(idle::Idle),
    Hostile(hostile::Hostile),
    Raw(raw::Raw),
    Log(log::LogBench),
    Soak(soak::Soak),
}

/// What every measurement takes.
#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    server: ServerUrl,
    /// What the server speaks
    #[arg(long, value_enum, default_value_t = Protocol::Scrollback)]
    protocol: Protocol,
    /// Bytes of one event
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// Time that counts
    #[arg(long, default_value = "5s", value_parser = parse_span)]
    duration: Duration,
    /// Time before it that does not
    #[arg(long, default_value = "1s", value_parser = parse_span)]
    warmup: Duration,
    /// One JSON line on standard output, the table on standard error
    #[arg(long)]
    json: bool,
}

impl Common {
    fn target(&self) -> Result<Target> {
        Target::new(self.protocol, &self.server.url)
    }
}

impl Bench {
    /// Runs the measurement on the calling thread alone, and prints what it found.
    pub(super) fn run(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (rows, json) = match &self.what {
            What::Append(args) => (runtime.block_on(append::run(args))?, args.common.json),
            What::Tail(args) => (runtime.block_on(tail::run(args))?, args.common.json),
            What::Catchup(args) => (runtime.block_on(catchup::run(args))?, args.common.json),
            What::Resume(args) => (runtime.block_on(resume::run(args))?, args.common.json),
            What::Idle(args) => (runtime.block_on(idle::run(args))?, args.common.json),
            What::Hostile(args) => return runtime.block_on(hostile::run(args)),
            What::Raw(args) => (raw::run(args)?, args.json),
            What::Log(args) => (log::run(args)?, args.json),
            What::Soak(args) => return runtime.block_on(args.run()),
        };
        report::print(&rows, json)?;
        Ok(())
    }
}

/// The share of one core this thread took since `began`.
fn cpu_share(before: Option<Duration>, began: Instant) -> Option<f64> {
    let used = report::thread_cpu()?.checked_sub(before?)?;
    Some(used.as_secs_f64() / began.elapsed().as_secs_f64().max(1e-9))
}
