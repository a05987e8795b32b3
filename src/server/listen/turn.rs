//! How many requests one connection of HTTP/1.1 has answered before others get their turn. A
//! client may send thousands behind each other, none of which has to wait for anything. It
//! refuses to know what they ask. Invariant: beyond a few in one turn, a connection lets all run
//! who are ready, and lets the system say who else is.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll},
};

use crate::limits;

/// The turn of a connection: from when it is looked after until it waits.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Requests that have begun in it.
    begun: AtomicU32,
}

impl Turn {
    /// Drives a connection, each time in a turn of its own.
    pub(super) async fn each<C: Future>(&self, connection: C) -> C::Output {
        let mut connection = pin!(connection);
        poll_fn(|context| {
            self.begun.store(0, Ordering::Relaxed);
            connection.as_mut().poll(context)
        })
        .await
    }

    /// What a request does first: it waits for the next turn where this one has had enough.
    pub(super) fn begin(&self) -> LetOthers {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        LetOthers(begun >= limits::CONNECTION_TURN_REQUESTS)
    }
}

/// Completes at once, or in the next turn.
#[derive(Debug)]
pub(super) struct LetOthers(bool);

impl Future for LetOthers {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.0) {
            // Polled once, it has the runtime wake this task after the others and after a look
            // at the sockets, which a task that only wakes itself would keep from happening.
            pin!(tokio::task::yield_now()).poll(context)
        } else {
            Poll::Ready(())
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// How many of so many requests begin before the connection waits.
    fn begin(turn: &Turn, requests: u32) -> u32 {
        let mut begun = 0;
        while begun < requests && turn.begin().now_or_never().is_some() {
            begun += 1;
        }
        begun
    }

    #[tokio::test]
    async fn a_turn_has_a_few_requests_and_the_next_turn_has_as_many() {
        let turn = Turn::default();
        for _ in 0..3 {
            assert_eq!(
                turn.each(async { begin(&turn, 100) }).await,
                limits::CONNECTION_TURN_REQUESTS
            );
        }
    }

    #[tokio::test]
    async fn a_request_that_let_others_go_first_goes_on() {
        let turn = Turn::default();
        let answered = turn.each(async {
            for _ in 0..100 {
                turn.begin().await;
            }
        });
        answered.await;
        assert!(turn.begun.load(Ordering::Relaxed) <= limits::CONNECTION_TURN_REQUESTS);
    }
}
