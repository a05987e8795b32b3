//! `scrollback append`: standard input becomes events of a stream. Lines are sent in batches
//! that grow while the server is busy, so that a slow command's output arrives at once and a
//! large file arrives fast. Invariant: one batch is on its way at a time, so order is kept and a
//! failure can say exactly how much is in the stream.

use std::{io, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{json, value::RawValue};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader},
    sync::mpsc,
    task::JoinSet,
};

use super::{connection::ServerUrl, output::Form, stream_name::StreamName};
use crate::{
    client::{Client, ClientError},
    limits,
};

/// Lines that wait for the batch before them.
const LINES_WAITING: usize = 4_096;

/// Append events, or lines of text, from standard input
#[derive(Debug, Args)]
pub(super) struct Append {
    /// A session id, a channel name such as agent:x, or a path
    stream: StreamName,
    /// Take every line as terminal output, also where it is JSON
    #[arg(long)]
    text: bool,
    #[command(flatten)]
    server: ServerUrl,
    #[command(flatten)]
    form: Form,
}

impl Append {
    /// Appends until standard input ends, and prints what is in the stream.
    pub(super) async fn run(self) -> Result<()> {
        let client = self.server.client()?;
        let (lines, taken) = mpsc::channel(LINES_WAITING);
        let mut reading = JoinSet::new();
        reading.spawn(read_lines(BufReader::new(tokio::io::stdin()), self.text, lines));
        let bar = progress();
        let sent = send(&client, self.stream.path(), taken, &bar).await;
        bar.finish_and_clear();
        let sent = sent?;
        while let Some(read) = reading.join_next().await {
            read??;
        }
        let mut output = self.form.open();
        if output.is_for_people() {
            let at = sent
                .offset
                .map_or_else(String::new, |offset| format!(", the last at offset {offset}"));
            let again = match sent.duplicates {
                0 => String::new(),
                some => format!(" ({some} were there before)"),
            };
            output.line(&format!("{} events in {}{at}{again}", sent.events, self.stream))?;
        } else {
            let value = json!({
                "ok": true, "stream": self.stream.path(), "count": sent.events,
                "duplicates": sent.duplicates, "offset": sent.offset,
            });
            output.json(value.to_string().as_bytes())?;
        }
        Ok(output.flush()?)
    }
}

/// What has been acknowledged.
#[derive(Debug, Default)]
struct Sent {
    events: u64,
    duplicates: u64,
    offset: Option<u64>,
}

/// Reads lines and hands them on as events, until the end or until nobody takes them.
async fn read_lines(
    mut input: impl AsyncBufRead + Unpin,
    as_text: bool,
    lines: mpsc::Sender<Vec<u8>>,
) -> Result<()> {
    for number in 1_u64.. {
        let mut line = Vec::new();
        let longest = limits::RECORD_BYTES_MAX as u64 + 1;
        let read = (&mut input).take(longest).read_until(b'\n', &mut line).await;
        if read.context("cannot read standard input")? == 0 {
            break;
        }
        if line.len() > limits::RECORD_BYTES_MAX {
            bail!("line {number} is longer than {} bytes", limits::RECORD_BYTES_MAX);
        }
        let Some(event) = event_of(&line, as_text) else { continue };
        if lines.send(event).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// The event a line stands for: itself, or terminal output. Blank lines between JSON are none.
fn event_of(line: &[u8], as_text: bool) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let trimmed = line.trim_ascii();
    if !as_text && (trimmed.is_empty() || is_object(trimmed)) {
        return (!trimmed.is_empty()).then(|| trimmed.to_vec());
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = format!("{}\n", String::from_utf8_lossy(line));
    let event = json!({"channel": "terminal", "type": "terminal.output", "data": {"data": text}});
    Some(event.to_string().into_bytes())
}

fn is_object(text: &[u8]) -> bool {
    text.first() == Some(&b'{') && serde_json::from_slice::<&RawValue>(text).is_ok()
}

/// Sends what there is, again and again, until the lines end.
async fn send(
    client: &Client,
    path: &str,
    mut lines: mpsc::Receiver<Vec<u8>>,
    bar: &ProgressBar,
) -> Result<Sent> {
    let mut sent = Sent::default();
    while let Some(first) = lines.recv().await {
        let mut body = first;
        body.push(b'\n');
        let mut events = 1;
        while events < limits::NDJSON_STEP_RECORDS && body.len() < limits::NDJSON_STEP_BYTES {
            let Ok(line) = lines.try_recv() else { break };
            body.extend_from_slice(&line);
            body.push(b'\n');
            events += 1;
        }
        let answer = client.append(path, body).await.map_err(|error| after(&sent, error))?;
        sent.events += answer.count;
        sent.duplicates += answer.duplicates;
        sent.offset = answer.offset.or(sent.offset);
        bar.inc(answer.count);
    }
    Ok(sent)
}

/// The error, with how far the input is in the stream.
fn after(sent: &Sent, error: ClientError) -> anyhow::Error {
    let more = match &error {
        ClientError::Problem { problem, .. } => problem.count.unwrap_or(0),
        _ => 0,
    };
    match sent.events + more {
        0 => error.into(),
        events => anyhow::Error::new(error)
            .context(format!("after {events} events, which are in the stream")),
    }
}

fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {human_pos} events, {per_sec}, {elapsed}");
    let bar = ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    if !io::IsTerminal::is_terminal(&io::stdin()) {
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(line: &str, as_text: bool) -> Option<String> {
        event_of(line.as_bytes(), as_text).map(|event| String::from_utf8(event).unwrap())
    }

    fn terminal(data: &str) -> String {
        json!({"channel": "terminal", "type": "terminal.output", "data": {"data": data}})
            .to_string()
    }

    #[test]
    fn a_json_object_is_an_event_and_anything_else_is_terminal_output() {
        assert_eq!(text_of("{\"data\":1}\r\n", false).as_deref(), Some("{\"data\":1}"));
        assert_eq!(text_of("\n", false), None);
        assert_eq!(text_of("done: ok\r\n", false), Some(terminal("done: ok\n")));
        assert_eq!(text_of("42\n", false), Some(terminal("42\n")));
        assert_eq!(text_of("{oops}\n", false), Some(terminal("{oops}\n")));
    }

    #[test]
    fn as_text_every_line_is_terminal_output() {
        assert_eq!(text_of("{\"data\":1}\n", true), Some(terminal("{\"data\":1}\n")));
        assert_eq!(text_of("\n", true), Some(terminal("\n")));
        assert_eq!(text_of("  indented", true), Some(terminal("  indented\n")));
    }

    #[tokio::test]
    async fn a_line_beyond_the_bound_is_refused_by_its_number() {
        let (lines, mut taken) = mpsc::channel(8);
        let input = format!("short\n{}", "x".repeat(limits::RECORD_BYTES_MAX + 10));
        let error = read_lines(input.as_bytes(), false, lines).await.unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        assert!(taken.recv().await.is_some());
        assert!(taken.recv().await.is_none());
    }
}
