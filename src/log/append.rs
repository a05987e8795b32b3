//! Appends: decide under the stream's short lock, submit in that order, answer when durable.
//!
//! A write that the store refuses (another writer was first, or an earlier one failed) is
//! decided again from what the store holds.

use std::{sync::Arc, time::Instant};

use futures_util::FutureExt as _;
use serde::Deserialize;
use tracing::Instrument as _;

use super::{
    Append, AppendError, Appended, Inner, Log, NoStream, Offset, Refused, StreamGone, StreamPath,
    admit::{self, Admitted},
    meta::StreamMeta,
    retention,
    stream::{Assigned, OpenStream},
};
use crate::{
    limits,
    store::{self, Batch, Change, MetaChange, PageLimit, Permit, Ticket, Write, WriteError},
};

/// What came of one round of deciding.
enum Round {
    /// Submitted, or known before: durable once the ticket settles.
    Submitted { ticket: Ticket, admitted: Admitted, timestamp_ms: u64, generation: u64 },
    /// The stream was deleted meanwhile.
    Gone,
    /// What was assigned is in doubt; read the store and decide again.
    Stale,
    /// Decide again.
    Again,
    /// Its time is over.
    Over,
}

impl Log {
    /// Appends a batch in one atomic step and answers once it is durable.
    ///
    /// # Errors
    /// [`AppendError`]; whatever it is, nothing was written, with the one exception that
    /// [`Refused::Poisoned`] names.
    // Not `async`: a future around another one would hold what is appended twice.
    pub fn append<'a>(
        &'a self,
        path: &'a StreamPath,
        append: Append,
    ) -> impl Future<Output = Result<Appended, AppendError>> + Send + 'a {
        let begun = Instant::now();
        let span = tracing::debug_span!(
            "append",
            stream = path.as_str(),
            records = append.records.len(),
            bytes = size(&append),
        );
        self.append_now(path, append).instrument(span).inspect(move |_| {
            self.inner.metrics.append_seconds.observe(begun.elapsed());
        })
    }

    async fn append_now(&self, path: &StreamPath, append: Append) -> Result<Appended, AppendError> {
        admit::check(&append)?;
        let with_ids = has_ids(&append);
        for _ in 0..limits::DECIDE_AGAIN_MAX {
            let open = self.inner.open_for(path, &append).await?;
            if with_ids {
                self.inner.read_ids(&open).await?;
            }
            let permit = self.inner.store.reserve(size(&append)).await.map_err(Refused::from)?;
            match self.inner.decide(&open, &append, permit)? {
                Round::Gone => self.inner.table.remove(&open),
                Round::Stale => self.inner.reload(&open).await?,
                Round::Again => {}
                Round::Over => {
                    self.inner.is_alive(&open).await?;
                }
                Round::Submitted { ticket, admitted, timestamp_ms, generation } => {
                    let settled = ticket.settled().await;
                    if self.inner.conclude(&open, generation, settled).await? {
                        if admitted.closed {
                            open.set_closed();
                        }
                        return Ok(appended(admitted, timestamp_ms));
                    }
                }
            }
        }
        Err(Refused::Contended.into())
    }

    /// Waits until what was decided on a stream before now is durable, or refused. Whoever decides
    /// from what is durable waits here after a mismatch, instead of reading the same once more.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn settled(&self, path: &StreamPath) -> Result<(), Refused> {
        let Some(open) = self.inner.table.get(path) else { return Ok(()) };
        let Some((ticket, generation)) = self.inner.barrier(&open) else { return Ok(()) };
        self.inner.conclude(&open, generation, ticket.settled().await).await?;
        Ok(())
    }
}

impl Inner {
    /// An append of nothing, behind all that was submitted; `None` where the stream is in doubt or
    /// nothing was submitted yet.
    pub(super) fn barrier(&self, open: &OpenStream) -> Option<(Ticket, u64)> {
        let mut state = open.assigned();
        if state.gone || state.stale || state.to_create {
            return None;
        }
        let timestamp_ms = state.last_timestamp_ms;
        let barrier = Self::write(open, &mut state, timestamp_ms);
        Some((self.store.submit(barrier), state.generation))
    }

    /// The stream to append to: open, found, or about to be created.
    async fn open_for(
        &self,
        path: &StreamPath,
        append: &Append,
    ) -> Result<Arc<OpenStream>, AppendError> {
        let known = self.table.get(path);
        if let Some(open) = known.filter(|open| append.create.is_some() || open.is_durable()) {
            return Ok(open);
        }
        if let Some(head) = self.store.find(path.as_str()).await.map_err(Refused::from)? {
            return Ok(self.table.insert(OpenStream::load(path, &head)));
        }
        match &append.create {
            Some(spec) => Ok(self.table.insert(self.fresh(path, spec))),
            None => Err(NoStream { path: path.clone() }.into()),
        }
    }

    /// A stream that does not exist yet.
    pub(super) fn fresh(&self, path: &StreamPath, spec: &super::StreamSpec) -> Arc<OpenStream> {
        let meta = StreamMeta::new(spec, rand::random(), self.clock.now_ms());
        OpenStream::fresh(path, self.store.allocate(), meta)
    }

    /// Checks the append against the stream's state and submits it, under the stream's lock: the
    /// order of decisions is the order of writes.
    fn decide(
        &self,
        open: &OpenStream,
        append: &Append,
        permit: Permit,
    ) -> Result<Round, AppendError> {
        let mut state = open.assigned();
        if state.gone {
            return Ok(Round::Gone);
        }
        if state.stale {
            return Ok(Round::Stale);
        }
        if state.meta.deleted {
            return Err(StreamGone { path: open.path().clone() }.into());
        }
        if !state.to_create && state.is_over(self.clock.now_ms()) {
            return Ok(Round::Over);
        }
        if state.ids.unread().is_some() && has_ids(append) {
            // Read anew since: what was known of ids went with the old state.
            return Ok(Round::Again);
        }
        let admitted = admit::admit(open.path(), &state, append)?;
        let timestamp_ms = self.clock.now_ms().max(state.last_timestamp_ms);
        let mut write = Self::write(open, &mut state, timestamp_ms);
        write.permit = permit.telling(self.touched.tell(open.path()));
        if !admitted.duplicate {
            note(&mut state, append, &admitted, &mut write.meta);
        }
        write.meta.extend(state.note_use(self.clock.now_ms()));
        for (record, placed) in append.records.iter().zip(&admitted.placed) {
            if placed.duplicate {
                continue;
            }
            write.records.push(record.payload.clone());
            if let Some(id) = &record.id {
                state.ids.push(Arc::clone(id), placed.offset, timestamp_ms);
            }
        }
        if !write.records.is_empty() {
            write.due_ms = self.due(&mut state, timestamp_ms).or(write.due_ms);
            state.last_timestamp_ms = timestamp_ms;
        }
        state.tail = admitted.tail;
        let generation = state.generation;
        let ticket = self.store.submit(write);
        Ok(Round::Submitted { ticket, admitted, timestamp_ms, generation })
    }

    /// A write on the stream as it stands: its creation, if that is still to come, else an
    /// append. An append without records is a barrier: durable once all before it is.
    pub(super) fn write(open: &OpenStream, state: &mut Assigned, timestamp_ms: u64) -> Write {
        let mut due_ms = None;
        let (change, meta): (_, Vec<MetaChange>) = if std::mem::take(&mut state.to_create) {
            due_ms = state.deadline_ms();
            state.due_ms = due_ms.unwrap_or(0);
            let path = open.path().shared();
            (Change::Create { path, tail: state.tail }, vec![state.meta.change()])
        } else {
            (Change::Append { expected_tail: state.tail }, Vec::new())
        };
        Write {
            stream: open.number(),
            change,
            records: Batch::new(),
            timestamp_ms,
            meta,
            due_ms,
            permit: Permit::default(),
        }
    }

    /// When the sweeper has to look at a stream that had nothing to sweep so far.
    pub(super) fn due(&self, state: &mut Assigned, timestamp_ms: u64) -> Option<u64> {
        let retention_ms = retention::of(state.meta.retention_ms, self.settings.retention);
        let due_ms = retention::due_ms(timestamp_ms, retention_ms);
        // The end of the stream may be noted already, and be later.
        if state.due_ms != 0 && state.due_ms <= due_ms {
            return None;
        }
        state.due_ms = due_ms;
        Some(state.due_ms)
    }

    /// Whether the write is durable; if not, whether it may be decided again.
    pub(super) async fn conclude(
        &self,
        open: &Arc<OpenStream>,
        generation: u64,
        settled: Result<(), WriteError>,
    ) -> Result<bool, Refused> {
        let Err(error) = settled else {
            open.set_durable();
            return Ok(true);
        };
        open.set_stale(generation);
        match error {
            WriteError::Conflict { .. } => {
                self.reload(open).await?;
                Ok(false)
            }
            WriteError::NoStream(_) | WriteError::Exists => {
                self.let_go(open);
                Ok(false)
            }
            error => {
                if !open.is_durable() {
                    self.let_go(open);
                }
                Err(refused(error))
            }
        }
    }

    /// Forgets a stream that is not in the store as it was thought to be.
    pub(super) fn let_go(&self, open: &Arc<OpenStream>) {
        open.assigned().gone = true;
        self.table.remove(open);
    }

    /// Takes the store's word for where the stream stands.
    pub(super) async fn reload(&self, open: &Arc<OpenStream>) -> Result<(), Refused> {
        match self.store.head(open.number()).await? {
            Some(head) => open.refresh(&head),
            None => self.let_go(open),
        }
        Ok(())
    }

    /// Reads the ids of the records that were written before the stream was opened.
    async fn read_ids(&self, open: &OpenStream) -> Result<(), Refused> {
        let Some(tail) = open.assigned().ids.unread() else { return Ok(()) };
        let window_ms = u64::try_from(limits::IDS_WINDOW.as_millis()).unwrap_or(u64::MAX);
        let young_ms = self.clock.now_ms().saturating_sub(window_ms);
        let young = self.store.seek(open.number(), young_ms).await.unwrap_or(tail);
        // The last ones however old, and the young ones up to the bound.
        let after = young
            .max(Offset(tail.0.saturating_sub(limits::IDS_MAX as u64)))
            .min(Offset(tail.0.saturating_sub(limits::IDS_MIN as u64)));
        let mut older = Vec::new();
        let mut at = after;
        while at < tail {
            let limit = PageLimit { records: limits::IDS_MIN, bytes: limits::PAGE_BYTES };
            let page = match self.store.read(open.number(), at, limit).await {
                Ok(page) => page,
                Err(store::ReadError::Trimmed { earliest }) => {
                    at = Offset(earliest.0.saturating_sub(1)).max(at.plus(1));
                    continue;
                }
                // What is lost cannot be told from a retry; the rest still can.
                Err(store::ReadError::Lost { to, .. }) => {
                    at = to.max(at.plus(1));
                    continue;
                }
                Err(store::ReadError::NoStream(_)) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let Some(last) = page.records.last() else { break };
            at = last.offset;
            older.extend(page.records.iter().filter(|record| record.offset <= tail).filter_map(
                |record| Some((id_of(&record.payload)?, record.offset, record.timestamp_ms)),
            ));
        }
        open.assigned().ids.fill(older);
        Ok(())
    }
}

/// What an append changes beside its records, in the stream's state and in the write.
fn note(state: &mut Assigned, append: &Append, admitted: &Admitted, meta: &mut Vec<MetaChange>) {
    if let (Some(producer), Some(last)) = (&append.producer, admitted.producer) {
        state.producers.insert(Arc::clone(&producer.id), last);
        meta.push(StreamMeta::producer_change(&producer.id, last));
    }
    if let Some(seq) = &append.seq {
        state.seq = Some(Arc::clone(seq));
        meta.push(StreamMeta::seq_change(seq));
    }
    if append.close {
        state.meta.closed = true;
        meta.push(state.meta.change());
    }
}

/// The id inside a stored event, if it has one.
fn id_of(payload: &[u8]) -> Option<Arc<str>> {
    #[derive(Deserialize)]
    struct WithId<'a> {
        #[serde(borrow)]
        id: std::borrow::Cow<'a, str>,
    }
    let event: WithId<'_> = serde_json::from_slice(payload).ok()?;
    Some(Arc::from(event.id.as_ref()))
}

fn has_ids(append: &Append) -> bool {
    append.records.iter().any(|record| record.id.is_some())
}

fn size(append: &Append) -> usize {
    append.records.iter().map(|record| record.payload.len()).sum()
}

fn appended(admitted: Admitted, timestamp_ms: u64) -> Appended {
    let written = admitted.placed.iter().rev().find(|placed| !placed.duplicate);
    let last = written.or(admitted.placed.last()).map_or(admitted.tail, |placed| placed.offset);
    let Admitted { placed, tail, producer, duplicate, closed } = admitted;
    Appended { placed, last, tail, duplicate, closed, producer, timestamp_ms }
}

/// What a failed write means to a client.
pub(super) fn refused(error: WriteError) -> Refused {
    match error {
        WriteError::Full => Refused::Full,
        WriteError::Poisoned(reason) => Refused::Poisoned(reason),
        WriteError::Closed => Refused::Closed,
        WriteError::Busy => Refused::Busy,
        // `admit::check` lets none through that is too large for a group.
        error @ WriteError::TooLarge { .. } => Refused::Unavailable(error.to_string().into()),
        WriteError::Conflict { .. } | WriteError::Exists | WriteError::NoStream(_) => {
            Refused::Contended
        }
    }
}
