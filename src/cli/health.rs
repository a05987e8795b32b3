//! `scrollback health`: asks a server once whether it lives, or takes work. For containers and
//! scripts: one line, and an exit status. It refuses to try again: whoever asks decides that.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{connection::ServerUrl, output::Form};
use crate::client::RetryPolicy;

/// A server that has not answered by then is as good as none; container engines wait 30 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Ask a server whether it lives: exit status 0 or 1
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
        let client = self.server.builder();
        let client = client.retry(RetryPolicy::never()).answer_within(ANSWER_WITHIN).build()?;
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
