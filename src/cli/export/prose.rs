//! Pieces of Markdown around texts of others. Pure. Invariant: whatever a text holds, it ends where its
//! piece ends: no heading, fence or tag of it reaches what follows.

use std::iter;

use chrono::DateTime;

use crate::cli::shown::is_obeyed;

/// A text within a line: no line breaks, and no markup of its own.
pub(super) fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        if "\\`*_[]<>&#|~$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A text within a line, as it is.
pub(super) fn code(text: &str) -> String {
    let text = plain(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let ticks = "`".repeat(longest_run(&text) + 1);
    if text.is_empty() || text.starts_with('`') || text.ends_with('`') {
        return format!("{ticks} {text} {ticks}");
    }
    format!("{ticks}{text}{ticks}")
}

/// A text of its own, quoted, with its own Markdown.
pub(super) fn quote(text: &str) -> String {
    let lines = plain(text);
    let line = |line: &str| if line.is_empty() { ">\n".to_owned() } else { format!("> {line}\n") };
    lines.trim_end().split('\n').map(line).collect()
}

/// A text as it is, in a fence that is longer than any in it.
pub(super) fn fence(language: &str, text: &str) -> String {
    let text = plain(text);
    let ticks = "`".repeat((longest_run(&text) + 1).max(3));
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{ticks}{language}\n{text}{end}{ticks}\n")
}

/// A moment, for people.
pub(super) fn time(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(DateTime::from_timestamp_millis);
    time.map_or_else(String::new, |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A text without what a terminal obeys, each line ended in one way.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut chars),
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push('\n');
            }
            '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\n' | '\t' => out.push(c),
            c if is_obeyed(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Steps over what follows an escape: colours and moves to their last letter, titles to their end.
fn skip_sequence(chars: &mut iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            while chars.next_if(|c| ('\u{20}'..='\u{3f}').contains(c)).is_some() {}
            chars.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
        }
        Some(']') => {
            while chars.next_if(|c| !c.is_control()).is_some() {}
            if chars.next_if_eq(&'\u{1b}').is_some() {
                chars.next_if_eq(&'\\');
            }
        }
        Some('\u{20}'..='\u{2f}') => {
            chars.next();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_within_a_line_is_escaped() {
        assert_eq!(inline(" a*b*\n# <i> &amp; `x`"), r"a\*b\* \# \<i\> \&amp; \`x\`");
        assert_eq!(code("a `b`` c"), "```a `b`` c```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code(""), "`  `");
    }

    #[test]
    fn every_line_of_a_text_is_quoted() {
        assert_eq!(quote("# a\r\n\r```\rb\n\n"), "> # a\n>\n> ```\n> b\n");
        assert_eq!(quote(""), ">\n");
    }

    #[test]
    fn a_fence_is_longer_than_those_within() {
        assert_eq!(fence("json", "{}"), "```json\n{}\n```\n");
        assert_eq!(fence("", "```\n`````x\n"), "``````\n```\n`````x\n``````\n");
    }

    #[test]
    fn what_steers_a_terminal_is_left_out() {
        let text =
            "\u{1b}]0;title\u{7}\u{1b}[1;32mok\u{1b}[0m\u{9b}1mx\u{1b}]8;;u\u{1b}\\y\u{1b}(Bz\u{8}";
        assert_eq!(plain(text), "ok1mxyz");
        assert_eq!(plain("user\u{202e}nimda\u{2066}\u{61c}\u{2028}x"), "usernimda\nx");
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(time(1_795_174_830_058), "2026-11-20 11:40:30 UTC");
        assert_eq!(time(u64::MAX), "");
    }

    proptest! {
        #[test]
        fn no_text_breaks_out_of_its_piece(text in "[ab`~> #\r\n<\u{85}\u{2028}\u{1b}]{0,60}") {
            prop_assert!(quote(&text).split('\n').all(|line| line.is_empty() || line.starts_with('>')));
            prop_assert!(!inline(&text).contains(['\n', '\r']));
            let fenced = fence("", &text);
            let mut lines = fenced.lines();
            let ticks = lines.next().unwrap();
            // The only line within that could end the block is the last one.
            let ends: Vec<bool> = lines.map(|line| line.trim().starts_with(ticks)).collect();
            let (last, within) = ends.split_last().unwrap();
            prop_assert!(*last && !within.contains(&true), "{}", fenced);
        }
    }
}
