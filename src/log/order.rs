//! Records of all streams in the order in which they were committed.
//!
//! Invariant: the position that comes with records is the one to go on from: nothing before it is
//! read again, and nothing behind it is left out. The server's own streams have no part in it.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::watch;

use super::{Log, PageLimit, Position, ReadError, Record, path};
use crate::store::StreamNo;

/// A record with the stream it belongs to.
#[derive(Debug, Clone)]
pub struct Told {
    /// Path of the stream.
    pub path: Arc<str>,
    /// The record.
    pub record: Record,
}

/// Records in commit order.
#[derive(Debug, Clone, Default)]
pub struct OrderPage {
    /// The records.
    pub told: Vec<Told>,
    /// Where to go on from.
    pub next: Position,
}

impl Log {
    /// The position of the last durable record, followed.
    #[must_use]
    pub fn watch_order(&self) -> watch::Receiver<Position> {
        self.inner.store.watch_all()
    }

    /// Records of all streams after a position. Records of streams that were deleted, or that
    /// are no longer kept, are left out.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn read_order(
        &self,
        after: Position,
        limit: PageLimit,
    ) -> Result<OrderPage, ReadError> {
        let unavailable =
            |error: crate::store::ReadError| ReadError::Unavailable(error.to_string().into());
        let (entries, next) = self.inner.store.read_all(after, limit).await.map_err(unavailable)?;
        let mut paths: HashMap<StreamNo, Option<Arc<str>>> = HashMap::new();
        let mut told = Vec::with_capacity(entries.len());
        for entry in entries {
            let path = match paths.get(&entry.stream) {
                Some(path) => path.clone(),
                None => {
                    let head = self.inner.store.head(entry.stream).await.map_err(unavailable)?;
                    let path = head.map(|head| Arc::clone(&head.path));
                    let path = path.filter(|path| !path::is_reserved(path));
                    paths.insert(entry.stream, path.clone());
                    path
                }
            };
            told.extend(path.map(|path| Told { path, record: entry.record }));
        }
        Ok(OrderPage { told, next })
    }
}
