//! A write as the journal keeps it, and back. The head of each is rmp-serde behind a version
//! byte; payloads follow as they came.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::store::{Batch, Change, MetaChange, Offset, StreamNo, Write};

const VERSION: u8 = 1;

/// What a journaled write does. The names of the variants are on disk and never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Action {
    /// The stream begins at a place.
    Create { path: Arc<str>, tail: u64 },
    /// Records are added behind a tail.
    Append { expected_tail: u64 },
    /// Records before an offset go.
    Trim { earliest: u64 },
    /// The stream goes.
    Delete,
    /// A projection's state is saved.
    Checkpoint { name: String, state: Bytes },
}

/// A journaled write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) stream: StreamNo,
    pub(super) action: Action,
    pub(super) timestamp_ms: u64,
    pub(super) due_ms: Option<u64>,
    pub(super) meta: Vec<MetaChange>,
    pub(super) records: Batch,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    stream: u64,
    action: Action,
    timestamp_ms: u64,
    due_ms: Option<u64>,
    meta: Vec<MetaChange>,
    lengths: Vec<u32>,
}

impl From<Write> for Committed {
    fn from(write: Write) -> Self {
        let action = match write.change {
            Change::Create { path, tail } => Action::Create { path, tail: tail.0 },
            Change::Append { expected_tail } => Action::Append { expected_tail: expected_tail.0 },
            Change::Trim { earliest } => Action::Trim { earliest: earliest.0 },
            Change::Delete => Action::Delete,
        };
        Self {
            stream: write.stream,
            action,
            timestamp_ms: write.timestamp_ms,
            due_ms: write.due_ms,
            meta: write.meta,
            records: write.records,
        }
    }
}

impl Committed {
    /// The state of a projection, to be saved.
    pub(super) fn checkpoint(stream: StreamNo, name: &str, state: Bytes) -> Self {
        Self {
            stream,
            action: Action::Checkpoint { name: name.to_owned(), state },
            timestamp_ms: 0,
            due_ms: None,
            meta: Vec::new(),
            records: Batch::new(),
        }
    }

    /// The end of a stream.
    pub(super) fn deletion(stream: StreamNo) -> Self {
        Self {
            stream,
            action: Action::Delete,
            timestamp_ms: 0,
            due_ms: None,
            meta: Vec::new(),
            records: Batch::new(),
        }
    }

    /// The place its first record follows, where it adds records.
    pub(super) fn begins_after(&self) -> Option<Offset> {
        match self.action {
            Action::Create { tail, .. } => Some(Offset(tail)),
            Action::Append { expected_tail } => Some(Offset(expected_tail)),
            Action::Trim { .. } | Action::Delete | Action::Checkpoint { .. } => None,
        }
    }

    /// Payload bytes, a saved state included.
    pub(super) fn bytes(&self) -> usize {
        let state = match &self.action {
            Action::Checkpoint { state, .. } => state.len(),
            _ => 0,
        };
        state + self.records.iter().map(Bytes::len).sum::<usize>()
    }

    /// The head of its journal form: everything but the payloads.
    pub(super) fn head(&self) -> Vec<u8> {
        let length = |payload: &Bytes| u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let stored = Stored {
            stream: self.stream.0,
            action: self.action.clone(),
            timestamp_ms: self.timestamp_ms,
            due_ms: self.due_ms,
            meta: self.meta.clone(),
            lengths: self.records.iter().map(length).collect(),
        };
        let mut head = Vec::with_capacity(64);
        head.push(VERSION);
        // Writing to a Vec cannot fail, and every field has a form in MessagePack.
        let written = rmp_serde::encode::write(&mut head, &stored);
        debug_assert!(written.is_ok(), "{written:?}");
        head
    }
}

/// Adds a write to the body of a commit.
pub(super) fn encode(head: &[u8], records: &[Bytes], into: &mut Vec<u8>) {
    let length = u32::try_from(head.len()).unwrap_or(u32::MAX);
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(head);
    for payload in records {
        into.extend_from_slice(payload);
    }
}

/// The writes of a commit's body; `None` where it is not one.
pub(super) fn decode(body: &Bytes) -> Option<Vec<Committed>> {
    let mut at = 0;
    let mut writes = Vec::new();
    while at < body.len() {
        let length = u32::from_le_bytes(*body.get(at..)?.first_chunk()?) as usize;
        at += 4;
        let (&version, head) = body.get(at..at.checked_add(length)?)?.split_first()?;
        if version != VERSION {
            return None;
        }
        at += length;
        let stored: Stored = rmp_serde::from_slice(head).ok()?;
        let mut records = Batch::new();
        for length in stored.lengths {
            let end = at.checked_add(length as usize)?;
            body.get(at..end)?;
            records.push(body.slice(at..end));
            at = end;
        }
        writes.push(Committed {
            stream: StreamNo(stored.stream),
            action: stored.action,
            timestamp_ms: stored.timestamp_ms,
            due_ms: stored.due_ms,
            meta: stored.meta,
            records,
        });
    }
    Some(writes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            (".{0,20}", any::<u64>())
                .prop_map(|(path, tail)| Action::Create { path: Arc::from(path), tail }),
            any::<u64>().prop_map(|expected_tail| Action::Append { expected_tail }),
            any::<u64>().prop_map(|earliest| Action::Trim { earliest }),
            Just(Action::Delete),
            (".{0,9}", any::<Vec<u8>>())
                .prop_map(|(name, state)| Action::Checkpoint { name, state: state.into() }),
        ]
    }

    fn committed() -> impl Strategy<Value = Committed> {
        let records = proptest::collection::vec(any::<Vec<u8>>(), 0..5);
        let meta = proptest::collection::vec((".{0,9}", any::<Option<Vec<u8>>>()), 0..3);
        (any::<u64>(), action(), any::<u64>(), any::<Option<u64>>(), meta, records).prop_map(
            |(stream, action, timestamp_ms, due_ms, meta, records)| Committed {
                stream: StreamNo(stream),
                action,
                timestamp_ms,
                due_ms,
                meta: meta
                    .into_iter()
                    .map(|(key, value)| MetaChange {
                        key: Arc::from(key),
                        value: value.map(Bytes::from),
                    })
                    .collect(),
                records: records.into_iter().map(Bytes::from).collect(),
            },
        )
    }

    proptest! {
        #[test]
        fn commits_read_back_as_they_were_written(writes in proptest::collection::vec(committed(), 0..4)) {
            let mut body = Vec::new();
            for write in &writes {
                encode(&write.head(), &write.records, &mut body);
            }
            prop_assert_eq!(decode(&Bytes::from(body)), Some(writes));
        }

        #[test]
        fn rubbish_is_refused_and_never_panics(body: Vec<u8>) {
            let _ = decode(&Bytes::from(body));
        }
    }
}
