//! `scrollback import`: a bundle becomes a stream again, each record at the offset it had.
//!
//! Invariants: nothing is written before the whole bundle was checked; what is written lies behind
//! records that are the bundle's own, so an import that was interrupted goes on where it was, and
//! nothing else is ever added to.

mod input;
mod place;

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use self::{
    input::{Input, Records, STDIN},
    place::{Refused, place},
};
use super::{
    bundle::{Header, payload_of},
    connection::ServerUrl,
    output::Form,
    progress,
    shown::visible,
    stream_name::StreamName,
};
use crate::{
    client::{Client, ClientError, ReadQuery},
    limits,
    wire::{bodies::StreamBody, code::Code},
};

/// Make a stream from a bundle of `scrollback export`, or go on where an import stopped
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The bundle; - is standard input
    #[arg(default_value = STDIN)]
    file: PathBuf,
    /// Into this stream instead of the one it was exported from
    #[arg(long, value_name = "STREAM")]
    into: Option<StreamName>,
    #[command(flatten)]
    server: ServerUrl,
    #[command(flatten)]
    form: Form,
}

impl Import {
    /// Checks, compares, appends, and prints what is in the stream.
    pub(super) async fn run(self) -> Result<()> {
        let client = self.server.client()?;
        let input = Input::open(&self.file)?;
        let header = input.check().context("the bundle was not imported, nothing was written")?;
        let path = self.into.as_ref().map_or(header.stream.as_str(), StreamName::path);
        let bar = progress::events(header.records());
        let import = Run { client: &client, path, header: &header, bar: &bar };
        let had = import.run(&mut input.records()?).await;
        bar.finish_and_clear();
        self.print(path, &header, had?)
    }

    fn print(&self, path: &str, header: &Header, had: u64) -> Result<()> {
        let mut output = self.form.open();
        if output.is_for_people() {
            output.line(&told(path, header, had))?;
        } else {
            let value = json!({
                "ok": true, "stream": path, "count": header.records(), "duplicates": had,
                "offset": header.tail,
            });
            output.json(value.to_string().as_bytes())?;
        }
        Ok(output.flush()?)
    }
}

/// What people are told of an import. The path may be the word of a foreign bundle.
fn told(path: &str, header: &Header, had: u64) -> String {
    let (count, Header { earliest, tail, .. }) = (header.records(), header);
    let again = match had {
        0 => String::new(),
        had if had == count => ", as they were before".to_owned(),
        had => format!(" ({had} were there before)"),
    };
    let places = if count > 0 { format!(", offsets {earliest} to {tail}") } else { String::new() };
    format!("{count} events in {}{places}{again}", visible(path))
}

/// One import, its bundle checked.
struct Run<'a> {
    client: &'a Client,
    path: &'a str,
    header: &'a Header,
    bar: &'a ProgressBar,
}

impl Run<'_> {
    /// Imports. How many records were there before.
    async fn run(&self, records: &mut Records<'_>) -> Result<u64> {
        let found = match self.found().await? {
            Some(found) => found,
            None => self.client.begin_copy(self.path, self.header.earliest).await?,
        };
        let tail = place(self.header, &found).map_err(|error| self.refused(&error))?;
        self.compare(records, tail).await?;
        self.append(records, tail).await?;
        Ok((tail + 1).saturating_sub(self.header.earliest))
    }

    async fn found(&self) -> Result<Option<StreamBody>> {
        match self.client.stream(self.path).await {
            Ok(found) => Ok(Some(found)),
            Err(ClientError::Problem { problem, .. }) if problem.code == Code::StreamNotFound => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn refused(&self, refused: &Refused) -> anyhow::Error {
        anyhow!(
            "{} {refused}: choose another one with --into STREAM; nothing was written",
            self.path
        )
    }

    /// Compares what is in the stream with the beginning of the bundle.
    async fn compare(&self, records: &mut Records<'_>, tail: u64) -> Result<()> {
        let mut from_offset = self.header.earliest.saturating_sub(1);
        while from_offset < tail {
            let limit = (tail - from_offset).min(limits::EVENTS_LIMIT_MAX as u64);
            let query = ReadQuery { from_offset, limit: Some(limit), channels: None };
            let page = self.client.events(self.path, &query).await?;
            ensure!(
                !page.events.is_empty(),
                "{} ends before offset {tail}: import again",
                self.path
            );
            for shown in &page.events {
                let (offset, event) = due(records)?;
                if payload_of(shown.get(), offset).as_ref() != Some(&event) {
                    return Err(self.refused(&Refused::Other(offset)));
                }
                from_offset = offset;
            }
            self.bar.inc(page.events.len() as u64);
        }
        Ok(())
    }

    /// Appends what follows.
    async fn append(&self, records: &mut Records<'_>, mut tail: u64) -> Result<()> {
        while tail < self.header.tail {
            let (mut body, mut last) = (Vec::new(), tail);
            while last < self.header.tail
                && last - tail < limits::NDJSON_STEP_RECORDS as u64
                && body.len() < limits::NDJSON_STEP_BYTES
            {
                let (offset, event) = due(records)?;
                body.extend_from_slice(event.as_bytes());
                body.push(b'\n');
                last = offset;
            }
            let answer = self.client.append_copy(self.path, tail, body).await;
            let answer = answer.with_context(|| self.stopped())?;
            ensure!(
                answer.offset == Some(last) && answer.duplicates == 0,
                "{} did not take the records at their offsets: is the server older than this program?",
                self.path
            );
            self.bar.inc(last - tail);
            tail = last;
        }
        Ok(())
    }

    fn stopped(&self) -> String {
        format!("the import into {} stopped; the same command goes on where it was", self.path)
    }
}

/// The next record of a bundle that was checked a moment ago.
fn due(records: &mut Records<'_>) -> Result<(u64, String)> {
    records.next()?.context("the bundle has changed while it was imported: import it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_foreign_bundle_is_shown_and_not_obeyed() {
        let path = "sessions/\u{1b}[2Ja\u{202e}b";
        let header = Header { earliest: 3, tail: 9, ..Header::new(path, "e", "application/json") };
        let told = |had| told(path, &header, had);
        assert_eq!(told(0), "7 events in sessions/\\x1b[2Ja\\u{202e}b, offsets 3 to 9");
        assert!(told(2).ends_with("9 (2 were there before)"));
        assert!(told(7).ends_with("9, as they were before"));
    }
}
