//! What may go at a time. Pure.

use std::time::Duration;

use super::Offset;

/// How long records of a stream are kept, in milliseconds: its own setting, else the server's.
#[must_use]
pub fn of(stream_ms: Option<u64>, server: Duration) -> u64 {
    stream_ms.unwrap_or_else(|| u64::try_from(server.as_millis()).unwrap_or(u64::MAX))
}

/// The timestamp of the oldest record that is kept at `now_ms`: a record of exactly this age
/// still is.
#[must_use]
pub fn oldest_kept_ms(now_ms: u64, retention_ms: u64) -> u64 {
    now_ms.saturating_sub(retention_ms)
}

/// What the sweeper does with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The first offset that is kept from now on; `None` where nothing goes.
    pub earliest: Option<Offset>,
    /// When to look again, Unix milliseconds.
    pub due_ms: u64,
}

/// Decides a sweep at `now_ms`: `earliest` is what the stream keeps so far, `place` the one
/// before the first record to keep, `next_ms` that record's timestamp if there is one.
#[must_use]
pub fn cut(
    earliest: Offset,
    place: Offset,
    next_ms: Option<u64>,
    now_ms: u64,
    retention_ms: u64,
) -> Cut {
    let first_kept = place.plus(1);
    Cut {
        earliest: (first_kept > earliest).then_some(first_kept),
        // An empty stream is looked at again too: a record may be on its way in.
        due_ms: due_ms(next_ms.unwrap_or(now_ms), retention_ms),
    }
}

/// When a record of `timestamp_ms` goes: the first moment at which it is older than its stream's
/// retention.
#[must_use]
pub fn due_ms(timestamp_ms: u64, retention_ms: u64) -> u64 {
    timestamp_ms.saturating_add(retention_ms).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_follows_the_server_unless_it_says_otherwise() {
        assert_eq!(of(None, Duration::from_secs(2)), 2_000);
        assert_eq!(of(Some(5), Duration::from_secs(2)), 5);
    }

    #[test]
    fn a_cut_moves_the_earliest_offset_forward_only() {
        let moved = cut(Offset(1), Offset(4), Some(100), 120, 50);
        assert_eq!(moved, Cut { earliest: Some(Offset(5)), due_ms: 151 });
        let still = cut(Offset(5), Offset(4), Some(100), 120, 50);
        assert_eq!(still, Cut { earliest: None, due_ms: 151 });
    }

    #[test]
    fn a_stream_that_was_emptied_is_looked_at_again() {
        let empty = cut(Offset(5), Offset(9), None, 1_000, 50);
        assert_eq!(empty, Cut { earliest: Some(Offset(10)), due_ms: 1_051 });
    }

    #[test]
    fn a_retention_without_end_keeps_everything() {
        assert_eq!(oldest_kept_ms(1_000, u64::MAX), 0);
        assert_eq!(cut(Offset(1), Offset(0), Some(9), 9, u64::MAX).due_ms, u64::MAX);
    }
}
