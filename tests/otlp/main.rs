//! Spans on their way to a collector: one that listens on a socket here gets the span of a request,
//! in the trace that the request named, and no secret. A process has one log, so this is the one
//! test of its kind.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use scrollback::{
    clock::SystemClock,
    metrics::Metrics,
    server::{self, Settings, telemetry},
    store::memory::MemoryStore,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// What a collector is sent in one request, the lines before the body and the body.
fn taken(listener: &TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    let (head, end) = loop {
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "the exporter hung up");
        bytes.extend_from_slice(piece.get(..count).unwrap());
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break (String::from_utf8_lossy(bytes.get(..end).unwrap()).to_lowercase(), end + 4);
        }
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length: usize = length.parse().unwrap();
    while bytes.len() < end + length {
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "the exporter hung up");
        bytes.extend_from_slice(piece.get(..count).unwrap());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    (head, bytes.split_off(end))
}

/// Asks a server for one thing, and waits for the end of the answer.
fn ask(addr: SocketAddr) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    let request = format!(
        "GET /api/sessions/traced/events?access_token=SECRET HTTP/1.1\r\nhost: x\r\n\
         connection: close\r\nauthorization: Bearer SECRET\r\nx-request-id: req-of-test\r\n\
         traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_collector_gets_the_span_of_a_request_in_its_trace() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        log_filter: "error".to_owned(),
        otlp_endpoint: Some(format!("http://{}", collector.local_addr().unwrap())),
        otlp_service: "under-test".to_owned(),
        ..Settings::default()
    };
    settings.check().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let telemetry = telemetry::install(&settings, runtime.handle()).unwrap();
    let collecting = std::thread::Builder::new().spawn(move || taken(&collector)).unwrap();
    runtime.block_on(async {
        let (store, metrics) = (Arc::new(MemoryStore::default()), Arc::new(Metrics::default()));
        let clock = Arc::new(SystemClock);
        let server = server::start_with(&settings, store, clock, metrics).await.unwrap();
        let addr = server.addr();
        let answer = tokio::task::spawn_blocking(move || ask(addr)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        server.stop().await.unwrap();
    });
    telemetry.stop();
    let (head, body) = collecting.join().expect("a request to the collector");
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    let has = |wanted: &[u8]| body.windows(wanted.len()).any(|found| found == wanted);
    for wanted in [
        "under-test",
        "request",
        "req-of-test",
        "/api/sessions/{id}/events",
        "/api/sessions/traced",
    ] {
        assert!(has(wanted.as_bytes()), "{wanted} was not sent");
    }
    assert!(has(&u128::from_str_radix(TRACE, 16).unwrap().to_be_bytes()), "not in its trace");
    assert!(!has(b"SECRET"), "a secret was sent");
}
