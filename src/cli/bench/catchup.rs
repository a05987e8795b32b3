//! `bench catchup`: a stream is loaded, then readers read all of it, several times. Invariant: a
//! read that did not see every event is a failure, however fast it was.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::task::JoinSet;

use super::{
    Common,
    conn::Conn,
    payload::{Bodies, EventCounter},
    report::{Recorder, Row, thread_cpu},
    target::{Protocol, Reading, Target, number_after},
};

/// Events in one append while loading.
const LOAD_BATCH: usize = 500;
/// Room for one read.
const READ_BYTES: usize = 256 * 1024;

/// Catching up: readers read a loaded stream from its beginning
#[derive(Debug, Args)]
pub(super) struct Catchup {
    #[command(flatten)]
    pub(super) common: Common,
    /// Events in the stream
    #[arg(long, default_value_t = 100_000)]
    events: usize,
    /// Readers at the same time
    #[arg(long, default_value_t = 1)]
    subscribers: usize,
    /// Times that each reads all of it
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Loads the stream, reads it in each way the protocol has, and returns the rates.
pub(super) async fn run(args: &Catchup) -> Result<Vec<Row>> {
    let target = args.common.target()?;
    let (loaded, _) = load(&target, args.common.size, args.events).await?;
    let mut rows = Vec::new();
    let ways: &[_] = match target.protocol {
        Protocol::Scrollback => &[(Reading::ToTail, "SSE"), (Reading::Page, "JSON pages")],
        Protocol::Ds => &[(Reading::ToTail, "protocol pages")],
    };
    for (reading, name) in ways {
        // Once without counting: caches warm for everyone.
        let mut conn = target.connect(READ_BYTES).await?;
        read_all(&target, &mut conn, *reading, loaded).await?;
        rows.push(measure(args, &target, *reading, name, loaded).await?);
    }
    Ok(rows)
}

/// Fills stream 0 with events and returns their number and the offset behind them.
pub(super) async fn load(target: &Target, size: usize, events: usize) -> Result<(u64, String)> {
    target.create(1).await?;
    let mut conn = target.connect(READ_BYTES).await?;
    let bodies = Bodies::prepare(size, LOAD_BATCH)?;
    let steps = events.div_ceil(LOAD_BATCH);
    let mut tail = target.beginning().to_owned();
    for step in 0..steps {
        tail = target.append(&mut conn, 0, bodies.pick(step)).await?;
    }
    Ok(((steps * LOAD_BATCH) as u64, tail))
}

async fn measure(
    args: &Catchup,
    target: &Target,
    reading: Reading,
    name: &str,
    loaded: u64,
) -> Result<Row> {
    let forever = Duration::from_hours(24);
    let recorder = Arc::new(Recorder::new(Duration::ZERO, forever)?);
    let (began, cpu) = (Instant::now(), thread_cpu());
    let mut readers = JoinSet::new();
    for _ in 0..args.subscribers {
        let (target, recorder, rounds) = (target.clone(), Arc::clone(&recorder), args.rounds);
        readers.spawn(async move {
            for _ in 0..rounds {
                let sent = Instant::now();
                let mut conn = target.connect(READ_BYTES).await?;
                let bytes = read_all(&target, &mut conn, reading, loaded).await?;
                recorder.done(sent, Instant::now(), loaded, bytes);
            }
            Ok::<(), anyhow::Error>(())
        });
    }
    while let Some(ended) = readers.join_next().await {
        ended?.unwrap_or_else(|error| recorder.failed(&format!("{error:#}")));
    }
    let setup = format!("{} readers, {loaded} events, {name}", args.subscribers);
    let mut row = recorder.row("catchup", &setup, Some(began.elapsed()));
    row.generator_cpu = super::cpu_share(cpu, began);
    Ok(row)
}

/// Reads from the beginning to the tail and returns the bytes; fails where events are missing.
async fn read_all(target: &Target, conn: &mut Conn, reading: Reading, events: u64) -> Result<u64> {
    let mut counter = EventCounter::default();
    let mut from = target.beginning().to_owned();
    loop {
        conn.send(&target.read(0, &from, reading)).await?;
        let next = match (target.protocol, reading) {
            (Protocol::Ds, _) => protocol_page(conn, &mut counter).await?,
            (Protocol::Scrollback, Reading::Page) => native_page(conn, &mut counter).await?,
            (Protocol::Scrollback, _) => whole_stream(conn, &mut counter).await?,
        };
        match next {
            Some(next) => from = next,
            None => break,
        }
    }
    ensure!(counter.events == events, "read {} events where {events} are", counter.events);
    Ok(counter.bytes)
}

async fn whole_stream(conn: &mut Conn, counter: &mut EventCounter) -> Result<Option<String>> {
    let status = conn.head(|_, _| {}).await?;
    ensure!(status == 200, "a read was answered {status}");
    while let Some(piece) = conn.piece().await? {
        counter.feed(piece);
    }
    Ok(None)
}

async fn native_page(conn: &mut Conn, counter: &mut EventCounter) -> Result<Option<String>> {
    let status = conn.head(|_, _| {}).await?;
    let mut page = Vec::with_capacity(READ_BYTES);
    conn.body(&mut page).await?;
    ensure!(status == 200, "a page was answered {status}");
    counter.feed(&page);
    let next = number_after(&page, b"\"nextOffset\":").context("no nextOffset in a page")?;
    let more = memchr::memmem::rfind(&page, b"\"hasMore\":true").is_some();
    Ok(more.then(|| next.to_string()))
}

async fn protocol_page(conn: &mut Conn, counter: &mut EventCounter) -> Result<Option<String>> {
    let (mut next, mut up_to_date) = (None, false);
    let status = conn
        .head(|name, value| {
            if name.eq_ignore_ascii_case("stream-next-offset") {
                next = Some(String::from_utf8_lossy(value).into_owned());
            } else if name.eq_ignore_ascii_case("stream-up-to-date") {
                up_to_date = value.eq_ignore_ascii_case(b"true");
            }
        })
        .await?;
    ensure!(status == 200, "a read was answered {status}");
    while let Some(piece) = conn.piece().await? {
        counter.feed(piece);
    }
    if up_to_date {
        return Ok(None);
    }
    Ok(Some(next.context("no Stream-Next-Offset in a page")?))
}
