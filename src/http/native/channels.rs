//! Several streams over one connection, in the order in which their events were committed, and
//! resumable by one cursor (mission, D2).
//!
//! Driven by the client's pace, as a live read of one stream is. Invariant: a client that comes
//! back with the last cursor it was given gets what follows, nothing twice; where that is not all
//! kept any more it is told so.

use std::{convert::Infallible, future::Future, sync::Arc};

use async_stream::stream;
use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, request::Parts},
    response::Response,
};
use futures_util::Stream;
use serde::Serialize;
use tokio::sync::watch;

use super::frames::Frames;
use crate::{
    auth::Access,
    http::{
        App, access,
        error::Fail,
        extract::{event_stream, path_params},
        params::{Params, wrong},
        rates::Pace,
        state::Seat,
    },
    limits,
    log::{self, OrderPage, PageLimit, Position, ReadError, Removed, Told},
    session::{ChannelName, Stored, bus},
    wire::{
        bodies::{ChannelsReset, EndReason, ResetReason},
        sse,
    },
};

/// `GET /api/events?channels=…`.
pub(in crate::http) async fn events(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (parts, _) = request.into_parts();
    let names = {
        let params = Params::of(&parts.uri)?;
        let text = params.get("channels")?.ok_or_else(|| {
            wrong("channels", "is missing; name some, such as session:abc,config:*, or *")
        })?;
        names(text)?
    };
    follow(app, &parts, names, Form::Whole)
}

/// `GET /api/channels/{name}/stream`.
pub(in crate::http) async fn one(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, _) = request.into_parts();
    let name = path_params(&mut parts).await?.into_iter().next().unwrap_or_default();
    let names = names(&name)?;
    follow(app, &parts, names, Form::Whole)
}

/// `GET /event`: all sessions, configuration and the application, as the clients of a coding agent
/// know them.
pub(in crate::http) async fn bus(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (parts, _) = request.into_parts();
    let names = names("session:*,config:*,app")?;
    follow(app, &parts, names, Form::Bus)
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Whole, with their stream in front.
    Whole,
    /// As `type` and `properties`.
    Bus,
}

fn names(text: &str) -> Result<Vec<ChannelName>, Fail> {
    let names: Vec<_> = text.split(',').map(str::trim).collect();
    if names.len() > limits::FILTER_NAMES_MAX {
        let most = limits::FILTER_NAMES_MAX;
        return Err(wrong("channels", &format!("has more than {most} names")));
    }
    let parsed = names.into_iter().map(ChannelName::parse);
    parsed
        .collect::<Result<_, _>>()
        .map_err(|error| wrong("channels", &format!("is wrong: {error}")))
}

fn follow(
    app: Arc<App>,
    parts: &Parts,
    names: Vec<ChannelName>,
    form: Form,
) -> Result<Response, Fail> {
    let params = Params::of(&parts.uri)?;
    let asked = params.number("cursor", 0..=usize::MAX)?.map(|cursor| Position(cursor as u64));
    let seen = last_event_id(&parts.headers)?;
    let stays = params.flag("live")?.unwrap_or(true);
    if app.stopping().is_cancelled() {
        return Err(log::Refused::Closed.into());
    }
    let seat = app.seat(&parts.extensions)?;
    let moved = app.log().watch_order();
    let tail = *moved.borrow();
    let asked = seen.or(asked);
    // A cursor from beyond the end is of another server's log: what was built from it is dropped.
    let is_foreign = asked.is_some_and(|asked| asked > tail);
    let at = if is_foreign { Position(0) } else { asked.unwrap_or(tail) };
    let opening = opening(form, is_foreign, at);
    // Who begins at the beginning begins with what is kept, and misses nothing.
    let told_until = if at == Position(0) { tail } else { at };
    let access = access::of(&parts.extensions);
    let over = access::over(&app, &access, None);
    let now_ms = app.log().clock().now_ms();
    let is_limited = app.limiter().is_some();
    let pace = app.order_reads().pace(&parts.extensions, at < tail, is_limited, now_ms);
    let live = Live {
        app,
        access,
        names,
        form,
        at,
        told_until,
        moved,
        stays,
        caught_up: false,
        began_until: tail,
        pace,
        _seat: seat,
    };
    Ok(event_stream(frames(live, over, opening)))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, Fail> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let position = value.to_str().ok().and_then(|text| text.parse().ok());
    position.map(|position| Some(Position(position))).ok_or_else(|| {
        Fail::parameter("Last-Event-ID", "header `Last-Event-ID` is not a cursor of this server")
    })
}

fn opening(form: Form, is_foreign: bool, at: Position) -> Bytes {
    let mut opening = Vec::from(sse::PREAMBLE);
    if form == Form::Bus {
        // Its clients begin anew with each connection, so they need not be told of more.
        sse::frame(&mut opening, at.0, None, &[bus::CONNECTED]);
    } else if is_foreign {
        let mut frames = Frames::default();
        let message = "the cursor lies beyond the end: it is of another log. Drop what was built \
                       from it; reading begins anew";
        frames.named(
            sse::RESET,
            0,
            &ChannelsReset { reason: ResetReason::Beyond, cursor: 0, message: message.to_owned() },
        );
        opening.extend_from_slice(&frames.finish());
    }
    opening.into()
}

fn trimmed(cursor: u64) -> ChannelsReset {
    let message = "records after the cursor are no longer kept. Read again what was built from \
                   them; reading goes on with what is kept";
    ChannelsReset { reason: ResetReason::Trimmed, cursor, message: message.to_owned() }
}

/// Where the reader stands.
#[derive(Serialize)]
struct Place {
    cursor: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<EndReason>,
}

/// A client that follows channels.
struct Live {
    app: Arc<App>,
    access: Access,
    names: Vec<ChannelName>,
    form: Form,
    at: Position,
    /// That records up to here may be gone was said, or did not need to be.
    told_until: Position,
    moved: watch::Receiver<Position>,
    stays: bool,
    caught_up: bool,
    /// The last record that there was when it began.
    began_until: Position,
    pace: Pace,
    _seat: Seat,
}

/// What the client is sent next, and whether that is the end.
struct Sent {
    bytes: Bytes,
    is_end: bool,
}

fn frames(
    mut live: Live,
    over: impl Future<Output = EndReason> + Send + 'static,
    opening: Bytes,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream! {
        yield Ok(opening);
        let clock = Arc::clone(live.app.log().clock());
        tokio::pin!(over);
        let mut beat = clock.sleep(limits::HEARTBEAT_EVERY);
        loop {
            let sent = tokio::select! {
                biased;
                reason = &mut over => live.named(sse::END, None, Some(reason)),
                () = &mut beat => {
                    beat = clock.sleep(limits::HEARTBEAT_EVERY);
                    live.heartbeat(clock.now_ms())
                }
                sent = live.next() => sent,
            };
            if !sent.bytes.is_empty() {
                yield Ok(sent.bytes);
            }
            if sent.is_end {
                return;
            }
        }
    }
}

impl Live {
    /// The next page that holds something for this client, or what there is to say at the end.
    /// Dropped while it waits, it has lost nothing.
    async fn next(&mut self) -> Sent {
        loop {
            self.pause().await;
            let tail = *self.moved.borrow_and_update();
            if tail > self.at {
                match self.page(tail).await {
                    Ok(Some(sent)) => return sent,
                    Ok(None) => {
                        // Many pages may hold nothing for this client.
                        tokio::task::yield_now().await;
                        continue;
                    }
                    Err(error) => return self.failed(&error),
                }
            }
            if !self.caught_up && (self.form == Form::Whole || !self.stays) {
                self.caught_up = true;
                let mut sent = self.named(sse::CAUGHT_UP, None, None);
                if !self.stays {
                    let end = self.named(sse::END, None, Some(EndReason::Tail));
                    sent = Sent { bytes: [sent.bytes, end.bytes].concat().into(), is_end: true };
                }
                return sent;
            }
            if self.moved.changed().await.is_err() {
                return self.named(sse::END, None, Some(EndReason::Shutdown));
            }
        }
    }

    /// Waits where much was looked at and little sent: who may read, or wants, few streams would
    /// else have the server read the order of all of them as fast as it can. Dropped meanwhile, the
    /// next call waits for the rest.
    async fn pause(&self) {
        let clock = self.app.log().clock();
        if let Some(wait) = self.pace.wait(clock.now_ms()) {
            clock.sleep(wait).await;
        }
    }

    /// What the next page holds for this client, if anything.
    async fn page(&mut self, tail: Position) -> Result<Option<Sent>, ReadError> {
        let app = Arc::clone(&self.app);
        let is_far = tail.0.saturating_sub(self.at.0) > limits::ORDER_FAR;
        // Not held while it pauses, or while the page waits for its client.
        let _turn = if is_far { app.order_reads().turn(&**app.log().clock()).await } else { None };
        let limit = PageLimit { records: limits::PAGE_RECORDS, bytes: limits::PAGE_BYTES };
        let page = app.log().read_order(self.at, limit).await?;
        let page = self.readable(page).await?;
        Ok(self.wanted(page, tail))
    }

    /// What of a page the client may read; the rest was never there for it. Of what was removed and
    /// has no name any more it is told: it may have been the client's own, and says nothing of
    /// others but that the order had places before.
    async fn readable(&self, mut page: OrderPage) -> Result<OrderPage, ReadError> {
        if matches!(self.access, Access::Everyone) {
            return Ok(page);
        }
        let told = page.told.iter().map(|told| &*told.path);
        let named = page.removed.iter().filter_map(|removed| removed.path.as_deref());
        let may = access::readable(&self.app, &self.access, told.chain(named)).await?;
        let mut may = may.into_iter();
        page.told.retain(|_| may.next().unwrap_or(false));
        page.removed.retain(|removed| removed.path.is_none() || may.next().unwrap_or(false));
        Ok(page)
    }

    fn wanted(&mut self, page: OrderPage, tail: Position) -> Option<Sent> {
        let OrderPage { told, next, removed } = page;
        // A page without an end of its own ends at the tail.
        let next = if next > self.at { next } else { tail };
        // Positions have gaps, and streams that were deleted are not in the page.
        let passed = usize::try_from(next.0.saturating_sub(self.at.0)).unwrap_or(usize::MAX);
        let is_backlog = self.at < self.began_until;
        self.at = next;
        let mut frames = Frames::default();
        let first = told.first().map_or(self.at.0, |told| told.record.position.0 - 1);
        let mut any = self.has_missed(&removed) && self.form == Form::Whole;
        if any {
            self.told_until = tail;
            frames.named(sse::RESET, first, &trimmed(first));
        }
        let wanted =
            told.iter().filter(|told| self.names.iter().any(|name| name.stands_for(&told.path)));
        let mut sent = 0;
        for Told { path, record, .. } in wanted {
            any = true;
            sent += 1;
            if self.form == Form::Bus {
                for event in bus::events(path, &record.payload) {
                    frames.written(record.position.0, &event);
                }
                continue;
            }
            let stored = Stored {
                offset: record.offset.0,
                timestamp_ms: record.timestamp_ms,
                payload: &record.payload,
            };
            frames.told(record.position.0, path, &stored);
        }
        let unsent = passed.min(limits::PAGE_RECORDS).saturating_sub(sent);
        let now_ms = self.app.log().clock().now_ms();
        self.app.order_reads().passed(&mut self.pace, unsent, is_backlog, now_ms);
        any.then(|| Sent { bytes: frames.finish(), is_end: false })
    }

    /// Whether records were removed that this client would have been sent, and nothing was said.
    fn has_missed(&self, removed: &[Removed]) -> bool {
        let mut new = removed.iter().filter(|removed| removed.last > self.told_until);
        new.any(|removed| {
            let named = |path| self.names.iter().any(|name| name.stands_for(path));
            removed.path.as_ref().is_none_or(|path| named(path))
        })
    }

    fn heartbeat(&self, now_ms: u64) -> Sent {
        if self.form == Form::Whole {
            return self.named(sse::HEARTBEAT, Some(now_ms), None);
        }
        let mut frames = Frames::default();
        frames.written(self.at.0, bus::HEARTBEAT);
        Sent { bytes: frames.finish(), is_end: false }
    }

    fn failed(&self, error: &ReadError) -> Sent {
        tracing::warn!(%error, "a live read of channels ended");
        self.named(sse::END, None, Some(EndReason::Unavailable))
    }

    fn named(&self, name: &str, timestamp: Option<u64>, reason: Option<EndReason>) -> Sent {
        let is_end = reason.is_some();
        let mut frames = Frames::default();
        frames.named(name, self.at.0, &Place { cursor: self.at.0, timestamp, reason });
        Sent { bytes: frames.finish(), is_end }
    }
}
