//! JSON Web Tokens (RFC 7519): from a signed text to what its holder may do.
//!
//! It refuses to know files and the clock. Invariants: what a key verifies with is said by the key,
//! never by the token; nothing in a token is believed before its signature was checked, but for
//! the choice of the key; a grant ends with its token or with its key, whichever is first.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use parking_lot::{Mutex, RwLock};

pub use self::{
    claims::{Claims, Header, JwtError, Rules},
    key::{Key, KeyError, Keys},
};
use super::{Digest, Grant};
use crate::limits;

mod claims;
mod der;
mod key;

/// Grants of tokens that were checked, the ones not seen for longest forgotten first.
type Checked = lru::LruCache<Digest, Arc<Grant>>;

/// Checks JSON Web Tokens.
#[derive(Debug)]
pub struct Jwt {
    rules: Rules,
    keys: RwLock<Arc<Keys>>,
    checked: Mutex<Checked>,
}

impl Jwt {
    /// Checks tokens that one of `keys` has signed.
    #[must_use]
    pub fn new(rules: Rules, keys: Keys) -> Self {
        let checked = Mutex::new(Checked::new(limits::JWT_CHECKED_MAX));
        Self { rules, keys: RwLock::new(Arc::new(keys)), checked }
    }

    /// From now on these are the keys. What was granted by one that is not among them ends.
    pub fn replace(&self, keys: Keys) {
        let mut held = self.keys.write();
        let next = keys.keeping(&held);
        *held = Arc::new(next);
        drop(held);
        // Those of the keys that went are cancelled already, but take up room.
        self.checked.lock().clear();
    }

    /// What the holder of a token may do whose signature was found right before. Whether that is
    /// still good is for whoever looks at grants.
    #[must_use]
    pub fn known(&self, digest: &Digest) -> Option<Arc<Grant>> {
        self.checked.lock().get(digest).cloned()
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
        self.checked.lock().put(digest, Arc::clone(&grant));
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
