//! Commands in sessions: start, change, end, delete, send, take back, interrupt, presence, typing,
//! replies, and what those say who answer.
//!
//! Each handler reads its body, makes one command of it, and says what was answered. It refuses to
//! know when a command is right. Invariant: every answer has the offset from which a reader sees
//! nothing of it again.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, request::Parts},
    response::Response,
    routing::{delete, patch, post},
};
use serde::de::DeserializeOwned;

use crate::{
    auth::{Access, Right},
    http::{
        App, access,
        error::Fail,
        extract::{Kind, json, kind, path_params, stream_path, unsupported, whole_body},
    },
    log::{self, StreamPath},
    session::{
        Done,
        command::{Answer, Command},
        projections::turn::Outcome,
        vocabulary::{Id, permission::Reply, read_text},
    },
    wire::{code::Code, commands as wire, paths},
};

mod read;

/// The routes. Reads of the same paths have theirs elsewhere.
pub(in crate::http) fn router() -> Router<Arc<App>> {
    Router::new()
        .route(paths::SESSIONS, post(start))
        .route(paths::SESSION, patch(change).delete(remove))
        .route(paths::SESSION_END, post(end))
        .route(paths::SESSION_READY, post(ready))
        .route(paths::SESSION_MESSAGES, post(send))
        .route(paths::SESSION_INTERRUPT, post(interrupt))
        .route(paths::SESSION_QUEUED, delete(dequeue))
        .route(paths::SESSION_PRESENCE, post(presence))
        .route(paths::SESSION_TERMINAL_INPUT, post(type_input))
        .route(paths::SESSION_PERMISSION_REPLY, post(reply))
        .route(paths::TURN_CHUNKS, post(chunks))
        .route(paths::TURN_COMPLETE, post(complete))
        .route(paths::TURN_FAIL, post(fail))
}

type Answered = Result<Response, Fail>;

async fn start(State(app): State<Arc<App>>, request: Request) -> Answered {
    let (parts, body) = request.into_parts();
    let access = access::of(&parts.extensions);
    let asked: wire::StartSession = body_of(&app, &parts, body, Body::Optional).await?;
    let mut start = read::start(asked, || Id::made(app.ids(), app.log().clock().now_ms()))?;
    let session = read::session_of(&start)?;
    match access::worker(&access) {
        // Whether it is theirs to begin is decided with the state at hand.
        Some(own) => start.worker = Some(own_worker(start.worker, own)?),
        None => access::allow(&app, &access, Right::Write, &session).await?,
    }
    let mut response = done(&app, &access, &session, &Command::Start(start)).await?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

async fn change(State(app): State<Arc<App>>, request: Request) -> Answered {
    let mut asked: Asked<wire::ChangeSession> = Asked::of(&app, request, Body::Required).await?;
    if let Some(own) = access::worker(&asked.access)
        && asked.body.worker.as_ref().is_some_and(|worker| **worker != **own)
    {
        return Err(access::not_another_s_worker());
    }
    let command = read::change(std::mem::take(&mut asked.body))?;
    done(&app, &asked.access, &asked.session, &command).await
}

async fn remove(State(app): State<Arc<App>>, request: Request) -> Answered {
    let asked = Asked::of(&app, request, Body::Optional).await?;
    done(&app, &asked.access, &asked.session, &read::delete(asked.body)?).await
}

async fn end(State(app): State<Arc<App>>, request: Request) -> Answered {
    let asked = Asked::of(&app, request, Body::Optional).await?;
    done(&app, &asked.access, &asked.session, &read::end(asked.body)?).await
}

async fn ready(State(app): State<Arc<App>>, request: Request) -> Answered {
    let asked = Asked::of(&app, request, Body::Optional).await?;
    done(&app, &asked.access, &asked.session, &read::ready(asked.body)?).await
}

async fn send(State(app): State<Arc<App>>, request: Request) -> Answered {
    let asked = Asked::of(&app, request, Body::Required).await?;
    done(&app, &asked.access, &asked.session, &read::send(asked.body)?).await
}

async fn interrupt(State(app): State<Arc<App>>, request: Request) -> Answered {
    let asked = Asked::of(&app, request, Body::Optional).await?;
    done(&app, &asked.access, &asked.session, &read::interrupt(asked.body)?).await
}

async fn dequeue(State(app): State<Arc<App>>, request: Request) -> Answered {
    let asked = Asked::of(&app, request, Body::Optional).await?;
    let message_id = asked.named("messageId")?;
    done(&app, &asked.access, &asked.session, &read::dequeue(message_id, asked.body)?).await
}

async fn presence(State(app): State<Arc<App>>, request: Request) -> Answered {
    let asked = Asked::of(&app, request, Body::Required).await?;
    done(&app, &asked.access, &asked.session, &read::presence(asked.body)?).await
}

async fn type_input(State(app): State<Arc<App>>, request: Request) -> Answered {
    let asked = Asked::of(&app, request, Body::Required).await?;
    done(&app, &asked.access, &asked.session, &read::type_input(asked.body)?).await
}

async fn reply(State(app): State<Arc<App>>, request: Request) -> Answered {
    let asked = Asked::of(&app, request, Body::Required).await?;
    let permission_id = asked.named("permissionId")?;
    done(&app, &asked.access, &asked.session, &read::reply(permission_id, asked.body)?).await
}

async fn chunks(State(app): State<Arc<App>>, request: Request) -> Answered {
    let asked = Asked::of(&app, request, Body::Required).await?;
    let turn_id = asked.named("turnId")?;
    done(&app, &asked.access, &asked.session, &read::chunks(turn_id, asked.body)?).await
}

async fn complete(State(app): State<Arc<App>>, request: Request) -> Answered {
    let asked = Asked::of(&app, request, Body::Optional).await?;
    let turn_id = asked.named("turnId")?;
    done(&app, &asked.access, &asked.session, &read::complete(turn_id, asked.body)?).await
}

async fn fail(State(app): State<Arc<App>>, request: Request) -> Answered {
    let asked = Asked::of(&app, request, Body::Required).await?;
    let turn_id = asked.named("turnId")?;
    done(&app, &asked.access, &asked.session, &read::fail(turn_id, asked.body)?).await
}

/// Whether a body must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Required,
    /// None is as good as an empty object.
    Optional,
}

/// A worker begins sessions as itself.
fn own_worker(asked: Option<Id>, own: &str) -> Result<Id, Fail> {
    let named = asked.or_else(|| Id::new(own)).filter(|id| id.as_str() == own);
    named.ok_or_else(access::not_another_s_worker)
}

/// A request about a session.
struct Asked<T> {
    access: Access,
    session: StreamPath,
    /// What stands behind the session in the path.
    rest: Option<String>,
    body: T,
}

impl<T: DeserializeOwned> Asked<T> {
    async fn of(app: &App, request: Request, needs: Body) -> Result<Self, Fail> {
        let (mut parts, body) = request.into_parts();
        let session = stream_path(app, &mut parts, Right::Write).await?;
        let body = body_of(app, &parts, body, needs).await?;
        let rest = path_params(&mut parts).await?.into_iter().nth(1);
        let access = access::of(&parts.extensions);
        Ok(Self { access, session, rest, body })
    }
}

impl<T> Asked<T> {
    /// The thing in the session that the path names.
    fn named(&self, name: &str) -> Result<Id, Fail> {
        let id = self.rest.as_deref().and_then(Id::new);
        id.ok_or_else(|| {
            Fail::new(Code::InvalidPath, format!("the path has no {name} of 1 to 128 bytes"))
        })
    }
}

async fn body_of<T: DeserializeOwned>(
    app: &App,
    parts: &Parts,
    mut body: axum::body::Body,
    needs: Body,
) -> Result<T, Fail> {
    let body = whole_body(app, &parts.extensions, &mut body).await?;
    if body.is_empty() && needs == Body::Optional {
        return read_text("{}").map_err(read::invalid);
    }
    if kind(&parts.headers)? != Kind::Json {
        return Err(unsupported("this route takes one JSON object"));
    }
    log::json::validate(&body)?;
    // Valid JSON is UTF-8.
    let text = std::str::from_utf8(&body).unwrap_or_default();
    read_text(text).map_err(read::invalid)
}

async fn done(app: &App, access: &Access, session: &StreamPath, command: &Command) -> Answered {
    let Done { answer, offset } = app.run(session, command, access).await?;
    json(&said(&answer, offset.0))
}

fn said(answer: &Answer, offset: u64) -> wire::CommandAnswer {
    let bare = wire::CommandAnswer {
        ok: true,
        id: None,
        turn_id: None,
        offset,
        queued: None,
        outcome: None,
        next: None,
        reply: None,
    };
    let text = |id: &Id| Some(id.as_str().to_owned());
    match answer {
        Answer::Started { session_id } => wire::CommandAnswer { id: text(session_id), ..bare },
        Answer::Changed | Answer::Deleted | Answer::Ended | Answer::Ready | Answer::Noted => bare,
        Answer::Sent { message_id, turn_id, queued } => wire::CommandAnswer {
            id: text(message_id),
            turn_id: text(turn_id),
            queued: Some(*queued),
            ..bare
        },
        Answer::Dequeued { message_id } => wire::CommandAnswer { id: text(message_id), ..bare },
        Answer::TurnEnded { turn_id, outcome } => wire::CommandAnswer {
            turn_id: text(turn_id),
            outcome: Some(outcome_name(*outcome).to_owned()),
            ..bare
        },
        Answer::Chunked { turn_id, next } => {
            wire::CommandAnswer { turn_id: text(turn_id), next: Some(*next), ..bare }
        }
        Answer::Replied { permission_id, reply } => wire::CommandAnswer {
            id: text(permission_id),
            reply: Some(reply_name(*reply).to_owned()),
            ..bare
        },
    }
}

/// How a turn ended, in a word.
pub(in crate::http) fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Interrupted => "interrupted",
        Outcome::Failed => "failed",
    }
}

/// How a request for permission is answered, in a word.
pub(in crate::http) fn reply_name(reply: Reply) -> &'static str {
    match reply {
        Reply::Once => "once",
        Reply::Always => "always",
        Reply::Reject => "reject",
    }
}
