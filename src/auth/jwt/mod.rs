//! JSON Web Tokens (RFC 7519): from a signed text to what its holder may do.
//!
//! It refuses to know files and the clock. Invariants: what a key verifies with is said by the key,
//! never by the token; nothing in a token is believed before its signature was checked, but for
//! the choice of the key; a grant ends with its token, with its key or when its `jti` is revoked,
//! whichever is first.

use std::{collections::HashSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use parking_lot::{Mutex, RwLock};

use self::given::Given;
pub use self::{
    claims::{Claims, Header, JwtError, Rules},
    key::{Key, KeyError, Keys},
};
use super::{Digest, Grant, Jti, RevokedJwts};
use crate::limits;

mod claims;
mod der;
mod given;
mod key;

/// Grants of tokens that were checked, the ones not seen for longest forgotten first.
type Checked = lru::LruCache<Digest, Arc<Grant>>;

/// Checks JSON Web Tokens.
#[derive(Debug)]
pub struct Jwt {
    rules: Rules,
    keys: RwLock<Arc<Keys>>,
    held: Mutex<Held>,
}

/// What was found out. One lock for all of it: a token is revoked either before it is granted
/// anything, or after that can be found.
#[derive(Debug)]
struct Held {
    checked: Checked,
    given: Given,
    revoked: HashSet<Jti>,
}

impl Jwt {
    /// Checks tokens that one of `keys` has signed.
    #[must_use]
    pub fn new(rules: Rules, keys: Keys) -> Self {
        let held = Held {
            checked: Checked::new(limits::JWT_CHECKED_MAX),
            given: Given::default(),
            revoked: HashSet::new(),
        };
        Self { rules, keys: RwLock::new(Arc::new(keys)), held: Mutex::new(held) }
    }

    /// From now on these are the keys. What was granted by one that is not among them ends.
    pub fn replace(&self, keys: Keys) {
        let mut held = self.keys.write();
        let next = keys.keeping(&held);
        *held = Arc::new(next);
        drop(held);
        // Those of the keys that went are cancelled already, but take up room.
        self.held.lock().checked.clear();
    }

    /// From now on these tokens are revoked, and no others. What was granted for them ends.
    pub fn revoke(&self, revoked: &RevokedJwts) {
        let mut held = self.held.lock();
        held.revoked = revoked.all().iter().map(|one| one.jti.clone()).collect();
        let Held { checked, given, revoked } = &mut *held;
        given.end(revoked);
        let ended = checked.iter().filter(|(_, grant)| grant.revoked.is_cancelled());
        for digest in ended.map(|(digest, _)| *digest).collect::<Vec<_>>() {
            checked.pop(&digest);
        }
    }

    /// What the holder of a token may do whose signature was found right before. Whether that is
    /// still good is for whoever looks at grants.
    #[must_use]
    pub fn known(&self, digest: &Digest) -> Option<Arc<Grant>> {
        self.held.lock().checked.get(digest).cloned()
    }

    /// What the holder of a token may do at this time.
    ///
    /// # Errors
    /// Why they may do nothing: for the server's log, and for nobody else.
    pub fn check(&self, text: &str, digest: Digest, now_ms: u64) -> Result<Arc<Grant>, JwtError> {
        if let Some(grant) = self.known(&digest) {
            return Ok(grant);
        }
        let keys = Arc::clone(&self.keys.read());
        let (claims, key) = keys.verified(text)?;
        let grant = Arc::new(self.rules.grant(&claims, digest, key.revoked(), now_ms)?);
        let jti = claims.jti()?;
        let mut held = self.held.lock();
        if let Some(jti) = jti {
            if held.revoked.contains(&jti) {
                return Err(JwtError::Revoked);
            }
            held.given.note(jti, &grant);
        }
        held.checked.put(digest, Arc::clone(&grant));
        Ok(grant)
    }
}

/// Whether a text has the three parts of a JSON Web Token.
#[must_use]
pub fn is_jwt(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// What the holder of a token would be known by if its signature were right. Nothing has been
/// checked: this is a name to ask after, and no right.
#[must_use]
pub fn claimed_id(text: &str) -> Option<Arc<str>> {
    let body = text.split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&BASE64.decode(body).ok()?).ok()?;
    claims.id(Digest::of(text)).ok()
}

#[cfg(test)]
mod tests;
