//! Optimistic writes: what a user does is shown at once, sent when there is a line, and taken back
//! with the reason where it cannot be.
//!
//! A write is *pending* until it is *confirmed* (it is in the log) or *rolled back* (it never will
//! be). Invariants: each is told once, in the order of the writes; what was confirmed by the
//! answer is not shown again when its echo comes down the stream.

mod callbacks;
mod journal;
mod queue;
mod run;
#[cfg(test)]
mod tests;
mod write;

use std::{fmt, io, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

pub use self::{
    callbacks::{Callbacks, OnWrite, Rejection},
    write::{Entry, Write},
};
use self::{
    journal::Journal,
    queue::{Bounds, Queue},
    run::{Shared, save_all, send_all},
};
use super::{ClientError, Event, NewEvent, Session, task::Task};

/// Why a write was not queued, or there is no queue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptimisticError {
    /// As much waits as may. Nothing was shown.
    #[error(
        "{entries} writes of {bytes} bytes wait for the server, and the queue is full: wait until it is back, or allow more"
    )]
    Full {
        /// Writes that wait.
        entries: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// A write with this id is under way. Nothing was shown.
    #[error("a write with the id {0:?} is under way: give each one its own, or none")]
    Known(String),
    /// It cannot be written as JSON. Nothing was shown.
    #[error("this cannot be written as JSON: {0}")]
    Json(serde_json::Error),
    /// The disk did not take it; if it was shown, it was taken back.
    #[error("the queue cannot be saved ({0}): make room, and begin anew")]
    NotSaved(Arc<str>),
    /// The file of the queue cannot be used.
    #[error("{}: {source}: name another file for the queue", .path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program, or another queue of this one, has the file.
    #[error("{} is in use: each queue needs a file of its own", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged, or none of ours.
    #[error("{}: line {line} is not of a queue: move the file away, and look what it holds", .path.display())]
    Garbled {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file is the queue of another session.
    #[error("{} holds the queue of another session: each one needs a file of its own", .path.display())]
    OtherSession {
        /// The file.
        path: PathBuf,
    },
}

/// How much is queued, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptimisticOptions {
    bounds: Bounds,
    persist_at: Option<PathBuf>,
}

impl Default for OptimisticOptions {
    /// 10,000 writes, 16 MiB, in memory.
    fn default() -> Self {
        let bounds = Bounds {
            // More than a person does in a day without a line.
            entries: 10_000,
            // What a phone can spare.
            bytes: 16 * 1024 * 1024,
            // A follower that is further behind its own writes shows them twice.
            unseen: 4_096,
        };
        Self { bounds, persist_at: None }
    }
}

impl OptimisticOptions {
    /// Writes that wait at most.
    #[must_use]
    pub fn entries_max(mut self, entries: usize) -> Self {
        self.bounds.entries = entries;
        self
    }

    /// Bytes that they have at most, as JSON.
    #[must_use]
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// Confirmed writes whose echo is yet to come, at most; the oldest are forgotten.
    #[must_use]
    pub fn unseen_max(mut self, entries: usize) -> Self {
        self.bounds.unseen = entries.max(1);
        self
    }

    /// Keeps the queue in this file, and begins with what an earlier life left there. A file
    /// beside it, with `.lock` behind its name, keeps others away.
    #[must_use]
    pub fn persist_at(mut self, path: impl Into<PathBuf>) -> Self {
        self.persist_at = Some(path.into());
        self
    }
}

/// Optimistic writes in a session. See [`Session::optimistic`].
///
/// While the server is out of reach, writes wait and are sent in their order once it is back, one
/// at a time. Those that the server refuses are rolled back, and the ones behind them go on.
///
/// What was sent may be sent again where its answer was lost; the server knows it by its id, for
/// the last 1,024 events of the stream or 10 minutes (512 messages). A write whose answer was lost
/// and which comes again only after that is written twice.
///
/// **Dropping it** ends the sending: what is pending stays in its file, or is forgotten where there
/// is none. [`Optimistic::close`] it to have the file free for the next one.
pub struct Optimistic {
    session: Session,
    shared: Arc<Shared>,
    sender: Task,
    saver: Option<Task>,
}

impl fmt::Debug for Optimistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.shared.queue.lock().pending().len();
        f.debug_struct("Optimistic").field("pending", &pending).finish_non_exhaustive()
    }
}

impl Session {
    /// Optimistic writes in this session. What an earlier life left in the file is announced
    /// before this returns. It reads that file, and must be called within a tokio runtime.
    ///
    /// ```no_run
    /// # use futures_util::StreamExt;
    /// # use scrollback::client::{Callbacks, Client, Entry, Followed, NewEvent, OptimisticOptions, Rejection};
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let session = Client::new("http://127.0.0.1:4437")?.session("demo");
    /// let on = Callbacks::new(
    ///     |entry: &Entry| println!("… {}", entry.id()),
    ///     |entry: &Entry, offset| println!("✓ {} at {offset}", entry.id()),
    ///     |entry: &Entry, why: &Rejection| println!("✗ {}: {why}", entry.id()),
    /// );
    /// let optimistic = session.optimistic(on, OptimisticOptions::default())?;
    /// optimistic.send(NewEvent::new("note", "note.added", "hello".into())).await?;
    /// let mut follower = session.follow(0);
    /// while let Some(followed) = follower.next().await {
    ///     if let Followed::Event(event) = followed
    ///         && optimistic.observe(&event).is_none()
    ///     {
    ///         println!("of another: {}", event.id());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The file cannot be used: [`OptimisticError::Journal`] and those after it.
    pub fn optimistic(
        &self,
        on: impl OnWrite,
        options: OptimisticOptions,
    ) -> Result<Optimistic, OptimisticError> {
        let mut queue = Queue::new(self.path(), options.bounds, options.persist_at.is_some());
        let journal = match options.persist_at {
            Some(path) => Some(load(&mut queue, path)?),
            None => None,
        };
        let shared = Arc::new(Shared {
            on: Box::new(on),
            queue: Mutex::new(queue),
            changed: watch::Sender::new(()),
        });
        shared.tell();
        let sender = Task::spawn(send_all(self.clone(), Arc::clone(&shared)));
        let saver = journal.map(|journal| Task::spawn(save_all(journal, Arc::clone(&shared))));
        Ok(Optimistic { session: self.clone(), shared, sender, saver })
    }
}

fn load(queue: &mut Queue, path: PathBuf) -> Result<Journal, OptimisticError> {
    let (mut journal, lines) = Journal::open(&path)?;
    if !queue.reload(lines)? {
        return Err(OptimisticError::OtherSession { path });
    }
    // Without what is settled, and without a line that was cut off.
    let whole = queue.whole();
    journal.replace(&whole.text).map_err(|source| OptimisticError::Journal { path, source })?;
    Ok(journal)
}

impl Optimistic {
    /// Shows a write at once and sends it behind those before it. Returns its id, once it is on
    /// the disk where the queue is kept there, else without waiting. It is queued even if this
    /// is not awaited to its end.
    ///
    /// # Errors
    /// [`OptimisticError::Full`] and those up to [`OptimisticError::NotSaved`].
    pub async fn send(&self, write: impl Into<Write>) -> Result<String, OptimisticError> {
        self.queue(write.into(), None).await
    }

    /// The same for an event that was decided from the state at an offset: where others have
    /// written since, it is rolled back as a [`Rejection::Conflict`]. Events of this queue that
    /// stand before it count as known; a message does not, because its turn changes the state.
    ///
    /// # Errors
    /// As of [`Optimistic::send`].
    pub async fn send_against(
        &self,
        offset: u64,
        event: NewEvent,
    ) -> Result<String, OptimisticError> {
        self.queue(Write::Event(event), Some(offset)).await
    }

    async fn queue(
        &self,
        write: Write,
        expected_offset: Option<u64>,
    ) -> Result<String, OptimisticError> {
        let client = self.session.client();
        let id = write.given_id().map_or_else(|| client.new_id(), str::to_owned);
        let queued_at_ms = client.inner.clock.now_ms();
        let entry = Entry { id: id.clone(), write, expected_offset, queued_at_ms };
        let number = self.shared.change(|queue| queue.push(entry))?;
        self.shared.until(|queue| queue.is_saved(number)).await?;
        Ok(id)
    }

    /// Takes an event from the stream: the write of this queue that it is the echo of, which is
    /// shown already, or nothing where it is somebody else's. To be called with each event of a
    /// follower, in order; an echo that comes before the answer confirms the write.
    ///
    /// After a reset of the follower, what was shown is built anew: an echo that was seen before is
    /// an event like any other then.
    #[must_use = "an echo is shown already"]
    pub fn observe(&self, event: &Event) -> Option<Arc<Entry>> {
        let own = self.shared.queue.lock().observe(event);
        // Most events are of others, and nobody waits for those.
        if own.is_some() {
            self.shared.noticed();
        }
        own
    }

    /// Tries at once instead of after the wait: for those who know that the line is back, for
    /// example from `Followed::Connected`.
    pub fn try_now(&self) {
        self.shared.change(|queue| queue.is_nudged = true);
    }

    /// Takes a write back: it is not sent any more, and those behind it go on. For those who do not
    /// want to wait for it, such as for one that the server fails each time. Whether there was such
    /// a write to take back.
    ///
    /// It is rolled back at once as [`Rejection::Withdrawn`], unless it is on its way: then it is
    /// confirmed if the answer or the echo says that it is in the log, and else rolled back when
    /// the answer has come or was waited for in vain. Where there is a file, an application that
    /// ends before this is told finds the write there again.
    #[expect(clippy::must_use_candidate, reason = "most do not mind that it is settled already")]
    pub fn take_back(&self, id: &str) -> bool {
        self.shared.change(|queue| queue.take_back(id))
    }

    /// The writes that are not settled, in order.
    #[must_use]
    pub fn pending(&self) -> Vec<Arc<Entry>> {
        self.shared.queue.lock().pending()
    }

    /// Why the first of them has not gone through so far: nothing while all is well.
    #[must_use]
    pub fn waits_because(&self) -> Option<Arc<ClientError>> {
        self.shared.queue.lock().last_failure()
    }

    /// Waits until every write is settled, and told.
    pub async fn settled(&self) {
        self.shared.until(|queue| queue.is_settled().then_some(())).await;
    }

    /// Ends the sending, and lets go of the file once it holds everything. What is pending stays
    /// there; it may have reached the log, and is known there when it is sent again.
    pub async fn close(self) {
        let Self { shared, sender, saver, .. } = self;
        drop(sender);
        shared.change(|queue| queue.is_closing = true);
        if let Some(mut saver) = saver {
            saver.ended().await;
        }
    }
}
