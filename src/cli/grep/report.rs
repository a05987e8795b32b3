//! What a search prints: matching lines, names, counts or JSON, and a sign of life beside it.
//!
//! It refuses to know where matches come from. Invariant: names and counts are printed once for
//! each stream, when it was read.

use std::io;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::matching::Found;
use crate::{
    cli::{
        output::Output,
        shown::{Paint, Tone, visible, visible_json},
    },
    client::Event,
};

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// Every matching line.
    Lines,
    /// The names of streams with a match.
    Names,
    /// How many events match, for each stream with one.
    Counts,
    /// An object for each matching event.
    Json,
}

/// A search being told.
pub(super) struct Report {
    output: Output,
    paint: Paint,
    show: Show,
    left: u64,
    bar: ProgressBar,
    name: String,
    here: u64,
    is_any: bool,
}

impl Report {
    /// A search that prints at most `limit` matches; of names and counts, streams.
    pub(super) fn new(output: Output, show: Show, limit: Option<u64>) -> Self {
        let style = ProgressStyle::with_template("{spinner} {human_pos} events looked at, {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        let (paint, bar) = (output.paint(), ProgressBar::new_spinner().with_style(style));
        let left = limit.unwrap_or(u64::MAX);
        Self { output, paint, show, left, bar, name: String::new(), here: 0, is_any: false }
    }

    /// A stream begins.
    pub(super) fn begin(&mut self, path: &str) {
        path.strip_prefix("sessions/").unwrap_or(path).clone_into(&mut self.name);
        self.bar.set_message(visible(&self.name));
        self.here = 0;
    }

    /// So many events were looked at.
    pub(super) fn looked_at(&self, events: usize) {
        self.bar.inc(u64::try_from(events).unwrap_or(0));
    }

    /// An event matches.
    pub(super) fn found(&mut self, event: &Event, found: &[Found]) -> Result<()> {
        (self.here, self.is_any) = (self.here + 1, true);
        let lines: Vec<String> = match self.show {
            Show::Names | Show::Counts => return Ok(()),
            Show::Lines => found.iter().map(|found| self.line(event, found)).collect(),
            Show::Json => vec![visible_json(
                &json!({
                    "session": self.name, "offset": event.offset(), "channel": event.channel(),
                    "type": event.kind(), "timestamp": event.timestamp_ms(), "id": event.id(),
                    "lines": found.iter().map(|found| &found.line).collect::<Vec<_>>(),
                })
                .to_string(),
            )],
        };
        self.left = self.left.saturating_sub(1);
        Ok(self.print(&lines)?)
    }

    /// A stream was read.
    pub(super) fn end(&mut self) -> Result<()> {
        let line = match self.show {
            Show::Names if self.here > 0 => visible(&self.name),
            Show::Counts if self.here > 0 => format!("{}:{}", visible(&self.name), self.here),
            _ => return Ok(()),
        };
        self.left = self.left.saturating_sub(1);
        Ok(self.print(&[line])?)
    }

    /// Nothing more of this stream is wanted.
    pub(super) fn is_enough_here(&self) -> bool {
        self.left == 0 || (self.show == Show::Names && self.here > 0)
    }

    /// Nothing more is wanted.
    pub(super) fn is_enough(&self) -> bool {
        self.left == 0
    }

    /// The end: whether anything matched.
    pub(super) fn finish(mut self) -> Result<bool> {
        self.bar.finish_and_clear();
        self.output.flush()?;
        Ok(self.is_any)
    }

    fn line(&self, event: &Event, found: &Found) -> String {
        let place =
            format!("{}:{}:{}:", visible(&self.name), event.offset(), visible(event.kind()));
        format!("{} {}", self.paint.tone(Tone::Quiet, &place), found.shown(self.paint))
    }

    fn print(&mut self, lines: &[String]) -> io::Result<()> {
        let output = &mut self.output;
        self.bar.suspend(|| lines.iter().try_for_each(|line| output.line(line)))
    }
}
