//! Clients that mean harm, over real sockets: what they do is cut off or bounded, others are
//! answered meanwhile, and what they held is free again when they are gone.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use scrollback::{
    clock::SystemClock,
    http::{Allowance, RateLimits},
    limits,
    log::StreamPath,
    metrics::Metrics,
    server::{self, Running, Settings},
    store::memory::MemoryStore,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UnixStream},
};

use crate::socket::{settings, start, start_as};

const EVENTS: &str = "/api/sessions/s/events";
const EVENT: &str = r#"{"channel":"x","data":{}}"#;
/// Where attacks come from, so that they are told from those who mean well.
const ATTACKER: &str = "127.0.0.2:0";

async fn connect(server: &Running, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(from.parse().unwrap()).unwrap();
    socket.connect(server.addr()).await.unwrap()
}

fn post(uri: &str, kind: &str, framing: &str) -> String {
    format!("POST {uri} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n")
}

fn append(uri: &str) -> String {
    post(uri, "application/json", &format!("content-length: {}", EVENT.len())) + EVENT
}

/// Reads until `end` has come, or the server closes.
async fn until<S: AsyncRead + Unpin>(stream: &mut S, end: &str) -> String {
    let mut text = Vec::new();
    let mut piece = vec![0; 16 * 1024];
    loop {
        let read = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut piece));
        match read.await.expect("an answer") {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&text).into_owned(),
            Ok(count) => text.extend_from_slice(&piece[..count]),
        }
        let seen = String::from_utf8_lossy(&text);
        if seen.contains(end) {
            return seen.into_owned();
        }
    }
}

/// Somebody who means well appends an event, and is answered.
async fn honest(server: &Running) {
    let mut stream = connect(server, "127.0.0.1:0").await;
    stream.write_all(append("/api/sessions/honest/events").as_bytes()).await.unwrap();
    let answer = until(&mut stream, "\"ok\":true").await;
    assert!(answer.contains("\"ok\":true"), "{answer}");
}

/// Everything that was held for clients is free again.
async fn all_gone(server: &Running) {
    while server.connections() > 0 || server.log().metrics().readers.get() > 0 {
        tokio::task::yield_now().await;
    }
}

async fn tail(server: &Running, session: &str) -> u64 {
    let path = StreamPath::session(session).unwrap();
    server.log().info(&path).await.map_or(0, |info| info.tail.0)
}

#[tokio::test(start_paused = true)]
async fn headers_that_come_byte_by_byte_have_the_same_time_as_others() {
    let server = start().await;
    let mut slow = connect(&server, ATTACKER).await;
    slow.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    let mut seconds = 0;
    while server.connections() > 0 || seconds == 0 {
        // Once the server has closed, a write may fail.
        let _ = slow.write_all(b"y").await;
        tokio::time::advance(Duration::from_secs(1)).await;
        seconds += 1;
        assert!(seconds < 2 * limits::HEADER_TIMEOUT.as_secs(), "it is never cut off");
    }
    honest(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_never_reads_is_no_burden_to_writers_and_others() {
    let server = start().await;
    let mut writer = connect(&server, "127.0.0.1:0").await;
    writer.write_all(append(EVENTS).as_bytes()).await.unwrap();
    until(&mut writer, "\"ok\":true").await;
    let mut deaf = Vec::new();
    for _ in 0..20 {
        let mut reader = connect(&server, ATTACKER).await;
        let request = "GET /api/sessions/s/stream HTTP/1.1\r\nhost: x\r\n\r\n";
        reader.write_all(request.as_bytes()).await.unwrap();
        deaf.push(reader);
    }
    let large = format!(r#"{{"channel":"x","data":"{}"}}"#, "z".repeat(200_000));
    let framing = format!("content-length: {}", large.len());
    let request = post(EVENTS, "application/json", &framing) + &large;
    for offset in 2..=60 {
        writer.write_all(request.as_bytes()).await.unwrap();
        let answer = until(&mut writer, "\"id\":").await;
        assert!(answer.contains(&format!("\"offset\":{offset},")), "{answer}");
    }
    honest(&server).await;
    drop((deaf, writer));
    all_gone(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn connections_on_which_nothing_happens_leave_room_for_others() {
    let server = start().await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(connect(&server, ATTACKER).await);
    }
    honest(&server).await;
    drop(idle);
    all_gone(&server).await;
    server.stop().await.unwrap();
}

/// Sends a body that never ends, until the server answers or closes. Returns what was taken of it
/// and the answer.
async fn endless(server: &Running, kind: &str, piece: &[u8]) -> (usize, String) {
    let mut stream = connect(server, ATTACKER).await;
    let head = post(EVENTS, kind, "transfer-encoding: chunked");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
    chunk.extend_from_slice(piece);
    chunk.extend_from_slice(b"\r\n");
    let (mut reader, mut writer) = stream.into_split();
    let mut answer = Vec::new();
    let mut sent = 0;
    let sending = async {
        while writer.write_all(&chunk).await.is_ok() {
            sent += piece.len();
        }
    };
    let reading = async {
        let mut room = vec![0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut room).await {
            answer.extend_from_slice(&room[..count]);
        }
    };
    let both = async { tokio::join!(sending, reading) };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("an end");
    (sent, String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn a_body_that_never_ends_is_refused_and_cut_off_and_nothing_is_written() {
    let server = start().await;
    // What waits in the buffers of both ends comes on top.
    let most = limits::BODY_DRAINED_MAX + 16 * 1024 * 1024;
    let piece = vec![b' '; 64 * 1024];
    let (sent, answer) = endless(&server, "application/json", &piece).await;
    assert!(sent < most, "{sent} bytes were taken");
    assert!(answer.is_empty() || answer.contains("body_too_large"), "{answer}");
    // A line that never ends is an event that is too large.
    let (sent, answer) = endless(&server, "application/x-ndjson", &vec![b'x'; 64 * 1024]).await;
    assert!(sent < most, "{sent} bytes were taken");
    assert!(answer.is_empty() || answer.contains("HTTP/1.1 4"), "{answer}");
    assert_eq!(tail(&server, "s").await, 0);
    honest(&server).await;
    all_gone(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn requests_in_thousands_behind_each_other_are_answered_one_by_one() {
    let server = start().await;
    let stream = connect(&server, ATTACKER).await;
    let (mut reader, mut writer) = stream.into_split();
    let requests = append(EVENTS).repeat(2_000);
    let sending = async { writer.write_all(requests.as_bytes()).await.unwrap() };
    let reading = async {
        let mut answers = String::new();
        let mut room = vec![0; 16 * 1024];
        while !answers.contains("\"offset\":2000,") {
            let count = reader.read(&mut room).await.unwrap();
            assert!(count > 0, "closed after {} bytes", answers.len());
            answers += std::str::from_utf8(&room[..count]).unwrap();
        }
        answers
    };
    let others = async {
        for _ in 0..10 {
            honest(&server).await;
        }
    };
    let (answers, ..) = tokio::join!(reading, sending, others);
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2_000);
    assert_eq!(tail(&server, "s").await, 2_000);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn requests_behind_each_other_that_wait_for_nothing_let_others_in_between() {
    let server = start().await;
    let (mut hasty, mut other) =
        (connect(&server, ATTACKER).await, connect(&server, "127.0.0.1:0").await);
    let ask = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    for stream in [&mut hasty, &mut other] {
        stream.write_all(ask.as_bytes()).await.unwrap();
        assert!(until(stream, "\"ok\"").await.contains(" 200 "));
    }
    hasty.write_all(ask.repeat(400).as_bytes()).await.unwrap();
    other.write_all(ask.as_bytes()).await.unwrap();
    assert!(until(&mut other, "\"ok\"").await.contains(" 200 "));
    // Server and clients share one thread, so what has been answered by now came first.
    let mut answered = vec![0; 1024 * 1024];
    let count = hasty.try_read(&mut answered).unwrap_or(0);
    let before = String::from_utf8_lossy(&answered[..count]).matches("HTTP/1.1 200").count();
    assert!(before < 100, "{before} of 400 came before the other's");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_asks_much_is_refused_and_others_are_not() {
    let few = Allowance { requests_per_second: 4, streams_per_hour: 8, ..Allowance::default() };
    let limits = RateLimits { enforce: Some(true), address: few, ..RateLimits::default() };
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings { listen, limits, ..Settings::default() };
    let (store, metrics) = (Arc::new(MemoryStore::default()), Arc::new(Metrics::default()));
    let server =
        server::start_with(&settings, store, Arc::new(SystemClock), metrics).await.unwrap();
    let mut stream = connect(&server, ATTACKER).await;
    let mut answers = String::new();
    for stream_number in 0..100 {
        let request = append(&format!("/api/sessions/tiny-{stream_number}/events"));
        stream.write_all(request.as_bytes()).await.unwrap();
        answers += &until(&mut stream, "}").await;
    }
    assert!(answers.contains("\"limit\":\"address.streams_per_hour\""), "{answers}");
    assert!(answers.contains("\"limit\":\"address.requests_per_second\""), "{answers}");
    assert_eq!(tail(&server, "tiny-99").await, 0);
    honest(&server).await;
    server.stop().await.unwrap();
}

/// A server where strangers may come, which counts their connections.
async fn start_crowded(connections_per_address: u64, unix_socket: Option<PathBuf>) -> Running {
    start_trusting(&[PROXY], connections_per_address, unix_socket).await
}

/// The same with other proxies that are believed.
async fn start_trusting(
    proxies: &[&str],
    connections_per_address: u64,
    unix_socket: Option<PathBuf>,
) -> Running {
    let limits =
        RateLimits { enforce: Some(true), connections_per_address, ..RateLimits::default() };
    let trusted_proxies = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
    start_as(Settings { limits, trusted_proxies, unix_socket, ..settings() }).await
}

/// A proxy that is believed.
const PROXY: &str = "127.0.0.3";

/// Appends an event, and says whether there was an answer.
async fn is_answered<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> bool {
    // Where the connection is closed already this fails, and nothing is read either.
    let _ = stream.write_all(append(EVENTS).as_bytes()).await;
    until(stream, "\"ok\":true").await.contains("\"ok\":true")
}

#[tokio::test]
async fn whoever_takes_all_connections_gets_its_part_and_others_get_theirs() {
    let server = start_crowded(3, None).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&server, ATTACKER).await;
        assert!(is_answered(&mut stream).await);
        taken.push(stream);
    }
    for _ in 0..5 {
        assert!(!is_answered(&mut connect(&server, ATTACKER).await).await);
    }
    honest(&server).await;
    let metrics = server.log().metrics().render().unwrap();
    let counted = r#"scrollback_rate_limited_total{what="connections"} 5"#;
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    assert!(is_answered(&mut taken[0]).await, "what was open goes on");
    taken.pop();
    while server.connections() > 2 {
        tokio::task::yield_now().await;
    }
    assert!(is_answered(&mut connect(&server, ATTACKER).await).await);
    drop(taken);
    all_gone(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_user_who_takes_all_connections_of_the_unix_socket_gets_its_part() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    let server = start_crowded(2, Some(path.clone())).await;
    let mut taken = Vec::new();
    for _ in 0..2 {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        assert!(is_answered(&mut stream).await);
        taken.push(stream);
    }
    for _ in 0..3 {
        assert!(!is_answered(&mut UnixStream::connect(&path).await.unwrap()).await);
    }
    honest(&server).await;
    let metrics = server.log().metrics().render().unwrap();
    let counted = r#"scrollback_rate_limited_total{what="connections"} 3"#;
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    taken.pop();
    while server.connections() > 1 {
        tokio::task::yield_now().await;
    }
    assert!(is_answered(&mut UnixStream::connect(&path).await.unwrap()).await);
    drop(taken);
    all_gone(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn connections_of_proxies_that_are_believed_are_not_those_of_one_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    let server = start_trusting(&[PROXY, "unix"], 1, Some(path.clone())).await;
    let (mut proxied, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        proxied.push(connect(&server, &format!("{PROXY}:0")).await);
        beside.push(UnixStream::connect(&path).await.unwrap());
    }
    for (proxied, beside) in proxied.iter_mut().zip(&mut beside) {
        assert!(is_answered(proxied).await && is_answered(beside).await);
    }
    assert_eq!(tail(&server, "s").await, 10);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn lists_of_headers_without_end_are_refused() {
    let server = start().await;
    for header in ["x: y\r\n".to_owned(), format!("x: {}\r\n", "y".repeat(1_000))] {
        let mut stream = connect(&server, ATTACKER).await;
        let request = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{}", header.repeat(1_000));
        // It may be closed before all of it is sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.write_all(b"\r\n").await;
        let answer = until(&mut stream, "\r\n\r\n").await;
        assert!(answer.is_empty() || answer.contains(" 431 "), "{answer}");
    }
    honest(&server).await;
    all_gone(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn rubbish_is_refused_and_leaves_nothing_behind() {
    let server = start().await;
    for rubbish in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"POST /api/sessions/s/events HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /api/sessions/s/events HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n bad: folded\r\n\r\n",
        b"\xff\xfe\xfd GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = connect(&server, ATTACKER).await;
        stream.write_all(rubbish).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = until(&mut stream, "\r\n\r\n").await;
        assert!(answer.is_empty() || answer.contains("HTTP/1.1 4"), "{answer}");
    }
    honest(&server).await;
    all_gone(&server).await;
    assert_eq!(tail(&server, "s").await, 0);
    server.stop().await.unwrap();
}
