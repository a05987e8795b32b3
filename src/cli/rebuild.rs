//! `scrollback rebuild`, and the second half of `scrollback verify --projections`: what was folded
//! from the log, compared with it or folded again.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    COULD_NOT_RUN, differing, list_check,
    output::{Form, notice},
    shown::visible,
};
use crate::server::offline::{self, Report, Work};

/// Fold all sessions of a data folder again, offline, and save their states
#[derive(Debug, Args)]
pub(super) struct Rebuild {
    /// Folder of the log
    #[arg(long, env = "SCROLLBACK_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    form: Form,
}

impl Rebuild {
    /// Folds, and prints how many there are.
    pub(super) fn run(self) -> Result<ExitCode> {
        work(&self.data_dir, self.form, Work::Rebuild)
    }
}

/// Goes through the sessions of a folder and prints what was found: 0 if all is as it should be.
pub(super) fn work(dir: &Path, form: Form, work: Work) -> Result<ExitCode> {
    if !dir.is_dir() {
        notice(&format!("error: there is no data folder at {}", dir.display()));
        return Ok(COULD_NOT_RUN.into());
    }
    let style = ProgressStyle::with_template("{spinner} {pos} sessions");
    let bar = ProgressBar::new_spinner();
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    let worked = offline::projections(dir, work, |sessions| bar.set_position(sessions));
    bar.finish_and_clear();
    let report = match worked {
        Ok(report) => report,
        Err(error) => {
            notice(&format!("error: {error:#}"));
            return Ok(COULD_NOT_RUN.into());
        }
    };
    print(&report, form, work)?;
    if report.differing.is_empty() && report.list.is_clean() {
        return Ok(ExitCode::SUCCESS);
    }
    notice("`scrollback rebuild` folds them again; the log itself is not touched");
    Ok(ExitCode::FAILURE)
}

fn print(report: &Report, form: Form, work: Work) -> Result<()> {
    let mut output = form.open();
    let Report { sessions, checkpoints, differing, list } = report;
    if output.is_for_people() {
        for (path, finding) in differing {
            for line in differing::lines(path, finding) {
                output.line(&line)?;
            }
        }
        let done = match work {
            Work::Check => "saved states compared with a replay",
            Work::Rebuild => "states folded and saved",
        };
        output.line(&format!(
            "{sessions} sessions, {checkpoints} {done}, {} differ",
            differing.len()
        ))?;
        output.line(&visible(&list_check::text(list)))?;
    } else {
        let differing: Vec<_> =
            differing.iter().map(|(path, finding)| differing::json(path, finding)).collect();
        let clean = differing.is_empty() && list.is_clean();
        let value = json!({
            "clean": clean, "sessions": sessions, "checkpoints": checkpoints, "differing": differing,
            "list": list_check::value(list),
        });
        output.json(value.to_string().as_bytes())?;
    }
    Ok(output.flush()?)
}
