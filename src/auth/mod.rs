//! Who may do what: rights on stream paths, the tokens that carry them, and the guard that turns
//! what a request presents into an [`Access`].
//!
//! It refuses to know HTTP, sessions and how rights are used. Invariants: no secret is kept, only
//! its digest; an access that has ended allows nothing; a wrong token and an unknown one take the
//! same way to the same answer.

pub use self::{
    access::{Access, Denied, Grant, Rights, Verdict},
    error::{RegistryError, TokenError},
    file::{ChangeError, FileError, TokenFile},
    guard::{Guard, Known, Unchecked},
    names::{Actor, NameError, Worker},
    registry::{NewToken, Registry, Token},
    revoked::{Jti, RevokedJwt, RevokedJwts},
    scope::{Right, Scope, ScopeError, Scopes},
    secret::{Digest, Secret, is_token},
    tokens::{KeySource, LoadError, Tokens},
};

mod access;
mod error;
mod file;
mod guard;
pub mod jwt;
mod names;
mod registry;
mod revoked;
mod scope;
mod secret;
mod shown;
mod tokens;
