//! States over a socket, from a server on loopback: how soon a snapshot is there, and what it costs
//! appends that the states of their sessions are kept caught up. A part of `projections.rs`.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::Criterion;
use scrollback::{
    log::{Append, Log, NewRecord, StreamPath},
    projection::Views,
    server::{self, Running},
    session::projections::Projections,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Runtime,
    task::JoinSet,
};

use super::mixed;

/// A server of its own on loopback.
fn server(runtime: &Runtime, folder: &Path) -> Running {
    let settings = server::Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        data_dir: folder.join("data"),
        ..server::Settings::default()
    };
    runtime.block_on(server::start(settings)).expect("a server")
}

/// Asks for the stream with its snapshot on a new connection, and reads up to the end of it.
fn snapshot(addr: SocketAddr, answer: &mut Vec<u8>) {
    let mut socket = TcpStream::connect(addr).expect("a connection");
    let request = "GET /api/sessions/s/stream?snapshot=true HTTP/1.1\r\nhost: bench\r\n\r\n";
    socket.write_all(request.as_bytes()).expect("it is sent");
    answer.clear();
    let mut piece = vec![0; 64 * 1024];
    let named = b"\nevent: snapshot\n";
    loop {
        let count = socket.read(&mut piece).expect("it answers");
        assert_ne!(count, 0, "it ended: {}", String::from_utf8_lossy(answer));
        answer.extend_from_slice(piece.get(..count).unwrap_or_default());
        let begin = answer.windows(named.len()).position(|bytes| bytes == named);
        // The state is in one chunk, which ends with a line break of its own.
        if begin.is_some_and(|_| answer.ends_with(b"\n\n\r\n")) {
            return;
        }
    }
}

pub(super) fn snapshot_of_1000_events(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(&runtime, folder.path());
    let session = StreamPath::parse("sessions/s").expect("a path");
    let records = mixed().into_iter().take(1_000).map(|payload| NewRecord { id: None, payload });
    runtime.block_on(server.log().append(&session, Append::json(records))).expect("durable");
    let mut answer = Vec::new();
    let mut group = criterion.benchmark_group("snapshot_over_a_socket");
    group.sample_size(100).measurement_time(Duration::from_secs(3));
    group.bench_function("of_1000_events_in_memory", |bencher| {
        bencher.iter(|| snapshot(server.addr(), &mut answer));
    });
    group.finish();
    println!("the answer has {} bytes", answer.len());
    runtime.block_on(server.stop()).expect("it stops");
}

const WRITERS: usize = 16;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(1);
const LIVE: &str = "append_with_live_states";

/// Events of the samples without their ids, as requests to append one.
fn requests(session: &str) -> Vec<Vec<u8>> {
    let request = |payload: Bytes| {
        let mut event: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        event.as_object_mut().expect("an object").remove("id");
        let (body, uri) = (event.to_string(), format!("/api/sessions/{session}/events"));
        let length = body.len();
        format!(
            "POST {uri} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    };
    mixed().into_iter().map(request).collect()
}

/// Appends one event after the other until the time is over, and counts them.
async fn write(addr: SocketAddr, requests: Vec<Vec<u8>>, until: Instant) -> u32 {
    let mut socket = tokio::net::TcpStream::connect(addr).await.expect("a connection");
    socket.set_nodelay(true).expect("no delay");
    let (mut count, mut answer) = (0, vec![0; 4_096]);
    for request in requests.iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        socket.write_all(request).await.expect("it is sent");
        // An answer is smaller than what one read takes.
        let read = socket.read(&mut answer).await.expect("it answers");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{:?}", answer.get(..read));
        count += 1;
    }
    count
}

/// Looks at all these states after an append, and again after a pause.
async fn look(log: Log, paths: Vec<StreamPath>, pause: Duration) {
    let views = Views::<Projections>::new(log.clone());
    let mut moved = log.watch_order();
    let mut clock = tokio::time::interval(pause.max(Duration::from_nanos(1)));
    while moved.changed().await.is_ok() {
        clock.tick().await;
        for path in &paths {
            // It may not be there yet.
            drop(views.read(path, |_, _| ()).await);
        }
    }
}

/// Events a second that 16 writers append to sessions of their own.
fn rate(runtime: &Runtime, server: &Running, name: &str, pause: Option<Duration>) -> f64 {
    let names: Vec<_> = (0..WRITERS).map(|writer| format!("{name}-{writer}")).collect();
    let bodies: Vec<_> = names.iter().map(|name| requests(name)).collect();
    let paths = names.iter().map(|name| StreamPath::session(name).expect("a path")).collect();
    runtime.block_on(async {
        let mut looking = JoinSet::new();
        if let Some(pause) = pause {
            looking.spawn(look(server.log().clone(), paths, pause));
        }
        let began = Instant::now();
        let mut writers = JoinSet::new();
        for requests in bodies {
            writers.spawn(write(server.addr(), requests, began + ROUND));
        }
        let count: u32 = writers.join_all().await.into_iter().sum();
        f64::from(count) / began.elapsed().as_secs_f64()
    })
}

/// Asks for the list of sessions, which puts off its folding in a rush and is caught up then: what
/// one round has put off must not be paid for by the next.
fn list(addr: SocketAddr) {
    let mut socket = TcpStream::connect(addr).expect("a connection");
    let request = "GET /api/sessions?limit=1 HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("it answers");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().expect("there are some")
}

/// What it costs appends that the states of their sessions are kept caught up: each round with
/// and without, one behind the other, so that both see the same machine.
pub(super) fn append_with_live_states(_: &mut Criterion) {
    let asked = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if asked.is_some_and(|asked| !LIVE.contains(&asked)) {
        return;
    }
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(&runtime, folder.path());
    let pauses = [None, Some(100), Some(10), Some(0)].map(|ms| ms.map(Duration::from_millis));
    let mut rates = pauses.map(|_| Vec::new());
    for round in 0..=ROUNDS {
        for (way, (pause, rates)) in pauses.into_iter().zip(&mut rates).enumerate() {
            list(server.addr());
            let rate = rate(&runtime, &server, &format!("r{round}w{way}"), pause);
            // The first warms up.
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    let [without, seldom, often, always] = rates.map(median);
    println!("{LIVE}, {WRITERS} writers, events a second, medians of {ROUNDS}:");
    println!("  no state is looked at      {without:>8.0}");
    println!("  all, every 100 ms          {seldom:>8.0}   {:.2}", seldom / without);
    println!("  all, every 10 ms           {often:>8.0}   {:.2}", often / without);
    println!("  all, again and again       {always:>8.0}   {:.2}", always / without);
    runtime.block_on(server.stop()).expect("it stops");
}
