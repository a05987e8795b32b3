//! Forks: streams that begin as another one was at some offset, and go their own way from there.
//! Nothing is copied: records up to the fork are read from where they are. Durable Streams
//! protocol, "Stream-Forked-From".
//!
//! Invariant: what a fork reads is kept. Its source notes the fork before the fork exists, and
//! remembers that it is on its way until it is there; a source that is deleted meanwhile answers
//! "gone" and stays until its last fork is deleted.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    CreateError, Creation, Inner, JSON, Log, Offset, ReadError, Refused, StreamPath, admit,
    meta::StreamMeta, stream::OpenStream,
};
use crate::{
    limits,
    store::{self, Head, MetaChange, Page, PageLimit, Store, StreamNo},
};

/// What a stream is forked from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The source.
    pub source: StreamPath,
    /// The place of the fork; `None` is the source's tail.
    pub at: Option<Offset>,
    /// How far it goes beyond that place: messages of JSON, bytes of anything else.
    pub sub: u64,
}

/// What a fork's metadata say of where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forked {
    /// Path of the source.
    pub source: Arc<str>,
    /// The place that was asked for.
    pub at: u64,
    /// How far beyond.
    pub sub: u64,
    /// Number of the source.
    pub(super) parent: u64,
    /// The streams that hold the records before its own, oldest first, and up to which offset.
    pub(super) ancestors: Vec<(u64, u64)>,
}

impl Forked {
    /// Whether a request asks for this fork.
    pub(super) fn is_as_asked(&self, fork: &Fork) -> bool {
        fork.source.as_str() == &*self.source
            && fork.sub == self.sub
            && fork.at.is_none_or(|at| at.0 == self.at)
    }
}

const KEY: &str = "fork/";

/// The forks that a stored stream knows of.
pub(super) fn forks_of(head: &Head) -> impl Iterator<Item = StreamNo> {
    head.meta.keys().filter_map(|key| key.strip_prefix(KEY)?.parse().ok().map(StreamNo))
}

pub(super) fn change(fork: StreamNo, exists: bool) -> MetaChange {
    MetaChange { key: Arc::from(format!("{KEY}{}", fork.0)), value: exists.then(Bytes::new) }
}

/// Where a fork begins.
pub(super) struct Base {
    source: Arc<OpenStream>,
    pub(super) forked: Forked,
    /// Behind the last record that is read from the source.
    pub(super) at: Offset,
    /// The beginning of the source's next record, as the fork's own first one.
    pub(super) prefix: Option<Bytes>,
}

/// One page of a stream, wherever its records are.
pub(super) async fn read(
    store: &dyn Store,
    open: &OpenStream,
    after: Offset,
    limit: PageLimit,
) -> Result<Page, store::ReadError> {
    if open.ancestor(after).is_none() {
        return store.read(open.number(), after, limit).await;
    }
    let own = store.head(open.number()).await?;
    let own = own.ok_or(store::ReadError::NoStream(open.number()))?;
    if own.earliest > open.base().plus(1) {
        // Retention has come to the fork's own records: those before them are too old as well.
        return Err(store::ReadError::Trimmed { earliest: own.earliest });
    }
    let mut page = Page { records: Vec::new(), tail: own.tail };
    let (mut at, mut bytes) = (after, 0);
    loop {
        let (stream, until) = open.ancestor(at).unwrap_or((open.number(), own.tail));
        let room = limit.records.max(1) - page.records.len();
        let records = room.min(usize::try_from(until.0.saturating_sub(at.0)).unwrap_or(room));
        if records == 0 || (bytes >= limit.bytes && !page.records.is_empty()) {
            return Ok(page);
        }
        let rest = PageLimit { records, bytes: limit.bytes.saturating_sub(bytes) };
        match store.read(stream, at, rest).await {
            Ok(read) if read.records.is_empty() => return Ok(page),
            Ok(read) => {
                bytes += read.records.iter().map(|record| record.payload.len()).sum::<usize>();
                at = read.records.last().map_or(at, |record| record.offset);
                page.records.extend(read.records);
            }
            // What was read so far is good; the next page meets what is wrong first.
            Err(_) if !page.records.is_empty() => return Ok(page),
            // What an ancestor has lost beyond the fork is not the fork's.
            Err(store::ReadError::Trimmed { earliest }) => {
                return Err(store::ReadError::Trimmed { earliest: earliest.min(until.plus(1)) });
            }
            Err(store::ReadError::Lost { from, to, reason }) => {
                return Err(store::ReadError::Lost { from, to: to.min(until), reason });
            }
            Err(error) => return Err(error),
        }
    }
}

impl Inner {
    /// The first offset that a stream keeps, its ancestors' records among them.
    pub(super) async fn earliest(
        &self,
        meta: &StreamMeta,
        head: &Head,
    ) -> Result<Offset, store::ReadError> {
        let ancestors = meta.forked.iter().flat_map(|forked| &forked.ancestors);
        let base = meta.forked.as_ref().and_then(|forked| forked.ancestors.last());
        if base.is_none_or(|(_, until)| head.earliest.0 > until + 1) {
            return Ok(head.earliest);
        }
        for (stream, until) in ancestors {
            let Some(ancestor) = self.store.head(StreamNo(*stream)).await? else { continue };
            if ancestor.earliest.0 <= *until {
                return Ok(ancestor.earliest);
            }
        }
        Ok(head.earliest)
    }

    /// Finds out where a fork begins.
    pub(super) async fn base(&self, fork: &Fork, creation: &Creation) -> Result<Base, CreateError> {
        let source = match self.open_existing(&fork.source).await {
            Ok(source) => source,
            Err(ReadError::NoStream(fact)) => return Err(CreateError::NoSource(fact)),
            Err(ReadError::Gone(_)) => return Err(CreateError::Exists(fork.source.clone())),
            Err(error) => return Err(Refused::Unavailable(error.to_string().into()).into()),
        };
        let is_stale = source.assigned().stale;
        if is_stale {
            self.reload(&source).await?;
        }
        let known = source.assigned().forks.len();
        if known >= limits::FORKS_MAX {
            return Err(CreateError::TooManyForks { max: limits::FORKS_MAX });
        }
        let head = self.store.head(source.number()).await.map_err(Refused::from)?;
        let tail = head.map_or(Offset::ZERO, |head| head.tail);
        let content_type = Arc::clone(&source.assigned().meta.content_type);
        if admit::essence(&content_type) != admit::essence(&creation.spec.content_type) {
            return Err(CreateError::Exists(fork.source.clone()));
        }
        let asked = fork.at.unwrap_or(tail);
        let beyond = CreateError::ForkBeyond { tail };
        if asked > tail {
            return Err(beyond);
        }
        let (at, prefix) = match fork.sub {
            0 => (asked, None),
            sub if &*content_type == JSON => (asked.plus(sub.min(limits::OFFSET_MAX)), None),
            sub => self.cut(&source, asked, sub).await?.ok_or(CreateError::ForkBeyond { tail })?,
        };
        if at > tail {
            return Err(beyond);
        }
        let ancestors = source.line(at);
        if ancestors.len() > limits::FORK_DEPTH_MAX {
            return Err(CreateError::ForkTooDeep { max: limits::FORK_DEPTH_MAX });
        }
        let forked = Forked {
            source: fork.source.shared(),
            at: asked.0,
            sub: fork.sub,
            parent: source.number().0,
            ancestors,
        };
        Ok(Base { source, forked, at, prefix })
    }

    /// Goes `sub` bytes beyond a place: the records that are passed whole, and the beginning of
    /// the next. A body is one append though it was cut into records.
    async fn cut(
        &self,
        source: &OpenStream,
        mut at: Offset,
        mut sub: u64,
    ) -> Result<Option<(Offset, Option<Bytes>)>, CreateError> {
        if sub > limits::BODY_BYTES_MAX as u64 {
            return Ok(None);
        }
        loop {
            let page = match read(&*self.store, source, at, super::ONE).await {
                Ok(page) => page,
                Err(store::ReadError::Unavailable(reason)) => {
                    return Err(Refused::Unavailable(reason).into());
                }
                // There is no record to cut.
                Err(_) => return Ok(None),
            };
            let Some(record) = page.records.first() else { return Ok(None) };
            let size = record.payload.len();
            let taken = usize::try_from(sub).unwrap_or(usize::MAX);
            if taken < size {
                return Ok(Some((at, Some(record.payload.slice(..taken)))));
            }
            at = at.plus(1);
            sub -= size as u64;
            if sub == 0 {
                return Ok(Some((at, None)));
            }
            if size < limits::RECORD_BYTES_MAX {
                return Ok(None);
            }
        }
    }

    /// Notes a fork at its source, durably; without that the source could go.
    pub(super) async fn note_fork(
        &self,
        base: &Base,
        fork: StreamNo,
        exists: bool,
    ) -> Result<(), Refused> {
        let (ticket, generation) = {
            let mut state = base.source.assigned();
            if state.gone || state.stale || (exists && state.meta.deleted) {
                return Err(Refused::Contended);
            }
            let timestamp_ms = state.last_timestamp_ms;
            let mut write = Self::write(&base.source, &mut state, timestamp_ms);
            if exists {
                state.forks.insert(fork);
                state.coming.insert(fork);
            } else {
                state.forks.remove(&fork);
            }
            write.meta.push(change(fork, exists));
            (self.store.submit(write), state.generation)
        };
        let settled = ticket.settled().await;
        let noted = self.conclude(&base.source, generation, settled).await;
        if !matches!(noted, Ok(true)) {
            Self::has_come(base, fork);
        }
        if noted? { Ok(()) } else { Err(Refused::Contended) }
    }

    /// Notes that a fork that was on its way is there, or will not come.
    pub(super) fn has_come(base: &Base, fork: StreamNo) {
        base.source.assigned().coming.remove(&fork);
    }

    /// Forgets a fork that was noted and has not come to be.
    pub(super) async fn unnote_fork(&self, base: &Base, fork: StreamNo) -> Result<(), Refused> {
        match self.store.head(fork).await? {
            Some(_) => Ok(()),
            None => self.note_fork(base, fork, false).await,
        }
    }
}

impl Log {
    /// The place before the first kept record of `timestamp_ms` or later.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn seek(&self, path: &StreamPath, timestamp_ms: u64) -> Result<Offset, ReadError> {
        let open = self.inner.open_existing(path).await?;
        let store = &self.inner.store;
        for (stream, until) in open.ancestors() {
            let place = store.seek(*stream, timestamp_ms).await;
            let place = place.map_err(|error| ReadError::from_store(error, path))?;
            if place < *until {
                return Ok(place);
            }
        }
        let place = store.seek(open.number(), timestamp_ms).await;
        place.map_err(|error| ReadError::from_store(error, path))
    }
}
