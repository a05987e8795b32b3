//! A token as it is shown: everything that is noted of it but its digest. Pure.

use super::Token;
use crate::wire::tokens::TokenBody;

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
