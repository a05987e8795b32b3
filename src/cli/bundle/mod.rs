//! The bundle: a stream as a text that tells when it was changed. Lines of JSON: a header, one line
//! for each record, a seal (`docs/bundle.md`). Pure; it refuses to know files and servers.
//!
//! Invariant: a text that a [`Checker`] takes to its end is, but for the last line break, byte for
//! byte what a [`Writer`] wrote.

mod check;
mod write;

use blake3::Hash;
use serde::{Deserialize, Serialize};

pub(super) use self::{
    check::Checker,
    write::{Writer, payload_of},
};
use crate::limits;

/// The version of the format that is written, and the only one that is read.
const VERSION: u32 = 1;

/// Bytes of one line: a record, and what stands around it.
pub(super) const LINE_BYTES_MAX: usize = limits::RECORD_BYTES_MAX + 4 * 1024;

/// What stands before the hash of a record's line …
const HASH: &[u8] = b",\"hash\":\"";
/// … the hexadecimal digits of the hash …
const HEX: usize = 64;
/// … and what stands behind it.
const END: &[u8] = b"\"}";

/// The chain before the first record.
const START: Hash = Hash::from_bytes([0; 32]);

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Header {
    /// What the text is: [`Header::KIND`].
    pub(super) scrollback: String,
    /// [`VERSION`].
    pub(super) version: u32,
    /// The path of the stream.
    pub(super) stream: String,
    /// The stream's epoch, as the server says it.
    pub(super) epoch: String,
    /// Media type of its records.
    pub(super) content_type: String,
    /// The offset of the first record.
    pub(super) earliest: u64,
    /// The offset of the last one; `earliest` - 1 where there is none.
    pub(super) tail: u64,
    /// When it was written, Unix milliseconds.
    pub(super) exported_at: u64,
}

/// The last line: how many records there are, what their chain came to, and what binds both to the
/// header.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LastLine {
    /// Records in the bundle.
    records: u64,
    /// The hash of the last record's line: the same for the same records, whatever the header says.
    chain: String,
    /// The hash over the header's hash and the chain.
    seal: String,
}

impl Header {
    const KIND: &str = "bundle";

    /// The header of a stream's records from `earliest` to `tail`.
    pub(super) fn new(stream: &str, epoch: &str, content_type: &str) -> Self {
        Self {
            scrollback: Self::KIND.to_owned(),
            version: VERSION,
            stream: stream.to_owned(),
            epoch: epoch.to_owned(),
            content_type: content_type.to_owned(),
            earliest: 1,
            tail: 0,
            exported_at: 0,
        }
    }

    /// How many records it speaks of.
    pub(super) fn records(&self) -> u64 {
        (self.tail + 1).saturating_sub(self.earliest)
    }

    fn line(&self) -> Vec<u8> {
        line_of(self)
    }
}

impl LastLine {
    fn of(header: &Hash, chain: &Hash, records: u64) -> Self {
        let seal = link(header, chain.as_bytes());
        Self { records, chain: chain.to_hex().to_string(), seal: seal.to_hex().to_string() }
    }

    fn line(&self) -> Vec<u8> {
        line_of(self)
    }
}

/// Texts and numbers are JSON by nature.
fn line_of(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The hash of a line: of the one before it, and of all that stands before the hash itself.
fn link(before: &Hash, content: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before.as_bytes());
    hasher.update(content);
    hasher.finalize()
}

#[cfg(test)]
mod tests;
