//! The text of a token: made once, shown once, kept as a digest only.
//!
//! It is `sb_`, 256 random bits and a checksum, so that tools that look for leaked secrets find it
//! and do not take other texts for it: `sb_[A-Za-z0-9_-]{49}`. Invariant: nothing but the digest of
//! a secret is compared, stored or printed by the server.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom as _, SystemRandom},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// What every token of ours begins with.
pub(super) const PREFIX: &str = "sb_";
/// Characters of the random part, and behind it of its checksum.
const RANDOM_CHARS: usize = 43;
const CHECK_CHARS: usize = 6;

/// A secret that was just made. It is shown once, and not in debug output.
pub struct Secret(String);

/// The system gives no random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers for a token; look at /dev/urandom and try again")]
pub struct NoRandom;

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random bits.
    pub fn generate() -> Result<Self, NoRandom> {
        let mut bits = [0; 32];
        SystemRandom::new().fill(&mut bits).map_err(|_| NoRandom)?;
        let random = BASE64.encode(bits);
        Ok(Self(format!("{PREFIX}{random}{}", checksum(&random))))
    }

    /// The text, for the one who asked for it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whether a text has the form of our tokens and the right checksum. It says nothing about whether
/// a server knows it.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else { return false };
    let whole = rest.len() == RANDOM_CHARS + CHECK_CHARS;
    let parts = rest.split_at_checked(RANDOM_CHARS).filter(|_| whole);
    parts.is_some_and(|(random, check)| BASE64.decode(random).is_ok() && checksum(random) == check)
}

fn checksum(random: &str) -> String {
    BASE64.encode(crc32c::crc32c(random.as_bytes()).to_be_bytes())
}

/// The SHA-256 digest of a secret, in hexadecimal digits as text. Secrets are random, so a slow
/// hash would protect nothing and cost every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a text.
    #[must_use]
    pub fn of(text: impl AsRef<[u8]>) -> Self {
        Self(digest(&SHA256, text.as_ref()).as_ref().try_into().unwrap_or_default())
    }

    /// The first digits: enough to tell two holders apart in a log.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("a digest has 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_known_by_its_form_and_none_is_like_another() {
        let (one, other) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert!(is_token(one.text()) && is_token(other.text()));
        assert_ne!(one.text(), other.text());
        assert_eq!(one.text().len(), 52);
        assert!(one.text().starts_with("sb_"));
        assert_eq!(format!("{one:?}"), "Secret(…)");
    }

    #[test]
    fn a_digest_is_written_as_it_is_read() {
        let digest = Digest::of("abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(digest.short(), "ba7816bf8f01");
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        for wrong in ["", "ba", &"é".repeat(32), &"g".repeat(64), &"+1".repeat(32)] {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_token_with_another_character_anywhere_is_none(at in 0_usize..52, with in "[ -~]") {
            let text = Secret::generate().unwrap().text().to_owned();
            let mut changed = text.clone();
            changed.replace_range(at..=at, &with);
            prop_assert_eq!(is_token(&changed), changed == text);
        }

        #[test]
        fn other_texts_are_no_tokens(text in "(sb_)?.{0,60}") {
            prop_assert!(!is_token(&text));
        }
    }
}
