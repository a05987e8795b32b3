//! A backup of all streams, the server's own included. The state is the store's; the log adds the
//! time.

use super::{Log, Refused};
use crate::store::Backup;

impl Log {
    /// Holds on to the state of all streams at one commit: every append that was answered before
    /// is in it. What happens from then on does not change it.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn backup(&self) -> Result<Backup, Refused> {
        Ok(self.inner.store.backup(self.clock().now_ms()).await?)
    }
}
