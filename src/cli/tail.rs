//! `scrollback tail`: the records of a stream as they come, over however many connections.

use anyhow::Result;
use clap::Args;

use super::{
    connection::ServerUrl,
    output::{Form, notice},
    stream_name::StreamName,
};
use crate::{
    client::{
        ReadQuery,
        follow::{Followed, Follower},
    },
    clock::SystemClock,
    wire::bodies::EndReason,
};

/// Follow a stream; reconnects by itself
#[derive(Debug, Args)]
pub(super) struct Tail {
    /// A session id, a channel name such as agent:x, or a path
    stream: StreamName,
    /// Begin after this offset; 0 is the beginning [default: the tail]
    #[arg(long, value_name = "OFFSET")]
    from: Option<u64>,
    /// Only these channels, with commas between them
    #[arg(long)]
    channels: Option<String>,
    #[command(flatten)]
    server: ServerUrl,
    #[command(flatten)]
    form: Form,
}

impl Tail {
    /// Prints until the stream ends or nobody reads any more.
    pub(super) async fn run(self) -> Result<()> {
        let client = self.server.client()?;
        let from_offset = match self.from {
            Some(from) => from,
            None => client.stream(self.stream.path()).await?.tail,
        };
        let query = ReadQuery { from_offset, limit: None, channels: self.channels };
        let mut output = self.form.open();
        let mut follower = Follower::new(&client, &SystemClock, self.stream.path(), query);
        let ended = follower
            .run(|followed| match followed {
                Followed::Event(json) => output.event(json).and_then(|()| output.flush()),
                Followed::Notice(text) => {
                    notice(text);
                    Ok(())
                }
            })
            .await?;
        match ended {
            EndReason::Closed => notice("the stream is closed"),
            EndReason::Deleted => notice("the stream was deleted"),
            _ => {}
        }
        Ok(())
    }
}
