//! Whether a session is a worker's at this moment, asked for each write in it.
//!
//! The list of sessions knows, and to ask it is to fold what everybody wrote meanwhile. So what is
//! remembered is a place in the session at which it was the worker's; only what the session has had
//! since is looked through. Invariant: a yes means that no record which was durable when it was
//! asked gave the session away.

use std::sync::Arc;

use super::{App, hidden, may_now, worker};
use crate::{
    auth::{Access, Right, Verdict},
    http::error::Fail,
    log::{Offset, PAGE, ReadError, StreamPath},
    session::claims,
};

/// Lets a write on to the log, now that its body has come: a session may have gone to another
/// worker meanwhile. Who is no worker is let on at once.
pub(in crate::http) async fn still_theirs(
    app: &App,
    access: &Access,
    path: &StreamPath,
) -> Result<(), Fail> {
    if worker(access).is_none() {
        return Ok(());
    }
    // Apart, so that the futures of those who are none do not hold it.
    match Box::pin(may_write(app, access, path)).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(hidden(app, path)),
        Err(fail) => Err(fail),
    }
}

/// Whether a worker may write there.
pub(super) async fn may_write(app: &App, access: &Access, path: &StreamPath) -> Result<bool, Fail> {
    match access.may(Right::Write, path.as_str()) {
        Verdict::Yes => Ok(true),
        Verdict::No => Ok(false),
        Verdict::IfSessionOf(worker) => is_of(app, access, &worker, path).await,
    }
}

async fn is_of(
    app: &App,
    access: &Access,
    worker: &Arc<str>,
    path: &StreamPath,
) -> Result<bool, Fail> {
    let Some(id) = path.as_str().strip_prefix("sessions/") else { return Ok(false) };
    // The time and the place before the look: what is seen is at least as young.
    let now_ms = app.log().clock().now_ms();
    let place = match app.log().info(path).await {
        Ok(info) => (info.epoch, info.tail),
        Err(ReadError::NoStream(_) | ReadError::Gone(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let known = app.owners().place(id, worker).filter(|(epoch, _)| *epoch == place.0);
    let kept = match known {
        Some((_, at)) => was_kept(app, path, worker, at, place.1).await,
        None => false,
    };
    let has = kept || may_now(app, access, Right::Write, path.as_str()).await?;
    if has {
        app.owners().note_place(id, worker, place, now_ms);
    }
    Ok(has)
}

/// Whether what a session has had after `at` is little, and gives it to nobody else.
async fn was_kept(app: &App, path: &StreamPath, worker: &str, at: Offset, tail: Offset) -> bool {
    if at >= tail {
        return true;
    }
    let Ok(page) = app.log().read(path, at, PAGE).await else { return false };
    let reached = page.records.last().map_or(at, |record| record.offset);
    reached >= tail
        && !page.records.iter().any(|record| claims::gives_away(&record.payload, worker))
}
