//! Answers over one connection of HTTP/2, each of which somebody has to take, whatever becomes of
//! the others: the bound on a connection's bytes says nothing of one of its streams. It refuses to
//! know what is answered. Invariant: an answer of which too little is taken is let go of, with all
//! it holds, and its stream is reset.
//!
//! An answer is sent by a task of its own, which waits for room in the stream's window before it
//! asks for the next piece. So what is waited for is known from two sides: the body says what it
//! hands on, and the task is seen to go on or not.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};

use super::patience::Patience;
use crate::{
    clock::{Clock, Sleep},
    limits,
};

/// What the answer of a task has handed on.
#[derive(Debug, Clone, Copy, Default)]
struct Handed {
    /// Bytes that were taken, each piece once the next one is asked for.
    taken: u64,
    /// Bytes of the piece that waits to be taken, if one does.
    waits: Option<usize>,
}

tokio::task_local! {
    static HANDED: Cell<Handed>;
}

/// Notes of the task's answer, where it is watched.
fn note(change: impl FnOnce(&mut Handed)) {
    // A body that somebody else reads is nobody's stream.
    let _ = HANDED.try_with(|cell| {
        let mut handed = cell.get();
        change(&mut handed);
        cell.set(handed);
    });
}

/// Does the work of a stream, until it is done or too little of its answer is taken.
pub(super) async fn watched(work: impl Future<Output = ()>, clock: &dyn Clock) {
    let watching = async {
        let mut work = pin!(work);
        let mut watch = Watch { clock, seen: 0, patience: Patience::new(), over: None };
        poll_fn(|context| {
            if work.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            watch.poll(context, HANDED.try_with(Cell::get).unwrap_or_default())
        })
        .await;
    };
    HANDED.scope(Cell::default(), watching).await;
}

struct Watch<'a> {
    clock: &'a dyn Clock,
    /// Bytes that were known to be taken.
    seen: u64,
    patience: Patience,
    /// Completes when the other end was waited for long enough.
    over: Option<Sleep<'a>>,
}

impl Watch<'_> {
    /// Completes when too little has been taken.
    fn poll(&mut self, context: &mut Context<'_>, handed: Handed) -> Poll<()> {
        if handed.taken != self.seen {
            let bytes = usize::try_from(handed.taken - self.seen).unwrap_or(usize::MAX);
            self.seen = handed.taken;
            self.over = None;
            if !self.patience.is_whole() {
                self.patience.taken(bytes, self.clock.now_ms());
            }
        }
        if handed.waits.is_none() {
            return Poll::Pending;
        }
        let (clock, patience) = (self.clock, &mut self.patience);
        let over = self.over.get_or_insert_with(|| clock.sleep(patience.wait(clock.now_ms())));
        ready!(over.as_mut().poll(context));
        tracing::debug!("a stream was reset: too little of its answer is taken");
        Poll::Ready(())
    }
}

/// A body in pieces no larger than a frame, so that each that is taken shows.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    /// What is left of a piece that was larger.
    left: Bytes,
}

impl Answer {
    pub(super) fn of(body: Body) -> Self {
        Self { body, left: Bytes::new() }
    }

    fn hand(&mut self) -> Frame<Bytes> {
        let piece = self.left.split_to(self.left.len().min(limits::HTTP2_PIECE_BYTES));
        // An empty piece needs no room.
        note(|handed| handed.waits = Some(piece.len()).filter(|bytes| *bytes > 0));
        Frame::data(piece)
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        // Who asks for the next piece has found room for the last one.
        note(|handed| handed.taken += handed.waits.take().unwrap_or(0) as u64);
        if !this.left.is_empty() {
            return Poll::Ready(Some(Ok(this.hand())));
        }
        match ready!(Pin::new(&mut this.body).poll_frame(context)) {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) => {
                    this.left = data;
                    this.hand()
                }
                Err(other) => other,
            }))),
            other => Poll::Ready(other),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (left, rest) = (self.left.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + left);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + left);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc, time::Duration};

    use futures_util::{FutureExt, StreamExt, stream};
    use http_body::Body as _;
    use http_body_util::BodyExt;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::clock::ManualClock;

    const LARGE: usize = 3 * limits::HTTP2_PIECE_BYTES + 1;

    #[tokio::test]
    async fn a_large_piece_is_handed_on_in_frames_and_what_it_says_of_itself_stays_true() {
        let mut body = Answer::of(Body::from(vec![7; LARGE]));
        let mut left = LARGE;
        while left > 0 {
            assert_eq!(body.size_hint().exact(), Some(left as u64));
            assert!(!body.is_end_stream());
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(piece.len(), left.min(limits::HTTP2_PIECE_BYTES));
            left -= piece.len();
        }
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_body_that_goes_on_has_no_length_and_its_end_is_its_own() {
        let pieces = stream::iter(["a", "", "b"].map(Ok::<_, Infallible>));
        let body = Answer::of(Body::from_stream(pieces));
        assert_eq!((body.size_hint().lower(), body.size_hint().upper()), (0, None));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ab");
    }

    /// Sends an answer as a stream does: each piece once there is room for it.
    async fn send(body: Body, room: Arc<Semaphore>) {
        let mut body = Answer::of(body);
        while let Some(frame) = body.frame().await {
            let bytes = u32::try_from(frame.unwrap().into_data().unwrap().len()).unwrap();
            room.acquire_many(bytes).await.unwrap().forget();
        }
    }

    #[tokio::test]
    async fn an_answer_is_let_go_of_when_nothing_of_it_is_taken() {
        let (clock, room) = (ManualClock::at(0), Arc::new(Semaphore::new(0)));
        let mut work = Box::pin(watched(send(Body::from("x"), Arc::clone(&room)), &*clock));
        assert_eq!(work.as_mut().now_or_never(), None);
        clock.advance(limits::WRITE_STALLED.mul_f32(0.99));
        assert_eq!(work.as_mut().now_or_never(), None);
        clock.advance(Duration::from_secs(2));
        assert_eq!(work.as_mut().now_or_never(), Some(()));
        room.add_permits(1);
        assert_eq!(room.available_permits(), 1, "nobody waits for it any more");
    }

    #[tokio::test]
    async fn an_answer_of_which_enough_is_taken_goes_on() {
        let (clock, room) = (ManualClock::at(0), Arc::new(Semaphore::new(0)));
        let pace = limits::WRITE_STALLED
            .mul_f32(0.9)
            .min(limits::WRITE_BYTE_BUYS * u32::try_from(limits::HTTP2_PIECE_BYTES).unwrap());
        let mut work =
            Box::pin(watched(send(Body::from(vec![7; LARGE]), Arc::clone(&room)), &*clock));
        for _ in 0..3 {
            assert_eq!(work.as_mut().now_or_never(), None);
            clock.advance(pace);
            room.add_permits(limits::HTTP2_PIECE_BYTES);
        }
        assert_eq!(work.as_mut().now_or_never(), None);
        room.add_permits(1);
        assert_eq!(work.as_mut().now_or_never(), Some(()));
    }

    #[tokio::test]
    async fn an_answer_that_has_nothing_to_say_is_waited_for() {
        let (clock, room) = (ManualClock::at(0), Arc::new(Semaphore::new(9)));
        let quiet = stream::iter(["", "x"].map(Ok::<_, Infallible>)).chain(stream::pending());
        let mut work = Box::pin(watched(send(Body::from_stream(quiet), room), &*clock));
        for _ in 0..3 {
            assert_eq!(work.as_mut().now_or_never(), None);
            clock.advance(2 * limits::WRITE_STALLED);
        }
    }
}
