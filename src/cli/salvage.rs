//! `scrollback salvage`: saves what can be read of a damaged data folder and names what cannot.
//! The work is the store's.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::{output::Form, verify::examine};
use crate::store::sled;

/// Rebuild a damaged data folder from what can be read of it; exit status as of verify
#[derive(Debug, Args)]
pub(super) struct Salvage {
    /// Folder of the log; copy it first
    #[arg(long, env = "SCROLLBACK_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    form: Form,
}

impl Salvage {
    /// Rebuilds, and prints what is missing.
    pub(super) fn run(self) -> Result<ExitCode> {
        let hint = "everything else is readable again; what is named above is lost";
        examine(&self.data_dir, self.form, sled::salvage, hint)
    }
}
