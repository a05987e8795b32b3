//! From what a request presents to what its sender may do.
//!
//! Grants are found by the digest of their secret, so that no comparison takes longer for a
//! secret that is nearly right.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use ring::digest::{SHA256, digest};

use super::{Access, Denied, Grant};

/// The digest of a secret.
type Digest = [u8; 32];
/// What the holders of secrets may do.
type Grants = HashMap<Digest, Arc<Grant>>;

/// Knows who holds which token. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// None where the server asks nobody who they are.
    held: Option<Arc<RwLock<Grants>>>,
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
        Self { held: Some(Arc::default()) }
    }

    /// Whether it asks who somebody is.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.held.is_some()
    }

    /// Lets the holder of a secret do what is granted.
    pub fn grant(&self, secret: &str, grant: Grant) {
        if let Some(held) = &self.held {
            held.write().insert(digest_of(secret), Arc::new(grant));
        }
    }

    /// What the sender of a request may do that presents this, at this time.
    #[must_use]
    pub fn check(&self, presented: Option<&str>, now_ms: u64) -> Access {
        let Some(held) = &self.held else { return Access::Everyone };
        let Some(secret) = presented else { return Access::Nobody(Denied::Missing) };
        let found = held.read().get(&digest_of(secret)).cloned();
        let in_time = |grant: &Arc<Grant>| grant.ends_ms.is_none_or(|ends| now_ms < ends);
        let grant = found.filter(in_time).filter(|grant| !grant.revoked.is_cancelled());
        grant.map_or(Access::Nobody(Denied::Invalid), Access::Holder)
    }
}

fn digest_of(secret: &str) -> Digest {
    digest(&SHA256, secret.as_bytes()).as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::auth::{Rights, Scopes};

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
        assert!(matches!(guard.check(Some("s"), 10), Access::Nobody(Denied::Invalid)));
        assert!(matches!(guard.check(Some("S"), 9), Access::Nobody(Denied::Invalid)));
        assert!(matches!(guard.check(None, 9), Access::Nobody(Denied::Missing)));
        revoked.cancel();
        assert!(matches!(guard.check(Some("s"), 9), Access::Nobody(Denied::Invalid)));
        assert!(matches!(Guard::off().check(None, 0), Access::Everyone));
    }
}
