//! The one reader: pages from any offset until the tail, then waits for the tail to move.
//!
//! Catch-up, long-poll and SSE are encoders over it. A reader holds one page and nothing is
//! queued for it, so a slow one costs a page and loses nothing. Invariant: the records of
//! successive pages are without gap and without repetition.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    Encode, Encoded, Encoding, LivePage, Offset, ReadError, fork,
    pages::{PageKey, Pages},
    stream::OpenStream,
    text::{self, Held},
};
use crate::{
    limits,
    store::{self, Moved, PageLimit, Store},
};

/// The page limit of live reads.
pub const PAGE: PageLimit = PageLimit { records: limits::PAGE_RECORDS, bytes: limits::PAGE_BYTES };

/// What a reader comes to next.
#[derive(Debug, Clone)]
pub enum Step {
    /// Records.
    Page(Arc<LivePage>),
    /// Records as a reader with an encoding gets them.
    Encoded(Encoded),
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
    encoding: Option<Encoding>,
    /// What of the text before its place is yet to be written; `None` until it has looked back.
    held: Option<Held>,
    pages: Arc<Pages>,
}

impl Reader {
    pub(super) fn new(
        store: Arc<dyn Store>,
        pages: Arc<Pages>,
        open: Arc<OpenStream>,
        after: Offset,
        moved: watch::Receiver<Moved>,
    ) -> Self {
        let closed = open.closed();
        let (limit, encoding, held) = (PAGE, None, Some(Held::default()));
        Self { store, open, after, caught_up: false, moved, closed, limit, encoding, held, pages }
    }

    /// The same reader with smaller pages.
    #[must_use]
    pub fn with_limit(mut self, limit: PageLimit) -> Self {
        self.limit = limit;
        self
    }

    /// The same reader with its records in an encoding, which it shares with others.
    #[must_use]
    pub fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = Some(encoding);
        self.held = matches!(encoding.encode, Encode::Records(_)).then(Held::default);
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
            // IMPORTANT: closed before the tail: what was appended with the close is durable, and
            // the tail behind it, before the close is shown.
            let closed = *self.closed.borrow_and_update();
            let moved = *self.moved.borrow_and_update();
            if moved.deleted {
                return Ok(Step::Deleted);
            }
            if moved.tail > self.after {
                return match self.encoding {
                    Some(encoding) => self.encoded(encoding, moved).await.map(Step::Encoded),
                    None => self.page(moved).await.map(Step::Page),
                };
            }
            if !self.caught_up {
                self.caught_up = true;
                return Ok(Step::CaughtUp { tail: moved.tail });
            }
            if closed && self.open.assigned().meta.deleted {
                return Ok(Step::Deleted);
            }
            if closed {
                let rest = self.rest().await?;
                return Ok(rest.map_or(Step::Closed { tail: moved.tail }, Step::Encoded));
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
        self.held = Some(Held::default());
    }

    async fn encoded(&mut self, encoding: Encoding, moved: Moved) -> Result<Encoded, ReadError> {
        let held = self.held().await?;
        let (after, stream) = (self.after, self.open.number());
        let (records, bytes) = (self.limit.records.max(1), self.limit.bytes);
        let limit = (records, bytes);
        let key = PageKey { stream, after, held, encoding: encoding.name, limit };
        let page = match self.newest(moved) {
            Some(page) => page,
            None => {
                let known = self.pages.get(&key).filter(|_| self.is_kept(moved));
                if let Some(page) = known {
                    self.stand_behind(&page);
                    return Ok(page);
                }
                // Readers that came from different places meet at the multiples, and share from
                // there on.
                let past = usize::try_from(after.0 % records as u64).unwrap_or(0);
                self.read(PageLimit { records: records - past, bytes }).await?
            }
        };
        let encoded = page.encoded(encoding, held);
        // What comes from an ancestor is kept or not by the ancestor: it is asked each time.
        if page.last() < page.tail && self.open.ancestor(after).is_none() {
            self.pages.put(key, encoded.clone());
        }
        self.stand_behind(&encoded);
        Ok(encoded)
    }

    fn stand_behind(&mut self, page: &Encoded) {
        self.after = self.after.max(page.last);
        self.held = Some(page.held);
    }

    /// What of the text before its place is yet to be written. A reader that has just come looks
    /// back for it, so that it begins with the whole of a character whose beginning was held back
    /// from the reader before it.
    async fn held(&mut self) -> Result<Held, ReadError> {
        let held = match self.held {
            Some(held) => held,
            None => self.look_back().await?,
        };
        self.held = Some(held);
        Ok(held)
    }

    async fn look_back(&self) -> Result<Held, ReadError> {
        let mut bytes = Vec::new();
        for at in (0..self.after.0).rev().take(Held::MAX) {
            let record = match fork::read(&*self.store, &self.open, Offset(at), super::ONE).await {
                Ok(page) => page.records.into_iter().next(),
                // Nobody is given what is not kept.
                Err(store::ReadError::Trimmed { .. } | store::ReadError::Lost { .. }) => None,
                Err(error) => return Err(ReadError::from_store(error, self.open.path())),
            };
            let Some(record) = record else { break };
            let end = record.payload.len().saturating_sub(Held::MAX);
            bytes.splice(..0, record.payload.iter().skip(end).copied());
            if bytes.len() >= Held::MAX {
                break;
            }
        }
        Ok(Held::at_end_of(&bytes))
    }

    /// What is left of a text that has ended: what was open stays so, and is written as it is.
    async fn rest(&mut self) -> Result<Option<Encoded>, ReadError> {
        let Some(Encoding { encode: Encode::Text(write), .. }) = self.encoding else {
            return Ok(None);
        };
        let held = self.held().await?;
        if held.is_empty() {
            return Ok(None);
        }
        self.held = Some(Held::default());
        let bytes = write(&text::text_of(held.as_bytes().to_vec()));
        Ok(Some(Encoded { bytes, last: self.after, held: Held::default() }))
    }

    async fn page(&mut self, moved: Moved) -> Result<Arc<LivePage>, ReadError> {
        let page = match self.newest(moved) {
            Some(page) => page,
            None => self.read(self.limit).await?,
        };
        self.after = self.after.max(page.last());
        Ok(page)
    }

    fn is_kept(&self, moved: Moved) -> bool {
        self.after.plus(1) >= moved.earliest
    }

    /// The newest page, where this reader would read just that. One that waited takes it though
    /// the tail has moved on since, so that all that waited have the same; one that catches up
    /// does not stop short.
    fn newest(&self, moved: Moved) -> Option<Arc<LivePage>> {
        let newest = self.pages.newest(self.open.number(), self.after, self.limit);
        newest.filter(|page| self.is_kept(moved) && (self.caught_up || page.last() >= moved.tail))
    }

    async fn read(&self, limit: PageLimit) -> Result<Arc<LivePage>, ReadError> {
        let read = fork::read(&*self.store, &self.open, self.after, limit).await;
        let page = read.map_err(|error| ReadError::from_store(error, self.open.path()))?;
        let page = LivePage::new(page.records, page.tail);
        self.pages.put_newest(self.open.number(), self.after, &page);
        Ok(page)
    }
}
