//! The events of the bench: message deltas of an exact size with varied text, the same bytes for
//! every server. Two numbers sit at fixed width in each, so that a reader can tell which event
//! it is and when it was sent. It knows nothing of HTTP.

use anyhow::{Result, ensure};
use memchr::memmem;
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// What stands before the event's number.
const NUMBER: &[u8] = b"\"msg_";
/// What stands before the time of sending. Once in each event, so it also counts them.
pub(super) const SENT: &[u8] = b"\"prt_";
/// Digits of either number.
const DIGITS: usize = 20;
/// Different bodies a writer goes through; bounded in bytes so that they stay in the cache.
const BODIES: usize = 1_024;
const BODIES_BYTES: usize = 1024 * 1024;

const WORDS: &[&str] = &[
    "the",
    "retry",
    "budget",
    "is",
    "spent",
    "before",
    "a",
    "server",
    "answers",
    "so",
    "each",
    "request",
    "waits",
    "for",
    "its",
    "own",
    "timer",
    "and",
    "not",
    "shared",
    "one",
    "`fn`",
    "parser",
    "reads",
    "header",
    "value",
    "as",
    "seconds",
    "or",
    "date",
    "which",
    "fails",
    "when",
    "clock",
    "moved",
    "back",
    "I",
    "will",
    "add",
    "test",
    "that",
    "shows",
    "it",
    "first",
    "then",
    "change",
    "loop",
    "in",
    "client",
    "module",
    "because",
    "error",
    "was",
    "swallowed",
    "here",
    "let",
    "me",
    "look",
    "at",
    "log",
    "output",
    "again",
    "two",
    "of",
    "three",
    "runs",
    "pass",
    "with",
    "patch",
    "applied",
    "next",
    "step",
    "would",
    "be",
    "to",
    "measure",
    "under",
    "load",
    "queue",
    "grows",
    "until",
    "memory",
    "runs",
    "out",
    "closing",
    "socket",
    "early",
    "helps",
    "don't",
    "worry",
    "about",
    "order",
    "we",
    "sort",
    "by",
    "offset",
    "anyway",
    "done",
    "maybe",
];

/// Bodies to send, prepared before the clock starts.
#[derive(Debug)]
pub(super) struct Bodies(Vec<Vec<u8>>);

impl Bodies {
    /// Bodies of `batch` events of `size` bytes each: one value alone, or a JSON array.
    pub(super) fn prepare(size: usize, batch: usize) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(4437);
        let count = (BODIES_BYTES / (size * batch).max(1)).clamp(8, BODIES);
        let mut bodies = Vec::with_capacity(count);
        for _ in 0..count {
            bodies.push(body(&mut rng, size, batch)?);
        }
        Ok(Self(bodies))
    }

    /// The `turn`-th body, in rotation.
    pub(super) fn pick(&self, turn: usize) -> &[u8] {
        self.0.get(turn % self.0.len().max(1)).map_or(&[], Vec::as_slice)
    }

    /// Bytes of each body; all are the same length.
    pub(super) fn body_bytes(&self) -> usize {
        self.0.first().map_or(0, Vec::len)
    }
}

fn body(rng: &mut StdRng, size: usize, batch: usize) -> Result<Vec<u8>> {
    if batch == 1 {
        return event(rng, size);
    }
    let mut body = Vec::with_capacity(batch * (size + 1) + 1);
    body.push(b'[');
    for at in 0..batch {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&event(rng, size)?);
    }
    body.push(b']');
    Ok(body)
}

/// One event of exactly `size` bytes with both numbers zero.
fn event(rng: &mut StdRng, size: usize) -> Result<Vec<u8>> {
    let zeros = "0".repeat(DIGITS);
    let before = format!(
        "{{\"channel\":\"message\",\"type\":\"message.part.delta\",\"data\":{{\"messageId\":\"msg_{zeros}\",\
         \"partId\":\"prt_{zeros}\",\"field\":\"text\",\"delta\":\""
    );
    let after = "\"}}";
    let fixed = before.len() + after.len();
    ensure!(
        size > fixed,
        "--size must be at least {} bytes for the envelope of an event",
        fixed + 1
    );
    let mut text = String::with_capacity(size);
    while text.len() < size - fixed {
        text.push(' ');
        text.push_str(WORDS.get(rng.random_range(0..WORDS.len())).copied().unwrap_or("and"));
    }
    text.truncate(size - fixed);
    Ok([before.as_str(), &text, after].concat().into_bytes())
}

/// Writes the event's number and the time of sending into a body of one event.
pub(super) fn stamp(body: &mut [u8], number: u64, sent_ns: u64) {
    patch(body, NUMBER, number);
    patch(body, SENT, sent_ns);
}

fn patch(body: &mut [u8], label: &[u8], value: u64) {
    let Some(at) = memmem::find(body, label) else { return };
    let from = at + label.len();
    if let Some(place) = body.get_mut(from..from + DIGITS) {
        place.copy_from_slice(format!("{value:0DIGITS$}").as_bytes());
    }
}

/// Finds the stamps of all events in `data`, in order: number and time of sending.
pub(super) fn stamps(data: &[u8], mut on_stamp: impl FnMut(u64, u64)) {
    let mut rest = data;
    while let Some((number, after)) = digits_after(rest, NUMBER) {
        let Some((sent_ns, after)) = digits_after(after, SENT) else { return };
        on_stamp(number, sent_ns);
        rest = after;
    }
}

fn digits_after<'a>(data: &'a [u8], label: &[u8]) -> Option<(u64, &'a [u8])> {
    let from = memmem::find(data, label)? + label.len();
    let digits = data.get(from..from + DIGITS)?;
    let value = str::from_utf8(digits).ok()?.parse().ok()?;
    Some((value, data.get(from + DIGITS..)?))
}

/// Counts events in a body that arrives in pieces, without parsing it.
#[derive(Debug, Default)]
pub(super) struct EventCounter {
    tail: Vec<u8>,
    /// Events so far.
    pub(super) events: u64,
    /// Bytes so far.
    pub(super) bytes: u64,
}

impl EventCounter {
    /// Counts the next piece; a label cut in two by the border of a piece counts once.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        let overlap = SENT.len() - 1;
        self.tail.extend_from_slice(piece.get(..overlap).unwrap_or(piece));
        self.events += count(&self.tail);
        if piece.len() >= overlap {
            self.events += count(piece);
            self.tail.clear();
            self.tail.extend_from_slice(piece.get(piece.len() - overlap..).unwrap_or_default());
        } else {
            let surplus = self.tail.len().saturating_sub(overlap);
            self.tail.drain(..surplus);
        }
        self.bytes += piece.len() as u64;
    }
}

fn count(bytes: &[u8]) -> u64 {
    memmem::find_iter(bytes, SENT).count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_body_is_valid_json_of_the_size_asked_for() {
        for (size, batch) in [(200, 1), (256, 1), (256, 100), (4_000, 3)] {
            let bodies = Bodies::prepare(size, batch).unwrap();
            for turn in 0..20 {
                let value: serde_json::Value = serde_json::from_slice(bodies.pick(turn)).unwrap();
                let events = value.as_array().map_or(1, Vec::len);
                assert_eq!(events, batch);
            }
            let frame = if batch == 1 { 0 } else { batch + 1 };
            assert_eq!(bodies.body_bytes(), size * batch + frame);
        }
        assert!(Bodies::prepare(64, 1).is_err());
    }

    #[test]
    fn a_stamp_is_found_again_in_each_event() {
        let mut body = Bodies::prepare(256, 1).unwrap().pick(3).to_vec();
        stamp(&mut body, 42, 9_000_000_001);
        let twice = [body.as_slice(), body.as_slice()].join(&b","[..]);
        let mut found = Vec::new();
        stamps(&twice, |number, sent_ns| found.push((number, sent_ns)));
        assert_eq!(found, [(42, 9_000_000_001), (42, 9_000_000_001)]);
    }

    proptest! {
        #[test]
        fn counting_does_not_depend_on_the_pieces(cuts in prop::collection::vec(0usize..2_000, 0..40)) {
            let body = Bodies::prepare(200, 10).unwrap().pick(0).to_vec();
            let mut at = cuts;
            at.push(body.len());
            at.sort_unstable();
            let mut counter = EventCounter::default();
            let mut start = 0;
            for end in at {
                counter.feed(&body[start..end.min(body.len())]);
                start = end.min(body.len());
            }
            prop_assert_eq!(counter.events, 10);
            prop_assert_eq!(counter.bytes, body.len() as u64);
        }
    }
}
