//! The end of a soak: every stream is read back and held against what its writers were told and
//! what its readers saw, and the data folder is checked.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    asking::{Asker, get},
    ledger::{Audit, Seen, Told, Written},
    process::{self, Server},
    readers::Followed,
    run::Run,
    writers::Wrote,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    next_offset: u64,
    has_more: bool,
}

#[derive(Deserialize)]
struct Shown {
    tail: u64,
}

/// Where streams end, now that nobody writes to them.
pub(super) async fn tails(run: &Run, wrote: &[Wrote]) -> Result<BTreeMap<String, u64>> {
    let mut asker = Asker::new(run, run.dice(9_001));
    let mut tails = BTreeMap::new();
    let short = [super::churn::SHORT];
    for stream in wrote.iter().map(|wrote| wrote.stream.as_str()).chain(short) {
        let reply = asker.ask(&get(&format!("/api/streams/{stream}"))).await;
        let reply = reply.with_context(|| format!("no answer about {stream}"))?;
        ensure!(reply.is_ok(), "{stream} is not there: {}", reply.shown());
        tails.insert(stream.to_owned(), reply.read::<Shown>()?.tail);
    }
    Ok(tails)
}

/// Reads every stream back. What is wrong is a finding; the number of events is returned.
pub(super) async fn read_back(run: &Run, wrote: &[Wrote], followed: &[Followed]) -> Result<u64> {
    let mut streams: BTreeMap<&str, Vec<(u64, Written)>> = BTreeMap::new();
    for Wrote { stream, writer, written } in wrote {
        streams.entry(stream).or_default().push((*writer, *written));
    }
    let mut events = 0;
    for (stream, told) in streams {
        let of_it = followed.iter().filter(|followed| followed.stream == stream);
        let seen: Vec<Seen> = of_it.map(|followed| followed.seen).collect();
        match audit(run, stream, &told, seen).await? {
            Ok(count) => events += count,
            Err(wrong) => run.found(format!("{stream}: {wrong}")),
        }
    }
    Ok(events)
}

/// Reads one stream back.
async fn audit(
    run: &Run,
    stream: &str,
    told: &[(u64, Written)],
    seen: Vec<Seen>,
) -> Result<Result<u64, String>> {
    let mut asker = Asker::new(run, run.dice(9_002));
    let mut audit = Audit::with_readers(seen);
    let mut from = 0;
    loop {
        let path = format!("/api/events/{stream}?fromOffset={from}&limit=1000");
        let reply = asker.ask(&get(&path)).await.context("no answer")?;
        ensure!(reply.is_ok(), "GET {path}: {}", reply.shown());
        let page: Page<'_> = serde_json::from_slice(&reply.body)?;
        for event in &page.events {
            let taken = Told::read(event.get().as_bytes()).and_then(|event| audit.take(&event));
            if let Err(wrong) = taken {
                return Ok(Err(wrong));
            }
        }
        if !page.has_more {
            return Ok(audit.finish(told));
        }
        from = page.next_offset;
    }
}

/// Checks the folder of a server that has ended, and what it said while it lived.
pub(super) async fn verify(run: &Arc<Run>, server: &Server, dir: &Path) -> Result<Vec<String>> {
    let data = server.data_dir();
    let data = data.to_string_lossy();
    let mut words = Vec::new();
    for args in [
        &["verify", "--data-dir", &data, "--json"][..],
        &["verify", "--projections", "--data-dir", &data, "--json"],
    ] {
        let (well, said) = process::command(args, &dir.join("verify.log")).await?;
        if !well {
            run.found(format!("{}: {said}", args.join(" ")));
        }
        words.push(said.lines().last().unwrap_or_default().to_owned());
    }
    let log = std::fs::read_to_string(server.log()).unwrap_or_default();
    let bad = log.lines().filter(|line| line.contains("panicked") || line.contains("ERROR"));
    for line in bad.take(3) {
        run.found(format!("the server said: {line}"));
    }
    Ok(words)
}
