//! The bodies of block-file frames and back: runs of records, heads, runs of the commit order.
//! rmp-serde behind a version byte; payloads as they came.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::table::Run;
use crate::store::{Head, Offset, Position, Record, StreamNo};

const VERSION: u8 = 1;

/// A stream's head as block files and the index keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredHead {
    pub(super) path: Arc<str>,
    pub(super) tail: u64,
    pub(super) earliest: u64,
    pub(super) last_timestamp_ms: u64,
    pub(super) due_ms: u64,
    pub(super) meta: BTreeMap<Arc<str>, Bytes>,
    pub(super) deleted: bool,
    /// The block file that holds the newest frame of this head, and that frame's length. The
    /// index fills them in; in a block file they are 0.
    pub(super) file: u32,
    pub(super) len: u32,
}

impl StoredHead {
    pub(super) fn of(head: &Head, deleted: bool) -> Self {
        Self {
            path: Arc::clone(&head.path),
            tail: head.tail.0,
            earliest: head.earliest.0,
            last_timestamp_ms: head.last_timestamp_ms,
            due_ms: head.due_ms,
            meta: head.meta.clone(),
            deleted,
            file: 0,
            len: 0,
        }
    }

    pub(super) fn head(self, stream: StreamNo) -> Head {
        Head {
            stream,
            path: self.path,
            tail: Offset(self.tail),
            earliest: Offset(self.earliest),
            last_timestamp_ms: self.last_timestamp_ms,
            due_ms: self.due_ms,
            meta: self.meta,
        }
    }
}

/// What a round's last frame says beyond its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RoundEnd {
    /// The last stream number given out.
    pub(super) last_stream: u64,
}

/// A projection's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredCheckpoint {
    pub(super) name: String,
    pub(super) state: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Columns {
    position: u64,
    timestamp_ms: u64,
    /// Steps from the record before; the first record's are 0.
    positions: Vec<u64>,
    timestamps_ms: Vec<u64>,
    lengths: Vec<u32>,
}

/// A value behind a version byte.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    // Writing to a Vec cannot fail, and every field has a form in MessagePack.
    let written = rmp_serde::encode::write(&mut bytes, value);
    debug_assert!(written.is_ok(), "{written:?}");
    bytes
}

/// A value from behind its version byte.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => rmp_serde::from_slice(rest).ok(),
        _ => None,
    }
}

/// A run of records.
pub(super) fn encode_records(records: &[Record]) -> Vec<u8> {
    let first = records.first();
    let mut columns = Columns {
        position: first.map_or(0, |record| record.position.0),
        timestamp_ms: first.map_or(0, |record| record.timestamp_ms),
        positions: Vec::with_capacity(records.len()),
        timestamps_ms: Vec::with_capacity(records.len()),
        lengths: Vec::with_capacity(records.len()),
    };
    let (mut position, mut timestamp_ms) = (columns.position, columns.timestamp_ms);
    for record in records {
        columns.positions.push(record.position.0.wrapping_sub(position));
        columns.timestamps_ms.push(record.timestamp_ms.wrapping_sub(timestamp_ms));
        columns.lengths.push(u32::try_from(record.payload.len()).unwrap_or(u32::MAX));
        (position, timestamp_ms) = (record.position.0, record.timestamp_ms);
    }
    let head = encode(&columns);
    let payloads: usize = records.iter().map(|record| record.payload.len()).sum();
    let mut body = Vec::with_capacity(4 + head.len() + payloads);
    body.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
    body.extend_from_slice(&head);
    for record in records {
        body.extend_from_slice(&record.payload);
    }
    body
}

/// The records of a run that begins at `first`; `None` where the bytes are not one.
pub(super) fn decode_records(body: &Bytes, first: Offset) -> Option<Vec<Record>> {
    let length = u32::from_le_bytes(*body.first_chunk()?) as usize;
    let mut at = 4usize.checked_add(length)?;
    let columns: Columns = decode(body.get(4..at)?)?;
    let (mut position, mut timestamp_ms) = (columns.position, columns.timestamp_ms);
    let mut records = Vec::with_capacity(columns.lengths.len().min(body.len()));
    let steps = columns.positions.iter().zip(&columns.timestamps_ms);
    for ((length, (position_step, timestamp_step)), index) in
        columns.lengths.iter().zip(steps).zip(0..)
    {
        position = position.wrapping_add(*position_step);
        timestamp_ms = timestamp_ms.wrapping_add(*timestamp_step);
        let end = at.checked_add(*length as usize)?;
        body.get(at..end)?;
        records.push(Record {
            offset: first.plus(index),
            position: Position(position),
            timestamp_ms,
            payload: body.slice(at..end),
        });
        at = end;
    }
    (at == body.len() && records.len() == columns.lengths.len()).then_some(records)
}

/// A run of the commit order, each entry as steps from the one before.
pub(super) fn encode_order(runs: &[Run]) -> Vec<u8> {
    let mut next = 0;
    let steps = runs.iter().map(|run| {
        let gap = run.position.0.wrapping_sub(next);
        next = run.position.0 + u64::from(run.count);
        (gap, run.stream.0, run.first.0, run.count)
    });
    encode(&steps.collect::<Vec<_>>())
}

/// The runs of a stretch of the commit order.
pub(super) fn decode_order(body: &[u8]) -> Option<Vec<Run>> {
    let steps: Vec<(u64, u64, u64, u32)> = decode(body)?;
    let mut next: u64 = 0;
    let runs = steps.into_iter().map(|(gap, stream, first, count)| {
        let position = next.wrapping_add(gap);
        next = position.wrapping_add(u64::from(count));
        Run { position: Position(position), stream: StreamNo(stream), first: Offset(first), count }
    });
    Some(runs.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let record = (0..1_000_u64, 0..100_000_u64, any::<Vec<u8>>());
        (1..1_u64 << 50, proptest::collection::vec(record, 0..20)).prop_map(|(first, steps)| {
            let (mut position, mut timestamp_ms) = (first, 0);
            let record = |((step, time, payload), offset)| {
                position += step + 1;
                timestamp_ms += time;
                Record {
                    offset: Offset(offset),
                    position: Position(position),
                    timestamp_ms,
                    payload: Bytes::from(payload),
                }
            };
            steps.into_iter().zip(first..).map(record).collect()
        })
    }

    proptest! {
        #[test]
        fn runs_of_records_read_back(records in records()) {
            let first = records.first().map_or(Offset(1), |record| record.offset);
            let body = Bytes::from(encode_records(&records));
            prop_assert_eq!(decode_records(&body, first), Some(records));
        }

        #[test]
        fn rubbish_is_refused_and_never_panics(body: Vec<u8>) {
            let _ = decode_records(&Bytes::from(body.clone()), Offset(1));
            let _ = decode_order(&body);
        }

        #[test]
        fn runs_of_the_order_read_back(steps in proptest::collection::vec((0..9_u64, any::<u32>(), 1..u64::MAX >> 1, 1..9_u32), 0..20)) {
            let mut next = 1;
            let run = |(gap, stream, first, count): (u64, u32, u64, u32)| {
                let position = Position(next + gap);
                next = position.0 + u64::from(count);
                Run { position, stream: StreamNo(stream.into()), first: Offset(first), count }
            };
            let runs: Vec<Run> = steps.into_iter().map(run).collect();
            prop_assert_eq!(decode_order(&encode_order(&runs)), Some(runs));
        }
    }

    #[test]
    fn heads_read_back() {
        let head = Head {
            stream: StreamNo(4),
            path: Arc::from("sessions/ü"),
            tail: Offset(9),
            earliest: Offset(2),
            last_timestamp_ms: 5,
            due_ms: 6,
            meta: [(Arc::from("stream"), Bytes::from_static(b"\x00\xff"))].into(),
        };
        let stored: StoredHead = decode(&encode(&StoredHead::of(&head, false))).unwrap();
        assert_eq!(stored.head(StreamNo(4)), head);
    }
}
