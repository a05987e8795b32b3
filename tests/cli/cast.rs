//! Recordings of terminals: each is held against what asciinema's documentation says of version 2 of
//! its format, line by line.

use std::{fs, path::Path};

use insta::assert_snapshot;
use serde_json::Value;

use crate::util::{Server, text};

/// What a recording holds.
#[derive(Debug, Default)]
struct Played {
    header: Value,
    output: String,
    input: String,
    resizes: Vec<String>,
    seconds: f64,
}

/// Reads a recording as strictly as the format is described: UTF-8, one JSON value a line; first an
/// object with `version` 2 and the size, then arrays of a time, a code and a text; times in order.
fn played(cast: &str) -> Played {
    assert!(cast.ends_with('\n') && !cast.contains("\n\n"), "newline-delimited");
    let mut lines = cast.lines();
    let header: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(header["version"], 2);
    for size in ["width", "height"] {
        assert!(header[size].as_u64().is_some_and(|cells| cells > 0), "{size}: {header}");
    }
    let known = [
        "version",
        "width",
        "height",
        "timestamp",
        "duration",
        "idle_time_limit",
        "command",
        "title",
        "env",
        "theme",
    ];
    assert!(
        header.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())),
        "{header}"
    );
    assert!(header["timestamp"].is_u64(), "a Unix timestamp in whole seconds: {header}");
    assert!(header["title"].is_string(), "{header}");
    let mut played = Played { header, ..Played::default() };
    for line in lines {
        let event: Value = serde_json::from_str(line).unwrap();
        let event = event.as_array().unwrap();
        assert_eq!(event.len(), 3, "{line}");
        let seconds = event[0].as_f64().unwrap();
        assert!(seconds >= played.seconds && event[0].is_number(), "{line}");
        played.seconds = seconds;
        let data = event[2].as_str().unwrap();
        match event[1].as_str().unwrap() {
            "o" => played.output += data,
            "i" => played.input += data,
            "r" => {
                let (cols, rows) = data.split_once('x').unwrap();
                assert!(cols.parse::<u16>().unwrap() > 0 && rows.parse::<u16>().unwrap() > 0);
                played.resizes.push(data.to_owned());
            }
            other => panic!("a code that version 2 does not have: {other}"),
        }
        // Control characters stand as escapes only, in any JSON.
        assert!(!line.chars().any(|c| c < ' '), "{line}");
    }
    played
}

/// What a terminal of a sample session was told in events of one type, joined.
fn told(events: &str, kind: &str, terminal: &Value) -> String {
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events =
        events.filter(|event| event["type"] == kind && event["data"]["terminalId"] == *terminal);
    events.map(|event| event["data"]["data"].as_str().unwrap().to_owned()).collect()
}

fn with_fixture(name: &str) -> (Server, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sessions");
    let events = fs::read_to_string(folder.join(format!("{name}.ndjson"))).unwrap();
    let server = Server::start();
    assert!(server.run_with(&format!("append {name}"), &events).status.success());
    (server, events)
}

#[test]
fn a_recording_is_valid_and_shows_what_the_terminal_showed() {
    for (name, terminal, asked) in [
        ("terminal", Value::from("term_1"), ""),
        ("terminal", Value::from("term_2"), " --terminal-id term_2"),
        ("coding-agent", Value::from("term_coder"), ""),
        ("worker-chat", Value::Null, ""),
    ] {
        let (server, events) = with_fixture(name);
        let cast = played(&server.run(&format!("export {name} --format asciicast{asked}")));
        let shown = told(&events, "terminal.output", &terminal);
        assert!(!shown.is_empty(), "{name} {terminal}");
        assert_eq!(cast.output, shown, "{name} {terminal}");
        assert_eq!(cast.input, told(&events, "terminal.input", &terminal), "{name} {terminal}");
    }
}

#[test]
fn a_recording_begins_with_its_size_and_is_as_long_as_it_was() {
    let (server, _) = with_fixture("terminal");
    let output = server.command("export terminal --format asciicast").output().unwrap();
    assert_snapshot!(text(&output.stderr), @"other terminals of the session, for --terminal-id: term_2");
    let cast = text(&output.stdout);
    let beginning: Vec<&str> = cast.lines().take(5).collect();
    assert_snapshot!(beginning.join("\n"), @r#"
    {"height":30,"timestamp":1795174830,"title":"Terminal: fjord","version":2,"width":100}
    [0.020,"o","\u001b]0;mara@fjord: ~/haltestelle\u0007"]
    [0.064,"o","\u001b[1mWillkommen auf fjord\u001b[0m · up 41 days, load 0.18 0.22 0.20\r\n"]
    [0.077,"o","Last backup: \u001b[1;32mtoday 04:12\u001b[0m, 3 streams, 1.2 GiB\r\n"]
    [0.094,"o","\u001b[1;32mmara@fjord\u001b[0m:\u001b[1;34m~/haltestelle\u001b[0m \u001b[35m(main)\u001b[0m $ "]
    "#);
    let Played { header, resizes, seconds, .. } = played(&cast);
    assert_eq!(header["title"], "Terminal: fjord");
    assert_snapshot!(format!("{resizes:?} {seconds}"), @r#"["72x24", "100x30"] 642.568"#);
}

#[test]
fn what_cannot_be_recorded_is_one_line() {
    let (server, _) = with_fixture("terminal");
    server.append_numbers("plain", 3);
    let said = |args: &str| {
        let output = server.command(args).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{args}");
        text(&output.stderr)
    };
    assert_snapshot!(said("export plain --format asciicast"), @"error: sessions/plain has no terminal.output and no terminal.input: there is nothing to record");
    assert_snapshot!(said("export terminal --format asciicast --terminal-id x"), @r#"error: sessions/terminal has no terminal "x"; it has: term_1, term_2"#);
    assert_snapshot!(said("export terminal --terminal-id x"), @"error: --terminal-id belongs to --format asciicast");
    assert_snapshot!(said("export nothing"), @"error: stream sessions/nothing does not exist; it begins with its first event, or with PUT /api/streams/{path} (stream_not_found)");
}

#[test]
fn names_of_terminals_are_told_and_not_obeyed() {
    let server = Server::start();
    let events = ["one", "\u{1b}[2Jtwo\u{202e}"].map(|name| {
        let data = serde_json::json!({"terminalId": name, "data": "x"});
        serde_json::json!({"type": "terminal.output", "data": data}).to_string()
    });
    assert!(server.run_with("append s", &events.join("\n")).status.success());
    for args in ["", " --terminal-id three"] {
        let output =
            server.command(&format!("export s --format asciicast{args}")).output().unwrap();
        let said = text(&output.stderr);
        assert!(said.ends_with("\\x1b[2Jtwo\\u{202e}\n"), "{said:?}");
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    }
}
