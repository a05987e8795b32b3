//! Tokens as they are shown: everything that is noted of them but their digests. Pure.

use super::{RevokedJwt, Token};
use crate::wire::tokens::{RevokedJwtBody, TokenBody};

impl From<&Token> for TokenBody {
    fn from(token: &Token) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            scopes: token.scopes.iter().map(ToString::to_string).collect(),
            worker: token.worker.as_ref().map(ToString::to_string),
            approved: token.approved,
            actor: token.actor.as_ref().map(ToString::to_string),
            created_at: token.created_at,
            expires_at: token.expires_at,
            changed_at: token.changed_at,
        }
    }
}

impl From<&RevokedJwt> for RevokedJwtBody {
    fn from(revoked: &RevokedJwt) -> Self {
        Self {
            jti: revoked.jti.to_string(),
            revoked_at: revoked.revoked_at,
            expires_at: revoked.expires_at,
        }
    }
}
