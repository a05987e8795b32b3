//! What is noted of every request: an id that answer and log share, a span, counters, and a line
//! in the log for whoever wants one.
//!
//! On the path of an append, so it allocates nothing but the id. Invariant: nothing here looks at
//! a query, a body, or a header other than the two that name the request.

use std::{
    pin::Pin,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, header::CONTENT_LENGTH},
    response::Response,
};
use http_body::{Body as _, Frame};
use prometheus_client::metrics::counter::Counter;
use tracing::{Span, field::Empty};

use super::route::{Route, route};
use crate::{
    limits,
    metrics::Metrics,
    wire::{self, problem::Problem},
};

const REQUEST_ID: HeaderName = HeaderName::from_static(wire::REQUEST_ID);

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Seen {
    id: HeaderValue,
    method: Method,
    route: Route,
    begun: Instant,
}

impl Seen {
    /// Notes a request, and counts its body.
    pub(super) fn of(request: Request, metrics: &Metrics) -> (Self, Request) {
        let seen = Self {
            id: id_of(request.headers()),
            method: request.method().clone(),
            route: route(request.uri().path()),
            begun: Instant::now(),
        };
        (seen, request.map(|body| counted(body, &metrics.request_bytes)))
    }

    /// The span of what is done for it. Off, it costs a look at a flag.
    pub(super) fn span(&self, request: &Request) -> Span {
        let span = tracing::debug_span!(
            "request",
            otel.kind = "server",
            method = %self.method,
            route = self.route.template,
            path = request.uri().path(),
            request_id = self.id(),
            status = Empty,
        );
        #[cfg(feature = "otlp")]
        super::traceparent::join(&span, request.headers());
        span
    }

    /// The id, which is visible ASCII.
    pub(super) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// Puts the id to the answer, counts it, and tells the log.
    pub(super) fn finish(self, mut response: Response, span: &Span, metrics: &Metrics) -> Response {
        let (status, time) = (response.status(), self.begun.elapsed());
        metrics.requests.note(self.route.kind, self.method.as_str(), status.as_u16(), time);
        if status.is_client_error() || status.is_server_error() {
            self.tell(&mut response);
        }
        span.record("status", status.as_u16());
        tracing::debug!(
            target: "scrollback::access",
            method = %self.method,
            route = self.route.template,
            status = status.as_u16(),
            ms = (time.as_secs_f64() * 1e6).round() / 1e3,
            request_id = self.id(),
            "answered"
        );
        response.headers_mut().insert(REQUEST_ID, self.id);
        response.map(|body| counted(body, &metrics.response_bytes))
    }

    /// Says in the body of a problem which request it was, and in the log which one met a defect.
    fn tell(&self, response: &mut Response) {
        let Some(mut problem) = response.extensions_mut().remove::<Box<Problem>>() else { return };
        if problem.status == 500 {
            let (request_id, route) = (self.id(), self.route.template);
            tracing::error!(request_id, route, message = %problem.message, "a request failed");
        }
        problem.request_id = Some(self.id().to_owned());
        // A problem has no value that JSON cannot hold.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        if let Some(length) = response.headers_mut().get_mut(CONTENT_LENGTH) {
            *length = HeaderValue::from(body.len());
        }
        if self.method != Method::HEAD {
            *response.body_mut() = Body::from(body);
        }
    }
}

/// The id that a client gave, where it can stand in a line of a log, or else a new one.
fn id_of(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |id: &&HeaderValue| {
        let bytes = id.as_bytes();
        (1..=limits::REQUEST_ID_BYTES_MAX).contains(&bytes.len())
            && bytes.iter().all(u8::is_ascii_graphic)
    };
    headers.get(REQUEST_ID).filter(is_plain).cloned().unwrap_or_else(new_id)
}

/// An id that no other request of this process has, and hardly one of another.
fn new_id() -> HeaderValue {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(rand::random()));
    // Mixed, so that ids of one second do not look alike; no two numbers are mixed into one.
    let mut mixed = NEXT.fetch_add(1, Relaxed);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let digits = std::array::from_fn::<u8, 16, _>(|place| {
        let nibble = u8::try_from(mixed >> (60 - 4 * place) & 15).unwrap_or_default();
        nibble + if nibble < 10 { b'0' } else { b'a' - 10 }
    });
    HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("none"))
}

/// A body whose bytes are counted: at once where it says how many they are, else as they pass.
fn counted(body: Body, counter: &Counter) -> Body {
    match body.size_hint().exact() {
        Some(bytes) => {
            counter.inc_by(bytes);
            body
        }
        None => Body::new(Counted { body, counter: counter.clone() }),
    }
}

struct Counted {
    body: Body,
    counter: Counter,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            self.counter.inc_by(data.len() as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn given(id: &[u8]) -> HeaderValue {
        let value = HeaderValue::from_bytes(id).unwrap();
        id_of(&HeaderMap::from_iter([(REQUEST_ID, value)]))
    }

    #[test]
    fn an_id_of_the_client_is_taken_where_it_is_plain() {
        for id in ["a", "req_01JD-x:y/z.9", &"x".repeat(128)] {
            assert_eq!(given(id.as_bytes()), id);
        }
        for id in ["", "a b", "a\tb", "é", &"x".repeat(129)] {
            let made = given(id.as_bytes());
            assert_eq!(made.len(), 16, "{id:?} {made:?}");
        }
    }

    #[test]
    fn no_two_ids_are_the_same() {
        let ids: HashSet<_> = (0..10_000).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 10_000);
        let is_hex = |id: &HeaderValue| id.as_bytes().iter().all(u8::is_ascii_hexdigit);
        assert!(ids.iter().all(is_hex));
    }
}
