//! `scrollback tail`: the records of a stream as they come, over however many connections.

use std::pin::pin;

use anyhow::Result;
use clap::Args;
use futures_util::StreamExt;

use super::{
    connection::ServerUrl,
    output::{Form, notice},
    stream_name::StreamName,
};
use crate::client::{Broken, Ended, FollowOptions, Followed};

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
        let mut options = FollowOptions::after(from_offset);
        if let Some(channels) = &self.channels {
            options = options.channels(channels.split(','));
        }
        let mut output = self.form.open();
        let mut follower = pin!(client.follow(self.stream.path(), options));
        let mut was_connected = false;
        while let Some(followed) = follower.next().await {
            match followed {
                Followed::Connected { .. } => was_connected = true,
                Followed::Event(event) => {
                    output.event(event.json())?;
                    output.flush()?;
                }
                Followed::Reset(reset) => notice(&reset.message),
                // Somebody who asks for a server that is not there wants to know.
                Followed::Reconnecting { why: Broken::Refused(error), .. } if !was_connected => {
                    return Err(error.into());
                }
                Followed::Reconnecting { after, wait, why } => {
                    let secs = wait.as_secs();
                    notice(&format!("{why}; reconnecting from offset {after} in {secs} s"));
                }
                Followed::Ended(Ended::Closed { .. }) => notice("the stream is closed"),
                Followed::Ended(Ended::Deleted) => notice("the stream was deleted"),
                Followed::Ended(ended @ Ended::Unauthorized) => return Err(ended.into()),
                Followed::Ended(Ended::Refused(error)) => return Err(error.into()),
                Followed::Snapshot(_) | Followed::CaughtUp { .. } => {}
            }
        }
        Ok(())
    }
}
