//! `GET /api/sessions`: the list across sessions.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use serde_json::{Map, Value};

use crate::{
    http::{
        App, access,
        error::Fail,
        extract::json,
        params::{Params, wrong},
    },
    limits,
    log::{ReadError, StreamPath},
    session::list::{Asked, Listed, Place, Sessions, Standing},
    wire::bodies::SessionsAnswer,
};

/// A page of the list, the newest first.
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let params = Params::of(request.uri())?;
    let access = access::of(request.extensions());
    let asked = asked(&params)?;
    let after = params.get("cursor")?.map(place).transpose()?;
    let limit = params.number("limit", 1..=limits::LIST_LIMIT_MAX)?;
    let limit = limit.unwrap_or(limits::LIST_LIMIT_DEFAULT);
    let recent = params.number("keep", 0..=limits::SESSIONS_KEPT_MAX)?;
    let mut tries = 0;
    let (mut found, position) = loop {
        tries += 1;
        // One more than asked for tells whether there is a next page.
        let list = |sessions: &mut Sessions, position: crate::log::Position| {
            let sees = |id: &str, listed: &Listed| access::sees(&access, id, listed);
            let kept = recent.map(|recent| sessions.kept(recent, sees));
            let found = sessions.list_seen(
                &asked,
                sees,
                after.as_ref(),
                kept.as_ref().map_or(limit + 1, |_| usize::MAX),
            );
            let is_kept = |place: &Place| kept.as_ref().is_none_or(|kept| kept.contains(&place.id));
            let found = found.into_iter().filter(|(place, _)| is_kept(place)).take(limit + 1);
            let found = found.map(|(place, listed)| (place, listed.clone()));
            (found.collect::<Vec<_>>(), position)
        };
        let (found, position) = app.sessions().read(list).await?;
        let gone = gone(&app, &found).await?;
        if gone.is_empty() || tries == limits::LIST_TRIES_MAX {
            let is_there = |place: &Place| !gone.contains(&place.id);
            let there = found.into_iter().filter(|(place, _)| is_there(place));
            break (there.collect::<Vec<_>>(), position);
        }
        // They are over at this moment, and the next look at the list has heard of it.
    };
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().map(|(place, _)| cursor(place));
    json(&SessionsAnswer {
        sessions: found.into_iter().map(|(place, listed)| body(place, &listed)).collect(),
        cursor: last.filter(|_| has_more),
        position: position.0,
    })
}

fn asked(params: &Params<'_>) -> Result<Asked, Fail> {
    let text = |name| -> Result<Option<String>, Fail> {
        let text = params.get(name)?.map(str::to_owned);
        match text {
            Some(text) if text.len() > limits::PATH_BYTES_MAX => {
                Err(wrong(name, &format!("has more than {} bytes", limits::PATH_BYTES_MAX)))
            }
            text => Ok(text),
        }
    };
    let status = params.get("status")?.map(|text| {
        Standing::parse(text).ok_or_else(|| {
            wrong("status", &format!("is {text:?}; it is active, idle, busy or ended"))
        })
    });
    Ok(Asked {
        status: status.transpose()?,
        worker: text("worker")?,
        parent: text("parent")?,
        roots: params.flag("roots")?.unwrap_or(false),
        archived: params.flag("archived")?.unwrap_or(false),
        search: text("search")?,
    })
}

fn cursor(place: &Place) -> String {
    format!("{}.{}", place.active_ms, place.id)
}

fn place(text: &str) -> Result<Place, Fail> {
    let parsed = text.split_once('.').and_then(|(ms, id)| {
        let active_ms = ms.parse().ok()?;
        (!id.is_empty()).then(|| Place { active_ms, id: id.to_owned() })
    });
    parsed.ok_or_else(|| wrong("cursor", "is not one that this server has given"))
}

/// The ids among these whose streams are no more.
async fn gone(app: &App, found: &[(Place, Listed)]) -> Result<Vec<String>, Fail> {
    let mut gone = Vec::new();
    for (place, _) in found {
        let Ok(path) = StreamPath::session(&place.id) else { continue };
        match app.log().info(&path).await {
            Ok(_) => {}
            Err(ReadError::NoStream(_) | ReadError::Gone(_)) => gone.push(place.id.clone()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(gone)
}

/// A session as it is listed: what it is, with its id and the offset it stands at.
fn body(place: Place, listed: &Listed) -> Map<String, Value> {
    let mut body = match serde_json::to_value(&listed.session) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    body.insert("id".to_owned(), place.id.into());
    body.insert("offset".to_owned(), listed.offset.into());
    body.insert("lastActivityAt".to_owned(), place.active_ms.into());
    body.remove("start");
    body
}
