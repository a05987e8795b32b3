//! `scrollback verify`: every checksum, every stream and the commit order of a data folder that
//! no server has open. It owns the words and the exit status; the check is the store's.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    COULD_NOT_RUN,
    output::{Form, notice},
    rebuild,
    shown::visible,
};
use crate::{
    server::offline,
    store::{OpenError, sled},
};

/// Check a data folder offline; ends with 0 if clean, 1 if not, 2 if it cannot be checked
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Folder of the log
    #[arg(long, env = "SCROLLBACK_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// Fold every session from its beginning as well, and compare that with its saved state
    #[arg(long)]
    projections: bool,
    #[command(flatten)]
    form: Form,
}

impl Verify {
    /// Checks, and prints what was found.
    pub(super) fn run(self) -> Result<ExitCode> {
        let hint = "`scrollback salvage` saves what can be read; copy the folder first";
        let examined = examine(&self.data_dir, self.form, sled::verify, hint)?;
        if !self.projections || examined != ExitCode::SUCCESS {
            return Ok(examined);
        }
        rebuild::work(&self.data_dir, self.form, offline::Work::Check)
    }
}

/// What checks or saves a folder, telling how far it is.
type Work = fn(&Path, &mut dyn FnMut(u64, u64)) -> Result<sled::Report, OpenError>;

/// Runs `work` on a data folder and prints its report; `hint` follows where there are problems.
pub(super) fn examine(dir: &Path, form: Form, work: Work, hint: &str) -> Result<ExitCode> {
    if !dir.is_dir() {
        notice(&format!("error: there is no data folder at {}", dir.display()));
        return Ok(COULD_NOT_RUN.into());
    }
    let bar = progress();
    let worked = work(dir, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = match worked {
        Ok(report) => report,
        Err(error) => {
            notice(&format!("error: {error}"));
            return Ok(COULD_NOT_RUN.into());
        }
    };
    print(&report, form)?;
    if report.problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    notice(hint);
    Ok(ExitCode::FAILURE)
}

fn print(report: &sled::Report, form: Form) -> Result<()> {
    let mut output = form.open();
    let sled::Report { problems, streams, records, bytes } = report;
    if output.is_for_people() {
        for problem in problems {
            output.line(&visible(problem))?;
        }
        let found = match problems.len() {
            0 => "no problems".to_owned(),
            1 => "1 problem".to_owned(),
            many => format!("{many} problems"),
        };
        output.line(&format!("{records} records of {streams} streams, {bytes} bytes: {found}"))?;
    } else {
        let value = json!({
            "clean": problems.is_empty(), "streams": streams, "records": records, "bytes": bytes,
            "problems": problems,
        });
        output.json(value.to_string().as_bytes())?;
    }
    Ok(output.flush()?)
}

fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}, {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
