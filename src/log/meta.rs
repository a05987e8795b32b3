//! What the log keeps with each stream, and its form on disk: rmp-serde behind a version byte.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Expiry, Forked, JSON, ProducerState, StreamInfo, StreamSpec};
use crate::store::{Head, MetaChange};

const KEY: &str = "stream";
const SEQ: &str = "seq";
const PRODUCER: &str = "producer/";
const VERSION: u8 = 1;

/// The log's own metadata of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StreamMeta {
    pub(super) epoch: u64,
    pub(super) content_type: Arc<str>,
    pub(super) created_ms: u64,
    pub(super) retention_ms: Option<u64>,
    pub(super) closed: bool,
    /// Seconds without use after which the stream ends.
    #[serde(default)]
    pub(super) idle_s: Option<u64>,
    /// When it ends in any case, Unix milliseconds.
    #[serde(default)]
    pub(super) ends_ms: Option<u64>,
    /// What it was forked from.
    #[serde(default)]
    pub(super) forked: Option<Forked>,
    /// It was deleted, and is kept for its forks.
    #[serde(default)]
    pub(super) deleted: bool,
}

impl StreamMeta {
    pub(super) fn new(spec: &StreamSpec, epoch: u64, created_ms: u64) -> Self {
        let retention_ms = spec.retention.map(|span| {
            // A span beyond 2^64 ms is kept for ever all the same.
            u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
        });
        Self {
            epoch,
            content_type: Arc::clone(&spec.content_type),
            created_ms,
            retention_ms,
            closed: false,
            idle_s: match spec.expiry {
                Some(Expiry::Idle { seconds }) => Some(seconds),
                _ => None,
            },
            ends_ms: match spec.expiry {
                Some(Expiry::At { ms }) => Some(ms),
                _ => None,
            },
            forked: None,
            deleted: false,
        }
    }

    /// When the stream ends by itself.
    pub(super) fn expiry(&self) -> Option<Expiry> {
        let idle = self.idle_s.map(|seconds| Expiry::Idle { seconds });
        idle.or(self.ends_ms.map(|ms| Expiry::At { ms }))
    }

    /// The metadata of a stored stream. One without readable metadata (made by hand, or carved
    /// out of a damaged folder) is an open JSON stream.
    pub(super) fn of(head: &Head) -> Self {
        head.meta.get(KEY).and_then(|value| Self::decode(value)).unwrap_or_else(|| Self {
            epoch: head.stream.0,
            content_type: Arc::from(JSON),
            created_ms: head.last_timestamp_ms,
            retention_ms: None,
            closed: false,
            idle_s: None,
            ends_ms: None,
            forked: None,
            deleted: false,
        })
    }

    fn decode(value: &[u8]) -> Option<Self> {
        match value.split_first() {
            Some((&VERSION, rest)) => rmp_serde::from_slice(rest).ok(),
            _ => None,
        }
    }

    /// The change that stores it.
    pub(super) fn change(&self) -> MetaChange {
        let mut value = vec![VERSION];
        // Writing to a Vec cannot fail, and every field has a form in MessagePack.
        let written = rmp_serde::encode::write(&mut value, self);
        debug_assert!(written.is_ok(), "{written:?}");
        MetaChange { key: Arc::from(KEY), value: Some(Bytes::from(value)) }
    }

    /// The last sequence that a writer of the stream gave.
    pub(super) fn seq_of(head: &Head) -> Option<Arc<str>> {
        let seq = std::str::from_utf8(head.meta.get(SEQ)?).ok()?;
        Some(Arc::from(seq))
    }

    /// The change that stores a sequence.
    pub(super) fn seq_change(seq: &str) -> MetaChange {
        let value = Some(Bytes::copy_from_slice(seq.as_bytes()));
        MetaChange { key: Arc::from(SEQ), value }
    }

    /// The producers of a stream.
    pub(super) fn producers_of(head: &Head) -> BTreeMap<Arc<str>, ProducerState> {
        let producer = |(key, value): (&Arc<str>, &Bytes)| {
            let state = match value.split_first() {
                Some((&VERSION, rest)) => rmp_serde::from_slice(rest).ok()?,
                _ => return None,
            };
            Some((Arc::from(key.strip_prefix(PRODUCER)?), state))
        };
        head.meta.iter().filter_map(producer).collect()
    }

    /// The change that stores a producer.
    pub(super) fn producer_change(id: &str, state: ProducerState) -> MetaChange {
        let mut value = vec![VERSION];
        // Writing two numbers to a Vec cannot fail.
        let written = rmp_serde::encode::write(&mut value, &state);
        debug_assert!(written.is_ok(), "{written:?}");
        let key = Arc::from(format!("{PRODUCER}{id}"));
        MetaChange { key, value: Some(Bytes::from(value)) }
    }

    pub(super) fn spec(&self) -> StreamSpec {
        StreamSpec {
            content_type: Arc::clone(&self.content_type),
            retention: self.retention_ms.map(Duration::from_millis),
            expiry: self.expiry(),
        }
    }

    pub(super) fn info(&self, head: &Head) -> StreamInfo {
        StreamInfo {
            path: Arc::clone(&head.path),
            epoch: self.epoch,
            spec: self.spec(),
            created_ms: self.created_ms,
            last_append_ms: head.last_timestamp_ms,
            tail: head.tail,
            earliest: head.earliest,
            closed: self.closed,
            forked: self.forked.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_reads_back_as_it_was_written() {
        let (retention, expiry) = (Some(Duration::from_secs(5)), Some(Expiry::Idle { seconds: 7 }));
        let spec = StreamSpec { retention, expiry, ..StreamSpec::json() };
        let meta = StreamMeta { closed: true, ..StreamMeta::new(&spec, u64::MAX, 7) };
        let change = meta.change();
        assert_eq!(StreamMeta::decode(&change.value.unwrap()), Some(meta));
    }

    #[test]
    fn metadata_of_an_unknown_version_is_not_guessed_at() {
        assert_eq!(StreamMeta::decode(&[VERSION + 1, 0]), None);
        assert_eq!(StreamMeta::decode(&[]), None);
    }
}
