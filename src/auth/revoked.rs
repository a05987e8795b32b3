//! The JSON Web Tokens that were revoked before their end: which, since when and until when. Pure.
//!
//! It refuses to know signatures and what such a token opens. Invariants: what is in the list opens
//! nothing, whatever the clock says; nothing leaves it before its end, and no end comes nearer, for
//! that would let a token in again that somebody had shut out.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{TokenError, registry::millis};
use crate::limits;

/// The name that an issuer gave to one JSON Web Token, its claim `jti`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Jti(Arc<str>);

/// A JSON Web Token that was revoked. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokedJwt {
    /// Which.
    pub jti: Jti,
    /// When it was.
    pub revoked_at: u64,
    /// When it would have ended by itself; never, where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// All that were, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevokedJwts(Vec<RevokedJwt>);

impl FromStr for Jti {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let good = (1..=limits::JTI_BYTES_MAX).contains(&text.len());
        let good = good && !text.contains(char::is_control);
        good.then(|| Self(Arc::from(text))).ok_or(TokenError::Jti)
    }
}

impl TryFrom<String> for Jti {
    type Error = TokenError;

    fn try_from(text: String) -> Result<Self, TokenError> {
        text.parse()
    }
}

impl From<Jti> for String {
    fn from(jti: Jti) -> Self {
        jti.0.as_ref().to_owned()
    }
}

impl fmt::Display for Jti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RevokedJwts {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[RevokedJwt] {
        &self.0
    }

    /// Puts one into the list, which those that are over leave. One that is there already stays
    /// until the later of both ends: who may revoke need not have what the token opens.
    pub(super) fn add(
        &mut self,
        jti: Jti,
        expires_at: Option<u64>,
        now_ms: u64,
    ) -> Result<RevokedJwt, TokenError> {
        if is_over(expires_at, now_ms) {
            return Err(TokenError::Over);
        }
        self.0.retain(|one| !is_over(one.expires_at, now_ms));
        if let Some(known) = self.0.iter_mut().find(|one| one.jti == jti) {
            known.expires_at = known.expires_at.zip(expires_at).map(|(one, other)| one.max(other));
            return Ok(known.clone());
        }
        if self.0.len() >= limits::JWT_REVOKED_MAX {
            return Err(TokenError::TooManyRevoked);
        }
        let revoked = RevokedJwt { jti, revoked_at: now_ms, expires_at };
        self.0.push(revoked.clone());
        Ok(revoked)
    }
}

/// Whether no such token can be good any more, the leeway of its `exp` included.
fn is_over(expires_at: Option<u64>, now_ms: u64) -> bool {
    expires_at.is_some_and(|ends| ends.saturating_add(millis(limits::JWT_LEEWAY)) <= now_ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEEWAY_MS: u64 = 30_000;

    fn jti(text: &str) -> Jti {
        text.parse().unwrap()
    }

    fn names(list: &RevokedJwts) -> Vec<String> {
        list.all().iter().map(|one| one.jti.to_string()).collect()
    }

    #[test]
    fn a_name_is_one_that_can_be_listed() {
        let long = "a".repeat(limits::JTI_BYTES_MAX);
        for good in ["a", "6f1c-4e", "ü {}", &long] {
            assert_eq!(jti(good).to_string(), good);
        }
        for bad in ["", "a\nb", "\u{1b}[2J", &format!("{long}a")] {
            assert_eq!(bad.parse::<Jti>().unwrap_err(), TokenError::Jti, "{bad:?}");
        }
    }

    #[test]
    fn what_is_over_is_refused_and_leaves_the_list_and_what_has_no_end_stays() {
        let mut list = RevokedJwts::default();
        list.add(jti("ends"), Some(1_000), 500).unwrap();
        list.add(jti("never"), None, 600).unwrap();
        let last = 1_000 + LEEWAY_MS - 1;
        list.add(jti("next"), Some(last), last).unwrap();
        assert_eq!(names(&list), ["ends", "never", "next"]);
        // Seconds, as they stand in `exp`, are long ago.
        let error = list.add(jti("late"), Some(1_000), last + 1).unwrap_err();
        assert_eq!((error, list.all().len()), (TokenError::Over, 3));
        list.add(jti("late"), Some(1_001), last + 1).unwrap();
        assert_eq!(names(&list), ["never", "next", "late"]);
    }

    #[test]
    fn a_full_list_takes_no_more_until_some_are_over_and_knows_those_it_has() {
        let mut list = RevokedJwts::default();
        for n in 0..limits::JWT_REVOKED_MAX {
            list.0.push(RevokedJwt { jti: jti(&n.to_string()), revoked_at: 0, expires_at: None });
        }
        assert_eq!(list.add(jti("x"), None, 0).unwrap_err(), TokenError::TooManyRevoked);
        assert_eq!(list.add(jti("7"), Some(9), 0).unwrap().expires_at, None);
        list.0[3].expires_at = Some(1);
        list.add(jti("x"), None, 1 + LEEWAY_MS).unwrap();
        assert_eq!(list.all().len(), limits::JWT_REVOKED_MAX);
    }

    proptest! {
        #[test]
        fn no_end_ever_comes_nearer(ends in prop::collection::vec(prop::option::of(0..10_000u64), 1..6)) {
            let mut list = RevokedJwts::default();
            let mut latest = Some(0);
            for end in ends {
                latest = latest.zip(end).map(|(one, other): (u64, u64)| one.max(other));
                let noted = list.add(jti("a"), end, 0).unwrap();
                prop_assert_eq!(noted.expires_at, latest);
                prop_assert_eq!(list.all(), &[noted][..]);
            }
        }
    }
}
