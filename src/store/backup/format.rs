//! The bytes of a backup: frames, each with a checksum over its header, one over its body, and one
//! over all that came before it; the last one is the seal. `docs/storage-format.md` has the table.
//!
//! Invariant: bytes that were changed, left out, put elsewhere or cut off are never handed on as
//! parts of a backup, and without the seal at its end nothing is a whole one.

use bytes::{Buf as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::limits;

const HEADER: usize = 40;
const MAGIC: [u8; 4] = *b"SBbk";
/// Of the frames. What is inside has the format of the store.
const VERSION: u8 = 1;
/// What goes in front of the manifest.
const MANIFEST_VERSION: u8 = 1;

/// What a frame holds. The numbers are on disk and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// The first frame: the [`Manifest`].
    Begin = 1,
    /// Frames of a block file: its number, and where they stand in it.
    Blocks = 2,
    /// Commits of a journal segment: its number, and the first commit.
    Commits = 3,
    /// The seal.
    End = 4,
    /// The backup could not be finished: the reason.
    Failed = 5,
    /// Something that the store had lost: what, in words.
    Missing = 6,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        let kinds =
            [Self::Begin, Self::Blocks, Self::Commits, Self::End, Self::Failed, Self::Missing];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What a backup says of itself first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the data folder that it can become.
    pub format: String,
    /// When it was asked for, Unix milliseconds.
    pub created_ms: u64,
    /// The commit whose state it holds.
    pub commit: u64,
    /// About how many bytes it has. For progress only.
    pub bytes: u64,
}

/// A part of a backup, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The first.
    Begin(Manifest),
    /// Frames of a block file.
    Blocks {
        /// The file's number.
        file: u64,
        /// Where they stand in it.
        at: u64,
        /// The frames.
        frames: Bytes,
    },
    /// Commits of a journal segment.
    Commits {
        /// The segment's number.
        segment: u64,
        /// The first of them.
        first: u64,
        /// Their frames.
        frames: Bytes,
    },
    /// What the store had lost when the backup was taken, in words.
    Missing(String),
    /// The seal. Everything was there.
    End,
}

/// Why bytes are no whole backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// Something else.
    #[error("this is no backup of Scrollback: `scrollback backup` makes one")]
    Foreign,
    /// Made by a later version.
    #[error("the backup has version {found:?}, and this program reads {known:?}: use a newer one")]
    Version {
        /// What it says.
        found: String,
        /// What is known.
        known: String,
    },
    /// Not as it was written.
    #[error(
        "the backup is damaged at byte {at}: something changed it after it was taken; use another"
    )]
    Damaged {
        /// Where the frame begins that is not right.
        at: u64,
    },
    /// The seal is missing.
    #[error("the backup ends at byte {at} without its seal: it was cut short; use another")]
    Cut {
        /// Its length.
        at: u64,
    },
    /// Something follows the seal.
    #[error("the backup goes on after its seal at byte {at}: it is not as it was taken")]
    Longer {
        /// Where it should have ended.
        at: u64,
    },
    /// The server says why it gave up.
    #[error("the backup was not finished: {0}")]
    Failed(String),
}

/// Turns parts into bytes.
#[derive(Debug, Default)]
pub(super) struct Sealing {
    /// The checksum of all bytes so far.
    chain: u32,
}

impl Sealing {
    /// The first frame.
    pub(super) fn begin(&mut self, manifest: &Manifest) -> Bytes {
        let mut body = vec![MANIFEST_VERSION];
        // Writing to a Vec cannot fail, and every field has a form in MessagePack.
        let written = rmp_serde::encode::write(&mut body, manifest);
        debug_assert!(written.is_ok(), "{written:?}");
        self.seal(Kind::Begin, (0, 0), &body)
    }

    /// A frame.
    pub(super) fn seal(&mut self, kind: Kind, (a, b): (u64, u64), body: &[u8]) -> Bytes {
        let mut frame = BytesMut::with_capacity(HEADER + body.len());
        frame.extend_from_slice(&MAGIC);
        frame.extend_from_slice(&[kind as u8, VERSION, 0, 0]);
        frame.extend_from_slice(&a.to_le_bytes());
        frame.extend_from_slice(&b.to_le_bytes());
        frame.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
        frame.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
        frame.extend_from_slice(&self.chain.to_le_bytes());
        let crc = crc32c::crc32c(&frame);
        frame.extend_from_slice(&crc.to_le_bytes());
        frame.extend_from_slice(body);
        self.chain = crc32c::crc32c_append(self.chain, &frame);
        frame.freeze()
    }
}

struct Header {
    kind: Kind,
    a: u64,
    b: u64,
    body_len: usize,
    body_crc: u32,
}

/// Turns bytes back into parts, as they come.
#[derive(Debug, Default)]
pub struct Unsealing {
    buffer: BytesMut,
    /// Bytes that are behind.
    at: u64,
    /// Their checksum.
    chain: u32,
    begun: bool,
    ended: bool,
}

impl Unsealing {
    /// Takes in bytes. [`Unsealing::part`] is to be asked until it has no part left: what waits
    /// here stays small that way.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next part; `None` until more bytes have come.
    ///
    /// # Errors
    /// [`BackupError`]: this is no whole backup, and nothing more will come of it.
    pub fn part(&mut self) -> Result<Option<Part>, BackupError> {
        if self.ended && !self.buffer.is_empty() {
            return Err(BackupError::Longer { at: self.at });
        }
        let Some(header) = self.header()? else { return Ok(None) };
        let whole = HEADER + header.body_len;
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let frame = self.buffer.split_to(whole).freeze();
        let mut body = frame.clone();
        body.advance(HEADER);
        if crc32c::crc32c(&body) != header.body_crc {
            return Err(BackupError::Damaged { at: self.at });
        }
        let part = self.read(&header, body)?;
        self.at += whole as u64;
        self.chain = crc32c::crc32c_append(self.chain, &frame);
        (self.begun, self.ended) = (true, part == Part::End);
        Ok(Some(part))
    }

    /// No bytes are left.
    ///
    /// # Errors
    /// The seal did not come.
    pub fn finish(&self) -> Result<(), BackupError> {
        let length = self.at + self.buffer.len() as u64;
        match () {
            () if self.ended => Ok(()),
            // Too short to tell.
            () if !self.begun && !MAGIC.starts_with(self.beginning()) => Err(BackupError::Foreign),
            () if length == 0 => Err(BackupError::Foreign),
            () => Err(BackupError::Cut { at: length }),
        }
    }

    fn beginning(&self) -> &[u8] {
        self.buffer.get(..MAGIC.len()).unwrap_or(&self.buffer)
    }

    fn header(&self) -> Result<Option<Header>, BackupError> {
        let damaged = BackupError::Damaged { at: self.at };
        if !self.begun && !MAGIC.starts_with(self.beginning()) {
            return Err(BackupError::Foreign);
        }
        let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let Some((fields, crc)) = header.split_last_chunk::<4>() else { return Ok(None) };
        if fields.first_chunk() != Some(&MAGIC)
            || crc32c::crc32c(fields) != u32::from_le_bytes(*crc)
        {
            return Err(damaged);
        }
        let mut fields = fields.get(4..).unwrap_or_default();
        let (kind, version) = (fields.get_u8(), fields.get_u8());
        if version != VERSION {
            let (found, known) = (version.to_string(), VERSION.to_string());
            return Err(BackupError::Version { found, known });
        }
        fields.advance(2);
        let (a, b) = (fields.get_u64_le(), fields.get_u64_le());
        let (body_len, body_crc) = (fields.get_u32_le() as usize, fields.get_u32_le());
        let chained = fields.get_u32_le() == self.chain;
        let sane = chained && body_len <= limits::BACKUP_PART_BYTES_MAX;
        match Kind::from_byte(kind).filter(|_| sane) {
            Some(kind) => Ok(Some(Header { kind, a, b, body_len, body_crc })),
            None => Err(damaged),
        }
    }

    fn read(&self, header: &Header, body: Bytes) -> Result<Part, BackupError> {
        let (a, b) = (header.a, header.b);
        let text = || String::from_utf8_lossy(&body).into_owned();
        match (header.kind, self.begun) {
            (Kind::Begin, false) => self.manifest(&body).map(Part::Begin),
            (Kind::Blocks, true) => Ok(Part::Blocks { file: a, at: b, frames: body }),
            (Kind::Commits, true) => Ok(Part::Commits { segment: a, first: b, frames: body }),
            (Kind::Missing, true) => Ok(Part::Missing(text())),
            (Kind::End, true) => Ok(Part::End),
            (Kind::Failed, _) => Err(BackupError::Failed(text())),
            _ => Err(BackupError::Damaged { at: self.at }),
        }
    }

    fn manifest(&self, body: &[u8]) -> Result<Manifest, BackupError> {
        let damaged = || BackupError::Damaged { at: self.at };
        match body.split_first() {
            Some((&MANIFEST_VERSION, rest)) => rmp_serde::from_slice(rest).map_err(|_| damaged()),
            Some((version, _)) => Err(BackupError::Version {
                found: version.to_string(),
                known: MANIFEST_VERSION.to_string(),
            }),
            None => Err(damaged()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn manifest() -> Manifest {
        Manifest { format: "scrollback 1".to_owned(), created_ms: 5, commit: 7, bytes: 9 }
    }

    /// A backup with these bodies, and its parts.
    fn backup(bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<Part>) {
        let mut sealing = Sealing::default();
        let mut bytes = sealing.begin(&manifest()).to_vec();
        let mut parts = vec![Part::Begin(manifest())];
        for (body, n) in bodies.iter().zip(1..) {
            let frames = Bytes::copy_from_slice(body);
            let (kind, part) = if n % 2 == 0 {
                (Kind::Blocks, Part::Blocks { file: n, at: n + 1, frames })
            } else {
                (Kind::Commits, Part::Commits { segment: n, first: n + 1, frames })
            };
            bytes.extend_from_slice(&sealing.seal(kind, (n, n + 1), body));
            parts.push(part);
        }
        bytes.extend_from_slice(&sealing.seal(Kind::End, (0, 0), &[]));
        parts.push(Part::End);
        (bytes, parts)
    }

    fn unseal(bytes: &[u8], step: usize) -> Result<Vec<Part>, BackupError> {
        let (mut unsealing, mut parts) = (Unsealing::default(), Vec::new());
        for bytes in bytes.chunks(step) {
            unsealing.push(bytes);
            while let Some(part) = unsealing.part()? {
                parts.push(part);
            }
        }
        unsealing.finish().map(|()| parts)
    }

    fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 0..6)
    }

    proptest! {
        #[test]
        fn parts_read_back_however_the_bytes_come(bodies in bodies(), step in 1..200_usize) {
            let (bytes, parts) = backup(&bodies);
            prop_assert_eq!(unseal(&bytes, step), Ok(parts));
        }

        #[test]
        fn a_changed_byte_anywhere_is_noticed(bodies in bodies(), at: prop::sample::Index, change in 1..=255_u8) {
            let (mut bytes, _) = backup(&bodies);
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            prop_assert!(unseal(&bytes, 64).is_err(), "byte {}", at);
        }

        #[test]
        fn a_backup_that_was_cut_anywhere_is_no_backup(bodies in bodies(), at: prop::sample::Index) {
            let (bytes, _) = backup(&bodies);
            let cut = unseal(&bytes[..at.index(bytes.len())], 64);
            let told = matches!(cut, Err(BackupError::Cut { .. } | BackupError::Foreign));
            prop_assert!(told, "{:?}", cut);
        }

        #[test]
        fn rubbish_is_refused_and_never_panics(bytes: Vec<u8>) {
            prop_assert!(unseal(&bytes, 7).is_err());
        }
    }

    #[test]
    fn frames_that_are_whole_but_elsewhere_are_damage() {
        let (bytes, _) = backup(&[vec![1; 20], vec![2; 20]]);
        let (begin, frame) = (first_frame(&bytes), HEADER + 20);
        let (head, one) = (&bytes[..begin], &bytes[begin..begin + frame]);
        let (two, end) = (&bytes[begin + frame..begin + 2 * frame], &bytes[begin + 2 * frame..]);
        let damaged = Err(BackupError::Damaged { at: begin as u64 });
        for order in [[two, one], [two, two]] {
            assert_eq!(unseal(&[head, order[0], order[1], end].concat(), 64), damaged);
        }
        let left_out = unseal(&[head, one, end].concat(), 64);
        assert_eq!(left_out, Err(BackupError::Damaged { at: (begin + frame) as u64 }));
        let longer = unseal(&[&bytes[..], one].concat(), 64);
        assert_eq!(longer, Err(BackupError::Longer { at: bytes.len() as u64 }));
    }

    /// The length of the first frame.
    fn first_frame(bytes: &[u8]) -> usize {
        HEADER + u32::from_le_bytes(bytes[24..28].try_into().unwrap()) as usize
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        assert_eq!(unseal(b"", 9), Err(BackupError::Foreign));
        assert_eq!(
            unseal(b"PK\x03\x04 something else, and long enough", 9),
            Err(BackupError::Foreign)
        );
        assert_eq!(unseal(b"SB", 9), Err(BackupError::Cut { at: 2 }));
        let mut sealing = Sealing::default();
        let mut bytes = sealing.begin(&manifest()).to_vec();
        bytes.extend_from_slice(&sealing.seal(Kind::Failed, (0, 0), b"the disk is gone"));
        assert_eq!(unseal(&bytes, 9), Err(BackupError::Failed("the disk is gone".to_owned())));
        let mut newer = Sealing::default().seal(Kind::Begin, (0, 0), b"").to_vec();
        newer[5] = 2;
        let crc = crc32c::crc32c(&newer[..HEADER - 4]);
        newer[HEADER - 4..HEADER].copy_from_slice(&crc.to_le_bytes());
        let refused = unseal(&newer, 9).unwrap_err().to_string();
        assert_eq!(
            refused,
            "the backup has version \"2\", and this program reads \"1\": use a newer one"
        );
    }
}
