//! serve and completions: settings from their four places, and how a server refuses to start.

use std::{fs, net::TcpListener};

use tempfile::TempDir;

use crate::util::{scrollback, text};

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_defaults() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("s.toml");
    fs::write(&file, "retention = \"7d\"\nlisten = \"127.0.0.1:1\"\nlog_filter = \"warn\"\n")
        .unwrap();
    let mut command = scrollback("serve --print-config --listen 127.0.0.1:3");
    command.arg("--config").arg(&file);
    command.env("SCROLLBACK_LISTEN", "127.0.0.1:2").env("SCROLLBACK_RETENTION", "12h");
    let output = command.output().unwrap();
    let printed: toml::Table = text(&output.stdout).parse().unwrap();
    assert_eq!(printed["listen"].as_str(), Some("127.0.0.1:3"));
    assert_eq!(printed["retention"].as_str(), Some("12h"));
    assert_eq!(printed["log_filter"].as_str(), Some("warn"));
    assert_eq!(printed["data_dir"].as_str(), Some("scrollback-data"));
}

#[test]
fn a_printed_configuration_is_one_that_can_be_read() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("s.toml");
    let first =
        scrollback("serve --print-config --retention 90s --log-format json").output().unwrap();
    fs::write(&file, &first.stdout).unwrap();
    let again = scrollback("serve --print-config --config").arg(&file).output().unwrap();
    assert_eq!(text(&again.stdout), text(&first.stdout));
}

#[test]
fn a_server_does_not_start_with_settings_that_are_wrong() {
    for (args, words) in [
        ("serve --listen 0.0.0.0:0", "--insecure-no-auth"),
        ("serve --config /nowhere/s.toml", "/nowhere/s.toml"),
    ] {
        let output = scrollback(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args}");
        let said = text(&output.stderr);
        assert!(said.starts_with("error: ") && said.contains(words), "{args}: {said}");
    }
}

#[test]
fn what_is_wrong_with_its_doors_is_found_before_the_data_folder_is_touched() {
    let dir = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let wrong = dir.path().join("wrong.pem");
    fs::write(&wrong, "no certificate").unwrap();
    let wrong = wrong.display();
    for (args, words) in [
        (format!("--listen {at}"), format!("listening on {at}")),
        ("--listen 192.0.2.1:1 --insecure-no-auth".to_owned(), "listening on 192.0.2.1".to_owned()),
        (
            format!("--listen 127.0.0.1:0 --tls-cert {wrong} --tls-key {wrong}"),
            "has no certificate".to_owned(),
        ),
        (format!("--listen 127.0.0.1:0 --unix-socket {wrong}"), "is no socket".to_owned()),
        (
            "--listen 127.0.0.1:0 --unix-socket /nowhere/s.sock".to_owned(),
            "its folder has to be there".to_owned(),
        ),
    ] {
        let data = dir.path().join("data");
        let mut command = scrollback("serve --data-dir");
        let output = command.arg(&data).args(args.split(' ')).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args}");
        assert!(text(&output.stderr).contains(&words), "{args}: {}", text(&output.stderr));
        assert!(!data.exists(), "{args}");
    }
}

#[test]
fn shells_get_their_completions() {
    let output = scrollback("completions bash").output().unwrap();
    assert!(text(&output.stdout).contains("--data-dir"));
}
