//! Live reads of the protocol: long-poll and server-sent events, over the reader that every live
//! read uses.

use std::{convert::Infallible, future::Future, sync::Arc};

use async_stream::stream;
use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use futures_util::Stream;
use serde::Serialize;

use super::{
    encode::Form,
    headers::{set, set_closed, set_next, wrong},
    read::{LIMIT, Run, answer},
};
use crate::{
    auth::{Access, Right},
    http::{App, access, error::Fail, extract::event_stream, state::Seat},
    limits,
    log::{Encoded, Offset, PageLimit, Reader, Step, StreamInfo, StreamPath, essence},
    wire::{
        bodies::EndReason,
        protocol::{self, Start},
        sse,
    },
};

/// Where a live read begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) after: Offset,
    /// The cursor that the client echoes.
    pub(super) cursor: Option<u64>,
}

/// The offset that an event source saw last. An extension: the protocol's clients send `offset`.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<Offset>, Fail> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match value.to_str().ok().and_then(protocol::parse_start) {
        Some(Start::After(offset)) => Ok(Some(Offset(offset))),
        _ => Err(wrong("Last-Event-ID", "is not an offset of this server")),
    }
}

fn cursor_of(app: &App, given: Option<u64>) -> u64 {
    let jitter = rand::random_range(1..=protocol::JITTER_MAX);
    protocol::cursor(app.log().clock().now_ms(), given, jitter)
}

/// Waits for the next page, for a while.
pub(super) async fn long_poll(
    app: Arc<App>,
    _seat: Seat,
    path: &StreamPath,
    info: StreamInfo,
    place: Place,
    access: &Access,
) -> Result<Response, Fail> {
    let form = Form::of(essence(&info.spec.content_type));
    let reader = app.log().follow(path, place.after).await?;
    let mut reader = reader.with_limit(LIMIT).with_encoding(form.body());
    let clock = app.log().clock();
    let mut waited = clock.sleep(limits::LONG_POLL_WAIT);
    let mut over = std::pin::pin!(access::over(&app, access, Some(path)));
    let mut response = loop {
        let step = tokio::select! {
            biased;
            reason = &mut over => {
                if reason == EndReason::Unauthorized {
                    access::allow(&app, access, Right::Read, path).await?;
                }
                break nothing(place.after, info.closed)
            }
            step = reader.next() => step?,
            () = &mut waited => break nothing(place.after, info.closed),
        };
        match step {
            Step::Encoded(page) => {
                let run = Run { after: place.after, last: page.last, at_tail: reader.lag() == 0 };
                break answer(&info, run, page.bytes);
            }
            Step::Closed { tail } => break nothing(tail, true),
            Step::Deleted => {
                app.log().info(path).await?;
                break nothing(place.after, false);
            }
            Step::CaughtUp { .. } | Step::Page(_) => {}
        }
    };
    let cursor = HeaderValue::from(cursor_of(&app, place.cursor));
    set(response.headers_mut(), protocol::CURSOR, cursor);
    Ok(response)
}

/// Nothing has come.
fn nothing(at: Offset, closed: bool) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    set_next(headers, at);
    set_closed(headers, closed);
    set(headers, protocol::UP_TO_DATE, HeaderValue::from_static("true"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Server-sent events: each page as one `data` event, followed by a `control` event. Text comes
/// in whole characters.
pub(super) async fn events(
    app: Arc<App>,
    seat: Seat,
    path: &StreamPath,
    info: StreamInfo,
    place: Place,
    access: &Access,
) -> Result<Response, Fail> {
    let form = Form::of(essence(&info.spec.content_type));
    let limit = PageLimit { bytes: limits::LIVE_PAGE_BYTES, ..crate::log::PAGE };
    let reader = app.log().follow(path, place.after).await?;
    let mut reader = reader.with_limit(limit).with_encoding(form.event());
    // It does not wait; what is wrong with the place shows in the status, and not in silence.
    let first = reader.next().await?;
    let live = Live { app, reader, cursor: place.cursor, at: place.after, sent: None, _seat: seat };
    let over = access::over(&live.app, access, Some(path));
    let mut response = event_stream(frames(live, over, first));
    if form == Form::Binary {
        let base64 = HeaderValue::from_static("base64");
        set(response.headers_mut(), protocol::SSE_ENCODING, base64);
    }
    Ok(response)
}

/// The `control` event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Control {
    stream_next_offset: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_cursor: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    up_to_date: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream_closed: bool,
}

/// A client that follows a stream.
struct Live {
    app: Arc<App>,
    reader: Reader,
    cursor: Option<u64>,
    at: Offset,
    /// The cursor of the last control event.
    sent: Option<u64>,
    _seat: Seat,
}

fn frames(
    mut live: Live,
    over: impl Future<Output = EndReason> + Send + 'static,
    first: Step,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream! {
        let clock = Arc::clone(live.app.log().clock());
        tokio::pin!(over);
        let mut late = clock.sleep(limits::PROTOCOL_SSE_LASTS);
        let mut beat = clock.sleep(limits::HEARTBEAT_EVERY);
        let mut next = Some(Ok(first));
        // For event sources: others have times of their own.
        yield Ok(Bytes::from_static(b"retry: 1000\n\n"));
        loop {
            let step = match next.take() {
                Some(first) => first,
                None => tokio::select! {
                    biased;
                    // Whoever may not read on asks again, and is told by the status.
                    _ = &mut over => return,
                    () = &mut late => return,
                    () = &mut beat => {
                        beat = clock.sleep(limits::HEARTBEAT_EVERY);
                        yield Ok(Bytes::from_static(b": alive\n\n"));
                        continue;
                    }
                    step = live.reader.next() => step,
                },
            };
            match step {
                Ok(Step::Encoded(page)) => {
                    // Half a character is no text yet.
                    if !page.bytes.is_empty() {
                        yield Ok(page.bytes.clone());
                    }
                    yield Ok(live.behind(&page));
                }
                Ok(Step::CaughtUp { .. }) => {
                    if let Some(control) = live.caught_up() {
                        yield Ok(control);
                    }
                }
                Ok(Step::Closed { .. }) => {
                    yield Ok(live.control(true));
                    return;
                }
                // The client asks again, and is told by the status what has become of it.
                Ok(Step::Deleted | Step::Page(_)) | Err(_) => return,
            }
        }
    }
}

impl Live {
    /// The control event behind a page.
    fn behind(&mut self, page: &Encoded) -> Bytes {
        self.at = page.last;
        self.control(false)
    }

    /// The control event of a read that began at the tail; behind a page it was sent already.
    fn caught_up(&mut self) -> Option<Bytes> {
        self.sent.is_none().then(|| self.control(false))
    }

    fn control(&mut self, closed: bool) -> Bytes {
        let now_ms = self.app.log().clock().now_ms();
        let cursor = match self.sent {
            Some(sent) => sent.max(protocol::cursor(now_ms, None, 1)),
            None => cursor_of(&self.app, self.cursor),
        };
        self.sent = Some(cursor);
        let up_to_date = self.reader.lag() == 0;
        let control = Control {
            stream_next_offset: protocol::offset(self.at.0),
            stream_cursor: (!closed).then(|| cursor.to_string()),
            up_to_date,
            stream_closed: closed,
        };
        // A struct of texts and flags, which JSON holds.
        let json = serde_json::to_vec(&control).unwrap_or_default();
        let mut out = format!("id: {}\nevent: control\n", control.stream_next_offset).into_bytes();
        sse::data_lines(&mut out, &json);
        out.push(b'\n');
        out.into()
    }
}
