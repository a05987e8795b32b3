//! What commands print: short aligned lines on a terminal, NDJSON for programs. It decides by
//! where standard output goes, unless told. Text of others never reaches a terminal with what the
//! terminal would obey: not in lines of events, and not in messages about the work.

use std::io::{self, IsTerminal, StdoutLock, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::shown::{Paint, is_obeyed, visible};

/// Where a terminal does not tell its width.
const WIDTH: usize = 100;

/// The form of a command's output.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct Form {
    /// One JSON value a line, as in a pipe
    #[arg(long)]
    json: bool,
}

/// Standard output, written in the form asked for.
pub(super) struct Output {
    out: StdoutLock<'static>,
    width: Option<usize>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    offset: u64,
    #[serde(default)]
    channel: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    timestamp: i64,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl Form {
    /// Opens standard output.
    pub(super) fn open(self) -> Output {
        let out = io::stdout().lock();
        let people = !self.json && out.is_terminal();
        let columns = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let width = people.then(|| columns().unwrap_or(WIDTH).max(20));
        Output { out, width }
    }
}

impl Output {
    /// Whether people read it.
    pub(super) fn is_for_people(&self) -> bool {
        self.width.is_some()
    }

    /// Prints an event in its envelope.
    pub(super) fn event(&mut self, json: &[u8]) -> io::Result<()> {
        let Some(width) = self.width else { return self.json(json) };
        match serde_json::from_slice(json) {
            Ok(envelope) => self.line(&event_line(&envelope, width)),
            Err(_) => self.line(&fitted(&String::from_utf8_lossy(json), width)),
        }
    }

    /// Prints JSON text as one line, whatever white space is in it.
    pub(super) fn json(&mut self, json: &[u8]) -> io::Result<()> {
        // Line breaks in valid JSON stand between tokens only.
        for part in json.split(|byte| matches!(byte, b'\n' | b'\r')) {
            self.out.write_all(part)?;
        }
        self.out.write_all(b"\n")
    }

    /// Prints a line for people.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Prints text as it is, which may end within a line.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    /// The colours that may be used: none where programs read, or where people want none.
    pub(super) fn paint(&self) -> Paint {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint::new(self.is_for_people() && !unwanted)
    }

    /// Hands on what was printed.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn event_line(event: &Envelope<'_>, width: usize) -> String {
    let time = DateTime::<Utc>::from_timestamp_millis(event.timestamp)
        .map_or_else(String::new, |time| time.format("%H:%M:%S%.3f").to_string());
    let data = event.data.map_or("", RawValue::get);
    let text = format!(
        "{:>7}  {time:<12}  {:<10}  {:<22}  {data}",
        event.offset, event.channel, event.kind
    );
    fitted(&text, width)
}

/// A line that fits: without what a terminal would obey, and cut where it is too long.
pub(super) fn fitted(text: &str, width: usize) -> String {
    let mut line: String =
        text.chars().take(width + 1).map(|c| if is_obeyed(c) { '·' } else { c }).collect();
    if line.chars().count() > width {
        line = line.chars().take(width - 1).collect();
        line.push('…');
    }
    line
}

/// A time as people read it, or a dash where there is none.
pub(super) fn time_text(unix_ms: Option<u64>) -> String {
    unix_ms
        .and_then(|ms| i64::try_from(ms).ok())
        .and_then(DateTime::<Utc>::from_timestamp_millis)
        .map_or_else(|| "-".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// A message about the work itself: standard error, so that output stays clean. It is one line;
/// whatever is in it of a log, a file or a server is shown and not obeyed.
pub(super) fn notice(text: &str) {
    // Nobody is there to read it: nothing is lost.
    drop(writeln!(io::stderr().lock(), "{}", visible(text)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_that_fits() {
        let json = br#"{"offset":42,"channel":"terminal","type":"terminal.output","timestamp":1795174830058,"data":{"data":"a long line of output"}}"#;
        let event: Envelope<'_> = serde_json::from_slice(json).unwrap();
        let line = event_line(&event, 70);
        assert_eq!(
            line,
            "     42  11:40:30.058  terminal    terminal.output         {\"data\":\"a…"
        );
        assert_eq!(line.chars().count(), 70);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(fitted("a\u{1b}[2Jb\u{9b}", 20), "a·[2Jb·");
        assert_eq!(fitted("user\u{202e}nimda\u{2066}\u{200f}\u{2028}", 20), "user·nimda···");
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(time_text(Some(1_795_174_830_058)), "2026-11-20T11:40:30Z");
        assert_eq!(time_text(None), "-");
    }
}
