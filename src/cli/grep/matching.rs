//! Which lines of an event's text match, and how a match is shown. Pure.
//!
//! It refuses to know where events come from. Invariant: a pattern takes linear time and bounded
//! memory, whatever it is and whatever text it meets.

use std::ops::Range;

use anyhow::{Context, Result};
use regex::{Regex, RegexBuilder};

use super::texts;
use crate::{
    cli::shown::{Paint, Tone, visible},
    client::Event,
};

/// Memory of a compiled pattern, in bytes: patterns that people type take a hundredth …
const PATTERN_BYTES_MAX: usize = 2 * 1024 * 1024;
/// … and of what it remembers while it looks.
const CACHE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Characters shown before a match …
const BEFORE_CHARS_MAX: usize = 60;
/// … and from its beginning on.
const AFTER_CHARS_MAX: usize = 160;

/// What is looked for.
#[derive(Debug)]
pub(super) struct Matcher {
    pattern: Regex,
    types: Vec<String>,
}

/// A line of text that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The line, whole.
    pub(super) line: String,
    /// Where the first match is in it, in bytes.
    pub(super) at: Range<usize>,
}

/// Reads a pattern.
///
/// # Errors
/// It is none, or takes too much memory.
pub(super) fn pattern(text: &str, is_case_ignored: bool) -> Result<Regex> {
    RegexBuilder::new(text)
        .case_insensitive(is_case_ignored)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(CACHE_BYTES_MAX)
        .build()
        .with_context(|| format!("{text:?} is no pattern; put a \\ before what is meant literally"))
}

impl Matcher {
    /// Looks for a pattern in events of some types, or of all where none is named.
    pub(super) fn new(pattern: Regex, types: Vec<String>) -> Self {
        Self { pattern, types }
    }

    /// The lines of an event that match.
    pub(super) fn found(&self, event: &Event) -> Vec<Found> {
        let mut found = Vec::new();
        if self.is_wanted(event.kind()) {
            // What cannot be read as JSON was not served as an event.
            drop(texts::each(event.data(), |text| {
                let lines = text.lines().filter_map(|line| {
                    let at = self.pattern.find(line)?.range();
                    Some(Found { line: line.to_owned(), at })
                });
                found.extend(lines);
            }));
        }
        found
    }

    fn is_wanted(&self, kind: &str) -> bool {
        let fits = |wanted: &String| match wanted.strip_suffix('*') {
            Some(beginning) => kind.starts_with(beginning),
            None => kind == wanted,
        };
        self.types.is_empty() || self.types.iter().any(fits)
    }
}

impl Found {
    /// The match with some text around it.
    pub(super) fn shown(&self, paint: Paint) -> String {
        let (before, rest) = self.line.split_at_checked(self.at.start).unwrap_or(("", &self.line));
        let (hit, after) = rest.split_at_checked(self.at.len()).unwrap_or((rest, ""));
        let skipped = before.chars().count().saturating_sub(BEFORE_CHARS_MAX);
        let before: String = before.chars().skip(skipped).collect();
        let hit_chars = hit.chars().count();
        let (hit, after) = (
            taken(hit, AFTER_CHARS_MAX),
            match AFTER_CHARS_MAX.checked_sub(hit_chars) {
                Some(left) => taken(after, left),
                None => String::new(),
            },
        );
        let sign = if skipped > 0 { "…" } else { "" };
        format!(
            "{sign}{}{}{}",
            visible(&before),
            paint.tone(Tone::Bad, &visible(&hit)),
            visible(&after)
        )
    }
}

fn taken(text: &str, chars: usize) -> String {
    let mut out: String = text.chars().take(chars).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(kind: &str, data: &Value) -> Event {
        let json = json!({
            "offset": 7, "id": "e", "channel": "x", "type": kind, "timestamp": 1, "data": data,
        });
        Event::read(json.to_string()).unwrap()
    }

    fn found(pattern_text: &str, data: &Value) -> Vec<String> {
        let matcher = Matcher::new(pattern(pattern_text, false).unwrap(), Vec::new());
        let found = matcher.found(&event("t", data));
        found.iter().map(|found| found.shown(Paint::new(false))).collect()
    }

    #[test]
    fn lines_of_text_match_as_they_are_read() {
        let data = json!({"a": "say \"no\"\nand yes\nno", "no": 1, "b": ["x", {"c": "no way"}]});
        assert_eq!(found("no", &data), ["say \"no\"", "no", "no way"]);
        assert_eq!(found("^no$", &data), ["no"]);
        assert_eq!(found(r#""no""#, &data), ["say \"no\""]);
        assert!(found(r"\\n", &data).is_empty());
    }

    #[test]
    fn types_are_named_whole_or_by_their_beginning() {
        let of = |types: &[&str], kind: &str| {
            let types = types.iter().map(|name| (*name).to_owned()).collect();
            let matcher = Matcher::new(pattern("x", false).unwrap(), types);
            !matcher.found(&event(kind, &json!("x"))).is_empty()
        };
        assert!(of(&[], "tool.error"));
        assert!(of(&["tool.*"], "tool.error"));
        assert!(of(&["turn.failed", "tool.error"], "tool.error"));
        assert!(!of(&["tool"], "tool.error"));
    }

    #[test]
    fn a_match_is_shown_with_what_is_around_it_and_never_obeyed() {
        let long = format!("{}needle\u{1b}[2J{}", "a".repeat(500), "b".repeat(500));
        let line = &found("needle", &json!(long))[0];
        assert!(
            line.starts_with("…aaa") && line.contains("needle\\x1b[2Jb") && line.ends_with("b…")
        );
        assert!(line.chars().count() < 240, "{line}");
        let hit = Found { line: "a needle".into(), at: 2..8 };
        assert_eq!(hit.shown(Paint::new(true)), "a \u{1b}[31mneedle\u{1b}[0m");
    }

    #[test]
    fn a_pattern_is_bounded_and_says_what_is_wrong_with_it() {
        assert!(pattern("(", false).unwrap_err().to_string().contains("no pattern"));
        assert!(pattern(r"(\w{1000}){1000}", false).is_err());
        assert!(pattern("NEEDLE", true).unwrap().is_match("needle"));
    }
}
