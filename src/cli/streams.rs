//! `scrollback streams`: what streams there are.

use anyhow::Result;
use clap::Args;

use super::{
    connection::ServerUrl,
    output::{Form, Output, fitted, time_text},
};
use crate::wire::bodies::StreamBody;

/// Longest path that is shown whole; the list stays a table.
const PATH_SHOWN_MAX: usize = 64;

/// List streams
#[derive(Debug, Args)]
pub(super) struct Streams {
    /// Only paths that begin so, such as sessions/
    #[arg(long)]
    prefix: Option<String>,
    #[command(flatten)]
    server: ServerUrl,
    #[command(flatten)]
    form: Form,
}

impl Streams {
    /// Prints them all, in path order.
    pub(super) async fn run(self) -> Result<()> {
        let client = self.server.client()?;
        let mut output = self.form.open();
        let mut cursor = None;
        let mut is_first = true;
        loop {
            let page = client.streams(self.prefix.as_deref(), cursor.as_deref()).await?;
            print(&mut output, &page.streams, is_first)?;
            is_first = false;
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(output.flush()?);
            }
        }
    }
}

fn print(output: &mut Output, streams: &[StreamBody], with_head: bool) -> Result<()> {
    if !output.is_for_people() {
        for stream in streams {
            output.json(&serde_json::to_vec(stream)?)?;
        }
        return Ok(());
    }
    let shown = |stream: &StreamBody| fitted(&stream.path, PATH_SHOWN_MAX);
    let width =
        streams.iter().map(|stream| shown(stream).chars().count()).max().unwrap_or(0).max(6);
    if with_head && streams.is_empty() {
        output.line("no streams")?;
    } else if with_head {
        output
            .line(&format!("{:<width$}  {:>9}  {:>9}  {:<20}", "stream", "tail", "kept", "last"))?;
    }
    for stream in streams {
        let kept = (stream.tail + 1).saturating_sub(stream.earliest);
        let last = time_text(stream.last_append_at);
        let closed = if stream.closed { "  closed" } else { "" };
        let path = shown(stream);
        output
            .line(&format!("{path:<width$}  {:>9}  {kept:>9}  {last:<20}{closed}", stream.tail))?;
    }
    Ok(())
}
