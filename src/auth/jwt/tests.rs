//! Tokens of each algorithm, each claim wrong once, and rubbish.

use std::sync::Arc;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64},
};
use proptest::prelude::*;
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Value, json};

use super::*;
use crate::auth::{Right, Rights, Scope, Verdict, access::Access};

const NOW_MS: u64 = 1_795_200_000_000;
const NOW: u64 = NOW_MS / 1_000;
const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";
const RSA_PUBLIC: &[u8] = include_bytes!("../../../fixtures/jwt/rsa-public.pem");
const ED25519_PUBLIC: &[u8] = include_bytes!("../../../fixtures/jwt/ed25519-public.pem");

fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).unwrap()
}

fn ed25519() -> Ed25519KeyPair {
    let pem = include_str!("../../../fixtures/jwt/ed25519-private.pem");
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der(pem)).unwrap()
}

fn signature(alg: &str, message: &[u8]) -> Vec<u8> {
    match alg {
        "HS256" => {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), message).as_ref().to_vec()
        }
        "RS256" => {
            let pem = include_str!("../../../fixtures/jwt/rsa-private.pem");
            let pair = RsaKeyPair::from_pkcs8(&der(pem)).unwrap();
            let mut signature = vec![0; pair.public().modulus_len()];
            let random = SystemRandom::new();
            pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
            signature
        }
        "EdDSA" => ed25519().sign(message).as_ref().to_vec(),
        _ => Vec::new(),
    }
}

fn signed_with(alg: &str, header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|json| BASE64.encode(json.to_string()));
    let message = format!("{header}.{claims}");
    let signature = BASE64.encode(signature(alg, message.as_bytes()));
    format!("{message}.{signature}")
}

fn signed(claims: &Value) -> String {
    signed_with("HS256", &json!({"alg": "HS256", "typ": "JWT"}), claims)
}

/// Claims that open something, with others in their place.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://id.example", "sub": "u1", "aud": "log", "exp": NOW + 60,
        "scope": "openid read:sessions/*",
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn rules() -> Rules {
    Rules {
        audience: "log".to_owned(),
        issuer: Some("https://id.example".to_owned()),
        scope_claim: "scope".to_owned(),
    }
}

fn of(key: &[u8]) -> Jwt {
    Jwt::new(rules(), Keys::one(Key::parse(key).unwrap()))
}

fn check(jwt: &Jwt, token: &str) -> Result<Arc<Grant>, JwtError> {
    jwt.check(token, Digest::of(token), NOW_MS)
}

fn may(grant: &Arc<Grant>, right: Right, path: &str) -> bool {
    Access::Holder(Arc::clone(grant)).may(right, path) == Verdict::Yes
}

#[test]
fn a_token_of_each_algorithm_opens_what_its_scopes_say() {
    for (alg, key) in [("HS256", SECRET), ("RS256", RSA_PUBLIC), ("EdDSA", ED25519_PUBLIC)] {
        let token = signed_with(alg, &json!({"alg": alg}), &claims(&json!({})));
        let grant = check(&of(key), &token).unwrap();
        assert!(may(&grant, Right::Read, "sessions/a"), "{alg}");
        assert!(!may(&grant, Right::Write, "sessions/a"), "{alg}");
        assert_eq!(&*grant.id, "jwt:u1");
        assert_eq!(grant.actor.as_deref(), Some(r#"{"kind":"user","id":"u1"}"#));
        assert_eq!(grant.ends_ms, Some(NOW_MS + 90_000));
        // One bit of the message or of the signature, and it opens nothing.
        for at in [token.len() - 10, token.find('.').unwrap() + 5] {
            let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut changed = token.clone();
            changed.replace_range(at..=at, other);
            assert_eq!(check(&of(key), &changed).unwrap_err(), JwtError::Signature, "{alg}");
        }
    }
}

#[test]
fn the_examples_of_the_standards_are_read_as_they_are_meant() {
    let body = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    // RFC 7515, appendix A.1 and A.2: tokens of the year 2011.
    let hs256 = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{body}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let rs256 = format!(
        "eyJhbGciOiJSUzI1NiJ9.{body}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    // RFC 8037, appendix A.4: the message is no JSON, which is found out after its signature.
    let eddsa = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let set = json!({"keys": [
        {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
        {"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"},
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    ]});
    let jwt = Jwt::new(rules(), Keys::parse(set.to_string().as_bytes()).unwrap());
    for token in [hs256, rs256] {
        assert_eq!(check(&jwt, &token).unwrap_err(), JwtError::Expired);
        let earlier = jwt.check(&token, Digest::of(&token), 1_300_819_379_000);
        assert_eq!(earlier.unwrap_err(), JwtError::Audience);
    }
    assert_eq!(check(&jwt, eddsa).unwrap_err(), JwtError::Form);
}

#[test]
fn the_key_says_what_is_checked_and_the_token_does_not() {
    let no_key = |alg: &str| JwtError::NoKey { alg: alg.to_owned(), kid: None };
    let good = claims(&json!({}));
    for alg in ["none", "None", "HS512", "RS512", "PS256", "ES256", ""] {
        for key in [SECRET, RSA_PUBLIC, ED25519_PUBLIC] {
            let token = signed_with("none", &json!({"alg": alg}), &good);
            assert_eq!(check(&of(key), &token).unwrap_err(), no_key(alg), "{alg}");
        }
    }
    // A public key is known to everybody: it must never be taken for a secret.
    let message =
        [json!({"alg": "HS256"}), good.clone()].map(|json| BASE64.encode(json.to_string()));
    let message = message.join(".");
    for secret in [RSA_PUBLIC.to_vec(), der(std::str::from_utf8(RSA_PUBLIC).unwrap())] {
        let forged = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
        let token = format!("{message}.{}", BASE64.encode(forged));
        assert_eq!(check(&of(RSA_PUBLIC), &token).unwrap_err(), no_key("HS256"));
    }
    // The right key and the wrong word for it.
    let token = signed_with("RS256", &json!({"alg": "EdDSA"}), &good);
    assert_eq!(check(&of(ED25519_PUBLIC), &token).unwrap_err(), JwtError::Signature);
    assert_eq!(check(&of(RSA_PUBLIC), &token).unwrap_err(), no_key("EdDSA"));
    let token =
        signed_with("HS256", &json!({"alg": "HS256", "crit": ["b64"], "b64": false}), &good);
    assert_eq!(check(&of(SECRET), &token).unwrap_err(), JwtError::Extension);
    for part in [".", "..", "a.b", "e30.e30", "e30.e30.", "=.e30.e30", " "] {
        assert_eq!(check(&of(SECRET), part).unwrap_err(), JwtError::Form, "{part}");
    }
}

#[test]
fn a_claim_that_is_wrong_or_missing_opens_nothing() {
    let claim = |name: &str| JwtError::Claim(name.to_owned());
    let many: Vec<_> = (0..65).map(|n| format!("read:s/{n}")).collect();
    let star = JwtError::Scope("write:a/b-*".parse::<Scope>().unwrap_err());
    for (changes, error) in [
        (json!({"exp": null}), claim("exp")),
        (json!({"exp": "tomorrow"}), claim("exp")),
        (json!({"exp": -1}), claim("exp")),
        (json!({"exp": 1e300}), claim("exp")),
        (json!({"exp": NOW - 30}), JwtError::Expired),
        (json!({"nbf": NOW + 31}), JwtError::TooEarly),
        (json!({"nbf": []}), claim("nbf")),
        (json!({"aud": null}), JwtError::Audience),
        (json!({"aud": "other"}), JwtError::Audience),
        (json!({"aud": "LOG"}), JwtError::Audience),
        (json!({"aud": []}), JwtError::Audience),
        (json!({"aud": 7}), claim("aud")),
        (json!({"iss": null}), JwtError::Issuer),
        (json!({"iss": "https://id.example/"}), JwtError::Issuer),
        (json!({"iss": ["https://id.example"]}), claim("iss")),
        (json!({"sub": 7}), claim("sub")),
        (json!({"sub": "a\nb"}), claim("sub")),
        (json!({"sub": ""}), claim("sub")),
        // It could not be revoked.
        (json!({"jti": 7}), claim("jti")),
        (json!({"jti": ""}), claim("jti")),
        (json!({"jti": "a\nb"}), claim("jti")),
        (json!({"jti": "a".repeat(257)}), claim("jti")),
        (json!({"scope": {"a": 1}}), claim("scope")),
        (json!({"scope": ["read:a", 7]}), claim("scope")),
        (json!({"scope": "read:a/* write:a/b-*"}), star),
        (json!({"scope": many}), claim("scope")),
        (json!({"scrollback_worker": "*"}), claim("scrollback_worker")),
        (json!({"scrollback_worker": ["w1"]}), claim("scrollback_worker")),
    ] {
        let token = signed(&claims(&changes));
        assert_eq!(check(&of(SECRET), &token).unwrap_err(), error, "{changes}");
    }
    for changes in [
        json!({"exp": NOW - 29}),
        json!({"exp": 1_795_200_000.5}),
        json!({"nbf": NOW + 30}),
        json!({"aud": ["other", "log"]}),
        json!({"sub": null}),
        json!({"jti": "a".repeat(256)}),
        json!({"scope": null}),
        json!({"scope": ["read:a", "write:b"]}),
    ] {
        assert!(check(&of(SECRET), &signed(&claims(&changes))).is_ok(), "{changes}");
    }
}

#[test]
fn scopes_of_others_mean_nothing_and_no_scopes_open_nothing() {
    let jwt = of(SECRET);
    let scoped = |scope: Value| check(&jwt, &signed(&claims(&json!({ "scope": scope })))).unwrap();
    let grant = scoped(json!(["email", "read:../a", "own:a", "write:a"]));
    assert!(may(&grant, Right::Write, "a") && !may(&grant, Right::Read, "a"));
    let grant = scoped(json!("openid profile"));
    assert!(!may(&grant, Right::Read, "a"));
    let renamed = Rules { scope_claim: "permissions".to_owned(), ..rules() };
    let jwt = Jwt::new(renamed, Keys::one(Key::parse(SECRET).unwrap()));
    let token = signed(&claims(&json!({"permissions": ["read:b"]})));
    let grant = check(&jwt, &token).unwrap();
    assert!(may(&grant, Right::Read, "b") && !may(&grant, Right::Read, "sessions/a"));
}

#[test]
fn scopes_are_found_by_the_whole_name_of_a_claim_or_by_the_way_to_it() {
    let with = |claim: &str, changes: Value| {
        let rules = Rules { scope_claim: claim.to_owned(), ..rules() };
        let jwt = Jwt::new(rules, Keys::one(Key::parse(SECRET).unwrap()));
        check(&jwt, &signed(&claims(&changes)))
    };
    let opens = |claim: &str, changes: Value| may(&with(claim, changes).unwrap(), Right::Read, "b");
    let nested = json!({"realm_access": {"roles": ["offline", "read:b"]}});
    assert!(opens("realm_access.roles", nested.clone()));
    assert!(!opens("realm_access.role", nested.clone()) && !opens("realm.roles", nested.clone()));
    assert!(!opens("roles", nested));
    let url = "https://example.com/scopes";
    assert!(opens(url, json!({url: "read:b"})));
    assert!(opens("a.b", json!({"a.b": "read:b", "a": {"b": "read:c"}})), "the whole name wins");
    assert!(!opens("a.b", json!({"a.b": "read:c", "a": {"b": "read:b"}})));
    assert!(opens("a.b.c", json!({"a": {"b": {"c": ["read:b"]}}})));
    for changes in [json!({"a": 7}), json!({"a": ["b"]}), json!({"a": {"b": 7}}), json!({"a": "b"})]
    {
        let error = with("a.b", changes.clone()).unwrap_err();
        assert_eq!(error, JwtError::Claim("a.b".to_owned()), "{changes}");
    }
    // The other claims are found by their names only.
    let aud = json!({"aud": null, "a": {"ud": "log"}});
    assert_eq!(with("scope", aud).unwrap_err(), JwtError::Audience);
}

#[test]
fn a_workers_token_has_the_rights_of_that_worker_and_no_scopes() {
    let token = signed(&claims(&json!({"scrollback_worker": "w1", "scope": "admin:**"})));
    let grant = check(&of(SECRET), &token).unwrap();
    assert_eq!(grant.rights, Rights::Worker(Arc::from("w1")));
    assert_eq!(grant.actor.as_deref(), Some(r#"{"kind":"worker","id":"w1"}"#));
    assert!(!may(&grant, Right::Read, "agents/a"));
}

fn set(kids: &[&str]) -> Keys {
    let x = BASE64.encode(ed25519().public_key());
    let keys = kids.iter().map(|kid| match *kid {
        "h" => json!({"kty": "oct", "kid": "h", "k": BASE64.encode(SECRET)}),
        kid => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "alg": "EdDSA", "x": x}),
    });
    let keys: Vec<_> = keys.collect();
    Keys::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

#[test]
fn only_some_keys_are_secrets() {
    for (file, is_secret) in [(SECRET, true), (RSA_PUBLIC, false), (ED25519_PUBLIC, false)] {
        assert_eq!(Keys::one(Key::parse(file).unwrap()).have_secret(), is_secret);
    }
    let k = BASE64.encode(SECRET);
    let x = BASE64.encode(ed25519().public_key().as_ref());
    let public = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    let set = |keys: Value| Keys::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    assert!(!set(json!([public])).have_secret());
    assert!(set(json!([public, {"kty": "oct", "k": k}])).have_secret());
}

#[test]
fn a_key_is_found_by_its_name_and_what_it_granted_ends_when_it_is_taken_away() {
    let jwt = Jwt::new(rules(), set(&["h", "e"]));
    let token = |alg: &str, kid: Value| {
        signed_with(alg, &json!({"alg": alg, "kid": kid}), &claims(&json!({})))
    };
    let by_h = check(&jwt, &token("HS256", json!("h"))).unwrap();
    let by_e = check(&jwt, &token("EdDSA", json!("e"))).unwrap();
    assert!(check(&jwt, &token("EdDSA", Value::Null)).is_ok());
    let no_key = JwtError::NoKey { alg: "EdDSA".to_owned(), kid: Some("h".to_owned()) };
    assert_eq!(check(&jwt, &token("EdDSA", json!("h"))).unwrap_err(), no_key);
    jwt.replace(set(&["e", "f"]));
    assert!(by_h.revoked.is_cancelled());
    assert!(!by_e.revoked.is_cancelled());
    assert!(matches!(check(&jwt, &token("HS256", json!("h"))), Err(JwtError::NoKey { .. })));
    assert!(check(&jwt, &token("EdDSA", json!("f"))).is_ok());
    jwt.replace(set(&["f"]));
    assert!(by_e.revoked.is_cancelled());
}

#[test]
fn a_token_is_checked_once_and_then_known() {
    let jwt = of(SECRET);
    let token = signed(&claims(&json!({})));
    let first = check(&jwt, &token).unwrap();
    assert!(Arc::ptr_eq(&first, &check(&jwt, &token).unwrap()));
}

/// The list in which these are revoked.
fn revoked(jtis: &[&str]) -> RevokedJwts {
    let mut registry = crate::auth::Registry::default();
    for jti in jtis {
        registry.revoke_jwt(jti.parse().unwrap(), None, 0).unwrap();
    }
    registry.revoked().clone()
}

#[test]
fn a_token_that_is_revoked_opens_nothing_known_or_not_and_the_others_go_on() {
    let jwt = of(SECRET);
    let token = |changes: Value| signed(&claims(&changes));
    let (known, again) = (token(json!({"jti": "a"})), token(json!({"jti": "a", "sub": "u2"})));
    let (other, nameless) = (token(json!({"jti": "A"})), token(json!({})));
    let held = [&known, &other, &nameless].map(|token| check(&jwt, token).unwrap());
    jwt.revoke(&revoked(&["b", "a"]));
    let ended = held.each_ref().map(|grant| grant.revoked.is_cancelled());
    assert_eq!(ended, [true, false, false]);
    assert!(jwt.known(&Digest::of(&known)).is_none(), "it takes up no room");
    for refused in [&known, &again] {
        assert_eq!(check(&jwt, refused).unwrap_err(), JwtError::Revoked);
    }
    for (open, grant) in [(&other, &held[1]), (&nameless, &held[2])] {
        assert!(Arc::ptr_eq(&check(&jwt, open).unwrap(), grant), "it was not checked again");
    }
    jwt.revoke(&revoked(&["b"]));
    assert!(check(&jwt, &known).is_ok() && held[0].revoked.is_cancelled());
}

#[test]
fn what_was_forgotten_for_want_of_room_and_is_still_held_ends_with_its_token() {
    let jwt = of(SECRET);
    let token = |jti: &str| signed(&claims(&json!({ "jti": jti })));
    let (first, kept) = (check(&jwt, &token("a")).unwrap(), check(&jwt, &token("b")).unwrap());
    for n in 0..limits::JWT_CHECKED_MAX.get() {
        check(&jwt, &token(&n.to_string())).unwrap();
    }
    assert!(jwt.known(&Digest::of(token("a"))).is_none(), "it was forgotten");
    // The same token, known anew: two grants of it are held.
    let second = check(&jwt, &token("a")).unwrap();
    jwt.replace(Keys::one(Key::parse(SECRET).unwrap()));
    assert!(!first.revoked.is_cancelled() && !second.revoked.is_cancelled());
    jwt.revoke(&revoked(&["a"]));
    assert!(first.revoked.is_cancelled() && second.revoked.is_cancelled());
    assert!(!kept.revoked.is_cancelled());
}

#[test]
fn keys_that_cannot_be_used_are_refused_with_what_to_do() {
    let private = include_bytes!("../../../fixtures/jwt/rsa-private.pem");
    for (file, says) in [
        (&b"short\n"[..], "has 5 bytes"),
        (b"", "has 0 bytes"),
        (private, "PRIVATE KEY"),
        (b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "CERTIFICATE"),
        (b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", "neither RSA"),
        (b"-----BEGIN PUBLIC KEY-----\nAA==\n", "PUBLIC KEY"),
        (b"-----BEGIN", "PEM"),
    ] {
        let error = Key::parse(file).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let secret = BASE64.encode(SECRET);
    for (set, says) in [
        (json!([]), "no JSON Web Key Set"),
        (json!({"keys": []}), "no key for HS256"),
        (json!({"keys": [7]}), "no JSON Web Key Set"),
        (json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}), "no key for"),
        (json!({"keys": [{"kty": "oct", "use": "enc", "k": secret}]}), "no key for"),
        (json!({"keys": [{"kty": "oct", "alg": "HS512", "k": secret}]}), "no key for"),
        (json!({"keys": [{"kty": "oct", "k": "AA"}]}), "has 1 bytes"),
        (json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}), "neither RSA"),
        (json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQ"}]}), "private"),
        (json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "!"}]}), "no \"x\""),
        (json!({"keys": vec![json!({"kty": "x"}); 17]}), "more than 16"),
    ] {
        let error = Keys::parse(set.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "{set}: {error}");
    }
    let shown = format!("{:?}", set(&["h"]));
    assert_eq!(shown, "Keys([Key { kid: Some(\"h\"), alg: \"HS256\", .. }])");
}

proptest! {
    #[test]
    fn rubbish_opens_nothing(text in "[A-Za-z0-9_.-]{0,120}|.{0,40}") {
        prop_assert!(check(&of(SECRET), &text).is_err());
    }

    #[test]
    fn rubbish_with_a_right_signature_opens_nothing(header in ".{0,40}", body in any::<Vec<u8>>()) {
        let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(body));
        let signature = BASE64.encode(signature("HS256", message.as_bytes()));
        let token = format!("{message}.{signature}");
        prop_assert!(check(&of(SECRET), &token).is_err());
    }

    #[test]
    fn rubbish_is_no_key_or_one_of_a_kind(bytes in any::<Vec<u8>>()) {
        let _ = (Key::parse(&bytes).is_ok(), Keys::parse(&bytes).is_ok());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", STANDARD.encode(bytes));
        prop_assert!(Key::parse(pem.as_bytes()).is_err());
    }
}
