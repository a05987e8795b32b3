//! Commands done: decided against the state at the durable tail, and appended there or not at all.
//!
//! It refuses to know HTTP, and what is decided. Invariant: events of a command stand directly
//! behind the state they were decided from. The log sees to that, by the expected offset; standing
//! in line only saves commands of one server from deciding in vain.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex as Lock;
use tokio::sync::Mutex;

use super::{
    EventBatch, EventError, Ids, Maker, Rules,
    command::{Answer, Command, CommandState, Decided, KnownMessage, Rejected, decide},
    projections::Projections,
    vocabulary::Id,
};
use crate::{
    limits,
    log::{Append, AppendError, Log, Offset, ReadError, Refused, StreamPath, StreamSpec},
    projection::Views,
};

/// Does what commands say.
#[derive(Debug)]
pub struct Executor {
    log: Log,
    views: Views<Projections>,
    lines: Lines,
}

/// A command that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What to say.
    pub answer: Answer,
    /// The last event that was written for it, or that had made it so already.
    pub offset: Offset,
}

/// Who gives a command.
#[derive(Debug, Clone, Copy, Default)]
pub struct By<'a> {
    /// Stands as the writer of its events, as the JSON of `actor`.
    pub actor: Option<&'a str>,
    /// A worker that has its own sessions only: those it begins, and those that are its own at the
    /// moment of the decision.
    pub worker: Option<&'a str>,
}

/// Why a command was not done. Nothing was written, but for what [`AppendError`] says.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The session is not in a state for it.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// Its state cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its events break the envelope's rules.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The session is not the worker's who gives it, or is not there.
    #[error("the session is not this worker's")]
    NotTheirs,
    /// Its events cannot be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Executor {
    /// Commands on the sessions of a log.
    #[must_use]
    pub fn new(log: Log, views: Views<Projections>) -> Self {
        Self { log, views, lines: Lines::default() }
    }

    /// Decides a command and appends its events.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn run(
        &self,
        path: &StreamPath,
        command: &Command,
        ids: &Ids,
        by: By<'_>,
    ) -> Result<Done, CommandError> {
        let line = self.lines.of(path);
        let _first = line.lock.lock().await;
        for _ in 0..limits::COMMAND_TRIES_MAX {
            let (decided, at) = self.decide(path, command, ids, by.worker).await?;
            if let Some(offset) = decided.stands_at {
                return Ok(Done { answer: decided.answer, offset: Offset(offset) });
            }
            let append = self.append_of(&decided, at, ids, by.actor)?;
            match self.log.append(path, append).await {
                Ok(appended) => {
                    return Ok(Done { answer: decided.answer, offset: appended.last });
                }
                Err(AppendError::Mismatch(_)) => {
                    self.log.settled(path).await.map_err(AppendError::from)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(AppendError::from(Refused::Contended).into())
    }

    /// The decision, and the offset of the state it is made from.
    async fn decide(
        &self,
        path: &StreamPath,
        command: &Command,
        ids: &Ids,
        worker: Option<&str>,
    ) -> Result<(Decided, Offset), CommandError> {
        let now_ms = self.log.clock().now_ms();
        let decide_at = |state: &Projections, at| {
            let is_theirs = worker.is_none_or(|own| state.session.worker.as_deref() == Some(own));
            (is_theirs.then(|| decide_in(state, command, ids, now_ms)), at)
        };
        let (decided, at) = match self.views.read(path, decide_at).await {
            Err(ReadError::NoStream(_)) => {
                let may_begin = worker.is_none() || matches!(command, Command::Start(_));
                let nothing = Projections::default();
                (may_begin.then(|| decide_in(&nothing, command, ids, now_ms)), Offset::ZERO)
            }
            // Of what is not theirs they hear nothing, not even that it was deleted.
            Err(ReadError::Gone(_)) if worker.is_some() => return Err(CommandError::NotTheirs),
            decided => decided?,
        };
        Ok((decided.ok_or(CommandError::NotTheirs)??, at))
    }

    fn append_of(
        &self,
        decided: &Decided,
        at: Offset,
        ids: &Ids,
        actor: Option<&str>,
    ) -> Result<Append, EventError> {
        // These types write themselves without fail; if not, nothing is appended.
        let texts = decided.texts().map_err(|_| EventError::NotAnObject)?;
        let maker = Maker { ids, now_ms: self.log.clock().now_ms(), actor };
        let mut batch = EventBatch::default();
        for text in &texts {
            batch.push_parsed(text, Rules::EVENT, &maker)?;
        }
        let (_, records) = batch.finish();
        let spec = StreamSpec::json();
        let content_type = Some(Arc::clone(&spec.content_type));
        let create = Some(spec);
        Ok(Append { records, expected: Some(at), create, content_type, ..Append::default() })
    }
}

fn decide_in(
    state: &Projections,
    command: &Command,
    ids: &Ids,
    now_ms: u64,
) -> Result<Decided, Rejected> {
    let messages = |id: &Id| {
        let found = state.messages.list().get(id)?;
        let (turn_id, offset) = (found.turn_id.clone(), found.offset);
        Some(KnownMessage { role: Some(found.role), turn_id, offset })
    };
    let state = CommandState {
        session: &state.session,
        turn: &state.turn,
        queue: &state.queue,
        permissions: &state.permissions,
        messages: &messages,
    };
    decide(&state, command, &mut || Id::made(ids, now_ms))
}

/// The sessions in which commands are being done: there, one goes after the other.
#[derive(Debug, Default)]
struct Lines(Lock<HashMap<Arc<str>, Arc<Mutex<()>>>>);

/// A place in the line of a session; the line is forgotten with the last one.
struct Line<'a> {
    lines: &'a Lines,
    path: Arc<str>,
    lock: Arc<Mutex<()>>,
}

impl Lines {
    fn of(&self, path: &StreamPath) -> Line<'_> {
        let path = path.shared();
        let lock = Arc::clone(self.0.lock().entry(Arc::clone(&path)).or_default());
        Line { lines: self, path, lock }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let mut lines = self.lines.0.lock();
        // The table's and this one: nobody else can come by a third while the table is locked.
        if Arc::strong_count(&self.lock) <= 2 {
            lines.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, poll};

    use super::*;

    #[tokio::test]
    async fn a_line_is_there_as_long_as_somebody_stands_in_it() {
        let lines = Lines::default();
        let path = StreamPath::session("s").unwrap();
        let first = lines.of(&path);
        let at_work = first.lock.lock().await;
        {
            let second = lines.of(&path);
            let mut waiting = Box::pin(second.lock.lock());
            assert!(poll!(&mut waiting).is_pending());
            let elsewhere = lines.of(&StreamPath::session("t").unwrap());
            assert!(elsewhere.lock.lock().now_or_never().is_some());
            assert_eq!(lines.0.lock().len(), 2);
        }
        assert_eq!(lines.0.lock().len(), 1, "who gave up stands there no more");
        drop(at_work);
        drop(first);
        assert!(lines.0.lock().is_empty());
    }
}
