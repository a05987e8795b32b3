//! `scrollback read`: the records of a stream from an offset to the tail, page by page.

use anyhow::Result;
use clap::Args;

use super::{connection::ServerUrl, output::Form, stream_name::StreamName};
use crate::{client::ReadQuery, limits};

/// Print the events of a stream
#[derive(Debug, Args)]
pub(super) struct Read {
    /// A session id, a channel name such as agent:x, or a path
    stream: StreamName,
    /// Begin after this offset; 0 is the beginning
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// Print at most so many
    #[arg(long, value_name = "EVENTS")]
    limit: Option<u64>,
    /// Only these channels, with commas between them
    #[arg(long)]
    channels: Option<String>,
    #[command(flatten)]
    server: ServerUrl,
    #[command(flatten)]
    form: Form,
}

impl Read {
    /// Prints until the tail or the limit.
    pub(super) async fn run(self) -> Result<()> {
        let client = self.server.client()?;
        let mut output = self.form.open();
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut from_offset = self.from;
        while left > 0 {
            let limit = Some(left.min(limits::EVENTS_LIMIT_MAX as u64));
            let query = ReadQuery { from_offset, limit, channels: self.channels.clone() };
            let page = client.events(self.stream.path(), &query).await?;
            for event in &page.events {
                output.event(event.get().as_bytes())?;
            }
            left = left.saturating_sub(page.events.len() as u64);
            from_offset = page.next_offset;
            if !page.has_more {
                break;
            }
        }
        Ok(output.flush()?)
    }
}
