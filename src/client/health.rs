//! Whether a server lives, and whether it takes work. It refuses to know why not: the server's
//! own words say so.

use super::{Client, ClientError};
use crate::wire::{bodies::HealthAnswer, paths};

impl Client {
    /// Whether the process answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn alive(&self) -> Result<HealthAnswer, ClientError> {
        self.get(paths::HEALTH, &()).await
    }

    /// Whether the server takes reads and writes.
    ///
    /// # Errors
    /// It is out of reach, or it does not, and says why.
    pub async fn ready(&self) -> Result<HealthAnswer, ClientError> {
        self.get(paths::READY, &()).await
    }
}
