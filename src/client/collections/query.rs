//! One question to the state of a session, asked again whenever that has changed.
//!
//! It refuses to know what is asked. Invariant: nothing is queued. A query that is not polled for
//! a while misses what was in between, and never the newest.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{Stream, stream};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{Kept, Standing};
use crate::session::projections::Projections;

/// Answers to one question: the first once there is a state, and another whenever the answer has
/// changed. It ends when nothing comes any more.
pub struct LiveQuery<T> {
    answers: Pin<Box<dyn Stream<Item = T> + Send>>,
    asked: Arc<Asked<T>>,
}

struct Asked<T> {
    kept: Arc<RwLock<Kept>>,
    read: Box<dyn Fn(&Projections) -> T + Send + Sync>,
}

impl<T> fmt::Debug for LiveQuery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveQuery").finish_non_exhaustive()
    }
}

impl<T> Asked<T> {
    fn now(&self) -> T {
        (self.read)(&self.kept.read().state)
    }
}

impl<T: Clone + PartialEq + Send + 'static> LiveQuery<T> {
    pub(super) fn new(
        kept: Arc<RwLock<Kept>>,
        standing: watch::Receiver<Standing>,
        read: impl Fn(&Projections) -> T + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(Asked { kept, read: Box::new(read) });
        let begun = (Arc::clone(&asked), standing, None);
        let answers = stream::unfold(begun, |(asked, mut standing, mut last)| async {
            loop {
                // Marked as seen before it is read, so that no change is missed.
                if standing.borrow_and_update().is_filled {
                    let answer = asked.now();
                    if last.as_ref() != Some(&answer) {
                        last = Some(answer.clone());
                        return Some((answer, (asked, standing, last)));
                    }
                }
                standing.changed().await.ok()?;
            }
        });
        Self { answers: Box::pin(answers), asked }
    }

    /// The answer as it is, whether it was seen or not.
    #[must_use]
    pub fn now(&self) -> T {
        self.asked.now()
    }
}

impl<T> Stream for LiveQuery<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.answers.as_mut().poll_next(cx)
    }
}
