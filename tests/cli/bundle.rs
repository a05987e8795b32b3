//! export and import: what comes out of one server goes into another and is the same there; what
//! was changed, or does not fit, does not go in.

use std::{fs, path::Path, process::Stdio};

use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::util::{Server, ndjson, text};

const SESSIONS: [&str; 4] = ["coding-agent", "team-chat", "terminal", "worker-chat"];
const JSON: &str = "application/json";

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sessions");
    fs::read_to_string(folder.join(format!("{name}.ndjson"))).unwrap()
}

/// A server with one of the sample sessions.
fn with_fixture(name: &str) -> Server {
    let server = Server::start();
    let appended = server.run_with(&format!("append {name}"), &fixture(name));
    assert!(appended.status.success(), "{}", text(&appended.stderr));
    server
}

/// The lines of the records, and the end of their chain.
fn records(bundle: &str) -> (Vec<&str>, String) {
    let mut lines: Vec<&str> = bundle.lines().collect();
    let seal: Value = serde_json::from_str(lines.pop().unwrap()).unwrap();
    lines.remove(0);
    (lines, seal["chain"].as_str().unwrap().to_owned())
}

/// Imports what must go in; what it says of it.
fn imported(server: &Server, args: &str, bundle: &str) -> Value {
    let output = server.run_with(&format!("import {args}"), bundle);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "nothing is said into a pipe");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Imports what must not go in; the one line that says why.
fn refused(server: &Server, args: &str, bundle: &str) -> String {
    let output = server.run_with(&format!("import {args}"), bundle);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert_eq!(text(&output.stdout), "");
    said
}

#[test]
fn every_sample_session_ends_in_the_same_state_after_export_and_import() {
    let second = Server::start();
    for name in SESSIONS {
        let first = with_fixture(name);
        let bundle = first.run(&format!("export {name}"));
        let tail = fixture(name).lines().count();
        let whole = json!({"ok": true, "stream": format!("sessions/{name}"), "count": tail, "duplicates": 0, "offset": tail});
        assert_eq!(imported(&second, "", &bundle), whole);
        let hash = |server: &Server| {
            let state = server.http(&format!("GET /api/sessions/{name}/state?at={tail}"), JSON, "");
            assert!(state.len() > 1_000, "{state}");
            blake3::hash(state.as_bytes())
        };
        assert_eq!(hash(&first), hash(&second), "{name}");
        let again = second.run(&format!("export session:{name}"));
        assert_eq!(records(&bundle), records(&again), "{name}");
        // What is there is there: the same once more, now from a file.
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("bundle");
        fs::write(&file, &bundle).unwrap();
        let output = second.command("import").arg(&file).output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((said["count"].clone(), said["duplicates"].clone()), (tail.into(), tail.into()));
    }
}

#[test]
fn events_of_any_form_come_back_to_the_byte() {
    let (first, second) = (Server::start(), Server::start());
    // Through the other interface: orders, spaces and data that an append would not leave as they
    // are, one id twice, values that are no events at all.
    first.http("PUT /v1/stream/agents/x", JSON, "");
    let odd = r#"[
        {"type":"terminal.output", "channel":"terminal","id":"a","timestamp":5,"data":{"data":7}},
        {"id":"a","channel":"c","type":"t","data":[1.0, 1e2 ,"\u00e9é"],
         "more":null},
        {"id":"b","channel":"c","type":"t","timestamp":-1,"offset":3}, 17, "text", {"free":"form"}
    ]"#;
    first.http("POST /v1/stream/agents/x", JSON, odd);
    assert!(
        first.run_with("append agent:x", r#"{"channel":"x","data":{ "n" : 1 }}"#).status.success()
    );
    let bundle = first.run("export agent:x");
    assert_eq!(imported(&second, "--into config:y", &bundle)["stream"], "config/y");
    assert_eq!(records(&second.run("export config/y")), records(&bundle));
    let read = first.run("read agents/x");
    assert_eq!(second.run("read config:y"), read);
    assert_eq!(read.lines().count(), 7);
    assert_eq!(first.run("export agent:x --format ndjson"), read);
}

#[test]
fn a_stream_whose_beginning_is_gone_keeps_its_offsets() {
    let (first, second) = (Server::start(), Server::start());
    first.http("PUT /api/streams/sessions/late", JSON, r#"{"firstOffset":5000}"#);
    first.append_numbers("late", 30);
    let exported = first.command("export late").output().unwrap();
    assert!(text(&exported.stderr).contains("from offset 5000 on"), "{}", text(&exported.stderr));
    let bundle = text(&exported.stdout);
    assert_eq!(imported(&second, "", &bundle)["offset"], 5_029);
    assert_eq!(second.run("read late --from 4999"), first.run("read late --from 4999"));
    assert_eq!(imported(&second, "", &bundle)["duplicates"], 30);
    second.http("PUT /api/streams/sessions/empty", JSON, "");
    assert_snapshot!(refused(&second, "--into empty", &bundle), @"error: sessions/empty begins at offset 1, and the bundle at 5000: choose another one with --into STREAM; nothing was written");
    // A stream without any record is one, too.
    second.http("PUT /api/streams/sessions/none", JSON, r#"{"firstOffset":9}"#);
    let none = second.run("export none");
    assert_eq!(imported(&first, "", &none)["count"], 0);
    assert_eq!(ndjson(&first.run("stat none"))[0]["earliest"], 9);
}

#[test]
fn a_bundle_that_was_changed_is_refused_and_nothing_is_written() {
    let server = Server::start();
    server.append_numbers("s", 5);
    let bundle = server.run("export s");
    let into = |bundle: &str| refused(&server, "--into copy", bundle);
    assert_snapshot!(into(&bundle.replacen("\"n\":3", "\"n\":4", 1)), @"error: the bundle was not imported, nothing was written: line 5, offset 4, has been changed: its hash does not fit");
    let cut = bundle.trim_end().rsplit_once('\n').unwrap().0;
    assert_snapshot!(into(cut), @"error: the bundle was not imported, nothing was written: it is cut off behind line 6, offset 5: the seal is missing");
    let without: Vec<&str> =
        bundle.lines().filter(|line| !line.starts_with("{\"offset\":3,")).collect();
    assert_snapshot!(into(&without.join("\n")), @"error: the bundle was not imported, nothing was written: line 4 has offset 4 where 3 is due: lines are missing, twice there or not in their order");
    assert_snapshot!(into(&server.run("read s")), @"error: the bundle was not imported, nothing was written: it is no bundle: line 1 is not the header that `scrollback export` writes");
    assert!(!server.run("streams").contains("copy"));
    let output = server.command("import /nowhere/at/all").output().unwrap();
    assert!(text(&output.stderr).starts_with("error: cannot open /nowhere"));
}

#[test]
fn a_stream_with_anything_else_in_it_is_left_alone() {
    let server = Server::start();
    server.append_numbers("s", 5);
    let bundle = server.run("export s");
    server.append_numbers("s", 1);
    server.append_numbers("other", 2);
    server.http("PUT /api/streams/notes/text", JSON, r#"{"contentType":"text/plain"}"#);
    server.http("PUT /api/streams/sessions/closed", JSON, "");
    server.http("POST /api/close/sessions/closed", JSON, "");
    assert_snapshot!(refused(&server, "", &bundle), @"error: sessions/s goes on to offset 6, and the bundle ends at 5: choose another one with --into STREAM; nothing was written");
    assert_snapshot!(refused(&server, "--into other", &bundle), @"error: sessions/other has another event at offset 1 than the bundle: choose another one with --into STREAM; nothing was written");
    assert_snapshot!(refused(&server, "--into notes/text", &bundle), @"error: notes/text holds text/plain, not events: choose another one with --into STREAM; nothing was written");
    assert_snapshot!(refused(&server, "--into closed", &bundle), @"error: sessions/closed is closed at offset 0, and the bundle goes on to 5: choose another one with --into STREAM; nothing was written");
    assert_eq!(ndjson(&server.run("stat other"))[0]["tail"], 2);
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_was() {
    let server = Server::start();
    server.append_numbers("big", 60_000);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("bundle");
    fs::write(&file, server.run("export big")).unwrap();
    let tail = |path: &str| {
        let stat = server.command(&format!("stat {path}")).output().unwrap();
        serde_json::from_slice(&stat.stdout).map_or(0, |stat: Value| stat["tail"].as_u64().unwrap())
    };
    // One that was faster than we could look is tried again.
    let stopped = (0..20).find_map(|number| {
        let path = format!("copy-{number}");
        let mut import = server.command(&format!("import --into {path}"));
        let mut import = import.arg(&file).stdout(Stdio::null()).spawn().unwrap();
        while tail(&path) == 0 && import.try_wait().unwrap().is_none() {}
        import.kill().unwrap();
        import.wait().unwrap();
        let at = tail(&path);
        (0 < at && at < 60_000).then_some((path, at))
    });
    let (path, at) = stopped.expect("an import that was killed halfway");
    let output = server.command(&format!("import --into {path}")).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((said["count"].as_u64(), said["offset"].as_u64()), (Some(60_000), Some(60_000)));
    // What was under way when it was killed may still have come in.
    assert!(said["duplicates"].as_u64().unwrap() >= at, "{said}");
    let copy = server.run(&format!("export {path}"));
    assert_eq!(records(&copy), records(&fs::read_to_string(&file).unwrap()));
}

#[test]
fn a_conversation_is_told_for_people() {
    let server = with_fixture("worker-chat");
    let transcript = server.run("export worker-chat --format markdown");
    assert_eq!(transcript, include_str!("../../fixtures/transcripts/worker-chat.md"));
    let output = server.command("export agent:x --format markdown").output().unwrap();
    assert_snapshot!(text(&output.stderr), @"error: agents/x is no session, and only sessions have a conversation");
}

#[test]
fn an_export_that_nobody_reads_to_its_end_is_no_failure() {
    use std::io::{BufRead, BufReader};
    let server = Server::start();
    server.append_numbers("s", 5_000);
    let mut export = server.command("export s");
    let mut export = export.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::with_capacity(64, export.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let ended = export.wait_with_output().unwrap();
    assert_eq!((text(&ended.stderr).as_str(), ended.status.success()), ("", true));
}

#[test]
fn words_of_a_foreign_bundle_are_shown_and_not_obeyed() {
    let (first, second) = (with_fixture("terminal"), Server::start());
    let bundle = first.run("export terminal");
    let mut lines: Vec<&str> = bundle.lines().collect();
    let header = lines[0].replace("sessions/terminal", "sessions/\\u001b[2J\\u202ex");
    lines[0] = &header;
    let said = refused(&second, "", &lines.join("\n"));
    assert!(!said.trim_end().contains(|c: char| c.is_control() || c == '\u{202e}'), "{said:?}");
    // With a seal of its own it is a bundle like any other, but for its path.
    let records = lines.len() as u64 - 2;
    let (_, chain) = self::records(&bundle);
    let mut seal = blake3::Hasher::new();
    seal.update(blake3::hash(header.as_bytes()).as_bytes());
    seal.update(blake3::Hash::from_hex(&chain).unwrap().as_bytes());
    let seal = seal.finalize().to_hex();
    let last = format!(r#"{{"records":{records},"chain":"{chain}","seal":"{seal}"}}"#);
    *lines.last_mut().unwrap() = &last;
    let said = refused(&second, "", &lines.join("\n"));
    assert!(said.contains("control character"), "{said:?}");
    assert!(!said.trim_end().contains(|c: char| c.is_control() || c == '\u{202e}'), "{said:?}");
}
