//! Pages of events: from an offset on, or newest first.
//!
//! An answer is bounded in events, in bytes, and in records looked at for its filters;
//! `nextOffset` says where the next one begins and `hasMore` whether there is anything.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};

use crate::{
    auth::Right,
    http::{
        App,
        error::{Fail, trimmed},
        extract::{json_bytes, stream_path},
        params::{Params, wrong},
    },
    limits,
    log::{self, JSON, Log, Offset, ReadError, StreamInfo, StreamPath},
    session::{Filter, Stored, View},
    wire::{code::Code, sse::push_number},
};

/// `GET /api/sessions/{id}/events`, `GET /api/events/{path}`.
pub(in crate::http) async fn of_path(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, _) = request.into_parts();
    let path = stream_path(&app, &mut parts, Right::Read).await?;
    let asked = Asked::of(&Params::of(&parts.uri)?)?;
    let info = app.log().info(&path).await?;
    must_hold_json(&info)?;
    let from = match (asked.from, asked.from_ms) {
        (None, Some(ms)) => Some(app.log().seek(&path, ms).await?),
        (from, _) => from,
    };
    let tail = info.tail;
    if let Some(from) = from.filter(|from| *from > tail) {
        // The tail may have moved since; then the read says so.
        app.log().read(&path, from, log::PAGE).await?;
    }
    let page = Page::new(asked.limit, asked.filter, &info);
    let read = Read { log: app.log(), path: &path };
    let page = if asked.is_descending {
        read.backward(page, from).await?
    } else {
        read.forward(page, from).await?
    };
    Ok(json_bytes(page.finish().into()))
}

struct Asked {
    from: Option<Offset>,
    from_ms: Option<u64>,
    limit: usize,
    filter: Filter,
    is_descending: bool,
}

impl Asked {
    fn of(params: &Params<'_>) -> Result<Self, Fail> {
        let from = params.offset("fromOffset")?;
        let from_ms = params.number("fromTimestamp", 0..=usize::MAX)?.map(|ms| ms as u64);
        if from.is_some() && from_ms.is_some() {
            return Err(wrong("fromTimestamp", "cannot stand beside `fromOffset`"));
        }
        let limit = params.number("limit", 1..=limits::EVENTS_LIMIT_MAX)?;
        Ok(Self {
            from,
            from_ms,
            limit: limit.unwrap_or(limits::EVENTS_LIMIT_DEFAULT),
            filter: filter_of(params)?,
            is_descending: match params.get("order")? {
                None | Some("asc") => false,
                Some("desc") => true,
                Some(text) => {
                    return Err(wrong("order", &format!("is {text:?}; it is asc or desc")));
                }
            },
        })
    }
}

/// The filter that `channels` and `types` make.
pub(super) fn filter_of(params: &Params<'_>) -> Result<Filter, Fail> {
    let mut filter = Filter::default();
    if let Some(names) = params.get("channels")? {
        filter = filter
            .with_channels(names)
            .map_err(|error| wrong("channels", &format!("is no filter: {error}")))?;
    }
    if let Some(names) = params.get("types")? {
        filter = filter
            .with_types(names)
            .map_err(|error| wrong("types", &format!("is no filter: {error}")))?;
    }
    Ok(filter)
}

/// Events are JSON; a stream of something else is read through the protocol.
pub(super) fn must_hold_json(info: &StreamInfo) -> Result<(), Fail> {
    let content_type = &*info.spec.content_type;
    if content_type == JSON {
        return Ok(());
    }
    Err(Fail::new(
        Code::ContentTypeMismatch,
        format!("the stream holds {content_type}, not events of {JSON}"),
    ))
}

/// An answer being written.
struct Page {
    out: Vec<u8>,
    head: Vec<u8>,
    filter: Filter,
    events: usize,
    events_max: usize,
    looked_at: usize,
    tail: Offset,
    earliest: Offset,
    next: Offset,
    has_more: bool,
}

impl Page {
    fn new(events_max: usize, filter: Filter, info: &StreamInfo) -> Self {
        Self {
            out: Vec::from(b"{\"events\":["),
            head: Vec::new(),
            filter,
            events: 0,
            events_max,
            looked_at: 0,
            tail: info.tail,
            earliest: info.earliest,
            next: Offset::ZERO,
            has_more: false,
        }
    }

    fn is_full(&self) -> bool {
        self.events >= self.events_max
            || self.out.len() >= limits::EVENTS_BYTES_MAX
            || self.looked_at >= limits::EVENTS_SCAN_MAX
    }

    fn look_at(&mut self, stored: &Stored<'_>) {
        self.looked_at += 1;
        if !self.filter.takes_all() && !self.filter.takes(&View::of(stored.payload)) {
            return;
        }
        if self.events > 0 {
            self.out.push(b',');
        }
        self.events += 1;
        for part in stored.parts(&mut self.head) {
            self.out.extend_from_slice(part);
        }
    }

    /// The first offset that is kept is known better now.
    fn raise_earliest(&mut self, earliest: Offset) {
        self.earliest = self.earliest.max(earliest);
    }

    fn finish(mut self) -> Vec<u8> {
        let numbers = [
            (&b"],\"nextOffset\":"[..], self.next),
            (b",\"tail\":", self.tail),
            (b",\"earliest\":", self.earliest),
        ];
        for (name, number) in numbers {
            self.out.extend_from_slice(name);
            push_number(&mut self.out, number.0);
        }
        let more: &[u8] =
            if self.has_more { b",\"hasMore\":true}" } else { b",\"hasMore\":false}" };
        self.out.extend_from_slice(more);
        self.out
    }
}

struct Read<'a> {
    log: &'a Log,
    path: &'a StreamPath,
}

impl Read<'_> {
    /// Records after `from`, oldest first; from the first that is kept unless given.
    async fn forward(&self, mut page: Page, from: Option<Offset>) -> Result<Page, Fail> {
        page.next = from.unwrap_or(before(page.earliest));
        while !page.is_full() {
            let mut limit = log::PAGE;
            if page.filter.takes_all() {
                limit.records = page.events_max - page.events;
            }
            let read = match self.log.read(self.path, page.next, limit).await {
                Ok(read) => read,
                // Removed since we asked where the stream begins.
                Err(ReadError::Trimmed { earliest }) if from.is_none() && page.events == 0 => {
                    page.raise_earliest(earliest);
                    page.next = before(earliest);
                    continue;
                }
                // The next page begins with the gap, and says so.
                Err(_) if page.looked_at > 0 => break,
                Err(error) => return Err(error.into()),
            };
            page.tail = page.tail.max(read.tail);
            if read.records.is_empty() {
                break;
            }
            for record in &read.records {
                if page.is_full() {
                    break;
                }
                page.next = record.offset;
                page.look_at(&Stored {
                    offset: record.offset.0,
                    timestamp_ms: record.timestamp_ms,
                    payload: &record.payload,
                });
            }
        }
        page.has_more = page.next < page.tail;
        Ok(page)
    }

    /// Records up to and including `from`, newest first; from the tail unless given.
    async fn backward(&self, mut page: Page, from: Option<Offset>) -> Result<Page, Fail> {
        page.next = from.unwrap_or(page.tail);
        if page.next > Offset::ZERO && page.next < page.earliest && from.is_some() {
            return Err(trimmed(page.earliest));
        }
        while !page.is_full() && page.next >= page.earliest && page.next > Offset::ZERO {
            if !self.step_back(&mut page).await? {
                break;
            }
        }
        page.has_more = page.next >= page.earliest && page.next > Offset::ZERO;
        Ok(page)
    }

    /// Looks at some records before the place reached, newest first. Whether to go on.
    async fn step_back(&self, page: &mut Page) -> Result<bool, Fail> {
        let last = page.next;
        let low =
            Offset(last.0.saturating_sub(limits::EVENTS_BACK_STEP)).max(before(page.earliest));
        let mut records = Vec::new();
        let mut at = low;
        while at < last {
            let mut limit = log::PAGE;
            limit.records = usize::try_from(last.0 - at.0).unwrap_or(usize::MAX);
            match self.log.read(self.path, at, limit).await {
                Ok(read) if read.records.is_empty() => break,
                Ok(read) => {
                    at = read.records.last().map_or(last, |record| record.offset);
                    records.extend(read.records);
                }
                Err(ReadError::Trimmed { earliest }) => {
                    page.raise_earliest(earliest);
                    at = before(earliest).max(at.plus(1));
                }
                // What lies after the damage is shown; the next page begins with it and says so.
                Err(ReadError::Lost { to, .. }) if to < last => {
                    records.clear();
                    at = to;
                }
                Err(_) if page.looked_at > 0 => return Ok(false),
                Err(ReadError::Lost { from, to, reason }) => {
                    let place = before(from);
                    let lost = ReadError::Lost { from, to, reason };
                    // Backwards, what can be read lies before the damage.
                    return Err(Fail::from(lost).with(|problem| {
                        problem.resume_from = Some(place.0);
                    }));
                }
                Err(error) => return Err(error.into()),
            }
        }
        for record in records.iter().rev() {
            if page.is_full() {
                return Ok(false);
            }
            page.next = before(record.offset);
            page.look_at(&Stored {
                offset: record.offset.0,
                timestamp_ms: record.timestamp_ms,
                payload: &record.payload,
            });
        }
        Ok(!records.is_empty())
    }
}

fn before(offset: Offset) -> Offset {
    Offset(offset.0.saturating_sub(1))
}
