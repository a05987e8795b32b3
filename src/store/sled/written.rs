//! A backup of a store that has no files: its state as the writes that lead to it, one commit
//! each, in one segment of a journal.

use std::vec;

use super::{
    commit::{self, Committed},
    folder::FORMAT,
    frame::{self, Kind},
};
use crate::{
    limits,
    store::{
        Position, Write,
        backup::{Backup, Manifest, Piece, Pieces},
    },
};

/// The one segment there is.
const SEGMENT: u64 = 1;

/// A write with the position of its first record, and the states that are saved with its stream.
pub(in crate::store) type Placed = (Position, Write, Vec<(String, bytes::Bytes)>);

/// A backup that ends in the state after these writes.
pub(in crate::store) fn backup(now_ms: u64, writes: Vec<Placed>) -> Backup {
    let mut commits = Vec::new();
    for (first, write, saved) in writes {
        let stream = write.stream;
        commits.push((first, Committed::from(write)));
        let saved = saved.into_iter();
        commits.extend(
            saved.map(|(name, state)| (first, Committed::checkpoint(stream, &name, state))),
        );
    }
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        created_ms: now_ms,
        commit: commits.len() as u64,
        bytes: commits.iter().map(|(_, write)| write.bytes() as u64).sum(),
    };
    Backup::new(manifest, Writes { next: 1, commits: commits.into_iter() })
}

#[derive(Debug)]
struct Writes {
    next: u64,
    commits: vec::IntoIter<(Position, Committed)>,
}

impl Pieces for Writes {
    fn next(&mut self) -> Result<Option<Piece>, String> {
        let (first, mut frames) = (self.next, Vec::new());
        while frames.len() < limits::BACKUP_PART_BYTES {
            let Some((position, write)) = self.commits.next() else { break };
            let at = frame::begin(&mut frames);
            frames.extend_from_slice(&position.0.to_le_bytes());
            commit::encode(&write.head(), &write.records, &mut frames);
            frame::finish(&mut frames, at, Kind::Commit, (self.next, SEGMENT, 1));
            self.next += 1;
        }
        Ok((!frames.is_empty()).then_some(Piece::Commits { segment: SEGMENT, first, frames }))
    }
}
