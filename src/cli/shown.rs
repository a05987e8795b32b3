//! How text of others is shown to people: its control characters as escapes, long text cut, and
//! colours of our own. [`is_obeyed`] says for every command what may not reach a terminal.
//!
//! It refuses to know where the text came from. Invariant: nothing that a writer put into an
//! event moves the cursor, changes colours or turns the direction of text of whoever looks at it.

use std::fmt::{self, Write as _};

/// What stands where text was cut.
const CUT: char = '…';

/// What a piece of text is, and so its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing special.
    Plain,
    /// What is beside the matter.
    Quiet,
    /// What stands out.
    Strong,
    /// A person.
    Person,
    /// An agent; what is new.
    Good,
    /// A tool, a question, what has changed.
    Work,
    /// What went wrong; what is gone.
    Bad,
}

/// Colours, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paint {
    is_on: bool,
}

impl Paint {
    /// Colours if `is_on`.
    pub(super) fn new(is_on: bool) -> Self {
        Self { is_on }
    }

    /// The text in its colour. The text is safe already.
    pub(super) fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            _ if !self.is_on || text.is_empty() => return text.to_owned(),
            Tone::Plain => return text.to_owned(),
            Tone::Quiet => "2",
            Tone::Strong => "1",
            Tone::Person => "36",
            Tone::Good => "32",
            Tone::Work => "33",
            Tone::Bad => "31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// The text on one line, with what a terminal would obey written as escapes.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => push(&mut out, format_args!("\\x{:02x}", u32::from(c))),
            c if is_obeyed(c) => push(&mut out, format_args!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// JSON text in which what a terminal would obey is written as JSON escapes: still the same
/// JSON. Line breaks between tokens stay.
pub(super) fn visible_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_obeyed(c) {
            push(&mut out, format_args!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

fn push(out: &mut String, escape: fmt::Arguments<'_>) {
    // A `String` takes whatever is written to it.
    let _ = out.write_fmt(escape);
}

/// Whether a terminal obeys a character instead of showing it: controls, line separators, and
/// marks that turn the direction of text around.
pub(super) fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most so many characters of a text, with a mark where it was cut.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars_max.saturating_sub(1)).chain([CUT]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_has_anything_left_that_is_obeyed(text in any::<String>()) {
            let text = format!("{text}\u{1b}{text}");
            prop_assert!(!visible(&text).contains(|c: char| c.is_control() || is_obeyed(c)));
            let json = serde_json::to_string(&text).unwrap();
            let shown = visible_json(&json);
            prop_assert!(!shown.contains(|c: char| c.is_control() || is_obeyed(c)));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_an_escape() {
        assert_eq!(visible("a\u{1b}[2Jb\u{7f}\u{9b}1m"), "a\\x1b[2Jb\\x7f\\u{9b}1m");
        assert_eq!(visible("a\r\n\tb"), "a\\r\\n\\tb");
        assert_eq!(visible("user\u{202e}nimda"), "user\\u{202e}nimda");
        let once = visible("\u{1b}\u{202e}\n");
        assert_eq!(visible(&once), once, "what was shown before is shown as it is");
        assert_eq!(visible("żółw 🐢 äöü"), "żółw 🐢 äöü");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"a": "x\u{9b}2J\u{202e}\u{1b}[0m\u{7f}"});
        let text = visible_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn there_are_no_colours_unless_they_are_on() {
        assert_eq!(Paint::new(false).tone(Tone::Bad, "x"), "x");
        assert_eq!(Paint::new(true).tone(Tone::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(Paint::new(true).tone(Tone::Plain, "x"), "x");
        assert_eq!(Paint::new(true).tone(Tone::Bad, ""), "");
    }
}
