//! Streams that come and go: made, forked, closed and deleted; and one of a short retention that
//! is written to, and swept, all the time. What is deleted must be gone, what was forked must stay.

use std::{sync::Arc, time::Duration};

use super::{
    asking::{Asker, get, json, request},
    run::Run,
};

/// Records of each stream that comes and goes.
const RECORDS: usize = 3;

/// Makes, forks, closes and deletes streams until the load ends.
pub(super) async fn come_and_go(run: Arc<Run>, actor: u64) {
    let mut churn = Churn { run: &run, asker: Asker::new(&run, run.dice(actor + 1_000)) };
    let mut dice = run.dice(actor);
    let mut number = 0;
    while run.loads() {
        number += 1;
        if churn.once(&format!("churn/{actor}-{number}")).await.is_none() {
            return;
        }
        run.counts.churned.add(1);
        run.pause(dice.span_ms(50, 400)).await;
    }
}

struct Churn<'a> {
    run: &'a Run,
    asker: Asker<'a>,
}

impl Churn<'_> {
    async fn once(&mut self, path: &str) -> Option<()> {
        let fork = format!("{path}-fork");
        self.asker.done(&json("PUT", &format!("/api/streams/{path}"), "")).await?;
        let events: Vec<String> =
            (0..RECORDS).map(|id| format!(r#"{{"id":"{id}","channel":"churn"}}"#)).collect();
        let body = format!("[{}]", events.join(","));
        self.asker.done(&json("POST", &format!("/api/events/{path}"), &body)).await?;
        let source = format!("/v1/stream/{path}");
        let headers = [("stream-forked-from", source.as_str())];
        self.asker.done(&request("PUT", &format!("/v1/stream/{fork}"), &headers, b"")).await?;
        self.asker.done(&json("POST", &format!("/api/close/{path}"), "")).await?;
        self.has(path, 200).await?;
        self.delete(path).await?;
        // It is kept for its fork alone.
        self.has(path, 410).await?;
        self.has(&fork, 200).await?;
        self.delete(&fork).await?;
        self.has(&fork, 404).await?;
        self.has(path, 404).await
    }

    async fn delete(&mut self, path: &str) -> Option<()> {
        let reply = self.asker.ask(&json("DELETE", &format!("/api/streams/{path}"), "")).await?;
        // The second try finds it gone.
        self.expect(reply.is_ok() || matches!(reply.status, 404 | 410), path, &reply.shown())
    }

    /// Reading is answered with `status`, and with all records where that is 200.
    async fn has(&mut self, path: &str, status: u16) -> Option<()> {
        let reply = self.asker.ask(&get(&format!("/api/events/{path}?fromOffset=0"))).await?;
        let records = reply.body.windows(10).filter(|part| part == b"\"offset\":1").count();
        let whole = status != 200 || (records == 1 && reply.shown().contains("\"tail\":3"));
        let what = format!("{status} was due: {}", reply.shown());
        self.expect(reply.status == status && whole, path, &what)
    }

    fn expect(&self, holds: bool, path: &str, what: &str) -> Option<()> {
        if !holds {
            self.run.found(format!("{path}: {what}"));
        }
        holds.then_some(())
    }
}

/// The stream of a short retention.
pub(super) const SHORT: &str = "short/lived";

/// Writes to a stream that keeps its records for a second.
pub(super) async fn short_lived(run: Arc<Run>, actor: u64) {
    let mut asker = Asker::new(&run, run.dice(actor));
    let mut dice = run.dice(actor + 1_000);
    let make = json("PUT", &format!("/api/streams/{SHORT}"), r#"{"retentionSeconds":1}"#);
    if asker.done(&make).await.is_none() {
        return;
    }
    let mut number = 0_u64;
    while run.loads() {
        number += 1;
        let event = format!(r#"{{"id":"{number}","channel":"short","data":{number}}}"#);
        let request = json("POST", &format!("/api/events/{SHORT}"), &event);
        if asker.done(&request).await.is_none() {
            return;
        }
        run.counts.events.add(1);
        run.pause(dice.span_ms(5, 40)).await;
    }
}

/// Reads pages, states, differences and lists at random.
pub(super) async fn look_around(run: Arc<Run>, actor: u64, sessions: Vec<String>) {
    let mut asker = Asker::new(&run, run.dice(actor));
    let mut dice = run.dice(actor + 1_000);
    while run.loads() {
        let Some(at) = usize::try_from(dice.below(sessions.len() as u64)).ok() else { return };
        let Some(session) = sessions.get(at) else { return };
        let (from, limit) = (dice.below(3_000), 1 + dice.below(1_000));
        let path = match dice.below(7) {
            0 | 1 => format!("/api/sessions/{session}/events?fromOffset={from}&limit={limit}"),
            2 => format!("/api/sessions/{session}/events?order=desc&limit={limit}"),
            3 => format!("/api/sessions/{session}/state"),
            4 => format!("/api/sessions/{session}/state/diff?from={from}&to={}", from / 2),
            5 => format!("/api/sessions?limit={limit}"),
            _ => format!("/api/streams?limit={limit}"),
        };
        let Some(reply) = asker.ask(&get(&path)).await else { return };
        // Places beyond the tail are refused, and a session may not have begun.
        if !(reply.is_ok() || matches!(reply.status, 404 | 416)) {
            return run.found(format!("GET {path}: {}", reply.shown()));
        }
        run.pause(dice.span_ms(20, 300).max(Duration::from_millis(20))).await;
    }
}
