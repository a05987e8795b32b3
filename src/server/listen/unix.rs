//! The Unix socket: made so that nobody else gets through it at any moment, taken over from a
//! server that died, and removed at the end. Invariant: a socket that somebody listens on, and a
//! file that is no socket, are left alone.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixStream as StdUnixStream,
    },
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

/// The number that stands for no user: `(uid_t)-1`.
const NO_USER: u32 = u32::MAX;

/// A socket in the file system.
#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// The file that was made; another one in its place is not ours to remove.
    inode: (u64, u64),
}

/// Why a Unix socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum UnixSocketError {
    /// Another server is there.
    #[error("another server listens on {0}; stop it, or give another --unix-socket")]
    InUse(PathBuf),
    /// Something else is there.
    #[error("{0} is there and is no socket; give --unix-socket a path where nothing is")]
    NoSocket(PathBuf),
    /// The system refuses.
    #[error("the socket {0} cannot be made: {1}; its folder has to be there and writable")]
    Refused(PathBuf, io::Error),
}

impl UnixSocket {
    /// Listens at `path`, for those whom `mode` lets through.
    pub(super) fn bind(path: &Path, mode: u32) -> Result<Self, UnixSocketError> {
        let refused = |error| UnixSocketError::Refused(path.to_owned(), error);
        vacant(path)?;
        // Made beside its place and put there once only those may connect who should.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        // One that is left of a server with the same number is of no use to anybody.
        drop(fs::remove_file(&beside));
        let listener = UnixListener::bind(&beside).map_err(refused)?;
        let placed = fs::set_permissions(&beside, Permissions::from_mode(mode))
            .and_then(|()| fs::rename(&beside, path))
            .and_then(|()| fs::symlink_metadata(path));
        let found = placed.map_err(|error| {
            drop(fs::remove_file(&beside));
            refused(error)
        })?;
        Ok(Self { listener, path: path.to_owned(), inode: (found.dev(), found.ino()) })
    }

    /// The next connection, and the number of the user whose program opened it.
    pub(super) async fn accept(&self) -> io::Result<(UnixStream, u32)> {
        let stream = self.listener.accept().await?.0;
        // The system always says it; if not, all of them are one user.
        let user = stream.peer_cred().map_or(NO_USER, |found| found.uid());
        Ok((stream, user))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.inode)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "the Unix socket was not removed");
        }
    }
}

/// Whether a socket can be put at `path`: nothing is there, or what a dead server left.
fn vacant(path: &Path) -> Result<(), UnixSocketError> {
    let refused = |error| UnixSocketError::Refused(path.to_owned(), error);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(UnixSocketError::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match StdUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(refused(error)),
        Ok(_) => Err(UnixSocketError::InUse(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_taken_over_from_the_dead_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
        let socket = UnixSocket::bind(&path, 0o600).unwrap();
        assert_eq!(mode(&path), 0o600);
        let error = UnixSocket::bind(&path, 0o600).unwrap_err();
        assert!(matches!(error, UnixSocketError::InUse(_)), "{error}");
        drop(socket);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // A listener of the standard library leaves its file behind, as a server that is killed.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = UnixSocket::bind(&path, 0o660).unwrap();
        assert_eq!(mode(&path), 0o660);
        let (ours, theirs) = tokio::join!(socket.accept(), UnixStream::connect(&path));
        let own = fs::metadata("/proc/self").unwrap().uid();
        assert_eq!((ours.unwrap().1, theirs.is_ok()), (own, true));
    }

    #[tokio::test]
    async fn what_is_not_its_own_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "kept").unwrap();
        let error = UnixSocket::bind(&path, 0o600).unwrap_err();
        assert!(matches!(error, UnixSocketError::NoSocket(_)), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        let error = UnixSocket::bind(&folder.path().join("no/s.sock"), 0o600).unwrap_err();
        assert!(error.to_string().contains("its folder has to be there"), "{error}");
        let path = folder.path().join("s.sock");
        let socket = UnixSocket::bind(&path, 0o600).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(socket);
        assert_eq!(fs::read(&path).unwrap(), b"another's");
    }
}
