//! `bench raw`: the limit. A plain file that takes the same groups of events and syncs after
//! each, with nothing in between: growing, and written over. No log can acknowledge faster.

use std::{
    env,
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;

use super::{
    payload::Bodies,
    report::{Recorder, Row},
};
use crate::server::settings::parse_span;

/// Written over in a circle: as long as a journal segment.
const CIRCLE_BYTES: u64 = 64 * 1024 * 1024;

/// The limit: a plain file, appended and synced in groups
#[derive(Debug, Args)]
pub(super) struct Raw {
    /// Writers whose events share a sync
    #[arg(long, default_value_t = 64)]
    writers: usize,
    /// Events each of them sends at once
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Bytes of one event
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// Time that counts, for each way
    #[arg(long, default_value = "3s", value_parser = parse_span)]
    duration: Duration,
    /// Folder for the file, on the disk to measure [default: the temporary folder]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// One JSON line for each way on standard output, the table on standard error
    #[arg(long)]
    pub(super) json: bool,
}

/// Measures both ways.
pub(super) fn run(args: &Raw) -> Result<Vec<Row>> {
    let dir = args.dir.clone().unwrap_or_else(env::temp_dir);
    let path = dir.join(format!("scrollback-raw-{}", std::process::id()));
    let rows = measure(args, &path);
    let removed = fs::remove_file(&path);
    let rows = rows.with_context(|| format!("cannot measure in {}", dir.display()))?;
    removed?;
    Ok(rows)
}

fn measure(args: &Raw, path: &Path) -> Result<Vec<Row>> {
    let events = args.writers.max(1) * args.batch.max(1);
    let groups = Bodies::prepare(args.size, events)?;
    let group = format!("{} writers, batch {}", args.writers, args.batch);
    let mut file = File::create(path)?;
    let growing = Recorder::new(Duration::ZERO, args.duration)?;
    repeat(&growing, &groups, events, |bytes| {
        file.write_all(bytes).and_then(|()| file.sync_data())
    })?;

    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    let zeros = vec![0; 1024 * 1024];
    for _ in 0..CIRCLE_BYTES / zeros.len() as u64 {
        file.write_all(&zeros)?;
    }
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let over = Recorder::new(Duration::ZERO, args.duration)?;
    repeat(&over, &groups, events, |bytes| {
        if file.stream_position()? + bytes.len() as u64 > CIRCLE_BYTES {
            file.seek(SeekFrom::Start(0))?;
        }
        file.write_all(bytes).and_then(|()| file.sync_data())
    })?;
    Ok(vec![
        growing.row("raw", &format!("{group}, growing"), None),
        over.row("raw", &format!("{group}, written over"), None),
    ])
}

fn repeat(
    recorder: &Recorder,
    groups: &Bodies,
    events: usize,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<()> {
    for turn in 0.. {
        let began = Instant::now();
        if recorder.is_over(began) {
            break;
        }
        let group = groups.pick(turn);
        write(group)?;
        recorder.done(began, Instant::now(), events as u64, group.len() as u64);
    }
    Ok(())
}
