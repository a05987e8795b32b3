//! Who reads live: followers of one stream, readers of many with a cursor, and long-polls. Each
//! loses its connection now and then and goes on from where it was; each must be given every
//! event once and in order, with the bytes that all others see.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use serde::Deserialize;
use tokio::time::timeout;

use super::{
    super::{conn::Conn, sse::SseParser},
    asking::{Asker, get},
    dice::Dice,
    ledger::{Mark, Seen, Told},
    run::Run,
};

/// Room for one read.
const READ_BYTES: usize = 16_384;
/// A line without a sign of life for so long is dead: twice what the documents say of it.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What a follower has seen of which stream.
#[derive(Debug)]
pub(super) struct Followed {
    /// The stream.
    pub(super) stream: String,
    /// What of it.
    pub(super) seen: Seen,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reset {
    reason: String,
    resume_from: u64,
}

/// A follower of one stream.
struct Follower<'a> {
    run: &'a Run,
    stream: &'a str,
    /// Records of the stream go after a moment, and it is told so.
    forgets: bool,
    seen: Seen,
}

/// Follows a stream over many connections until it has all of it.
pub(super) async fn follow(run: Arc<Run>, actor: u64, stream: String, forgets: bool) -> Followed {
    let mut dice = run.dice(actor);
    let mut follower = Follower { run: &run, stream: &stream, forgets, seen: Seen::default() };
    while !run.is_drained(&stream, follower.seen.offset) {
        let lasts = lifetime(&run, &mut dice);
        let path = format!("/api/follow/{stream}?fromOffset={}", follower.seen.offset);
        let read = live(&run, &path, None, |name, _, data| follower.take(name, data));
        let stopped = tokio::select! {
            ended = timeout(lasts, read) => matches!(ended, Ok(Ok(Err(())))),
            () = run.until_over() => true,
        };
        if stopped {
            break;
        }
        // Who is to be told of what has gone stays away until something has.
        run.pause(dice.span_ms(0, if forgets { 6_000 } else { 120 })).await;
    }
    let seen = follower.seen;
    Followed { stream, seen }
}

/// How long a connection is let live.
fn lifetime(run: &Run, dice: &mut Dice) -> Duration {
    if run.loads() { dice.span_ms(50, 9_000) } else { Duration::from_secs(1) }
}

impl Follower<'_> {
    fn take(&mut self, name: &[u8], data: &[u8]) -> Result<(), ()> {
        let taken = match name {
            b"" => Told::read(data).and_then(|event| {
                self.run.counts.read.add(1);
                self.seen.take(&event)
            }),
            b"reset" => self.reset(data),
            _ => Ok(()),
        };
        taken.map_err(|wrong| self.run.found(format!("a follower of {}: {wrong}", self.stream)))
    }

    fn reset(&mut self, data: &[u8]) -> Result<(), String> {
        let reset: Reset = serde_json::from_slice(data).map_err(|error| error.to_string())?;
        let is_due = self.forgets && reset.reason == "trimmed";
        if !is_due || reset.resume_from < self.seen.offset {
            return Err(format!("reset behind {}: {}", self.seen.offset, shown(data)));
        }
        self.run.counts.resets.add(reset.resume_from - self.seen.offset);
        self.seen.offset = reset.resume_from;
        Ok(())
    }
}

fn shown(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// One connection of a live read. `take` gets name, id and data of each event; what it refuses
/// ends the read with `Err(())` inside, and a line that ends is an `Ok` around.
async fn live(
    run: &Run,
    path: &str,
    last_id: Option<u64>,
    mut take: impl FnMut(&[u8], &[u8], &[u8]) -> Result<(), ()>,
) -> Result<Result<(), ()>> {
    let mut conn = Conn::open(&run.address, READ_BYTES).await?;
    let last = last_id.map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
    conn.send(format!("GET {path} HTTP/1.1\r\nhost: soak\r\n{last}\r\n").as_bytes()).await?;
    let status = conn.head(|_, _| {}).await?;
    if status != 200 {
        // It is not there yet, or the server is about to stop.
        ensure!(matches!(status, 404 | 429 | 503), "following was answered {status}");
        bail!("not now");
    }
    run.counts.connections.add(1);
    let mut parser = SseParser::new();
    let mut taken = Ok(());
    while let Some(piece) = timeout(SILENCE_MAX, conn.piece()).await?? {
        parser.feed(piece, |event| {
            if taken.is_ok() {
                taken = take(event.name, event.id, event.data);
            }
        });
        if taken.is_err() {
            break;
        }
    }
    Ok(taken)
}

/// Reads all sessions with one cursor: the order grows, and each stream goes on by one.
pub(super) async fn across(run: Arc<Run>, actor: u64, strictly: Vec<String>) -> Vec<Followed> {
    let mut dice = run.dice(actor);
    let mut across =
        Across { run: &run, cursor: 0, seen: BTreeMap::new(), others: BTreeMap::new() };
    for stream in strictly {
        across.seen.insert(stream, Seen::default());
    }
    while !across.seen.iter().all(|(stream, seen)| run.is_drained(stream, seen.offset)) {
        let lasts = lifetime(&run, &mut dice);
        let path = format!("/api/events?channels=session:*&cursor={}", across.cursor);
        let last_id = (dice.percent(50) && across.cursor > 0).then_some(across.cursor);
        let read = live(&run, &path, last_id, |name, id, data| across.take(name, id, data));
        let stopped = tokio::select! {
            ended = timeout(lasts, read) => matches!(ended, Ok(Ok(Err(())))),
            () = run.until_over() => true,
        };
        if stopped {
            break;
        }
        run.pause(dice.span_ms(0, 200)).await;
    }
    let seen = across.seen.into_iter();
    seen.map(|(stream, seen)| Followed { stream, seen }).collect()
}

/// A reader of many streams.
struct Across<'a> {
    run: &'a Run,
    cursor: u64,
    /// Streams that are followed from their beginning.
    seen: BTreeMap<String, Seen>,
    /// The last offset of every other one; forks begin anywhere.
    others: BTreeMap<String, u64>,
}

impl Across<'_> {
    fn take(&mut self, name: &[u8], id: &[u8], data: &[u8]) -> Result<(), ()> {
        let taken = if name.is_empty() { self.event(id, data) } else { named(name, data) };
        taken.map_err(|wrong| self.run.found(format!("a reader of all sessions: {wrong}")))
    }

    fn event(&mut self, id: &[u8], data: &[u8]) -> Result<(), String> {
        let event = Told::read(data)?;
        let position = str::from_utf8(id).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        if position <= self.cursor {
            return Err(format!("position {position} came behind {}", self.cursor));
        }
        self.cursor = position;
        self.run.counts.read.add(1);
        let stream = event.stream.ok_or_else(|| format!("no stream in {}", shown(data)))?;
        if let Some(seen) = self.seen.get_mut(stream) {
            return seen.take(&event).map_err(|wrong| format!("{stream}: {wrong}"));
        }
        let last = self.others.insert(stream.to_owned(), event.offset);
        match last {
            Some(last) if event.offset != last + 1 => {
                Err(format!("{stream}: offset {} came behind {last}", event.offset))
            }
            _ => Ok(()),
        }
    }
}

/// Whole stretches of the order may have gone with streams that are deleted; those that are
/// looked at keep all they have, so the offsets tell whether anything of theirs is missing.
fn named(name: &[u8], data: &[u8]) -> Result<(), String> {
    let is_lost = name == b"reset" && !data.windows(9).any(|part| part == b"\"trimmed\"");
    if is_lost { Err(shown(data)) } else { Ok(()) }
}

/// Reads a producer's stream over the protocol: a page, then long-polls.
pub(super) async fn long_poll(run: Arc<Run>, actor: u64, stream: String) {
    let mut asker = Asker::new(&run, run.dice(actor));
    let mut dice = run.dice(actor + 1_000);
    let (mut offset, mut cursor, mut number) = ("-1".to_owned(), None, 0_u64);
    while !run.is_drained(&stream, number) {
        let mut path = format!("/v1/stream/{stream}?offset={offset}");
        // Once the writers have stopped nothing is worth waiting for.
        if number > 0 && run.loads() {
            path.push_str("&live=long-poll");
            if let Some(cursor) = &cursor {
                path = format!("{path}&cursor={cursor}");
            }
        }
        let Some(reply) = asker.ask(&get(&path)).await else { return };
        let marks: Vec<Mark> = match reply.status {
            200 => reply.read().unwrap_or_default(),
            204 | 404 => Vec::new(),
            _ => return run.found(format!("a long-poll of {stream}: {}", reply.shown())),
        };
        run.counts.read.add(marks.len() as u64);
        for mark in marks {
            if mark.n != number + 1 {
                let due = number + 1;
                return run.found(format!("{stream}: {} came where {due} was due", mark.n));
            }
            number = mark.n;
        }
        offset = reply.next.unwrap_or(offset);
        cursor = reply.cursor.or(cursor);
        run.pause(dice.span_ms(0, 50)).await;
    }
}
