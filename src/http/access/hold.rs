//! Somebody who goes on being served, and what ends that: the server stops, a token is revoked or
//! expires, a session goes to another worker.
//!
//! Invariant: each of these is heard of while nothing else happens; a reader that only waits holds
//! nothing but the future made here.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::Either};

use super::{App, may_now};
use crate::{
    auth::{Access, Grant, Right, Verdict},
    limits,
    log::StreamPath,
    wire::bodies::EndReason,
};

/// Completes when the reader is to be sent nothing more, with the reason. `path` is the stream
/// that is read, where it is one.
pub(in crate::http) fn over(
    app: &Arc<App>,
    access: &Access,
    path: Option<&StreamPath>,
) -> impl Future<Output = EndReason> + Send + use<> {
    let stopping = app.stopping().clone().cancelled_owned().map(|()| EndReason::Shutdown);
    // Most readers of a server without tokens only wait for its end, and pay for nothing else.
    if matches!(access, Access::Everyone) {
        return Either::Left(stopping);
    }
    let (app, access, path) = (Arc::clone(app), access.clone(), path.cloned());
    Either::Right(Box::pin(async move {
        tokio::select! {
            biased;
            reason = stopping => reason,
            () = ended(&app, &access) => EndReason::Unauthorized,
            () = taken(&app, &access, path.as_ref()) => EndReason::Unauthorized,
        }
    }))
}

/// Completes when the token holds no more.
async fn ended(app: &App, access: &Access) {
    match access {
        Access::Everyone => std::future::pending().await,
        Access::Nobody(_) => {}
        Access::Holder(grant) => {
            tokio::select! {
                biased;
                () = grant.revoked.cancelled() => {}
                () = expired(app, grant) => {}
            }
        }
    }
}

/// Completes when the time of a grant is over, by the clock on the wall: it may be set while this
/// waits, so it is looked at now and then.
async fn expired(app: &App, grant: &Grant) {
    let Some(ends_ms) = grant.ends_ms else { return std::future::pending().await };
    let clock = app.log().clock();
    loop {
        let left = Duration::from_millis(ends_ms.saturating_sub(clock.now_ms()));
        if left.is_zero() {
            return;
        }
        clock.sleep(left.min(limits::EXPIRY_LOOK_EVERY)).await;
    }
}

/// Completes when a worker's session is its own no more.
async fn taken(app: &App, access: &Access, path: Option<&StreamPath>) {
    let path = path.map(StreamPath::as_str).unwrap_or_default();
    if !matches!(access.may(Right::Read, path), Verdict::IfSessionOf(_)) {
        return std::future::pending().await;
    }
    loop {
        app.log().clock().sleep(limits::OWNER_KNOWN_FOR).await;
        // A store that does not answer is no reason to end: the read itself will say so.
        if let Ok(false) = may_now(app, access, Right::Read, path).await {
            return;
        }
    }
}
