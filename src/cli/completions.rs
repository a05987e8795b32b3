//! `scrollback completions`: what a shell needs to complete commands and flags.

use std::io::{self, Write};

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::{Shell, generate};

/// Print completions for a shell
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints the script that `command` makes.
    pub(super) fn run(&self, mut command: Command) -> Result<()> {
        let mut script = Vec::new();
        generate(self.shell, &mut command, "scrollback", &mut script);
        Ok(io::stdout().write_all(&script)?)
    }
}
