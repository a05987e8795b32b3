//! Stream paths, parsed once at the edge. A path is one to [`limits::PATH_BYTES_MAX`] bytes of
//! segments between single slashes, none of them `.` or `..`, without control characters.
//!
//! Paths below [`CONTROL`] and `__server` are the server's own. Invariant: no text from outside becomes one.

use std::{fmt, sync::Arc};

use crate::limits;

/// The first segment of paths that the server keeps for itself (protocol, section 6).
pub const CONTROL: &str = "__ds";
/// The first segment of what rights name that is no stream, such as `__server/metrics`: a stream of
/// that name would be for whoever may only look at counters.
const SERVER: &str = "__server";

/// The path of a stream, such as `sessions/abc`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamPath(Arc<str>);

/// Why a path was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing was given.
    #[error("the path is empty")]
    Empty,
    /// Longer than [`limits::PATH_BYTES_MAX`].
    #[error("the path has {bytes} bytes; at most {} are allowed", limits::PATH_BYTES_MAX)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// NUL or another control character.
    #[error("the path has a control character at byte {at}")]
    Control {
        /// Where.
        at: usize,
    },
    /// `//`, a leading or trailing slash, `.` or `..`.
    #[error("the path has an empty, `.` or `..` segment")]
    Segment,
    /// Below [`CONTROL`] or `__server`.
    #[error("paths below `{CONTROL}` and `{SERVER}` are the server's own")]
    Reserved,
}

impl StreamPath {
    /// Checks a path that came from outside.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let path = Self::stored(text)?;
        if path.is_reserved() { Err(PathError::Reserved) } else { Ok(path) }
    }

    /// One of the server's own streams, `name` below [`CONTROL`].
    ///
    /// # Errors
    /// As [`StreamPath::parse`].
    pub fn control(name: &str) -> Result<Self, PathError> {
        Self::stored(&format!("{CONTROL}/{name}"))
    }

    /// Whether the path is one of the server's own.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        is_reserved(&self.0)
    }

    /// A path as the store has it.
    pub(super) fn stored(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.len() > limits::PATH_BYTES_MAX {
            return Err(PathError::TooLong { bytes: text.len() });
        }
        if let Some((at, _)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(PathError::Control { at });
        }
        if text.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(PathError::Segment);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The stream of a session. The id is one segment.
    ///
    /// # Errors
    /// As [`StreamPath::parse`]; a slash in the id is [`PathError::Segment`].
    pub fn session(id: &str) -> Result<Self, PathError> {
        if id.is_empty() {
            return Err(PathError::Empty);
        }
        if id.contains('/') {
            return Err(PathError::Segment);
        }
        Self::parse(&format!("sessions/{id}"))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path as shared text.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

/// Whether a path is one of the server's own.
#[must_use]
pub fn is_reserved(path: &str) -> bool {
    let is_below = |first: &str| {
        path.strip_prefix(first).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path.starts_with("__") && (is_below(CONTROL) || is_below(SERVER))
}

impl fmt::Display for StreamPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_are_taken_as_they_are() {
        for path in ["app", "sessions/abc", "config/ai", "a/b/c", "sessions/日本", "x y"] {
            assert_eq!(StreamPath::parse(path).unwrap().as_str(), path);
        }
    }

    #[test]
    fn paths_that_could_mean_two_things_are_refused() {
        assert_eq!(StreamPath::parse(""), Err(PathError::Empty));
        for path in ["/", "a/", "/a", "a//b", ".", "a/../b", "a/."] {
            assert_eq!(StreamPath::parse(path), Err(PathError::Segment), "{path}");
        }
        assert_eq!(StreamPath::parse("a\0b"), Err(PathError::Control { at: 1 }));
        assert_eq!(StreamPath::parse("a\u{85}"), Err(PathError::Control { at: 1 }));
        let long = "x".repeat(limits::PATH_BYTES_MAX + 1);
        assert_eq!(StreamPath::parse(&long), Err(PathError::TooLong { bytes: 513 }));
    }

    #[test]
    fn the_server_s_own_paths_are_not_given_from_outside() {
        for path in ["__ds", "__ds/keys", "__ds/subscriptions/a", "__server", "__server/metrics"] {
            assert_eq!(StreamPath::parse(path), Err(PathError::Reserved), "{path}");
        }
        for path in ["__dsy", "__DS/keys", "a/__ds", "_ds", "__servers", "a/__server"] {
            assert!(StreamPath::parse(path).is_ok(), "{path}");
        }
        assert_eq!(StreamPath::control("keys").unwrap().as_str(), "__ds/keys");
        assert_eq!(StreamPath::control("../keys"), Err(PathError::Segment));
    }

    #[test]
    fn a_session_id_is_one_segment() {
        assert_eq!(StreamPath::session("abc").unwrap().as_str(), "sessions/abc");
        assert_eq!(StreamPath::session("a/b"), Err(PathError::Segment));
        assert_eq!(StreamPath::session(".."), Err(PathError::Segment));
        assert_eq!(StreamPath::session(""), Err(PathError::Empty));
    }
}
