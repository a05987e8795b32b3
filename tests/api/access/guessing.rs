//! Wrong tokens in numbers: whoever is over their limit has nothing checked for them, and those
//! who share an address with them go on.

use std::time::Duration;

use axum::http::Request;
use scrollback::{
    auth::{
        Guard,
        jwt::{Jwt, Key, Keys, Rules},
    },
    http::{Allowance, Peer, RateLimits},
};
use serde_json::{Value, json};

use super::{EVENT, grant, request, scoped};
use crate::{
    tokens::{SECRET, jwt},
    util::{Answer, NOW_MS, TestApp},
};

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";
const EVENTS: &str = "/api/sessions/s/events";

struct Server {
    app: TestApp,
}

impl Server {
    /// Takes as many requests as come, and as many wrong tokens as by default.
    fn new() -> Self {
        let no_limit = Allowance {
            requests_per_second: 0,
            bytes_per_second: 0,
            live_readers: 0,
            streams_per_hour: 0,
        };
        let limits = RateLimits { token: no_limit, address: no_limit, ..RateLimits::default() };
        let scope_claim = "scope".to_owned();
        let rules = Rules { audience: "log".to_owned(), issuer: None, scope_claim };
        let keys = Keys::one(Key::parse(SECRET.as_bytes()).unwrap());
        let guard = Guard::with_jwt(Jwt::new(rules, keys));
        grant(&guard, "root", scoped(&["admin:**"]), None);
        Self { app: TestApp::with(|app| app.with_guard(guard).with_rate_limits(limits)) }
    }

    async fn ask(&self, address: &str, token: &str, method: &str, uri: &str) -> Answer {
        let mut request: Request<_> = request(token, method, uri, EVENT);
        request.extensions_mut().insert(Peer::Address(address.parse().unwrap()));
        self.app.send(request).await
    }

    async fn append(&self, address: &str, token: &str) -> Answer {
        self.ask(address, token, "POST", EVENTS).await
    }

    fn checks(&self) -> u64 {
        self.app.app.log().metrics().jwt_checks.get()
    }

    /// Sends forged tokens of a subject, and says how many were answered with a 401 and a 429. Of
    /// these a hundred come at once.
    async fn guess(&self, subject: &str, tries: u64) -> (usize, usize) {
        let (mut refused, mut over) = (0, 0);
        for _ in 0..tries {
            match self.append(A, &forged(subject)).await.status.as_u16() {
                401 => refused += 1,
                429 => over += 1,
                other => panic!("{other}"),
            }
        }
        (refused, over)
    }
}

/// A good token of a subject; each `until` makes another one.
fn good(subject: &str, until: u64) -> String {
    let exp = NOW_MS / 1_000 + until;
    jwt(&json!({"sub": subject, "aud": "log", "exp": exp, "scope": "write:sessions/*"}))
}

/// The same, with a signature of somebody else.
fn forged(subject: &str) -> String {
    let token = good(subject, 60);
    let (message, _) = token.rsplit_once('.').unwrap();
    format!("{message}.{}", "A".repeat(43))
}

#[tokio::test]
async fn no_signature_is_checked_for_an_address_that_sent_too_many_wrong_tokens() {
    let server = Server::new();
    assert_eq!(server.guess("stranger", 90).await, (30, 60));
    assert_eq!(server.checks(), 30);
    let answer = server.append(A, &forged("stranger")).await;
    assert_eq!(answer.code(), "too_many_requests");
    assert_eq!(answer.json()["limit"], "failed_auth_per_minute");
    assert_eq!(answer.headers["retry-after"], "1");
    // One that is right is told nothing else, and of each form the answer is the same.
    for token in [&good("newcomer", 60), "a.b.c", "sb_wrong", "..", &"x".repeat(9_000)] {
        assert_eq!(server.append(A, token).await.body, answer.body, "{token}");
    }
    assert_eq!(server.checks(), 30);
    assert_eq!(server.append(B, &good("newcomer", 60)).await.status, 200);
    server.app.clock.advance(Duration::from_secs(1));
    assert_eq!(server.append(A, &good("newcomer", 61)).await.status, 200);
    assert_eq!(server.checks(), 32);
}

#[tokio::test]
async fn who_is_known_at_an_address_goes_on_there_with_a_renewed_token_too() {
    let server = Server::new();
    assert_eq!(server.append(A, &good("u1", 60)).await.status, 200);
    assert_eq!(server.guess("stranger", 40).await, (30, 10));
    let before = server.checks();
    for _ in 0..50 {
        assert_eq!(server.append(A, &good("u1", 60)).await.status, 200);
    }
    assert_eq!(server.checks(), before, "its signature is known");
    assert_eq!(server.append(A, &good("u1", 120)).await.status, 200, "renewed");
    assert_eq!(server.checks(), before + 1);
    // The name is no secret: whoever forges tokens of it is tried as often as an address is.
    assert_eq!(server.guess("u1", 80).await, (0, 80));
    assert_eq!(server.checks(), before + 30);
    assert_eq!(server.append(A, &good("u1", 120)).await.status, 200);
}

#[tokio::test]
async fn tokens_of_others_are_no_wrong_ones_and_check_nothing() {
    let server = Server::new();
    let ack = "/v1/stream/__ds/subscriptions/mail/ack";
    for _ in 0..100 {
        assert_eq!(server.ask(A, &forged("u1"), "GET", "/healthz").await.status, 200);
        assert_eq!(server.ask(A, &forged("u1"), "GET", "/readyz").await.status, 200);
        let wake = server.ask(A, "7.bm90LWEtdGFn", "POST", ack).await;
        assert_ne!(wake.status, 429, "{}", wake.text());
        server.ask(A, &forged("u1"), "POST", ack).await;
    }
    assert_eq!(server.checks(), 0);
    assert_eq!(server.append(A, &good("u1", 60)).await.status, 200);
}

#[tokio::test]
async fn a_token_with_a_name_of_another_kind_is_just_a_wrong_one() {
    let server = Server::new();
    server.guess("stranger", 31).await;
    for subject in [json!(7), json!([]), Value::Null] {
        let claims = json!({"sub": subject, "aud": "log", "exp": NOW_MS});
        assert_eq!(server.append(A, &jwt(&claims)).await.status, 429, "{claims}");
    }
    assert_eq!(server.checks(), 30);
}
