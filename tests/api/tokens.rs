//! Tokens: made, used, listed without their secrets, revoked at once, ended by the clock; JSON Web
//! Tokens; workers that wait for an approval. Whatever is wrong with a token, the answer is the same.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::Request};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use insta::assert_snapshot;
use ring::hmac;
use scrollback::{
    auth::{Access, KeySource, NewToken, Scopes, TokenFile, Tokens, jwt::Rules},
    client::{Client, ClientError},
    clock::{Clock, ManualClock},
    metrics::Metrics,
    server::{self, Running, Settings},
    store::memory::MemoryStore,
    wire::tokens::CreateToken,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::util::{Answer, NOW_MS, TestApp};

pub(crate) const SECRET: &str = "a secret of thirty-two bytes, or more";

pub(crate) struct Asking {
    pub(crate) app: TestApp,
    pub(crate) dir: TempDir,
    /// The secret of a token that may do everything.
    pub(crate) root: String,
}

pub(crate) fn file(dir: &TempDir) -> TokenFile {
    TokenFile::at(dir.path().join("tokens.json"))
}

/// A new token: its name and its secret.
pub(crate) fn made(file: &TokenFile, scopes: &[&str]) -> (String, String) {
    let scopes = Scopes::new(scopes.iter().map(|text| text.parse().unwrap()).collect());
    let new = NewToken { scopes, ..NewToken::default() };
    let made = file.change(|registry| registry.create(new, &Access::Everyone, NOW_MS));
    let (token, secret) = made.unwrap();
    (token.id.to_string(), secret.text().to_owned())
}

impl Asking {
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    fn with(jwt: Option<(KeySource, Rules)>) -> Self {
        let dir = TempDir::new().unwrap();
        let (_, root) = made(&file(&dir), &["admin:**"]);
        let tokens = Tokens::open(file(&dir), jwt).unwrap();
        Self { app: TestApp::with(|app| app.with_tokens(Some(tokens))), dir, root }
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        uri: &str,
        token: Option<&str>,
        body: Value,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.header("content-type", "application/json");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.app.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn create(&self, body: Value) -> Value {
        let answer = self.ask("POST", "/api/tokens", Some(&self.root), body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }

    /// The status of an append to session `s`.
    pub(crate) async fn append(&self, token: &str) -> u16 {
        let uri = "/api/sessions/s/events";
        self.ask("POST", uri, Some(token), json!({"channel": "x"})).await.status.as_u16()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

pub(crate) fn jwt(claims: &Value) -> String {
    let parts = [json!({"alg": "HS256"}), claims.clone()];
    let message = parts.map(|part| BASE64.encode(part.to_string())).join(".");
    let signature =
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
    format!("{message}.{}", BASE64.encode(signature))
}

pub(crate) fn with_jwt() -> (Asking, TempDir) {
    let dir = TempDir::new().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, SECRET).unwrap();
    let rules = Rules { audience: "log".to_owned(), issuer: None, scope_claim: "scope".to_owned() };
    (Asking::with(Some((KeySource::One(key), rules))), dir)
}

#[tokio::test]
async fn a_token_is_shown_once_and_noted_without_its_secret() {
    let server = Asking::new();
    let asked = json!({"name": "ci", "scopes": ["write:sessions/*"], "expiresInMs": 60_000, "actor": "user:u1"});
    let mut created = server.create(asked).await;
    let (id, secret) = (text(&created["id"]).to_owned(), text(&created["secret"]).to_owned());
    assert!(scrollback::auth::is_token(&secret) && id.starts_with("tok_"));
    created["id"] = "ID".into();
    created["secret"] = "SECRET".into();
    assert_snapshot!(created.to_string(), @r#"{"actor":"user:u1","approved":true,"changedAt":1795200000000,"createdAt":1795200000000,"expiresAt":1795200060000,"id":"ID","name":"ci","scopes":["write:sessions/*"],"secret":"SECRET"}"#);
    assert_eq!(server.append(&secret).await, 200);
    let list = server.ask("GET", "/api/tokens", Some(&server.root), Value::Null).await;
    assert_eq!(list.json()["tokens"][1]["id"], id.as_str());
    assert_eq!(list.json()["tokens"].as_array().unwrap().len(), 2);
    let on_disk = std::fs::read_to_string(file(&server.dir).path()).unwrap();
    for place in [list.text(), on_disk] {
        assert!(place.contains(&id) && !place.contains(&secret) && !place.contains("sb_"));
    }
    // What it was made for, and nothing else: it may not see to tokens.
    for (method, uri) in [
        ("GET", "/api/tokens".to_owned()),
        ("POST", "/api/tokens".to_owned()),
        ("DELETE", format!("/api/tokens/{id}")),
        ("POST", format!("/api/tokens/{id}/approve")),
    ] {
        let refused = server.ask(method, &uri, Some(&secret), json!({})).await;
        assert_eq!(
            (refused.status.as_u16(), &*refused.code()),
            (403, "forbidden"),
            "{method} {uri}"
        );
        let refused = server.ask(method, &uri, None, json!({})).await;
        assert_eq!(refused.code(), "unauthenticated", "{method} {uri}");
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_the_answer_is_the_same() {
    let (server, _key) = with_jwt();
    let now = NOW_MS / 1_000;
    let revoked = server.create(json!({"scopes": ["write:**"]})).await;
    let (id, revoked) = (text(&revoked["id"]).to_owned(), text(&revoked["secret"]).to_owned());
    let expired = server.create(json!({"scopes": ["write:**"], "expiresInMs": 1_000})).await;
    let expired = text(&expired["secret"]).to_owned();
    let signed = jwt(&json!({"aud": "log", "exp": now, "scope": "write:**"}));
    for token in [&revoked, &expired, &signed] {
        assert_eq!(server.append(token).await, 200, "{token}");
    }
    let uri = format!("/api/tokens/{id}");
    let gone = server.ask("DELETE", &uri, Some(&server.root), Value::Null).await;
    assert_eq!(gone.json()["id"], id.as_str());
    assert_eq!(server.append(&revoked).await, 401, "revoked at once");
    assert_eq!(server.append(&expired).await, 200);
    server.app.clock.advance(Duration::from_secs(30));
    let mut nearly = server.root.clone();
    nearly.replace_range(20..21, if &nearly[20..21] == "A" { "B" } else { "A" });
    let for_others = jwt(&json!({"aud": "x", "exp": now + 60, "scope": "write:**"}));
    let unsigned = format!("{}.", signed.rsplit_once('.').unwrap().0);
    let long = "a".repeat(20_000);
    let mut answers = Vec::new();
    for token in [&revoked, &expired, &signed, &nearly, &for_others, &unsigned, &long, "", "sb_"] {
        let answer = server.ask("GET", "/api/sessions/s/events", Some(token), Value::Null).await;
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        answers.push(answer.shown());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert_snapshot!(answers[0], @r#"401 {"type":"urn:scrollback:problem:unauthenticated","title":"Not authenticated","status":401,"code":"unauthenticated","message":"the token is not valid here, or not any more; ask for a new one","retryable":false}"#);
}

#[tokio::test]
async fn a_json_web_token_opens_what_its_scopes_say_and_nothing_without_them() {
    let (server, _key) = with_jwt();
    let exp = NOW_MS / 1_000 + 60;
    for (scope, expected) in [
        (json!("openid write:sessions/s"), 200),
        (json!(["write:sessions/*"]), 200),
        (json!("write:sessions/other"), 404),
        (json!("openid"), 404),
        (json!("write:sessions/s write:a*"), 401),
        (json!(7), 401),
    ] {
        let token = jwt(&json!({"aud": "log", "exp": exp, "scope": scope}));
        assert_eq!(server.append(&token).await, expected, "{scope}");
    }
    let worker = jwt(&json!({"aud": "log", "exp": exp, "scrollback_worker": "w1"}));
    let uri = "/api/events/workers/w1";
    let answer = server.ask("POST", uri, Some(&worker), json!({"channel": "x"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.append(&worker).await, 404);
}

#[tokio::test]
async fn a_worker_opens_nothing_until_an_admin_has_approved_it() {
    let server = Asking::new();
    let created = server.create(json!({"worker": "w1"})).await;
    assert_eq!(created["approved"], false);
    let (id, secret) = (text(&created["id"]), text(&created["secret"]));
    let own =
        || server.ask("POST", "/api/events/workers/w1", Some(secret), json!({"channel": "x"}));
    assert_snapshot!(own().await.shown(), @r#"401 {"type":"urn:scrollback:problem:unauthenticated","title":"Not authenticated","status":401,"code":"unauthenticated","message":"the worker's token waits for the approval of an admin; try again once it has it","retryable":false}"#);
    let approve = format!("/api/tokens/{id}/approve");
    let answer = server.ask("POST", &approve, Some(&server.root), Value::Null).await;
    assert_eq!(answer.json()["approved"], true, "{}", answer.text());
    assert_eq!(own().await.status, 200);
    let plain = server.create(json!({"scopes": ["read:a"]})).await;
    let approve = format!("/api/tokens/{}/approve", text(&plain["id"]));
    let answer = server.ask("POST", &approve, Some(&server.root), Value::Null).await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (404, "token_not_found"));
}

#[tokio::test]
async fn an_admin_grants_no_more_than_they_have() {
    let server = Asking::new();
    let tenant =
        server.create(json!({"scopes": ["admin:__server/tokens", "admin:sessions/*"]})).await;
    let tenant = text(&tenant["secret"]);
    for (body, status, code) in [
        (json!({"scopes": ["write:sessions/a"]}), 201, ""),
        (json!({"scopes": ["read:agents/a"]}), 403, "forbidden"),
        (json!({"scopes": ["admin:**"]}), 403, "forbidden"),
        (json!({"worker": "w1"}), 403, "forbidden"),
        (json!({}), 422, "invalid_body"),
        (json!([]), 422, "invalid_body"),
        (json!({"scopes": ["own:a"]}), 422, "invalid_body"),
        (json!({"scopes": ["read:sessions/a*"]}), 422, "invalid_body"),
        (json!({"scopes": ["read:a"], "worker": "w1"}), 422, "invalid_body"),
        (json!({"worker": "*"}), 422, "invalid_body"),
        (json!({"scopes": ["read:sessions/a"], "actor": "u1"}), 422, "invalid_body"),
        (json!({"scopes": ["read:sessions/a"], "name": "a\u{1b}"}), 422, "invalid_body"),
        (json!({"scopes": ["read:sessions/a"], "expires": "30d"}), 422, "invalid_body"),
    ] {
        let answer = server.ask("POST", "/api/tokens", Some(tenant), body.clone()).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (status, code), "{body}");
    }
    let answer = server.ask("DELETE", "/api/tokens/tok_x", Some(tenant), Value::Null).await;
    assert_eq!(answer.code(), "token_not_found");
}

#[tokio::test]
async fn an_admin_revokes_no_more_than_they_could_grant() {
    let server = Asking::new();
    let (all, _) = made(&file(&server.dir), &["admin:**"]);
    let (small, _) = made(&file(&server.dir), &["read:a/b"]);
    let some = server.create(json!({"scopes": ["admin:__server/tokens", "read:a/*"]})).await;
    let (own, some) = (text(&some["id"]), text(&some["secret"]));
    for (id, status) in [(&*all, 403), (&small, 200), (own, 200)] {
        let uri = format!("/api/tokens/{id}");
        let answer = server.ask("DELETE", &uri, Some(some), Value::Null).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let says = "you may not revoke a token that opens admin:**";
        assert!(status == 200 || answer.text().contains(says), "{}", answer.text());
    }
    let uri = format!("/api/tokens/{all}");
    let answer = server.ask("DELETE", &uri, Some(&server.root), Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_token_made_while_the_list_is_gone_would_end_the_others_and_is_not_made() {
    let server = Asking::new();
    let list = async || server.ask("GET", "/api/tokens", Some(&server.root), Value::Null).await;
    server.create(json!({"scopes": ["read:a"]})).await;
    let before = list().await.json();
    let path = file(&server.dir).path().to_owned();
    let good = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let asked = json!({"scopes": ["read:b"]});
    let refused = server.ask("POST", "/api/tokens", Some(&server.root), asked.clone()).await;
    assert_eq!((refused.status.as_u16(), &*refused.code()), (503, "unavailable"));
    assert!(!path.exists());
    assert_eq!(list().await.json(), before);
    std::fs::write(&path, good).unwrap();
    let made = server.ask("POST", "/api/tokens", Some(&server.root), asked).await;
    assert_eq!(made.status, 201, "{}", made.text());
}

#[tokio::test]
async fn a_server_that_asks_nobody_makes_no_tokens() {
    let app = TestApp::new();
    for (method, uri) in [("GET", "/api/tokens"), ("DELETE", "/api/tokens/tok_x")] {
        let answer = app.request(method, uri).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (404, "not_found"));
    }
    assert_eq!(app.post("/api/tokens", r#"{"scopes":["admin:**"]}"#).await.status, 404);
}

/// A server that asks for the tokens in a folder.
pub(crate) async fn served(dir: &TempDir, clock: Arc<dyn Clock>) -> Running {
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        tokens: Some(file(dir).path().to_owned()),
        ..Settings::default()
    };
    let (store, metrics) = (Arc::new(MemoryStore::default()), Arc::new(Metrics::default()));
    server::start_with(&settings, store, clock, metrics).await.unwrap()
}

pub(crate) fn is_refused<T>(answer: Result<T, ClientError>) -> bool {
    matches!(answer, Err(ClientError::Problem { problem, .. }) if problem.status == 401)
}

#[tokio::test]
async fn a_served_token_works_until_it_is_revoked_or_over() {
    let (dir, clock) = (TempDir::new().unwrap(), ManualClock::at(NOW_MS));
    let (_, root) = made(&file(&dir), &["admin:**"]);
    let running = served(&dir, clock.clone()).await;
    let client = |secret: &str| Client::builder(running.url()).token(secret).build().unwrap();
    let (root, stranger) = (client(&root), Client::new(&running.url()).unwrap());
    assert!(is_refused(stranger.tokens().await));
    let asked = CreateToken {
        scopes: vec!["write:sessions/*".to_owned()],
        expires_in_ms: Some(60_000),
        ..CreateToken::default()
    };
    let one = root.create_token(&asked).await.unwrap();
    let other = root.create_token(&asked).await.unwrap();
    let append = async |secret: &str| {
        client(secret).append("sessions/s", b"{\"channel\":\"x\"}\n".to_vec()).await
    };
    append(&one.secret).await.unwrap();
    root.revoke_token(&one.token.id).await.unwrap();
    assert!(is_refused(append(&one.secret).await));
    append(&other.secret).await.unwrap();
    clock.advance(Duration::from_mins(1));
    assert!(is_refused(append(&other.secret).await));
    assert_eq!(root.tokens().await.unwrap().len(), 2);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_hears_of_a_change_in_the_file() {
    let (dir, clock) = (TempDir::new().unwrap(), ManualClock::at(NOW_MS));
    let (id, root) = made(&file(&dir), &["admin:**"]);
    let running = served(&dir, clock.clone()).await;
    let client = Client::builder(running.url()).token(root).build().unwrap();
    client.tokens().await.unwrap();
    file(&dir).change(|registry| registry.revoke(&id, &Access::Everyone)).unwrap();
    let heard = async {
        while !is_refused(client.tokens().await) {
            clock.advance(Duration::from_millis(500));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect("it hears of it");
    running.stop().await.unwrap();
}
