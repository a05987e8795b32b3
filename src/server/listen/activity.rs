//! Whether anything happens on a connection of HTTP/2, whose client may answer pings for ever. It
//! refuses to know what is served. Invariant: a connection on which a request is being answered,
//! or something of an answer is taken, goes on.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};

use super::answers::Answer;
use crate::{clock::Clock, limits};

/// What happens on one connection.
#[derive(Debug, Default, Clone)]
pub(super) struct Activity(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Requests that have no answer yet.
    asked: AtomicUsize,
    /// Answers that are being sent.
    open: AtomicUsize,
    /// Requests that came, and pieces of answers that were taken.
    moves: AtomicU64,
}

impl Activity {
    /// A request begins.
    pub(super) fn begin(&self) -> Asked {
        self.0.moves.fetch_add(1, Ordering::Relaxed);
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        Asked(Arc::clone(&self.0))
    }

    /// Completes when the connection has been quiet for too long.
    pub(super) async fn until_quiet(&self, clock: &dyn Clock) {
        let mut looks = Looks::default();
        loop {
            clock.sleep(limits::HTTP2_LOOK_EVERY).await;
            let seen = Seen {
                asked: self.0.asked.load(Ordering::Relaxed),
                open: self.0.open.load(Ordering::Relaxed),
                moves: self.0.moves.load(Ordering::Relaxed),
            };
            if looks.enough(seen) {
                return;
            }
        }
    }
}

/// What one look finds.
#[derive(Debug, Clone, Copy)]
struct Seen {
    asked: usize,
    open: usize,
    moves: u64,
}

/// What the looks before found.
#[derive(Debug, Default)]
struct Looks {
    moves: u64,
    quiet: u32,
}

impl Looks {
    /// Whether the connection has been quiet for long enough to end.
    fn enough(&mut self, seen: Seen) -> bool {
        let quiet = seen.moves == self.moves && seen.asked == 0;
        self.moves = seen.moves;
        self.quiet = if quiet { self.quiet + 1 } else { 0 };
        // An answer of which nothing is taken is given as long as a socket that takes nothing.
        self.quiet >= if seen.open == 0 { 1 } else { 2 }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Asked(Arc<Counts>);

impl Asked {
    /// The body of its answer, which counts what is taken of it.
    pub(super) fn answered(self, body: Body) -> Body {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Body::new(Taken { body: Answer::of(body), counts: Arc::clone(&self.0) })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.asked.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Taken {
    body: Answer,
    counts: Arc<Counts>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl http_body::Body for Taken {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        this.counts.moves.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_connection_without_requests_ends_after_one_quiet_look() {
        let mut looks = Looks::default();
        assert!(looks.enough(Seen { asked: 0, open: 0, moves: 0 }));
        let mut looks = Looks::default();
        assert!(!looks.enough(Seen { asked: 0, open: 0, moves: 1 }));
        assert!(looks.enough(Seen { asked: 0, open: 0, moves: 1 }));
    }

    #[test]
    fn answers_of_which_nothing_is_taken_end_after_two() {
        let mut looks = Looks::default();
        assert!(!looks.enough(Seen { asked: 0, open: 1, moves: 1 }));
        assert!(!looks.enough(Seen { asked: 0, open: 1, moves: 1 }));
        assert!(looks.enough(Seen { asked: 0, open: 1, moves: 1 }));
        let mut looks = Looks::default();
        for moves in 1..10 {
            assert!(!looks.enough(Seen { asked: 0, open: 1, moves }));
        }
    }

    #[test]
    fn a_request_that_takes_long_to_answer_is_no_silence() {
        let mut looks = Looks::default();
        for _ in 0..10 {
            assert!(!looks.enough(Seen { asked: 1, open: 0, moves: 1 }));
        }
    }

    #[tokio::test]
    async fn what_is_taken_of_an_answer_is_counted_until_it_is_let_go_of() {
        let activity = Activity::default();
        let clock = ManualClock::at(0);
        let mut body = activity.begin().answered(Body::from("x"));
        assert_eq!(activity.0.asked.load(Ordering::Relaxed), 0);
        assert_eq!(activity.0.open.load(Ordering::Relaxed), 1);
        assert!(body.frame().await.is_some());
        assert_eq!(activity.0.moves.load(Ordering::Relaxed), 2);
        drop(body);
        let mut quiet = Box::pin(activity.until_quiet(&*clock));
        assert_eq!(quiet.as_mut().now_or_never(), None);
        clock.advance(limits::HTTP2_LOOK_EVERY);
        assert_eq!(quiet.as_mut().now_or_never(), None);
        clock.advance(limits::HTTP2_LOOK_EVERY);
        assert_eq!(quiet.as_mut().now_or_never(), Some(()));
    }
}
