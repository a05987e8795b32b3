//! Requests that are answered before their bodies have come: over HTTP/1 what is left of a body
//! stands before the next request, and the connection cannot go on.
//!
//! It refuses to know why nobody wanted the body. Invariant: an answer says `connection: close`, or
//! its connection takes the next request.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{
        HeaderValue, Version,
        header::{CONNECTION, EXPECT},
        request::Parts,
    },
    response::Response,
};
use futures_util::FutureExt;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use parking_lot::Mutex;

use crate::wire::{code::Code, problem::Problem};

/// How a request came, as far as it matters to what is left of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// Its requests come one behind the other.
    is_in_turn: bool,
    /// The client sends the body when it is asked to.
    waits: bool,
}

impl Line {
    pub(super) fn of(parts: &Parts) -> Self {
        let waits = parts.headers.contains_key(EXPECT);
        Self { is_in_turn: parts.version < Version::HTTP_2, waits }
    }

    /// The answer, which says that the connection ends where the body is not at its end.
    pub(super) async fn answer(self, mut response: Response, body: &mut Body) -> Response {
        // What is no body any more has an end, and nothing can be read behind it.
        let problem = response.extensions().get::<Box<Problem>>();
        let is_broken = problem.is_some_and(|problem| problem.code == Code::IncompleteBody);
        if self.is_in_turn && (is_broken || !self.is_at_end(body).await) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// A body that is there in one piece is taken in, so that a small request that is refused costs
    /// nobody a connection. Nobody is asked for one that is not wanted.
    async fn is_at_end(self, body: &mut Body) -> bool {
        if body.is_end_stream() {
            return true;
        }
        !self.waits && (ends(body).await || ends(body).await)
    }
}

/// Whether a body ends here. Otherwise a piece of it is taken in, if one is there.
async fn ends(body: &mut Body) -> bool {
    if let Some(frame) = body.frame().now_or_never() {
        return frame.is_none();
    }
    // The connection reads on when this task yields; only then nothing is there.
    tokio::task::yield_now().await;
    matches!(body.frame().now_or_never(), Some(None))
}

/// A request with a body that can be looked at when it has been answered. Where there is none,
/// nothing is lent.
pub(super) fn lend(parts: Parts, body: Body) -> (Request, Option<(Line, Lent)>) {
    if body.is_end_stream() {
        return (Request::from_parts(parts, body), None);
    }
    let line = Line::of(&parts);
    let kept = Lent(Arc::new(Mutex::new(body)));
    (Request::from_parts(parts, Body::new(kept.clone())), Some((line, kept)))
}

/// A body that whoever answers reads, and that is still there afterwards.
#[derive(Debug, Clone)]
pub(super) struct Lent(Arc<Mutex<Body>>);

impl Lent {
    /// The body, as it was left.
    pub(super) fn back(self) -> Body {
        std::mem::take(&mut *self.0.lock())
    }
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.0.lock();
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        if frame.is_none() {
            // Nobody may ask it again; what is empty says that it is at its end.
            *body = Body::empty();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.lock().size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};

    use super::*;

    async fn says_close(version: Version, body: Body) -> bool {
        let mut body = body;
        let mut parts = axum::http::Request::new(()).into_parts().0;
        parts.version = version;
        let line = Line::of(&parts);
        let answer = line.answer(Response::default(), &mut body).await;
        answer.headers().get(CONNECTION).is_some_and(|said| said == "close")
    }

    fn lent(body: Body) -> (Request, Option<(Line, Lent)>) {
        lend(axum::http::Request::new(()).into_parts().0, body)
    }

    fn pieces(count: usize) -> stream::Iter<std::vec::IntoIter<Result<Bytes, Infallible>>> {
        stream::iter(vec![Ok(Bytes::from_static(b"x")); count])
    }

    #[tokio::test]
    async fn a_body_that_is_there_in_one_piece_costs_no_connection() {
        assert!(!says_close(Version::HTTP_11, Body::empty()).await);
        assert!(!says_close(Version::HTTP_11, Body::from("x")).await);
        assert!(!says_close(Version::HTTP_11, Body::from_stream(pieces(1))).await);
        assert!(says_close(Version::HTTP_11, Body::from_stream(pieces(2))).await);
        let endless = || Body::from_stream(pieces(1).chain(stream::pending()));
        assert!(says_close(Version::HTTP_11, endless()).await);
        assert!(says_close(Version::HTTP_10, endless()).await);
        assert!(!says_close(Version::HTTP_2, endless()).await, "it has a stream of its own");
    }

    #[tokio::test]
    async fn what_a_handler_has_read_is_not_left() {
        let (request, kept) = lent("x".into());
        let (_, kept) = kept.unwrap();
        assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "x");
        assert!(kept.back().is_end_stream());
        assert!(lent(Body::empty()).1.is_none());
    }
}
