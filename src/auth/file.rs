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
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
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
    #[error("{}: {source}", .path.display())]
    Registry {
        /// The file.
        path: PathBuf,
        /// Why.
        source: RegistryError,
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
        let refused = |source| FileError::Registry { path: self.path.clone(), source };
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
        let lock = self.lock()?;
        let mut registry = self.registry()?.unwrap_or_default();
        let done = change(&mut registry)?;
        let text = registry.text().map_err(io::Error::other);
        text.and_then(|text| self.replace(&text)).map_err(at(&self.path))?;
        drop(lock);
        Ok(done)
    }

    /// Goes with the handle, and so with the process at the latest.
    fn lock(&self) -> Result<File, FileError> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(at(folder))?;
        }
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
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
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
    move |source| FileError::Io { path: path.to_owned(), source }
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
    fn a_change_that_is_refused_leaves_the_file_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.json"));
        made(&file).unwrap();
        let before = fs::read(file.path()).unwrap();
        let refused = file.change(|registry| {
            registry.create(new(), &Access::Everyone, 0)?;
            registry.revoke("tok_x")
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
        let error = made(&file).unwrap_err().to_string();
        assert!(error.contains("tokens.json: it is no list of tokens"), "{error}");
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
