//! `scrollback restore`: a data folder out of a backup, checked. The work is the store's.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde_json::json;

use super::{
    COULD_NOT_RUN, error_line,
    output::{Form, notice, time_text},
    shown::visible,
};
use crate::store::sled::{self, Restored};

/// Build a data folder from a backup and check it; exit status as of verify
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup; - is standard input
    backup: PathBuf,
    /// Folder to build; it must not be there yet, or be empty
    #[arg(long, env = "SCROLLBACK_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    form: Form,
}

impl Restore {
    /// Restores, checks, and says what there is in one line.
    pub(super) fn run(self) -> Result<ExitCode> {
        let restored = self.input().and_then(|mut input| {
            let bar = bar();
            let restored = sled::restore(&mut *input, &self.data_dir, &mut |done, total| {
                bar.set_length(total);
                bar.set_position(done);
            });
            bar.finish_and_clear();
            Ok(restored?)
        });
        let restored = match restored {
            Ok(restored) => restored,
            Err(error) => {
                notice(&format!("{}; nothing was restored", error_line(&error)));
                return Ok(COULD_NOT_RUN.into());
            }
        };
        self.print(&restored)?;
        if restored.report.problems.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        notice("the backup is whole: its server had lost these records before; the rest is there");
        Ok(ExitCode::FAILURE)
    }

    fn input(&self) -> Result<Box<dyn Read>> {
        if self.backup.as_os_str() == "-" {
            return Ok(Box::new(io::stdin().lock()));
        }
        let file = File::open(&self.backup);
        Ok(Box::new(file.with_context(|| format!("{}", self.backup.display()))?))
    }

    fn print(&self, restored: &Restored) -> Result<()> {
        let Restored { manifest, report } = restored;
        let sled::Report { problems, streams, records, bytes } = report;
        let mut output = self.form.open();
        if output.is_for_people() {
            for problem in problems {
                output.line(&visible(problem))?;
            }
            output.line(&format!(
                "{}: {records} records of {streams} streams, {bytes} bytes, the state of {}: {}",
                visible(&self.data_dir.display().to_string()),
                time_text(Some(manifest.created_ms)),
                match problems.len() {
                    0 => "checked, no problems".to_owned(),
                    1 => "1 problem".to_owned(),
                    many => format!("{many} problems"),
                }
            ))?;
        } else {
            let value = json!({
                "clean": problems.is_empty(), "dataDir": self.data_dir, "streams": streams,
                "records": records, "bytes": bytes, "createdMs": manifest.created_ms,
                "commit": manifest.commit, "problems": problems,
            });
            output.json(value.to_string().as_bytes())?;
        }
        Ok(output.flush()?)
    }
}

/// Progress in bytes, on standard error where that is a terminal.
pub(super) fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}, {eta} left");
    let bar = ProgressBar::new(0).with_finish(ProgressFinish::AndClear);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
