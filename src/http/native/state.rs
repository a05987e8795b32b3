//! The state of a session: at any offset, what changed between two of them, and which event set a
//! value.
//!
//! It refuses to know what the projections mean. Invariant: an answer says the offset it stands
//! at, and reading on from there continues without loss.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Uri},
    response::Response,
    routing::get,
};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    auth::Right,
    http::{
        App,
        error::Fail,
        extract::{json, json_bytes, stream_path},
        native::events::must_hold_json,
        params::{Params, wrong},
    },
    limits,
    log::{Offset, StreamPath},
    session::projections::{Blame, Pointer, Projections},
    wire::{
        self,
        bodies::{BlameAnswer, StateDiffAnswer},
        code::Code,
        paths,
        sse::push_number,
    },
};

/// The routes.
pub(in crate::http) fn router() -> Router<Arc<App>> {
    Router::new()
        .route(paths::STATE, get(state))
        .route(paths::STATE_DIFF, get(diff))
        .route(paths::BLAME, get(blame))
}

/// `GET /api/sessions/{id}/state`.
async fn state(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (path, uri) = session(&app, request).await?;
    let params = Params::of(&uri)?;
    let names = names(&params)?;
    let at = match (params.offset("at")?, params.number("atTime", 0..=usize::MAX)?) {
        (Some(_), Some(_)) => return Err(wrong("atTime", "cannot stand beside `at`")),
        (None, Some(ms)) => Some(app.log().seek(&path, (ms as u64).saturating_add(1)).await?),
        (at, None) => at,
    };
    let (body, offset) = match at {
        None => {
            let write = |state: &Projections, offset| (written(state, &names, offset), offset);
            app.views().read(&path, write).await?
        }
        Some(at) => {
            let write = |state: &Projections| written(state, &names, at);
            (app.views().read_at(&path, at, write).await?, at)
        }
    };
    Ok(at_offset(json_bytes(body.into()), offset))
}

/// `GET /api/sessions/{id}/state/diff`.
async fn diff(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (path, uri) = session(&app, request).await?;
    let params = Params::of(&uri)?;
    let names = names(&params)?;
    let place = |name| params.offset(name)?.ok_or_else(|| wrong(name, "is missing"));
    let (from, to) = (place("from")?, place("to")?);
    let before = app.views().state_at(&path, from).await?;
    let after = app.views().state_at(&path, to).await?;
    let compare = move || {
        let values = |state: &Projections| -> Value {
            let value = |name: &&'static str| Some(((*name).to_owned(), state.json(name)?));
            names.iter().filter_map(value).collect::<Map<_, _>>().into()
        };
        serde_json::value::to_raw_value(&json_patch::diff(&values(&before), &values(&after)))
    };
    let patch = app.views().aside(compare).await?.map_err(defect)?;
    json(&StateDiffAnswer { from: from.0, to: to.0, patch })
}

/// `GET /api/sessions/{id}/blame`.
async fn blame(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (path, uri) = session(&app, request).await?;
    let params = Params::of(&uri)?;
    let text = params.get("pointer")?.ok_or_else(|| wrong("pointer", "is missing"))?;
    let pointer = Pointer::parse(text).ok_or_else(|| {
        wrong("pointer", &format!("is {text:?}; it is a JSON pointer such as /messages/0/state"))
    })?;
    let (found, at) = match params.offset("at")? {
        None => app.views().read(&path, |state, at| (Blame::of(pointer, state), at)).await?,
        Some(at) => (app.views().read_at(&path, at, |state| Blame::of(pointer, state)).await?, at),
    };
    let Some(mut blame) = found else {
        let message = format!("there is nothing at {text} at offset {at}");
        return Err(Fail::new(Code::NotInState, message));
    };
    let value = String::from_utf8(blame.value().to_vec()).map_err(defect)?;
    let value = RawValue::from_string(value).map_err(defect)?;
    let known = app.views().known_from(&path).await?;
    let from = scanned_from(at, known, blame.value().len());
    app.views().walk(&path, from, at, |state, record| blame.see(state, record)).await?;
    let by = blame.by();
    // What was never set stands there from the beginning.
    let cut = by.is_none() && from > Offset::ZERO;
    let event = by.as_ref();
    let answer = BlameAnswer {
        at: at.0,
        pointer: text.to_owned(),
        value,
        offset: event.map(|event| event.offset),
        id: event.map(|event| event.id.clone()),
        kind: event.map(|event| event.kind.clone()),
        timestamp: event.map(|event| event.timestamp_ms),
        actor: by.and_then(|event| event.actor),
        scanned_from: from.0,
        cut,
    };
    Ok(at_offset(json(&answer)?, at))
}

/// Where to begin looking for the event that set a value of so many bytes: as far back as the
/// bounds allow and the state is known.
fn scanned_from(at: Offset, known: Offset, bytes: usize) -> Offset {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).max(1);
    let events = limits::BLAME_EVENTS_MAX.min(limits::BLAME_BYTES_MAX / bytes).max(1);
    Offset(at.0.saturating_sub(events)).max(known).min(at)
}

/// The session that a request names, which must be there and hold events, and what is asked of it.
pub(super) async fn session(app: &App, request: Request) -> Result<(StreamPath, Uri), Fail> {
    let (mut parts, _) = request.into_parts();
    let path = stream_path(app, &mut parts, Right::Read).await?;
    must_hold_json(&app.log().info(&path).await?)?;
    Ok((path, parts.uri))
}

/// The projections that are asked for, all of them unless named.
pub(super) fn names(params: &Params<'_>) -> Result<Vec<&'static str>, Fail> {
    let all = Projections::names();
    let Some(asked) = params.get("projections")? else { return Ok(all.to_vec()) };
    let asked: Vec<&str> = asked.split(',').map(str::trim).collect();
    if let Some(unknown) = asked.iter().find(|asked| !all.contains(asked)) {
        let known = all.join(", ");
        return Err(wrong("projections", &format!("names {unknown:?}; there are {known}")));
    }
    Ok(all.iter().filter(|name| asked.contains(name)).copied().collect())
}

/// A state at an offset, as JSON text.
pub(super) fn written(state: &Projections, names: &[&str], offset: Offset) -> Vec<u8> {
    let mut out = Vec::from(b"{\"offset\":");
    push_number(&mut out, offset.0);
    out.extend_from_slice(b",\"projections\":{");
    for (place, name) in names.iter().enumerate() {
        out.extend_from_slice(if place == 0 { b"\"" } else { b",\"" });
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        if !state.write_json(name, &mut out) {
            out.extend_from_slice(b"null");
        }
    }
    out.extend_from_slice(b"}}");
    out
}

/// Says beside an answer where it stands.
pub(super) fn at_offset(mut response: Response, offset: Offset) -> Response {
    let name = HeaderName::from_static(wire::SCROLLBACK_OFFSET);
    response.headers_mut().insert(name, HeaderValue::from(offset.0));
    response
}

#[expect(clippy::needless_pass_by_value, reason = "errors are handed over by `map_err`")]
fn defect(error: impl ToString) -> Fail {
    Fail::new(Code::Internal, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_for_an_event_is_bounded_by_events_bytes_and_what_is_kept() {
        let from = |at, known, bytes| scanned_from(Offset(at), Offset(known), bytes).0;
        let (most, bytes) = (limits::BLAME_EVENTS_MAX, limits::BLAME_BYTES_MAX);
        assert_eq!(from(most, 0, 4), 0);
        assert_eq!(from(most + 5, 0, 0), 5);
        assert_eq!(from(1_000, 0, usize::try_from(bytes / 10).unwrap()), 990);
        assert_eq!(from(1_000, 0, usize::MAX), 999);
        assert_eq!(from(1_000, 300, 4), 300);
        assert_eq!(from(1_000, 1_001, 4), 1_000);
        assert_eq!(from(0, 0, 4), 0);
    }
}
