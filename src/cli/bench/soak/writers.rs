//! Who writes: sessions with event ids, in each way there is, and producers of the protocol. Each
//! sends again until it is answered, and keeps what it was told.

use std::{fmt::Write as _, sync::Arc};

use serde::Deserialize;

use super::{
    asking::{Asker, Reply, json, request},
    dice::Dice,
    ledger::Written,
    run::Run,
};

/// What a writer wrote where.
#[derive(Debug)]
pub(super) struct Wrote {
    /// The stream.
    pub(super) stream: String,
    /// The writer.
    pub(super) writer: u64,
    /// What it was told.
    pub(super) written: Written,
}

/// Events of one request, at most.
const BATCH_MAX: u64 = 40;
/// Characters of filling, at most.
const FILL_MAX: u64 = 500;

#[derive(Deserialize)]
struct Answer {
    offset: u64,
}

/// Writes events with ids into a session until the load ends.
pub(super) async fn session(run: Arc<Run>, writer: u64, session: String) -> Wrote {
    let mut dice = run.dice(writer);
    let mut asker = Asker::new(&run, run.dice(writer + 1_000));
    let mut written = Written::default();
    while run.loads() {
        let (request, last) = next_request(&mut dice, &session, writer, written.count);
        let Some(reply) = asker.done(&request).await else { break };
        settle(&run, &mut written, last, reply.read::<Answer>().map(|answer| answer.offset));
        run.pause(dice.span_ms(10, 300)).await;
    }
    Wrote { stream: format!("sessions/{session}"), writer, written }
}

/// The next request of a session's writer, and the number of its last event.
fn next_request(dice: &mut Dice, session: &str, writer: u64, count: u64) -> (Vec<u8>, u64) {
    let path = format!("/api/sessions/{session}/events");
    let form = dice.below(10);
    if form < 5 {
        let event = event(dice, writer, count + 1, true);
        let path = if form == 0 { format!("/api/streams?sessionId={session}") } else { path };
        return (json("POST", &path, &event), count + 1);
    }
    let last = count + 1 + dice.below(BATCH_MAX);
    let events: Vec<String> =
        (count + 1..=last).map(|number| event(dice, writer, number, number == last)).collect();
    if form < 8 {
        return (json("POST", &path, &format!("[{}]", events.join(","))), last);
    }
    let kind = [("content-type", "application/x-ndjson")];
    (request("POST", &path, &kind, (events.join("\n") + "\n").as_bytes()), last)
}

fn event(dice: &mut Dice, writer: u64, number: u64, end: bool) -> String {
    let data = data(dice, writer, number, end);
    format!(r#"{{"id":"w{writer}-{number}","channel":"soak","data":{data}}}"#)
}

/// Data with a writer's mark, and some filling, escapes and other scripts among it.
fn data(dice: &mut Dice, writer: u64, number: u64, end: bool) -> String {
    let mut fill = String::new();
    for _ in 0..dice.below(FILL_MAX) / 8 {
        let word = dice.pick(&["log ", "récit ", "\\u00e9\\n", "日本", "0123 ", "\\\"x\\\" "]);
        fill.push_str(word.unwrap_or_default());
    }
    // Writing to a text does not fail.
    let _ = write!(fill, "{:x}", dice.next());
    format!(r#"{{"w":{writer},"n":{number},"end":{end},"x":"{fill}"}}"#)
}

fn settle(run: &Run, written: &mut Written, last: u64, offset: anyhow::Result<u64>) {
    match offset {
        Ok(offset) => {
            run.counts.events.add(last - written.count);
            written.acknowledged(last, offset);
        }
        Err(error) => run.found(format!("an answer to an append is unreadable: {error:#}")),
    }
}

/// Writes batches as an idempotent producer of the protocol, with a new epoch now and then.
pub(super) async fn producer(run: Arc<Run>, writer: u64, stream: String) -> Wrote {
    let mut dice = run.dice(writer);
    let mut asker = Asker::new(&run, run.dice(writer + 1_000));
    let mut written = Written::default();
    let path = format!("/v1/stream/{stream}");
    let made = asker.done(&json("PUT", &path, "")).await.is_some();
    let (mut epoch, mut seq) = (0_u64, 0_u64);
    while made && run.loads() {
        let last = written.count + 1 + dice.below(BATCH_MAX);
        let values: Vec<String> = (written.count + 1..=last)
            .map(|number| data(&mut dice, writer, number, number == last))
            .collect();
        let headers = [
            ("content-type", "application/json"),
            ("producer-id", "soak"),
            ("producer-epoch", &epoch.to_string()),
            ("producer-seq", &seq.to_string()),
        ];
        let body = format!("[{}]", values.join(","));
        let request = request("POST", &path, &headers, body.as_bytes());
        let Some(reply) = asker.done(&request).await else { break };
        settle(&run, &mut written, last, next_offset(&reply));
        if dice.percent(3) {
            (epoch, seq) = (epoch + 1, 0);
        } else {
            seq += 1;
        }
        run.pause(dice.span_ms(10, 200)).await;
    }
    Wrote { stream, writer, written }
}

fn next_offset(reply: &Reply) -> anyhow::Result<u64> {
    let text = reply.next.as_deref().unwrap_or_default();
    text.parse().map_err(|_| anyhow::anyhow!("Stream-Next-Offset {text:?} in {}", reply.shown()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::soak::ledger::Mark;

    #[test]
    fn every_event_is_json_with_its_mark() {
        let mut dice = Dice::new(3, 3);
        for number in 1..50 {
            let event = event(&mut dice, 7, number, number % 2 == 0);
            let json: serde_json::Value = serde_json::from_str(&event).unwrap();
            let mark: Mark = serde_json::from_value(json["data"].clone()).unwrap();
            assert_eq!(mark, Mark { w: 7, n: number, end: number % 2 == 0 });
        }
    }

    #[test]
    fn requests_go_on_where_the_last_one_ended() {
        let mut dice = Dice::new(1, 1);
        for count in [0, 5, 1_000] {
            let (request, last) = next_request(&mut dice, "s", 2, count);
            let text = String::from_utf8(request).unwrap();
            assert!(last > count && text.contains(&format!("\"w2-{}\"", count + 1)), "{text}");
            assert_eq!(text.matches("\"end\":true").count(), 1);
        }
    }
}
