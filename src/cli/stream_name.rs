//! How people name a stream: a session id, a channel name, or a path. Pure.

use std::{fmt, str::FromStr};

use anyhow::{Context, Result};

/// A stream's path, from what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamName(String);

/// Channel names and the folder of the streams they name.
const CHANNELS: &[(&str, &str)] = &[
    ("session:", "sessions"),
    ("agent:", "agents"),
    ("worker:", "workers"),
    ("config:", "config"),
];

impl StreamName {
    /// The path of the stream.
    pub(super) fn path(&self) -> &str {
        &self.0
    }

    /// The id of the session that it is.
    ///
    /// # Errors
    /// It is another kind of stream, which has no state.
    pub(super) fn session(&self) -> Result<&str> {
        let id = self.0.strip_prefix("sessions/").filter(|id| !id.contains('/'));
        id.with_context(|| format!("{self} has no state; name a session, such as session:abc"))
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StreamName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err("a stream has a name".to_owned());
        }
        if text.contains('*') {
            return Err("one stream is needed here; a wildcard names many".to_owned());
        }
        for (channel, folder) in CHANNELS {
            match text.strip_prefix(channel) {
                Some("") => return Err(format!("{channel} needs a name behind it")),
                Some(name) => return Ok(Self(format!("{folder}/{name}"))),
                None => {}
            }
        }
        if text.contains('/') || text == "app" {
            return Ok(Self(text.to_owned()));
        }
        Ok(Self(format!("sessions/{text}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_channel_names_and_paths_name_streams() {
        for (typed, path) in [
            ("abc", "sessions/abc"),
            ("session:abc", "sessions/abc"),
            ("agent:x", "agents/x"),
            ("worker:w1", "workers/w1"),
            ("config:ai", "config/ai"),
            ("app", "app"),
            ("sessions/abc", "sessions/abc"),
            ("a/b:c", "a/b:c"),
            ("other:x", "sessions/other:x"),
        ] {
            assert_eq!(typed.parse(), Ok(StreamName(path.to_owned())), "{typed}");
        }
        for typed in ["", "session:", "session:*", "*"] {
            assert!(typed.parse::<StreamName>().is_err(), "{typed:?}");
        }
    }

    #[test]
    fn only_sessions_have_a_state() {
        let session =
            |typed: &str| typed.parse::<StreamName>().unwrap().session().ok().map(str::to_owned);
        assert_eq!(session("abc").as_deref(), Some("abc"));
        assert_eq!(session("sessions/abc").as_deref(), Some("abc"));
        assert_eq!(session("agent:x"), None);
        assert_eq!(session("sessions/a/b"), None);
    }
}
