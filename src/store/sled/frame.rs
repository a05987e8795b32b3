//! The frame: what every journal and block file is a sequence of. A header with our magic number
//! and two checksums, then a body. It knows the lengths of things, not their meaning.
//!
//! Invariant: bytes that a frame's checksums do not confirm are never handed on.

use bytes::Bytes;

/// Bytes of a header.
pub(super) const HEADER: usize = 48;
/// Bodies beyond this are not ours: a length that large is damage.
const BODY_MAX: usize = 64 * 1024 * 1024;
const MAGIC: [u8; 4] = *b"SBf1";
const VERSION: u8 = 1;

/// What a frame holds. The numbers are on disk and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// The beginning of a journal segment: `a` its number, `b` its first commit, `count` its
    /// length in bytes.
    Segment = 1,
    /// A group commit: `a` its number, `b` its segment.
    Commit = 2,
    /// A run of one stream's records: `a` the stream, `b` the first offset.
    Records = 3,
    /// A stream's head: `a` the stream, `b` its tail.
    Head = 4,
    /// A run of the commit order: `a` the first position, `b` the last.
    Order = 5,
    /// A projection's saved state: `a` the stream.
    Checkpoint = 6,
    /// The end of a compaction round: `a` the last commit it covers, `b` the last position.
    Round = 7,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Segment,
            Self::Commit,
            Self::Records,
            Self::Head,
            Self::Order,
            Self::Checkpoint,
            Self::Round,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// Whether bodies are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Where it pays.
    Lz4,
    /// Never: there is no time.
    None,
}

/// A header, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// The body is compressed with lz4 and has this many bytes once it is not; 0 where it is not.
    pub(super) raw_len: u32,
    pub(super) body_len: u32,
    pub(super) a: u64,
    pub(super) b: u64,
    /// Records, writes or runs inside; bytes for a segment.
    pub(super) count: u32,
    body_crc: u32,
}

impl Header {
    /// Bytes of the whole frame.
    pub(super) fn frame_len(&self) -> u64 {
        HEADER as u64 + u64::from(self.body_len)
    }

    /// Reads a header; `None` where the bytes are not one, whole and undamaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        let (fields, crc) = bytes.split_last_chunk::<4>()?;
        if fields.first_chunk::<4>()? != &MAGIC
            || crc32c::crc32c(fields) != u32::from_le_bytes(*crc)
        {
            return None;
        }
        let word = |at: usize| Some(u32::from_le_bytes(*fields.get(at..)?.first_chunk()?));
        let long = |at: usize| Some(u64::from_le_bytes(*fields.get(at..)?.first_chunk()?));
        let header = Self {
            kind: Kind::from_byte(*fields.get(4)?)?,
            raw_len: word(8)?,
            body_len: word(12)?,
            a: long(16)?,
            b: long(24)?,
            count: word(32)?,
            body_crc: word(36)?,
        };
        let known = fields.get(5) == Some(&VERSION);
        let sane =
            known && header.body_len as usize <= BODY_MAX && header.raw_len as usize <= BODY_MAX;
        sane.then_some(header)
    }

    fn encode(&self, into: &mut [u8; HEADER]) {
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            for (place, byte) in into.iter_mut().skip(at).zip(bytes) {
                *place = *byte;
            }
            at += bytes.len();
        };
        put(&MAGIC);
        put(&[self.kind as u8, VERSION, 0, 0]);
        put(&self.raw_len.to_le_bytes());
        put(&self.body_len.to_le_bytes());
        put(&self.a.to_le_bytes());
        put(&self.b.to_le_bytes());
        put(&self.count.to_le_bytes());
        put(&self.body_crc.to_le_bytes());
        put(&[0; 4]);
        let crc = crc32c::crc32c(into.split_last_chunk::<4>().map_or(&[], |(fields, _)| fields));
        if let Some(place) = into.last_chunk_mut::<4>() {
            *place = crc.to_le_bytes();
        }
    }

    /// Whether this is the body behind this header, as it is stored.
    pub(super) fn confirms(&self, stored: &[u8]) -> bool {
        stored.len() == self.body_len as usize && crc32c::crc32c(stored) == self.body_crc
    }

    /// The body behind this header, checked and decompressed.
    pub(super) fn body(&self, stored: &Bytes) -> Option<Bytes> {
        if !self.confirms(stored) {
            return None;
        }
        if self.raw_len == 0 {
            return Some(stored.clone());
        }
        let raw = lz4_flex::block::decompress(stored, self.raw_len as usize).ok()?;
        (raw.len() == self.raw_len as usize).then(|| Bytes::from(raw))
    }
}

/// Space for a header in front of a body that is about to be built; see [`finish`].
pub(super) fn begin(buffer: &mut Vec<u8>) -> usize {
    let at = buffer.len();
    buffer.resize(at + HEADER, 0);
    at
}

/// Writes the header of the frame that began at `at` and has its body behind it.
pub(super) fn finish(buffer: &mut [u8], at: usize, kind: Kind, (a, b, count): (u64, u64, u32)) {
    seal(buffer, at, Header { kind, raw_len: 0, body_len: 0, a, b, count, body_crc: 0 });
}

/// Adds a frame, its body compressed if that is wanted and saves a fifth, and answers with the
/// frame's length.
pub(super) fn add(
    buffer: &mut Vec<u8>,
    (kind, a, b, count): (Kind, u64, u64, u32),
    body: &[u8],
    packing: Packing,
) -> u32 {
    let at = begin(buffer);
    let packed = match packing {
        Packing::Lz4 => lz4_flex::block::compress(body),
        Packing::None => Vec::new(),
    };
    let pays = packing == Packing::Lz4 && packed.len() + packed.len() / 4 < body.len();
    buffer.extend_from_slice(if pays { &packed } else { body });
    let raw_len = if pays { body.len() } else { 0 };
    let raw_len = u32::try_from(raw_len).unwrap_or(u32::MAX);
    seal(buffer, at, Header { kind, raw_len, body_len: 0, a, b, count, body_crc: 0 });
    u32::try_from(buffer.len() - at).unwrap_or(u32::MAX)
}

fn seal(buffer: &mut [u8], at: usize, header: Header) {
    let Some(frame) = buffer.get_mut(at..) else { return };
    let Some((place, body)) = frame.split_first_chunk_mut::<HEADER>() else { return };
    let body_len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    Header { body_len, body_crc: crc32c::crc32c(body), ..header }.encode(place);
}

/// The next place at or after `from` where a valid header stands.
pub(super) fn find(bytes: &[u8], from: usize) -> Option<usize> {
    let tail = bytes.get(from..)?;
    memchr::memmem::find_iter(tail, &MAGIC)
        .map(|at| from + at)
        .find(|at| bytes.get(*at..).and_then(Header::decode).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(frame: &[u8]) -> (Header, Bytes) {
        (Header::decode(frame).unwrap(), Bytes::copy_from_slice(&frame[HEADER..]))
    }

    proptest! {
        #[test]
        fn every_body_reads_back(body in proptest::collection::vec(any::<u8>(), 0..2_000), a: u64, b: u64) {
            let mut buffer = vec![9; 3];
            let len = add(&mut buffer, (Kind::Records, a, b, 7), &body, Packing::Lz4);
            prop_assert_eq!(len as usize, buffer.len() - 3);
            let (header, stored) = split(&buffer[3..]);
            prop_assert_eq!((header.kind, header.a, header.b, header.count), (Kind::Records, a, b, 7));
            prop_assert_eq!(header.body(&stored).unwrap(), body);
        }

        #[test]
        fn a_flipped_bit_anywhere_is_noticed(body in proptest::collection::vec(any::<u8>(), 1..200), at: prop::sample::Index, bit in 0..8_u8) {
            let mut buffer = Vec::new();
            add(&mut buffer, (Kind::Commit, 1, 2, 3), &body, Packing::Lz4);
            let at = at.index(buffer.len());
            buffer[at] ^= 1_u8 << bit;
            let found = Header::decode(&buffer).and_then(|header| {
                header.body(&Bytes::copy_from_slice(&buffer[HEADER..]))
            });
            prop_assert_eq!(found, None);
        }
    }

    #[test]
    fn a_frame_is_found_behind_rubbish() {
        let mut buffer = b"SBf1 rubbish".to_vec();
        let at = buffer.len();
        add(&mut buffer, (Kind::Round, 1, 1, 0), b"x", Packing::Lz4);
        assert_eq!(find(&buffer, 0), Some(at));
        assert_eq!(find(&buffer, at + 1), None);
    }

    #[test]
    fn text_is_compressed_and_noise_is_not() {
        let mut buffer = Vec::new();
        let text = b"the same words again and again ".repeat(50);
        let len = add(&mut buffer, (Kind::Records, 1, 1, 1), &text, Packing::Lz4);
        assert!((len as usize) < text.len() / 4);
        assert_ne!(split(&buffer).0.raw_len, 0);
        buffer.clear();
        let len = add(&mut buffer, (Kind::Records, 1, 1, 1), &text, Packing::None);
        assert_eq!(len as usize, HEADER + text.len());
    }
}
