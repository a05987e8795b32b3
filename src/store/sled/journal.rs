//! The journal: where a write becomes durable. Numbered segments of fixed size, each a sequence
//! of commit frames with consecutive numbers.
//!
//! Invariant: a commit is on the disk before [`Journal::commit`] returns. Segments are set aside
//! whole and used again, so an ordinary commit overwrites: it changes no file's length and
//! costs one data sync.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    disk::{self, DiskFile},
    frame::{self, HEADER, Kind},
};
use crate::limits;

const EXTENSION: &str = "log";
const SPARE: &str = "spare";

/// The journal of an open store. Owned by the writer.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    segment: u64,
    /// `None` where the disk was full on opening: the first commit begins a segment then.
    file: Option<DiskFile>,
    /// The length of a new segment, and of the current one.
    new_len: u64,
    len: u64,
    at: u64,
    next_commit: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Begins a new segment after the ones that are there; nothing is written behind what was
    /// replayed. A full disk is no reason not to open: there may be much to read, or to delete.
    pub(super) fn begin(
        folder: &Path,
        new_len: u64,
        segment: u64,
        next_commit: u64,
    ) -> io::Result<Self> {
        let (segment, file, len, at) = match new_segment(folder, new_len, segment, next_commit) {
            Ok((file, len)) => (segment, Some(file), len, HEADER as u64),
            Err(error) if disk::is_full(&error) => (segment - 1, None, 0, 0),
            Err(error) => return Err(error),
        };
        Ok(Self {
            folder: folder.to_owned(),
            segment,
            file,
            new_len,
            len,
            at,
            next_commit,
            buffer: Vec::new(),
        })
    }

    /// The number of the segment that takes the next commit.
    pub(super) fn segment(&self) -> u64 {
        self.segment
    }

    /// The number of the next commit.
    pub(super) fn next_commit(&self) -> u64 {
        self.next_commit
    }

    /// Bytes written to the current segment.
    pub(super) fn used(&self) -> u64 {
        self.at
    }

    /// Whether the current segment has room for a body of `bytes`.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.at + (HEADER + bytes) as u64 <= self.len
    }

    /// Goes on in a new segment.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        let next = self.segment + 1;
        let (file, len) = new_segment(&self.folder, self.new_len, next, self.next_commit)?;
        (self.file, self.len) = (Some(file), len);
        self.segment = next;
        self.at = HEADER as u64;
        Ok(())
    }

    /// Writes a commit of `writes` writes and syncs it. `fill` adds the body.
    ///
    /// # Errors
    /// [`CommitError`]. After a failed write the same place is written again; after a failed
    /// sync nothing may be, because the kernel may have dropped what it could not write.
    pub(super) fn commit(
        &mut self,
        writes: u32,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), CommitError> {
        self.buffer.clear();
        let at = frame::begin(&mut self.buffer);
        fill(&mut self.buffer);
        let numbers = (self.next_commit, self.segment, writes);
        frame::finish(&mut self.buffer, at, Kind::Commit, numbers);
        let full = || CommitError::Write(io::ErrorKind::StorageFull.into());
        let file = self.file.as_ref().ok_or_else(full)?;
        file.write_at(&self.buffer, self.at).map_err(CommitError::Write)?;
        file.sync().map_err(CommitError::Sync)?;
        self.at += self.buffer.len() as u64;
        self.next_commit += 1;
        Ok(())
    }
}

/// Why a commit is not durable.
#[derive(Debug)]
pub(super) enum CommitError {
    /// It was not written; nothing of it counts.
    Write(io::Error),
    /// It was written, and the sync failed.
    Sync(io::Error),
}

/// A segment that begins with `first_commit`, and its length: a spare one if there is one, else
/// a new file.
fn new_segment(
    folder: &Path,
    new_len: u64,
    segment: u64,
    first_commit: u64,
) -> io::Result<(DiskFile, u64)> {
    let path = disk::numbered_path(folder, segment, EXTENSION);
    let spare = disk::numbered(folder, SPARE)?.first().copied();
    let file = match spare {
        Some(number) => {
            let spare = disk::numbered_path(folder, number, SPARE);
            // IMPORTANT: after a power cut it may still have its old name, and must then be what
            // the name says. Who renamed it may not have synced the folder yet.
            disk::sync_folder(folder)?;
            let file = DiskFile::open(&spare)?;
            let len = file.len()?;
            write_header(&file, len, segment, first_commit)?;
            std::fs::rename(&spare, &path)?;
            (file, len)
        }
        None => {
            let coming = folder.join("coming");
            let headroom = new_len + limits::DISK_HEADROOM_BYTES;
            let file = disk::with_headroom(folder, headroom, || {
                let file = DiskFile::create(&coming)?;
                if let Err(error) = file.allocate(new_len) {
                    // What was set aside before the disk was full must not stay.
                    std::fs::remove_file(&coming)?;
                    return Err(error);
                }
                Ok(file)
            })?;
            write_header(&file, new_len, segment, first_commit)?;
            std::fs::rename(&coming, &path)?;
            (file, new_len)
        }
    };
    disk::sync_folder(folder)?;
    Ok(file)
}

fn write_header(file: &DiskFile, len: u64, segment: u64, first_commit: u64) -> io::Result<()> {
    let mut header = Vec::new();
    let at = frame::begin(&mut header);
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    frame::finish(&mut header, at, Kind::Segment, (segment, first_commit, len));
    file.write_at(&header, 0)?;
    file.sync()
}

/// Lets segments up to `last` go, keeping a few for reuse.
pub(super) fn release(folder: &Path, last: u64) -> io::Result<()> {
    let mut spares = disk::numbered(folder, SPARE)?.len();
    for number in disk::numbered(folder, EXTENSION)?.into_iter().filter(|number| *number <= last) {
        let path = disk::numbered_path(folder, number, EXTENSION);
        if spares < limits::SPARE_SEGMENTS_MAX {
            std::fs::rename(&path, disk::numbered_path(folder, number, SPARE))?;
            spares += 1;
        } else {
            std::fs::remove_file(&path)?;
        }
    }
    disk::sync_folder(folder)
}

/// The segments that are there, in order, with their paths.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let numbers = disk::numbered(folder, EXTENSION)?;
    Ok(numbers
        .into_iter()
        .map(|number| (number, disk::numbered_path(folder, number, EXTENSION)))
        .collect())
}
