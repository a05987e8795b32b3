//! token: in the file and over HTTP; what a server does that is started with and without them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::util::{Server, ndjson, scrollback, text};

fn token(data: &Path, args: &str) -> Output {
    scrollback(&format!("token {args}")).arg("--data-dir").arg(data).output().unwrap()
}

/// The secret of a new token.
fn created(data: &Path, args: &str) -> String {
    let output = token(data, &format!("create {args}"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim_end().to_owned()
}

fn listed(data: &Path) -> Vec<Value> {
    ndjson(&text(&token(data, "list --json").stdout))
}

#[test]
fn a_token_is_made_shown_once_and_revoked() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let output = token(&data, "list");
    assert!(text(&output.stderr).contains("scrollback token create"), "{output:?}");
    let args = "--scope read:sessions/* --scope write:sessions/abc --expires 30d --name ci";
    let secret = created(&data, args);
    assert!(secret.starts_with("sb_") && secret.len() == 52, "{secret}");
    let tokens = listed(&data);
    let listed_once = text(&token(&data, "list").stdout);
    assert!(!listed_once.contains(&secret));
    assert_eq!(tokens[0]["scopes"], serde_json::json!(["read:sessions/*", "write:sessions/abc"]));
    let lasts = |name: &str| tokens[0][name].as_u64().unwrap();
    assert_eq!(lasts("expiresAt") - lasts("createdAt"), 30 * 24 * 3_600_000);
    let file = data.join("tokens.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&file).unwrap().contains(&secret));
    let id = tokens[0]["id"].as_str().unwrap().to_owned();
    assert!(token(&data, &format!("revoke {id}")).status.success());
    assert!(listed(&data).is_empty());
    let again = token(&data, &format!("revoke {id}"));
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("there is no token"), "{again:?}");
}

#[test]
fn a_json_web_token_is_revoked_by_its_jti_in_the_file_and_listed() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let revoked = || ndjson(&text(&token(&data, "list --revoked --json").stdout));
    let output = token(&data, "revoke --jti 6f1c --expires 1h");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).starts_with("6f1c: revoked in "), "{output:?}");
    assert!(token(&data, "revoke --jti 7a2d").status.success());
    let list = revoked();
    let time = |name: &str| list[0][name].as_u64().unwrap();
    assert_eq!(list[0]["jti"], "6f1c");
    assert!((0..1_000).contains(&(time("revokedAt") + 3_600_000 - time("expiresAt"))), "{list:?}");
    assert_eq!((&list[1]["jti"], list[1].get("expiresAt")), (&"7a2d".into(), None));
    assert!(listed(&data).is_empty());
}

#[test]
fn a_folder_that_was_mistyped_is_named_and_not_made() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("dtaa");
    for args in ["revoke tok_1", "approve tok_1", "revoke --jti 6f1c", "list"] {
        let output = token(&data, args);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains("dtaa"), "{args}: {said}");
        assert!(!data.exists(), "{args}");
    }
}

#[test]
fn what_is_wrong_is_said_once_and_with_what_to_do() {
    let dir = TempDir::new().unwrap();
    let key = dir.path().join("key.pem");
    fs::write(&key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    let serve = |args: &str| {
        let mut command = scrollback(&format!("serve --data-dir {} {args}", dir.path().display()));
        text(&command.arg("--jwt-key").arg(&key).output().unwrap().stderr)
    };
    let said = serve("--listen 127.0.0.1:0 --jwt-audience log");
    assert_eq!(said.matches("has to hold a PUBLIC KEY").count(), 1, "{said}");
    let said = serve("--listen localhost:0");
    assert!(said.contains("such as 127.0.0.1:4437"), "{said}");
}

#[test]
fn a_server_that_asks_takes_tokens_of_the_command_and_over_http() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let root = created(&data, "--scope admin:**");
    let server = Server::start_on_with(&data, "--auth");
    let refused = server.run_with("append s --text", "hello");
    assert!(text(&refused.stderr).contains("unauthenticated"), "{refused:?}");
    let as_root = |args: &str| {
        let mut command = server.command(args);
        let output = command.env("SCROLLBACK_TOKEN", &root).output().unwrap();
        assert!(output.status.success(), "{args}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    as_root("streams --json");
    let url = server.url();
    let made = as_root(&format!("token create --url {url} --worker w1 --json"));
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(made["approved"], false);
    let id = made["id"].as_str().unwrap();
    as_root(&format!("token approve {id} --url {url}"));
    let list = ndjson(&as_root(&format!("token list --url {url} --json")));
    assert_eq!(list, listed(&data));
    assert_eq!(list[1]["approved"], true);
    assert!(list[1].get("secret").is_none());
    as_root(&format!("token revoke {id} --url {url}"));
    assert_eq!(listed(&data).len(), 1);
    as_root(&format!("token revoke --jti 6f1c --expires 1h --url {url}"));
    let revoked = ndjson(&as_root(&format!("token list --revoked --url {url} --json")));
    assert_eq!(revoked[0]["jti"], "6f1c");
    assert_eq!(revoked, ndjson(&text(&token(&data, "list --revoked --json").stdout)));
}

#[test]
fn a_server_without_a_first_token_says_how_to_make_it() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let serve = |args: &str| {
        let mut command = scrollback(&format!("serve {args}"));
        command.arg("--data-dir").arg(&data).output().unwrap()
    };
    let exposed = serve("--listen 0.0.0.0:0");
    assert_eq!(exposed.status.code(), Some(1));
    let said = text(&exposed.stderr);
    assert!(said.contains("scrollback token create --scope 'admin:**'"), "{said}");
    fs::create_dir_all(&data).unwrap();
    for (content, mode, words) in
        [("{}", 0o600, "it is no list of tokens"), ("{}", 0o666, "can write it (mode 666)")]
    {
        let file = data.join("tokens.json");
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        for args in ["--listen 127.0.0.1:0 --auth", "--listen 0.0.0.0:0"] {
            let output = serve(args);
            assert_eq!(output.status.code(), Some(1));
            let said = text(&output.stderr);
            assert!(said.contains(words) && said.contains("tokens.json"), "{args}: {said}");
        }
    }
    let output = serve("--jwt-key /nowhere/key --jwt-audience log");
    assert!(text(&output.stderr).contains("/nowhere/key: there is no such file"), "{output:?}");
}
