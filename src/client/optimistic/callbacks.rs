//! What an application is told of its optimistic writes.
//!
//! It refuses to know when. Invariant: every reason why a write was taken back says what to do.

use std::sync::Arc;

use super::Entry;
use crate::client::ClientError;

/// What the application does when a write is shown, confirmed or taken back.
///
/// The methods are called one at a time, in the order in which things happened, from whichever
/// task they happened in: they must return soon, and not panic. What follows from what they do themselves, such as
/// an event that they [observe](super::Optimistic::observe), is told after they return.
pub trait OnWrite: Send + Sync + 'static {
    /// Show it: it is on its way. Also for each that an earlier life left on disk.
    fn on_optimistic(&self, entry: &Entry);

    /// It is in the log. The offset is that of its event where the echo came first, else the one
    /// that the server answered: that of the last event that was written for it.
    fn on_confirm(&self, entry: &Entry, offset: u64);

    /// It is not in the log and never will be, but for what [`Rejection::Withdrawn`] says: take it
    /// back.
    fn on_rollback(&self, entry: &Entry, why: &Rejection);
}

/// Three closures as [`OnWrite`].
pub struct Callbacks<O, C, R> {
    show: O,
    confirm: C,
    take_back: R,
}

impl<O, C, R> Callbacks<O, C, R>
where
    O: Fn(&Entry) + Send + Sync + 'static,
    C: Fn(&Entry, u64) + Send + Sync + 'static,
    R: Fn(&Entry, &Rejection) + Send + Sync + 'static,
{
    /// What [`OnWrite::on_optimistic`], [`OnWrite::on_confirm`] and [`OnWrite::on_rollback`] do.
    pub fn new(show: O, confirm: C, take_back: R) -> Self {
        Self { show, confirm, take_back }
    }
}

impl<O, C, R> OnWrite for Callbacks<O, C, R>
where
    O: Fn(&Entry) + Send + Sync + 'static,
    C: Fn(&Entry, u64) + Send + Sync + 'static,
    R: Fn(&Entry, &Rejection) + Send + Sync + 'static,
{
    fn on_optimistic(&self, entry: &Entry) {
        (self.show)(entry);
    }

    fn on_confirm(&self, entry: &Entry, offset: u64) {
        (self.confirm)(entry, offset);
    }

    fn on_rollback(&self, entry: &Entry, why: &Rejection) {
        (self.take_back)(entry, why);
    }
}

/// Why a write was taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// It was written against an offset, and others wrote since.
    #[error("others wrote since this was decided: read what is new, and decide again")]
    Conflict {
        /// Where the stream was to end.
        expected: Option<u64>,
        /// Where it ends.
        actual: Option<u64>,
    },
    /// The server refuses it: the session has ended, the event is wrong, …
    #[error(transparent)]
    Refused(ClientError),
    /// The disk did not take it.
    #[error("the queue cannot be saved ({0}): make room, and begin anew")]
    NotSaved(Arc<str>),
    /// The application [took it back](super::Optimistic::take_back).
    #[error("this was withdrawn{}", if *may_be_written { ", and may be in the log all the same: read the stream to know" } else { "" })]
    Withdrawn {
        /// It was sent before, and nobody knows what became of that. If it reached the log, its
        /// event comes down the stream as one of somebody else's does.
        may_be_written: bool,
    },
}
