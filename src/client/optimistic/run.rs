//! The tasks behind a queue of writes: one sends, one saves. And how all sides wait for each other.
//!
//! It refuses to know what an answer means and what comes next: `queue.rs` decides that. Invariant:
//! the application is told one thing at a time, in the order in which they happened, and never
//! while the queue is locked.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    OnWrite,
    journal::Journal,
    queue::{Notice, Queue, Tried},
    write::{Entry, Outcome},
};
use crate::client::{ClientError, Session, task::blocking};

/// After an echo its answer is waited for so long before the request is given up: most come at
/// the same time, and a request that is given up costs its connection.
const ANSWER_AFTER_ECHO: Duration = Duration::from_secs(1);

/// What the handle and its tasks share.
pub(super) struct Shared {
    pub(super) on: Box<dyn OnWrite>,
    pub(super) queue: Mutex<Queue>,
    /// Told of every change; whoever waits looks again.
    pub(super) changed: watch::Sender<()>,
}

impl Shared {
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let changed = change(&mut self.queue.lock());
        self.noticed();
        changed
    }

    /// The queue has changed: whoever waits looks again, and the application is told.
    pub(super) fn noticed(&self) {
        self.changed.send_replace(());
        self.tell();
    }

    /// Waits until there is an answer.
    pub(super) async fn until<T>(&self, mut ask: impl FnMut(&mut Queue) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            let answer = ask(&mut self.queue.lock());
            match answer {
                Some(answer) => return answer,
                // The sender is ours, so it is there.
                None => drop(changed.changed().await),
            }
        }
    }

    /// Tells the application what there is to tell, unless somebody is at it.
    pub(super) fn tell(&self) {
        loop {
            let notice = {
                let mut queue = self.queue.lock();
                if queue.outbox.is_telling {
                    return;
                }
                let Some(notice) = queue.outbox.notices.pop_front() else { return };
                queue.outbox.is_telling = true;
                notice
            };
            let _telling = Telling(self);
            match notice {
                Notice::Optimistic(entry) => self.on.on_optimistic(&entry),
                Notice::Confirm(entry, offset) => self.on.on_confirm(&entry, offset),
                Notice::Rollback(entry, why) => self.on.on_rollback(&entry, &why),
            }
        }
    }
}

/// A callback at work; it may panic.
struct Telling<'a>(&'a Shared);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.0.queue.lock().outbox.is_telling = false;
        self.0.changed.send_replace(());
    }
}

/// Sends what is queued, one after the other, for ever.
pub(super) async fn send_all(session: Session, shared: Arc<Shared>) {
    let inner = &session.client().inner;
    loop {
        let (entry, expected) = shared.until(Queue::next).await;
        let outcome = tokio::select! {
            answer = entry.send(&session, expected) => Outcome::of(answer),
            outcome = given_up(&session, &shared, &entry) => outcome,
        };
        let asked = match &outcome {
            Outcome::Failed(error) => error.retry_after(),
            _ => None,
        };
        let Tried::Again { failures } = shared.change(|queue| queue.tried(&entry.id, outcome))
        else {
            continue;
        };
        let wait = inner.reconnect.wait(failures, rand::random(), asked);
        let is_over = |queue: &mut Queue| {
            let is_nudged = std::mem::take(&mut queue.is_nudged);
            (is_nudged || !queue.holds(&entry.id)).then_some(())
        };
        tokio::select! {
            () = inner.clock.sleep(wait) => {}
            () = shared.until(is_over) => {}
        }
    }
}

/// Completes when an entry was confirmed by its echo, and its answer is not worth waiting for.
async fn given_up(session: &Session, shared: &Shared, entry: &Entry) -> Outcome {
    shared.until(|queue| (!queue.holds(entry.id())).then_some(())).await;
    session.client().inner.clock.sleep(ANSWER_AFTER_ECHO).await;
    Outcome::Failed(ClientError::Slow { secs: ANSWER_AFTER_ECHO.as_secs() })
}

/// Puts what happens to the queue on the disk, until it is closed.
pub(super) async fn save_all(mut journal: Journal, shared: Arc<Shared>) {
    loop {
        let ask = |queue: &mut Queue| match queue.take_unsaved() {
            None if !queue.is_closing => None,
            save => Some(save),
        };
        let Some(save) = shared.until(ask).await else { return };
        let saving = blocking(move || {
            let saved = if save.is_whole {
                journal.replace(&save.text)
            } else {
                journal.append(&save.text)
            };
            (journal, save, saved)
        });
        // The runtime is about to end.
        let Some((kept, save, saved)) = saving.await else { return };
        journal = kept;
        let saved = saved.map_err(|error| Arc::from(error.to_string()));
        shared.change(|queue| queue.saved(&save, saved));
    }
}
