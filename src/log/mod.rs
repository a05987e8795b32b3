//! Streams: create, append, read, follow, close, delete, and how long records are kept.
//!
//! The log decides (offsets, preconditions, duplicates, retention) and hands each decision to
//! the store as one atomic write. It refuses to know HTTP and what records mean. Invariant: the
//! offsets of a stream are 1, 2, 3 … without gap, in the order in which appends were decided,
//! and an append is answered only when it is durable.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

pub use self::{
    error::{
        AppendError, ChangeError, ContentTypeMismatch, CreateError, NoStream, OffsetMismatch,
        ReadError, Refused, SeqConflict, StreamClosed, StreamGone,
    },
    expiry::Expiry,
    fork::{Fork, Forked},
    guard::TrimGuard,
    offset::{Offset, OffsetError, Position, parse_offset},
    order::{OrderPage, Removed, Told},
    pages::{Encode, Encoded, Encoding, LivePage},
    path::{CONTROL, PathError, StreamPath, is_reserved},
    pattern::Pattern,
    producer::{Producer, ProducerError, ProducerState},
    reader::{PAGE, Reader, Step},
    roll::RollWatch,
    touched::{Changes, Touched},
    types::{Append, Appended, Created, Creation, JSON, NewRecord, Placed, StreamInfo, StreamSpec},
};
use self::{meta::StreamMeta, pages::Pages, roll::Roll, stream::OpenStream, table::Table};
pub use crate::store::{Backup, Page, PageLimit, Record};
use crate::{
    clock::Clock,
    limits,
    metrics::Metrics,
    store::{self, Store},
};
pub use admit::essence;

mod admit;
mod append;
mod backup;
mod checkpoint;
mod create;
mod error;
mod expiry;
mod fork;
mod guard;
mod ids;
pub mod json;
mod list;
mod meta;
mod offset;
mod order;
mod pages;
mod path;
mod pattern;
mod producer;
mod reader;
mod remove;
pub mod retention;
mod roll;
mod stream;
pub mod sweeper;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod touched;
mod trim;
mod types;

/// What a log is run with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long records are kept where the stream does not say.
    pub retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { retention: limits::RETENTION_DEFAULT }
    }
}

/// The log of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    table: Table,
    pages: Arc<Pages>,
    touched: Arc<Touched>,
    roll: Roll,
    guard: OnceLock<Box<dyn TrimGuard>>,
    metrics: Arc<Metrics>,
}

impl Log {
    /// A log over a store.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        metrics: Arc<Metrics>,
    ) -> Self {
        let table = Table::new(limits::OPEN_STREAMS_MAX);
        let (pages, touched, guard) = (Arc::default(), Arc::default(), OnceLock::new());
        Self {
            inner: Arc::new(Inner {
                store,
                clock,
                settings,
                table,
                pages,
                touched,
                roll: Roll::default(),
                guard,
                metrics,
            }),
        }
    }

    /// The clock it runs on.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    /// Which streams have changed.
    #[must_use]
    pub fn touched(&self) -> &Touched {
        &self.inner.touched
    }

    /// Streams that are kept open.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.inner.table.len()
    }

    /// The paths of the streams with the most readers, and how many those are: `max` at most, the
    /// most first.
    #[must_use]
    pub fn most_read(&self, max: usize) -> Vec<(String, usize)> {
        self.inner.table.most_read(max)
    }

    /// How long records are kept where a stream does not say.
    #[must_use]
    pub fn retention(&self) -> Duration {
        self.inner.settings.retention
    }

    /// Why nothing more can be written, if so.
    #[must_use]
    pub fn poisoned(&self) -> Option<Arc<str>> {
        self.inner.store.poisoned().borrow().clone()
    }

    /// Completes when a failed flush has poisoned the log, with the reason.
    pub async fn until_poisoned(&self) -> Arc<str> {
        let mut poisoned = self.inner.store.poisoned();
        match poisoned.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_else(|| Arc::from("unknown")),
            Err(_) => std::future::pending().await,
        }
    }

    /// A stream as it stands.
    ///
    /// # Errors
    /// [`ReadError::NoStream`], or the store does not answer.
    pub async fn info(&self, path: &StreamPath) -> Result<StreamInfo, ReadError> {
        let found = self.inner.store.find(path.as_str()).await;
        let Some(head) = found.map_err(|error| ReadError::from_store(error, path))? else {
            return Err(NoStream { path: path.clone() }.into());
        };
        let meta = StreamMeta::of(&head);
        if meta.expiry().is_some() || meta.deleted {
            // Whether it is over is known where it is open.
            self.inner.open_existing(path).await?;
        }
        let earliest = self.inner.earliest(&meta, &head).await;
        let earliest = earliest.map_err(|error| ReadError::from_store(error, path))?;
        Ok(StreamInfo { earliest, ..meta.info(&head) })
    }

    /// One page of records after `after`.
    ///
    /// # Errors
    /// [`ReadError`]; a place beyond the tail is [`ReadError::Beyond`].
    pub async fn read(
        &self,
        path: &StreamPath,
        after: Offset,
        limit: PageLimit,
    ) -> Result<Page, ReadError> {
        let open = self.inner.open_existing(path).await?;
        self.inner.note_read(&open);
        let page = fork::read(&*self.inner.store, &open, after, limit).await;
        let page = page.map_err(|error| ReadError::from_store(error, path))?;
        if after > page.tail {
            return Err(ReadError::Beyond { tail: page.tail });
        }
        Ok(page)
    }

    /// Reads from `after` on and goes on with what is appended later.
    ///
    /// # Errors
    /// [`ReadError`]; a place beyond the tail is [`ReadError::Beyond`], one before what is kept
    /// shows at the reader's first step.
    pub async fn follow(&self, path: &StreamPath, after: Offset) -> Result<Reader, ReadError> {
        let open = self.inner.open_existing(path).await?;
        self.inner.note_read(&open);
        let moved = self.inner.store.watch(open.number()).await;
        let moved = moved.map_err(|error| ReadError::from_store(error, path))?;
        let tail = moved.borrow().tail;
        if after > tail {
            return Err(ReadError::Beyond { tail });
        }
        let (store, pages) = (Arc::clone(&self.inner.store), Arc::clone(&self.inner.pages));
        Ok(Reader::new(store, pages, open, after, moved))
    }

    /// Settles what is queued and closes the store.
    ///
    /// # Errors
    /// [`Refused`]: the last flush failed.
    pub async fn stop(&self) -> Result<(), Refused> {
        self.inner.store.close().await.map_err(append::refused)
    }
}

impl Inner {
    /// The stream at `path`, if its creation is durable and it is not over.
    async fn open_existing(&self, path: &StreamPath) -> Result<Arc<OpenStream>, ReadError> {
        let no_stream = || ReadError::from(NoStream { path: path.clone() });
        let known = self.table.get(path).filter(|open| open.is_durable());
        let open = match known {
            Some(open) => open,
            None => {
                let found = self.store.find(path.as_str()).await;
                let head = found.map_err(|error| ReadError::from_store(error, path))?;
                let head = head.ok_or_else(no_stream)?;
                self.table.insert(OpenStream::load(path, &head))
            }
        };
        let unavailable = |refused: Refused| ReadError::Unavailable(refused.to_string().into());
        if !self.is_alive(&open).await.map_err(unavailable)? {
            return Err(no_stream());
        }
        if !open.assigned().meta.deleted {
            return Ok(open);
        }
        if self.is_held_by_forks(&open).await.map_err(unavailable)? {
            return Err(StreamGone { path: path.clone() }.into());
        }
        Err(no_stream())
    }
}

/// The page limit that asks for one record.
pub(crate) const ONE: PageLimit = PageLimit { records: 1, bytes: 0 };

impl From<store::WriteError> for Refused {
    fn from(error: store::WriteError) -> Self {
        append::refused(error)
    }
}
