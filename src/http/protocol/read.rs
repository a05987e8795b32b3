//! `GET` and `HEAD /v1/stream/{path}`: pages, and the choice of the live ways to read.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, ETAG},
    },
    response::Response,
};

use super::{
    catch_up,
    headers::{set, set_closed, set_content_type, set_expiry, set_next},
    live,
};
use crate::{
    auth::Right,
    http::{
        App, access,
        error::Fail,
        extract::stream_path,
        params::{Params, wrong},
    },
    limits,
    log::{Offset, PageLimit, StreamInfo},
    wire::protocol::{self, Start},
};

/// A page is for one reader: streams hold what people said.
const CACHED: HeaderValue =
    HeaderValue::from_static("private, max-age=60, stale-while-revalidate=300");
/// What ends at the tail is stale with the next append.
const FRESH: HeaderValue = HeaderValue::from_static("private, no-cache");
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// How much of a stream is in memory for one reader.
pub(super) const LIMIT: PageLimit =
    PageLimit { records: limits::PROTOCOL_PAGE_RECORDS, bytes: limits::PROTOCOL_PAGE_BYTES };

/// Reads a stream: a page of it, or what comes.
pub(in crate::http) async fn read(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, _) = request.into_parts();
    let path = stream_path(&app, &mut parts, Right::Read).await?;
    let access = access::of(&parts.extensions);
    let params = Params::of(&parts.uri)?;
    let given = params.get("offset")?;
    let start = given.map(start_of).transpose()?;
    let since = params.number("timestamp", 0..=usize::MAX)?.map(|ms| ms as u64);
    if start.is_some() && since.is_some() {
        return Err(wrong("timestamp", "cannot stand beside `offset`"));
    }
    let cursor = params.number("cursor", 0..=usize::MAX)?.map(|cursor| cursor as u64);
    let info = app.log().info(&path).await?;
    let after = match (start, since) {
        (_, Some(ms)) => Some(app.log().seek(&path, ms).await?),
        (Some(Start::After(offset)), None) => Some(Offset(offset)),
        (Some(Start::Now), None) => Some(info.tail),
        (Some(Start::Beginning), None) => Some(beginning(&info)),
        (None, None) => None,
    };
    let missing = || wrong("offset", "is missing; a live read says where it begins, -1 or now");
    match params.get("live")? {
        None => {
            let now = start == Some(Start::Now);
            let after = after.unwrap_or_else(|| beginning(&info));
            catch_up::page(app, &path, &info, catch_up::Asked { after, now, parts: &parts }).await
        }
        Some("long-poll") => {
            let place = live::Place { after: after.ok_or_else(missing)?, cursor };
            let seat = app.seat(&parts.extensions)?;
            live::long_poll(app, seat, &path, info, place, &access).await
        }
        Some("sse") => {
            let seen = live::last_event_id(&parts.headers)?;
            let after = seen.or(after).ok_or_else(missing)?;
            let seat = app.seat(&parts.extensions)?;
            live::events(app, seat, &path, info, live::Place { after, cursor }, &access).await
        }
        Some(other) => Err(wrong("live", &format!("is {other:?}; it is long-poll or sse"))),
    }
}

fn beginning(info: &StreamInfo) -> Offset {
    Offset(info.earliest.0.saturating_sub(1))
}

fn start_of(text: &str) -> Result<Start, Fail> {
    protocol::parse_start(text).ok_or_else(|| {
        wrong("offset", &format!("is {text:?}; it is -1, now, or one that this server has sent"))
    })
}

/// Which records an answer holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// The place before them.
    pub(super) after: Offset,
    /// The last of them.
    pub(super) last: Offset,
    /// Nothing lies behind them.
    pub(super) at_tail: bool,
}

/// A page with its headers. They are made for each reader: a body may be as old as its cache,
/// but what is said of the tail is not.
pub(super) fn answer(info: &StreamInfo, run: Run, body: impl Into<Body>) -> Response {
    let Run { after, last, at_tail } = run;
    // Closed was asked together with the tail, and before the page was read: a closed stream
    // ends where it ended then.
    let ended = info.closed && last >= info.tail;
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    set_content_type(headers, &info.spec.content_type);
    set_next(headers, last);
    set_closed(headers, ended);
    if at_tail {
        set(headers, protocol::UP_TO_DATE, HeaderValue::from_static("true"));
    }
    // What headers say of the tail is part of the tag: a client keeps the old ones after a 304.
    let tail = match (ended, at_tail) {
        (true, _) => ":c",
        (false, true) => ":t",
        (false, false) => "",
    };
    let tag = format!("\"{:016x}:{after}:{last}{tail}\"", info.epoch);
    if let Ok(value) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, value);
    }
    let fixed = !at_tail || ended;
    headers.insert(CACHE_CONTROL, if fixed { CACHED } else { FRESH });
    response
}

/// What is known of a stream, without its content.
pub(in crate::http) async fn head(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, _) = request.into_parts();
    let path = stream_path(&app, &mut parts, Right::Read).await?;
    let info = app.log().info(&path).await?;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    set_content_type(headers, &info.spec.content_type);
    set_next(headers, info.tail);
    set_closed(headers, info.closed);
    set_expiry(headers, info.spec.expiry);
    headers.insert(CACHE_CONTROL, NO_STORE);
    Ok(response)
}
