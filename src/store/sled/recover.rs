//! Opening a data folder: heal the index, catch it up with the block files, read the journal
//! back. What comes out is the state at the last acknowledged write.

use std::{collections::VecDeque, path::Path, sync::Arc};

use super::{
    apply::{self, Framed, Round},
    block::{self, RoundEnd, StoredCheckpoint, StoredHead},
    disk,
    files::{BlockFiles, Scan, Scanned},
    folder::Folder,
    frame::Kind,
    generation::Generation,
    index::{Index, IndexError},
    key::BlockEntry,
    replay, restore,
    table::Table,
    tails,
};
use crate::store::{Offset, OpenError, Position, StreamNo};

/// A folder as it was found, made whole.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) files: BlockFiles,
    pub(super) table: Table,
    pub(super) generations: VecDeque<Arc<Generation>>,
    pub(super) next_commit: u64,
    pub(super) next_segment: u64,
    pub(super) position: Position,
    pub(super) last_stream: u64,
    pub(super) memory_bytes: usize,
    /// What is damaged, in words.
    pub(super) damage: Vec<String>,
}

/// How to meet damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Refuse to step over what was acknowledged.
    Strict,
    /// Build the index anew, step over what cannot be read, and say so.
    Salvage,
}

/// Recovers what a folder holds.
pub(super) fn recover(folder: &Folder, mode: Mode) -> Result<Recovered, OpenError> {
    let blocks = folder.blocks();
    let files = BlockFiles::open(&blocks).map_err(disk::at(&blocks))?;
    let index = open_index(folder, mode)?;
    let mut damage = Vec::new();
    let caught_up = catch_up(folder, &index, &files, &mut damage);
    let index = match caught_up {
        Ok(()) => index,
        // An index that opens may still be damaged further in.
        Err(CatchUpError::Index(error)) if mode == Mode::Strict => {
            tracing::warn!(%error, "the index is damaged and is built anew");
            let index = anew(folder, index)?;
            damage.clear();
            catch_up(folder, &index, &files, &mut damage).map_err(CatchUpError::into_open)?;
            index
        }
        Err(error) => return Err(error.into_open()),
    };
    if folder.is_index_being_built() {
        let kept = tails::keep(folder, &index).and_then(|()| index.flush(&folder.index()));
        kept.map_err(|error| OpenError::Index(error.to_string()))?;
    }
    folder.trust_index().map_err(disk::at(&folder.index()))?;
    restore::restore(index, files, damage, folder, mode)
}

enum CatchUpError {
    Index(IndexError),
    Io(OpenError),
}

impl CatchUpError {
    fn into_open(self) -> OpenError {
        match self {
            Self::Index(error) => OpenError::Index(error.to_string()),
            Self::Io(error) => error,
        }
    }
}

impl From<IndexError> for CatchUpError {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

/// Opens the index; heals what is known to heal, else puts it aside for a new one.
fn open_index(folder: &Folder, mode: Mode) -> Result<Index, OpenError> {
    let path = folder.index();
    let half_built = folder.is_index_being_built();
    if mode == Mode::Salvage || folder.is_index_suspect() || half_built {
        set_aside(folder)?;
    }
    remove_snapshots(&path, true).map_err(disk::at(&path))?;
    let error = match Index::open(&path) {
        Ok(index) => return Ok(index),
        Err(error) => error,
    };
    tracing::warn!(%error, "the index did not open; trying without its snapshots");
    remove_snapshots(&path, false).map_err(disk::at(&path))?;
    let error = match Index::open(&path) {
        Ok(index) => return Ok(index),
        Err(error) => error,
    };
    tracing::warn!(%error, "the index is damaged and is built anew");
    set_aside(folder)?;
    Index::open(&path).map_err(|error| OpenError::Index(error.to_string()))
}

fn anew(folder: &Folder, index: Index) -> Result<Index, OpenError> {
    // It is thrown away; how it closes does not matter.
    let _ = index.close();
    set_aside(folder)?;
    Index::open(&folder.index()).map_err(|error| OpenError::Index(error.to_string()))
}

/// Puts the index aside for a new one, which takes over from it where streams ended.
fn set_aside(folder: &Folder) -> Result<(), OpenError> {
    let (path, aside) = (folder.index(), folder.damaged_index());
    if folder.is_index_being_built() && aside.exists() {
        // IMPORTANT: an earlier opening was killed while it built the index. What it left knows
        // less than the one it had put aside.
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(disk::at(&path))?;
        }
        return Ok(());
    }
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(disk::at(&aside))?;
    }
    folder.begin_index().map_err(disk::at(&path))?;
    if path.exists() {
        std::fs::rename(&path, &aside).map_err(disk::at(&path))?;
    }
    Ok(())
}

/// A kill while sled writes a snapshot leaves a half-written one, and it will not open with it.
/// Its log is whole without them.
fn remove_snapshots(folder: &Path, half_written_only: bool) -> std::io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let half_written = name.ends_with(".generating");
        if name.starts_with("snap.") && (half_written || !half_written_only) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Brings rounds into the index that it does not know: those written after its last sync, or all
/// of them where it is new.
fn catch_up(
    folder: &Folder,
    index: &Index,
    files: &BlockFiles,
    damage: &mut Vec<String>,
) -> Result<(), CatchUpError> {
    let covered = first_journal_commit(folder).map_err(CatchUpError::Io)?;
    for number in files.numbers() {
        let Some(file) = files.get(number) else { continue };
        let io = |error| CatchUpError::Io(disk::at(file.path())(error));
        let mark = index.file_mark(number)?;
        let mut scan = Scan::new(number, &file, mark.indexed).map_err(io)?;
        let mut round = Round { file: number, end: mark.indexed, ..Round::default() };
        let (mut begun, mut known_damage) = (round.end, 0);
        while let Some(scanned) = scan.next().map_err(io)? {
            let end = scanned.place.at + u64::from(scanned.place.len);
            if scanned.body.is_some() && scanned.header.kind == Kind::Round {
                end_round(&mut round, &scanned, end);
                let torn = scan.damage.len() > known_damage;
                let commit = index.number("commit")?;
                // What reclaiming copied is gone from its old place only once the index knows.
                let unknown = round.commit > commit || !folder.is_index_being_built();
                if torn && unknown && is_covered(covered, commit) {
                    // A power cut came before the round's sync and kept its end but not all of
                    // it: it never counted either.
                    round = Round { file: number, end: begun, ..Round::default() };
                    break;
                }
                (begun, known_damage) = (end, scan.damage.len());
                // A kill may have come before the round's own sync.
                file.sync().map_err(io)?;
                apply::apply(index, &round)?;
                round = Round { file: number, end, ..Round::default() };
            } else if let Some(frame) = framed(scanned) {
                round.frames.push(frame);
            }
        }
        let stretches = std::mem::take(&mut scan.damage);
        // A round without its end never counted, as long as the journal still has all of it.
        if is_covered(covered, index.number("commit")?) {
            let cut = stretches.iter().filter(|(at, _)| *at < round.end);
            damage.extend(cut.map(|stretch| describe(number, *stretch)));
            file.set_len(round.end.max(mark.indexed).min(file.len().map_err(io)?)).map_err(io)?;
        } else if !round.frames.is_empty() || !stretches.is_empty() {
            damage.extend(stretches.iter().map(|stretch| describe(number, *stretch)));
            round.end = file.len().map_err(io)?;
            apply::apply(index, &round)?;
        }
        if file.len().map_err(io)? < mark.indexed {
            damage
                .push(format!("block file {number} was cut short; it had {} bytes", mark.indexed));
        }
    }
    Ok(())
}

/// Whether the journal holds everything after a commit.
fn is_covered(first: Option<u64>, commit: u64) -> bool {
    first.is_some_and(|first| first <= commit + 1)
}

fn describe(number: u32, (from, to): (u64, u64)) -> String {
    format!("block file {number}: bytes {from} to {to} are damaged")
}

/// The first commit that the journal holds.
fn first_journal_commit(folder: &Folder) -> Result<Option<u64>, OpenError> {
    replay::first_commit(&folder.journal())
}

fn end_round(round: &mut Round, scanned: &Scanned, end: u64) {
    let last_stream = scanned.body.as_ref().and_then(|body| block::decode::<RoundEnd>(body));
    round.end = end;
    round.commit = scanned.header.a;
    round.position = scanned.header.b;
    round.last_stream = last_stream.map_or(0, |end| end.last_stream);
}

/// What the index needs to know of a frame.
pub(super) fn framed(scanned: Scanned) -> Option<Framed> {
    let Scanned { place, header, body } = scanned;
    let body = body?;
    let stream = StreamNo(header.a);
    match header.kind {
        Kind::Records => {
            let first = Offset(header.b);
            let records = block::decode_records(&body, first)?;
            let last_timestamp_ms = records.last()?.timestamp_ms;
            let entry = BlockEntry { first, count: header.count, last_timestamp_ms, place };
            Some(Framed::Records { stream, entry })
        }
        Kind::Head => {
            Some(Framed::Head { stream, head: block::decode::<StoredHead>(&body)?, place })
        }
        Kind::Order => {
            let (first, last) = (Position(header.a), Position(header.b));
            Some(Framed::Order { first, last, place })
        }
        Kind::Checkpoint => {
            let saved: StoredCheckpoint = block::decode(&body)?;
            Some(Framed::Checkpoint { stream, name: saved.name, place })
        }
        Kind::Segment | Kind::Commit | Kind::Round => None,
    }
}
