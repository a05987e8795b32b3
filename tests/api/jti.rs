//! JSON Web Tokens revoked by their `jti`: refused at once like any wrong one, what they have opened
//! ended, here and where another process wrote the file; and a change that is not in force.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use insta::assert_snapshot;
use scrollback::{
    client::Client,
    clock::ManualClock,
    metrics::Metrics,
    server::{self, Settings},
    store::memory::MemoryStore,
    wire::tokens::RevokeJwt,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    tokens::{Asking, SECRET, file, is_refused, jwt, made, with_jwt},
    util::{Answer, NOW_MS, TestApp},
};

const REVOKED: &str = "/api/tokens/revoked";
/// When the tokens here end, in seconds.
const EXP: u64 = NOW_MS / 1_000 + 600;

fn token(jti: &str) -> String {
    jwt(&json!({ "aud": "log", "exp": EXP, "scope": "write:sessions/* read:**", "jti": jti }))
}

async fn revoke(server: &Asking, body: Value) -> Answer {
    server.ask("POST", REVOKED, Some(&server.root), body).await
}

#[tokio::test]
async fn a_revoked_token_is_refused_like_a_wrong_one_and_the_others_are_not() {
    let (server, _key) = with_jwt();
    let (one, other) = (token("a"), token("A"));
    let nameless = jwt(&json!({ "aud": "log", "exp": EXP, "scope": "write:**" }));
    let again = jwt(&json!({ "aud": "log", "exp": EXP + 9, "scope": "write:**", "jti": "a" }));
    for token in [&one, &other, &nameless] {
        assert_eq!(server.append(token).await, 200, "{token}");
    }
    let answer = revoke(&server, json!({ "jti": "a", "expiresAt": EXP * 1_000 })).await;
    assert_snapshot!(answer.shown(), @r#"200 {"jti":"a","revokedAt":1795200000000,"expiresAt":1795200600000}"#);
    let wrong = format!("{one}A");
    for refused in [&one, &again] {
        let [refused, wrong] = [refused, &wrong]
            .map(|token| server.ask("GET", "/api/sessions/s/events", Some(token), Value::Null));
        assert_eq!(refused.await.shown(), wrong.await.shown());
        assert_eq!(server.append(&one).await, 401);
    }
    for token in [&other, &nameless, &server.root] {
        assert_eq!(server.append(token).await, 200, "{token}");
    }
    // Again, without an end: it stays for ever.
    revoke(&server, json!({ "jti": "a" })).await;
    revoke(&server, json!({ "jti": "b", "expiresAt": EXP * 1_000 })).await;
    let list = server.ask("GET", REVOKED, Some(&server.root), Value::Null).await;
    assert_snapshot!(list.shown(), @r#"200 {"revoked":[{"jti":"a","revokedAt":1795200000000},{"jti":"b","revokedAt":1795200000000,"expiresAt":1795200600000}]}"#);
}

#[tokio::test]
async fn only_who_sees_to_tokens_revokes_and_only_what_can_be_listed() {
    let (server, _key) = with_jwt();
    let one = token("a");
    let tenant = server.create(json!({ "scopes": ["admin:sessions/**", "admin:a"] })).await;
    for (method, body) in [("POST", json!({ "jti": "a" })), ("GET", Value::Null)] {
        let refused = server.ask(method, REVOKED, tenant["secret"].as_str(), body.clone()).await;
        assert_eq!((refused.status.as_u16(), &*refused.code()), (403, "forbidden"), "{method}");
        let refused = server.ask(method, REVOKED, None, body).await;
        assert_eq!(refused.code(), "unauthenticated", "{method}");
    }
    for body in [
        json!({}),
        json!([]),
        json!({ "jti": "" }),
        json!({ "jti": 7 }),
        json!({ "jti": "a\nb" }),
        json!({ "jti": "a".repeat(257) }),
        json!({ "jti": "a", "exp": EXP }),
        // Seconds, as they stand in the token.
        json!({ "jti": "a", "expiresAt": EXP }),
        json!({ "jti": "a", "expiresAt": -1 }),
    ] {
        let answer = revoke(&server, body.clone()).await;
        let got = (answer.status.as_u16(), answer.code());
        assert_eq!(got, (422, "invalid_body".to_owned()), "{body}");
    }
    assert_eq!(server.append(&one).await, 200);
    let list = server.ask("GET", REVOKED, Some(&server.root), Value::Null).await;
    assert_eq!(list.json(), json!({ "revoked": [] }));
    let nobody_is_asked = TestApp::new();
    assert_eq!(nobody_is_asked.get(REVOKED).await.code(), "not_found");
    assert_eq!(nobody_is_asked.post(REVOKED, r#"{"jti":"a"}"#).await.code(), "not_found");
}

#[tokio::test]
async fn what_a_revoked_token_has_open_ends_and_what_others_have_goes_on() {
    let (server, _key) = with_jwt();
    let (one, other) = (token("a"), token("b"));
    assert_eq!(server.append(&one).await, 200);
    let follow = |uri, token| server.app.follow_as(uri, token);
    let mut live = follow("/api/sessions/s/stream?fromOffset=now", &one).await;
    let across = follow("/api/events?channels=session:*", &one).await;
    let mut kept = follow("/api/sessions/s/stream?fromOffset=now", &other).await;
    for live in [&mut live, &mut kept] {
        assert!(live.frame().await.unwrap().contains("caught-up"));
    }
    assert_eq!(revoke(&server, json!({ "jti": "a" })).await.status, 200);
    for ended in [live, across] {
        let rest = ended.rest().await;
        assert!(rest.contains(r#""reason":"unauthorized""#), "{rest}");
    }
    assert!(kept.is_quiet().await);
    assert_eq!(server.append(&other).await, 200);
    assert!(kept.frame().await.unwrap().contains(r#""channel":"x""#));
}

#[tokio::test]
async fn a_server_hears_of_a_token_that_was_revoked_in_the_file() {
    let (dir, clock) = (TempDir::new().unwrap(), ManualClock::at(NOW_MS));
    let (_, root) = made(&file(&dir), &["admin:**"]);
    let key = dir.path().join("key");
    fs::write(&key, SECRET).unwrap();
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        tokens: Some(file(&dir).path().to_owned()),
        jwt_key: Some(key),
        jwt_audience: Some("log".to_owned()),
        ..Settings::default()
    };
    let (store, metrics) = (Arc::new(MemoryStore::default()), Arc::new(Metrics::default()));
    let running = server::start_with(&settings, store, clock.clone(), metrics).await.unwrap();
    let client = |token: &str| Client::builder(running.url()).token(token).build().unwrap();
    let (root, one) = (client(&root), client(&token("a")));
    let append = async |client: &Client| {
        client.append("sessions/s", b"{\"channel\":\"x\"}\n".to_vec()).await
    };
    append(&one).await.unwrap();
    file(&dir).change(|list| list.revoke_jwt("a".parse().unwrap(), None, NOW_MS)).unwrap();
    let heard = async {
        while !is_refused(append(&one).await) {
            clock.advance(Duration::from_millis(500));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect("it hears of it");
    // And over HTTP, at once.
    let other = client(&token("b"));
    append(&other).await.unwrap();
    let asked = RevokeJwt { jti: "b".to_owned(), expires_at: Some(EXP * 1_000) };
    let noted = root.revoke_jwt(&asked).await.unwrap();
    assert!(is_refused(append(&other).await));
    assert_eq!(root.revoked_jwts().await.unwrap()[1], noted);
    running.stop().await.unwrap();
}

/// Makes a pipe of the file: whoever reads first gets `text`, and those after that get nothing.
fn fed_once(path: &Path, text: &[u8], is_done: &AtomicBool) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all(text).unwrap();
    while !is_done.load(Ordering::SeqCst) {
        // Without a reader this is refused at once; a reader who waits comes to an end of the file.
        let _ = fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path);
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_change_that_is_not_in_force_is_a_503_that_says_what_is() {
    let server = Asking::new();
    let path = file(&server.dir).path().to_owned();
    let good = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg("-m600").arg(&path).status().unwrap().success());
    let is_done = Arc::new(AtomicBool::new(false));
    let feeding = {
        let (path, good, is_done) = (path.clone(), good.clone(), Arc::clone(&is_done));
        tokio::task::spawn_blocking(move || fed_once(&path, &good, &is_done))
    };
    // The list is read, and has no such token; so that is said once it is in force, which cannot be.
    let uri = "/api/tokens/tok_x";
    let answer = server.ask("DELETE", uri, Some(&server.root), Value::Null).await;
    is_done.store(true, Ordering::SeqCst);
    feeding.await.unwrap();
    assert_snapshot!(answer.shown(), @r#"503 {"type":"urn:scrollback:problem:unavailable","title":"Unavailable","status":503,"code":"unavailable","message":"the change is in the file of tokens and not in force: what was in force before still is, for the file cannot be read again; the server's log says why. Put the file right, or restart the server, and ask again","retryable":true}"#);
    assert_eq!(server.append(&server.root).await, 200, "what was in force still is");
    fs::remove_file(&path).unwrap();
    fs::write(&path, good).unwrap();
    let answer = server.ask("DELETE", uri, Some(&server.root), Value::Null).await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (404, "token_not_found"));
}
