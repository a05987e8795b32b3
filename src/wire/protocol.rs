//! The Durable Streams protocol, version 1.0, as text: names of headers, offsets, cursors.

/// Offset behind what was written or sent.
pub const NEXT_OFFSET: &str = "stream-next-offset";
/// Nothing lies behind what was sent.
pub const UP_TO_DATE: &str = "stream-up-to-date";
/// The stream takes no more records, or is to take none.
pub const CLOSED: &str = "stream-closed";
/// What the client echoes in its next live read.
pub const CURSOR: &str = "stream-cursor";
/// The writer's own sequence.
pub const SEQ: &str = "stream-seq";
/// A time to live in seconds.
pub const TTL: &str = "stream-ttl";
/// The end of a stream's life.
pub const EXPIRES_AT: &str = "stream-expires-at";
/// The stream that another continues.
pub const FORKED_FROM: &str = "stream-forked-from";
/// Where the other leaves it.
pub const FORK_OFFSET: &str = "stream-fork-offset";
/// How far into the append behind that place.
pub const FORK_SUB_OFFSET: &str = "stream-fork-sub-offset";
/// How binary data stands in server-sent events.
pub const SSE_ENCODING: &str = "stream-sse-data-encoding";
/// Name of a producer.
pub const PRODUCER_ID: &str = "producer-id";
/// Epoch of a producer.
pub const PRODUCER_EPOCH: &str = "producer-epoch";
/// Number of a producer's batch.
pub const PRODUCER_SEQ: &str = "producer-seq";
/// The number a producer should have sent.
pub const PRODUCER_EXPECTED_SEQ: &str = "producer-expected-seq";
/// The number it sent.
pub const PRODUCER_RECEIVED_SEQ: &str = "producer-received-seq";

/// Digits of an offset, so that offsets sort as text.
const DIGITS: usize = 16;
/// Length of a cursor's interval (protocol, section 8.1).
const INTERVAL_MS: u64 = 20_000;
/// 2024-10-09T00:00:00Z, where the intervals are counted from.
const INTERVALS_FROM_MS: u64 = 1_728_432_000_000;
/// A client that is ahead is sent at most this many intervals (an hour) further.
pub const JITTER_MAX: u64 = 180;

/// Where a read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first record that is kept.
    Beginning,
    /// Behind this offset.
    After(u64),
    /// At the tail.
    Now,
}

/// The text form of an offset.
#[must_use]
pub fn offset(offset: u64) -> String {
    format!("{offset:0DIGITS$}")
}

/// Reads an offset; `None` where the text is none of ours.
#[must_use]
pub fn parse_start(text: &str) -> Option<Start> {
    match text {
        "-1" => Some(Start::Beginning),
        "now" => Some(Start::Now),
        digits if digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().map(Start::After)
        }
        _ => None,
    }
}

/// The cursor of a live answer: the number of the interval, or, where the client has that or a
/// later one already, one that is `jitter` (at least 1) beyond the client's. So it never goes
/// back, and a cached empty answer is never asked for again.
#[must_use]
pub fn cursor(now_ms: u64, given: Option<u64>, jitter: u64) -> u64 {
    let current = now_ms.saturating_sub(INTERVALS_FROM_MS) / INTERVAL_MS;
    match given {
        Some(given) if given >= current => given.saturating_add(jitter.clamp(1, JITTER_MAX)),
        _ => current,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn offsets_read_back_and_sort_as_text(a in 0..1_u64 << 53, b in 0..1_u64 << 53) {
            prop_assert_eq!(parse_start(&offset(a)), Some(Start::After(a)));
            prop_assert_eq!(offset(a).cmp(&offset(b)), a.cmp(&b));
        }

        #[test]
        fn what_is_no_offset_is_refused(text in "\\PC{0,20}") {
            let ours = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(parse_start(&text).is_some(), ours || text == "-1" || text == "now");
        }

        #[test]
        fn cursors_never_go_back(now in any::<u64>(), later in 0..1_u64 << 40, given: Option<u64>, jitter: u64) {
            let first = cursor(now, given, jitter);
            prop_assert!(given.is_none_or(|given| first > given || given == u64::MAX || first > given.saturating_sub(1)));
            let second = cursor(now.saturating_add(later), Some(first), jitter);
            prop_assert!(second > first || first == u64::MAX);
        }
    }
}
