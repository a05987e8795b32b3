//! `scrollback diff`: what changed in the state of a session between two offsets.
//!
//! It refuses to know how states are compared: the server does. Invariant: with `--json` the patch
//! is the server's.

use anyhow::{Context, Result};
use clap::Args;

use super::{
    changes::{changes, line},
    connection::ServerUrl,
    output::Form,
    shown::visible_json,
    stream_name::StreamName,
};
use crate::client::StateAt;

/// Show what changed in a session's state between two offsets
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// A session id, or a channel name such as session:abc
    session: StreamName,
    /// The offset of the state before
    #[arg(value_name = "N")]
    from: u64,
    /// The offset of the state after; it may be the smaller one
    #[arg(value_name = "M")]
    to: u64,
    /// Only this projection, such as messages; may be given several times
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    projection: Vec<String>,
    /// Print the JSON Patch (RFC 6902)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerUrl,
}

impl Diff {
    /// Prints the changes.
    pub(super) async fn run(self) -> Result<()> {
        let session = self.server.client()?.session(self.session.session()?);
        let projections: Vec<&str> = self.projection.iter().map(String::as_str).collect();
        let answer = session.diff(self.from, self.to, &projections).await?;
        let mut output = Form::default().open();
        if self.json {
            output.json(visible_json(answer.patch.get()).as_bytes())?;
            return Ok(output.flush()?);
        }
        let strange = "the server's answer is no JSON Patch; is it of another version?";
        let patch = serde_json::from_str(answer.patch.get()).context(strange)?;
        let before = session.state(StateAt::Offset(self.from), &projections).await?;
        let before = serde_json::from_str(before.projections.get()).context(strange)?;
        let all = changes(before, patch)?;
        if all.is_empty() {
            output.line("nothing changed")?;
        }
        let paint = output.paint();
        for change in &all {
            output.line(&line(change, paint))?;
        }
        Ok(output.flush()?)
    }
}
