//! What clients subscribe to across streams: names such as `session:abc` and `config:*`, which
//! stand for streams (`design` calls them channel names). Pure.
//!
//! Invariant: a name stands for the same streams always, whether they exist or not.

use std::fmt;

use crate::log::{PathError, StreamPath};

/// The kinds of names, with the folder of their streams.
const KINDS: [(&str, &str); 4] =
    [("session", "sessions"), ("agent", "agents"), ("worker", "workers"), ("config", "config")];

/// A name that stands for one stream or many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelName {
    text: String,
    means: Means,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Means {
    /// Every stream.
    All,
    /// This stream.
    One(String),
    /// The streams right below this folder.
    Below(String),
}

/// Why a text is no such name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelNameError {
    /// Another kind.
    #[error(
        "{0:?} is no channel name; write session:ID, agent:ID, worker:ID, config:NAME, app, session:*, agent:*, worker:*, config:* or *"
    )]
    Kind(String),
    /// The rest names no stream.
    #[error("{name:?} names no stream: {reason}")]
    Path {
        /// The name.
        name: String,
        /// Why.
        reason: PathError,
    },
}

impl ChannelName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`ChannelNameError`].
    pub fn parse(text: &str) -> Result<Self, ChannelNameError> {
        let unknown = || ChannelNameError::Kind(text.to_owned());
        let means = match text.split_once(':') {
            None if text == "*" => Means::All,
            None if text == "app" => Means::One("app".to_owned()),
            None => return Err(unknown()),
            Some(("app", "*")) => Means::One("app".to_owned()),
            Some((kind, name)) => {
                let folder = KINDS.iter().find(|(known, _)| *known == kind);
                let (_, folder) = folder.ok_or_else(unknown)?;
                if name == "*" {
                    Means::Below(format!("{folder}/"))
                } else {
                    one(text, folder, name)?
                }
            }
        };
        Ok(Self { text: text.to_owned(), means })
    }

    /// Whether a stream is one of those it stands for.
    #[must_use]
    pub fn stands_for(&self, path: &str) -> bool {
        match &self.means {
            Means::All => true,
            Means::One(one) => one == path,
            Means::Below(folder) => {
                path.strip_prefix(folder.as_str()).is_some_and(|name| !name.contains('/'))
            }
        }
    }
}

fn one(text: &str, folder: &str, name: &str) -> Result<Means, ChannelNameError> {
    let path = format!("{folder}/{name}");
    let wrong = |reason| ChannelNameError::Path { name: text.to_owned(), reason };
    if name.contains('/') {
        return Err(wrong(PathError::Segment));
    }
    StreamPath::parse(&path).map_err(wrong)?;
    Ok(Means::One(path))
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_streams() {
        for (name, path, expected) in [
            ("session:abc", "sessions/abc", true),
            ("session:abc", "sessions/abcd", false),
            ("session:*", "sessions/abc", true),
            ("session:*", "sessions/abc/x", false),
            ("session:*", "agents/abc", false),
            ("agent:x", "agents/x", true),
            ("worker:w", "workers/w", true),
            ("config:ai", "config/ai", true),
            ("config:*", "config/rules", true),
            ("app", "app", true),
            ("app:*", "app", true),
            ("*", "anything/at/all", true),
        ] {
            let parsed = ChannelName::parse(name).unwrap();
            assert_eq!(parsed.stands_for(path), expected, "{name} {path}");
            assert_eq!(parsed.to_string(), name);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in
            ["", "session", "sessions:abc", "session:", "session:a/b", "session:..", "a:*", "**"]
        {
            assert!(ChannelName::parse(name).is_err(), "{name:?}");
        }
    }
}
