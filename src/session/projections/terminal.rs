//! What terminals show and what people typed into them.
//!
//! It refuses to know what control characters mean but for the end of a line: the text of a line
//! is what came, colours and all. Invariants: the lines of a terminal are bounded in number and in
//! bytes, and the history of inputs holds those of people only.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

pub use self::scroll::{Line, Scroll};
use super::{
    Event,
    keyed::{Keyed, Named},
};
use crate::{
    limits,
    projection::Projection,
    session::vocabulary::{
        Id, KnownEvent,
        terminal::{TerminalExit, TerminalInput},
    },
};

mod scroll;

/// How a program ended.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// Its exit code.
    pub exit_code: Option<i64>,
    /// The signal that ended it.
    pub signal: Option<String>,
    /// When, Unix milliseconds.
    pub at: u64,
    /// The event that said so.
    pub offset: u64,
}

/// A terminal.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Screen {
    /// The terminal, where the session has several.
    pub terminal_id: Option<Id>,
    /// Columns, where anybody said.
    pub cols: Option<u16>,
    /// Rows, where anybody said.
    pub rows: Option<u16>,
    /// How its program ended, unless something was shown since.
    pub exit: Option<Exit>,
    /// What was shown.
    #[serde(flatten)]
    pub scroll: Scroll,
    /// The event it began with.
    pub offset: u64,
    /// The event that changed it last.
    pub updated_offset: u64,
}

impl Named for Screen {
    type Key = Option<Id>;

    fn key(&self) -> Option<Id> {
        self.terminal_id.clone()
    }
}

/// Something that was typed.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The terminal, where the session has several.
    pub terminal_id: Option<Id>,
    /// The text, cut where it is long.
    pub data: String,
    /// Who typed it.
    pub user_id: Option<Id>,
    /// Where it came from.
    pub source: Option<String>,
    /// When, Unix milliseconds.
    pub at: u64,
    /// The event that said so.
    pub offset: u64,
}

/// The terminals of a session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terminal {
    /// The terminals, in the order in which they began.
    pub terminals: Keyed<Screen>,
    /// What people typed, the newest first.
    pub inputs: VecDeque<Input>,
}

impl Projection for Terminal {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "terminal";
    const VERSION: u32 = 1;

    fn apply(&mut self, event: &Event<'_>) {
        match &event.known {
            Some(KnownEvent::TerminalOutput(said)) => {
                self.change(event, said.terminal_id.as_ref(), |screen| {
                    screen.exit = None;
                    screen.scroll.show(event, said.source.as_deref(), &said.data);
                });
            }
            Some(KnownEvent::TerminalInput(said)) => {
                self.change(event, said.terminal_id.as_ref(), |_| {});
                self.input(event, said);
            }
            Some(KnownEvent::TerminalResize(said)) => {
                self.change(event, said.terminal_id.as_ref(), |screen| {
                    screen.cols = Some(said.cols.get());
                    screen.rows = Some(said.rows.get());
                });
            }
            Some(KnownEvent::TerminalExit(said)) => {
                self.change(event, said.terminal_id.as_ref(), |screen| screen.end(event, said));
            }
            _ => {}
        }
    }
}

impl Terminal {
    fn change(
        &mut self,
        event: &Event<'_>,
        terminal_id: Option<&Id>,
        change: impl FnOnce(&mut Screen),
    ) {
        let key = terminal_id.cloned();
        let screen = self.terminals.entry(&key, || Screen {
            terminal_id: key.clone(),
            cols: None,
            rows: None,
            exit: None,
            scroll: Scroll::default(),
            offset: event.offset,
            updated_offset: event.offset,
        });
        screen.updated_offset = event.offset;
        change(screen);
        self.terminals.trim(limits::TERMINALS_MAX, |screen| screen.updated_offset);
    }

    fn input(&mut self, event: &Event<'_>, said: &TerminalInput) {
        if said.source.as_deref() == Some("agent") {
            return;
        }
        let end = said.data.floor_char_boundary(limits::TERMINAL_INPUT_BYTES_MAX);
        self.inputs.push_front(Input {
            terminal_id: said.terminal_id.clone(),
            data: said.data.get(..end).unwrap_or_default().to_owned(),
            user_id: said.user_id.clone(),
            source: said.source.clone(),
            at: event.timestamp_ms,
            offset: event.offset,
        });
        self.inputs.truncate(limits::TERMINAL_INPUTS_MAX);
    }
}

impl Screen {
    fn end(&mut self, event: &Event<'_>, said: &TerminalExit) {
        self.exit = Some(Exit {
            exit_code: said.exit_code,
            signal: said.signal.clone(),
            at: event.timestamp_ms,
            offset: event.offset,
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::session::projections::testing::{fold, text_of};

    #[test]
    fn terminals_show_lines_have_a_size_and_end() {
        let terminal: Terminal = fold(&[
            ("terminal.resize", json!({"terminalId": "t1", "cols": 80, "rows": 24})),
            ("terminal.input", json!({"terminalId": "t1", "data": "ls\n", "userId": "u"})),
            ("terminal.output", json!({"terminalId": "t1", "data": "a\r\n\u{1b}[1mb"})),
            ("terminal.output", json!({"data": "another", "source": "stderr"})),
            ("terminal.output", json!({"terminalId": "t1", "data": "b\r\n"})),
            ("terminal.exit", json!({"terminalId": "t1", "exitCode": 1})),
        ]);
        insta::assert_snapshot!(text_of(&terminal), @r#"
        inputs: [{"at":2000,"data":"ls\n","offset":2,"terminalId":"t1","userId":"u"}]
        terminals: [{"bytes":7,"cols":80,"droppedLines":0,"exit":{"at":6000,"exitCode":1,"offset":6},"lines":[{"at":3000,"offset":3,"text":"a"},{"at":3000,"offset":3,"text":"\u001b[1mbb"}],"offset":1,"open":false,"rows":24,"terminalId":"t1","updatedOffset":6},{"bytes":7,"droppedLines":0,"lines":[{"at":4000,"offset":4,"source":"stderr","text":"another"}],"offset":4,"open":true,"updatedOffset":4}]
        "#);
    }

    #[test]
    fn the_history_has_the_last_inputs_of_people_newest_first() {
        let input = |n: usize| ("terminal.input", json!({"data": format!("{n}\n")}));
        let mut events: Vec<_> = (0..60).map(input).collect();
        events.push(("terminal.input", json!({"data": "by itself\n", "source": "agent"})));
        let terminal: Terminal = fold(&events);
        assert_eq!(terminal.inputs.len(), limits::TERMINAL_INPUTS_MAX);
        assert_eq!(terminal.inputs[0].data, "59\n");
        assert_eq!(terminal.inputs[49].data, "10\n");
    }

    #[test]
    fn a_long_input_is_cut_between_characters() {
        let terminal: Terminal = fold(&[("terminal.input", json!({"data": "€".repeat(2_000)}))]);
        let data = &terminal.inputs[0].data;
        assert_eq!(data.len(), limits::TERMINAL_INPUT_BYTES_MAX / 3 * 3);
    }

    #[test]
    fn a_program_that_shows_something_again_has_not_ended() {
        let terminal: Terminal = fold(&[
            ("terminal.exit", json!({"exitCode": 0})),
            ("terminal.output", json!({"data": "$ "})),
        ]);
        assert_eq!(terminal.terminals.last().unwrap().exit, None);
    }

    #[test]
    fn beyond_the_bound_the_terminal_quiet_for_longest_goes() {
        let output =
            |n: usize| ("terminal.output", json!({"terminalId": format!("t{n}"), "data": "x"}));
        let max = limits::TERMINALS_MAX;
        let events: Vec<_> = (0..max).chain([0, max]).map(output).collect();
        let terminal: Terminal = fold(&events);
        let there = |id: &str| terminal.terminals.get(&Id::new(id)).is_some();
        assert_eq!(terminal.terminals.len(), max);
        assert!(there("t0") && !there("t1"));
    }
}
