//! Stream paths, parsed once at the edge. A path is one to [`limits::PATH_BYTES_MAX`] bytes of
//! segments between single slashes, none of them `.` or `..`, without control characters.

use std::{fmt, sync::Arc};

use crate::limits;

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
}

impl StreamPath {
    /// Checks a path.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
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
    fn a_session_id_is_one_segment() {
        assert_eq!(StreamPath::session("abc").unwrap().as_str(), "sessions/abc");
        assert_eq!(StreamPath::session("a/b"), Err(PathError::Segment));
        assert_eq!(StreamPath::session(".."), Err(PathError::Segment));
        assert_eq!(StreamPath::session(""), Err(PathError::Empty));
    }
}
