//! `bench tail`: one writer at a steady rate, and subscribers that follow over SSE. Measures from
//! before the write to after the read, and checks that each got every event exactly once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use super::{
    Common,
    conn::Conn,
    payload::{Bodies, stamp, stamps},
    report::{Recorder, Row, nanos, thread_cpu},
    sse::SseParser,
    target::{Protocol, Target},
};
use crate::clock::{Clock, SystemClock};

/// How long after the last append every subscriber must have everything.
const STRAGGLERS_WITHIN: Duration = Duration::from_secs(15);
/// Room for one read of a subscriber.
const READ_BYTES: usize = 8_192;

/// Delivery: one writer at a steady rate, many subscribers
#[derive(Debug, Args)]
pub(super) struct Tail {
    #[command(flatten)]
    pub(super) common: Common,
    /// SSE connections that follow the stream
    #[arg(long, default_value_t = 100)]
    subscribers: usize,
    /// Events a second
    #[arg(long, default_value_t = 100)]
    rate: u32,
}

struct Plan {
    target: Target,
    recorder: Recorder,
    /// Times in events are nanoseconds since then.
    origin: Instant,
    /// Events before this one warm up.
    first_counted: u64,
    /// The last event, with which a subscriber is done.
    last: u64,
    subscribed: Semaphore,
}

/// Runs writer and subscribers and returns the latencies.
pub(super) async fn run(args: &Tail) -> Result<Vec<Row>> {
    let target = args.common.target()?;
    target.create(1).await?;
    let mut writer = target.connect(READ_BYTES).await?;
    let bodies = Bodies::prepare(args.common.size, 1)?;
    let from = target.append(&mut writer, 0, bodies.pick(0)).await?;
    let warm = events_in(args.common.warmup, args.rate);
    let plan = Arc::new(Plan {
        target,
        recorder: Recorder::new(args.common.warmup, args.common.duration)?,
        origin: Instant::now(),
        first_counted: warm + 1,
        last: warm + events_in(args.common.duration, args.rate),
        subscribed: Semaphore::new(0),
    });
    let mut subscribers = subscribe_all(&plan, args.subscribers, &from).await?;
    let (began, cpu) = (Instant::now(), thread_cpu());
    write(&plan, &mut writer, &bodies, args.rate).await?;
    let wait = async {
        while let Some(ended) = subscribers.join_next().await {
            ended?.unwrap_or_else(|error| plan.recorder.failed(&format!("{error:#}")));
        }
        Ok::<(), anyhow::Error>(())
    };
    if timeout(STRAGGLERS_WITHIN, wait).await.map_or(true, |waited| waited.is_err()) {
        for _ in 0..subscribers.len() {
            plan.recorder.failed(&"a subscriber did not get every event in time");
        }
        subscribers.shutdown().await;
    }
    let setup = format!("{} subscribers, {} events/s", args.subscribers, args.rate);
    let mut row = plan.recorder.row("tail", &setup, None);
    row.generator_cpu = super::cpu_share(cpu, began);
    Ok(vec![row])
}

fn events_in(span: Duration, rate: u32) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).saturating_mul(u64::from(rate)) / 1_000
}

async fn subscribe_all(plan: &Arc<Plan>, count: usize, from: &str) -> Result<JoinSet<Result<()>>> {
    let mut subscribers = JoinSet::new();
    for _ in 0..count {
        // One after the other, so that no listener's backlog overflows.
        let conn = plan.target.follow(0, from, READ_BYTES).await?;
        subscribers.spawn(subscribe(Arc::clone(plan), conn, from.to_owned()));
    }
    let all = u32::try_from(count)?;
    let ready = timeout(STRAGGLERS_WITHIN, plan.subscribed.acquire_many(all));
    ready.await.context("not every subscriber was caught up in time")??.forget();
    Ok(subscribers)
}

async fn write(plan: &Plan, conn: &mut Conn, bodies: &Bodies, rate: u32) -> Result<()> {
    let head = plan.target.append_head(0, bodies.body_bytes());
    let mut request = Vec::new();
    let began = Instant::now();
    for number in 1..=plan.last {
        let due = Duration::from_nanos(number * 1_000_000_000 / u64::from(rate.max(1)));
        let early = due.saturating_sub(began.elapsed());
        if !early.is_zero() {
            SystemClock.sleep(early).await;
        }
        request.clear();
        request.extend_from_slice(&head);
        request.extend_from_slice(bodies.pick(usize::try_from(number)?));
        stamp(&mut request, number, nanos(plan.origin.elapsed()));
        let status = conn.exchange(&request).await?;
        ensure!((200..300).contains(&status), "an append was answered {status}");
    }
    Ok(())
}

/// What one subscriber has seen.
struct Seen {
    /// The event that must come next.
    next: u64,
    /// Where to go on after a reconnect.
    from: String,
    ready: bool,
}

/// Follows until the last event has come, over as many connections as the server ends.
async fn subscribe(plan: Arc<Plan>, mut conn: Conn, from: String) -> Result<()> {
    let mut seen = Seen { next: 1, from, ready: false };
    loop {
        let mut parser = SseParser::new();
        while let Some(piece) = conn.piece().await? {
            let now_ns = nanos(plan.origin.elapsed());
            parser.feed(piece, |event| {
                note(&plan, &mut seen, now_ns, (event.name, event.id, event.data));
            });
            if seen.next > plan.last {
                return Ok(());
            }
        }
        // Servers may end a live read, and some do after a minute: go on where it ended.
        conn = plan.target.follow(0, &seen.from, READ_BYTES).await?;
    }
}

fn note(plan: &Plan, seen: &mut Seen, now_ns: u64, (name, id, data): (&[u8], &[u8], &[u8])) {
    if !name.is_empty() && name != b"data" {
        if !seen.ready {
            seen.ready = true;
            plan.subscribed.add_permits(1);
        }
        if let Some(next) = control_offset(plan.target.protocol, data) {
            seen.from = next;
        }
        return;
    }
    if plan.target.protocol == Protocol::Scrollback {
        seen.from = String::from_utf8_lossy(id).into_owned();
    }
    stamps(data, |number, sent_ns| {
        if number != seen.next {
            plan.recorder.failed(&format!("event {number} came where {} was due", seen.next));
        }
        seen.next = seen.next.max(number + 1);
        if number >= plan.first_counted {
            plan.recorder.arrived(now_ns.saturating_sub(sent_ns));
        }
    });
}

fn control_offset(protocol: Protocol, data: &[u8]) -> Option<String> {
    if protocol == Protocol::Scrollback {
        return None;
    }
    let label = b"\"streamNextOffset\":\"";
    // Offsets are opaque: everything up to the closing quote.
    let from = memchr::memmem::find(data, label)? + label.len();
    let rest = data.get(from..)?;
    let end = memchr::memchr(b'"', rest)?;
    Some(String::from_utf8_lossy(rest.get(..end)?).into_owned())
}
