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

    /// What the paths begin with on which one of them allows this.
    pub fn prefixes(&self, right: Right) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |scope| scope.gives(right)).map(|scope| scope.paths.prefix())
    }

    /// The scopes, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
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
}
