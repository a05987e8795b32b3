//! SIGKILL at random moments, under load and while the store opens. The writers are child
//! processes: this binary again, with a variable that says what to do.
//!
//! All rounds go on in one folder. A round is over after a random number of acknowledgements;
//! whatever the child got out before it died counts.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use scrollback::store::{Position, Store as _};

use crate::{
    disk,
    load::{self, Event, Load, Sink},
    truth::Truth,
    util::{Random, block_on, open, seed},
};

const FOLDER: &str = "SCROLLBACK_CRASH_FOLDER";
const ORDERS: &str = "SCROLLBACK_CRASH_ORDERS";

/// Prints every event in one write each: what the pipe has is whole.
struct Pipe;

impl Sink for Pipe {
    fn event(&self, event: Event) {
        let line = format!("{event}\n");
        // The parent is gone where this fails, and then nobody counts on it.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }

    fn is_over(&self) -> bool {
        false
    }
}

/// Not a test of its own: the process that the other tests kill. Without its orders it ends.
#[test]
fn the_child_writes_until_it_is_killed() {
    let (Ok(folder), Ok(orders)) = (std::env::var(FOLDER), std::env::var(ORDERS)) else { return };
    let mut orders = orders.split(' ').map(|word| word.parse::<u64>().unwrap());
    let (seed, round) = (orders.next().unwrap(), orders.next().unwrap());
    if let Some(calls) = orders.next() {
        disk::die_after(calls.cast_signed());
    }
    let _ = std::io::stdout().lock().write_all(b"\n@ready\n");
    let store = Arc::new(open(&PathBuf::from(folder)).unwrap());
    let sink: Arc<dyn Sink> = Arc::new(Pipe);
    let round = u32::try_from(round).unwrap();
    let load = Load { seed, round, workers: 4, compact_one_in: 120 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(load::run(&store, load, &sink));
}

fn child(folder: &Path, orders: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::the_child_writes_until_it_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .env(ORDERS, orders)
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lets a child write until it has acknowledged `acks` writes, kills it, and takes in all it said.
/// Answers with the number of acknowledgements.
fn write_and_kill(folder: &Path, orders: &str, acks: usize, truth: &mut Truth) -> usize {
    let mut child = child(folder, orders);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (mut line, mut seen) = (String::new(), 0);
    while output.read_line(&mut line).unwrap() > 0 {
        // A line without its end was cut by the kill; nothing was promised with it.
        if let Some(event) = line.strip_suffix('\n').and_then(Event::parse) {
            truth.note(&event);
            seen += usize::from(matches!(event, Event::Appended(_)));
            if seen == acks {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGKILL), "the child ended by itself: {status}");
    seen
}

/// Opens the folder, checks everything, and answers with the position up to which the order holds.
fn check(folder: &Path, truth: &mut Truth, after: Position) -> Result<Position, String> {
    let mut reached = after;
    // Twice: what the first opening read back from the journal is in blocks for the second.
    for _ in 0..2 {
        let store = open(folder).map_err(|error| error.to_string())?;
        for line in store.damage() {
            // A commit cut by the kill is reported; everything else would be damage.
            assert!(line.contains("incomplete"), "{line}");
        }
        reached = block_on(async {
            let found = truth.check(&store).await?;
            let reached = truth.check_order(&store, &found, after).await?;
            store.close().await.map_err(|error| error.to_string())?;
            Ok::<_, String>(reached)
        })?;
    }
    Ok(reached)
}

#[test]
fn every_acknowledged_record_survives_a_hundred_kills_under_load() {
    let seed = seed("kills under load");
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut truth = Truth::new(seed);
    let (mut after, mut acks) = (Position(0), 0);
    for round in 1..=100 {
        let wanted = 1 + random.below(300);
        acks += write_and_kill(folder.path(), &format!("{seed} {round}"), wanted, &mut truth);
        // The whole order now and then, else what is new in it.
        let from = if round % 25 == 0 { Position(0) } else { after };
        after = check(folder.path(), &mut truth, from)
            .unwrap_or_else(|error| panic!("round {round} of seed {seed}: {error}"));
    }
    eprintln!("{acks} acknowledged appends, {} records kept", truth.records());
}

#[test]
fn a_kill_while_the_store_opens_loses_nothing() {
    let seed = seed("kills while opening");
    let mut random = Random::new(!seed);
    let folder = tempfile::tempdir().unwrap();
    let mut truth = Truth::new(seed);
    let mut after = Position(0);
    for round in 1..=30 {
        write_and_kill(folder.path(), &format!("{seed} {round}"), 400, &mut truth);
        for _ in 0..=random.below(3) {
            // An opening changes files about a hundred times; it may also be through by then.
            let most = if random.one_in(2) { 30 } else { 150 };
            let calls = random.below(most);
            let orders = format!("{seed} {round} {calls}");
            write_and_kill(folder.path(), &orders, usize::MAX, &mut truth);
        }
        after = check(folder.path(), &mut truth, after)
            .unwrap_or_else(|error| panic!("round {round} of seed {seed}: {error}"));
    }
}
