//! Single projections and parts of them, at routes of their own.
//!
//! Invariant: every answer says the offset it stands at, in its body and in the header
//! `Scrollback-Offset`; `fromOffset` with that number continues without loss.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::get,
};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::state::{at_offset, session};
use crate::{
    http::{
        App,
        error::Fail,
        extract::{json, json_bytes, path_params},
        params::{Params, wrong},
    },
    limits,
    log::{Offset, StreamPath},
    session::{
        projections::{Projections, permissions::Permissions},
        vocabulary::Id,
    },
    wire::{code::Code, paths, sse::push_number},
};

/// The routes.
pub(in crate::http) fn router() -> Router<Arc<App>> {
    let router = Router::new()
        .route(paths::MESSAGES, get(messages))
        .route(paths::MESSAGE, get(message))
        .route(paths::TOOL_CALLS, get(tool_calls))
        .route(paths::PERMISSIONS, get(permissions))
        .route(paths::CHAT_MESSAGES, get(messages))
        .route(paths::CHAT_DIFF, get(chat_diff))
        .route(paths::CHAT_TASKS, get(chat_todo));
    paths::VIEWS.into_iter().fold(router, |router, (path, name)| {
        let handler = move |State(app): State<Arc<App>>, request| whole(app, request, name);
        router.route(path, get(handler))
    })
}

/// A projection as it is: `{"offset":N,"terminal":{…}}`.
async fn whole(app: Arc<App>, request: Request, name: &'static str) -> Result<Response, Fail> {
    let (path, _) = session(&app, request).await?;
    let write = |state: &Projections, offset: Offset| {
        let mut out = Vec::from(b"{\"offset\":");
        push_number(&mut out, offset.0);
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        let written = state.write_json(name, &mut out);
        out.push(b'}');
        (written.then_some(out), offset)
    };
    let (body, offset) = app.views().read(&path, write).await?;
    let body = body.ok_or_else(|| Fail::new(Code::Internal, "the state could not be written"))?;
    Ok(at_offset(json_bytes(body.into()), offset))
}

/// Which items of a list are asked for.
#[derive(Debug, Clone, Copy)]
struct Page {
    limit: usize,
    offset: usize,
}

/// Some items of a list.
#[derive(Debug, PartialEq, Eq)]
struct Slice {
    skip: usize,
    take: usize,
    has_more: bool,
}

impl Page {
    fn of(params: &Params<'_>) -> Result<Self, Fail> {
        let limit = params.number("limit", 1..=limits::ITEMS_LIMIT_MAX)?;
        let offset = params.number("offset", 0..=usize::MAX)?.unwrap_or(0);
        Ok(Self { limit: limit.unwrap_or(limits::ITEMS_LIMIT_DEFAULT), offset })
    }

    /// Counted from the end: the first page has the newest items. They stay in their order.
    fn newest(self, total: usize) -> Slice {
        let end = total.saturating_sub(self.offset);
        let skip = end.saturating_sub(self.limit);
        Slice { skip, take: end - skip, has_more: skip > 0 }
    }

    /// Counted from the beginning.
    fn first(self, total: usize) -> Slice {
        let skip = self.offset.min(total);
        let take = self.limit.min(total - skip);
        Slice { skip, take, has_more: skip + take < total }
    }
}

impl Slice {
    fn of<'a, T: Serialize + 'a>(&self, items: impl Iterator<Item = &'a T>) -> Raw {
        raw(&items.skip(self.skip).take(self.take).collect::<Vec<_>>())
    }
}

/// A value as it is sent, written while the state was at hand.
type Raw = Box<RawValue>;

fn raw(value: &impl Serialize) -> Raw {
    // States are JSON by nature.
    to_raw_value(value).unwrap_or_default()
}

/// An answer, its fields in order.
struct Body<'a, const N: usize>([(&'a str, Raw); N]);

impl<const N: usize> Serialize for Body<'_, N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn answer<const N: usize>(fields: [(&str, Raw); N], at: Offset) -> Result<Response, Fail> {
    Ok(at_offset(json(&Body(fields))?, at))
}

/// `GET /api/sessions/{id}/messages`, `GET /api/chat/{id}/messages`.
async fn messages(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    chat(&app, request, "messages", |state, page| {
        let list = state.messages.list();
        let slice = page.newest(list.len());
        (slice.of(list.iter()), slice, list.len())
    })
    .await
}

/// `GET /api/chat/{id}/diff`.
async fn chat_diff(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    chat(&app, request, "diff", |state, page| {
        let files = &state.diff.files;
        let slice = page.first(files.len());
        (slice.of(files.iter()), slice, files.len())
    })
    .await
}

/// `GET /api/chat/{id}/todo`.
async fn chat_todo(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    chat(&app, request, "todo", |state, page| {
        let items = &state.todo.todos;
        let slice = page.first(items.len());
        (slice.of(items.iter()), slice, items.len())
    })
    .await
}

/// A list in the form that chat clients know, which has no room for the log's `offset`.
async fn chat(
    app: &App,
    request: Request,
    name: &str,
    choose: impl FnOnce(&Projections, Page) -> (Raw, Slice, usize),
) -> Result<Response, Fail> {
    let (path, uri) = session(app, request).await?;
    let page = Page::of(&Params::of(&uri)?)?;
    let show = |state: &Projections, at| (choose(state, page), at);
    let ((items, slice, total), at) = app.views().read(&path, show).await?;
    let fields = [
        ("sessionID", raw(&id_of(&path))),
        (name, items),
        ("hasMore", raw(&slice.has_more)),
        ("total", raw(&total)),
        ("logOffset", raw(&at.0)),
    ];
    answer(fields, at)
}

fn id_of(path: &StreamPath) -> &str {
    path.as_str().split_once('/').map_or(path.as_str(), |(_, id)| id)
}

/// `GET /api/sessions/{id}/messages/{mid}`.
async fn message(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (mut parts, body) = request.into_parts();
    let asked = path_params(&mut parts).await?.into_iter().nth(1).unwrap_or_default();
    let (path, _) = session(&app, Request::from_parts(parts, body)).await?;
    let id = Id::new(&asked);
    let show = |state: &Projections, at| {
        let found = id.as_ref().and_then(|id| state.messages.list().get(id));
        (found.map(raw), at)
    };
    let (found, at) = app.views().read(&path, show).await?;
    let Some(message) = found else {
        let message = format!("the session has no message {asked:?} at offset {at}");
        return Err(Fail::new(Code::NotInState, message));
    };
    answer([("offset", raw(&at.0)), ("message", message)], at)
}

/// `GET /api/sessions/{id}/toolCalls`.
async fn tool_calls(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (path, uri) = session(&app, request).await?;
    let page = Page::of(&Params::of(&uri)?)?;
    let show = |state: &Projections, at| {
        let list = state.tool_calls.list();
        let slice = page.newest(list.len());
        (slice.of(list.iter()), slice.has_more, list.len(), at)
    };
    let (calls, has_more, total, at) = app.views().read(&path, show).await?;
    let fields = [
        ("offset", raw(&at.0)),
        ("toolCalls", calls),
        ("hasMore", raw(&has_more)),
        ("total", raw(&total)),
    ];
    answer(fields, at)
}

/// `GET /api/sessions/{id}/permissions`.
async fn permissions(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (path, uri) = session(&app, request).await?;
    let params = Params::of(&uri)?;
    let status = params.get("status")?;
    if let Some(text) = status.filter(|text| !["pending", "answered"].contains(text)) {
        return Err(wrong("status", &format!("is {text:?}; it is pending or answered")));
    }
    let show = |state: &Projections, at| {
        let Permissions { pending, answered, .. } = &state.permissions;
        let shown = match status {
            Some("pending") => raw(&Body([("pending", raw(pending))])),
            Some(_) => raw(&Body([("answered", raw(answered))])),
            None => raw(&Body([("pending", raw(pending)), ("answered", raw(answered))])),
        };
        (shown, at)
    };
    let (shown, at) = app.views().read(&path, show).await?;
    answer([("offset", raw(&at.0)), ("permissions", shown)], at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_from_the_end_meet_without_a_gap() {
        let page = |offset| Page { limit: 4, offset }.newest(10);
        assert_eq!(page(0), Slice { skip: 6, take: 4, has_more: true });
        assert_eq!(page(4), Slice { skip: 2, take: 4, has_more: true });
        assert_eq!(page(8), Slice { skip: 0, take: 2, has_more: false });
        assert_eq!(page(10), Slice { skip: 0, take: 0, has_more: false });
        assert_eq!(page(usize::MAX), Slice { skip: 0, take: 0, has_more: false });
    }

    #[test]
    fn pages_from_the_beginning_meet_without_a_gap() {
        let page = |offset| Page { limit: 4, offset }.first(9);
        assert_eq!(page(0), Slice { skip: 0, take: 4, has_more: true });
        assert_eq!(page(4), Slice { skip: 4, take: 4, has_more: true });
        assert_eq!(page(8), Slice { skip: 8, take: 1, has_more: false });
        assert_eq!(page(usize::MAX), Slice { skip: 9, take: 0, has_more: false });
    }
}
