//! From what a request presents to what its sender may do.
//!
//! Grants are found by the digest of their secret, so that no comparison takes longer for a
//! secret that is nearly right. Invariant: a grant that is taken away or changed is cancelled, so
//! that what it has opened ends.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use super::{
    Access, Denied, Digest, Grant, Registry, Token,
    jwt::{self, Jwt},
};
use crate::limits;

/// What the holders of secrets may do.
type Grants = HashMap<Digest, Held>;

/// Knows who holds which token. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// None where the server asks nobody who they are.
    knows: Option<Arc<Knows>>,
}

#[derive(Debug, Default)]
struct Knows {
    held: RwLock<Grants>,
    jwt: Option<Jwt>,
}

/// What is known of who presents something.
#[derive(Debug)]
pub enum Known<'a> {
    /// What they may do.
    Access(Access),
    /// It may be a JSON Web Token, and nobody has checked its signature.
    Unchecked(Unchecked<'a>),
}

/// A token that nothing is known of but its form.
#[derive(Debug)]
pub struct Unchecked<'a> {
    text: &'a str,
    digest: Digest,
}

/// A grant, and whether its holder may use it yet.
#[derive(Debug, Clone)]
struct Held {
    grant: Arc<Grant>,
    approved: bool,
}

impl Guard {
    /// A guard that lets everyone do everything.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// A guard that lets nobody do anything until tokens are granted something.
    #[must_use]
    pub fn on() -> Self {
        Self { knows: Some(Arc::default()) }
    }

    /// The same, which checks JSON Web Tokens besides.
    #[must_use]
    pub fn with_jwt(jwt: Jwt) -> Self {
        Self { knows: Some(Arc::new(Knows { jwt: Some(jwt), ..Knows::default() })) }
    }

    /// Whether it asks who somebody is.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.knows.is_some()
    }

    /// What checks JSON Web Tokens, where something does.
    #[must_use]
    pub fn jwt(&self) -> Option<&Jwt> {
        self.knows.as_ref()?.jwt.as_ref()
    }

    /// Lets the holder of a secret do what is granted, until a list of tokens is set.
    pub fn grant(&self, secret: &str, grant: Grant) {
        if let Some(knows) = &self.knows {
            let held = Held { grant: Arc::new(grant), approved: true };
            knows.held.write().insert(Digest::of(secret), held);
        }
    }

    /// From now on these are the tokens, and these the JSON Web Tokens that are revoked. What was
    /// granted to others ends; what was granted to the same ones goes on as it is.
    pub fn set(&self, registry: &Registry) {
        let Some(knows) = &self.knows else { return };
        let mut held = knows.held.write();
        let mut before = std::mem::take(&mut *held);
        for token in registry.tokens() {
            let new = Held::of(token);
            let old = before.remove(&token.digest);
            let same = old.filter(|old| {
                let same = old.says_the_same_as(&new);
                if !same {
                    old.grant.revoked.cancel();
                }
                same
            });
            held.insert(token.digest, same.unwrap_or(new));
        }
        for gone in before.values() {
            gone.grant.revoked.cancel();
        }
        if let Some(jwt) = &knows.jwt {
            jwt.revoke(registry.revoked());
        }
    }

    /// What the sender of a request may do that presents this, at this time.
    #[must_use]
    pub fn check(&self, presented: Option<&str>, now_ms: u64) -> Access {
        match self.known(presented, now_ms) {
            Known::Access(access) => access,
            Known::Unchecked(token) => self.verify(&token, now_ms),
        }
    }

    /// The same, as far as it is known without checking a signature.
    #[must_use]
    pub fn known<'a>(&self, presented: Option<&'a str>, now_ms: u64) -> Known<'a> {
        let access = match (&self.knows, presented) {
            (None, _) => Access::Everyone,
            (Some(_), None) => Access::Nobody(Denied::Missing),
            (Some(_), Some(text)) if text.len() > limits::TOKEN_BYTES_MAX => {
                Access::Nobody(Denied::Invalid)
            }
            (Some(knows), Some(text)) => {
                let digest = Digest::of(text);
                match knows.found(&digest) {
                    Some(held) => held.access(now_ms),
                    None if knows.jwt.is_some() && jwt::is_jwt(text) => {
                        return Known::Unchecked(Unchecked { text, digest });
                    }
                    None => Access::Nobody(Denied::Invalid),
                }
            }
        };
        Known::Access(access)
    }

    /// What the holder of a token may do, once its signature is checked.
    #[must_use]
    pub fn verify(&self, token: &Unchecked<'_>, now_ms: u64) -> Access {
        let Some(jwt) = self.jwt() else { return Access::Nobody(Denied::Invalid) };
        match jwt.check(token.text, token.digest, now_ms) {
            Ok(grant) => Held { grant, approved: true }.access(now_ms),
            Err(reason) => {
                let token = token.digest.short();
                tracing::debug!(token, %reason, "a JSON Web Token was refused");
                Access::Nobody(Denied::Invalid)
            }
        }
    }
}

impl Unchecked<'_> {
    /// What its holder would be known by if it were right.
    #[must_use]
    pub fn claimed_id(&self) -> Option<Arc<str>> {
        jwt::claimed_id(self.text)
    }
}

impl Knows {
    fn found(&self, digest: &Digest) -> Option<Held> {
        let held = self.held.read().get(digest).cloned();
        let checked = || {
            let grant = self.jwt.as_ref()?.known(digest)?;
            Some(Held { grant, approved: true })
        };
        held.or_else(checked)
    }
}

impl Held {
    fn access(self, now_ms: u64) -> Access {
        match self {
            held if !held.is_good(now_ms) => Access::Nobody(Denied::Invalid),
            held if !held.approved => Access::Nobody(Denied::NotApproved),
            held => Access::Holder(held.grant),
        }
    }

    fn of(token: &Token) -> Self {
        let own = token.actor.as_ref();
        let actor = own.cloned().or_else(|| token.worker.as_ref().map(super::Worker::actor));
        let grant = Grant {
            id: Arc::clone(&token.id),
            rights: token.rights(),
            actor: actor.and_then(|actor| actor.json()),
            ends_ms: token.expires_at,
            revoked: CancellationToken::new(),
        };
        Self { grant: Arc::new(grant), approved: token.approved }
    }

    fn says_the_same_as(&self, other: &Self) -> bool {
        let of = |held: &Self| {
            let Grant { id, rights, actor, ends_ms, .. } = &*held.grant;
            (id.clone(), rights.clone(), actor.clone(), *ends_ms, held.approved)
        };
        of(self) == of(other)
    }

    fn is_good(&self, now_ms: u64) -> bool {
        let in_time = self.grant.ends_ms.is_none_or(|ends| now_ms < ends);
        in_time && !self.grant.revoked.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{NewToken, Rights, Scopes};

    fn is_invalid(access: &Access) -> bool {
        matches!(access, Access::Nobody(Denied::Invalid))
    }

    #[test]
    fn only_a_known_token_in_its_time_opens() {
        let guard = Guard::on();
        let revoked = CancellationToken::new();
        guard.grant(
            "s",
            Grant {
                id: Arc::from("t"),
                rights: Rights::Scopes(Scopes::default()),
                actor: None,
                ends_ms: Some(10),
                revoked: revoked.clone(),
            },
        );
        assert!(matches!(guard.check(Some("s"), 9), Access::Holder(_)));
        assert!(is_invalid(&guard.check(Some("s"), 10)));
        assert!(is_invalid(&guard.check(Some("S"), 9)));
        assert!(is_invalid(&guard.check(Some(&"s".repeat(limits::TOKEN_BYTES_MAX + 1)), 9)));
        assert!(matches!(guard.check(None, 9), Access::Nobody(Denied::Missing)));
        revoked.cancel();
        assert!(is_invalid(&guard.check(Some("s"), 9)));
        assert!(matches!(Guard::off().check(None, 0), Access::Everyone));
    }

    fn made(registry: &mut Registry, worker: Option<&str>) -> (Token, String) {
        let scopes = if worker.is_some() { vec![] } else { vec!["read:a".parse().unwrap()] };
        let worker = worker.map(|name| name.parse().unwrap());
        let new = NewToken { scopes: Scopes::new(scopes), worker, ..NewToken::default() };
        let (token, secret) = registry.create(new, &Access::Everyone, 0).unwrap();
        (token, secret.text().to_owned())
    }

    fn held(guard: &Guard, secret: &str) -> Arc<Grant> {
        match guard.check(Some(secret), 0) {
            Access::Holder(grant) => grant,
            other => unreachable!("{other}"),
        }
    }

    #[test]
    fn a_token_that_leaves_the_list_ends_and_the_others_go_on() {
        let (guard, mut registry) = (Guard::on(), Registry::default());
        let (one, one_secret) = made(&mut registry, None);
        let (_, other_secret) = made(&mut registry, None);
        guard.set(&registry);
        let (gone, kept) = (held(&guard, &one_secret), held(&guard, &other_secret));
        registry.revoke(&one.id, &Access::Everyone).unwrap();
        guard.set(&registry);
        assert!(gone.revoked.is_cancelled() && !kept.revoked.is_cancelled());
        assert!(is_invalid(&guard.check(Some(&one_secret), 0)));
        assert!(Arc::ptr_eq(&kept, &held(&guard, &other_secret)));
    }

    #[test]
    fn a_token_that_is_changed_ends_as_it_was() {
        let (guard, mut registry) = (Guard::on(), Registry::default());
        let (_, secret) = made(&mut registry, None);
        guard.set(&registry);
        let before = held(&guard, &secret);
        let text = String::from_utf8(registry.text().unwrap()).unwrap();
        let changed = Registry::parse(text.replace("read:a", "read:b").as_bytes()).unwrap();
        guard.set(&changed);
        assert!(before.revoked.is_cancelled());
        assert_eq!(held(&guard, &secret).rights, changed.tokens()[0].rights());
    }

    #[test]
    fn a_worker_waits_for_its_approval() {
        let (guard, mut registry) = (Guard::on(), Registry::default());
        let (token, secret) = made(&mut registry, Some("w1"));
        guard.set(&registry);
        let refused = guard.check(Some(&secret), 0);
        assert!(matches!(refused, Access::Nobody(Denied::NotApproved)));
        registry.approve(&token.id, &Access::Everyone, 0).unwrap();
        guard.set(&registry);
        let grant = held(&guard, &secret);
        assert_eq!(grant.rights, Rights::Worker(Arc::from("w1")));
        assert_eq!(grant.actor.as_deref(), Some(r#"{"kind":"worker","id":"w1"}"#));
    }
}
