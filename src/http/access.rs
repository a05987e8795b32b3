//! Rights at the door: what a request presents, and whether its sender may do what it asks for.
//!
//! Every handler that names a stream gets its path from [`super::extract::stream_path`], which
//! asks here. Invariants: who may not read a stream cannot tell it from one that is not there; a
//! token in a query is gone before anything else sees the query.

use axum::{
    extract::Request,
    http::{
        Extensions, HeaderMap, HeaderValue, Method,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
};

use super::{App, error::Fail};
use crate::{
    auth::{Access, Denied, Right, Verdict},
    log::{NoStream, StreamPath},
    wire::code::Code,
};

/// Finds out who asks, and notes it in the request.
pub(super) fn note(app: &App, request: &mut Request) {
    if !app.guard().is_on() {
        return;
    }
    let in_query = take_from_query(request);
    let presented = bearer(request.headers()).or(in_query.as_deref());
    let access = app.guard().check(presented, app.log().clock().now_ms());
    request.extensions_mut().insert(access);
}

/// Who asks, as it was noted.
pub(super) fn of(extensions: &Extensions) -> Access {
    extensions.get().cloned().unwrap_or_default()
}

/// The token of an `Authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token of `?access_token=`, for pages that cannot send headers with an `EventSource`.
fn take_from_query(request: &mut Request) -> Option<String> {
    let query = request.uri().query()?;
    if !query.contains("access_token=") {
        return None;
    }
    let is_token = |pair: &&str| pair.starts_with("access_token=");
    let token = query.split('&').find(is_token).and_then(|pair| pair.split_once('='));
    let token = token.map(|(_, token)| token.to_owned());
    let rest: Vec<_> = query.split('&').filter(|pair| !is_token(pair)).collect();
    let path_and_query = format!("{}?{}", request.uri().path(), rest.join("&"));
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = path_and_query.parse().ok();
    if let Ok(uri) = parts.try_into() {
        *request.uri_mut() = uri;
    }
    token.filter(|_| request.method() == Method::GET)
}

/// Whether this may be done with a stream; the answer where it may not.
pub(super) async fn allow(
    app: &App,
    access: &Access,
    right: Right,
    path: &StreamPath,
) -> Result<(), Fail> {
    if let Access::Nobody(denied) = access {
        return Err(unauthenticated(*denied));
    }
    if may(app, access, right, path.as_str()).await? {
        return Ok(());
    }
    if right != Right::Read && may(app, access, Right::Read, path.as_str()).await? {
        return Err(Fail::new(
            Code::Forbidden,
            format!("the token may not {} {path}; ask for a scope that says so", right.as_str()),
        ));
    }
    Err(NoStream { path: path.clone() }.into())
}

async fn may(app: &App, access: &Access, right: Right, path: &str) -> Result<bool, Fail> {
    match access.may(right, path) {
        Verdict::Yes => Ok(true),
        Verdict::No => Ok(false),
        Verdict::IfSessionOf(worker) => {
            let Some(id) = path.strip_prefix("sessions/") else { return Ok(false) };
            Ok(app.sessions().read(|list, _| list.worker_of(id) == Some(&*worker)).await?)
        }
    }
}

/// Nobody is told why a token opens nothing, but for what they can do about it.
fn unauthenticated(denied: Denied) -> Fail {
    Fail::new(Code::Unauthenticated, denied.to_string())
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}
