//! Streams come and go: create, close, delete. Each is one write, decided under the stream's
//! lock like an append, and repeating it changes nothing.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Append, ChangeError, CreateError, Created, Creation, Inner, Log, NewRecord, NoStream, Offset,
    Refused, StreamInfo, StreamPath, admit,
    fork::Base,
    meta::StreamMeta,
    stream::{Assigned, OpenStream},
};
use crate::{
    limits,
    store::{Batch, Change, Permit, Ticket, Write},
};

/// A write on its way, its generation, and what it creates.
type Submitted = (Ticket, u64, Option<StreamInfo>);

impl Log {
    /// Makes a stream, with its first records in the same step. Making it again with the same
    /// configuration is not an error, and writes nothing.
    ///
    /// # Errors
    /// [`CreateError::Exists`] where the path has a stream with another configuration,
    /// [`CreateError::Records`] where the first records break a bound.
    pub async fn create(
        &self,
        path: &StreamPath,
        creation: impl Into<Creation>,
    ) -> Result<Created, CreateError> {
        let (inner, creation) = (&self.inner, creation.into());
        if !creation.records.is_empty() {
            admit::check(&first_records(&creation)).map_err(Box::new)?;
        }
        for _ in 0..limits::DECIDE_AGAIN_MAX {
            if let Some((info, is_hidden)) = inner.existing(path).await? {
                return if is_hidden || !is_same(&creation, &info) {
                    Err(CreateError::Exists(path.clone()))
                } else {
                    Ok(Created { info, existed: true })
                };
            }
            let bytes = creation.records.iter().map(Bytes::len).sum();
            let permit = inner.store.reserve(bytes).await.map_err(Refused::from)?;
            let base = match &creation.fork {
                Some(fork) => Some(inner.base(fork, &creation).await?),
                None => None,
            };
            let fresh = inner.fresh_from(path, &creation, base.as_ref());
            if let Some(base) = &base {
                match inner.note_fork(base, fresh.number(), true).await {
                    // The source has changed: the next turn sees what it is now.
                    Err(Refused::Contended) => continue,
                    noted => noted?,
                }
            }
            let created = inner.create_as(&fresh, &creation, base.as_ref(), permit).await;
            if let Some(base) = &base {
                Inner::has_come(base, fresh.number());
            }
            if let Ok(Some(info)) = created {
                return Ok(Created { info, existed: false });
            }
            if let Some(base) = &base {
                inner.unnote_fork(base, fresh.number()).await?;
            }
            created?;
        }
        Err(Refused::Contended.into())
    }

    /// Closes a stream: it takes no more records, and its readers end. Answers with its final
    /// offset.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn close(&self, path: &StreamPath) -> Result<Offset, ChangeError> {
        for _ in 0..limits::DECIDE_AGAIN_MAX {
            let open = self.inner.open_to_change(path).await?;
            let Some((ticket, generation, tail)) = self.inner.submit_close(&open) else {
                self.inner.reload(&open).await?;
                continue;
            };
            if self.inner.conclude(&open, generation, ticket.settled().await).await? {
                open.set_closed();
                return Ok(tail);
            }
        }
        Err(Refused::Contended.into())
    }

    /// Deletes a stream with all it holds; readers are told. Its path is free at once.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn delete(&self, path: &StreamPath) -> Result<(), ChangeError> {
        let open = self.inner.open_to_change(path).await?;
        if self.inner.remove(&open).await? {
            return Ok(());
        }
        Err(NoStream { path: path.clone() }.into())
    }
}

impl Inner {
    /// The stream at a path, and whether it is hidden and only kept for its forks.
    async fn existing(&self, path: &StreamPath) -> Result<Option<(StreamInfo, bool)>, Refused> {
        let Some(head) = self.store.find(path.as_str()).await? else { return Ok(None) };
        let meta = StreamMeta::of(&head);
        if meta.expiry().is_some() || meta.deleted {
            let open = self.table.insert(OpenStream::load(path, &head));
            if !self.is_alive(&open).await? {
                return Ok(None);
            }
            if meta.deleted && !self.is_held_by_forks(&open).await? {
                return Ok(None);
            }
        }
        Ok(Some((meta.info(&head), meta.deleted)))
    }

    pub(super) async fn open_to_change(
        &self,
        path: &StreamPath,
    ) -> Result<Arc<OpenStream>, ChangeError> {
        match self.open_existing(path).await {
            Ok(open) => Ok(open),
            Err(super::ReadError::NoStream(fact)) => Err(fact.into()),
            Err(super::ReadError::Gone(fact)) => Err(fact.into()),
            Err(error) => Err(Refused::Unavailable(error.to_string().into()).into()),
        }
    }

    /// A stream that does not exist yet, where it begins.
    fn fresh_from(
        &self,
        path: &StreamPath,
        creation: &Creation,
        base: Option<&Base>,
    ) -> Arc<OpenStream> {
        let first = creation.first.unwrap_or(Offset(1));
        let at = base.map_or(Offset(first.0.saturating_sub(1)), |base| base.at);
        let meta = StreamMeta::new(&creation.spec, rand::random(), self.clock.now_ms());
        let meta = StreamMeta { forked: base.map(|base| base.forked.clone()), ..meta };
        OpenStream::fresh_at(path, self.store.allocate(), meta, at)
    }

    /// Creates a stream; `None` where somebody else was first, and is done by then.
    async fn create_as(
        &self,
        fresh: &Arc<OpenStream>,
        creation: &Creation,
        base: Option<&Base>,
        permit: Permit,
    ) -> Result<Option<StreamInfo>, Refused> {
        let (open, submitted) = {
            // IMPORTANT: locked before anybody can find it, so that nobody else creates it.
            let mut state = fresh.assigned();
            let open = self.table.insert(Arc::clone(fresh));
            if Arc::ptr_eq(&open, fresh) {
                (open, Some(self.submit_creation(&mut state, fresh, creation, base, permit)))
            } else {
                (open, None)
            }
        };
        let Some((ticket, generation, created)) = submitted.or_else(|| self.submit_barrier(&open))
        else {
            return Ok(None);
        };
        let durable = self.conclude(&open, generation, ticket.settled().await).await?;
        let created = created.filter(|_| durable);
        if created.as_ref().is_some_and(|info| info.closed) {
            open.set_closed();
        }
        Ok(created)
    }

    /// Waits behind what another has submitted, and creates nothing: once it is settled, so is
    /// theirs, and the stream is found or its path is free.
    fn submit_barrier(&self, open: &Arc<OpenStream>) -> Option<Submitted> {
        let Some((ticket, generation)) = self.barrier(open) else {
            // An append has come that far and no further; it finds what is created now.
            self.let_go(open);
            return None;
        };
        Some((ticket, generation, None))
    }

    /// Submits the creation.
    fn submit_creation(
        &self,
        state: &mut Assigned,
        open: &OpenStream,
        creation: &Creation,
        base: Option<&Base>,
        permit: Permit,
    ) -> Submitted {
        state.meta.closed = creation.closed == Some(true);
        let created_ms = state.meta.created_ms;
        let mut write = Self::write(open, state, created_ms);
        let tell = match base {
            Some(_) => self.tell_roll(open.path()),
            None => self.touched.tell(open.path()),
        };
        write.permit = permit.telling(tell);
        let prefix = base.and_then(|base| base.prefix.as_ref());
        let records: Batch = prefix.into_iter().chain(&creation.records).cloned().collect();
        if !records.is_empty() {
            write.due_ms = self.due(state, created_ms).or(write.due_ms);
            state.tail = state.tail.plus(records.len() as u64);
            state.last_timestamp_ms = created_ms;
            write.records = records;
        }
        let info = StreamInfo {
            path: open.path().shared(),
            epoch: state.meta.epoch,
            spec: state.meta.spec(),
            created_ms,
            last_append_ms: state.last_timestamp_ms,
            tail: state.tail,
            earliest: creation.first.unwrap_or(Offset(1)),
            closed: state.meta.closed,
            forked: state.meta.forked.clone(),
        };
        (self.store.submit(write), state.generation, Some(info))
    }

    fn submit_close(&self, open: &Arc<OpenStream>) -> Option<(Ticket, u64, Offset)> {
        let mut state = open.assigned();
        if state.gone || state.stale {
            return None;
        }
        let timestamp_ms = state.last_timestamp_ms;
        let mut write = Self::write(open, &mut state, timestamp_ms);
        if !state.meta.closed {
            state.meta.closed = true;
            write.meta = vec![state.meta.change()];
        }
        Some((self.store.submit(write), state.generation, state.tail))
    }
}

/// Whether a stream is what a creation asks for.
fn is_same(creation: &Creation, info: &StreamInfo) -> bool {
    let (asked, has) = (&creation.spec, &info.spec);
    asked.retention == has.retention
        && asked.expiry == has.expiry
        && admit::essence(&asked.content_type) == admit::essence(&has.content_type)
        && match (&creation.fork, &info.forked) {
            (Some(fork), Some(forked)) => forked.is_as_asked(fork),
            (fork, forked) => fork.is_none() && forked.is_none(),
        }
        && creation.closed.is_none_or(|closed| closed == info.closed)
        && creation.first.is_none_or(|first| first == info.earliest)
}

fn first_records(creation: &Creation) -> Append {
    let record = |payload: &Bytes| NewRecord { id: None, payload: payload.clone() };
    Append::json(creation.records.iter().map(record))
}

/// A write that adds nothing.
pub(super) fn bare(open: &OpenStream, change: Change) -> Write {
    Write {
        stream: open.number(),
        change,
        records: Batch::new(),
        timestamp_ms: 0,
        meta: Vec::new(),
        due_ms: None,
        permit: Permit::default(),
    }
}
