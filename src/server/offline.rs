//! Work on the projections of a data folder that no server has open: compare their checkpoints with
//! a replay of the log, or make them anew.

use std::{path::Path, sync::Arc};

use anyhow::Context;

use super::offline_list::{self, ListFound};
use crate::{
    clock::SystemClock,
    limits,
    log::{self, Log, StreamPath},
    metrics::Metrics,
    projection::{Checked, Views},
    session::projections::Projections,
    store::sled::SledStore,
};

pub use crate::session::{
    audit::{Evidence, Finding, Part},
    projections::SetBy,
};

/// What is done with each session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Its checkpoint is compared with a replay.
    Check,
    /// Its checkpoint is made anew.
    Rebuild,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Sessions that were looked at.
    pub sessions: u64,
    /// Checkpoints that were compared, or made.
    pub checkpoints: u64,
    /// Sessions with a checkpoint that is not what a replay gives, and the first such.
    pub differing: Vec<(String, Finding)>,
    /// What became of the list of sessions.
    pub list: ListFound,
}

/// Goes through all sessions of a data folder.
///
/// # Errors
/// The folder cannot be opened or read.
pub fn projections(
    data_dir: &Path,
    work: Work,
    mut progress: impl FnMut(u64),
) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let metrics = Arc::new(Metrics::default());
        let (path, counted) = (data_dir.to_owned(), Arc::clone(&metrics));
        let opening = tokio::task::spawn_blocking(move || SledStore::open(&path, counted));
        let store = Arc::new(opening.await.context("opening the data folder")??);
        let log = Log::new(store, Arc::new(SystemClock), log::Settings::default(), metrics);
        let working = async {
            let report = each(&log, work, &mut progress).await?;
            Ok(Report { list: offline_list::list(&log, work).await?, ..report })
        };
        let report = working.await;
        log.stop().await.context("closing the data folder")?;
        report
    })
}

async fn each(log: &Log, work: Work, progress: &mut impl FnMut(u64)) -> anyhow::Result<Report> {
    let views = Views::<Projections>::new(log.clone());
    let (mut report, mut after) = (Report::default(), String::new());
    loop {
        let found = log.list("sessions/", &after, limits::LIST_LIMIT_MAX).await?;
        for info in &found {
            let path = StreamPath::parse(&info.path)?;
            report.sessions += 1;
            match work {
                Work::Check => check(&views, &path, &mut report).await?,
                Work::Rebuild => {
                    views.rebuild(&path).await?;
                    report.checkpoints += 1;
                }
            }
            progress(report.sessions);
        }
        match found.last() {
            Some(last) if found.len() == limits::LIST_LIMIT_MAX => after = last.path.to_string(),
            _ => return Ok(report),
        }
    }
}

/// Compares the checkpoints of one session with a replay.
async fn check(
    views: &Views<Projections>,
    path: &StreamPath,
    report: &mut Report,
) -> anyhow::Result<()> {
    match views.check(path).await? {
        Checked::Same { checkpoints } => report.checkpoints += checkpoints,
        Checked::Differs(differing) => {
            report.checkpoints += differing.checkpoints;
            let finding = Finding::of(views, path, &differing).await?;
            report.differing.push((path.to_string(), finding));
        }
        Checked::NoCheckpoint | Checked::BeginningGone => {}
    }
    Ok(())
}
