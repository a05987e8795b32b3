//! Checking a bundle, line by line, in one pass and in the memory of one line.

use blake3::Hash;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{END, HASH, HEX, Header, LINE_BYTES_MAX, LastLine, START, VERSION, link};
use crate::{limits, wire::JSON};

/// Why a text is not the bundle that was written. Lines count from 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum BundleError {
    /// The first line is no header.
    #[error("it is no bundle: line 1 is not the header that `scrollback export` writes")]
    NoBundle,
    /// Another version.
    #[error(
        "it is a bundle of version {0}, and this program reads version {VERSION}: take another release"
    )]
    Version(u32),
    /// A header that no export writes.
    #[error("line 1, the header, has been changed: {0}")]
    Header(&'static str),
    /// Not a line of a bundle.
    #[error("line {line} is not a line of a bundle: it has been changed or cut off")]
    Line {
        /// The line.
        line: u64,
    },
    /// Another offset.
    #[error(
        "line {line} has offset {offset} where {due} is due: lines are missing, twice there or not in their order"
    )]
    Order {
        /// The line.
        line: u64,
        /// The offset it has.
        offset: u64,
        /// The one that was due.
        due: u64,
    },
    /// Another hash.
    #[error("line {line}, offset {offset}, has been changed: its hash does not fit")]
    Changed {
        /// The line.
        line: u64,
        /// Its offset.
        offset: u64,
    },
    /// An event that no server takes.
    #[error(
        "line {line}, offset {offset}, holds {bytes} bytes, and an event has at most {}",
        limits::RECORD_BYTES_MAX
    )]
    TooLarge {
        /// The line.
        line: u64,
        /// Its offset.
        offset: u64,
        /// Bytes of its event.
        bytes: usize,
    },
    /// The seal is of other records.
    #[error(
        "line {line}, the seal, does not fit the {records} records before it, the last at offset {last}: lines are missing or changed"
    )]
    Seal {
        /// The line.
        line: u64,
        /// Records before it.
        records: u64,
        /// The offset of the last one.
        last: u64,
    },
    /// Something behind the seal.
    #[error("line {line} stands behind the seal: it does not belong to the bundle")]
    Behind {
        /// The line.
        line: u64,
    },
    /// No seal.
    #[error("it is cut off behind line {line}, offset {last}: the seal is missing")]
    CutOff {
        /// The last line.
        line: u64,
        /// The offset of the last record.
        last: u64,
    },
}

/// A record of a bundle.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Record<'a> {
    /// Its offset.
    pub(in crate::cli) offset: u64,
    /// Its event, as it is stored.
    pub(in crate::cli) event: &'a str,
}

/// Checks the lines of one bundle.
#[derive(Debug, Default)]
pub(in crate::cli) struct Checker {
    line: u64,
    header: Option<(Header, Hash)>,
    chain: Option<Hash>,
    next: u64,
    is_sealed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    offset: u64,
    #[serde(borrow, rename = "id")]
    _id: &'a RawValue,
    #[serde(borrow, rename = "timestamp")]
    _timestamp: &'a RawValue,
    #[serde(borrow)]
    event: &'a RawValue,
    #[serde(borrow)]
    hash: &'a str,
}

impl Checker {
    /// Takes the next line, without its line break. The record it holds; `None` for the header and
    /// the seal.
    ///
    /// # Errors
    /// [`BundleError`].
    pub(in crate::cli) fn line<'a>(
        &mut self,
        text: &'a [u8],
    ) -> Result<Option<Record<'a>>, BundleError> {
        self.line += 1;
        if self.is_sealed {
            return Err(BundleError::Behind { line: self.line });
        }
        if text.len() > LINE_BYTES_MAX {
            return Err(BundleError::Line { line: self.line });
        }
        if self.header.is_none() {
            return self.begin(text).map(|()| None);
        }
        if text.starts_with(b"{\"records\":") {
            return self.seal(text).map(|()| None);
        }
        self.record(text).map(Some)
    }

    /// There are no more lines. Hands over the header.
    ///
    /// # Errors
    /// [`BundleError`].
    pub(in crate::cli) fn end(self) -> Result<Header, BundleError> {
        let (line, last) = (self.line, self.last());
        match self.header {
            None => Err(BundleError::NoBundle),
            Some((header, _)) if self.is_sealed => Ok(header),
            Some(_) => Err(BundleError::CutOff { line, last }),
        }
    }

    fn last(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    fn begin(&mut self, text: &[u8]) -> Result<(), BundleError> {
        #[derive(Deserialize)]
        struct Kind<'a> {
            scrollback: &'a str,
            version: u32,
        }
        let kind: Kind<'_> = serde_json::from_slice(text).map_err(|_| BundleError::NoBundle)?;
        if kind.scrollback != Header::KIND {
            return Err(BundleError::NoBundle);
        }
        if kind.version != VERSION {
            return Err(BundleError::Version(kind.version));
        }
        let changed = |_| BundleError::Header("a field is missing or of another kind");
        let header: Header = serde_json::from_slice(text).map_err(changed)?;
        if !(1..=limits::FIRST_OFFSET_MAX).contains(&header.earliest)
            || header.tail > limits::OFFSET_MAX
            || header.tail.saturating_add(1) < header.earliest
        {
            return Err(BundleError::Header("its offsets are none"));
        }
        if header.content_type != JSON {
            return Err(BundleError::Header("a bundle holds JSON"));
        }
        self.next = header.earliest;
        self.chain = Some(START);
        self.header = Some((header, blake3::hash(text)));
        Ok(())
    }

    fn record<'a>(&mut self, text: &'a [u8]) -> Result<Record<'a>, BundleError> {
        let line = self.line;
        let other = BundleError::Line { line };
        let parsed = serde_json::from_slice(text).ok().zip(content_of(text));
        let Some((Line { offset, event, hash, .. }, content)) = parsed else { return Err(other) };
        let due = self.next;
        if offset != due {
            return Err(BundleError::Order { line, offset, due });
        }
        let link = link(self.chain.as_ref().unwrap_or(&START), content);
        if hash != link.to_hex().as_str() {
            return Err(BundleError::Changed { line, offset });
        }
        let event = event.get();
        if !event.starts_with('{') {
            return Err(other);
        }
        if event.len() > limits::RECORD_BYTES_MAX {
            return Err(BundleError::TooLarge { line, offset, bytes: event.len() });
        }
        self.chain = Some(link);
        self.next += 1;
        Ok(Record { offset, event })
    }

    fn seal(&mut self, text: &[u8]) -> Result<(), BundleError> {
        let (line, last) = (self.line, self.last());
        let (Some((header, hash)), Some(chain)) = (&self.header, &self.chain) else {
            return Err(BundleError::NoBundle);
        };
        let records = self.next - header.earliest;
        let due = LastLine::of(hash, chain, records);
        if text != due.line() {
            let found: Option<LastLine> = serde_json::from_slice(text).ok();
            let of_these = |found: &LastLine| found.chain == due.chain && found.records == records;
            return Err(match found {
                None => BundleError::Line { line },
                Some(found) if of_these(&found) && found.seal != due.seal => {
                    BundleError::Header("the seal is of another one, or was changed itself")
                }
                Some(_) => BundleError::Seal { line, records, last },
            });
        }
        if self.next != header.tail + 1 {
            return Err(BundleError::Header("it counts other records than there are"));
        }
        self.is_sealed = true;
        Ok(())
    }
}

/// What a line's hash is of.
fn content_of(text: &[u8]) -> Option<&[u8]> {
    let front = text.strip_suffix(END)?;
    let front = front.get(..front.len().checked_sub(HEX)?)?;
    front.strip_suffix(HASH)
}
