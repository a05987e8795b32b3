//! What a JSON Web Token says, and what its holder may do for it. Pure.
//!
//! Invariant: a claim that is missing where it is needed, or of another kind than it should be, is
//! an error and never a wider right.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{Actor, Digest, Grant, Jti, Rights, Scope, ScopeError, Scopes, Worker},
    limits,
};

/// The claim that makes a token a worker's. Whoever signs it has approved the worker.
const WORKER: &str = "scrollback_worker";

/// The head of a token, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Header {
    /// What the token says it is signed with. It never decides what is checked.
    pub alg: String,
    /// The name of the key.
    #[serde(default)]
    pub kid: Option<String>,
    /// Extensions that have to be understood; we know none.
    #[serde(default)]
    pub crit: Option<Value>,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Claims(Map<String, Value>);

/// What tokens have to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// For whom they have to be: one of their `aud`.
    pub audience: String,
    /// Who has to have made them, where that is asked.
    pub issuer: Option<String>,
    /// The claim with the scopes: its name, or the way to it with dots.
    pub scope_claim: String,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not three parts of base64url, or no JSON in them.
    #[error("it is no JSON Web Token")]
    Form,
    /// It wants an extension.
    #[error("its header has `crit`, an extension that is not known here")]
    Extension,
    /// No key for it.
    #[error("no key fits its `alg` {alg:?} and its `kid` {kid:?}")]
    NoKey {
        /// What it says it is signed with.
        alg: String,
        /// The key it names.
        kid: Option<String>,
    },
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// A claim is not there, or not of its kind.
    #[error("its claim {0:?} is missing, or not what it has to be")]
    Claim(String),
    /// A scope of ours that would open nothing.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// It is over.
    #[error("it has expired")]
    Expired,
    /// It has not begun.
    #[error("it is not valid yet; compare the clocks")]
    TooEarly,
    /// It is for somebody else.
    #[error("it is for another audience; compare `aud` with --jwt-audience")]
    Audience,
    /// Somebody has revoked it.
    #[error("it is revoked, by its `jti`; ask its issuer for another one")]
    Revoked,
    /// It is by somebody else.
    #[error("it is by another issuer; compare `iss` with --jwt-issuer")]
    Issuer,
}

impl Rules {
    /// What the holder of a token may do whose signature was checked. It ends with `key`, too.
    ///
    /// # Errors
    /// A claim is not as it has to be.
    pub fn grant(
        &self,
        claims: &Claims,
        digest: Digest,
        key: &CancellationToken,
        now_ms: u64,
    ) -> Result<Grant, JwtError> {
        let leeway = u64::try_from(limits::JWT_LEEWAY.as_millis()).unwrap_or(0);
        let exp = claims.time("exp")?.ok_or_else(|| JwtError::Claim("exp".to_owned()))?;
        let ends_ms = exp.saturating_add(leeway);
        if ends_ms <= now_ms {
            return Err(JwtError::Expired);
        }
        if claims.time("nbf")?.is_some_and(|nbf| nbf > now_ms.saturating_add(leeway)) {
            return Err(JwtError::TooEarly);
        }
        if !texts(claims.0.get("aud"), "aud")?.contains(&self.audience.as_str()) {
            return Err(JwtError::Audience);
        }
        if self.issuer.is_some() && claims.text("iss")? != self.issuer.as_deref() {
            return Err(JwtError::Issuer);
        }
        let (rights, actor) = self.rights(claims)?;
        Ok(Grant {
            id: claims.id(digest)?,
            rights,
            actor: actor.and_then(|actor| actor.json()),
            ends_ms: Some(ends_ms),
            revoked: key.child_token(),
        })
    }

    fn rights(&self, claims: &Claims) -> Result<(Rights, Option<Actor>), JwtError> {
        let wrong = |name: &str| JwtError::Claim(name.to_owned());
        let subject = claims.text("sub")?;
        let user = subject.map(|sub| Actor::new("user", sub).map_err(|_| wrong("sub")));
        let user = user.transpose()?;
        if let Some(name) = claims.text(WORKER)? {
            let worker: Worker = name.parse().map_err(|_| wrong(WORKER))?;
            let actor = worker.actor();
            return Ok((Rights::Worker(Arc::clone(worker.name())), Some(actor)));
        }
        let scopes = texts(claims.reached(&self.scope_claim)?, &self.scope_claim)?.into_iter();
        let scopes: Vec<_> = scopes.filter_map(ours).collect::<Result<_, _>>()?;
        if scopes.len() > limits::SCOPES_MAX {
            return Err(wrong(&self.scope_claim));
        }
        Ok((Rights::Scopes(Scopes::new(scopes)), user))
    }
}

impl Claims {
    /// What the holder is known by: the subject, or the token itself where it has none.
    pub(super) fn id(&self, digest: Digest) -> Result<Arc<str>, JwtError> {
        let subject = self.text("sub")?.map_or_else(|| digest.short(), str::to_owned);
        Ok(Arc::from(format!("jwt:{subject}")))
    }

    /// Its name, where its issuer gave it one. A name that could not be revoked is an error.
    pub(super) fn jti(&self) -> Result<Option<Jti>, JwtError> {
        let jti = self.text("jti")?.map(str::parse).transpose();
        jti.map_err(|_| JwtError::Claim("jti".to_owned()))
    }

    /// A time in Unix milliseconds, out of one in seconds.
    fn time(&self, name: &str) -> Result<Option<u64>, JwtError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_f64().ok_or_else(|| JwtError::Claim(name.to_owned()))?;
        let span = std::time::Duration::try_from_secs_f64(seconds);
        let span = span.map_err(|_| JwtError::Claim(name.to_owned()))?;
        Ok(Some(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    fn text(&self, name: &str) -> Result<Option<&str>, JwtError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| JwtError::Claim(name.to_owned()))
    }

    /// The claim of this name; where there is none, the one that the name leads to from object to
    /// object, such as `realm_access.roles`.
    fn reached(&self, name: &str) -> Result<Option<&Value>, JwtError> {
        if let Some(value) = self.0.get(name) {
            return Ok(Some(value));
        }
        let mut segments = name.split('.');
        let mut found = segments.next().and_then(|first| self.0.get(first));
        for segment in segments {
            found = match found {
                None => return Ok(None),
                Some(Value::Object(inner)) => inner.get(segment),
                Some(_) => return Err(JwtError::Claim(name.to_owned())),
            };
        }
        Ok(found)
    }
}

/// A scope of ours. Issuers put those of others beside them, which mean nothing here; one that was meant
/// for us, and opens less than whoever wrote it believes, is told of.
fn ours(text: &str) -> Option<Result<Scope, ScopeError>> {
    match text.parse() {
        Err(ScopeError::Right(_) | ScopeError::Paths { .. }) => None,
        scope => Some(scope),
    }
}

/// Texts in an array, or in one text with spaces between them. There may be none.
fn texts<'a>(value: Option<&'a Value>, name: &str) -> Result<Vec<&'a str>, JwtError> {
    let wrong = || JwtError::Claim(name.to_owned());
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text.split_whitespace().collect()),
        Some(Value::Array(all)) => all.iter().map(|one| one.as_str().ok_or_else(wrong)).collect(),
        Some(_) => Err(wrong()),
    }
}
