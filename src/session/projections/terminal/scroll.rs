//! The lines that a terminal has shown, as far as they are kept. Pure.
//!
//! Invariants: the last line alone may be without its end; `bytes` is the sum of the lines' texts.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::{limits, session::projections::Event};

/// A line.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Its text, with its control characters but without its end.
    pub text: String,
    /// Where it came from: `stdout`, `stderr` or another word.
    pub source: Option<String>,
    /// When it began, Unix milliseconds.
    pub at: u64,
    /// The event it began with.
    pub offset: u64,
}

/// The last lines of a terminal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scroll {
    /// The lines, in order.
    pub lines: VecDeque<Line>,
    /// The last line goes on with the next output.
    pub open: bool,
    /// Earlier lines that are not in view any more.
    pub dropped_lines: u64,
    /// Bytes of all lines in view.
    pub bytes: usize,
}

impl Scroll {
    /// Takes what was shown. A line of one source does not go on with another's.
    pub(super) fn show(&mut self, event: &Event<'_>, source: Option<&str>, data: &str) {
        for piece in data.split_inclusive('\n') {
            let goes_on =
                self.open && self.lines.back().is_some_and(|line| line.source.as_deref() == source);
            if !goes_on {
                self.lines.push_back(Line {
                    text: String::new(),
                    source: source.map(str::to_owned),
                    at: event.timestamp_ms,
                    offset: event.offset,
                });
            }
            self.open = !piece.ends_with('\n');
            self.extend(piece.strip_suffix('\n').unwrap_or(piece));
            self.trim();
        }
    }

    /// Adds to the last line; one that ends loses its return.
    fn extend(&mut self, piece: &str) {
        let Some(line) = self.lines.back_mut() else { return };
        self.bytes = self.bytes.saturating_sub(line.text.len());
        line.text.push_str(piece);
        if !self.open && line.text.ends_with('\r') {
            line.text.pop();
        }
        if line.text.len() > limits::TERMINAL_LINE_BYTES_MAX {
            cut(&mut line.text);
        }
        self.bytes = self.bytes.saturating_add(line.text.len());
    }

    fn trim(&mut self) {
        while self.lines.len() > limits::TERMINAL_LINES_MAX
            || self.bytes > limits::TERMINAL_BYTES_MAX
        {
            let Some(line) = self.lines.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(line.text.len());
            self.dropped_lines = self.dropped_lines.saturating_add(1);
        }
    }
}

/// Leaves the last half of a line: from behind a return, where what comes writes over what was
/// before, or else from any character.
fn cut(text: &mut String) {
    let least = text.len().saturating_sub(limits::TERMINAL_LINE_BYTES_MAX / 2);
    let start = text.ceil_char_boundary(least);
    let end = text.get(start..).unwrap_or_default();
    let behind = end.find('\r').map_or(0, |place| place + 1);
    text.drain(..start + if behind < end.len() { behind } else { 0 });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::session::projections::{Terminal, testing::fold};

    fn scroll(pieces: &[String]) -> Scroll {
        let events: Vec<_> =
            pieces.iter().map(|data| ("terminal.output", json!({"data": data}))).collect();
        let terminal: Terminal = fold(&events);
        terminal.terminals.last().map(|screen| screen.scroll.clone()).unwrap_or_default()
    }

    fn texts(scroll: &Scroll) -> Vec<&str> {
        scroll.lines.iter().map(|line| &*line.text).collect()
    }

    proptest! {
        #[test]
        fn however_output_is_cut_the_lines_are_the_same(
            text in "[a-c\r\n\u{1b}é]{0,40}",
            cuts in prop::collection::vec(0..40_usize, 0..5),
        ) {
            let mut pieces = vec![String::new()];
            for (index, letter) in text.chars().enumerate() {
                if cuts.contains(&index) {
                    pieces.push(String::new());
                }
                pieces.last_mut().unwrap().push(letter);
            }
            let (whole, cut) = (scroll(std::slice::from_ref(&text)), scroll(&pieces));
            prop_assert_eq!(texts(&whole), texts(&cut));
            let lines: Vec<_> = text.lines().collect();
            prop_assert_eq!(texts(&whole), lines);
            prop_assert_eq!(cut.open, !text.is_empty() && !text.ends_with('\n'));
        }
    }

    #[test]
    fn lines_are_bounded_in_number() {
        let line = |n: usize| format!("{n}\n");
        let all: Vec<_> = (0..limits::TERMINAL_LINES_MAX + 5).map(line).collect();
        let scroll = scroll(&all);
        assert_eq!(scroll.lines.len(), limits::TERMINAL_LINES_MAX);
        assert_eq!((&*scroll.lines[0].text, scroll.dropped_lines), ("5", 5));
    }

    #[test]
    fn lines_are_bounded_in_bytes() {
        let kept = scroll(&vec!["€".repeat(5_000) + "\n"; 20]);
        assert_eq!((kept.lines.len(), kept.dropped_lines), (17, 3));
        assert_eq!(kept.bytes, 17 * 15_000);
    }

    #[test]
    fn a_long_line_keeps_its_end() {
        let half = limits::TERMINAL_LINE_BYTES_MAX / 2;
        let long = scroll(&["a".repeat(2 * half), "€".to_owned()]);
        assert_eq!(texts(&long), ["a".repeat(half - 3) + "€"]);
        assert_eq!(long.bytes, half);
    }

    #[test]
    fn a_progress_bar_leaves_the_lines_before_it() {
        let mut pieces = vec!["before\n".to_owned()];
        pieces.extend((0..20_000).map(|n| format!("\r{n:>20} of 20000 done")));
        let kept = scroll(&pieces);
        assert_eq!(kept.lines.len(), 2);
        assert!(kept.lines[1].text.ends_with("19999 of 20000 done"));
        // Whole steps are left, none of them cut.
        assert_eq!(kept.lines[1].text.len() % 35, 34);
    }

    #[test]
    fn another_source_begins_another_line() {
        let terminal: Terminal = fold(&[
            ("terminal.output", json!({"data": "out", "source": "stdout"})),
            ("terminal.output", json!({"data": "err", "source": "stderr"})),
        ]);
        assert_eq!(texts(&terminal.terminals.last().unwrap().scroll), ["out", "err"]);
    }
}
