//! Clients that are slow, or do nothing at all: each loses its place in a time that is known, and
//! an honest one keeps it.

use std::{fmt::Write as _, time::Duration};

use scrollback::{limits, server::Running};
use tokio::{
    io::AsyncReadExt,
    time::{self, Instant},
};

use super::socket::{EVENT, EVENTS, Wire, post, start, start_paused};

/// Sends `piece` each 29 s until an answer comes, at most `times`, and says what came.
async fn drip(wire: &mut Wire, piece: &str, times: usize) -> Option<String> {
    let mut answer = vec![0; 4096];
    for _ in 0..times {
        wire.send(piece).await;
        if let Ok(count) = time::timeout(Duration::from_secs(29), wire.0.read(&mut answer)).await {
            answer.truncate(count.unwrap());
            return Some(String::from_utf8(answer).unwrap());
        }
    }
    None
}

fn open_body(kind: &str) -> String {
    post(EVENTS, kind, 0, "").replace("content-length: 0", "transfer-encoding: chunked")
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_byte_by_byte_is_cut() {
    let server = start_paused().await;
    let begun = Instant::now();
    for kind in ["application/json", "application/x-ndjson"] {
        let mut wire = Wire::to(&server).await;
        wire.send(&open_body(kind)).await;
        let answer = drip(&mut wire, "1\r\n \r\n", 9).await.expect("it is cut");
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("the body came too slowly"), "{answer}");
    }
    assert!(begun.elapsed() < 4 * limits::BODY_BEHIND_MAX);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_open_body_goes_on_while_events_come() {
    let server = start_paused().await;
    let mut wire = Wire::to(&server).await;
    wire.send(&open_body("application/x-ndjson")).await;
    let piece = format!("{:x}\r\n{EVENT}\n\r\n", EVENT.len() + 1);
    assert_eq!(drip(&mut wire, &piece, 40).await, None);
    wire.send("0\r\n\r\n").await;
    assert!(wire.until("}").await.contains("\"count\":40"));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_over_in_its_time_is_cut() {
    let server = start_paused().await;
    let mut wire = Wire::to(&server).await;
    wire.send(&open_body("application/json")).await;
    let piece = format!("7530\r\n{}\r\n", " ".repeat(0x7530));
    let begun = Instant::now();
    let answer = drip(&mut wire, &piece, 99).await.expect("it is cut");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(begun.elapsed() <= limits::BODY_WITHIN + Duration::from_secs(29));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_or_half_a_preface_is_disconnected() {
    let server = start_paused().await;
    for first in ["", "PRI * HTTP/2.0", "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut wire = Wire::to(&server).await;
        wire.send(first).await;
        let begun = Instant::now();
        let mut answer = String::new();
        wire.0.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.contains("200 OK"), first.starts_with("GET"), "{answer}");
        let waited = begun.elapsed();
        assert!((1..3).contains(&(waited.as_secs() / limits::HEADER_TIMEOUT.as_secs())));
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_has_as_many_headers_as_is_said() {
    let server = start().await;
    for (count, status) in [(limits::HEADERS_MAX, 200), (limits::HEADERS_MAX + 1, 431)] {
        let mut request = "GET /healthz HTTP/1.1\r\nhost: x\r\n".to_owned();
        for number in 1..count {
            write!(request, "x-{number}: y\r\n").unwrap();
        }
        let mut wire = Wire::to(&server).await;
        wire.send(&format!("{request}\r\n")).await;
        wire.until(&format!("HTTP/1.1 {status}")).await;
    }
    server.stop().await.unwrap();
}

const EVENTS_SENT: usize = 96;

/// Events of so many bytes that no socket takes them all.
async fn much(server: &Running) {
    let mut wire = Wire::to(server).await;
    let event = format!(r#"{{"channel":"x","data":"{}"}}"#, "y".repeat(250_000));
    for _ in 0..EVENTS_SENT {
        wire.send(&post(EVENTS, "application/json", event.len(), &event)).await;
        wire.until("\"ok\":true").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_reads_is_disconnected_and_its_neighbour_is_not() {
    let server = start_paused().await;
    much(&server).await;
    let get = "GET /api/sessions/s/stream?fromOffset=";
    let mut stalled = Wire::to(&server).await;
    stalled.send(&format!("{get}0 HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    let mut live = Wire::to(&server).await;
    live.send(&format!("{get}{EVENTS_SENT} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    live.until("event: caught-up").await;
    let begun = Instant::now();
    // The neighbour reads its heartbeats, as time passes.
    let mut heartbeat = async || live.0.read(&mut [0; 4096]).await.unwrap();
    while server.connections() > 1 {
        assert!(heartbeat().await > 0);
        assert!(begun.elapsed() < 2 * limits::WRITE_STALLED, "it holds its place");
    }
    assert!(begun.elapsed() + Duration::from_secs(1) >= limits::WRITE_STALLED);
    assert!(heartbeat().await > 0);
    drop(stalled);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_no_http_is_refused_at_once_and_keeps_its_place_for_a_while() {
    let server = start_paused().await;
    for rubbish in ["\u{1}\u{2}\u{3} rubbish\r\n\r\n", &"GET / HTTP/1.1\r\nx: y\r\n".repeat(4_000)]
    {
        let begun = Instant::now();
        let mut wire = Wire::to(&server).await;
        wire.send(rubbish).await;
        let refused = wire.until("\r\n\r\n").await;
        assert!(refused.starts_with("HTTP/1.1 4"), "{refused}");
        assert_eq!(begun.elapsed(), Duration::ZERO, "the refusal does not wait");
        assert_eq!(wire.0.read(&mut [0; 16]).await.unwrap_or(0), 0, "nothing more comes");
        assert!(begun.elapsed() >= limits::RUBBISH_HELD);
    }
    // One that goes at once keeps its place as long.
    let mut wire = Wire::to(&server).await;
    wire.send("\u{1}\r\n\r\n").await;
    wire.until("\r\n\r\n").await;
    drop(wire);
    let begun = Instant::now();
    while server.connections() > 0 {
        time::advance(limits::RUBBISH_HELD / 4).await;
        tokio::task::yield_now().await;
    }
    assert!(begun.elapsed() >= limits::RUBBISH_HELD / 2);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_does_not_wait_for_those_who_brought_no_http() {
    let server = start_paused().await;
    let mut wire = Wire::to(&server).await;
    wire.send("\u{1}\r\n\r\n").await;
    wire.until("\r\n\r\n").await;
    let begun = Instant::now();
    server.stop().await.unwrap();
    assert!(begun.elapsed() < limits::RUBBISH_HELD);
}
