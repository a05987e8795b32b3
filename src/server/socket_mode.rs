//! The permissions of the Unix socket, as they are written. Pure: it refuses to know sockets.
//! Invariant: they are permissions and nothing else, whatever was written.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::settings::SettingsError;

/// Who may connect to the Unix socket, as file permissions, written in octal: `0600` is the user
/// that the server runs as, `0660` its group besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SocketMode(u32);

impl SocketMode {
    /// The permissions as the system has them.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Default for SocketMode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl FromStr for SocketMode {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o777);
        bits.map(Self).ok_or_else(|| SettingsError::SocketMode(text.to_owned()))
    }
}

impl TryFrom<String> for SocketMode {
    type Error = SettingsError;

    fn try_from(text: String) -> Result<Self, SettingsError> {
        text.parse()
    }
}

impl From<SocketMode> for String {
    fn from(mode: SocketMode) -> Self {
        format!("{:04o}", mode.0)
    }
}
