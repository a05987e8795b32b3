//! Long work on states, done on a thread that may take its time, so that requests go on meanwhile.
//!
//! It refuses to know what the work is. Invariant: what was begun is done to its end, whoever
//! still waits for it.

use crate::{limits, log::ReadError};

/// Does work on so many bytes of state: at once where they are few.
///
/// # Errors
/// [`ReadError::Unavailable`]: it did not come to its end, as when the process stops.
pub(super) async fn aside<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReadError> {
    if bytes < limits::ASIDE_BYTES {
        return Ok(work());
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ReadError::Unavailable(error.to_string().into()))
}
