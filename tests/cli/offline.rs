//! verify and salvage: what they say of a folder, and their exit status.

use std::path::Path;

use serde_json::Value;

use crate::util::{Server, ndjson, scrollback, text};

fn examined(command: &str, dir: &Path) -> (Option<i32>, String, String) {
    let output = scrollback(command).arg("--data-dir").arg(dir).output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_folder_that_a_server_left_is_clean() {
    let server = Server::start();
    server.append_numbers("s", 100);
    let (_keep, dir) = server.stop();
    for command in ["verify", "salvage", "verify"] {
        let (status, found, said) = examined(command, &dir);
        assert_eq!((status, said.as_str()), (Some(0), ""), "{command}: {found}");
        let found: Value = serde_json::from_str(&found).unwrap();
        assert_eq!((&found["clean"], &found["records"]), (&true.into(), &100.into()), "{command}");
    }
}

#[test]
fn a_folder_that_cannot_be_checked_is_told_apart_from_a_damaged_one() {
    let (status, _, said) = examined("verify", Path::new("/nowhere/at/all"));
    assert_eq!(status, Some(2), "{said}");
    let server = Server::start();
    let (status, _, said) = examined("verify", &server.data_dir());
    assert_eq!(status, Some(2), "a server has it open: {said}");
    assert!(said.starts_with("error: "), "{said}");
}

#[test]
fn saved_states_are_compared_with_a_replay_and_made_anew() {
    let server = Server::start();
    let event = |n: u64| {
        let todo = format!(r#"{{"id":"{n}","text":"t","status":"pending"}}"#);
        format!(r#"{{"channel":"todo","type":"todo.updated","data":{{"todos":[{todo}]}}}}"#)
    };
    let events = (1..=1_200).map(event).collect::<Vec<_>>().join("\n");
    server.run_with("append long", &events);
    server.append_numbers("short", 3);
    let (_dir, data) = server.stop();
    let data = data.display().to_string();
    let check = || {
        let output =
            scrollback("verify --projections --json --data-dir").arg(&data).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        ndjson(&text(&output.stdout))
    };
    // Nothing was looked at, so nothing was saved.
    let before = check();
    assert_eq!(
        (before[1]["sessions"].as_u64(), before[1]["checkpoints"].as_u64()),
        (Some(2), Some(0))
    );
    // The list of sessions was, when the server stopped.
    let list = &before[1]["list"];
    assert_eq!((&list["clean"], &list["compared"]), (&true.into(), &2.into()), "{list}");
    let rebuilt = scrollback("rebuild --json --data-dir").arg(&data).output().unwrap();
    assert!(rebuilt.status.success(), "{}", text(&rebuilt.stderr));
    assert_eq!(ndjson(&text(&rebuilt.stdout))[0]["list"]["sessions"], 2);
    let after = check();
    assert_eq!(after[0]["clean"], true);
    assert_eq!(
        (after[1]["clean"].as_bool(), after[1]["checkpoints"].as_u64()),
        (Some(true), Some(2))
    );
    assert_eq!(after[1]["list"]["compared"], 2);
}
