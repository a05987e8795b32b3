//! Taking a backup: the bytes as they come, at the pace of whoever takes them. It refuses to know
//! what is in them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::Response;

use super::{Client, ClientError};
use crate::{clock::Clock, wire::paths};

/// A server that sends a backup has always more to send: one that is silent for this long is gone.
const SILENT_AFTER: Duration = Duration::from_mins(2);

/// A backup on its way.
#[derive(Debug)]
pub struct Download {
    answer: Response,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// Begins to take a backup.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn backup(&self) -> Result<Download, ClientError> {
        let request = self.inner.http.get(self.url(paths::BACKUP));
        let answer = self.in_time(self.send(request)).await?;
        Ok(Download { answer, clock: Arc::clone(&self.inner.clock) })
    }
}

impl Download {
    /// The next bytes; `None` after the last.
    ///
    /// # Errors
    /// The connection broke or fell silent.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        tokio::select! {
            biased;
            chunk = self.answer.chunk() => chunk.map_err(ClientError::Answer),
            () = self.clock.sleep(SILENT_AFTER) => {
                Err(ClientError::Slow { secs: SILENT_AFTER.as_secs() })
            }
        }
    }
}
