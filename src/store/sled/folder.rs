//! The data folder: what is in it, who may open it, which format it has.
//!
//! ```text
//! FORMAT           "scrollback 1"
//! LOCK             held by the process that has the folder open
//! reserve          room that the compactor may use when the disk is full
//! journal/         what is acknowledged and not in blocks yet
//! blocks/          everything else
//! index/           where things are in `blocks/` (sled); can be built anew
//! index.damaged/   the one before, once it was built anew
//! index.suspect    the index must be built anew on the next start
//! index.building   it is being built anew
//! ```

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::Write as _,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use super::disk::{self, DiskFile};
use crate::{limits, store::OpenError};

const BEING_BUILT: &str = "index.building";

/// The format this version reads and writes.
pub(super) const FORMAT: &str = "scrollback 1";

/// How large the files of a data folder become. Folders with files of other sizes open all the
/// same: a file says how long it is.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// A journal segment.
    pub segment_bytes: u64,
    /// A block file takes no new round beyond this.
    pub block_file_bytes: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            segment_bytes: limits::JOURNAL_SEGMENT_BYTES,
            block_file_bytes: limits::BLOCK_FILE_BYTES,
        }
    }
}

/// An open data folder. The lock goes with the process, or with the store's closing.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    pub(super) sizes: Sizes,
    /// Taken out when the store closes.
    lock: Mutex<Option<File>>,
}

/// Makes folders for their owner only: what people said is in them, and the server's keys.
fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
}

impl Folder {
    /// Locks a folder, making it if it is not there, and checks its format.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_as(path, FORMAT)
    }

    /// The same for a folder of another format than the one that is served.
    pub(super) fn open_as(path: &Path, format: &'static str) -> Result<Self, OpenError> {
        known_format(path, format)?;
        for folder in [path.to_owned(), path.join("journal"), path.join("blocks")] {
            private().create(&folder).map_err(disk::at(&folder))?;
        }
        let lock = lock(path)?;
        let folder =
            Self { path: path.to_owned(), sizes: Sizes::default(), lock: Mutex::new(Some(lock)) };
        folder.mark_format(format)?;
        disk::sync_folder(path).map_err(disk::at(path))?;
        Ok(folder)
    }

    /// Lets others open the folder.
    pub(super) fn unlock(&self) {
        self.lock.lock().take();
    }

    /// Marks a new folder with its format.
    fn mark_format(&self, format: &'static str) -> Result<(), OpenError> {
        if known_format(&self.path, format)? {
            return Ok(());
        }
        let path = self.path.join("FORMAT");
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(format!("{format}\n").as_bytes())?;
            file.sync_all()
        });
        written.map_err(disk::at(&path))
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    pub(super) fn blocks(&self) -> PathBuf {
        self.path.join("blocks")
    }

    pub(super) fn index(&self) -> PathBuf {
        self.path.join("index")
    }

    /// Where an index goes that could not be opened.
    pub(super) fn damaged_index(&self) -> PathBuf {
        self.path.join("index.damaged")
    }

    /// Notes that the index must be built anew.
    pub(super) fn suspect_index(&self) {
        if let Err(error) = File::create(self.path.join("index.suspect")) {
            tracing::warn!(%error, "cannot note that the index is suspect");
        }
    }

    /// Whether the index must be built anew.
    pub(super) fn is_index_suspect(&self) -> bool {
        self.path.join("index.suspect").exists()
    }

    /// Notes that the index is about to be built anew: a kill must not let half of one pass for
    /// all of it.
    pub(super) fn begin_index(&self) -> std::io::Result<()> {
        File::create(self.path.join(BEING_BUILT))?.sync_all()?;
        disk::sync_folder(&self.path)
    }

    /// Whether an index is being built anew, now or when the last opening was killed.
    pub(super) fn is_index_being_built(&self) -> bool {
        self.path.join(BEING_BUILT).exists()
    }

    /// The index is whole: built anew, or never in doubt.
    pub(super) fn trust_index(&self) -> std::io::Result<()> {
        for name in ["index.suspect", BEING_BUILT] {
            match std::fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Sets room aside for the compactor, where there is enough.
    pub(super) fn reserve(&self) -> std::io::Result<()> {
        let path = self.path.join("reserve");
        if path.exists() {
            return Ok(());
        }
        // Not out of what is kept free for the index.
        let headroom = limits::RESERVE_BYTES + limits::DISK_HEADROOM_BYTES;
        disk::with_headroom(&self.path, headroom, || {
            let file = DiskFile::create(&path)?;
            let allocated = file.allocate(limits::RESERVE_BYTES);
            if allocated.is_err() {
                std::fs::remove_file(&path)?;
            }
            allocated
        })
    }

    /// Gives up the room that was set aside; whether there was any.
    pub(super) fn spend_reserve(&self) -> bool {
        std::fs::remove_file(self.path.join("reserve")).is_ok()
    }
}

/// Whether a folder says that it has this format; an error where it says another one.
fn known_format(folder: &Path, format: &'static str) -> Result<bool, OpenError> {
    let path = folder.join("FORMAT");
    match std::fs::read(&path) {
        Ok(found) if found.trim_ascii() == format.as_bytes() => Ok(true),
        // An empty file is what a power cut leaves of one that was never synced.
        Ok(found) if found.is_empty() => Ok(false),
        Ok(found) => Err(OpenError::Format {
            path: folder.to_owned(),
            found: String::from_utf8_lossy(&found).trim().chars().take(80).collect(),
            known: format,
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(disk::at(&path)(error)),
    }
}

/// The lock of a folder, which goes when it is dropped.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let lock_path = path.join("LOCK");
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let file = options.open(&lock_path).map_err(disk::at(&lock_path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(disk::at(&lock_path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_open_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Folder::open(folder.path()).unwrap();
        assert!(matches!(Folder::open(folder.path()), Err(OpenError::InUse(_))));
        drop(first);
        Folder::open(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_of_another_format_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("FORMAT"), "scrollback 99\n").unwrap();
        let refused = Folder::open(folder.path());
        assert!(
            matches!(refused, Err(OpenError::Format { ref found, .. }) if found == "scrollback 99")
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made in it");
    }
}
