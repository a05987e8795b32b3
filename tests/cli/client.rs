//! append, read, tail, streams, stat, demo: the way of an event from a pipe into a stream and
//! back.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::util::{Server, ndjson, scrollback, text};

#[test]
fn what_is_appended_is_read_again_from_any_offset() {
    let server = Server::start();
    let input = "{\"channel\":\"x\",\"data\":{\"n\":1}}\nplain text\n\n{\"data\":{\"type\":\"t\"},\"channel\":\"x\"}\n";
    let answer = server.run_with("append abc", input);
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(
        answer,
        json!({"ok": true, "stream": "sessions/abc", "count": 3, "duplicates": 0, "offset": 3})
    );
    let events = ndjson(&server.run("read session:abc"));
    assert_eq!(events.len(), 3);
    assert_eq!(events[0]["data"], json!({"n": 1}));
    assert_eq!(events[1]["channel"], "terminal");
    assert_eq!(events[1]["data"], json!({"data": "plain text\n"}));
    let rest = ndjson(&server.run("read sessions/abc --from 1 --limit 1"));
    assert_eq!(rest, events[1..2]);
    assert_eq!(ndjson(&server.run("read abc --channels x")).len(), 2);
}

#[test]
fn reading_goes_over_as_many_pages_as_there_are() {
    let server = Server::start();
    server.append_numbers("long", 2_500);
    let events = ndjson(&server.run("read long"));
    let offsets: Vec<u64> = events.iter().map(|event| event["offset"].as_u64().unwrap()).collect();
    assert_eq!(offsets, (1..=2_500).collect::<Vec<_>>());
    assert_eq!(server.run("read long --limit 1700").lines().count(), 1_700);
}

#[test]
fn streams_are_listed_and_shown_one_by_one() {
    let server = Server::start();
    server.append_numbers("a", 3);
    server.append_numbers("agent:b", 1);
    let streams = ndjson(&server.run("streams"));
    let paths: Vec<&str> = streams.iter().map(|s| s["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["agents/b", "sessions/a"]);
    assert_eq!(server.run("streams --prefix sessions/").lines().count(), 1);
    let stat = ndjson(&server.run("stat a"));
    assert_eq!(stat[0]["tail"], 3);
}

#[test]
fn a_tail_goes_on_where_it_was_after_the_server_was_killed() {
    let mut server = Server::start();
    server.append_numbers("s", 3);
    let mut tail = server.command("tail s --from 1");
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        event["offset"].as_u64().unwrap()
    };
    assert_eq!((next(), next()), (2, 3));
    server.kill_and_restart();
    server.append_numbers("s", 2);
    assert_eq!((next(), next()), (4, 5));
    tail.kill().unwrap();
    let said = tail.wait_with_output().unwrap();
    assert!(text(&said.stderr).contains("reconnecting from offset 3"), "{}", text(&said.stderr));
}

#[test]
fn the_demo_plays_a_session_that_can_be_read() {
    let server = Server::start();
    let first = server.run("demo --session team-chat --speed 100000x");
    let again = server.run("demo --session team-chat --speed 100000x");
    assert_ne!(first, again);
    for id in [first.trim(), again.trim()] {
        let events = ndjson(&server.run(&format!("read {id}")));
        assert_eq!(events.len(), 1_072);
        assert_eq!(events[0]["type"], "session.created");
    }
}

#[test]
fn errors_are_one_line_that_says_what_to_do() {
    let server = Server::start();
    for (args, words) in [
        ("read nothing", "does not exist"),
        ("tail nothing --from 0", "does not exist"),
        ("stat nothing", "does not exist"),
        ("demo --session nothing", "coding-agent"),
    ] {
        let output = server.command(args).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args}");
        assert!(said.starts_with("error: ") && said.contains(words), "{args}: {said}");
        assert_eq!(said.lines().count(), 1, "{args}: {said}");
    }
    let output = scrollback("streams --url http://127.0.0.1:1").output().unwrap();
    assert!(text(&output.stderr).contains("scrollback serve"), "{}", text(&output.stderr));
}

#[test]
fn an_append_that_fails_says_how_much_is_in_the_stream() {
    let server = Server::start();
    let output = server.run_with("append s", "{\"data\":1}\n{\"data\":{},\"channel\":7}\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: "), "{}", text(&output.stderr));
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let server = Server::start();
    server.append_numbers("s", 5_000);
    let mut read = server.command("read s");
    let mut read = read.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::with_capacity(64, read.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let ended = read.wait_with_output().unwrap();
    assert_eq!(text(&ended.stderr), "");
    assert!(ended.status.success());
}
