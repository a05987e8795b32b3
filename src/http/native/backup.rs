//! Everything the server holds, for somebody to take away while writers go on.
//!
//! Driven by the client's pace: the next part is read when the last one has been taken, so a slow
//! client costs one part of memory, and the files that were replaced meanwhile.

use std::{convert::Infallible, sync::Arc};

use async_stream::stream;
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures_util::Stream;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    auth::{Access, Right},
    http::{App, access, error::Fail},
    log::{Backup, Refused},
    wire::{self, bodies::EndReason},
};

/// `GET /api/backup`.
pub(in crate::http) async fn take(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let access = access::of(request.extensions());
    access::server(&app, &access, Right::Admin, "backup")?;
    if app.stopping().is_cancelled() {
        return Err(Refused::Closed.into());
    }
    let place = app.backing_up()?;
    let backup = app.log().backup().await?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(wire::BACKUP)),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"backup.sbk\"")),
    ];
    Ok((headers, Body::from_stream(parts(&app, &access, backup, place))).into_response())
}

fn parts(
    app: &Arc<App>,
    access: &Access,
    mut backup: Backup,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let over = access::over(app, access, None);
    stream! {
        tokio::pin!(over);
        loop {
            let part = tokio::select! {
                biased;
                reason = &mut over => Err(reason),
                part = backup.next() => Ok(part),
            };
            match part {
                Ok(Some(part)) => yield Ok(part),
                Ok(None) => break,
                Err(reason) => {
                    yield Ok(backup.fail(match reason {
                        EndReason::Unauthorized => "the token holds no more; take another",
                        _ => "the server was stopped meanwhile; take another",
                    }));
                    break;
                }
            }
        }
        drop(place);
    }
}
