//! Keys that JSON Web Tokens are checked with: one out of a file, or a set of them (RFC 7517).
//!
//! Invariants: a key has one algorithm, which its kind decides; no private key is ever held; in
//! debug output there is none of a secret.

use std::fmt;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64},
};
use ring::{
    hmac,
    signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey},
};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Claims, Header, JwtError, der};
use crate::{auth::Digest, limits};

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ED25519_KEY: &[u8] = &[0x2b, 0x65, 0x70];
/// A modulus of 2,048 bits, in bytes.
const MODULUS_BYTES_MIN: usize = 256;

/// Why a file holds no keys that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Too short to be safe.
    #[error(
        "the secret has {0} bytes and needs {min}; make one with `openssl rand -base64 48`",
        min = limits::JWT_SECRET_BYTES_MIN
    )]
    Short(usize),
    /// PEM of another kind.
    #[error(
        "a PEM file has to hold a PUBLIC KEY, and this one holds a {0}; take the public key out of \
         it with `openssl pkey -pubout` or `openssl x509 -pubkey -noout`"
    )]
    Pem(String),
    /// A public key of another kind.
    #[error("the public key is neither RSA of at least 2,048 bits (RS256) nor Ed25519 (EdDSA)")]
    Kind,
    /// Not a set of keys.
    #[error("it is no JSON Web Key Set: {0}")]
    Set(String),
    /// Private keys are not for servers that check.
    #[error("it holds a private key; give the server the public ones only")]
    Private,
    /// Nothing in it can be used.
    #[error("it holds no key for HS256, RS256 or EdDSA that may check signatures")]
    Empty,
    /// Too long a list.
    #[error("it holds more than {} keys; take out old ones", limits::JWT_KEYS_MAX)]
    TooMany,
}

/// What signatures are checked with.
enum Material {
    Secret(hmac::Key),
    /// As in the file: an `RSAPublicKey` (RFC 8017, appendix A.1.1).
    RsaDer(Vec<u8>),
    RsaParts(RsaPublicKeyComponents<Vec<u8>>),
    Ed25519(Vec<u8>),
}

/// A key.
pub struct Key {
    kid: Option<String>,
    material: Material,
    /// Tells keys apart that say the same of themselves.
    digest: Digest,
    /// Cancelled when the key is taken away.
    revoked: CancellationToken,
}

/// The keys of a server.
#[derive(Debug)]
pub struct Keys(Vec<Key>);

/// A key of a set, as far as it is looked at.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    k: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    d: Option<Value>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

impl Material {
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Secret(_) => "HS256",
            Self::RsaDer(_) | Self::RsaParts(_) => "RS256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Self::RsaDer(key) => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
                .verify(message, signature)
                .is_ok(),
            Self::RsaParts(key) => {
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            Self::Ed25519(key) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
            }
        }
    }
}

impl Key {
    fn new(kid: Option<String>, material: Material, bytes: &[&[u8]]) -> Self {
        let bytes: Vec<String> = bytes.iter().map(|part| BASE64.encode(part)).collect();
        let said = format!("{} {kid:?} {}", material.algorithm(), bytes.join("."));
        let digest = Digest::of(&said);
        Self { kid, material, digest, revoked: CancellationToken::new() }
    }

    /// The key of a file: a public key in PEM, or else the bytes of a secret, without the line
    /// break that editors put behind it.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn parse(file: &[u8]) -> Result<Self, KeyError> {
        if file.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Self::of_pem(&String::from_utf8_lossy(file));
        }
        let secret = file.strip_suffix(b"\n").unwrap_or(file);
        Self::of_secret(None, secret.strip_suffix(b"\r").unwrap_or(secret))
    }

    fn of_secret(kid: Option<String>, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < limits::JWT_SECRET_BYTES_MIN {
            return Err(KeyError::Short(secret.len()));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Ok(Self::new(kid, Material::Secret(key), &[secret]))
    }

    fn of_pem(text: &str) -> Result<Self, KeyError> {
        let label = text.trim_start().strip_prefix("-----BEGIN ").unwrap_or_default();
        let (label, rest) = label.split_once("-----").unwrap_or_default();
        let of_another_kind = || KeyError::Pem(label.chars().take(40).collect());
        let end = format!("-----END {label}-----");
        let (body, _) = rest.split_once(&end).ok_or_else(of_another_kind)?;
        let body: String = body.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| of_another_kind())?;
        let (id, key) = match label {
            "PUBLIC KEY" => der::public_key(&der).ok_or(KeyError::Kind)?,
            "RSA PUBLIC KEY" => (RSA_ENCRYPTION, &*der),
            _ => return Err(of_another_kind()),
        };
        let material = match id {
            RSA_ENCRYPTION if key.len() > MODULUS_BYTES_MIN => Material::RsaDer(key.to_vec()),
            ED25519_KEY if key.len() == 32 => Material::Ed25519(key.to_vec()),
            _ => return Err(KeyError::Kind),
        };
        Ok(Self::new(None, material, &[key]))
    }

    /// A key of a set; none where it is for something else.
    fn of_jwk(jwk: &Value) -> Result<Option<Self>, KeyError> {
        let Jwk { kty, kid, alg, usage, crv, k, n, e, x, d } =
            Jwk::deserialize(jwk).map_err(|error| KeyError::Set(error.to_string()))?;
        if d.is_some() {
            return Err(KeyError::Private);
        }
        let is_for = |algorithm: &str| alg.as_deref().is_none_or(|alg| alg == algorithm);
        if usage.is_some_and(|usage| usage != "sig") {
            return Ok(None);
        }
        let bytes = |text: Option<String>, name: &str| {
            let bytes = text.and_then(|text| BASE64.decode(text.trim_end_matches('=')).ok());
            bytes.ok_or_else(|| KeyError::Set(format!("a key has no {name:?} in base64url")))
        };
        match (kty.as_str(), crv.as_deref()) {
            ("oct", _) if is_for("HS256") => Self::of_secret(kid, &bytes(k, "k")?).map(Some),
            ("RSA", _) if is_for("RS256") => {
                let (n, e) = (bytes(n, "n")?, bytes(e, "e")?);
                // Some write a zero in front of numbers, which ring does not take.
                let zeros = n.iter().take_while(|byte| **byte == 0).count();
                let n = n.get(zeros..).unwrap_or_default().to_vec();
                if n.len() < MODULUS_BYTES_MIN {
                    return Err(KeyError::Kind);
                }
                let parts = RsaPublicKeyComponents { n: n.clone(), e: e.clone() };
                Ok(Some(Self::new(kid, Material::RsaParts(parts), &[&n, &e])))
            }
            ("OKP", Some("Ed25519")) if is_for("EdDSA") || is_for("Ed25519") => {
                let x = bytes(x, "x")?;
                if x.len() != 32 {
                    return Err(KeyError::Kind);
                }
                Ok(Some(Self::new(kid, Material::Ed25519(x.clone()), &[&x])))
            }
            _ => Ok(None),
        }
    }

    /// Cancelled when the key is taken away.
    #[must_use]
    pub fn revoked(&self) -> &CancellationToken {
        &self.revoked
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Key");
        shown.field("kid", &self.kid).field("alg", &self.material.algorithm());
        shown.finish_non_exhaustive()
    }
}

impl Keys {
    /// One key, whatever tokens call it.
    #[must_use]
    pub fn one(key: Key) -> Self {
        Self(vec![key])
    }

    /// The keys of a JSON Web Key Set. Those for other uses and of other kinds are left out.
    ///
    /// # Errors
    /// It is none, one of its keys is broken, or none can be used.
    pub fn parse(file: &[u8]) -> Result<Self, KeyError> {
        let set: Jwks =
            serde_json::from_slice(file).map_err(|error| KeyError::Set(error.to_string()))?;
        if set.keys.len() > limits::JWT_KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let keys: Result<Vec<_>, _> =
            set.keys.iter().filter_map(|jwk| Key::of_jwk(jwk).transpose()).collect();
        let keys = keys?;
        if keys.is_empty() { Err(KeyError::Empty) } else { Ok(Self(keys)) }
    }

    /// Whether one of them is a secret, with which tokens can be signed as well as checked.
    #[must_use]
    pub fn have_secret(&self) -> bool {
        self.0.iter().any(|key| matches!(key.material, Material::Secret(_)))
    }

    /// These keys, as they were where they were among `before`; the others of those are revoked.
    pub(super) fn keeping(mut self, before: &Self) -> Self {
        for old in &before.0 {
            match self.0.iter_mut().find(|new| new.digest == old.digest) {
                Some(new) => new.revoked = old.revoked.clone(),
                None => old.revoked.cancel(),
            }
        }
        self
    }

    /// What a token says, and the key that has signed it.
    pub(super) fn verified(&self, text: &str) -> Result<(Claims, &Key), JwtError> {
        let (message, signature) = text.rsplit_once('.').ok_or(JwtError::Form)?;
        let (head, body) = message.split_once('.').ok_or(JwtError::Form)?;
        let bytes = |text: &str| BASE64.decode(text).map_err(|_| JwtError::Form);
        let header: Header = serde_json::from_slice(&bytes(head)?).map_err(|_| JwtError::Form)?;
        if header.crit.is_some() {
            return Err(JwtError::Extension);
        }
        let signature = bytes(signature)?;
        let is_named = |key: &&Key| match (&key.kid, &header.kid) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        let fits = |key: &&Key| is_named(key) && key.material.algorithm() == header.alg;
        let mut fitting = self.0.iter().filter(fits).peekable();
        if fitting.peek().is_none() {
            return Err(JwtError::NoKey { alg: header.alg.clone(), kid: header.kid.clone() });
        }
        let signer = fitting.find(|key| key.material.has_signed(message.as_bytes(), &signature));
        let signer = signer.ok_or(JwtError::Signature)?;
        let claims = serde_json::from_slice(&bytes(body)?).map_err(|_| JwtError::Form)?;
        Ok((claims, signer))
    }
}
