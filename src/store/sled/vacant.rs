//! The place where a new data folder will stand: whether a finished folder can be given that name.
//!
//! It refuses to know what the folder will hold. Invariant: what cannot be replaced by a rename in
//! the end is refused before anything is written.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use super::{disk, unpack::RestoreError};

/// Where Linux tells what is mounted, and where.
const MOUNTS: &str = "/proc/self/mountinfo";

/// A place that is free: not there, or an empty plain folder.
#[derive(Debug)]
pub(super) struct Vacant {
    parent: PathBuf,
    name: OsString,
}

impl Vacant {
    /// The place that `dir` names, its parent followed through symbolic links. A parent that is not
    /// there yet is taken as it is named.
    ///
    /// # Errors
    /// It is not free, or nothing can be renamed to it.
    pub(super) fn at(dir: &Path) -> Result<Self, RestoreError> {
        let Some(name) = dir.file_name() else {
            return Err(RestoreError::Nameless(dir.to_owned()));
        };
        let parent = match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let parent = match fs::canonicalize(parent) {
            Ok(parent) => parent,
            Err(error) if error.kind() == io::ErrorKind::NotFound => parent.to_owned(),
            Err(error) => return Err(disk::at(parent)(error).into()),
        };
        let vacant = Self { parent, name: name.to_owned() };
        vacant.check()?;
        Ok(vacant)
    }

    /// The folder in which it is.
    pub(super) fn parent(&self) -> &Path {
        &self.parent
    }

    /// The place itself.
    pub(super) fn path(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    /// The place beside it where the folder is built.
    pub(super) fn coming(&self) -> PathBuf {
        let mut coming = self.name.clone();
        coming.push(".restoring");
        self.parent.join(coming)
    }

    /// Gives the folder that was built its name. An empty one that has it is replaced.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn fill(&self) -> Result<(), RestoreError> {
        let path = self.path();
        match fs::rename(self.coming(), &path) {
            Ok(()) => Ok(()),
            // Not every system tells of its mounts beforehand.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                Err(RestoreError::Mounted(path))
            }
            Err(error) => Err(disk::at(&path)(error).into()),
        }
    }

    fn check(&self) -> Result<(), RestoreError> {
        let path = self.path();
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(disk::at(&path)(error).into()),
        };
        if found.is_symlink() {
            return Err(RestoreError::Link(path));
        }
        let above = fs::metadata(&self.parent).map_err(disk::at(&self.parent))?;
        let mounts = fs::read(MOUNTS).unwrap_or_default();
        if found.dev() != above.dev() || is_mounted(&mounts, &path) {
            return Err(RestoreError::Mounted(path));
        }
        let mut entries = fs::read_dir(&path).map_err(disk::at(&path))?;
        entries.next().map_or(Ok(()), |_| Err(RestoreError::NotEmpty(path)))
    }
}

/// Whether something is mounted at a path, by the fifth field of the lines of [`MOUNTS`].
fn is_mounted(mounts: &[u8], path: &Path) -> bool {
    let mut escaped = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b' ' => escaped.extend_from_slice(b"\\040"),
            b'\t' => escaped.extend_from_slice(b"\\011"),
            b'\n' => escaped.extend_from_slice(b"\\012"),
            b'\\' => escaped.extend_from_slice(b"\\134"),
            byte => escaped.push(*byte),
        }
    }
    let mut lines = mounts.split(|byte| *byte == b'\n');
    lines.any(|line| line.split(|byte| *byte == b' ').nth(4) == Some(&escaped))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_not_there_or_empty_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(root.join("real")).unwrap();
        symlink(root.join("real"), root.join("link")).unwrap();
        for name in ["new", "real", "real/", "real/new", "./real/../new"] {
            Vacant::at(&root.join(name)).unwrap();
        }
        // Beside the place itself, not beside the link on the way to it.
        let vacant = Vacant::at(&root.join("link/new")).unwrap();
        assert_eq!(vacant.path(), root.join("real/new"));
        assert_eq!(vacant.coming(), root.join("real/new.restoring"));
        assert_eq!(Vacant::at(&root.join("no/new")).unwrap().parent(), root.join("no"));
    }

    #[test]
    fn what_nothing_can_be_renamed_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("real")).unwrap();
        symlink(root.join("real"), root.join("link")).unwrap();
        symlink(root.join("nowhere"), root.join("dangling")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        let refused = |path: &Path| Vacant::at(path).unwrap_err();
        for path in [".", "..", "/", "real/.."] {
            assert!(matches!(refused(Path::new(path)), RestoreError::Nameless(_)), "{path}");
        }
        for name in ["link", "link/", "dangling"] {
            assert!(matches!(refused(&root.join(name)), RestoreError::Link(_)), "{name}");
        }
        assert!(matches!(refused(root), RestoreError::NotEmpty(_)));
        assert!(matches!(refused(&root.join("file")), RestoreError::Open(_)));
        assert!(matches!(refused(&root.join("file/new")), RestoreError::Open(_)));
    }

    #[test]
    fn mounts_are_found_by_the_whole_path() {
        let mounts =
            b"36 35 98:0 / /mnt/a\\040b rw - ext3 x rw\n37 35 98:0 /mnt/c /data rw - ext3 x rw\n";
        assert!(is_mounted(mounts, Path::new("/mnt/a b")));
        assert!(is_mounted(mounts, Path::new("/data")));
        for path in ["/mnt", "/mnt/c", "/data/x", "/"] {
            assert!(!is_mounted(mounts, Path::new(path)), "{path}");
        }
    }
}
