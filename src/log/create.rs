//! Streams come and go: create, close, delete. Each is one write, decided under the stream's
//! lock like an append, and repeating it changes nothing.

use std::sync::Arc;

use super::{
    ChangeError, CreateError, Created, Inner, Log, NoStream, Offset, Refused, StreamInfo,
    StreamPath, StreamSpec, meta::StreamMeta, stream::OpenStream,
};
use crate::{
    limits,
    store::{Batch, Change, Permit, Ticket, Write},
};

impl Log {
    /// Makes a stream. Making it again with the same configuration is not an error.
    ///
    /// # Errors
    /// [`CreateError::Exists`] where the path has a stream with another configuration.
    pub async fn create(
        &self,
        path: &StreamPath,
        spec: StreamSpec,
    ) -> Result<Created, CreateError> {
        let inner = &self.inner;
        for _ in 0..limits::DECIDE_AGAIN_MAX {
            if let Some(info) = inner.existing(path).await? {
                return if info.spec == spec {
                    Ok(Created { info, existed: true })
                } else {
                    Err(CreateError::Exists(path.clone()))
                };
            }
            let open = inner.table.insert(inner.fresh(path, &spec));
            let submitted = inner.submit_creation(&open);
            let Some((ticket, generation, created)) = submitted else { continue };
            let durable = inner.conclude(&open, generation, ticket.settled().await).await?;
            if let (Some(info), true) = (created, durable) {
                return Ok(Created { info, existed: false });
            }
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
        let ticket = {
            let mut state = open.assigned();
            if state.gone {
                return Err(NoStream { path: path.clone() }.into());
            }
            state.gone = true;
            self.inner.table.remove(&open);
            self.inner.store.submit(bare(&open, Change::Delete))
        };
        match ticket.settled().await {
            Ok(()) => Ok(()),
            Err(crate::store::WriteError::NoStream(_)) => {
                Err(NoStream { path: path.clone() }.into())
            }
            Err(error) => Err(super::append::refused(error).into()),
        }
    }
}

impl Inner {
    async fn existing(&self, path: &StreamPath) -> Result<Option<StreamInfo>, Refused> {
        let head = self.store.find(path.as_str()).await?;
        Ok(head.map(|head| StreamMeta::of(&head).info(&head)))
    }

    async fn open_to_change(&self, path: &StreamPath) -> Result<Arc<OpenStream>, ChangeError> {
        match self.open_existing(path).await {
            Ok(open) => Ok(open),
            Err(super::ReadError::NoStream(fact)) => Err(fact.into()),
            Err(error) => Err(Refused::Unavailable(error.to_string().into()).into()),
        }
    }

    /// Submits the creation. Behind somebody else's it is a barrier and creates nothing: once it
    /// is settled, so is theirs, and the stream is found or its path is free.
    fn submit_creation(&self, open: &Arc<OpenStream>) -> Option<(Ticket, u64, Option<StreamInfo>)> {
        let mut state = open.assigned();
        if state.gone || state.stale {
            drop(state);
            self.let_go(open);
            return None;
        }
        let info = StreamInfo {
            path: open.path().shared(),
            epoch: state.meta.epoch,
            spec: state.meta.spec(),
            created_ms: state.meta.created_ms,
            last_append_ms: state.last_timestamp_ms,
            tail: state.tail,
            earliest: Offset(1),
            closed: state.meta.closed,
        };
        let created_ms = state.meta.created_ms;
        let created_here = state.to_create;
        let write = Self::write(open, &mut state, created_ms);
        let ticket = self.store.submit(write);
        Some((ticket, state.generation, created_here.then_some(info)))
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
