//! bench: every measurement against our own server, for what it counts rather than how fast.

use serde_json::Value;

use crate::util::{Server, ndjson, scrollback};

fn measured(server: &Server, args: &str) -> Vec<Value> {
    let rows = ndjson(&server.run(&format!("bench {args} --json")));
    for row in &rows {
        assert_eq!(row["errors"], 0, "{row}");
    }
    rows
}

#[test]
fn appends_are_counted_as_they_are_acknowledged() {
    let server = Server::start();
    let rows =
        measured(&server, "append --writers 4 --streams 3 --batch 5 --warmup 0s --duration 300ms");
    let counted = rows[0]["events"].as_u64().unwrap();
    let tails =
        ndjson(&server.run("streams")).iter().map(|s| s["tail"].as_u64().unwrap()).sum::<u64>();
    assert!(counted > 0 && counted <= tails, "{counted} counted, {tails} in the streams");
}

#[test]
fn every_subscriber_gets_every_event_once() {
    let server = Server::start();
    let rows = measured(&server, "tail --subscribers 5 --rate 200 --warmup 0s --duration 200ms");
    assert_eq!(rows[0]["events"], 5 * 40);
}

#[test]
fn catching_up_sees_every_event_both_ways() {
    let server = Server::start();
    let rows = measured(&server, "catchup --events 3000 --rounds 1 --subscribers 2");
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["events"] == 6_000), "{rows:?}");
}

#[test]
fn resuming_and_waiting_are_measured() {
    let server = Server::start();
    let rows =
        measured(&server, "resume --events 500 --subscribers 2 --warmup 0s --duration 200ms");
    assert!(rows[0]["requests_per_s"].as_f64().unwrap() > 0.0);
    let pid = std::process::id();
    let idle = format!("idle --subscribers 10 --warmup 0s --duration 0s --pid {pid}");
    assert!(measured(&server, &idle)[0]["rss_bytes"].is_number());
}

#[test]
fn the_limit_is_measured_in_both_ways() {
    let dir = tempfile::TempDir::new().unwrap();
    let output =
        scrollback("bench raw --writers 4 --duration 50ms --json --dir").arg(dir.path()).output();
    let rows = ndjson(&crate::util::text(&output.unwrap().stdout));
    assert_eq!(rows.len(), 2);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the file is gone");
}
