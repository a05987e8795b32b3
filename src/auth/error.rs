//! Why tokens are not as they are asked for, and why a text is no list of them: what is said to whoever
//! asked or wrote it.
//!
//! It refuses to know what is checked. Invariant: each says what to do.

use super::secret::NoRandom;
use crate::limits;

/// The newest form of a list that this version reads: with JSON Web Tokens that are revoked. Where
/// there are none the form is the first one, which older versions read, too; one that knows nothing of
/// them must not take the list for whole.
pub(super) const FORM_MAX: u32 = 2;

/// Why tokens are not as they are asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It would open nothing.
    #[error("a token needs a scope such as read:sessions/*, or a worker")]
    OpensNothing,
    /// What a worker may do is fixed.
    #[error("a worker's token has no scopes: it opens the worker's own sessions and stream")]
    WorkerWithScopes,
    /// Too long a list.
    #[error("a token has at most {} scopes; write wider paths, with * or **", limits::SCOPES_MAX)]
    TooManyScopes,
    /// Too long, or not to be printed.
    #[error("a name has 1 to {} bytes and no control characters", limits::NAME_BYTES_MAX)]
    Name,
    /// It would be over at once, or after the end of time.
    #[error("a token lasts for at least a second; leave the time out for one without an end")]
    Lasts,
    /// Nobody grants more than they have.
    #[error("you may not grant {0}: your own token does not allow it; ask somebody whose does")]
    Beyond(String),
    /// Nobody takes back what they could not grant.
    #[error(
        "you may not revoke a token that opens {0}: your own does not allow it; ask somebody whose \
         does, or whoever runs the server"
    )]
    RevokeBeyond(String),
    /// No token has this id.
    #[error("there is no token {0:?}; `scrollback token list` shows those there are")]
    Unknown(String),
    /// What names a JSON Web Token is not one that can be in a list.
    #[error("a jti has 1 to {} bytes and no control characters", limits::JTI_BYTES_MAX)]
    Jti,
    /// There is nothing left to revoke.
    #[error(
        "it would be over by then; an end is in Unix milliseconds, the `exp` of a token times 1000"
    )]
    Over,
    /// The token is not a worker's.
    #[error("the token {0:?} is not a worker's and needs no approval")]
    NoWorker(String),
    /// The list is full.
    #[error("there are {} tokens, and no more are kept; revoke some", limits::TOKENS_MAX)]
    TooMany,
    /// The list of what is revoked is full.
    #[error(
        "{} JSON Web Tokens are revoked, and no more are kept; say with each when it would have \
         ended, so that it leaves the list, or take the key away",
        limits::JWT_REVOKED_MAX
    )]
    TooManyRevoked,
    /// No random bits.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// Why a text is no list of tokens.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Not JSON, or not of this form.
    #[error(
        "it is no list of tokens ({0}); restore it from a copy, or remove it and make new ones"
    )]
    Form(serde_json::Error),
    /// Written by another version.
    #[error(
        "it has form {0}, and this version knows 1 to {FORM_MAX}; use the version that wrote it"
    )]
    Version(u32),
    /// Two tokens are the same, or one is revoked twice.
    #[error("the token {0:?} is in it twice; take one of them out")]
    Twice(String),
    /// More than are kept.
    #[error("it has more than {} tokens; take some out", limits::TOKENS_MAX)]
    TooMany,
    /// More are revoked than are kept.
    #[error("it has more than {} tokens that are revoked; take some out", limits::JWT_REVOKED_MAX)]
    TooManyRevoked,
}

// Not as a cause, for it is in the message already.
impl From<serde_json::Error> for RegistryError {
    fn from(error: serde_json::Error) -> Self {
        Self::Form(error)
    }
}
