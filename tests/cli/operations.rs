//! What operators lean on: health, the service manager's protocol, the smoke script.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::util::{Server, scrollback, text};

/// What a service manager hears next.
fn told(socket: &UnixDatagram) -> String {
    let mut state = [0; 500];
    let length = socket.recv(&mut state).unwrap();
    text(&state[..length])
}

#[test]
fn health_is_one_line_and_an_exit_status() {
    let server = Server::start();
    for args in ["health", "health --ready"] {
        let answer: Value = serde_json::from_str(&server.run(args)).unwrap();
        assert_eq!(answer["ok"], json!(true), "{args}");
    }
    let address = server.address().to_owned();
    drop(server);
    let output = scrollback(&format!("health --url http://{address}")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.starts_with("error: cannot reach http://"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn the_service_manager_hears_of_readiness_signs_of_life_and_the_stop_in_this_order() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = scrollback("serve --log-filter warn --listen 127.0.0.1:0");
    command.arg("--data-dir").arg(dir.path().join("data"));
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();

    let ready = told(&socket);
    let (first, status) = ready.split_once('\n').unwrap();
    assert_eq!(first, "READY=1");
    let url = status.strip_prefix("STATUS=listening on ").unwrap();
    // Told once it is true: nothing but this one request is needed.
    let health = scrollback("health --ready --url").arg(url).output().unwrap();
    assert!(health.status.success(), "{}", text(&health.stderr));
    for _ in 0..3 {
        assert_eq!(told(&socket), "WATCHDOG=1");
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let stopping = std::iter::repeat_with(|| told(&socket)).find(|state| state != "WATCHDOG=1");
    assert_eq!(stopping.unwrap(), "STOPPING=1\nSTATUS=stopping");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
}

#[test]
fn a_server_without_its_service_manager_runs_all_the_same() {
    let dir = TempDir::new().unwrap();
    let mut command = scrollback("serve --log-filter warn --listen 127.0.0.1:0");
    command.arg("--data-dir").arg(dir.path().join("data"));
    command.env("NOTIFY_SOCKET", "/nowhere/notify").env("WATCHDOG_USEC", "1000000");
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = log.find_map(|line| Some(line.unwrap().split_once("listens on ")?.1.to_owned()));
    let url = said.as_deref().and_then(|said| said.split(';').next()).unwrap().to_owned();
    let missed = log.next().unwrap().unwrap();
    assert!(missed.contains("the service manager is out of reach"), "{missed}");
    let health = scrollback("health --ready --url").arg(url).output();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(health.unwrap().status.success());
}

#[test]
fn the_smoke_script_ticks_every_line_and_leaves_nothing_behind() {
    let server = Server::start();
    let output = smoke(&server.url());
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(said.matches('✓').count() > 30 && !said.contains('✗'), "{said}");
    assert!(said.ends_with("all well\n"), "{said}");
    assert_eq!(server.run("streams"), "");
}

#[test]
fn the_smoke_script_fails_where_there_is_no_server() {
    let server = Server::start();
    let url = server.url();
    drop(server);
    let output = smoke(&url);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("✗ the server takes work"));
}

#[test]
fn the_data_folder_and_backups_are_for_their_owner_only() {
    let server = Server::start();
    server.append_numbers("s", 3);
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("b.sbk");
    let mut backup = server.command("backup -o");
    assert!(backup.arg(&file).status().unwrap().success());
    for path in [file, server.data_dir()] {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
}

/// Runs the script against a server, without a setting of the machine in its way.
fn smoke(url: &str) -> std::process::Output {
    let mut command = Command::new("bash");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/smoke.sh")).arg(url);
    for name in ["SCROLLBACK_TOKEN", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command.output().unwrap()
}
