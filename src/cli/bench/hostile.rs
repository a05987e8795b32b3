//! `bench hostile`: what one who writes now and then sees while others mean harm. Each attack runs
//! in a process of its own at the lowest priority, so that its own work is not measured, and is
//! compared with the quiet time right before it.

use std::{
    io::Write as _,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum as _};

use super::{
    Common,
    attacks::Attack,
    idle::resident_bytes,
    payload::Bodies,
    report::{Recorder, Row},
    target::Target,
};
use crate::clock::{Clock, SystemClock};

/// Attacks: how long an honest append takes under each, and the server's memory
#[derive(Debug, Args)]
pub(super) struct Hostile {
    #[command(flatten)]
    pub(super) common: Common,
    /// Process id of the server
    #[arg(long)]
    pid: Option<u32>,
    /// Only these attacks
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Attack>,
    /// Attack, and measure nothing
    #[arg(long, value_enum, hide = true)]
    attack: Option<Attack>,
}

/// How often the honest one writes: far below any limit.
const WRITE_EVERY: Duration = Duration::from_millis(4);
/// Time for an attack to be under way.
const UNDER_WAY_AFTER: Duration = Duration::from_secs(2);
const ANSWER_BYTES: usize = 4_096;

/// An attack in a process of its own, which ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the attacks one after the other and prints what was found.
pub(super) async fn run(args: &Hostile) -> Result<()> {
    let server = address(&args.common.server.url)?;
    if let Some(attack) = args.attack {
        return attack.run(server).await;
    }
    let pid = args.pid.context("--pid says which process's memory is looked at")?;
    let target = args.common.target()?;
    target.create(1).await?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| attack | quiet p50, p99 (ms) | under attack p50, p99 (ms) | p99, times | errors | server's memory before, after (MiB) |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    let all = if args.only.is_empty() { Attack::value_variants() } else { &args.only };
    for attack in all {
        let before = resident_bytes(pid)?;
        let quiet = honest(args, &target).await?;
        let running = begin(*attack, &args.common.server.url)?;
        SystemClock.sleep(UNDER_WAY_AFTER).await;
        let attacked = honest(args, &target).await?;
        let after = resident_bytes(pid)?;
        drop(running);
        let name = attack.to_possible_value().context("an attack has a name")?;
        writeln!(
            out,
            "| {} | {:.2}, {:.2} | {:.2}, {:.2} | {:.1} | {} | {}, {} |",
            name.get_name(),
            quiet.p50_ms,
            quiet.p99_ms,
            attacked.p50_ms,
            attacked.p99_ms,
            attacked.p99_ms / quiet.p99_ms.max(1e-3),
            quiet.errors + attacked.errors,
            before / MIB,
            after / MIB
        )?;
        // What the attack held is let go of before the next quiet time.
        SystemClock.sleep(UNDER_WAY_AFTER).await;
    }
    Ok(())
}

const MIB: u64 = 1024 * 1024;

/// One who writes now and then, for as long as is asked for.
async fn honest(args: &Hostile, target: &Target) -> Result<Row> {
    let recorder = Recorder::new(args.common.warmup, args.common.duration)?;
    let bodies = Bodies::prepare(args.common.size, 1)?;
    let mut conn = target.connect(ANSWER_BYTES).await?;
    for turn in 0.. {
        let sent = Instant::now();
        if recorder.is_over(sent) {
            break;
        }
        match target.append(&mut conn, 0, bodies.pick(turn)).await {
            Ok(_) => recorder.done(sent, Instant::now(), 1, args.common.size as u64),
            Err(error) => {
                recorder.failed(&error);
                conn = target.connect(ANSWER_BYTES).await?;
            }
        }
        SystemClock.sleep(WRITE_EVERY).await;
    }
    let row = recorder.row("hostile", "honest", None);
    ensure!(row.requests_per_s > 0.0, "nothing was answered: {:?}", row.first_error);
    Ok(row)
}

fn begin(attack: Attack, url: &str) -> Result<Running> {
    let name = attack.to_possible_value().context("an attack has a name")?;
    let itself = std::env::current_exe().context("where this program is")?;
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(itself).args(["bench", "hostile", "--url", url, "--attack"]);
    command.arg(name.get_name()).stdout(Stdio::null());
    Ok(Running(command.spawn().context("starting an attack with `nice`")?))
}

fn address(url: &str) -> Result<SocketAddr> {
    let host = url.strip_prefix("http://").context("the bench speaks plain http:// only")?;
    let host = host.trim_end_matches('/');
    host.parse().with_context(|| format!("attacks want an address and a port, not {host:?}"))
}
