//! Live reads: the events of a stream as server-sent events, from any offset on, for as long as
//! the client stays.
//!
//! Driven by the client's pace: the next page is read when the last one has been taken, so a slow
//! client costs one page and loses nothing.

use std::{convert::Infallible, future::Future, sync::Arc};

use async_stream::stream;
use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    response::Response,
};
use futures_util::Stream;

use super::{
    events::filter_of,
    frames::{self, Frames},
    state::{names, written},
    streams::epoch_text,
};
use crate::{
    auth::Right,
    http::{
        App, access,
        error::Fail,
        extract::{event_stream, stream_path},
        params::{Params, wrong},
        state::Seat,
    },
    limits,
    log::{
        self, Encoded, LivePage, Offset, PageLimit, ReadError, Reader, Step, StreamInfo,
        StreamPath, parse_offset,
    },
    projection::Pin,
    session::{Filter, Stored, projections::Projections},
    wire::{
        SCROLLBACK_EPOCH,
        bodies::{EndData, EndReason, PlaceData, ResetData, ResetReason},
        sse,
    },
};

/// `GET /api/sessions/{id}/stream`, `GET /api/follow/{path}`.
pub(in crate::http) async fn of_path(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, _) = request.into_parts();
    let path = stream_path(&app, &mut parts, Right::Read).await?;
    let asked = Asked::of(&parts)?;
    let info = app.log().info(&path).await?;
    super::events::must_hold_json(&info)?;
    if app.stopping().is_cancelled() {
        return Err(log::Refused::Closed.into());
    }
    let seat = app.seat(&parts.extensions)?;
    let mut opening = Vec::from(sse::PREAMBLE);
    let (asked, pin) = snapshot(&app, &path, asked, &mut opening).await?;
    let (live, reset) = open(app, &path, asked, &info, (seat, pin)).await?;
    if let Some(reset) = reset {
        opening.extend_from_slice(&named(sse::RESET, reset.resume_from, &reset));
    }
    let epoch = HeaderValue::try_from(live.epoch.as_str()).ok();
    let over = access::over(&live.app, &access::of(&parts.extensions), Some(&path));
    let mut response = event_stream(frames(live, over, opening.into()));
    if let Some(epoch) = epoch {
        response.headers_mut().insert(HeaderName::from_static(SCROLLBACK_EPOCH), epoch);
    }
    Ok(response)
}

/// Where to begin.
#[derive(Debug, Clone, Copy)]
enum Place {
    After(Offset),
    Now,
    Time(u64),
}

/// What the client asked for.
struct Asked {
    place: Place,
    filter: Filter,
    limit: Option<usize>,
    stays: bool,
    epoch: Option<String>,
    /// The projections of the state that comes first, where one does.
    snapshot: Option<Vec<&'static str>>,
}

impl Asked {
    fn of(parts: &Parts) -> Result<Self, Fail> {
        let params = Params::of(&parts.uri)?;
        Ok(Self {
            snapshot: snapshot_of(&params, &parts.headers)?,
            place: place(&params, &parts.headers)?,
            filter: filter_of(&params)?,
            limit: params.number("limit", 1..=usize::MAX)?,
            stays: params.flag("live")?.unwrap_or(true),
            epoch: params.get("epoch")?.map(str::to_owned),
        })
    }
}

fn place(params: &Params<'_>, headers: &HeaderMap) -> Result<Place, Fail> {
    let from = match params.get("fromOffset")? {
        Some("now") => Some(Place::Now),
        _ => params.offset("fromOffset")?.map(Place::After),
    };
    let time = params.number("fromTimestamp", 0..=usize::MAX)?.map(|ms| Place::Time(ms as u64));
    if from.is_some() && time.is_some() {
        return Err(wrong("fromTimestamp", "cannot stand beside `fromOffset`"));
    }
    // What the client saw last wins over what it asked for when it first connected.
    let seen = last_event_id(headers)?.map(Place::After);
    Ok(seen.or(from).or(time).unwrap_or(Place::After(Offset::ZERO)))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Offset>, Fail> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let offset = value.to_str().ok().and_then(|text| parse_offset(text).ok());
    offset.map(Some).ok_or_else(|| {
        Fail::parameter("Last-Event-ID", "header `Last-Event-ID` is not an offset of this server")
    })
}

/// Who comes back goes on where it was: the state would be what it has already.
fn snapshot_of(
    params: &Params<'_>,
    headers: &HeaderMap,
) -> Result<Option<Vec<&'static str>>, Fail> {
    let wanted = params.flag("snapshot")?.unwrap_or(false);
    if wanted {
        for name in ["fromOffset", "fromTimestamp"] {
            if params.get(name)?.is_some() {
                return Err(wrong(name, "cannot stand beside `snapshot`"));
            }
        }
    }
    let names = names(params)?;
    let comes_back = last_event_id(headers)?.is_some();
    Ok((wanted && !comes_back).then_some(names))
}

/// Writes the state, where one is asked for; then the read begins where that stands.
async fn snapshot(
    app: &App,
    path: &StreamPath,
    mut asked: Asked,
    out: &mut Vec<u8>,
) -> Result<(Asked, Option<Pin>), Fail> {
    let Some(names) = asked.snapshot.take() else { return Ok((asked, None)) };
    let pin = app.views().pin(path);
    let write = |state: &Projections, offset| (written(state, &names, offset), offset);
    let (state, offset) = app.views().read(path, write).await?;
    sse::frame(out, offset.0, Some(sse::SNAPSHOT), &[&state]);
    asked.place = Place::After(offset);
    // Whatever the client had is replaced.
    asked.epoch = None;
    Ok((asked, pin))
}

/// Finds the place to begin at, and says so where it is not the one that was asked for.
async fn open(
    app: Arc<App>,
    path: &StreamPath,
    asked: Asked,
    info: &StreamInfo,
    held: (Seat, Option<Pin>),
) -> Result<(Live, Option<ResetData>), Fail> {
    let beginning = Offset(info.earliest.0.saturating_sub(1));
    let recreated = asked.epoch.as_ref().is_some_and(|known| *known != epoch_text(info.epoch));
    let wanted = match asked.place {
        _ if recreated => beginning,
        Place::After(offset) => offset,
        Place::Now => info.tail,
        Place::Time(ms) => app.log().seek(path, ms).await?,
    };
    let (reader, reset) = match app.log().follow(path, wanted).await {
        Ok(reader) if recreated => (reader, Some(reset(ResetReason::Recreated, info.earliest))),
        Ok(reader) => (reader, None),
        Err(ReadError::Beyond { .. }) => {
            let reader = app.log().follow(path, beginning).await?;
            (reader, Some(reset(ResetReason::Beyond, info.earliest)))
        }
        Err(error) => return Err(error.into()),
    };
    let bytes = if asked.stays { limits::LIVE_PAGE_BYTES } else { limits::PAGE_BYTES };
    let page = PageLimit { bytes, ..log::PAGE };
    // The path may have got another stream since `info` was asked.
    let (at, epoch) = (reader.at(), epoch_text(reader.epoch()));
    let remaining = asked.limit;
    let Asked { filter, stays, .. } = asked;
    let mut reader = reader.with_limit(page);
    if filter.takes_all() && remaining.is_none() {
        reader = reader.with_encoding(frames::SESSION);
    }
    Ok((Live { app, reader, filter, remaining, stays, at, epoch, _held: held }, reset))
}

fn reset(reason: ResetReason, earliest: Offset) -> ResetData {
    let resume_from = earliest.0.saturating_sub(1);
    let why = match reason {
        ResetReason::Trimmed => "the records asked for are no longer kept",
        ResetReason::Damaged => "records are damaged and cannot be read back",
        ResetReason::Recreated => "the stream was deleted and made anew",
        ResetReason::Beyond => "the offset lies beyond the end: the stream was made anew",
    };
    let message = format!(
        "{why}; reading goes on after offset {resume_from}: drop what was built from this \
         stream, or mark the gap"
    );
    ResetData { reason, earliest: earliest.0, resume_from, message }
}

/// A client that follows a stream.
struct Live {
    app: Arc<App>,
    reader: Reader,
    filter: Filter,
    /// Events it still wants, where it wants so many.
    remaining: Option<usize>,
    /// It stays when everything that was there has been sent.
    stays: bool,
    /// Everything up to here was sent or filtered out.
    at: Offset,
    epoch: String,
    /// Its place among the readers, and the state it was shown, which others will ask for, too,
    /// where there is room for it.
    _held: (Seat, Option<Pin>),
}

/// What the client is sent next, and whether that is the end.
struct Sent {
    bytes: Bytes,
    is_end: bool,
}

impl Sent {
    fn more(bytes: Bytes) -> Self {
        Self { bytes, is_end: false }
    }
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
                reason = &mut over => live.end(reason),
                () = &mut beat => {
                    beat = clock.sleep(limits::HEARTBEAT_EVERY);
                    live.heartbeat(clock.now_ms())
                }
                step = live.reader.next() => live.step(step),
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
    fn step(&mut self, step: Result<Step, ReadError>) -> Sent {
        match step {
            Ok(Step::Page(page)) => self.wanted(&page),
            Ok(Step::Encoded(page)) => self.all(page),
            Ok(Step::CaughtUp { tail }) => self.caught_up(tail),
            Ok(Step::Closed { .. }) => self.end(EndReason::Closed),
            Ok(Step::Deleted) | Err(ReadError::NoStream(_) | ReadError::Gone(_)) => {
                self.end(EndReason::Deleted)
            }
            Err(ReadError::Trimmed { earliest }) => {
                self.skip(&reset(ResetReason::Trimmed, earliest))
            }
            Err(ReadError::Lost { to, .. }) => self.skip(&reset(ResetReason::Damaged, to.plus(1))),
            Err(error @ (ReadError::Beyond { .. } | ReadError::Unavailable(_))) => {
                tracing::warn!(error = %error, "a live read ended");
                self.end(EndReason::Unavailable)
            }
        }
    }

    /// One encoding for all readers that stand here.
    fn all(&mut self, page: Encoded) -> Sent {
        self.note_lag();
        self.at = page.last;
        Sent::more(page.bytes)
    }

    /// What of the page this client wants.
    fn wanted(&mut self, page: &LivePage) -> Sent {
        self.note_lag();
        let mut frames = Frames::default();
        for record in &page.records {
            self.at = record.offset;
            let stored = Stored {
                offset: record.offset.0,
                timestamp_ms: record.timestamp_ms,
                payload: &record.payload,
            };
            if !frames.wanted(&stored, &self.filter) {
                continue;
            }
            if let Some(remaining) = &mut self.remaining {
                *remaining -= 1;
                if *remaining == 0 {
                    frames.named(sse::END, self.at.0, &self.end_data(EndReason::Limit));
                    return Sent { bytes: frames.finish(), is_end: true };
                }
            }
        }
        Sent::more(frames.finish())
    }

    fn note_lag(&self) {
        self.app.log().metrics().note_lag(self.reader.lag());
    }

    fn caught_up(&mut self, tail: Offset) -> Sent {
        let data = PlaceData { offset: tail.0, epoch: Some(self.epoch.clone()), timestamp: None };
        let mut frames = Frames::default();
        frames.named(sse::CAUGHT_UP, tail.0, &data);
        if !self.stays {
            frames.named(sse::END, tail.0, &self.end_data(EndReason::Tail));
        }
        Sent { bytes: frames.finish(), is_end: !self.stays }
    }

    fn heartbeat(&self, now_ms: u64) -> Sent {
        let data = PlaceData { offset: self.at.0, epoch: None, timestamp: Some(now_ms) };
        Sent::more(named(sse::HEARTBEAT, self.at.0, &data))
    }

    /// Goes on behind records that are not to be had, and says so.
    fn skip(&mut self, reset: &ResetData) -> Sent {
        self.at = Offset(reset.resume_from);
        self.reader.skip_to(self.at);
        Sent::more(named(sse::RESET, reset.resume_from, reset))
    }

    fn end(&self, reason: EndReason) -> Sent {
        let bytes = named(sse::END, self.at.0, &self.end_data(reason));
        Sent { bytes, is_end: true }
    }

    fn end_data(&self, reason: EndReason) -> EndData {
        EndData { reason, offset: self.at.0 }
    }
}

fn named(name: &str, place: u64, data: &impl serde::Serialize) -> Bytes {
    let mut frames = Frames::default();
    frames.named(name, place, data);
    frames.finish()
}
