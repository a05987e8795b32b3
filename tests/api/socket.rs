//! What only a real socket shows: half-sent bodies, pipelined requests, oversized headers, and
//! the order in which a server stops.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use scrollback::{
    clock::{Clock, Sleep, SystemClock},
    limits,
    metrics::Metrics,
    server::{self, Running, Settings},
    store::memory::MemoryStore,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use super::util::NOW_MS;

pub(crate) async fn start() -> Running {
    start_as(settings()).await
}

pub(crate) fn settings() -> Settings {
    Settings { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..Settings::default() }
}

pub(crate) async fn start_as(settings: Settings) -> Running {
    try_start(settings, Arc::new(SystemClock)).await.unwrap()
}

pub(crate) async fn try_start(
    settings: Settings,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Running> {
    settings.check()?;
    let (store, metrics) = (Arc::new(MemoryStore::default()), Arc::new(Metrics::default()));
    server::start_with(&settings, store, clock, metrics).await
}

/// A clock that tells the time of the runtime, so that it stands and moves with it.
#[derive(Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    fn now_ms(&self) -> u64 {
        NOW_MS + u64::try_from(self.0.elapsed().as_millis()).unwrap()
    }

    fn sleep(&self, span: Duration) -> Sleep<'_> {
        Box::pin(async move { SystemClock.sleep(span).await })
    }
}

/// A server whose time is that of the runtime.
pub(crate) async fn start_paused() -> Running {
    try_start(settings(), Arc::new(RuntimeClock(Instant::now()))).await.unwrap()
}

/// Sends a request that ends its connection, and reads the answer to its end.
pub(crate) async fn exchange(server: &Running, request: &str) -> String {
    let mut wire = Wire::to(server).await;
    wire.send(request).await;
    wire.rest().await
}

pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) async fn to(server: &Running) -> Self {
        Self(TcpStream::connect(server.addr()).await.unwrap())
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until `end` has come.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut text = String::new();
        let mut piece = [0; 4096];
        while !text.contains(end) {
            let read = self.0.read(&mut piece);
            let count = tokio::time::timeout(Duration::from_secs(10), read).await;
            let count = count.unwrap_or_else(|_| panic!("no {end:?} in {text:?}")).unwrap();
            assert!(count > 0, "closed without {end:?}: {text:?}");
            text += std::str::from_utf8(&piece[..count]).unwrap();
        }
        text
    }

    /// Reads until the server closes.
    async fn rest(mut self) -> String {
        let mut text = String::new();
        let read = self.0.read_to_string(&mut text);
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("an end").unwrap();
        text
    }
}

pub(crate) fn post(uri: &str, kind: &str, length: usize, body: &str) -> String {
    format!(
        "POST {uri} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

pub(crate) const EVENTS: &str = "/api/sessions/s/events";
pub(crate) const EVENT: &str = r#"{"channel":"x","data":{}}"#;

async fn tail(server: &Running) -> u64 {
    let path = scrollback::log::StreamPath::session("s").unwrap();
    server.log().info(&path).await.map_or(0, |info| info.tail.0)
}

/// An answered request behind others says that those were looked at.
async fn settle(server: &Running) {
    while server.connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_half_sent_body_writes_nothing() {
    let server = start().await;
    for kind in ["application/json", "application/x-ndjson"] {
        let mut wire = Wire::to(&server).await;
        wire.send(&post(EVENTS, kind, EVENT.len() + 10, EVENT)).await;
        drop(wire);
        let mut wire = Wire::to(&server).await;
        let head =
            post(EVENTS, kind, 0, "").replace("content-length: 0", "transfer-encoding: chunked");
        wire.send(&format!("{head}19\r\n{EVENT}\r\n")).await;
        drop(wire);
    }
    settle(&server).await;
    assert_eq!(tail(&server).await, 0);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_line_sent_on_an_open_body_arrives_before_the_body_ends() {
    let server = start().await;
    let mut reader = Wire::to(&server).await;
    let mut writer = Wire::to(&server).await;
    let head = post(EVENTS, "application/x-ndjson", 0, "")
        .replace("content-length: 0", "transfer-encoding: chunked");
    let line = format!("{EVENT}\n");
    writer.send(&format!("{head}{:x}\r\n{line}\r\n", line.len())).await;
    // The session begins with this line, so that the reader may have to ask again.
    while tail(&server).await == 0 {
        tokio::task::yield_now().await;
    }
    reader.send("GET /api/sessions/s/stream HTTP/1.1\r\nhost: x\r\n\r\n").await;
    reader.until("event: caught-up").await;
    writer.send(&format!("{:x}\r\n{line}\r\n", line.len())).await;
    reader.until("id: 2\ndata: ").await;
    writer.send("0\r\n\r\n").await;
    let answer = writer.until("\"offset\":2}").await;
    assert!(answer.contains("\"count\":2"), "{answer}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn requests_sent_behind_each_other_are_answered_in_order() {
    let server = start().await;
    let mut wire = Wire::to(&server).await;
    let request = post(EVENTS, "application/json", EVENT.len(), EVENT);
    wire.send(&format!("{request}{request}{request}")).await;
    let answers = wire.until("\"offset\":3").await;
    assert!(answers.find("\"offset\":1") < answers.find("\"offset\":2"), "{answers}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let server = start().await;
    let mut wire = Wire::to(&server).await;
    wire.send(&format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(64 * 1024))).await;
    wire.until("HTTP/1.1 431").await;
    let mut wire = Wire::to(&server).await;
    wire.send("nonsense\r\n\r\n").await;
    wire.until("HTTP/1.1 400").await;
    server.stop().await.unwrap();
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test stops the server while it talks to it")]
async fn a_server_that_stops_ends_live_reads_and_answers_what_it_has_taken() {
    let server = start().await;
    let mut wire = Wire::to(&server).await;
    wire.send(&post(EVENTS, "application/json", EVENT.len(), EVENT)).await;
    wire.until("\"offset\":1").await;
    let mut reader = Wire::to(&server).await;
    reader.send("GET /api/sessions/s/stream HTTP/1.1\r\nhost: x\r\n\r\n").await;
    reader.until("event: caught-up").await;
    let mut writer = Wire::to(&server).await;
    let (half, other) = EVENT.split_at(10);
    writer.send(&post(EVENTS, "application/json", EVENT.len(), half)).await;
    // Headers are in when the connection counts as three with a request under way.
    while server.connections() < 3 {
        tokio::task::yield_now().await;
    }
    let addr = server.addr();
    let stopping = tokio::spawn(server.stop());
    let end = reader.rest().await;
    assert!(end.contains("event: end\ndata: {\"reason\":\"shutdown\",\"offset\":1}"), "{end}");
    writer.send(other).await;
    let answer = writer.rest().await;
    assert!(answer.contains("\"offset\":2"), "{answer}");
    assert!(wire.rest().await.is_empty(), "an idle connection is closed");
    stopping.await.unwrap().unwrap();
    assert!(TcpStream::connect(addr).await.is_err(), "nobody listens any more");
}

#[tokio::test(start_paused = true)]
async fn headers_that_do_not_come_close_the_connection() {
    let server = start().await;
    let mut wire = Wire::to(&server).await;
    wire.send("GET /healthz HTTP/1.1\r\nhost: x\r\n").await;
    let begun = Instant::now();
    let mut answer = String::new();
    wire.0.read_to_string(&mut answer).await.unwrap();
    assert!(begun.elapsed() >= limits::HEADER_TIMEOUT, "{answer}");
    assert!(!answer.contains("200 OK"), "{answer}");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_ends_does_not_keep_the_server_from_stopping() {
    let server = start().await;
    let mut wire = Wire::to(&server).await;
    wire.send(&post(EVENTS, "application/json", EVENT.len() + 1, EVENT)).await;
    while server.connections() < 1 {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    server.stop().await.unwrap();
    assert!(begun.elapsed() <= limits::STOP_READERS_WITHIN + 2 * limits::STOP_WRITERS_WITHIN);
    let mut answer = String::new();
    // It may be reset or closed; it is not answered.
    let _ = wire.0.read_to_string(&mut answer).await;
    assert!(!answer.contains("\"ok\":true"), "{answer}");
}
