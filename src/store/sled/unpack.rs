//! A data folder out of a backup. What the server had at one commit comes back with its offsets,
//! its positions, its timestamps and its metadata.
//!
//! Invariant: until every byte of the backup was checked and is on the disk, there is no folder
//! that a server could start from: it is built beside the place where it will be, marked as
//! unfinished, and gets its name last.

use std::{
    fs::File,
    io::{Read, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;

use super::{
    Report, SledStore,
    disk::{self, DiskFile},
    folder::{self, FORMAT, Folder},
    frame::{self, HEADER, Header, Kind},
    recover::Mode,
    vacant::Vacant,
    verify,
};
use crate::{
    limits,
    store::{
        OpenError,
        backup::{BackupError, Manifest, Part, Unsealing},
    },
};

/// What the `FORMAT` file says of a folder that is not finished. No server starts from it.
const UNFINISHED: &str = "scrollback restore, not finished";

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// What the check of the new folder found.
    pub report: Report,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is something at the place already.
    #[error("{0} is there and not empty: name a folder that is not there yet")]
    NotEmpty(PathBuf),
    /// The path ends in `.` or `..`, or is the root.
    #[error("{0} has no name of its own to give the new folder: name one that is not there yet")]
    Nameless(PathBuf),
    /// A symbolic link: the folder it leads to cannot be replaced through it.
    #[error("{0} is a symbolic link: name the folder itself, or one that is not there yet")]
    Link(PathBuf),
    /// Something is mounted there.
    #[error(
        "{0} is a mount point, and a finished folder cannot take its place: name a folder inside it"
    )]
    Mounted(PathBuf),
    /// Something that is no restore's stands where the folder is built.
    #[error("{0} is in the way: the folder is built there; move it")]
    InTheWay(PathBuf),
    /// No whole backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The backup is whole and holds what no store has written.
    #[error("the backup does not fit together: {0}; use another")]
    Misfit(String),
    /// The backup could not be read.
    #[error("the backup cannot be read: {0}")]
    Read(std::io::Error),
    /// The folder could not be written, or not be opened afterwards.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Builds the data folder `dir` out of a backup and checks it as [`super::verify()`] does.
/// `progress` is called with the bytes done and the bytes in all, for the backup and then for the
/// check.
///
/// # Errors
/// [`RestoreError`]: nothing is at `dir` then that was not there before.
pub fn restore(
    backup: &mut dyn Read,
    dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Restored, RestoreError> {
    let vacant = Vacant::at(dir)?;
    let coming = cleared(vacant.coming())?;
    // From here on it is ours, and locked.
    let folder = Folder::open_as(&coming, UNFINISHED)?;
    let restored = build(backup, (&coming, folder), progress).and_then(|restored| {
        vacant.fill()?;
        Ok(restored)
    });
    match &restored {
        Ok(_) => {
            if let Err(error) = disk::sync_folder(vacant.parent()) {
                tracing::warn!(%error, "the new folder's name may not survive a power cut");
            }
        }
        // What cannot be removed says that it is not finished, or stands under another name.
        Err(_) => drop(std::fs::remove_dir_all(&coming)),
    }
    restored
}

/// Makes room for the folder that is built. What an interrupted restore has left goes.
fn cleared(coming: PathBuf) -> Result<PathBuf, RestoreError> {
    if coming.exists() {
        let said = std::fs::read(coming.join("FORMAT")).unwrap_or_default();
        if said.trim_ascii() != UNFINISHED.as_bytes() {
            return Err(RestoreError::InTheWay(coming));
        }
        // Refuses while another restore is at it.
        drop(folder::lock(&coming)?);
        std::fs::remove_dir_all(&coming).map_err(disk::at(&coming))?;
    }
    Ok(coming)
}

fn build(
    backup: &mut dyn Read,
    (coming, folder): (&Path, Folder),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Restored, RestoreError> {
    let manifest = unpack(backup, coming, progress)?;
    let store = SledStore::open_folder(folder, Arc::default(), Mode::Strict)?;
    let found = store.shared.commit.load(Ordering::SeqCst);
    if found != manifest.commit {
        let commit = manifest.commit;
        return Err(RestoreError::Misfit(format!("it ends at commit {found}, not at {commit}")));
    }
    store.compact();
    let report = verify::check(&store, progress)?;
    drop(store);
    finish(coming)?;
    Ok(Restored { manifest, report })
}

/// Writes what a backup holds into a folder, checked and synced.
fn unpack(
    backup: &mut dyn Read,
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, RestoreError> {
    let (mut unsealing, mut unpacking) = (Unsealing::default(), Unpacking::new(folder));
    let mut buffer = vec![0; limits::BACKUP_PART_BYTES];
    let mut done = 0;
    loop {
        let count = match backup.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(RestoreError::Read(error)),
        };
        unsealing.push(buffer.get(..count).unwrap_or_default());
        done += count as u64;
        while let Some(part) = unsealing.part()? {
            unpacking.part(part)?;
        }
        let total = unpacking.manifest.as_ref().map_or(done, |manifest| manifest.bytes);
        progress(done, total.max(done));
    }
    unsealing.finish()?;
    let manifest = unpacking.manifest.take();
    manifest.ok_or_else(|| RestoreError::Misfit("it says nothing of itself".to_owned()))
}

/// A file that is being written.
struct Growing {
    number: u64,
    file: DiskFile,
    len: u64,
}

impl Growing {
    fn create(folder: &Path, number: u64, extension: &str) -> Result<Self, RestoreError> {
        let path = disk::numbered_path(folder, number, extension);
        let file = DiskFile::create(&path).map_err(disk::at(&path))?;
        Ok(Self { number, file, len: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        let path = self.file.path();
        let headroom = limits::DISK_HEADROOM_BYTES + bytes.len() as u64;
        let written = disk::with_headroom(path, headroom, || self.file.write_at(bytes, self.len));
        written.map_err(disk::at(path))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn sync(&self) -> Result<(), OpenError> {
        self.file.sync().map_err(disk::at(self.file.path()))
    }
}

/// A data folder on its way out of a backup.
struct Unpacking {
    folder: PathBuf,
    manifest: Option<Manifest>,
    block_file: Option<Growing>,
    /// With the first commit in it, and the one that must come next.
    segment: Option<(Growing, u64, u64)>,
}

impl Unpacking {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), manifest: None, block_file: None, segment: None }
    }

    fn part(&mut self, part: Part) -> Result<(), RestoreError> {
        match part {
            Part::Begin(manifest) if manifest.format == FORMAT => {
                self.manifest = Some(manifest);
                Ok(())
            }
            Part::Begin(Manifest { format: found, .. }) => {
                Err(BackupError::Version { found, known: FORMAT.to_owned() }.into())
            }
            Part::Blocks { file, at, frames } => self.blocks(file, at, &frames),
            Part::Commits { segment, first, frames } => self.commits(segment, first, &frames),
            // The check that follows names the records.
            Part::Missing(_) => Ok(()),
            Part::End => self.end(),
        }
    }

    fn blocks(&mut self, number: u64, at: u64, frames: &Bytes) -> Result<(), RestoreError> {
        let last = self.block_file.as_ref().map_or(0, |file| file.number);
        if number > last {
            self.end_block_file()?;
            self.block_file = Some(Growing::create(&self.folder.join("blocks"), number, "blk")?);
        }
        match &mut self.block_file {
            Some(file) if file.number == number && file.len == at => Ok(file.write(frames)?),
            _ => Err(RestoreError::Misfit(format!("block file {number} has a gap at byte {at}"))),
        }
    }

    fn commits(&mut self, number: u64, first: u64, frames: &Bytes) -> Result<(), RestoreError> {
        let last = self.segment.as_ref().map_or(0, |(segment, ..)| segment.number);
        if number > last {
            self.end_segment()?;
            let mut segment = Growing::create(&self.folder.join("journal"), number, "log")?;
            // Its header comes last: it has the length.
            segment.len = HEADER as u64;
            self.segment = Some((segment, first, first));
        }
        let misfit = || RestoreError::Misfit(format!("commit {first} is not where it belongs"));
        let Some((segment, _, next)) = &mut self.segment else { return Err(misfit()) };
        if segment.number != number || *next != first {
            return Err(misfit());
        }
        let mut at = 0;
        while at < frames.len() {
            let header = frames.get(at..).and_then(Header::decode).ok_or_else(misfit)?;
            at += usize::try_from(header.frame_len()).unwrap_or(usize::MAX);
            *next += 1;
        }
        Ok(segment.write(frames)?)
    }

    fn end_block_file(&mut self) -> Result<(), OpenError> {
        self.block_file.take().map_or(Ok(()), |file| file.sync())
    }

    fn end_segment(&mut self) -> Result<(), OpenError> {
        let Some((segment, first, _)) = self.segment.take() else { return Ok(()) };
        let mut header = Vec::new();
        let at = frame::begin(&mut header);
        let len = u32::try_from(segment.len).unwrap_or(u32::MAX);
        frame::finish(&mut header, at, Kind::Segment, (segment.number, first, len));
        segment.file.write_at(&header, 0).map_err(disk::at(segment.file.path()))?;
        segment.sync()
    }

    fn end(&mut self) -> Result<(), RestoreError> {
        self.end_block_file()?;
        self.end_segment()?;
        for folder in [self.folder.join("blocks"), self.folder.join("journal")] {
            disk::sync_folder(&folder).map_err(disk::at(&folder))?;
        }
        Ok(())
    }
}

/// Gives a finished folder the format of one that a server may open.
fn finish(folder: &Path) -> Result<(), OpenError> {
    let (path, coming) = (folder.join("FORMAT"), folder.join("FORMAT.coming"));
    let written = File::create(&coming).and_then(|mut file| {
        file.write_all(format!("{FORMAT}\n").as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&coming, &path)?;
        disk::sync_folder(folder)
    });
    written.map_err(disk::at(&path))
}
