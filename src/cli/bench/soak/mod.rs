//! `bench soak`: mixed load on a server of its own, which is killed and stopped and started again
//! in the first half of the time and lives through the second, with readers that lose their
//! connections, writers that lose their answers, and people who do harm all the while. At the end
//! every stream is read back, the folder is verified, and memory must be flat (`flat.rs`).
//!
//! It knows the interface and nothing of the server's inside. Invariant: what it reports as lost,
//! doubled or changed was acknowledged or shown, and is so by the answers of the server itself.

mod asking;
mod churn;
mod dice;
mod flat;
mod keeper;
mod ledger;
mod lives;
mod nuisance;
mod process;
mod readers;
mod run;
mod settle;
mod writers;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use tokio::{task::JoinSet, time::timeout};

use self::{
    flat::Verdict,
    process::Server,
    readers::Followed,
    run::{Counted, Phase, Run},
    writers::Wrote,
};
use crate::{
    clock::{Clock, SystemClock},
    server::settings::parse_span,
};

/// Sessions that are written to, each by two writers.
const SESSIONS: u64 = 6;
/// Streams of producers.
const PRODUCERS: u64 = 3;
/// Writers that begin and end whole sessions.
const LIVES: u64 = 3;
/// Followers of each session.
const FOLLOWERS: u64 = 2;
/// By then readers have come to the tails, and everybody has left.
const DRAIN_WITHIN: Duration = Duration::from_secs(90);
/// How often the faults and the memory are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How often a line says how it goes.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Mixed load with kills and harm on a server of its own; ends with 0 if nothing was lost
#[derive(Debug, Args)]
pub(super) struct Soak {
    /// How long the load lasts; reading back and checking come after it
    #[arg(long, default_value = "30m", value_parser = parse_span)]
    duration: Duration,
    /// Where all choices come from [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// Folder for the server's data and words; kept where something was found [default: a
    /// temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What is printed at the end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    seed: u64,
    seconds: f64,
    kills: u64,
    stops: u64,
    #[serde(flatten)]
    counted: Counted,
    read_back: u64,
    memory: Option<Verdict>,
    peak_bytes: u64,
    verify: Vec<String>,
    findings: Vec<String>,
}

/// What an actor leaves behind.
enum Left {
    Wrote(Wrote),
    Followed(Vec<Followed>),
    Nothing,
}

/// What became of the server, as far as it was looked at.
#[derive(Default)]
struct Watched {
    kills: u64,
    stops: u64,
    /// Resident bytes, a sample a second, of the long life.
    samples: Vec<u64>,
    peak_bytes: u64,
}

impl Soak {
    /// Runs it and prints the summary.
    ///
    /// # Errors
    /// Something was found, or it could not be run.
    pub(super) async fn run(&self) -> Result<()> {
        let seed = self.seed.unwrap_or_else(|| SystemClock.now_ms());
        let name = format!("scrollback-soak-{}", std::process::id());
        let dir = self.dir.clone().unwrap_or_else(|| std::env::temp_dir().join(name));
        let mut server = Server::new(&dir)?;
        let run = Arc::new(Run::new(seed, server.address().to_owned()));
        say(&format!("soak of {:?}, seed {seed}, in {}", self.duration, dir.display()));
        let summary = self.soaked(&run, &mut server, &dir).await.with_context(|| {
            format!("seed {seed}, in {}; found so far: {:?}", dir.display(), run.findings())
        })?;
        let mut out = io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&summary)?)?;
        if let Some(first) = summary.findings.first() {
            let many = summary.findings.len();
            bail!("seed {seed}: {many} findings, the data is in {}; first: {first}", dir.display());
        }
        // Somebody's own folder is theirs to remove.
        if self.dir.is_none() {
            drop(std::fs::remove_dir_all(&dir));
        }
        Ok(())
    }

    async fn soaked(&self, run: &Arc<Run>, server: &mut Server, dir: &Path) -> Result<Summary> {
        let began = Instant::now();
        server.start().await?;
        let (mut writers, mut readers) = (writers(run, dir), readers(run));
        let watched = self.watch(run, server).await?;
        run.enter(Phase::Drain);
        let mut wrote = Vec::new();
        let mut followed = Vec::new();
        gather(run, &mut writers, &mut wrote, &mut followed).await;
        if run.findings().is_empty() {
            run.set_tails(settle::tails(run, &wrote).await?);
        } else {
            // Who waits for a stream that is not as it must be waits in vain.
            run.enter(Phase::Over);
        }
        gather(run, &mut readers, &mut wrote, &mut followed).await;
        server.kill().await?;
        server.start().await?;
        let read_back = if run.phase() == Phase::Over {
            0
        } else {
            settle::read_back(run, &wrote, &followed).await?
        };
        run.enter(Phase::Over);
        server.stop().await?;
        let verify = settle::verify(run, server, dir).await?;
        let memory = flat::judge(&watched.samples);
        if let Some(verdict) = memory.as_ref().filter(|verdict| !verdict.is_flat) {
            run.found(format!("memory is not flat: {verdict:?}"));
        }
        Ok(Summary {
            seed: run.seed,
            seconds: began.elapsed().as_secs_f64(),
            kills: watched.kills + 1,
            stops: watched.stops + 1,
            counted: run.counted(),
            read_back,
            memory,
            peak_bytes: watched.peak_bytes,
            verify,
            findings: run.findings(),
        })
    }

    /// Lets time pass: faults in the first half, looks at the memory in the second.
    async fn watch(&self, run: &Run, server: &mut Server) -> Result<Watched> {
        let (began, half) = (Instant::now(), self.duration / 2);
        let mut dice = run.dice(9_000);
        let mut watched = Watched::default();
        // Short runs have many lives, too; long ones have some that are longer.
        let life_ms = u64::try_from(half.as_millis())? / 10;
        let life_ms = life_ms.clamp(1_500, 20_000);
        let mut fault_at = dice.span_ms(life_ms / 2, life_ms * 2);
        let (mut line_at, mut sample_at) = (Duration::ZERO, Duration::ZERO);
        while began.elapsed() < self.duration && run.findings().is_empty() {
            let now = began.elapsed();
            if now < half && now >= fault_at {
                watched.fault(run, server, dice.percent(70)).await?;
                fault_at = began.elapsed() + dice.span_ms(life_ms / 4, life_ms * 2);
            }
            if now >= sample_at {
                watched.sample(server, now >= half);
                sample_at = now + Duration::from_secs(1);
            }
            if now >= line_at {
                watched.line(run, now);
                line_at = now + LINE_EVERY;
            }
            SystemClock.sleep(TICK).await;
        }
        watched.line(run, began.elapsed());
        Ok(watched)
    }
}

impl Watched {
    async fn fault(&mut self, run: &Run, server: &mut Server, kills: bool) -> Result<()> {
        // Told before, so that whoever fails meanwhile knows why.
        run.turns.add(1);
        if kills {
            self.kills += 1;
            server.kill().await?;
        } else {
            self.stops += 1;
            server.stop().await?;
        }
        server.start().await?;
        run.turns.add(1);
        Ok(())
    }

    fn sample(&mut self, server: &Server, is_long_life: bool) {
        let Some(bytes) = server.resident_bytes() else { return };
        self.peak_bytes = self.peak_bytes.max(bytes);
        if is_long_life {
            self.samples.push(bytes);
        }
    }

    fn line(&self, run: &Run, now: Duration) {
        let counts = &run.counts;
        say(&format!(
            "{:>5} s  {} events, {} read, {} sessions, {} retries, {} connections, {} backups; \
             {} kills, {} stops; peak {} MiB",
            now.as_secs(),
            counts.events.get(),
            counts.read.get(),
            counts.sessions.get(),
            counts.retries.get(),
            counts.connections.get(),
            counts.backups.get(),
            self.kills,
            self.stops,
            self.peak_bytes >> 20,
        ));
    }
}

fn say(line: &str) {
    // Nobody who does not listen any more is a reason to stop.
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Everybody who stops when the load ends.
fn writers(run: &Arc<Run>, dir: &Path) -> JoinSet<Left> {
    let mut actors = JoinSet::new();
    for writer in 0..2 * SESSIONS {
        let work = writers::session(Arc::clone(run), writer, session(writer / 2));
        actors.spawn(async { Left::Wrote(work.await) });
    }
    for number in 0..PRODUCERS {
        let work = writers::producer(Arc::clone(run), 100 + number, produced(number));
        actors.spawn(async { Left::Wrote(work.await) });
    }
    for number in 0..LIVES {
        actors.spawn(nothing(lives::live(Arc::clone(run), 200 + number)));
    }
    let sessions: Vec<String> = (0..SESSIONS).map(session).collect();
    actors.spawn(nothing(churn::come_and_go(Arc::clone(run), 300)));
    actors.spawn(nothing(churn::short_lived(Arc::clone(run), 301)));
    actors.spawn(nothing(churn::look_around(Arc::clone(run), 302, sessions)));
    actors.spawn(nothing(nuisance::disturb(Arc::clone(run), 303, session(0))));
    actors.spawn(nothing(keeper::keep(Arc::clone(run), 304, dir.to_owned())));
    actors
}

/// Everybody who goes on to the tails.
fn readers(run: &Arc<Run>) -> JoinSet<Left> {
    let mut actors = JoinSet::new();
    for number in 0..SESSIONS * FOLLOWERS {
        let stream = format!("sessions/{}", session(number / FOLLOWERS));
        let work = readers::follow(Arc::clone(run), 400 + number, stream, false);
        actors.spawn(async { Left::Followed(vec![work.await]) });
    }
    let short = readers::follow(Arc::clone(run), 500, churn::SHORT.to_owned(), true);
    actors.spawn(async {
        // What it saw has gone meanwhile, so that there is nothing to hold it against.
        drop(short.await);
        Left::Nothing
    });
    let strictly: Vec<String> = (0..SESSIONS).map(|s| format!("sessions/{}", session(s))).collect();
    for number in 0..2 {
        let work = readers::across(Arc::clone(run), 600 + number, strictly.clone());
        actors.spawn(async { Left::Followed(work.await) });
    }
    for number in 0..PRODUCERS {
        actors.spawn(nothing(readers::long_poll(Arc::clone(run), 700 + number, produced(number))));
    }
    actors
}

fn session(number: u64) -> String {
    format!("soak-{number}")
}

fn produced(number: u64) -> String {
    format!("soak/produced-{number}")
}

async fn nothing(work: impl Future<Output = ()>) -> Left {
    work.await;
    Left::Nothing
}

/// Waits for all of them; who does not come to an end is a finding.
async fn gather(
    run: &Run,
    actors: &mut JoinSet<Left>,
    wrote: &mut Vec<Wrote>,
    followed: &mut Vec<Followed>,
) {
    let all = async {
        while let Some(ended) = actors.join_next().await {
            match ended {
                Ok(Left::Wrote(one)) => wrote.push(one),
                Ok(Left::Followed(some)) => followed.extend(some),
                Ok(Left::Nothing) => {}
                Err(error) => run.found(format!("an actor failed: {error}")),
            }
        }
    };
    if timeout(DRAIN_WITHIN, all).await.is_err() {
        run.found(format!("{} actors do not come to an end", actors.len()));
        run.enter(Phase::Over);
        actors.shutdown().await;
    }
}
