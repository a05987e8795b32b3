//! The one reader: pages from any offset until the tail, then waits for the tail to move.
//!
//! Catch-up, long-poll and SSE are encoders over it. A reader holds one page and nothing is
//! queued for it, so a slow one costs a page and loses nothing. Invariant: the records of
//! successive pages are without gap and without repetition.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Offset, ReadError, stream::OpenStream};
use crate::{
    limits,
    store::{Moved, PageLimit, Record, Store},
};

/// The page limit of live reads.
pub const PAGE: PageLimit = PageLimit { records: limits::PAGE_RECORDS, bytes: limits::PAGE_BYTES };

/// A run of records, shared by every reader that stood at the same place, with their encoding.
#[derive(Debug)]
pub struct LivePage {
    /// The records, in order; at least one.
    pub records: Vec<Record>,
    /// The durable tail when the page was cut.
    pub tail: Offset,
    encoded: OnceLock<Bytes>,
}

impl LivePage {
    /// The page in the encoding of session SSE: made by the first reader that asks, shared with
    /// the rest.
    pub fn encoded(&self, encode: impl FnOnce(&[Record]) -> Bytes) -> Bytes {
        self.encoded.get_or_init(|| encode(&self.records)).clone()
    }

    /// Offset of its last record.
    #[must_use]
    pub fn last(&self) -> Offset {
        self.records.last().map_or(Offset::ZERO, |record| record.offset)
    }
}

/// The newest page of a stream, kept for the readers that stand at the tail.
#[derive(Debug, Default)]
pub(super) struct Newest(Mutex<Option<(Offset, Arc<LivePage>)>>);

impl Newest {
    fn get(&self, after: Offset) -> Option<Arc<LivePage>> {
        let newest = self.0.lock();
        newest.as_ref().filter(|(at, _)| *at == after).map(|(_, page)| Arc::clone(page))
    }

    fn put(&self, after: Offset, page: &Arc<LivePage>) {
        // A page that is not at the tail belongs to one reader that catches up.
        if page.last() == page.tail {
            *self.0.lock() = Some((after, Arc::clone(page)));
        }
    }
}

/// What a reader comes to next.
#[derive(Debug, Clone)]
pub enum Step {
    /// Records.
    Page(Arc<LivePage>),
    /// The tail, for the first time: everything that was there has been read.
    CaughtUp {
        /// Where it stands.
        tail: Offset,
    },
    /// The end of a closed stream.
    Closed {
        /// Its final offset.
        tail: Offset,
    },
    /// The stream was deleted.
    Deleted,
}

/// Reads one stream from an offset on.
#[derive(Debug)]
pub struct Reader {
    store: Arc<dyn Store>,
    open: Arc<OpenStream>,
    after: Offset,
    caught_up: bool,
    moved: watch::Receiver<Moved>,
    closed: watch::Receiver<bool>,
    limit: PageLimit,
}

impl Reader {
    pub(super) fn new(
        store: Arc<dyn Store>,
        open: Arc<OpenStream>,
        after: Offset,
        moved: watch::Receiver<Moved>,
    ) -> Self {
        let closed = open.closed();
        Self { store, open, after, caught_up: false, moved, closed, limit: PAGE }
    }

    /// The same reader with smaller pages.
    #[must_use]
    pub fn with_limit(mut self, limit: PageLimit) -> Self {
        self.limit = limit;
        self
    }

    /// The place it has reached.
    #[must_use]
    pub fn at(&self) -> Offset {
        self.after
    }

    /// How many durable records lie before it.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.moved.borrow().tail.0.saturating_sub(self.after.0)
    }

    /// Epoch of the stream it reads.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.open.epoch()
    }

    /// The next step. At the tail it waits until the stream moves. Dropping the future loses
    /// nothing: the next call goes on from the same place.
    ///
    /// # Errors
    /// [`ReadError::Trimmed`] and [`ReadError::Lost`] where the next record is not to be had;
    /// [`Reader::skip_to`] goes on behind it.
    pub async fn next(&mut self) -> Result<Step, ReadError> {
        loop {
            // Marked as seen before the read, so that what comes during it wakes the wait.
            let moved = *self.moved.borrow_and_update();
            let closed = *self.closed.borrow_and_update();
            if moved.deleted {
                return Ok(Step::Deleted);
            }
            if moved.tail > self.after {
                return self.page().await;
            }
            if !self.caught_up {
                self.caught_up = true;
                return Ok(Step::CaughtUp { tail: moved.tail });
            }
            if closed {
                return Ok(Step::Closed { tail: moved.tail });
            }
            let gone = tokio::select! {
                changed = self.moved.changed() => changed.is_err(),
                changed = self.closed.changed() => changed.is_err(),
            };
            if gone {
                return Err(ReadError::Unavailable(Arc::from("the log is closed")));
            }
        }
    }

    /// Goes on after `after`, for a client that was told of the gap.
    pub fn skip_to(&mut self, after: Offset) {
        self.after = self.after.max(after);
    }

    async fn page(&mut self) -> Result<Step, ReadError> {
        let newest = self.open.newest();
        let page = match newest.get(self.after) {
            Some(page) => page,
            None => {
                let read = self.store.read(self.open.number(), self.after, self.limit).await;
                let page = read.map_err(|error| ReadError::from_store(error, self.open.path()))?;
                let page = Arc::new(LivePage {
                    records: page.records,
                    tail: page.tail,
                    encoded: OnceLock::new(),
                });
                newest.put(self.after, &page);
                page
            }
        };
        self.after = self.after.max(page.last());
        Ok(Step::Page(page))
    }
}
