//! The keys of a server's subscriptions: one that signs the requests to webhooks, and one behind
//! the tokens of workers.
//!
//! They are a record of the stream `__ds/keys`, which no request can name. Invariant: once a key
//! has signed something, it is durable; the secret halves leave this file only into that record.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::{
    digest, hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The keys of a server.
pub struct Keys {
    pair: Ed25519KeyPair,
    tokens: hmac::Key,
    public: String,
    kid: Arc<str>,
}

/// The keys as they are recorded.
#[derive(Serialize, Deserialize)]
pub(super) struct KeysRecord {
    created_ms: u64,
    signing_seed: String,
    token_secret: String,
}

/// A record of keys that holds none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record of the server's keys holds none")]
pub(super) struct NoKeys;

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl KeysRecord {
    /// New keys.
    pub(super) fn generate(now_ms: u64) -> Self {
        let random = || BASE64.encode(rand::random::<[u8; 32]>());
        Self { created_ms: now_ms, signing_seed: random(), token_secret: random() }
    }
}

impl Keys {
    /// The keys of a record.
    pub(super) fn of(record: &KeysRecord) -> Result<Self, NoKeys> {
        let bytes = |text: &str| BASE64.decode(text).map_err(|_| NoKeys);
        let seed = bytes(&record.signing_seed)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| NoKeys)?;
        let secret = bytes(&record.token_secret)?;
        if secret.len() < 32 {
            return Err(NoKeys);
        }
        let public = BASE64.encode(pair.public_key());
        let kid = format!("ds_{}", thumbprint(&public)).into();
        Ok(Self { pair, tokens: hmac::Key::new(hmac::HMAC_SHA256, &secret), public, kid })
    }

    /// Name of the signing key.
    #[must_use]
    pub fn kid(&self) -> &Arc<str> {
        &self.kid
    }

    /// The public half, as a set of JSON Web Keys (RFC 7517, RFC 8037).
    #[must_use]
    pub fn jwks(&self) -> Value {
        json!({ "keys": [{
            "kty": "OKP",
            "crv": "Ed25519",
            "kid": self.kid,
            "use": "sig",
            "alg": "EdDSA",
            "x": self.public,
        }] })
    }

    /// The value of `Webhook-Signature` for a body sent at a time, Unix seconds (protocol,
    /// section 7.1).
    #[must_use]
    pub fn sign(&self, body: &[u8], seconds: u64) -> String {
        let mut signed = format!("{seconds}.").into_bytes();
        signed.extend_from_slice(body);
        let signature = BASE64.encode(self.pair.sign(&signed));
        format!("t={seconds},kid={},ed25519={signature}", self.kid)
    }

    /// The token of a worker, good for one generation of one subscription.
    #[must_use]
    pub fn token(&self, id: &str, salt: u64, generation: u64) -> String {
        let tag = hmac::sign(&self.tokens, claims(id, salt, generation).as_bytes());
        format!("{generation}.{}", BASE64.encode(tag))
    }

    /// The generation a token was given for; `None` where it was given for something else, or
    /// not by this server. Takes the same time however wrong the token is.
    #[must_use]
    pub fn generation(&self, token: &str, id: &str, salt: u64) -> Option<u64> {
        let (generation, tag) = token.split_once('.')?;
        let generation = generation.parse().ok()?;
        let tag = BASE64.decode(tag).ok()?;
        let claims = claims(id, salt, generation);
        hmac::verify(&self.tokens, claims.as_bytes(), &tag).ok().map(|()| generation)
    }
}

fn claims(id: &str, salt: u64, generation: u64) -> String {
    format!("worker\n{id}\n{salt}\n{generation}")
}

/// Names a key after what it is (RFC 7638).
fn thumbprint(public: &str) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}"#);
    BASE64.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    fn keys() -> Keys {
        Keys::of(&KeysRecord::generate(1)).unwrap()
    }

    #[test]
    fn a_signature_is_verified_with_the_public_key_of_its_name() {
        let keys = keys();
        let header = keys.sign(b"{\"a\":1}", 1_795_200_000);
        let (_, signature) = header.split_once(",ed25519=").unwrap();
        assert!(header.starts_with(&format!("t=1795200000,kid={},", keys.kid())), "{header}");
        let jwks = keys.jwks();
        let public = BASE64.decode(jwks["keys"][0]["x"].as_str().unwrap()).unwrap();
        let verify = |signed: &[u8]| {
            let signature = BASE64.decode(signature).unwrap();
            UnparsedPublicKey::new(&ED25519, &public).verify(signed, &signature).is_ok()
        };
        assert!(verify(b"1795200000.{\"a\":1}"));
        assert!(!verify(b"1795200001.{\"a\":1}"));
    }

    #[test]
    fn the_name_of_a_key_is_its_thumbprint() {
        // RFC 8037, appendix A.3.
        let thumbprint = thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(thumbprint, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn keys_come_back_from_their_record() {
        let record = KeysRecord::generate(1);
        let text = serde_json::to_string(&record).unwrap();
        let again = Keys::of(&serde_json::from_str(&text).unwrap()).unwrap();
        let first = Keys::of(&record).unwrap();
        assert_eq!(first.kid(), again.kid());
        assert_eq!(again.generation(&first.token("a", 1, 2), "a", 1), Some(2));
        assert!(!format!("{first:?}").contains(&record.signing_seed));
    }

    #[test]
    fn a_token_is_good_for_one_generation_of_one_subscription_of_one_server() {
        let keys = keys();
        let stranger = Keys::of(&KeysRecord::generate(1)).unwrap();
        let token = keys.token("a", 1, 7);
        assert_eq!(keys.generation(&token, "a", 1), Some(7));
        assert_eq!(keys.generation(&token, "b", 1), None);
        assert_eq!(keys.generation(&token, "a", 2), None);
        let (_, tag) = token.split_once('.').unwrap();
        assert_eq!(keys.generation(&format!("8.{tag}"), "a", 1), None);
        assert_eq!(stranger.generation(&token, "a", 1), None);
        for text in ["", ".", "7.", "7", "7.é", "x.AAAA", "99999999999999999999.AAAA"] {
            assert_eq!(keys.generation(text, "a", 1), None, "{text}");
        }
    }
}
