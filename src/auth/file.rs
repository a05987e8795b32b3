//! Files that say who may do what: read with a look at who else can write them, and replaced whole.
//!
//! It refuses to know what is in them but for the list of tokens. Invariants: a reader sees the
//! list before a change or after it, never between; two who change it at once both do, one after
//! the other; a change that was confirmed is on the disk.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::{Registry, RegistryError, TokenError};
use crate::limits;

/// What a file holds.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) bytes: Vec<u8>,
    /// Others than its owner can read it.
    pub(super) is_shown: bool,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refuses.
    #[error("{}: {reason}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why. It is in the message, and so no cause that is told once more.
        reason: io::Error,
    },
    /// It was there, and what it said is in force.
    #[error(
        "{}: it is gone, and what was in it stays in force; put it back before you change anything, \
         or restart the server to begin without tokens",
        .0.display()
    )]
    Gone(PathBuf),
    /// There is none to change.
    #[error(
        "{}: there is no such file of tokens; name the right folder with --data-dir, or the file with \
         --tokens",
        .0.display()
    )]
    Missing(PathBuf),
    /// There is no folder to put it into.
    #[error(
        "{}: there is no such folder; name the folder of the log with --data-dir, or the file of \
         tokens with --tokens",
        .0.display()
    )]
    NoFolder(PathBuf),
    /// Who can write it can let themselves in.
    #[error(
        "{}: others than its owner can write it (mode {mode:03o}), and so let themselves in; run \
         `chmod go-w` on it and look at what it says",
        .path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Much larger than such a file is.
    #[error("{}: it has more than {most} bytes; is it the right file?", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is read at most.
        most: u64,
    },
    /// Not a list of tokens.
    #[error("{}: {reason}", .path.display())]
    Registry {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: RegistryError,
    },
}

/// Why the list of tokens was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The change is not allowed.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// It was changed, and a server that runs with it goes on as before.
    #[error(
        "it is in the file, and not in force: the file cannot be read again ({0}). What was in \
         force before still is; the server tries again twice a second. Put the file right, or \
         restart the server, and list the tokens"
    )]
    NotInForce(String),
}

/// The file with the list of tokens.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The file at `path`, whether it is there or not.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        // What a link points to is replaced, not the link.
        Self { path: path.canonicalize().unwrap_or(path) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The list in it; `None` where there is no file.
    ///
    /// # Errors
    /// It cannot be read, or is no list.
    pub fn registry(&self) -> Result<Option<Registry>, FileError> {
        self.contents()?.map(|contents| self.parsed(&contents)).transpose()
    }

    pub(super) fn contents(&self) -> Result<Option<Contents>, FileError> {
        contents(&self.path, limits::TOKENS_BYTES_MAX)
    }

    pub(super) fn parsed(&self, contents: &Contents) -> Result<Registry, FileError> {
        let refused = |reason| FileError::Registry { path: self.path.clone(), reason };
        Registry::parse(&contents.bytes).map_err(refused)
    }

    /// Changes the list, or the empty one where there is none yet, and waits for the disk. Others
    /// who want to change it wait meanwhile, in this process and in others.
    ///
    /// # Errors
    /// The change is refused, or the file cannot be used. Then it is as it was.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut Registry) -> Result<T, TokenError>,
    ) -> Result<T, ChangeError> {
        if let Some(folder) = self.folder() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(at(folder))?;
        }
        self.change_or_begin(|| Ok(Registry::default()), change)
    }

    /// The same, in a folder that is there: one that was mistyped is not made.
    ///
    /// # Errors
    /// As of [`TokenFile::change`], and [`FileError::NoFolder`].
    pub fn change_in_folder<T>(
        &self,
        change: impl FnOnce(&mut Registry) -> Result<T, TokenError>,
    ) -> Result<T, ChangeError> {
        match self.folder().filter(|folder| !folder.is_dir()) {
            Some(folder) => Err(FileError::NoFolder(folder.to_owned()).into()),
            None => self.change_or_begin(|| Ok(Registry::default()), change),
        }
    }

    /// The same, of a list that is there: nothing is made.
    ///
    /// # Errors
    /// As of [`TokenFile::change`], and [`FileError::Missing`].
    pub fn change_known<T>(
        &self,
        change: impl FnOnce(&mut Registry) -> Result<T, TokenError>,
    ) -> Result<T, ChangeError> {
        let missing = || FileError::Missing(self.path.clone());
        // Not even the file of the lock, which would stay.
        self.registry()?.ok_or_else(missing)?;
        self.change_or_begin(|| Err(missing()), change)
    }

    /// Changes the list, or where there is none the one to `begin` with.
    pub(super) fn change_or_begin<T>(
        &self,
        begin: impl FnOnce() -> Result<Registry, FileError>,
        change: impl FnOnce(&mut Registry) -> Result<T, TokenError>,
    ) -> Result<T, ChangeError> {
        let lock = self.lock()?;
        let mut registry = self.registry()?.map_or_else(begin, Ok)?;
        let done = change(&mut registry)?;
        let text = registry.text().map_err(io::Error::other);
        text.and_then(|text| self.replace(&text)).map_err(at(&self.path))?;
        drop(lock);
        Ok(done)
    }

    /// Goes with the handle, and so with the process at the latest.
    fn lock(&self) -> Result<File, FileError> {
        let path = self.beside(".lock");
        let file = private().truncate(false).open(&path).map_err(at(&path))?;
        file.lock().map_err(at(&path))?;
        Ok(file)
    }

    /// Only for whoever has the lock.
    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let coming = self.beside(".new");
        let mut file = private().truncate(true).open(&coming)?;
        // What was left behind by somebody else may have another mode.
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&coming, &self.path)?;
        File::open(self.folder().unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Where it is in; none where that is the working folder.
    fn folder(&self) -> Option<&Path> {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty())
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    }
}

/// A file for its owner only, made where it is not there.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// What a file holds; `None` where it is not there.
pub(super) fn contents(path: &Path, most: u64) -> Result<Option<Contents>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    let mode = file.metadata().map_err(at(path))?.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        return Err(FileError::Open { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(at(path))?;
    if bytes.len() as u64 > most {
        return Err(FileError::TooLarge { path: path.to_owned(), most });
    }
    Ok(Some(Contents { bytes, is_shown: mode & 0o044 != 0 }))
}

fn at(path: &Path) -> impl Fn(io::Error) -> FileError {
    move |reason| FileError::Io { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::auth::{Access, NewToken, Scopes};

    fn new() -> NewToken {
        let scopes = Scopes::new(vec!["read:a".parse().unwrap()]);
        NewToken { scopes, ..NewToken::default() }
    }

    fn made(file: &TokenFile) -> Result<(), ChangeError> {
        file.change(|registry| registry.create(new(), &Access::Everyone, 0)).map(drop)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn changes_by_many_at_once_are_all_in_the_file_which_only_its_owner_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("data/tokens.json"));
        assert!(file.registry().unwrap().is_none());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5).for_each(|_| made(&file).unwrap()));
            }
        });
        assert_eq!(file.registry().unwrap().unwrap().tokens().len(), 20);
        assert_eq!(mode(file.path()), 0o600);
        assert_eq!(mode(file.path().parent().unwrap()), 0o700);
    }

    #[test]
    fn a_change_of_what_is_there_makes_nothing_where_nothing_is() {
        let dir = tempfile::tempdir().unwrap();
        let mistyped = dir.path().join("dtaa");
        let file = TokenFile::at(mistyped.join("tokens.json"));
        let known = file.change_known(|registry| registry.approve("tok_x", &Access::Everyone, 0));
        assert!(matches!(known, Err(ChangeError::File(FileError::Missing(_)))));
        let revoked = |file: &TokenFile| {
            file.change_in_folder(|registry| registry.revoke_jwt("a".parse().unwrap(), None, 0))
        };
        assert!(matches!(revoked(&file), Err(ChangeError::File(FileError::NoFolder(_)))));
        assert!(!mistyped.exists());
        let file = TokenFile::at(dir.path().join("tokens.json"));
        assert!(file.change_known(|_| Ok(())).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        revoked(&file).unwrap();
        file.change_known(|_| Ok(())).unwrap();
    }

    #[test]
    fn a_change_that_is_refused_leaves_the_file_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.json"));
        made(&file).unwrap();
        let before = fs::read(file.path()).unwrap();
        let refused = file.change(|registry| {
            registry.create(new(), &Access::Everyone, 0)?;
            registry.revoke("tok_x", &Access::Everyone)
        });
        assert!(matches!(refused, Err(ChangeError::Token(TokenError::Unknown(_)))));
        assert_eq!(fs::read(file.path()).unwrap(), before);
    }

    #[test]
    fn a_file_that_cannot_be_trusted_is_an_error_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.json"));
        fs::write(file.path(), "{\"version\":1,").unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        let error = format!("{:#}", anyhow::Error::from(made(&file).unwrap_err()));
        assert!(error.contains("tokens.json: it is no list of tokens"), "{error}");
        assert_eq!(error.matches("EOF while").count(), 1, "{error}");
        assert_eq!(fs::read(file.path()).unwrap(), b"{\"version\":1,");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o620)).unwrap();
        let error = file.registry().unwrap_err().to_string();
        assert!(error.contains("mode 620") && error.contains("chmod"), "{error}");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(file.contents().unwrap().unwrap().is_shown);
        let error = contents(file.path(), 3).unwrap_err().to_string();
        assert!(error.contains("more than 3 bytes"), "{error}");
        let folder = TokenFile::at(dir.path()).registry().unwrap_err();
        assert!(matches!(folder, FileError::Io { .. }));
    }

    #[test]
    fn what_a_link_points_to_is_replaced_and_not_the_link() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.json"), dir.path().join("tokens.json"));
        made(&TokenFile::at(&real)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        made(&TokenFile::at(&link)).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(TokenFile::at(&real).registry().unwrap().unwrap().tokens().len(), 2);
    }
}
