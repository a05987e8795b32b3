//! A terminal of a session as a recording in asciinema's format, version 2: a header, then one line
//! for each event, `[seconds, "o" or "i" or "r", data]`. Pure.
//!
//! Invariants: times begin at 0 and never go back; the data of output and input is the text that the
//! event has, to the character.

use std::{borrow::Cow, fmt::Write as _};

use serde::Deserialize;
use serde_json::{json, value::RawValue};

/// The size of a terminal that nobody told the size of.
const SIZE: (u16, u16) = (80, 24);
/// Names of other terminals that are kept, to tell of them.
const OTHERS_MAX: usize = 16;

/// There is nothing to record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoTerminal {
    /// In all of the stream.
    #[error("{0} has no terminal.output and no terminal.input: there is nothing to record")]
    None(String),
    /// In that terminal.
    #[error("{path} has no terminal {asked:?}; it has: {known}")]
    Unknown {
        /// The stream.
        path: String,
        /// What was asked for.
        asked: String,
        /// What there is.
        known: String,
    },
}

/// A recording being written.
#[derive(Debug)]
pub(super) struct Cast {
    path: String,
    asked: Option<String>,
    /// The terminal that is recorded, once it was seen.
    chosen: Option<Name>,
    others: Vec<String>,
    title: Option<String>,
    size: (u16, u16),
    began_ms: Option<u64>,
    last_ms: u64,
    has_header: bool,
}

/// A terminal; in a session with one it may have no name.
#[derive(Debug, PartialEq, Eq)]
struct Name(Option<String>);

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    timestamp: Option<u64>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    terminal_id: Option<String>,
    data: Option<String>,
    cols: Option<u16>,
    rows: Option<u16>,
}

#[derive(Deserialize)]
struct Titled {
    title: Option<String>,
}

impl Cast {
    /// A recording of a terminal of the stream at `path`: the one asked for, else the first.
    pub(super) fn new(path: &str, asked: Option<String>) -> Self {
        Self {
            path: path.to_owned(),
            chosen: asked.clone().map(|name| Name(Some(name))),
            asked,
            others: Vec::new(),
            title: None,
            size: SIZE,
            began_ms: None,
            last_ms: 0,
            has_header: false,
        }
    }

    /// Takes the next event of the stream, as the server shows it. What is no event of a terminal
    /// changes nothing.
    pub(super) fn event(&mut self, shown: &str, out: &mut String) {
        let Ok(Event { kind, timestamp, data: Some(data) }) = serde_json::from_str(shown) else {
            return;
        };
        match &*kind {
            "session.created" | "session.updated" => {
                let titled: Option<Titled> = serde_json::from_str(data.get()).ok();
                self.title = titled.and_then(|titled| titled.title).or(self.title.take());
            }
            "terminal.output" | "terminal.input" | "terminal.resize" => {
                if let Ok(said) = serde_json::from_str(data.get()) {
                    self.said(&kind, timestamp, said, out);
                }
            }
            _ => {}
        }
    }

    fn said(&mut self, kind: &str, timestamp: Option<u64>, said: Said, out: &mut String) {
        let Said { terminal_id, data, cols, rows } = said;
        let name = Name(terminal_id);
        if self.chosen.as_ref().is_some_and(|chosen| *chosen != name) {
            let name = name.0.unwrap_or_else(|| "(one without a name)".to_owned());
            if self.others.len() < OTHERS_MAX && !self.others.contains(&name) {
                self.others.push(name);
            }
            return;
        }
        self.chosen = Some(name);
        let time = timestamp.unwrap_or(self.last_ms).max(self.last_ms);
        let began_ms = *self.began_ms.get_or_insert(time);
        self.last_ms = time;
        let size = cols.filter(|cols| *cols > 0).zip(rows.filter(|rows| *rows > 0));
        match (kind, data, size) {
            ("terminal.output", Some(data), _) => self.line(time - began_ms, 'o', &data, out),
            ("terminal.input", Some(data), _) => self.line(time - began_ms, 'i', &data, out),
            ("terminal.resize", _, Some((cols, rows))) if self.has_header => {
                self.line(time - began_ms, 'r', &format!("{cols}x{rows}"), out);
            }
            // What the terminal is like when something is first shown.
            ("terminal.resize", _, Some(size)) => self.size = size,
            _ => {}
        }
    }

    fn line(&mut self, ms: u64, code: char, data: &str, out: &mut String) {
        if !self.has_header {
            self.has_header = true;
            let title = self.title.as_deref().unwrap_or(&self.path);
            let (width, height) = self.size;
            let timestamp = self.began_ms.unwrap_or(0) / 1_000;
            let header = json!({
                "version": 2, "width": width, "height": height, "timestamp": timestamp, "title": title,
            });
            let _ = writeln!(out, "{header}");
        }
        let (seconds, rest, data) = (ms / 1_000, ms % 1_000, json!(data));
        // Writing to a text cannot fail.
        let _ = writeln!(out, "[{seconds}.{rest:03},\"{code}\",{data}]");
    }

    /// There are no more events. Hands over the names of terminals that were left out.
    ///
    /// # Errors
    /// Nothing was recorded.
    pub(super) fn end(self) -> Result<Vec<String>, NoTerminal> {
        match self.asked {
            _ if self.has_header && self.asked.is_some() => Ok(Vec::new()),
            _ if self.has_header => Ok(self.others),
            Some(asked) if !self.others.is_empty() => {
                let known = self.others.join(", ");
                Err(NoTerminal::Unknown { path: self.path, asked, known })
            }
            _ => Err(NoTerminal::None(self.path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn shown(kind: &str, ms: u64, data: &serde_json::Value) -> String {
        json!({"offset": 1, "id": "a", "channel": "terminal", "type": kind, "timestamp": ms, "data": data})
            .to_string()
    }

    fn cast(
        asked: Option<&str>,
        events: &[(&str, u64, serde_json::Value)],
    ) -> (String, Result<Vec<String>, NoTerminal>) {
        let mut cast = Cast::new("sessions/a", asked.map(str::to_owned));
        let mut out = String::new();
        for (kind, ms, data) in events {
            cast.event(&shown(kind, *ms, data), &mut out);
        }
        (out, cast.end())
    }

    #[test]
    fn the_size_and_title_before_the_first_output_are_those_of_the_header() {
        let (out, end) = cast(
            None,
            &[
                ("session.created", 900, json!({"title": "Ship \"it\""})),
                ("terminal.resize", 10_250, json!({"cols": 100, "rows": 30})),
                ("terminal.output", 10_300, json!({"data": "\u{1b}[1mgrüß\u{7}\r\n\u{2028}\"\\"})),
                ("terminal.resize", 10_400, json!({"cols": 0, "rows": 30})),
                ("terminal.resize", 71_400, json!({"cols": 120, "rows": 40})),
                ("message.created", 71_400, json!({"data": "x"})),
                // A clock that goes back.
                ("terminal.input", 5, json!({"data": "ls\n", "userId": "u"})),
                ("terminal.output", 71_405, json!({"data": 7})),
                ("terminal.exit", 71_406, json!({"exitCode": 0})),
            ],
        );
        assert_snapshot!(out, @r#"
    {"height":30,"timestamp":10,"title":"Ship \"it\"","version":2,"width":100}
    [0.050,"o","\u001b[1mgrüß\u0007\r\n \"\\"]
    [61.150,"r","120x40"]
    [61.150,"i","ls\n"]
    "#);
        assert_eq!(end, Ok(Vec::new()));
    }

    #[test]
    fn one_terminal_is_recorded_and_the_others_are_named() {
        let events = [
            ("terminal.output", 0, json!({"data": "a", "terminalId": "one"})),
            ("terminal.output", 1, json!({"data": "b", "terminalId": "two"})),
            ("terminal.output", 2, json!({"data": "c"})),
            ("terminal.output", 3, json!({"data": "d", "terminalId": "two"})),
        ];
        let (out, end) = cast(None, &events);
        assert_eq!(
            (out.lines().count(), end),
            (2, Ok(vec!["two".to_owned(), "(one without a name)".to_owned()]))
        );
        let (out, end) = cast(Some("two"), &events);
        assert_eq!((out.lines().count(), end), (3, Ok(Vec::new())));
        let (out, end) = cast(Some("three"), &events);
        let known = "one, two, (one without a name)".to_owned();
        let unknown =
            NoTerminal::Unknown { path: "sessions/a".to_owned(), asked: "three".to_owned(), known };
        assert_eq!((out.as_str(), end), ("", Err(unknown)));
    }

    #[test]
    fn a_session_without_a_terminal_has_nothing_to_record() {
        for events in [&[][..], &[("terminal.resize", 1, json!({"cols": 9, "rows": 9}))]] {
            let (out, end) = cast(None, events);
            assert_eq!((out.as_str(), end), ("", Err(NoTerminal::None("sessions/a".to_owned()))));
        }
    }
}
