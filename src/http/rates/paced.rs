//! A request body that is counted as it comes, and taken in no faster than its sender may send.
//!
//! A body that has begun is not refused for its rate: it waits, the network tells its sender, and
//! an import goes on at the rate that is allowed. Invariant: what waits here holds no piece.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};

use super::{Limiter, Sender};
use crate::{
    clock::{Clock, Sleep},
    limits,
};

struct Paced {
    body: Body,
    limiter: Arc<Limiter>,
    sender: Sender,
    clock: Arc<dyn Clock>,
    /// Until then nothing is taken in.
    waits: Option<Sleep<'static>>,
}

/// The same body, counted.
pub(super) fn body(
    body: Body,
    limiter: Arc<Limiter>,
    sender: Sender,
    clock: Arc<dyn Clock>,
) -> Body {
    Body::new(Paced { body, limiter, sender, clock, waits: None })
}

impl Paced {
    fn count(&mut self, bytes: usize) {
        let wait = self.limiter.bytes(&self.sender, self.clock.now_ms(), bytes);
        // Nobody waits for the end of what has come whole.
        let wait = wait.filter(|_| !http_body::Body::is_end_stream(&self.body));
        self.waits = wait.map(|wait| -> Sleep<'static> {
            // Bounded, so that a sender with many bodies cannot make one of them look dead.
            let (clock, wait) = (Arc::clone(&self.clock), wait.min(limits::RATE_BODY_WAIT_MAX));
            Box::pin(async move { clock.sleep(wait).await })
        });
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(waits) = &mut self.waits {
            ready!(waits.as_mut().poll(cx));
            self.waits = None;
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.count(data.len());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paced").field("sender", &self.sender).finish_non_exhaustive()
    }
}
