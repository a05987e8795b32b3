//! `scrollback health`: asks a server once whether it lives, or takes work. For containers and
//! scripts: one line, and an exit status. It refuses to try again: whoever asks decides that.

use anyhow::Result;
use clap::Args;

use super::{connection::ServerUrl, output::Form};

/// Ask a server whether it lives; ends with 0 if so, 1 if not
#[derive(Debug, Args)]
pub(super) struct Health {
    /// Whether it also takes work: its log can be written
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    server: ServerUrl,
    #[command(flatten)]
    form: Form,
}

impl Health {
    /// Asks, and prints the answer.
    pub(super) async fn run(self) -> Result<()> {
        let client = self.server.client()?;
        let (answer, meaning) = if self.ready {
            (client.ready().await?, "takes work")
        } else {
            (client.alive().await?, "is alive")
        };
        let mut output = self.form.open();
        if output.is_for_people() {
            output.line(&format!("{} {meaning}", self.server.url))?;
        } else {
            output.json(&serde_json::to_vec(&answer)?)?;
        }
        Ok(output.flush()?)
    }
}
