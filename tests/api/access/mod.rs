//! Who may do what, on every route: tokens, scopes, workers, and the end of what is open when
//! rights end.

mod actors;
mod door;
mod guessing;
mod lists;
mod live;
mod matrix;
mod revoked;
mod socket;
mod subscriptions;
mod table;
mod workers;

use std::sync::Arc;

use axum::{body::Body, http::Request};
use scrollback::auth::{Grant, Guard, Rights, Scopes};
use tokio_util::sync::CancellationToken;

use crate::util::{Answer, Live, TestApp};

/// A server that asks for tokens, and the hand that gives them.
pub(crate) struct Guarded {
    pub(crate) app: TestApp,
    pub(crate) guard: Guard,
}

impl Guarded {
    pub(crate) fn new() -> Self {
        let guard = Guard::on();
        let app = TestApp::with(|app| app.with_guard(guard.clone()));
        let guarded = Self { app, guard };
        guarded.scopes("root", &["admin:**"]);
        guarded
    }

    /// Gives the holder of a token these scopes.
    pub(crate) fn scopes(&self, token: &str, scopes: &[&str]) -> CancellationToken {
        grant(&self.guard, token, scoped(scopes), None)
    }

    /// Gives the holder of a token the rights of a worker.
    pub(crate) fn worker(&self, token: &str, worker: &str) -> CancellationToken {
        grant(&self.guard, token, Rights::Worker(Arc::from(worker)), None)
    }

    pub(crate) async fn ask(&self, token: &str, method: &str, uri: &str, body: &str) -> Answer {
        self.app.send(request(token, method, uri, body)).await
    }

    pub(crate) async fn get(&self, token: &str, uri: &str) -> Answer {
        self.ask(token, "GET", uri, "").await
    }

    pub(crate) async fn post(&self, token: &str, uri: &str, body: &str) -> Answer {
        self.ask(token, "POST", uri, body).await
    }

    /// The same, and it must be done.
    pub(crate) async fn done(&self, token: &str, method: &str, uri: &str, body: &str) -> Answer {
        let answer = self.ask(token, method, uri, body).await;
        assert!(answer.status.is_success(), "{method} {uri}: {}", answer.shown());
        answer
    }

    pub(crate) async fn follow(&self, token: &str, uri: &str) -> Live {
        self.app.follow_as(uri, token).await
    }
}

pub(crate) fn request(token: &str, method: &str, uri: &str, body: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(uri);
    let request = if token.is_empty() {
        request
    } else {
        request.header("authorization", format!("Bearer {token}"))
    };
    let request = request.header("content-type", "application/json");
    request.body(Body::from(body.to_owned())).unwrap()
}

pub(crate) fn scoped(scopes: &[&str]) -> Rights {
    Rights::Scopes(Scopes::new(scopes.iter().map(|scope| scope.parse().unwrap()).collect()))
}

/// Grants rights to a token, and returns what takes them away.
pub(crate) fn grant(
    guard: &Guard,
    token: &str,
    rights: Rights,
    ends_ms: Option<u64>,
) -> CancellationToken {
    let revoked = CancellationToken::new();
    let (id, revoked_by) = (Arc::from(token), revoked.clone());
    guard.grant(token, Grant { id, rights, actor: None, ends_ms, revoked: revoked_by });
    revoked
}

/// An event of a channel that no projection knows.
pub(crate) const EVENT: &str = r#"{"channel":"note","type":"note.made","data":{}}"#;
