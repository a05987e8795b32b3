//! Reading the journal back: every commit behind the last compaction, in order.
//!
//! A commit that was being written when the process died is cut off: it was never acknowledged.
//! A damaged commit with a later one behind it was acknowledged; opening refuses to step over
//! it, salvage does so and says what is missing.

use std::path::Path;

use bytes::Bytes;

use super::{
    commit::{self, Committed},
    disk::{self, DiskFile},
    frame::{self, HEADER, Header, Kind},
    journal,
};
use crate::store::{OpenError, Position};

/// What was read back.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// The number of the next commit.
    pub(super) next_commit: u64,
    /// The highest segment that is there.
    pub(super) last_segment: u64,
    /// What could not be read, where damage may be stepped over.
    pub(super) damage: Vec<String>,
}

/// One commit of the journal.
#[derive(Debug)]
pub(super) struct ReadCommit {
    pub(super) segment: u64,
    pub(super) commit: u64,
    pub(super) first: Position,
    pub(super) writes: Vec<Committed>,
    /// Its checksum fails: what it says of where records went may be true, the records are lost.
    pub(super) lost: bool,
}

/// Reads all segments and hands over each commit after `after`, in order. With `lenient`, damage
/// is noted and stepped over.
pub(super) fn replay(
    folder: &Path,
    after: u64,
    lenient: bool,
    visit: &mut dyn FnMut(ReadCommit),
) -> Result<Replayed, OpenError> {
    let segments = journal::segments(folder).map_err(disk::at(folder))?;
    let mut replayed = Replayed { next_commit: after + 1, ..Replayed::default() };
    let mut expected = None;
    for (number, path) in segments {
        replayed.last_segment = number;
        let reached = expected.unwrap_or(0).max(after + 1);
        let reading = Segment::read(number, &path)?;
        if !reading.has_header {
            let reason = "the segment's header cannot be read";
            // Its commits say themselves where they belong.
            if reading.first_commit == reached {
                replayed.damage.push(format!("{}: {reason}; its commits can", path.display()));
            } else {
                damaged(&mut replayed, lenient, &path, 0, reason)?;
            }
        }
        if reading.first_commit > reached {
            let missing = reading.first_commit - 1;
            let reason = format!("commits {reached} to {missing} are missing before it");
            damaged(&mut replayed, lenient, &path, 0, &reason)?;
        }
        if (reading.bytes.len() as u64) < reading.len {
            let at = reading.bytes.len() as u64;
            damaged(&mut replayed, lenient, &path, at, "the segment was cut short")?;
        }
        let end = reading.commits(after, lenient, &mut replayed, visit)?;
        expected = Some(end);
        replayed.next_commit = replayed.next_commit.max(end);
    }
    Ok(replayed)
}

fn damaged(
    replayed: &mut Replayed,
    lenient: bool,
    path: &Path,
    at: u64,
    reason: &str,
) -> Result<(), OpenError> {
    if !lenient {
        return Err(OpenError::Damaged { path: path.to_owned(), at, reason: reason.to_owned() });
    }
    replayed.damage.push(format!("{} at byte {at}: {reason}", path.display()));
    Ok(())
}

/// A segment in memory.
struct Segment<'a> {
    number: u64,
    path: &'a Path,
    bytes: Bytes,
    /// The length it was made with.
    len: u64,
    first_commit: u64,
    has_header: bool,
}

impl<'a> Segment<'a> {
    /// Reads a segment, and syncs it: what is handed over from here on must not be lost to a
    /// later power cut, and a kill may have come before its writer's own sync.
    fn read(number: u64, path: &'a Path) -> Result<Self, OpenError> {
        let file = DiskFile::open(path).map_err(disk::at(path))?;
        let len = file.len().map_err(disk::at(path))?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let bytes = Bytes::from(file.read_at(0, len).map_err(disk::at(path))?);
        file.sync().map_err(disk::at(path))?;
        let header = Header::decode(&bytes);
        let header = header.filter(|header| header.kind == Kind::Segment && header.a == number);
        let mut segment = Self {
            number,
            path,
            bytes,
            len: header.map_or(0, |header| header.count.into()),
            first_commit: header.map_or(0, |header| header.b),
            has_header: header.is_some(),
        };
        if header.is_none() {
            // The first commit that can be read, if there is one.
            segment.first_commit = segment.later(0, 0).map_or(0, |(_, commit)| commit);
        }
        Ok(segment)
    }

    /// Hands over its commits, and answers with the number of the one after them.
    fn commits(
        &self,
        after: u64,
        lenient: bool,
        replayed: &mut Replayed,
        visit: &mut dyn FnMut(ReadCommit),
    ) -> Result<u64, OpenError> {
        let mut expected = self.first_commit;
        let mut at = HEADER;
        if !self.has_header && self.later(0, 0).is_none() {
            return Ok(after + 1);
        }
        loop {
            if let Some((end, read)) = self.commit(at, expected) {
                if expected > after {
                    visit(read);
                }
                (at, expected) = (end, expected + 1);
                continue;
            }
            // A later commit is proof that this one was durable.
            let Some((next, commit)) = self.later(at, expected) else {
                self.warn_of_cut(at, expected, replayed);
                return Ok(expected);
            };
            if commit > after + 1 {
                let reason = format!("commits {expected} to {} cannot be read", commit - 1);
                damaged(replayed, lenient, self.path, at as u64, &reason)?;
                match self.lost_commit(at, next, expected).filter(|_| commit == expected + 1) {
                    Some(lost) => visit(lost),
                    None => replayed.damage.push(format!(
                        "{} at byte {at}: which records these commits held is unknown",
                        self.path.display()
                    )),
                }
            }
            (at, expected) = (next, commit);
        }
    }

    /// The whole commit at a place, if it is the expected one.
    fn commit(&self, at: usize, expected: u64) -> Option<(usize, ReadCommit)> {
        let header = self.header(at).filter(|header| header.a == expected)?;
        let end = at + HEADER + header.body_len as usize;
        let body = header.body(&self.slice(at + HEADER, end)?)?;
        let first = u64::from_le_bytes(*body.first_chunk()?);
        let writes = commit::decode(&body.slice(8..))?;
        let segment = self.number;
        let read =
            ReadCommit { segment, commit: expected, first: Position(first), writes, lost: false };
        Some((end, read))
    }

    /// What a damaged commit between two places says of itself, as far as that can be read.
    fn lost_commit(&self, at: usize, end: usize, commit: u64) -> Option<ReadCommit> {
        let body = self.slice(at + HEADER, end)?;
        let first = u64::from_le_bytes(*body.first_chunk()?);
        let writes = commit::decode(&body.slice(8..))?;
        let segment = self.number;
        Some(ReadCommit { segment, commit, first: Position(first), writes, lost: true })
    }

    /// The next commit behind a place with a number beyond `expected` that can be read.
    fn later(&self, at: usize, expected: u64) -> Option<(usize, u64)> {
        let mut from = at;
        loop {
            let found = frame::find(&self.bytes, from)?;
            let header = self.header(found);
            let commit = header.map(|header| header.a).filter(|commit| *commit > expected);
            if let Some(commit) = commit.filter(|commit| self.commit(found, *commit).is_some()) {
                return Some((found, commit));
            }
            from = found + 1;
        }
    }

    fn header(&self, at: usize) -> Option<Header> {
        let header = Header::decode(self.bytes.get(at..)?)?;
        // A segment used again may hold whole commits of its former life; mostly they have another
        // segment number, and always a smaller commit number.
        (header.kind == Kind::Commit && header.b == self.number).then_some(header)
    }

    fn slice(&self, from: usize, to: usize) -> Option<Bytes> {
        self.bytes.get(from..to)?;
        Some(self.bytes.slice(from..to))
    }

    fn warn_of_cut(&self, at: usize, expected: u64, replayed: &mut Replayed) {
        // One flipped bit leaves at least two of these as they were. What a former life of the
        // segment has left here is a whole header, or fits none.
        let field = |from: usize, to: usize| self.bytes.get(at + from..at + to);
        let fits = [
            field(0, 4) == Some(b"SBf1"),
            field(16, 24) == Some(&expected.to_le_bytes()),
            field(24, 32) == Some(&self.number.to_le_bytes()),
        ];
        let begun = match self.bytes.get(at..).and_then(Header::decode) {
            Some(header) => header.a == expected && header.b == self.number,
            None => fits.into_iter().filter(|fits| *fits).count() >= 2,
        };
        if begun {
            let note = format!(
                "{} at byte {at}: commit {expected} is incomplete and was dropped; it was the last \
                 one, so it was never acknowledged unless the disk has lost what it confirmed",
                self.path.display()
            );
            tracing::warn!("{note}");
            replayed.damage.push(note);
        }
    }
}

/// The first commit that the journal could hold; `None` where there is no journal.
pub(super) fn first_commit(folder: &Path) -> Result<Option<u64>, OpenError> {
    for (number, path) in journal::segments(folder).map_err(disk::at(folder))? {
        if let Some(first) = begins_with(number, &path).map_err(disk::at(&path))? {
            return Ok(Some(first));
        }
    }
    Ok(None)
}

/// The first commit of a segment, as its header says.
pub(super) fn begins_with(number: u64, path: &Path) -> std::io::Result<Option<u64>> {
    let header = Header::decode(&DiskFile::open(path)?.read_at(0, HEADER)?);
    let header = header.filter(|header| header.kind == Kind::Segment && header.a == number);
    Ok(header.map(|header| header.b))
}
