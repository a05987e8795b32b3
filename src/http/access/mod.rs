//! Rights at the door: what a request presents, and whether its sender may do what it asks for.
//!
//! Every handler that names a stream gets its path from [`super::extract::stream_path`], which
//! asks here; the server's own resources have [`server`] and [`subscription`]. Invariants: a
//! stranger is answered before anything is looked at; who may not read a stream cannot tell it
//! from one that is not there; without a guard nothing is allocated or locked here.

use std::sync::Arc;

use axum::{
    extract::Request,
    http::{Extensions, HeaderValue, Method, header::WWW_AUTHENTICATE},
};

pub(super) use self::{
    follows::{may_follow, may_subscribe},
    hold::over,
    owned::still_theirs,
    owners::Owners,
    sight::{readable, sees, streams},
};
use super::{
    App,
    error::Fail,
    rates::{self, Over},
};
use crate::{
    auth::{Access, Denied, Grant, Known, Right, Rights, Verdict},
    log::{NoStream, Pattern, StreamPath},
    metrics::Denied as Counted,
    session::{By, claims},
    subscription::SubscriptionError,
    wire::{code::Code, paths},
};

mod follows;
mod hold;
mod owned;
mod owners;
mod sight;
mod token;

/// Finds out who asks, and notes it in the request; what is over where nobody is to find out.
pub(super) fn note(app: &App, request: &mut Request) -> Result<(), Over> {
    // A token that is sent to a server that wants none is taken out of the query all the same.
    let in_query = token::take_from_query(request);
    if !app.guard().is_on() {
        return Ok(());
    }
    let (access, refused) = match who(app, request, in_query.as_deref()) {
        Ok(access) => (access, Ok(())),
        Err(over) => (Access::Nobody(Denied::Invalid), Err(over)),
    };
    request.extensions_mut().insert(access);
    refused
}

/// Who asks. A signature is checked last, and for nobody who has sent too many wrong ones.
fn who(app: &App, request: &Request, in_query: Option<&str>) -> Result<Access, Over> {
    let presented = token::presented(request.headers(), in_query);
    let now_ms = app.log().clock().now_ms();
    let known = app.guard().known(presented, now_ms);
    if wants_none(request.method(), request.uri().path()) {
        // A token of somebody else is no wrong one of ours, and checks nothing.
        return Ok(match known {
            Known::Access(access @ Access::Holder(_)) => access,
            _ => Access::Nobody(Denied::Missing),
        });
    }
    match known {
        Known::Access(access) => Ok(access),
        Known::Unchecked(token) => {
            rates::may_try(app, request.extensions(), || token.claimed_id())?;
            app.log().metrics().jwt_checks.inc();
            Ok(app.guard().verify(&token, now_ms))
        }
    }
}

/// The answer to somebody whom the server does not know and who asks for what is not public.
pub(super) fn stranger(app: &App, request: &Request) -> Option<Fail> {
    match request.extensions().get::<Access>() {
        Some(Access::Nobody(denied)) if !is_public(request.method(), request.uri().path()) => {
            Some(unauthenticated(app, *denied))
        }
        _ => None,
    }
}

/// What everyone may ask, on a server that wants to know who asks.
pub const PUBLIC: [&str; 6] =
    [paths::ROOT, paths::HEALTH, paths::READY, paths::VERSION, paths::JWKS, paths::OPENAPI];

fn is_public(method: &Method, path: &str) -> bool {
    PUBLIC.contains(&path) || carries_its_own(method, path)
}

/// The workers of subscriptions show the token that came with their wake, which is none of ours.
fn carries_its_own(method: &Method, path: &str) -> bool {
    let asked = || {
        let rest = path.strip_prefix("/v1/stream/__ds/subscriptions/")?;
        rest.split_once('/').map(|(_, asked)| asked)
    };
    method == Method::POST && matches!(asked(), Some("callback" | "ack" | "release"))
}

/// Whether no token of ours is wanted, and none is limited by how many wrong ones came: whoever
/// looks whether the server is well is told under any load.
fn wants_none(method: &Method, path: &str) -> bool {
    matches!(path, paths::HEALTH | paths::READY) || carries_its_own(method, path)
}

/// Who asks, as it was noted.
pub(super) fn of(extensions: &Extensions) -> Access {
    extensions.get().cloned().unwrap_or_default()
}

/// Whether this may be done with a stream; the answer where it may not.
pub(super) async fn allow(
    app: &App,
    access: &Access,
    right: Right,
    path: &StreamPath,
) -> Result<(), Fail> {
    known(app, access)?;
    match access.may(right, path.as_str()) {
        Verdict::Yes => Ok(()),
        // Apart, so that the futures of those who may are not as large as a look at the list.
        Verdict::No | Verdict::IfSessionOf(_) => Box::pin(look(app, access, right, path)).await,
    }
}

/// The same where a look at the list of sessions may be needed.
async fn look(app: &App, access: &Access, right: Right, path: &StreamPath) -> Result<(), Fail> {
    let may_do = match right {
        Right::Write => owned::may_write(app, access, path).await?,
        Right::Read | Right::Admin => may(app, access, right, path.as_str()).await?,
    };
    if may_do {
        return Ok(());
    }
    if right != Right::Read && may(app, access, Right::Read, path.as_str()).await? {
        return Err(may_not(app, right, path.as_str()));
    }
    Err(hidden(app, path))
}

/// Whether this may be done with something of the server's own, such as `metrics`. That it is
/// there is no secret.
pub(super) fn server(app: &App, access: &Access, right: Right, name: &str) -> Result<(), Fail> {
    if matches!(access, Access::Everyone) {
        return Ok(());
    }
    known(app, access)?;
    let path = format!("__server/{name}");
    if access.may(right, &path) == Verdict::Yes { Ok(()) } else { Err(may_not(app, right, &path)) }
}

/// Whether this may be done with a subscription. One that may not be seen is one that is not there.
pub(super) fn subscription(app: &App, access: &Access, right: Right, id: &str) -> Result<(), Fail> {
    if matches!(access, Access::Everyone) {
        return Ok(());
    }
    known(app, access)?;
    let path = format!("__ds/subscriptions/{id}");
    if access.may(right, &path) == Verdict::Yes {
        return Ok(());
    }
    if access.may(Right::Read, &path) == Verdict::Yes {
        return Err(may_not(app, right, &path));
    }
    Err(SubscriptionError::NotFound(id.to_owned()).into())
}

/// Somebody whose token holds still.
fn known(app: &App, access: &Access) -> Result<(), Fail> {
    match access {
        Access::Nobody(denied) => Err(unauthenticated(app, *denied)),
        Access::Holder(grant) if has_ended(app, grant) => {
            Err(unauthenticated(app, Denied::Invalid))
        }
        Access::Everyone | Access::Holder(_) => Ok(()),
    }
}

/// Whether the token that a request was let in with still holds, once its body has come: a body may
/// take a minute.
pub(super) fn holds(app: &App, extensions: &Extensions) -> Result<(), Fail> {
    match extensions.get() {
        Some(access @ Access::Holder(_)) => known(app, access),
        // Whoever is nobody was let in to what nobody is asked for.
        _ => Ok(()),
    }
}

fn has_ended(app: &App, grant: &Grant) -> bool {
    let is_late = |ends_ms| app.log().clock().now_ms() >= ends_ms;
    grant.revoked.is_cancelled() || grant.ends_ms.is_some_and(is_late)
}

/// Whether a read that goes on may go on.
pub(super) async fn still(app: &App, access: &Access, path: &StreamPath) -> bool {
    allow(app, access, Right::Read, path).await.is_ok()
}

async fn may(app: &App, access: &Access, right: Right, path: &str) -> Result<bool, Fail> {
    if let Verdict::IfSessionOf(worker) = access.may(right, path)
        && let Some(id) = path.strip_prefix("sessions/")
        && app.owners().has(id, &worker, app.log().clock().now_ms())
    {
        return Ok(true);
    }
    may_now(app, access, right, path).await
}

/// The same, and no memory asked: a session belongs to whom the log says at this moment.
async fn may_now(app: &App, access: &Access, right: Right, path: &str) -> Result<bool, Fail> {
    let worker = match access.may(right, path) {
        Verdict::Yes => return Ok(true),
        Verdict::No => return Ok(false),
        Verdict::IfSessionOf(worker) => worker,
    };
    let Some(id) = path.strip_prefix("sessions/") else { return Ok(false) };
    // The time before the look: what is seen is at least as young.
    let now_ms = app.log().clock().now_ms();
    let has = app.sessions().read(|list, _| list.worker_of(id) == Some(&*worker)).await?;
    app.owners().note(id, &worker, has, now_ms);
    Ok(has)
}

/// The worker whose token this is.
pub(super) fn worker(access: &Access) -> Option<&Arc<str>> {
    match access {
        Access::Holder(grant) => match &grant.rights {
            Rights::Worker(worker) => Some(worker),
            Rights::Scopes(_) => None,
        },
        Access::Everyone | Access::Nobody(_) => None,
    }
}

/// Who stands as the writer of what is written, as JSON.
pub(super) fn actor(access: &Access) -> Option<&str> {
    match access {
        Access::Holder(grant) => grant.actor.as_deref(),
        Access::Everyone | Access::Nobody(_) => None,
    }
}

/// Who gives a command.
pub(super) fn by(access: &Access) -> By<'_> {
    By { actor: actor(access), worker: worker(access).map(|worker| &**worker) }
}

/// Whether records may come from this writer: none of them gives a worker's session away, and
/// none names another writer, but where `stamped` says that the writer was put in just now.
pub(super) fn vouch<'a>(
    access: &Access,
    stamped: bool,
    mut payloads: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<(), Fail> {
    let Access::Holder(_) = access else { return Ok(()) };
    if let Some(worker) = worker(access)
        && payloads.clone().any(|payload| claims::gives_away(payload, worker))
    {
        return Err(not_another_s_worker());
    }
    if let Some(actor) = actor(access)
        && !stamped
        && payloads.any(|payload| claims::names_another(payload, actor))
    {
        let message = format!(
            "a record names another `actor` than {actor}, for whom the token stands; leave it out"
        );
        return Err(Fail::new(Code::Forbidden, message));
    }
    Ok(())
}

/// A worker has its own sessions, and neither takes nor gives any.
pub(super) fn not_another_s_worker() -> Fail {
    let message = "the token is a worker's, and a session that it begins or changes is its own; \
                   leave `worker` out, or ask somebody who assigns sessions";
    Fail::new(Code::Forbidden, message)
}

fn may_not(app: &App, right: Right, path: &str) -> Fail {
    app.log().metrics().deny(Counted::Forbidden);
    let right = right.as_str();
    let message =
        format!("the token may not {right} {path}; ask for a scope such as {right}:{path}");
    Fail::new(Code::Forbidden, message)
}

fn may_not_follow(app: &App, pattern: &Pattern) -> Fail {
    app.log().metrics().deny(Counted::Forbidden);
    let message = format!(
        "the token may not read everything that {pattern} stands for, and a subscription would \
         show it; name a narrower `pattern`, or ask for a scope such as read:{pattern}"
    );
    Fail::new(Code::Forbidden, message)
}

/// The answer that a stream gets that is not there.
pub(super) fn hidden(app: &App, path: &StreamPath) -> Fail {
    app.log().metrics().deny(Counted::Hidden);
    NoStream { path: path.clone() }.into()
}

/// Nobody is told why a token opens nothing, but for what they can do about it.
fn unauthenticated(app: &App, denied: Denied) -> Fail {
    app.log().metrics().deny(match denied {
        Denied::Missing => Counted::Missing,
        Denied::Invalid => Counted::Invalid,
        Denied::NotApproved => Counted::Unapproved,
    });
    Fail::new(Code::Unauthenticated, denied.to_string())
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}
