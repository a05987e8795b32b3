//! `scrollback stat`: one stream as it stands.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{
    connection::ServerUrl,
    output::{Form, time_text},
    shown::visible,
    stream_name::StreamName,
};
use crate::server::settings::span_text;

/// Show one stream as it stands
#[derive(Debug, Args)]
pub(super) struct Stat {
    /// A session id, a channel name such as agent:x, or a path
    stream: StreamName,
    #[command(flatten)]
    server: ServerUrl,
    #[command(flatten)]
    form: Form,
}

impl Stat {
    /// Prints it.
    pub(super) async fn run(self) -> Result<()> {
        let stream = self.server.client()?.stream(self.stream.path()).await?;
        let mut output = self.form.open();
        if !output.is_for_people() {
            output.json(&serde_json::to_vec(&stream)?)?;
            return Ok(output.flush()?);
        }
        let kept = (stream.tail + 1).saturating_sub(stream.earliest);
        for (name, value) in [
            ("stream", stream.path),
            ("content type", stream.content_type),
            ("tail", stream.tail.to_string()),
            ("earliest", stream.earliest.to_string()),
            ("kept", format!("{kept} records")),
            ("retention", span_text(Duration::from_secs(stream.retention_seconds))),
            ("closed", if stream.closed { "yes" } else { "no" }.to_owned()),
            ("created", time_text(Some(stream.created_at))),
            ("last append", time_text(stream.last_append_at)),
            ("epoch", stream.epoch),
        ] {
            output.line(&format!("{name:<13} {}", visible(&value)))?;
        }
        Ok(output.flush()?)
    }
}
