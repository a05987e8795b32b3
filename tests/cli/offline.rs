//! verify and salvage: what they say of a folder, and their exit status.

use std::path::Path;

use serde_json::Value;

use crate::util::{Server, scrollback, text};

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
