//! An idempotent producer and a server that is killed: whatever was under way at the moment, each
//! of its batches is in the log exactly once. Rules of the Durable Streams protocol, section 5.2.1.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::util::{Server, text};

const BATCHES: u64 = 10_000;
const KILLS: u64 = 50;
/// Batches on their way at once, as a client sends them that does not wait.
const PIPELINED: u64 = 8;

fn request(method: &str, headers: &str, body: &str) -> String {
    format!(
        "{method} /v1/stream/p HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         {headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A batch of two messages, so that half of one would show.
fn batch(seq: u64) -> String {
    let headers = format!("producer-id: p\r\nproducer-epoch: 0\r\nproducer-seq: {seq}\r\n");
    request("POST", &headers, &format!("[{},{}]", 2 * seq, 2 * seq + 1))
}

/// The next answer's head; `None` where the connection broke.
fn head(socket: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(text(&head).to_ascii_lowercase())
}

fn field(head: &str, name: &str) -> Option<u64> {
    let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.map(|value| value.parse().unwrap())
}

/// Sends what is left, `PIPELINED` at a time, until the server is gone or all is acknowledged.
/// Answers with the number of batches that are.
fn send(server: &Server, mut acknowledged: u64, until: u64) -> u64 {
    let Ok(mut socket) = TcpStream::connect(server.address()) else { return acknowledged };
    while acknowledged < until {
        let window = acknowledged..until.min(acknowledged + PIPELINED);
        let requests: String = window.clone().map(batch).collect();
        if socket.write_all(requests.as_bytes()).is_err() {
            return acknowledged;
        }
        for seq in window {
            let Some(head) = head(&mut socket) else { return acknowledged };
            let status = head.split(' ').nth(1).unwrap().to_owned();
            // 200 is new; 204 was there before the kill, though nobody was told.
            assert!(["200", "204"].contains(&status.as_str()), "{seq}: {head}");
            assert!(field(&head, "producer-seq").unwrap() >= seq, "{head}");
            acknowledged = seq + 1;
        }
    }
    acknowledged
}

#[test]
fn every_batch_of_a_producer_is_in_the_log_once_though_the_server_is_killed() {
    let mut server = Server::start();
    let mut socket = TcpStream::connect(server.address()).unwrap();
    socket.write_all(request("PUT", "", "").as_bytes()).unwrap();
    assert!(head(&mut socket).unwrap().starts_with("http/1.1 201"));
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut acknowledged = 0;
    for kill in 1..=KILLS {
        acknowledged = send(&server, acknowledged, BATCHES * kill / KILLS - PIPELINED);
        // The next ones are on their way, somewhere, when it dies.
        let mut socket = TcpStream::connect(server.address()).unwrap();
        let requests: String = (acknowledged..acknowledged + PIPELINED).map(batch).collect();
        socket.write_all(requests.as_bytes()).unwrap();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        for _ in 0..random % 300 {
            std::thread::yield_now();
        }
        server.kill_and_restart();
    }
    assert_eq!(send(&server, acknowledged, BATCHES), BATCHES);
    let mut numbers = Vec::new();
    let mut offset = "-1".to_owned();
    loop {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        let uri = format!("GET /v1/stream/p?offset={offset} HTTP/1.0\r\nhost: x\r\n");
        socket.write_all(format!("{uri}connection: close\r\n\r\n").as_bytes()).unwrap();
        let head = head(&mut socket).unwrap();
        let mut body = Vec::new();
        socket.read_to_end(&mut body).unwrap();
        let page: Vec<u64> = serde_json::from_slice(&body).unwrap();
        numbers.extend(page);
        if head.contains("stream-up-to-date: true") {
            break;
        }
        offset = format!("{:016}", field(&head, "stream-next-offset").unwrap());
    }
    assert!(numbers.iter().copied().eq(0..2 * BATCHES), "{} messages", numbers.len());
}
