//! The tokens that were given out, and the JSON Web Tokens that were revoked: what is noted of each,
//! and how that changes. Pure.
//!
//! Invariants: a secret is never in it; what is wrong in one entry is an error for all of them,
//! never a shorter list; no list is longer than [`limits::TOKENS_MAX`].

use std::{collections::HashSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Access, Actor, Jti, RevokedJwt, RevokedJwts, Right, Rights, Scopes, Worker,
    error::{FORM_MAX, RegistryError, TokenError},
    secret::{Digest, Secret},
};
use crate::limits;

/// What is noted of a token. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Token {
    /// Names it to people, in logs and for limits.
    pub id: Arc<str>,
    /// The digest of its secret.
    pub digest: Digest,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What its holder may do; nothing where it is a worker's.
    #[serde(default)]
    pub scopes: Scopes,
    /// The worker whose token it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Worker>,
    /// An admin has approved it. Only tokens of workers need that.
    pub approved: bool,
    /// Who stands as the writer of what its holder writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// When it was made.
    pub created_at: u64,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// When something about it was changed last.
    pub changed_at: u64,
}

/// What is asked for in a new token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewToken {
    /// What it is for.
    pub name: Option<String>,
    /// What its holder may do.
    pub scopes: Scopes,
    /// The worker whose token it is; then there are no scopes.
    pub worker: Option<Worker>,
    /// Who stands as the writer of what its holder writes.
    pub actor: Option<Actor>,
    /// How long it lasts, in milliseconds; for ever where it is not said.
    pub lasts_ms: Option<u64>,
}

/// The tokens that were given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    version: u32,
    tokens: Vec<Token>,
    #[serde(default, skip_serializing_if = "is_empty")]
    revoked: RevokedJwts,
}

impl Default for Registry {
    fn default() -> Self {
        Self { version: 1, tokens: Vec::new(), revoked: RevokedJwts::default() }
    }
}

/// The version of a list, whatever else is in it.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Registry {
    /// Reads a list.
    ///
    /// # Errors
    /// It is none of ours.
    pub fn parse(text: &[u8]) -> Result<Self, RegistryError> {
        let Versioned { version } = serde_json::from_slice(text)?;
        if !(1..=FORM_MAX).contains(&version) {
            return Err(RegistryError::Version(version));
        }
        let mut registry: Self = serde_json::from_slice(text)?;
        if registry.tokens.len() > limits::TOKENS_MAX {
            return Err(RegistryError::TooMany);
        }
        let (mut ids, mut digests) = (HashSet::new(), HashSet::new());
        for token in &registry.tokens {
            if !ids.insert(&token.id) || !digests.insert(token.digest) {
                return Err(RegistryError::Twice(token.id.to_string()));
            }
        }
        let revoked = registry.revoked.all();
        if revoked.len() > limits::JWT_REVOKED_MAX {
            return Err(RegistryError::TooManyRevoked);
        }
        let mut jtis = HashSet::new();
        if let Some(twice) = revoked.iter().find(|one| !jtis.insert(&one.jti)) {
            return Err(RegistryError::Twice(twice.jti.to_string()));
        }
        registry.set_form();
        Ok(registry)
    }

    /// The list as text.
    ///
    /// # Errors
    /// None that JSON can have.
    pub fn text(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The tokens, the oldest first.
    #[must_use]
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The JSON Web Tokens that are revoked.
    #[must_use]
    pub fn revoked(&self) -> &RevokedJwts {
        &self.revoked
    }

    /// Makes a token for somebody whose own rights are `by`, and its secret.
    ///
    /// # Errors
    /// It may not be like this.
    pub fn create(
        &mut self,
        new: NewToken,
        by: &Access,
        now_ms: u64,
    ) -> Result<(Token, Secret), TokenError> {
        check(&new)?;
        let rights = rights(&new.scopes, new.worker.as_ref());
        may_grant(by, &rights)?;
        let expires_at = new.lasts_ms.map(|lasts| now_ms.saturating_add(lasts));
        may_stand(by, &new, expires_at)?;
        // What ended long ago tells nobody anything any more.
        let kept = millis(limits::TOKEN_KEPT_AFTER_END);
        let over = |ends: u64| ends.saturating_add(kept) <= now_ms;
        self.tokens.retain(|token| !token.expires_at.is_some_and(over));
        if self.tokens.len() >= limits::TOKENS_MAX {
            return Err(TokenError::TooMany);
        }
        let secret = Secret::generate()?;
        let token = Token {
            // Not a part of the secret, nor of its digest: it may stand anywhere.
            id: Arc::from(format!("tok_{}", Secret::generate()?.digest().short())),
            digest: secret.digest(),
            name: new.name,
            scopes: new.scopes,
            approved: new.worker.is_none(),
            worker: new.worker,
            actor: new.actor,
            created_at: now_ms,
            expires_at,
            changed_at: now_ms,
        };
        self.tokens.push(token.clone());
        Ok((token, secret))
    }

    /// Takes a token back for somebody whose own rights are `by`.
    ///
    /// # Errors
    /// There is none with this id, or it opens what they could not grant.
    pub fn revoke(&mut self, id: &str, by: &Access) -> Result<Token, TokenError> {
        let found = self.tokens.iter().enumerate().find(|(_, token)| &*token.id == id);
        let (at, token) = found.ok_or_else(|| TokenError::Unknown(id.to_owned()))?;
        if let Some(beyond) = beyond(by, &token.rights()) {
            return Err(TokenError::RevokeBeyond(beyond));
        }
        Ok(self.tokens.remove(at))
    }

    /// Revokes a JSON Web Token. `expires_at` is when it would have ended, in Unix milliseconds; where
    /// that is not said it stays revoked for ever, as no bound is set to how long one may be good.
    ///
    /// # Errors
    /// It is over, or too many are revoked.
    pub fn revoke_jwt(
        &mut self,
        jti: Jti,
        expires_at: Option<u64>,
        now_ms: u64,
    ) -> Result<RevokedJwt, TokenError> {
        let revoked = self.revoked.add(jti, expires_at, now_ms)?;
        self.set_form();
        Ok(revoked)
    }

    fn set_form(&mut self) {
        self.version = if is_empty(&self.revoked) { 1 } else { FORM_MAX };
    }

    /// Approves a worker's token, which its holder has had no use of until now.
    ///
    /// # Errors
    /// There is none with this id, or it is not a worker's.
    pub fn approve(&mut self, id: &str, by: &Access, now_ms: u64) -> Result<Token, TokenError> {
        let found = self.tokens.iter_mut().find(|token| &*token.id == id);
        let token = found.ok_or_else(|| TokenError::Unknown(id.to_owned()))?;
        if token.worker.is_none() {
            return Err(TokenError::NoWorker(id.to_owned()));
        }
        may_grant(by, &token.rights())?;
        if !token.approved {
            (token.approved, token.changed_at) = (true, now_ms);
        }
        Ok(token.clone())
    }
}

impl Token {
    /// What its holder may do.
    #[must_use]
    pub fn rights(&self) -> Rights {
        rights(&self.scopes, self.worker.as_ref())
    }
}

fn rights(scopes: &Scopes, worker: Option<&Worker>) -> Rights {
    worker.map_or_else(
        || Rights::Scopes(scopes.clone()),
        |worker| Rights::Worker(Arc::clone(worker.name())),
    )
}

fn check(new: &NewToken) -> Result<(), TokenError> {
    match (&new.worker, new.scopes.is_empty()) {
        (None, true) => return Err(TokenError::OpensNothing),
        (Some(_), false) => return Err(TokenError::WorkerWithScopes),
        _ => {}
    }
    if new.scopes.len() > limits::SCOPES_MAX {
        return Err(TokenError::TooManyScopes);
    }
    let bad = |name: &String| {
        name.is_empty() || name.len() > limits::NAME_BYTES_MAX || name.contains(char::is_control)
    };
    if new.name.as_ref().is_some_and(bad) {
        return Err(TokenError::Name);
    }
    if new.lasts_ms.is_some_and(|lasts| lasts < 1_000) {
        return Err(TokenError::Lasts);
    }
    Ok(())
}

/// Whether somebody may grant this: nobody gives away more than they have.
fn may_grant(by: &Access, rights: &Rights) -> Result<(), TokenError> {
    beyond(by, rights).map_or(Ok(()), |beyond| Err(TokenError::Beyond(beyond)))
}

/// What of these rights somebody does not have themselves. Whoever lets everyone in has them all.
fn beyond(by: &Access, rights: &Rights) -> Option<String> {
    let ours = match by {
        Access::Everyone => return None,
        Access::Holder(grant) if !grant.revoked.is_cancelled() => &grant.rights,
        _ => return Some("anything".to_owned()),
    };
    let Rights::Scopes(ours) = ours else { return Some("anything".to_owned()) };
    match rights {
        Rights::Scopes(asked) => asked.iter().find(|one| !ours.cover(one)).map(ToString::to_string),
        Rights::Worker(worker) => {
            // Which sessions are a worker's is not known beforehand: it may be any of them.
            let own = format!("workers/{worker}");
            let needed = [Right::Read, Right::Write].into_iter().flat_map(|right| {
                ["sessions/*", &own].map(|paths| format!("{}:{paths}", right.as_str()))
            });
            let is_ours = |text: &String| text.parse().is_ok_and(|scope| ours.cover(&scope));
            needed.into_iter().find(|text| !is_ours(text))
        }
    }
}

/// Whether somebody may make a token that stands for this actor and ends then. It does not outlast
/// its maker's own, and who writes under one name makes no tokens that write under others; only
/// those who may do everything name whom they like.
fn may_stand(by: &Access, new: &NewToken, expires_at: Option<u64>) -> Result<(), TokenError> {
    let Access::Holder(grant) = by else { return Ok(()) };
    if grant.ends_ms.is_some_and(|ends| expires_at.is_none_or(|expires| expires > ends)) {
        return Err(TokenError::Beyond("what lasts longer than your own token".to_owned()));
    }
    let may_all = match (&grant.rights, "admin:**".parse()) {
        (Rights::Scopes(ours), Ok(all)) => ours.cover(&all),
        _ => false,
    };
    // The token of a worker writes as that worker.
    let is_as_worker = new.worker.is_some() && new.actor.is_none();
    match &grant.actor {
        Some(own) if !may_all && !is_as_worker => {
            let asked = new.actor.as_ref().and_then(Actor::json);
            let is_own = asked.as_deref() == Some(&**own);
            let other = || TokenError::Beyond("another actor than your own".to_owned());
            is_own.then_some(()).ok_or_else(other)
        }
        _ => Ok(()),
    }
}

fn is_empty(revoked: &RevokedJwts) -> bool {
    revoked.all().is_empty()
}

pub(super) fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::auth::Grant;

    fn scopes(texts: &[&str]) -> Scopes {
        Scopes::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn holder(rights: Rights) -> Access {
        Access::Holder(Arc::new(Grant {
            id: Arc::from("t"),
            rights,
            actor: None,
            ends_ms: None,
            revoked: CancellationToken::new(),
        }))
    }

    fn asked(texts: &[&str]) -> NewToken {
        NewToken { scopes: scopes(texts), ..NewToken::default() }
    }

    fn of_worker(name: &str) -> NewToken {
        NewToken { worker: Some(name.parse().unwrap()), ..NewToken::default() }
    }

    #[test]
    fn a_list_is_written_as_it_is_read_and_holds_no_secret() {
        let mut registry = Registry::default();
        let new = NewToken {
            name: Some("ci".to_owned()),
            actor: Some("user:u1".parse().unwrap()),
            lasts_ms: Some(5_000),
            ..asked(&["read:sessions/*"])
        };
        let (token, secret) = registry.create(new, &Access::Everyone, 1_000).unwrap();
        registry.create(of_worker("w1"), &Access::Everyone, 2_000).unwrap();
        assert_eq!((token.created_at, token.expires_at), (1_000, Some(6_000)));
        assert_eq!(token.digest, secret.digest());
        let text = registry.text().unwrap();
        assert_eq!(Registry::parse(&text).unwrap(), registry);
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains(secret.text()) && !text.contains(super::super::secret::PREFIX));
    }

    #[test]
    fn a_list_with_anything_wrong_in_it_is_no_list() {
        let mut registry = Registry::default();
        registry.create(asked(&["read:a"]), &Access::Everyone, 0).unwrap();
        let good = String::from_utf8(registry.text().unwrap()).unwrap();
        for (wrong, says) in [
            (String::new(), "no list of tokens"),
            ("[]".to_owned(), "no list of tokens"),
            ("{\"version\":3,\"tokens\":7}".to_owned(), "form 3"),
            ("{\"version\":0,\"tokens\":7}".to_owned(), "form 0"),
            (good.replace("read:a", "red:a"), "no list of tokens"),
            (good.replace("approved", "aproved"), "no list of tokens"),
            (good.replace("createdAt\": 0", "createdAt\": -1"), "no list of tokens"),
        ] {
            assert_ne!(wrong, good);
            let error = Registry::parse(wrong.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let twice =
            Registry { tokens: [registry.tokens(), registry.tokens()].concat(), ..registry };
        let error = Registry::parse(&twice.text().unwrap()).unwrap_err();
        assert!(matches!(error, RegistryError::Twice(_)));
    }

    #[test]
    fn what_is_asked_for_wrongly_is_not_made() {
        let worker = || of_worker("w1");
        let named = |name: &str| NewToken { name: Some(name.to_owned()), ..asked(&["read:a"]) };
        for (new, error) in [
            (NewToken::default(), TokenError::OpensNothing),
            (NewToken { scopes: scopes(&["read:a"]), ..worker() }, TokenError::WorkerWithScopes),
            (asked(&["read:a"; 65]), TokenError::TooManyScopes),
            (named(""), TokenError::Name),
            (named("a\nb"), TokenError::Name),
            (NewToken { lasts_ms: Some(999), ..worker() }, TokenError::Lasts),
        ] {
            let mut registry = Registry::default();
            assert_eq!(registry.create(new, &Access::Everyone, 0).unwrap_err(), error);
            assert_eq!(registry, Registry::default());
        }
    }

    #[test]
    fn nobody_grants_more_than_they_have() {
        let tenant = holder(Rights::Scopes(scopes(&["admin:__server/tokens", "admin:sessions/*"])));
        let root = holder(Rights::Scopes(scopes(&["admin:**"])));
        let worker = holder(Rights::Worker(Arc::from("w1")));
        let beyond = |text: &str| Err(TokenError::Beyond(text.to_owned()));
        for (by, new, expected) in [
            (&tenant, asked(&["write:sessions/a"]), Ok(())),
            (&tenant, asked(&["write:sessions/a", "read:agents/a"]), beyond("read:agents/a")),
            (&tenant, asked(&["admin:**"]), beyond("admin:**")),
            (&tenant, of_worker("w2"), beyond("read:workers/w2")),
            (&root, asked(&["admin:**"]), Ok(())),
            (&root, of_worker("w2"), Ok(())),
            (&worker, asked(&["read:workers/w1"]), beyond("anything")),
            (&Access::default(), asked(&["admin:**"]), Ok(())),
        ] {
            let made = Registry::default().create(new, by, 0);
            assert_eq!(made.map(drop), expected);
        }
        let Access::Holder(grant) = &root else { unreachable!() };
        grant.revoked.cancel();
        let made = Registry::default().create(asked(&["read:a"]), &root, 0);
        assert_eq!(made.unwrap_err(), TokenError::Beyond("anything".to_owned()));
    }

    #[test]
    fn a_token_outlasts_its_makers_by_no_moment_and_stands_for_nobody_else() {
        let maker = |scope: &str, actor: Option<&str>, ends_ms| {
            let actor = actor.and_then(|actor| actor.parse::<Actor>().unwrap().json());
            let rights = Rights::Scopes(scopes(&[scope]));
            let revoked = CancellationToken::new();
            Access::Holder(Arc::new(Grant { id: Arc::from("t"), rights, actor, ends_ms, revoked }))
        };
        let new = |actor: Option<&str>, lasts_ms| {
            let actor = actor.map(|actor| actor.parse().unwrap());
            NewToken { actor, lasts_ms, ..asked(&["read:a"]) }
        };
        let (boss, victim) = (Some("user:boss"), Some("user:victim"));
        for (by, new, is_made) in [
            (maker("admin:a", None, Some(5_000)), new(None, Some(4_000)), true),
            (maker("admin:a", None, Some(5_000)), new(None, Some(4_001)), false),
            (maker("admin:a", None, Some(5_000)), new(None, None), false),
            (maker("admin:**", boss, Some(5_000)), new(victim, Some(4_000)), true),
            (maker("admin:a", None, None), new(victim, None), true),
            (maker("admin:a", boss, None), new(boss, None), true),
            (maker("admin:a", boss, None), new(victim, None), false),
            (maker("admin:a", boss, None), new(None, None), false),
        ] {
            let shown = format!("{by:?} {new:?}");
            assert_eq!(Registry::default().create(new, &by, 1_000).is_ok(), is_made, "{shown}");
        }
    }

    #[test]
    fn a_worker_is_approved_once_by_somebody_who_may() {
        let mut registry = Registry::default();
        let (token, _) = registry.create(of_worker("w1"), &Access::Everyone, 1).unwrap();
        assert!(!token.approved);
        let nobody = holder(Rights::Scopes(scopes(&["admin:__server/tokens"])));
        assert!(registry.approve(&token.id, &nobody, 2).is_err());
        let approved = registry.approve(&token.id, &Access::Everyone, 3).unwrap();
        assert!(approved.approved);
        let again = registry.approve(&token.id, &Access::Everyone, 4).unwrap();
        assert_eq!((approved.changed_at, again.changed_at), (3, 3));
        let (plain, _) = registry.create(asked(&["read:a"]), &Access::Everyone, 5).unwrap();
        assert!(plain.approved);
        let error = registry.approve(&plain.id, &Access::Everyone, 6).unwrap_err();
        assert_eq!(error, TokenError::NoWorker(plain.id.to_string()));
    }

    #[test]
    fn nobody_revokes_what_they_could_not_grant() {
        let mut registry = Registry::default();
        let (all, _) = registry.create(asked(&["admin:**"]), &Access::Everyone, 0).unwrap();
        let (worker, _) = registry.create(of_worker("w1"), &Access::Everyone, 0).unwrap();
        let (small, _) = registry.create(asked(&["read:a/b"]), &Access::Everyone, 0).unwrap();
        let some = holder(Rights::Scopes(scopes(&["admin:__server/tokens", "read:a/*"])));
        for (token, opens) in [(&all, "admin:**"), (&worker, "read:sessions/*")] {
            let error = registry.revoke(&token.id, &some).unwrap_err();
            assert_eq!(error, TokenError::RevokeBeyond(opens.to_owned()));
        }
        assert!(registry.revoke(&small.id, &holder(Rights::Worker(Arc::from("w1")))).is_err());
        assert_eq!(registry.tokens().len(), 3);
        registry.revoke(&small.id, &some).unwrap();
        registry.revoke(&worker.id, &holder(all.rights())).unwrap();
        registry.revoke(&all.id, &holder(all.rights())).unwrap();
        assert!(registry.tokens().is_empty());
    }

    #[test]
    fn a_token_goes_when_it_is_revoked_and_long_after_its_end() {
        let mut registry = Registry::default();
        let new = NewToken { lasts_ms: Some(1_000), ..asked(&["read:a"]) };
        let (ended, _) = registry.create(new, &Access::Everyone, 0).unwrap();
        let (other, _) = registry.create(asked(&["read:a"]), &Access::Everyone, 9_000).unwrap();
        assert_eq!(registry.tokens().len(), 2);
        assert_eq!(
            registry.revoke("tok_x", &Access::Everyone).unwrap_err(),
            TokenError::Unknown("tok_x".to_owned())
        );
        registry.revoke(&other.id, &Access::Everyone).unwrap();
        assert_eq!(registry.tokens(), [ended]);
        let late = 1_000 + millis(limits::TOKEN_KEPT_AFTER_END);
        let (third, _) = registry.create(asked(&["read:a"]), &Access::Everyone, late).unwrap();
        assert_eq!(registry.tokens(), [third]);
    }

    #[test]
    fn a_list_without_revoked_tokens_has_the_form_of_older_versions_and_one_with_them_has_not() {
        let old = br#"{"version":1,"tokens":[]}"#;
        let mut registry = Registry::parse(old).unwrap();
        assert_eq!(registry, Registry::default());
        registry.revoke_jwt("a".parse().unwrap(), Some(1), 0).unwrap();
        let text = registry.text().unwrap();
        assert_eq!(Registry::parse(&text).unwrap(), registry);
        let flat: String = String::from_utf8(text).unwrap().split_whitespace().collect();
        insta::assert_snapshot!(flat, @r#"{"version":2,"tokens":[],"revoked":[{"jti":"a","revokedAt":0,"expiresAt":1}]}"#);
        let late = 1 + millis(limits::JWT_LEEWAY);
        registry.revoke_jwt("b".parse().unwrap(), None, late).unwrap();
        assert_eq!(registry.revoked().all().len(), 1, "the first is over");
    }

    #[test]
    fn a_list_with_anything_wrong_in_what_is_revoked_is_no_list() {
        let list = |entries: &[&str]| {
            format!(r#"{{"version":2,"tokens":[],"revoked":[{}]}}"#, entries.join(","))
        };
        let one = r#"{"jti":"b","revokedAt":0}"#;
        assert!(Registry::parse(list(&[one]).as_bytes()).is_ok());
        for (wrong, says) in [
            (list(&[one]).replace("revokedAt", "at"), "no list of tokens"),
            (list(&[r#"{"jti":"","revokedAt":0}"#]), "a jti has 1 to 256 bytes"),
            (list(&[one, one]), "in it twice"),
            (list(&vec![one; limits::JWT_REVOKED_MAX + 1]), "more than 10000 tokens that are"),
        ] {
            let error = Registry::parse(wrong.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_is_an_error_and_never_an_empty_list(text in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Registry::parse(&text).is_err());
        }
    }
}
