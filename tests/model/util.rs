//! What the suites here share: logs over either store, events, paths.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use scrollback::{
    clock::{Clock, ManualClock},
    log::{Append, AppendError, Appended, Log, NewRecord, Settings, StreamPath},
    metrics::Metrics,
    store::{PageLimit, Store, sled::Sizes},
};

/// Small files, so that a few operations fill, rotate and reclaim them.
pub(crate) const SIZES: Sizes = Sizes { segment_bytes: 16 * 1024, block_file_bytes: 48 * 1024 };

pub(crate) const ALL: PageLimit = PageLimit { records: 100_000, bytes: usize::MAX };

/// A day in 2026, Unix milliseconds.
pub(crate) const NOW_MS: u64 = 1_795_200_000_000;

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn log_over(store: Arc<dyn Store>, clock: &Arc<ManualClock>) -> Log {
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    Log::new(store, clock, Settings::default(), Arc::new(Metrics::default()))
}

pub(crate) fn path(text: &str) -> StreamPath {
    StreamPath::parse(text).unwrap()
}

/// An event as the session layer stores it.
pub(crate) fn event(id: &str) -> NewRecord {
    let payload = Bytes::from(format!(r#"{{"id":"{id}","data":null}}"#));
    NewRecord { id: Some(Arc::from(id)), payload }
}

pub(crate) async fn append(log: &Log, at: &str, ids: &[&str]) -> Result<Appended, AppendError> {
    log.append(&path(at), Append::json(ids.iter().map(|id| event(id)))).await
}
