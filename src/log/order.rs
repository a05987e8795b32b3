//! Records of all streams in the order in which they were committed.
//!
//! Invariant: the position that comes with records is the one to go on from: nothing before it is
//! read again, and nothing behind it is left out without a word. The server's own streams have no
//! part in it.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::watch;

use super::{Inner, Log, Offset, PageLimit, Position, ReadError, Record, meta::StreamMeta, path};
use crate::store::{self, StreamNo};

/// A record with the stream it belongs to.
#[derive(Debug, Clone)]
pub struct Told {
    /// Path of the stream.
    pub path: Arc<str>,
    /// Epoch of the stream.
    pub epoch: u64,
    /// The place behind what the stream took over from the one it was forked from.
    pub inherited: Offset,
    /// The record.
    pub record: Record,
}

/// Records that were left out because they are no longer kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Path of their stream; `None` where that is not known any more.
    pub path: Option<Arc<str>>,
    /// The position of the last of them.
    pub last: Position,
}

/// Records in commit order.
#[derive(Debug, Clone, Default)]
pub struct OrderPage {
    /// The records.
    pub told: Vec<Told>,
    /// Where to go on from.
    pub next: Position,
    /// What was left out on the way.
    pub removed: Vec<Removed>,
}

/// A stream as those see it who read in commit order.
#[derive(Debug, Clone)]
struct Seen {
    path: Arc<str>,
    epoch: u64,
    inherited: Offset,
}

impl Log {
    /// The position of the last durable record, followed.
    #[must_use]
    pub fn watch_order(&self) -> watch::Receiver<Position> {
        self.inner.store.watch_all()
    }

    /// Records of all streams after a position. Those of streams that were deleted or are over are
    /// left out; those that are no longer kept are left out too, and it is said of which streams.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn read_order(
        &self,
        after: Position,
        limit: PageLimit,
    ) -> Result<OrderPage, ReadError> {
        let read =
            self.inner.store.read_all(after, limit).await.map_err(|error| unavailable(&error))?;
        let mut known: HashMap<StreamNo, Option<Seen>> = HashMap::new();
        let mut page = OrderPage { next: read.reached, ..OrderPage::default() };
        page.told.reserve(read.entries.len());
        for entry in read.entries {
            let seen = match known.get(&entry.stream) {
                Some(seen) => seen.clone(),
                None => {
                    let seen = self.inner.seen(entry.stream).await?;
                    known.insert(entry.stream, seen.clone());
                    seen
                }
            };
            let told = |Seen { path, epoch, inherited }| Told {
                path,
                epoch,
                inherited,
                record: entry.record,
            };
            page.told.extend(seen.map(told));
        }
        for (stream, last) in read.removed {
            let path = match stream {
                Some(stream) => match self.inner.seen(stream).await? {
                    Some(seen) => Some(seen.path),
                    None => continue,
                },
                None => None,
            };
            page.removed.push(Removed { path, last });
        }
        Ok(page)
    }
}

impl Inner {
    async fn seen(&self, stream: StreamNo) -> Result<Option<Seen>, ReadError> {
        let head = self.store.head(stream).await.map_err(|error| unavailable(&error))?;
        let Some(head) = head.filter(|head| !path::is_reserved(&head.path)) else {
            return Ok(None);
        };
        let meta = StreamMeta::of(&head);
        if meta.deleted || self.looks_over(&meta, &head) {
            return Ok(None);
        }
        let inherited = meta.info(&head).inherited();
        Ok(Some(Seen { path: Arc::clone(&head.path), epoch: meta.epoch, inherited }))
    }
}

fn unavailable(error: &store::ReadError) -> ReadError {
    ReadError::Unavailable(error.to_string().into())
}
