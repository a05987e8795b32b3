//! A follower whose events come a few at a time: the coalescer with a clock and a line.
//!
//! Invariant: what is handed out at once is in the order in which it came; what is no event is
//! never held back.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_stream::stream;
use futures_util::{Stream, StreamExt};

use super::Coalescer;
use crate::{
    client::{Client, Followed, Follower},
    clock::Clock,
};

/// What a follower hands out, several at once. Dropping it ends the follower.
pub struct Coalesced {
    inner: Pin<Box<dyn Stream<Item = Vec<Followed>> + Send>>,
}

impl fmt::Debug for Coalesced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalesced").finish_non_exhaustive()
    }
}

impl Stream for Coalesced {
    type Item = Vec<Followed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<Followed>>> {
        self.inner.as_mut().poll_next(cx)
    }
}

impl Client {
    /// Hands out what a follower does, its events at most once in 16 ms and made fewer, by a
    /// [`Coalescer`]. What is no event, such as a reset, brings with it what waits.
    #[must_use]
    pub fn coalesce(&self, follower: Follower) -> Coalesced {
        Coalesced::new(follower, Arc::clone(&self.inner.clock))
    }
}

impl Coalesced {
    pub(super) fn new(
        follower: impl Stream<Item = Followed> + Send + 'static,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { inner: Box::pin(batches(follower, clock)) }
    }
}

fn batches(
    follower: impl Stream<Item = Followed> + Send + 'static,
    clock: Arc<dyn Clock>,
) -> impl Stream<Item = Vec<Followed>> + Send {
    stream! {
        let mut follower = Box::pin(follower);
        let mut coalescer = Coalescer::default();
        loop {
            let due = coalescer.due_ms().map(|due| due.saturating_sub(clock.now_ms()));
            let followed = tokio::select! {
                biased;
                () = wait(&*clock, due) => None,
                followed = follower.next() => Some(followed),
            };
            let now_ms = clock.now_ms();
            match followed {
                None => yield events(coalescer.flush(now_ms)),
                Some(Some(Followed::Event(event))) => coalescer.push(event, now_ms),
                Some(Some(other)) => {
                    let mut batch = events(coalescer.flush(now_ms));
                    if matches!(other, Followed::Snapshot(_) | Followed::Reset(_)) {
                        coalescer.restart();
                    }
                    batch.push(other);
                    yield batch;
                }
                Some(None) => break,
            }
        }
        let rest = events(coalescer.flush(clock.now_ms()));
        if !rest.is_empty() {
            yield rest;
        }
    }
}

/// Completes after so many milliseconds; never where nothing is waited for.
async fn wait(clock: &dyn Clock, ms: Option<u64>) {
    match ms {
        Some(0) => {}
        Some(ms) => clock.sleep(Duration::from_millis(ms)).await,
        None => std::future::pending().await,
    }
}

fn events(events: Vec<super::Event>) -> Vec<Followed> {
    events.into_iter().map(Followed::Event).collect()
}
