//! Patterns over stream paths: `*` is one segment, `**` is any number of them, none included
//! (protocol, section 6.2). Pure.
//!
//! Invariant: matching takes at most as many steps as the pattern has segments times those of the
//! path, whatever the pattern.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{PathError, StreamPath};

/// A pattern over stream paths, such as `sessions/*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Checks a pattern: it is written as a path is.
    ///
    /// # Errors
    /// The first rule of paths that it breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let text = text.trim_matches('/');
        StreamPath::parse(text).map(|path| Self(path.shared()))
    }

    /// Checks a pattern that may stand for the server's own paths, too.
    ///
    /// # Errors
    /// The first rule of paths that it breaks.
    pub fn parse_any(text: &str) -> Result<Self, PathError> {
        StreamPath::stored(text.trim_matches('/')).map(|path| Self(path.shared()))
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What every path that it stands for begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        let stars = self.0.split('/').take_while(|segment| !matches!(*segment, "*" | "**"));
        let bytes: usize = stars.map(|segment| segment.len() + 1).sum();
        // `a/**` stands for `a` as well, so the slash is not a part of it.
        self.0.get(..bytes.saturating_sub(1)).unwrap_or(&self.0)
    }

    /// Whether a path is one of those that the pattern stands for.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let pattern: SmallVec<[&str; 8]> = self.0.split('/').collect();
        let path: SmallVec<[&str; 8]> = path.split('/').collect();
        let (mut at, mut reached) = (0, 0);
        // Where the last `**` stood, and how much of the path it takes so far.
        let mut open: Option<(usize, usize)> = None;
        while let Some(segment) = path.get(reached) {
            match pattern.get(at) {
                Some(&"**") => {
                    open = Some((at, reached));
                    at += 1;
                }
                Some(&wanted) if wanted == "*" || wanted == *segment => {
                    at += 1;
                    reached += 1;
                }
                _ => {
                    let Some((stars, taken)) = open else { return false };
                    open = Some((stars, taken + 1));
                    at = stars + 1;
                    reached = taken + 1;
                }
            }
        }
        pattern.iter().skip(at).all(|segment| *segment == "**")
    }

    /// Whether every path that `other` stands for is one that this stands for, too. Where two
    /// patterns say the same in different words (`*/**` and `**/*`), the answer may be no.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let theirs: SmallVec<[&str; 8]> = other.0.split('/').collect();
        // Whether what is left of ours covers what is left of theirs, from each segment of theirs
        // on; ours is gone through from its end.
        let mut after: Vec<bool> = vec![false; theirs.len()];
        after.push(true);
        for ours in self.0.rsplit('/') {
            let mut from_here = vec![ours == "**" && after.last() == Some(&true)];
            for ((segment, all), rest) in theirs.iter().zip(&after).zip(after.iter().skip(1)).rev()
            {
                let covered = match ours {
                    "**" => *all || from_here.last() == Some(&true),
                    "*" => *segment != "**" && *rest,
                    _ => *segment == ours && *rest,
                };
                from_here.push(covered);
            }
            from_here.reverse();
            after = from_here;
        }
        after.first() == Some(&true)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(path)
    }

    /// The definition, word for word.
    fn by_definition(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern.split_first(), path.split_first()) {
            (None, None) => true,
            (Some((&"**", rest)), _) => {
                (0..=path.len()).any(|taken| by_definition(rest, &path[taken..]))
            }
            (Some((&wanted, rest)), Some((&segment, further))) => {
                (wanted == "*" || wanted == segment) && by_definition(rest, further)
            }
            _ => false,
        }
    }

    #[test]
    fn one_star_is_one_segment_and_two_are_any_number() {
        for (pattern, path, expected) in [
            ("events/*", "events/a", true),
            ("events/*", "events", false),
            ("events/*", "events/a/b", false),
            ("events/**", "events", true),
            ("events/**", "events/a/b", true),
            ("**", "a", true),
            ("**/b", "b", true),
            ("**/b", "a/a/b", true),
            ("a/**/c/*", "a/b/c/c/d", true),
            ("a/**/c", "a/b", false),
            ("a*", "ab", false),
            ("/events/*/", "events/a", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_keeps_the_rules_of_paths() {
        for pattern in ["", "/", "a//b", "a/../b", "__ds/*", "a\0"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern:?}");
        }
    }

    #[test]
    fn a_pattern_covers_what_stands_for_no_more() {
        for (ours, theirs, expected) in [
            ("**", "**", true),
            ("**", "sessions/*", true),
            ("*", "**", false),
            ("sessions/*", "sessions/a", true),
            ("sessions/*", "sessions/*", true),
            ("sessions/*", "sessions/**", false),
            ("sessions/**", "sessions", true),
            ("sessions/**", "sessions/*/b", true),
            ("sessions/a", "sessions/*", false),
            ("**/b", "a/**/b", true),
            ("**/b", "a/**", false),
            ("a/**/c/*", "a/b/c/*", true),
        ] {
            let [ours, theirs] = [ours, theirs].map(|text| Pattern::parse(text).unwrap());
            assert_eq!(ours.covers(&theirs), expected, "{ours} {theirs}");
        }
    }

    proptest! {
        #[test]
        fn what_a_covered_pattern_stands_for_the_other_does_too(
            ours in prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "**"]), 1..6),
            theirs in prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "**"]), 1..6),
            path in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..8),
        ) {
            let [ours, theirs] =
                [ours, theirs].map(|segments| Pattern::parse(&segments.join("/")).unwrap());
            let path = path.join("/");
            prop_assert!(ours.covers(&ours));
            prop_assert!(!ours.covers(&theirs) || !theirs.matches(&path) || ours.matches(&path));
        }

        #[test]
        fn matching_agrees_with_the_definition(
            pattern in prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "**"]), 1..8),
            path in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..10),
        ) {
            let found = matches(&pattern.join("/"), &path.join("/"));
            prop_assert_eq!(found, by_definition(&pattern, &path));
            let prefix = Pattern::parse(&pattern.join("/")).unwrap();
            prop_assert!(!found || path.join("/").starts_with(prefix.prefix()));
        }
    }
}
