//! `scrollback export`: a stream as a bundle that can be imported again, as plain events, as the
//! recording of a terminal, or as a transcript for people. It owns what is read, and up to where:
//! the tail at the moment it began.

mod asciicast;
mod markdown;
mod prose;

use std::io::{self, BufWriter, StdoutLock, Write};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};

use self::{asciicast::Cast, markdown::State};
use super::{
    bundle::{Header, Writer},
    connection::ServerUrl,
    output::notice,
    progress,
    stream_name::StreamName,
};
use crate::{
    client::{Client, ReadQuery},
    clock::{Clock, SystemClock},
    limits,
    wire::bodies::StreamBody,
};

/// Folder of the streams that are sessions.
const SESSIONS: &str = "sessions/";

/// Write a stream to standard output, as a bundle for `scrollback import` unless told otherwise
#[derive(Debug, Args)]
pub(super) struct Export {
    /// A session id, a channel name such as agent:x, or a path
    stream: StreamName,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Bundle)]
    format: Format,
    /// Which terminal of the session to record [default: the first]
    #[arg(long, value_name = "ID")]
    terminal_id: Option<String>,
    #[command(flatten)]
    server: ServerUrl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// All records, with hashes that tell when one was changed
    Bundle,
    /// The events as they are, one a line
    Ndjson,
    /// A terminal, as a recording that asciinema plays
    Asciicast,
    /// The conversation, for people
    Markdown,
}

impl Export {
    /// Writes all of it.
    pub(super) async fn run(self) -> Result<()> {
        ensure!(
            self.terminal_id.is_none() || self.format == Format::Asciicast,
            "--terminal-id belongs to --format asciicast"
        );
        let client = self.server.client()?;
        let path = self.stream.path();
        let mut out = BufWriter::new(io::stdout().lock());
        match self.format {
            Format::Markdown => markdown(&client, path, &mut out).await?,
            Format::Bundle => Pages::of(&client, path).await?.bundle(&mut out).await?,
            Format::Ndjson => Pages::of(&client, path).await?.ndjson(&mut out).await?,
            Format::Asciicast => {
                let cast = Cast::new(path, self.terminal_id);
                Pages::of(&client, path).await?.asciicast(cast, &mut out).await?;
            }
        }
        Ok(out.flush()?)
    }
}

type Out = BufWriter<StdoutLock<'static>>;

/// The records of a stream, up to where it ended when it was first looked at.
struct Pages<'a> {
    client: &'a Client,
    stream: StreamBody,
}

impl<'a> Pages<'a> {
    async fn of(client: &'a Client, path: &str) -> Result<Self> {
        Ok(Self { client, stream: client.stream(path).await? })
    }

    /// Hands over every event, as the server shows it.
    async fn each(&self, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
        let StreamBody { path, earliest, tail, .. } = &self.stream;
        let mut from_offset = earliest.saturating_sub(1);
        let bar = progress::events_into_pipe(tail - from_offset.min(*tail));
        while from_offset < *tail {
            let limit = (tail - from_offset).min(limits::EVENTS_LIMIT_MAX as u64);
            let query = ReadQuery { from_offset, limit: Some(limit), channels: None };
            let page = self.client.events(path, &query).await;
            let page = page.with_context(|| format!("{path} could not be read to its end"))?;
            ensure!(
                page.next_offset > from_offset,
                "{path} ends before offset {tail}: export again"
            );
            for event in &page.events {
                each(event.get())?;
            }
            bar.inc(page.next_offset - from_offset);
            from_offset = page.next_offset;
        }
        bar.finish_and_clear();
        // Pages of two streams that had the same path one after the other fit together, too.
        if self.client.stream(path).await?.epoch != self.stream.epoch {
            bail!("{path} was deleted and made anew while it was exported: export again");
        }
        Ok(())
    }

    async fn bundle(&self, out: &mut Out) -> Result<()> {
        let StreamBody { path, epoch, content_type, earliest, tail, .. } = &self.stream;
        if *earliest > 1 {
            notice(&format!(
                "{path} is kept from offset {earliest} on; what was folded from the events before is not in the bundle"
            ));
        }
        let header = Header {
            earliest: *earliest,
            tail: *tail,
            exported_at: SystemClock.now_ms(),
            ..Header::new(path, epoch, content_type)
        };
        let mut lines = Vec::new();
        let mut writer = Writer::begin(&header, &mut lines);
        self.each(|event| {
            writer.event(event, &mut lines)?;
            out.write_all(&lines)?;
            lines.clear();
            Ok(())
        })
        .await?;
        writer.end(&mut lines)?;
        Ok(out.write_all(&lines)?)
    }

    async fn ndjson(&self, out: &mut Out) -> Result<()> {
        self.each(|event| {
            // Line breaks in valid JSON stand between tokens only.
            for part in event.split(['\n', '\r']) {
                out.write_all(part.as_bytes())?;
            }
            Ok(out.write_all(b"\n")?)
        })
        .await
    }

    async fn asciicast(&self, mut cast: Cast, out: &mut Out) -> Result<()> {
        let mut lines = String::new();
        self.each(|event| {
            cast.event(event, &mut lines);
            out.write_all(lines.as_bytes())?;
            lines.clear();
            Ok(())
        })
        .await?;
        let others = cast.end()?;
        if !others.is_empty() {
            let others = others.join(", ");
            notice(&format!("other terminals of the session, for --terminal-id: {others}"));
        }
        Ok(())
    }
}

async fn markdown(client: &Client, path: &str, out: &mut Out) -> Result<()> {
    let session = path.strip_prefix(SESSIONS).filter(|id| !id.contains('/'));
    let session = session
        .with_context(|| format!("{path} is no session, and only sessions have a conversation"))?;
    let state: State = client.state_of(session, markdown::PROJECTIONS).await?;
    Ok(out.write_all(markdown::transcript(session, &state).as_bytes())?)
}
