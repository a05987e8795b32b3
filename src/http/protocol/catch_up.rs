//! A read that does not wait: what is there, from a place on, in one answer.
//!
//! Published clients that are told not to follow take the first answer for all there is. So an
//! answer goes up to the tail as it was when it was asked for; it is written page by page as the
//! client takes it in, so that it costs a page of memory however long it is. Invariant: the
//! offset in its headers is that of the last record in its body, or the body breaks off.

use std::sync::Arc;

use async_stream::stream;
use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
        request::Parts,
    },
    response::Response,
};
use futures_util::Stream;
use lru::LruCache;
use parking_lot::Mutex;

use super::{
    encode::Form,
    read::{LIMIT, NO_STORE, Run, answer},
};
use crate::{
    auth::Access,
    http::{App, access, error::Fail},
    limits,
    log::{NoStream, Offset, PageLimit, ReadError, Reader, Step, StreamInfo, StreamPath, essence},
};

/// What is asked for.
pub(super) struct Asked<'a> {
    /// The place before the records.
    pub(super) after: Offset,
    /// Only where the tail is.
    pub(super) now: bool,
    /// The rest of the request.
    pub(super) parts: &'a Parts,
}

/// Answers with the records after a place.
pub(super) async fn page(
    app: Arc<App>,
    path: &StreamPath,
    info: &StreamInfo,
    asked: Asked<'_>,
) -> Result<Response, Fail> {
    let Asked { after, now, parts } = asked;
    let form = Form::of(essence(&info.spec.content_type));
    if now {
        app.log().note_use(path).await?;
        let run = Run { after, last: after, at_tail: true };
        let mut response = answer(info, run, form.nothing());
        response.headers_mut().remove(ETAG);
        response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
        return Ok(response);
    }
    let reader = app.log().follow(path, after).await?;
    let mut reader = reader.with_limit(LIMIT).with_encoding(form.body());
    // It does not wait: its first step is what is there.
    let (last, first) = match reader.next().await? {
        Step::Encoded(page) => (page.last, page.bytes),
        Step::Deleted => return Err(ReadError::from(NoStream { path: path.clone() }).into()),
        Step::CaughtUp { .. } | Step::Closed { .. } | Step::Page(_) => (after, form.nothing()),
    };
    let until = until(info, after, last, first.len());
    let until = app.damaged().before(info.epoch, until, last);
    let response = if until > last {
        let run = Run { after, last: until, at_tail: until >= info.tail };
        let reads = (access::of(&parts.extensions), path.clone());
        let rest = Rest { app, reads, reader, epoch: info.epoch, form, until };
        answer(info, run, Body::from_stream(rest.behind(first)))
    } else {
        answer(info, Run { after, last, at_tail: reader.lag() == 0 }, first)
    };
    Ok(unless_known(response, &parts.headers))
}

/// How far an answer goes whose first page is known: to the tail, unless that is very far. How
/// many bytes lie before it can only be told from the first page.
fn until(info: &StreamInfo, after: Offset, last: Offset, bytes: usize) -> Offset {
    let records = usize::try_from(last.0.saturating_sub(after.0)).unwrap_or(usize::MAX).max(1);
    let more = limits::CATCH_UP_BYTES / (bytes / records).max(1);
    let more = more.min(limits::CATCH_UP_RECORDS).saturating_sub(records);
    info.tail.min(last.plus(more as u64)).max(last)
}

/// The pages behind the first one.
struct Rest {
    app: Arc<App>,
    /// Who reads what.
    reads: (Access, StreamPath),
    reader: Reader,
    epoch: u64,
    form: Form,
    until: Offset,
}

impl Rest {
    fn behind(self, first: Bytes) -> impl Stream<Item = Result<Bytes, ReadError>> + Send {
        let Self { app, reads: (access, path), mut reader, epoch, form, until } = self;
        stream! {
            yield Ok(form.opened(&first));
            while reader.at() < until {
                if !access::still(&app, &access, &path).await {
                    yield Err(ReadError::Unavailable("the token holds no more".into()));
                    return;
                }
                let left = usize::try_from(until.0 - reader.at().0).unwrap_or(usize::MAX);
                let limit = PageLimit { records: LIMIT.records.min(left), ..LIMIT };
                reader = reader.with_limit(limit);
                match reader.next().await {
                    Ok(Step::Encoded(page)) => yield Ok(form.continued(&page.bytes)),
                    // The client sees that the body broke off, asks again, and is told why.
                    Ok(_) => {
                        yield Err(ReadError::Unavailable("the stream came to its end".into()));
                        return;
                    }
                    Err(error) => {
                        if let ReadError::Lost { from, .. } = error {
                            app.damaged().note(epoch, from);
                        }
                        yield Err(error);
                        return;
                    }
                }
            }
            let end = form.end();
            if !end.is_empty() {
                yield Ok(end);
            }
        }
    }
}

/// Where answers have broken off because the next record is damaged: the next one ends there, and
/// the one after it says what is lost.
#[derive(Debug)]
pub(in crate::http) struct Damaged(Mutex<LruCache<u64, Offset>>);

impl Default for Damaged {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(limits::DAMAGED_KNOWN_MAX)))
    }
}

impl Damaged {
    fn note(&self, epoch: u64, first_lost: Offset) {
        self.0.lock().push(epoch, first_lost);
    }

    /// How far an answer goes that has come to `last` already and would go to `until`.
    fn before(&self, epoch: u64, until: Offset, last: Offset) -> Offset {
        match self.0.lock().get(&epoch) {
            Some(lost) if *lost > last => until.min(Offset(lost.0 - 1)),
            _ => until,
        }
    }
}

/// The response, or a 304 where the client has it.
fn unless_known(mut response: Response, asked: &HeaderMap) -> Response {
    if matches_tag(asked, response.headers().get(ETAG)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(CONTENT_TYPE);
    }
    response
}

/// Whether the client has what the tag stands for.
pub(in crate::http) fn matches_tag(asked: &HeaderMap, tag: Option<&HeaderValue>) -> bool {
    let Some(tag) = tag.and_then(|tag| tag.to_str().ok()) else { return false };
    let tags = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = tags.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
}
