//! Records that somebody has no use for any more go before their time: what the server's own
//! streams hold before their newest checkpoint.

use super::{ChangeError, Log, Offset, StreamPath, append::refused};
use crate::store::{Batch, Change, Permit, Write};

impl Log {
    /// Removes the records before `earliest`. What is removed already stays so.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn trim(&self, path: &StreamPath, earliest: Offset) -> Result<(), ChangeError> {
        let open = self.inner.open_to_change(path).await?;
        let write = Write {
            stream: open.number(),
            change: Change::Trim { earliest },
            records: Batch::new(),
            timestamp_ms: 0,
            meta: Vec::new(),
            due_ms: None,
            permit: Permit::default(),
        };
        let settled = self.inner.store.submit(write).settled().await;
        settled.map_err(|error| ChangeError::Refused(refused(error)))
    }
}
