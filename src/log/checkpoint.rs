//! States that others have folded from a stream, kept beside it by name: they are as durable as
//! records and go with their stream.

use bytes::Bytes;

use super::{Log, ReadError, Refused, StreamPath, append::refused};

impl Log {
    /// Saves a state beside a stream, in place of the one of that name.
    ///
    /// # Errors
    /// [`ReadError`] where there is no such stream, else as a write is refused.
    pub async fn save_checkpoint(
        &self,
        path: &StreamPath,
        name: &str,
        state: Bytes,
    ) -> Result<(), ReadError> {
        let open = self.inner.open_existing(path).await?;
        let saved = self.inner.store.save_checkpoint(open.number(), name, state).settled().await;
        saved.map_err(|error| ReadError::Unavailable(Refused::to_string(&refused(error)).into()))
    }

    /// The state of that name beside a stream, if there is one that can be read.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn checkpoint(
        &self,
        path: &StreamPath,
        name: &str,
    ) -> Result<Option<Bytes>, ReadError> {
        let open = self.inner.open_existing(path).await?;
        let found = self.inner.store.checkpoint(open.number(), name).await;
        found.map_err(|error| ReadError::from_store(error, path))
    }
}
