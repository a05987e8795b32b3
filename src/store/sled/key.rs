//! The keys and values of the index, as bytes. Numbers are big-endian in keys, so that their
//! order is the order of the bytes, and little-endian in values.

use super::files::Place;
use crate::store::{Offset, Position, StreamNo};

/// Key of `heads`.
pub(super) fn stream(stream: StreamNo) -> [u8; 8] {
    stream.0.to_be_bytes()
}

/// Key of `blocks`, and of `expiry` with a time in front: two numbers.
pub(super) fn pair(first: u64, second: u64) -> [u8; 16] {
    let mut key = [0; 16];
    for (place, byte) in
        key.iter_mut().zip(first.to_be_bytes().into_iter().chain(second.to_be_bytes()))
    {
        *place = byte;
    }
    key
}

/// The numbers of a [`pair`].
pub(super) fn read_pair(key: &[u8]) -> Option<(u64, u64)> {
    let first = u64::from_be_bytes(*key.first_chunk()?);
    let second = u64::from_be_bytes(key.get(8..)?.try_into().ok()?);
    Some((first, second))
}

/// Key of `order`.
pub(super) fn position(position: Position) -> [u8; 8] {
    position.0.to_be_bytes()
}

/// Key of `checkpoints`.
pub(super) fn checkpoint(stream: StreamNo, name: &str) -> Vec<u8> {
    [&stream.0.to_be_bytes()[..], name.as_bytes()].concat()
}

/// A number from a key or value of eight bytes.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// Value of `blocks`: a run of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockEntry {
    pub(super) first: Offset,
    pub(super) count: u32,
    pub(super) last_timestamp_ms: u64,
    pub(super) place: Place,
}

impl BlockEntry {
    /// Its last offset.
    pub(super) fn last(&self) -> Offset {
        Offset(self.first.0 + u64::from(self.count.max(1)) - 1)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = place(self.place);
        value.extend_from_slice(&self.count.to_le_bytes());
        value.extend_from_slice(&self.last_timestamp_ms.to_le_bytes());
        value
    }

    pub(super) fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let (_, first) = read_pair(key)?;
        Some(Self {
            first: Offset(first),
            place: read_place(value)?,
            count: u32::from_le_bytes(*value.get(16..)?.first_chunk()?),
            last_timestamp_ms: u64::from_le_bytes(*value.get(20..)?.first_chunk()?),
        })
    }
}

/// Value of `checkpoints`, and the beginning of others.
pub(super) fn place(place: Place) -> Vec<u8> {
    let mut value = Vec::with_capacity(28);
    value.extend_from_slice(&place.file.to_le_bytes());
    value.extend_from_slice(&place.at.to_le_bytes());
    value.extend_from_slice(&place.len.to_le_bytes());
    value
}

/// The place at the beginning of a value.
pub(super) fn read_place(value: &[u8]) -> Option<Place> {
    Some(Place {
        file: u32::from_le_bytes(*value.first_chunk()?),
        at: u64::from_le_bytes(*value.get(4..)?.first_chunk()?),
        len: u32::from_le_bytes(*value.get(12..)?.first_chunk()?),
    })
}

/// Value of `files`: how far a block file is in the index, and how much of it is referred to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FileMark {
    pub(super) indexed: u64,
    pub(super) live: u64,
}

impl FileMark {
    pub(super) fn encode(self) -> Vec<u8> {
        [self.indexed.to_le_bytes(), self.live.to_le_bytes()].concat()
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        Some(Self {
            indexed: u64::from_le_bytes(*value.first_chunk()?),
            live: u64::from_le_bytes(*value.get(8..)?.first_chunk()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_sort_as_their_numbers(a: (u64, u64), b: (u64, u64)) {
            prop_assert_eq!(pair(a.0, a.1).cmp(&pair(b.0, b.1)), a.cmp(&b));
            prop_assert_eq!(read_pair(&pair(a.0, a.1)), Some(a));
        }

        #[test]
        fn values_read_back(file: u32, at: u64, len: u32, first: u64, count: u32, time: u64) {
            let entry = BlockEntry {
                first: Offset(first),
                count,
                last_timestamp_ms: time,
                place: Place { file, at, len },
            };
            prop_assert_eq!(BlockEntry::decode(&pair(7, first), &entry.encode()), Some(entry));
            let mark = FileMark { indexed: at, live: time };
            prop_assert_eq!(FileMark::decode(&mark.encode()), Some(mark));
        }
    }
}
