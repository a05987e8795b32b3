//! What was acknowledged, and whether a stream that is read back holds it: each event once, in
//! the order of its writer, where the answer said, and with the bytes that every reader was given.
//! Pure, and bounded: a few numbers for each writer and reader, however much they write and read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A fold of bytes at offsets: two that are equal saw the same, in the same order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Chain(u64);

impl Chain {
    /// The chain with one thing more.
    pub(super) fn add(&mut self, offset: u64, bytes: &[u8]) {
        let checksum = u64::from(crc32c::crc32c(bytes)) ^ ((bytes.len() as u64) << 32);
        let mixed = (self.0 ^ checksum).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = (mixed ^ offset).wrapping_mul(0xD134_2543_DE82_EF95).rotate_left(29);
    }
}

/// What a writer puts into the data of its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Mark {
    /// The writer.
    pub(super) w: u64,
    /// The number of the event among its own, from 1.
    pub(super) n: u64,
    /// It was the last of its request, whose answer told its offset.
    pub(super) end: bool,
}

/// What a writer was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Events that were acknowledged: those numbered 1 up to here.
    pub(super) count: u64,
    /// Numbers and offsets of the last event of each request.
    pub(super) told: Chain,
}

impl Written {
    /// A request was acknowledged: its last event is number `count`, at `offset`.
    pub(super) fn acknowledged(&mut self, count: u64, offset: u64) {
        self.count = count;
        self.told.add(offset, &count.to_le_bytes());
    }
}

/// What a reader has seen of a stream that it read from the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The offset of the last event.
    pub(super) offset: u64,
    /// All events so far.
    pub(super) chain: Chain,
}

impl Seen {
    /// Takes the next event.
    ///
    /// # Errors
    /// It is not the next one, in words.
    pub(super) fn take(&mut self, event: &Told<'_>) -> Result<(), String> {
        if event.offset != self.offset + 1 {
            return Err(format!("offset {} came behind {}", event.offset, self.offset));
        }
        self.offset = event.offset;
        self.chain.add(event.offset, event.id.get().as_bytes());
        self.chain.add(event.timestamp, event.data.get().as_bytes());
        Ok(())
    }
}

/// An event as it is told, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Told<'a> {
    /// The stream, where several are read.
    pub(super) stream: Option<&'a str>,
    /// Its offset.
    pub(super) offset: u64,
    #[serde(borrow)]
    id: &'a RawValue,
    timestamp: u64,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl<'a> Told<'a> {
    /// Reads an event.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn read(json: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(json)
            .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(json)))
    }

    /// The mark of a writer's, where it is one of theirs.
    pub(super) fn mark(&self) -> Option<Mark> {
        serde_json::from_str(self.data.get()).ok()
    }
}

/// One stream as it is read back at the end.
#[derive(Debug, Default)]
pub(super) struct Audit {
    seen: Seen,
    writers: BTreeMap<u64, Written>,
    /// Readers by the offset they came to; several may have stopped at one.
    readers: BTreeMap<u64, Vec<Chain>>,
}

impl Audit {
    /// An audit that compares with what these readers saw on their way.
    pub(super) fn with_readers(readers: impl IntoIterator<Item = Seen>) -> Self {
        let mut audit = Self::default();
        for seen in readers.into_iter().filter(|seen| seen.offset > 0) {
            audit.readers.entry(seen.offset).or_default().push(seen.chain);
        }
        audit
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn take(&mut self, event: &Told<'_>) -> Result<(), String> {
        self.seen.take(event)?;
        for chain in self.readers.remove(&event.offset).unwrap_or_default() {
            if chain != self.seen.chain {
                return Err(format!("a reader saw other events up to offset {}", event.offset));
            }
        }
        let Some(mark) = event.mark() else { return Ok(()) };
        let written = self.writers.entry(mark.w).or_default();
        if mark.n != written.count + 1 {
            let (writer, due) = (mark.w, written.count + 1);
            return Err(format!(
                "event {} of writer {writer} stands at offset {} where event {due} is due",
                mark.n, event.offset
            ));
        }
        written.count = mark.n;
        if mark.end {
            written.acknowledged(mark.n, event.offset);
        }
        Ok(())
    }

    /// The stream has ended here; `expected` is what its writers were told.
    ///
    /// # Errors
    /// What is missing, in words.
    pub(super) fn finish(&self, expected: &[(u64, Written)]) -> Result<u64, String> {
        for (writer, expected) in expected {
            let found = self.writers.get(writer).copied().unwrap_or_default();
            if found.count != expected.count {
                let (found, told) = (found.count, expected.count);
                return Err(format!(
                    "writer {writer} was told of {told} events; {found} are there"
                ));
            }
            if found.told != expected.told {
                return Err(format!("events of writer {writer} are not where the answers said"));
            }
        }
        match self.readers.keys().next() {
            Some(offset) => Err(format!("a reader came to {offset}, which is beyond the end")),
            None => Ok(self.seen.offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(offset: u64, writer: u64, number: u64, end: bool) -> String {
        let data = format!(r#"{{"w":{writer},"n":{number},"end":{end}}}"#);
        format!(r#"{{"offset":{offset},"id":"e","timestamp":1,"data":{data}}}"#)
    }

    /// Two writers by turns; the first sent pairs.
    fn stream() -> Vec<String> {
        vec![
            event(1, 1, 1, false),
            event(2, 1, 2, true),
            event(3, 2, 1, true),
            event(4, 1, 3, false),
            event(5, 1, 4, true),
        ]
    }

    fn told() -> Vec<(u64, Written)> {
        let (mut one, mut two) = (Written::default(), Written::default());
        one.acknowledged(2, 2);
        two.acknowledged(1, 3);
        one.acknowledged(4, 5);
        vec![(1, one), (2, two)]
    }

    fn audited(stream: &[String], readers: &[Seen]) -> Result<u64, String> {
        let mut audit = Audit::with_readers(readers.iter().copied());
        for json in stream {
            audit.take(&Told::read(json.as_bytes())?)?;
        }
        audit.finish(&told())
    }

    #[test]
    fn a_stream_that_holds_what_was_told_passes() {
        assert_eq!(audited(&stream(), &[]), Ok(5));
    }

    #[test]
    fn what_is_lost_doubled_or_elsewhere_is_noticed() {
        let (mut lost, mut doubled, mut moved, mut swapped) =
            (stream(), stream(), stream(), stream());
        lost.pop();
        assert!(audited(&lost, &[]).unwrap_err().contains("4 events; 3 are there"));
        doubled.push(event(6, 2, 1, true));
        assert!(audited(&doubled, &[]).unwrap_err().contains("where event 2 is due"));
        moved[2] = event(3, 1, 3, false);
        moved[3] = event(4, 2, 1, true);
        assert!(audited(&moved, &[]).unwrap_err().contains("writer 2 are not where"));
        swapped[3] = event(4, 1, 4, true);
        assert!(audited(&swapped, &[]).unwrap_err().contains("where event 3 is due"));
        assert!(audited(&stream()[1..], &[]).unwrap_err().contains("offset 2 came behind 0"));
    }

    #[test]
    fn readers_must_have_seen_the_same_bytes() {
        let mut seen = Seen::default();
        for json in &stream()[..3] {
            seen.take(&Told::read(json.as_bytes()).unwrap()).unwrap();
        }
        assert_eq!(audited(&stream(), &[seen, seen]), Ok(5));
        let mut other = stream();
        other[1] = other[1].replace("\"e\"", "\"f\"");
        assert!(audited(&other, &[seen]).unwrap_err().contains("saw other events"));
        let beyond = Seen { offset: 9, ..seen };
        assert!(audited(&stream(), &[beyond]).unwrap_err().contains("beyond the end"));
    }
}
