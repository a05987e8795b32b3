//! Everything the server holds, for somebody to take away while writers go on.
//!
//! Driven by the client's pace: the next part is read when the last one has been taken, so a slow
//! client costs one part of memory, and the files that were replaced meanwhile.

use std::{convert::Infallible, sync::Arc};

use async_stream::stream;
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures_util::Stream;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    http::{App, error::Fail},
    log::{Backup, Refused},
    wire,
};

/// `GET /api/backup`.
pub(in crate::http) async fn take(State(app): State<Arc<App>>) -> Result<Response, Fail> {
    if app.stopping().is_cancelled() {
        return Err(Refused::Closed.into());
    }
    let place = app.backing_up()?;
    let backup = app.log().backup().await?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(wire::BACKUP)),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"backup.sbk\"")),
    ];
    Ok((headers, Body::from_stream(parts(app, backup, place))).into_response())
}

fn parts(
    app: Arc<App>,
    mut backup: Backup,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    stream! {
        loop {
            match app.stopping().run_until_cancelled(backup.next()).await {
                Some(Some(part)) => yield Ok(part),
                Some(None) => break,
                None => {
                    yield Ok(backup.fail("the server was stopped meanwhile; take another"));
                    break;
                }
            }
        }
        drop(place);
    }
}
