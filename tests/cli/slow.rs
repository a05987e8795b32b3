//! Readers that never read. What they cost the server is bounded, and they cost others nothing.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::TcpStream,
};

use crate::util::Server;

const READERS: usize = 1_000;
const EVENTS: u64 = 100_000;
const MEMORY_BYTES_MAX: u64 = 200 * 1024 * 1024;

/// A thousand subscribers open the stream and take nothing but the first bytes while a hundred
/// thousand events go by. Debug builds are larger than release builds, so the bound holds there
/// all the more.
#[test]
fn a_thousand_readers_that_never_read_cost_a_bounded_amount_of_memory() {
    let server = Server::start();
    server.append_numbers("busy", 1);
    let readers: Vec<TcpStream> = (0..READERS).map(|_| stuck(&server)).collect();

    let text = "a delta of some words that a model has just said ".repeat(4);
    let mut input = String::new();
    for n in 0..EVENTS {
        writeln!(input, r#"{{"channel":"message","data":{{"n":{n},"delta":"{text}"}}}}"#).unwrap();
    }
    let appended = server.run_with("append busy", &input);
    assert!(appended.status.success());

    // What waits for the compactor has a bound of its own and would be there without readers;
    // with a slow disk it is more. An event in memory costs its payload and about as much again.
    let (bytes, waiting) = (server.memory_bytes(), 2 * server.metric("memtable_bytes"));
    let readers_cost = bytes.saturating_sub(waiting);
    assert!(readers_cost < MEMORY_BYTES_MAX, "{bytes} bytes, {waiting} of them for the journal");
    // Others read on as if they were not there.
    let read = server.run("read busy --from 100000 --limit 10");
    assert_eq!(read.lines().count(), 1, "{read}");
    drop(readers);
}

/// A subscriber that has been let in, and reads no further.
fn stuck(server: &Server) -> TcpStream {
    let mut socket = TcpStream::connect(server.address()).unwrap();
    let request = "GET /api/sessions/busy/stream?fromOffset=0 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    let mut status = [0; 15];
    socket.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
    socket
}
