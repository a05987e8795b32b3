//! HTTP/2 over real sockets: many live reads over one connection, through a stock client, and its
//! bounds, through frames written by hand.

use std::time::Duration;

use futures_util::{StreamExt, future::join_all};
use reqwest::{Client, Response, Version};
use scrollback::{limits, server::Running, tls};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use super::{
    socket::{EVENT, EVENTS, Wire, start, start_as, start_paused},
    tls::Authority,
};

/// More than browsers open over one connection.
const READERS: usize = 120;

/// A client that speaks HTTP/2 without asking.
fn knowing() -> Client {
    tls::choose();
    Client::builder().http2_prior_knowledge().build().unwrap()
}

async fn append(client: &Client, server: &Running) -> String {
    let request = client.post(format!("{}{EVENTS}", server.url()));
    let answer = request.header("content-type", "application/json").body(EVENT).send().await;
    answer.unwrap().text().await.unwrap()
}

async fn follow(client: &Client, server: &Running) -> Response {
    let url = format!("{}/api/sessions/s/stream?fromOffset=0", server.url());
    let answer = client.get(url).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
    answer
}

/// Reads until `end` has come.
async fn until(answer: &mut Response, end: &str) {
    let mut text = String::new();
    while !text.contains(end) {
        let piece = tokio::time::timeout(Duration::from_secs(30), answer.chunk()).await;
        let piece = piece.expect("something comes").unwrap();
        text += std::str::from_utf8(&piece.unwrap_or_else(|| panic!("{text}"))).unwrap();
    }
}

/// What a client over one connection sees: every event, and the end when the server stops.
async fn many_live_reads(client: Client, server: Running) {
    assert!(append(&client, &server).await.contains("\"offset\":1"));
    let mut readers = join_all((0..READERS).map(|_| follow(&client, &server))).await;
    join_all(readers.iter_mut().map(|reader| until(reader, "event: caught-up"))).await;
    assert_eq!(server.connections(), 1);
    assert!(append(&client, &server).await.contains("\"offset\":2"));
    join_all(readers.iter_mut().map(|reader| until(reader, "id: 2\ndata: "))).await;
    let ends = readers.into_iter().map(|mut reader| async move {
        until(&mut reader, "event: end\ndata: {\"reason\":\"shutdown\",\"offset\":2}").await;
        // It is over, and not broken off.
        let rest: Vec<_> = reader.bytes_stream().collect().await;
        assert!(rest.iter().all(Result::is_ok), "{rest:?}");
    });
    let (stopped, _) = tokio::join!(server.stop(), join_all(ends));
    stopped.unwrap();
}

#[tokio::test]
async fn more_than_a_hundred_live_reads_share_one_connection_over_tls() {
    let authority = Authority::new();
    let server = start_as(authority.settings()).await;
    many_live_reads(authority.client().build().unwrap(), server).await;
}

#[tokio::test]
async fn a_client_that_knows_better_needs_no_tls() {
    many_live_reads(knowing(), start().await).await;
}

#[tokio::test]
async fn headers_beyond_the_bound_are_refused() {
    let server = start().await;
    let client = knowing();
    let asked = async |bytes: usize| {
        let request = client.get(format!("{}/healthz", server.url()));
        request.header("x", "y".repeat(bytes)).send().await.unwrap().status().as_u16()
    };
    assert_eq!(asked(limits::HEADER_BYTES_MAX / 2).await, 200);
    assert_eq!(asked(limits::HEADER_BYTES_MAX).await, 431);
    drop(client);
    server.stop().await.unwrap();
}

const DATA: u8 = 0;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A client that answers pings and does nothing else: what it was sent, and after which time the
/// server had enough.
async fn idle(server: &Running, first: &[u8]) -> (Vec<u8>, Duration) {
    let mut wire = Wire::to(server).await;
    let begun = Instant::now();
    let settings = frame(4, 0, 0, &[]);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    wire.0.write_all(&[preface, &*settings, first].concat()).await.unwrap();
    let mut kinds = Vec::new();
    let mut head = [0; 9];
    while wire.0.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        wire.0.read_exact(&mut payload).await.unwrap();
        kinds.push(head[3]);
        if head[3] == PING && head[4] == 0 {
            let _ = wire.0.write_all(&frame(PING, 1, 0, &payload)).await;
        }
    }
    (kinds, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_for_nothing_ends_though_it_answers_pings() {
    let server = start().await;
    let (kinds, after) = idle(&server, &[]).await;
    assert!(kinds.contains(&PING) && kinds.contains(&GOAWAY), "{kinds:?}");
    assert!(after >= limits::HTTP2_LOOK_EVERY && after < 2 * limits::HTTP2_LOOK_EVERY);
    server.stop().await.unwrap();
}

/// A request for a live read of session `s` as a frame of headers.
fn asks(stream: u8, from_offset: u8) -> Vec<u8> {
    // GET, http and a path without Huffman code.
    let path = format!("/api/sessions/s/stream?fromOffset={from_offset}");
    let length = u8::try_from(path.len()).unwrap();
    let fields = [&[0x82, 0x86, 0x04, length], path.as_bytes(), &[0x01, 1, b'x']].concat();
    frame(1, 5, stream, &fields)
}

/// An event that no window has room for.
async fn large_event(server: &Running) {
    let client = knowing();
    let event = format!(r#"{{"channel":"x","data":"{}"}}"#, "y".repeat(250_000));
    let request = client.post(format!("{}{EVENTS}", server.url()));
    let answer = request.header("content-type", "application/json").body(event).send().await;
    assert_eq!(answer.unwrap().status(), 200);
}

/// What a client sees that opens the window of its second stream as it reads it, and of its first
/// by so many bytes with each heartbeat: the first stream is reset after the time that is returned.
async fn one_of_two_is_left_unread(room: u8) -> Duration {
    let server = start_paused().await;
    large_event(&server).await;
    let mut wire = Wire::to(&server).await;
    let first = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &*frame(4, 0, 0, &[])].concat();
    let more = frame(WINDOW_UPDATE, 0, 0, &[0, 15, 0, 0]);
    wire.0.write_all(&[&*first, &more, &asks(1, 0), &asks(3, 1)].concat()).await.unwrap();
    let (mut begun, mut reset, mut heartbeats) = (None, None, 0);
    let mut head = [0; 9];
    // Some heartbeats of the other stream after the end of this one.
    while heartbeats < 3 {
        wire.0.read_exact(&mut head).await.expect("the connection goes on");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        wire.0.read_exact(&mut payload).await.unwrap();
        match (head[3], head[8]) {
            (DATA, 1) => begun = Some(begun.unwrap_or_else(Instant::now)),
            (RST_STREAM, 1) => reset = Some(begun.unwrap().elapsed()),
            (DATA, 3) => {
                heartbeats += u8::from(reset.is_some());
                let taken = [&[0, 0], &u16::try_from(length).unwrap().to_be_bytes()[..]].concat();
                wire.0.write_all(&frame(WINDOW_UPDATE, 0, 3, &taken)).await.unwrap();
                if room > 0 && reset.is_none() {
                    let room = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, room]);
                    wire.0.write_all(&room).await.unwrap();
                }
            }
            (PING, 0) if head[4] == 0 => {
                wire.0.write_all(&frame(PING, 1, 0, &payload)).await.unwrap();
            }
            (kind, stream) => assert!(![RST_STREAM, GOAWAY].contains(&kind), "{kind} of {stream}"),
        }
    }
    assert_eq!(server.log().metrics().readers.get(), 1, "its seat is free");
    drop(wire);
    server.stop().await.unwrap();
    reset.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_read_is_reset_and_its_neighbour_on_the_connection_goes_on() {
    let after = one_of_two_is_left_unread(0).await;
    assert!(after + Duration::from_secs(1) >= limits::WRITE_STALLED, "{after:?}");
    assert!(after < 2 * limits::WRITE_STALLED, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_which_a_few_bytes_are_read_now_and_then_is_reset_as_well() {
    let after = one_of_two_is_left_unread(9).await;
    assert!(after < 2 * limits::WRITE_STALLED, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_of_its_stream_is_disconnected() {
    let server = start().await;
    large_event(&server).await;
    // Of a stream whose window is never opened again.
    let (kinds, after) = idle(&server, &asks(1, 0)).await;
    assert!(kinds.contains(&DATA) && kinds.contains(&GOAWAY), "{kinds:?}");
    assert!(after >= 2 * limits::HTTP2_LOOK_EVERY && after < 4 * limits::HTTP2_LOOK_EVERY);
    server.stop().await.unwrap();
}
