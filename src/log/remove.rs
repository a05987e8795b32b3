//! The end of a stream: it is deleted, or hidden while others that were forked from it still read
//! what it holds.
//!
//! Invariant: a stream goes only when no fork of it is left, and its own source learns of that
//! after it is gone. A crash in between leaves a note of nothing, or a stream that is kept for
//! nobody; either is found when it is looked at, and by the sweeper.

use std::sync::Arc;

use super::{
    Inner, Refused, StreamPath, append::refused, create::bare, fork::change, meta::StreamMeta,
    stream::OpenStream,
};
use crate::{
    limits,
    store::{Change, Head, StreamNo, Ticket, WriteError},
};

impl Inner {
    /// Deletes a stream, or hides it while it has forks. Whether it was there.
    pub(super) async fn remove(&self, open: &Arc<OpenStream>) -> Result<bool, Refused> {
        let is_stale = open.assigned().stale;
        if is_stale {
            self.reload(open).await?;
        }
        let Some((ticket, parent)) = self.submit_removal(open) else { return Ok(false) };
        match ticket.settled().await {
            Ok(()) => {}
            Err(WriteError::NoStream(_)) => return Ok(false),
            Err(error) => {
                let generation = open.assigned().generation;
                open.set_stale(generation);
                return Err(refused(error));
            }
        }
        let is_hidden = open.assigned().meta.deleted;
        if is_hidden {
            // Wakes its readers; they see what has become of it.
            open.set_closed();
            // The forks it knows of may be gone, or may never have come to be.
            self.is_held_by_forks(open).await?;
            return Ok(true);
        }
        self.release_line(parent, open.number()).await?;
        Ok(true)
    }

    /// Lets a source forget a fork that is no more, and its own source forget it where it went
    /// with that, and so on.
    async fn release_line(
        &self,
        mut source: Option<StreamNo>,
        mut fork: StreamNo,
    ) -> Result<(), Refused> {
        while let Some(stream) = source {
            let Some(next) = self.release(stream, fork).await? else { break };
            (source, fork) = (next, stream);
        }
        Ok(())
    }

    /// Submits the end of a stream; with it comes the source that it lets go of.
    fn submit_removal(&self, open: &Arc<OpenStream>) -> Option<(Ticket, Option<StreamNo>)> {
        let mut state = open.assigned();
        if state.gone {
            return None;
        }
        let parent = state.meta.forked.as_ref().map(|forked| StreamNo(forked.parent));
        if state.forks.is_empty() {
            state.meta.deleted = false;
            state.gone = true;
            self.table.remove(open);
            let mut write = bare(open, Change::Delete);
            write.permit = write.permit.telling(self.tell_roll(open.path()));
            return Some((self.store.submit(write), parent));
        }
        state.meta.deleted = true;
        let timestamp_ms = state.last_timestamp_ms;
        let mut write = Self::write(open, &mut state, timestamp_ms);
        write.meta.push(state.meta.change());
        let look_ms = self.hidden_look_ms();
        if state.due_ms == 0 || look_ms < state.due_ms {
            state.due_ms = look_ms;
            write.due_ms = Some(look_ms);
        }
        write.permit = write.permit.telling(self.tell_roll(open.path()));
        Some((self.store.submit(write), None))
    }

    /// When the sweeper looks again whether a hidden stream still has forks.
    pub(super) fn hidden_look_ms(&self) -> u64 {
        let every_ms = u64::try_from(limits::HIDDEN_LOOK_EVERY.as_millis()).unwrap_or(u64::MAX);
        self.clock.now_ms().saturating_add(every_ms)
    }

    /// Lets a source forget a fork that is no more. Where that was the last one of a deleted
    /// source, the source goes too: answers with its own source then.
    async fn release(
        &self,
        source: StreamNo,
        fork: StreamNo,
    ) -> Result<Option<Option<StreamNo>>, Refused> {
        let Some(head) = self.store.head(source).await? else { return Ok(None) };
        let Ok(path) = StreamPath::stored(&head.path) else { return Ok(None) };
        let open = self.table.insert(OpenStream::load(&path, &head));
        let is_stale = open.assigned().stale;
        if is_stale {
            self.reload(&open).await?;
        }
        let (ticket, generation) = {
            let mut state = open.assigned();
            if state.gone || open.number() != source {
                return Ok(None);
            }
            let timestamp_ms = state.last_timestamp_ms;
            state.forks.remove(&fork);
            state.coming.remove(&fork);
            let mut write = Self::write(&open, &mut state, timestamp_ms);
            write.meta.push(change(fork, false));
            (self.store.submit(write), state.generation)
        };
        if let Err(error) = ticket.settled().await {
            open.set_stale(generation);
            return Err(refused(error));
        }
        self.reap(&open).await
    }

    /// Removes a deleted stream that has no forks any more.
    async fn reap(&self, open: &Arc<OpenStream>) -> Result<Option<Option<StreamNo>>, Refused> {
        {
            let state = open.assigned();
            if !state.meta.deleted || !state.forks.is_empty() {
                return Ok(None);
            }
        }
        let Some((ticket, parent)) = self.submit_removal(open) else { return Ok(None) };
        match ticket.settled().await {
            Ok(()) | Err(WriteError::NoStream(_)) => Ok(Some(parent)),
            Err(error) => Err(refused(error)),
        }
    }

    /// Whether a deleted stream still has forks. A crash may have come between the end of a fork
    /// and its source's learning of it, or between that and the source's own end; then this is
    /// where it learns, or ends. A fork that is on its way has no head yet, and will have one.
    pub(super) async fn is_held_by_forks(&self, open: &Arc<OpenStream>) -> Result<bool, Refused> {
        let forks: Vec<StreamNo> = {
            let state = open.assigned();
            if !state.coming.is_empty() {
                return Ok(true);
            }
            state.forks.iter().copied().collect()
        };
        for fork in forks {
            // A number that was noted before a crash may be another stream's by now.
            let is_ours = |head: Arc<Head>| {
                let forked = StreamMeta::of(&head).forked;
                forked.is_some_and(|forked| forked.parent == open.number().0)
            };
            if self.store.head(fork).await?.is_some_and(is_ours) {
                return Ok(true);
            }
            self.release_line(Some(open.number()), fork).await?;
        }
        if let Some(source) = self.reap(open).await? {
            self.release_line(source, open.number()).await?;
        }
        Ok(!open.assigned().gone)
    }
}
