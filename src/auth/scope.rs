//! Scopes: a right and the paths it stands for, written `read:sessions/*`. Pure.
//!
//! Invariant: what no scope names is not allowed, and no scope takes anything away.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::log::{PathError, Pattern};

/// What may be done with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Read and follow it, and see that it is there.
    Read,
    /// Create it, append to it, close and delete it, give commands in it. Not reading.
    Write,
    /// Everything, and what only operators do.
    Admin,
}

impl Right {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// A right on the paths that a pattern stands for: `*` is one segment, `**` any number of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    right: Right,
    paths: Pattern,
}

/// Why a text is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// No right that there is.
    #[error("{0:?} is no scope; write read:, write: or admin: and paths, such as read:sessions/*")]
    Right(String),
    /// A star with something beside it.
    #[error(
        "{text:?} opens nothing: {segment:?} is no path segment of a scope; `*` stands for one whole \
         segment and `**` for any number of them, as in read:sessions/* and read:tenants/acme/**"
    )]
    Star {
        /// The scope.
        text: String,
        /// Where the star is.
        segment: String,
    },
    /// The paths break a rule.
    #[error("{text:?} names no paths: {reason}")]
    Paths {
        /// The scope.
        text: String,
        /// The rule.
        reason: PathError,
    },
}

impl Scope {
    /// Whether the scope allows this with a stream.
    #[must_use]
    pub fn allows(&self, right: Right, path: &str) -> bool {
        self.gives(right) && self.paths.matches(path)
    }

    fn gives(&self, right: Right) -> bool {
        self.right == right || self.right == Right::Admin
    }

    /// Whether this allows everything that the other does.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        (self.right == other.right || self.right == Right::Admin) && self.paths.covers(&other.paths)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let unknown = || ScopeError::Right(text.to_owned());
        let (right, paths) = text.split_once(':').ok_or_else(unknown)?;
        let right = match right {
            "read" => Right::Read,
            "write" => Right::Write,
            "admin" => Right::Admin,
            _ => return Err(unknown()),
        };
        let paths = Pattern::parse_any(paths)
            .map_err(|reason| ScopeError::Paths { text: text.to_owned(), reason })?;
        let is_part = |segment: &&str| segment.contains('*') && !matches!(*segment, "*" | "**");
        if let Some(segment) = paths.as_str().split('/').find(is_part) {
            return Err(ScopeError::Star { text: text.to_owned(), segment: segment.to_owned() });
        }
        Ok(Self { right, paths })
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.right.as_str(), self.paths)
    }
}

/// The scopes of one holder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// These scopes.
    #[must_use]
    pub fn new(scopes: Vec<Scope>) -> Self {
        Self(scopes)
    }

    /// Whether one of them allows this with a stream.
    #[must_use]
    pub fn allow(&self, right: Right, path: &str) -> bool {
        self.0.iter().any(|scope| scope.allows(right, path))
    }

    /// Whether one of them allows this with every stream that a pattern stands for.
    #[must_use]
    pub fn allow_all(&self, right: Right, pattern: &Pattern) -> bool {
        self.0.iter().any(|scope| scope.gives(right) && scope.paths.covers(pattern))
    }

    /// What the paths begin with on which one of them allows this.
    pub fn prefixes(&self, right: Right) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |scope| scope.gives(right)).map(|scope| scope.paths.prefix())
    }

    /// Whether one of them allows everything that this scope does. Nothing is put together from
    /// several: what is granted on can be read off one line of what was granted.
    #[must_use]
    pub fn cover(&self, scope: &Scope) -> bool {
        self.0.iter().any(|ours| ours.covers(scope))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_no_scope_names_is_not_allowed() {
        let scope = |text: &str| text.parse::<Scope>().unwrap();
        for (text, right, path, expected) in [
            ("read:sessions/*", Right::Read, "sessions/a", true),
            ("read:sessions/*", Right::Write, "sessions/a", false),
            ("read:sessions/*", Right::Admin, "sessions/a", false),
            ("read:sessions/*", Right::Read, "sessions/a/b", false),
            ("read:sessions/*", Right::Read, "sessions", false),
            ("read:sessions/*", Right::Read, "agents/a", false),
            ("write:sessions/abc", Right::Write, "sessions/abc", true),
            ("write:sessions/abc", Right::Read, "sessions/abc", false),
            ("write:sessions/abc", Right::Write, "sessions/abcd", false),
            ("admin:sessions/**", Right::Read, "sessions/a/b", true),
            ("admin:sessions/**", Right::Write, "sessions/a", true),
            ("admin:sessions/**", Right::Admin, "__server/debug", false),
            ("admin:**", Right::Admin, "__server/debug", true),
        ] {
            assert_eq!(scope(text).allows(right, path), expected, "{text} {right:?} {path}");
        }
        assert!(!Scopes::default().allow(Right::Read, "a"));
    }

    #[test]
    fn what_paths_begin_with_is_known_right_by_right() {
        let scopes = ["read:sessions/*", "write:config/ai", "admin:agents/a/**", "read:**"];
        let scopes = Scopes::new(scopes.iter().map(|text| text.parse().unwrap()).collect());
        let of = |right| scopes.prefixes(right).collect::<Vec<_>>();
        assert_eq!(of(Right::Read), ["sessions", "agents/a", ""]);
        assert_eq!(of(Right::Write), ["config/ai", "agents/a"]);
        assert_eq!(of(Right::Admin), ["agents/a"]);
    }

    #[test]
    fn a_scope_is_written_as_it_is_read() {
        for text in ["read:sessions/*", "write:a", "admin:**", "read:__server/metrics"] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for text in ["", "read", "read:", "Read:a", "own:a", "read:a//b", "read:../a", ":a"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_star_is_a_whole_segment_or_an_error_that_says_so() {
        for text in
            ["read:a*", "read:*a", "read:a/b*/c", "read:***", "admin:__ds/subscriptions/acme-*"]
        {
            let error = text.parse::<Scope>().unwrap_err().to_string();
            assert!(error.contains("`*`") && error.contains("`**`"), "{error}");
        }
        for text in ["read:*", "read:**", "read:a/*/b/**"] {
            assert!(text.parse::<Scope>().is_ok(), "{text}");
        }
    }

    #[test]
    fn nobody_grants_more_than_they_have() {
        let scope = |text: &str| text.parse::<Scope>().unwrap();
        let ours = Scopes::new(vec![scope("admin:sessions/**"), scope("read:agents/*")]);
        for (theirs, expected) in [
            ("read:sessions/*", true),
            ("write:sessions/a", true),
            ("admin:sessions/**", true),
            ("read:agents/coder", true),
            ("write:agents/coder", false),
            ("read:agents/**", false),
            ("read:**", false),
            ("admin:**", false),
        ] {
            assert_eq!(ours.cover(&scope(theirs)), expected, "{theirs}");
        }
    }

    proptest! {
        #[test]
        fn what_is_allowed_of_a_pattern_is_allowed_of_every_path_it_stands_for(
            scopes in prop::collection::vec("(read|write|admin):(a|b|[*]|[*][*])(/(a|b|[*]|[*][*])){0,3}", 0..4),
            pattern in "(a|b|[*]|[*][*])(/(a|b|[*]|[*][*])){0,3}",
            path in "(a|b|c)(/(a|b|c)){0,4}",
        ) {
            let scopes = Scopes::new(scopes.iter().map(|text| text.parse().unwrap()).collect());
            let pattern = Pattern::parse(&pattern).unwrap();
            let all = scopes.allow_all(Right::Read, &pattern);
            prop_assert!(!all || !pattern.matches(&path) || scopes.allow(Right::Read, &path));
        }

        #[test]
        fn any_text_is_a_scope_that_reads_back_or_none(text in ".{0,80}") {
            if let Ok(scope) = text.parse::<Scope>() {
                prop_assert_eq!(scope.to_string().parse::<Scope>(), Ok(scope));
            }
        }

        #[test]
        fn any_paths_make_a_scope_that_reads_back_or_none(
            right in "read|write|admin",
            paths in "[a-c*/.]{0,12}",
        ) {
            if let Ok(scope) = format!("{right}:{paths}").parse::<Scope>() {
                prop_assert_eq!(scope.to_string().parse::<Scope>(), Ok(scope));
            }
        }
    }
}
