//! The document of what operators ask.

use serde_json::json;
use utoipa::openapi::{
    HttpMethod::{Delete, Get, Post},
    Type,
};

use super::{
    operation::{Op, header},
    problems::{BODY, JSON, PATH},
    schemas,
};
use crate::wire::{
    self,
    bodies::{HealthAnswer, VersionAnswer},
    code::Code,
    debug::DebugAnswer,
    paths,
    tokens::{
        CreateToken, CreatedToken, RevokeJwt, RevokedAnswer, RevokedJwtBody, TokenBody,
        TokensAnswer,
    },
};

pub(super) const TAG: &str = "server";
pub(super) const ABOUT: &str = "How the server is, and all that it holds.";

pub(super) fn operations() -> Vec<Op> {
    let mut all = state();
    all.extend(tokens());
    all
}

fn state() -> Vec<Op> {
    let plain = || schemas::bare(Type::String);
    let tag = || schemas::line();
    vec![
        Op::new(Get, paths::ROOT, "root", "A page that says where to go")
            .answers_in(200, "text/plain", plain(), "Text for people.")
            .public(),
        Op::new(Get, paths::HEALTH, "health", "Whether the process answers")
            .answers::<HealthAnswer>(200, "It does.")
            .public(),
        Op::new(Get, paths::READY, "ready", "Whether the server takes reads and writes")
            .answers::<HealthAnswer>(200, "It does.")
            .fails(&[&[Code::Stopping, Code::Poisoned, Code::DiskLow]])
            .public(),
        Op::new(Get, paths::METRICS, "metrics", "Counters").answers_in(
            200,
            OPENMETRICS,
            plain(),
            "Counters in the OpenMetrics text form.",
        ),
        Op::new(Get, paths::DEBUG, "debug", "What the server is busy with")
            .answers::<DebugAnswer>(200, "The server at one moment, each list cut to its head."),
        Op::new(Get, paths::VERSION, "version", "Name and version")
            .answers::<VersionAnswer>(200, "Name and version of the server.")
            .public(),
        Op::new(Get, paths::OPENAPI, "openapi", "This document")
            .takes([header(
                "If-None-Match",
                schemas::line(),
                "The `ETag` of the one that is known.",
            )])
            .answers_in(200, wire::JSON, document(), "The interface, as OpenAPI 3.1.")
            .with_headers(200, &[("ETag", "Of this document.", tag)])
            .answers_empty(304, "It is the one that is known.")
            .public(),
        Op::new(Get, paths::BACKUP, "backup", "Everything the server holds")
            .says(
                "The state at one commit, while writers go on. It ends with a seal; an answer \
                 without one is no backup, and `scrollback restore` tells (`docs/backup.md`).",
            )
            .answers_in(200, wire::BACKUP, plain(), "The backup.")
            .with_headers(200, &[("Content-Disposition", "A name for the file.", tag)])
            .fails(&[&[Code::BackupRunning, Code::Stopping, Code::Unavailable]]),
    ]
}

fn tokens() -> Vec<Op> {
    let wants = json!({ "name": "ci", "scopes": ["read:sessions/*"] });
    let revoked = json!({ "jti": "6f1c2d", "expiresAt": 1_795_203_600_000_u64 });
    vec![
        Op::new(Get, paths::TOKENS, "listTokens", "The tokens, without their secrets")
            .answers::<TokensAnswer>(200, "The oldest first.")
            .fails(&[OFF]),
        Op::new(Post, paths::TOKENS, "createToken", "Make a token")
            .body::<CreateToken>(wants)
            .answers::<CreatedToken>(201, "The token, with its secret this once.")
            .fails(&[BODY, JSON, OFF, &[Code::InvalidBody, Code::TooManyTokens]]),
        Op::new(Get, paths::TOKENS_REVOKED, "listRevoked", "The JSON Web Tokens that are revoked")
            .answers::<RevokedAnswer>(200, "The oldest first.")
            .fails(&[OFF]),
        Op::new(Post, paths::TOKENS_REVOKED, "revokeJwt", "Revoke a JSON Web Token, at once")
            .says(
                "Every token with this `jti` opens nothing until its end, and what it has opened \
                 ends. A token without a `jti` cannot be revoked. One that is revoked again stays \
                 so until the later of both ends.",
            )
            .body::<RevokeJwt>(revoked)
            .answers::<RevokedJwtBody>(200, "What is noted of it.")
            .fails(&[BODY, JSON, OFF, &[Code::InvalidBody, Code::TooManyTokens]]),
        Op::new(Delete, paths::TOKEN, "revokeToken", "Take a token back, at once")
            .named("id", "tok_1")
            .answers::<TokenBody>(200, "The token, which opens nothing any more.")
            .fails(&[PATH, OFF, &[Code::TokenNotFound]]),
        Op::new(Post, paths::TOKEN_APPROVE, "approveToken", "Approve a worker's token")
            .named("id", "tok_1")
            .answers::<TokenBody>(200, "The token, which may be used.")
            .fails(&[PATH, OFF, &[Code::TokenNotFound]]),
    ]
}

/// A server that asks nobody for a token has no such routes.
const OFF: &[Code] = &[Code::NotFound, Code::Internal];

/// The media type of `/metrics`, without its parameters.
const OPENMETRICS: &str = "application/openmetrics-text";

fn document() -> utoipa::openapi::schema::Object {
    let version = schemas::form(r"^3\.1\.");
    let mut document = utoipa::openapi::schema::Object::new();
    document.description = Some("A document of OpenAPI 3.1.".to_owned());
    document.properties.insert("openapi".to_owned(), version.into());
    document.required.push("openapi".to_owned());
    document.examples.push(json!({ "openapi": "3.1.0" }));
    document
}
