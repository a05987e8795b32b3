//! The tokens of a running server: made, listed, taken back, approved; JSON Web Tokens revoked.
//!
//! Only for those who have `admin` on `__server/tokens`. Files are read and written away from the threads
//! of the runtime. Invariant: a secret is in the answer to the request that made it, and nowhere
//! else.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
    routing::{delete, get, post},
};
use serde::de::DeserializeOwned;

use crate::{
    auth::{Access, ChangeError, FileError, Jti, NewToken, Right, Scopes, TokenError, Tokens},
    http::{
        App, access,
        error::Fail,
        extract::{Kind, json, kind, path_params, unsupported, whole_body},
    },
    wire::{
        code::Code,
        paths,
        tokens::{
            CreateToken, CreatedToken, RevokeJwt, RevokedAnswer, RevokedJwtBody, TokenBody,
            TokensAnswer,
        },
    },
};

/// The routes.
pub(in crate::http) fn router() -> Router<Arc<App>> {
    Router::new()
        .route(paths::TOKENS, get(list).post(create))
        .route(paths::TOKENS_REVOKED, get(list_revoked).post(revoke_jwt))
        .route(paths::TOKEN, delete(revoke))
        .route(paths::TOKEN_APPROVE, post(approve))
}

async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (tokens, _) = admitted(&app, &request)?;
    let found = aside(move || tokens.list()).await?.map_err(|error| broken(&error))?;
    json(&TokensAnswer { tokens: found.iter().map(TokenBody::from).collect() })
}

async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (tokens, by) = admitted(&app, &request)?;
    let new = new_token(asked(&app, request).await?)?;
    let now_ms = app.log().clock().now_ms();
    let (token, secret) = aside(move || tokens.create(new, &by, now_ms)).await??;
    tracing::info!(token = %token.id, "a token was made");
    let secret = secret.text().to_owned();
    let mut response = json(&CreatedToken { secret, token: TokenBody::from(&token) })?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

async fn list_revoked(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (tokens, _) = admitted(&app, &request)?;
    let found = aside(move || tokens.revoked()).await?.map_err(|error| broken(&error))?;
    json(&RevokedAnswer { revoked: found.iter().map(RevokedJwtBody::from).collect() })
}

async fn revoke_jwt(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (tokens, _) = admitted(&app, &request)?;
    let RevokeJwt { jti, expires_at } = asked(&app, request).await?;
    let jti: Jti = jti.parse().map_err(|error| wrong("jti", &error))?;
    let now_ms = app.log().clock().now_ms();
    let revoked = aside(move || tokens.revoke_jwt(jti, expires_at, now_ms)).await??;
    tracing::info!(jti = %revoked.jti, "a JSON Web Token was revoked");
    json(&RevokedJwtBody::from(&revoked))
}

async fn revoke(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (tokens, by) = admitted(&app, &request)?;
    let id = id_of(request).await?;
    let token = aside(move || tokens.revoke(&id, &by)).await??;
    tracing::info!(token = %token.id, "a token was revoked");
    json(&TokenBody::from(&token))
}

async fn approve(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fail> {
    let (tokens, by) = admitted(&app, &request)?;
    let (id, now_ms) = (id_of(request).await?, app.log().clock().now_ms());
    let token = aside(move || tokens.approve(&id, &by, now_ms)).await??;
    tracing::info!(token = %token.id, "a worker's token was approved");
    json(&TokenBody::from(&token))
}

/// The tokens, for those who may see to them.
fn admitted(app: &App, request: &Request) -> Result<(Tokens, Access), Fail> {
    let access = access::of(request.extensions());
    access::server(app, &access, Right::Admin, "tokens")?;
    let Some(tokens) = app.tokens() else {
        return Err(Fail::new(
            Code::NotFound,
            "this server asks nobody for a token; start it with --auth, or run `scrollback token` \
             on its data folder",
        ));
    };
    Ok((tokens.clone(), access))
}

async fn id_of(request: Request) -> Result<String, Fail> {
    let (mut parts, _) = request.into_parts();
    Ok(path_params(&mut parts).await?.into_iter().next().unwrap_or_default())
}

/// What the body asks for.
async fn asked<T: DeserializeOwned>(app: &App, request: Request) -> Result<T, Fail> {
    let (parts, mut body) = request.into_parts();
    if kind(&parts.headers)? != Kind::Json {
        return Err(unsupported("this route takes one JSON object"));
    }
    let body = whole_body(app, &parts.extensions, &mut body).await?;
    serde_json::from_slice(&body).map_err(|error| {
        Fail::new(Code::InvalidBody, format!("the body is not what this route takes: {error}"))
    })
}

/// Work on files. It is done to its end, whoever still waits for it.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fail> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Fail::new(Code::Internal, error.to_string()))
}

fn new_token(asked: CreateToken) -> Result<NewToken, Fail> {
    let scopes: Result<Vec<_>, _> = asked.scopes.iter().map(|text| text.parse()).collect();
    let scopes = scopes.map_err(|error: crate::auth::ScopeError| wrong("scopes", &error))?;
    let worker = asked.worker.map(|name| name.parse()).transpose();
    let actor = asked.actor.map(|text| text.parse()).transpose();
    Ok(NewToken {
        name: asked.name,
        scopes: Scopes::new(scopes),
        worker: worker.map_err(|error| wrong("worker", &error))?,
        actor: actor.map_err(|error| wrong("actor", &error))?,
        lasts_ms: asked.expires_in_ms,
    })
}

fn wrong(field: &str, error: &dyn std::error::Error) -> Fail {
    Fail::new(Code::InvalidBody, error.to_string())
        .with(|problem| problem.field = Some(field.to_owned()))
}

impl From<ChangeError> for Fail {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Token(error) => error.into(),
            ChangeError::File(error) => broken(&error),
            ChangeError::NotInForce(reason) => {
                tracing::error!(reason, "a change of the tokens is in their file and not in force");
                Self::new(
                    Code::Unavailable,
                    "the change is in the file of tokens and not in force: what was in force \
                     before still is, for the file cannot be read again; the server's log says \
                     why. Put the file right, or restart the server, and ask again",
                )
            }
        }
    }
}

impl From<TokenError> for Fail {
    fn from(error: TokenError) -> Self {
        let code = match &error {
            TokenError::OpensNothing
            | TokenError::WorkerWithScopes
            | TokenError::TooManyScopes
            | TokenError::Name
            | TokenError::Jti
            | TokenError::Over
            | TokenError::Lasts => Code::InvalidBody,
            TokenError::Beyond(_) | TokenError::RevokeBeyond(_) => Code::Forbidden,
            TokenError::Unknown(_) | TokenError::NoWorker(_) => Code::TokenNotFound,
            TokenError::TooMany | TokenError::TooManyRevoked => Code::TooManyTokens,
            TokenError::NoRandom(_) => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

/// Where the file is is for those who run the server.
fn broken(error: &FileError) -> Fail {
    tracing::error!(%error, "the file of tokens cannot be used");
    Fail::new(Code::Unavailable, "the file of tokens cannot be used; the server's log says why")
}
