//! The certificate that the server shows, read from two files and read again when they change. It
//! refuses to know connections. Invariant: there is always a certificate whose key fits; files
//! that are wrong change nothing.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use crate::{clock::Clock, limits, tls};

/// What is offered to clients, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where the certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// The server's certificate and those above it, in PEM.
    pub(super) cert: PathBuf,
    /// Its private key, in PEM.
    pub(super) key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or may not be read.
    #[error(
        "{0} cannot be read: {1}; give --tls-cert and --tls-key files that the server may read"
    )]
    Unreadable(PathBuf, io::Error),
    /// A file is much longer than what belongs in it.
    #[error("{0} has more than {max} bytes; give the certificate and those above it only", max = limits::PEM_BYTES_MAX)]
    TooLong(PathBuf),
    /// A file that should have a certificate has none.
    #[error("{0} has no certificate; write PEM, `-----BEGIN CERTIFICATE-----`")]
    NoCertificate(PathBuf),
    /// A file that should have a private key has none.
    #[error("{0} has no private key; write PEM, such as `-----BEGIN PRIVATE KEY-----`")]
    NoKey(PathBuf),
    /// A file is not PEM.
    #[error("{0} is not PEM: {1}; write it again")]
    NotPem(PathBuf, pem::Error),
    /// Certificate and key are not a pair, or of a kind that is not understood.
    #[error("{0} and {1} cannot be used together: {2}; give a certificate and its own key")]
    Unfit(PathBuf, PathBuf, rustls::Error),
}

/// The certificate in use. Cheap to clone.
#[derive(Clone)]
pub(super) struct Certificates {
    files: Arc<TlsFiles>,
    current: Arc<RwLock<TlsAcceptor>>,
    /// The files as they were just before the first reading.
    first: State,
}

impl Certificates {
    /// Reads the files.
    pub(super) async fn load(files: TlsFiles) -> anyhow::Result<Self> {
        let files = Arc::new(files);
        let (first, acceptor) = read_aside(&files).await?;
        let current = Arc::new(RwLock::new(acceptor?));
        Ok(Self { files, current, first })
    }

    /// What does handshakes with the certificate as it is now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().clone()
    }

    /// Takes the files anew whenever they change.
    pub(super) async fn watch(self, clock: &dyn Clock) -> anyhow::Result<()> {
        let mut watched = Watched { used: self.first, refused: None };
        loop {
            clock.sleep(limits::CERTIFICATE_LOOK_EVERY).await;
            let files = Arc::clone(&self.files);
            let now = tokio::task::spawn_blocking(move || State::of(&files)).await?;
            if now == watched.used {
                continue;
            }
            let (before, read) = read_aside(&self.files).await?;
            match read {
                Ok(acceptor) => {
                    *self.current.write() = acceptor;
                    watched = Watched { used: before, refused: None };
                    tracing::info!("the certificate was read again");
                }
                Err(error) if watched.is_news(before) => {
                    tracing::warn!(%error, "a changed certificate is of no use; the old one stays");
                }
                Err(_) => {}
            }
        }
    }
}

/// What is known of the files.
#[derive(Debug)]
struct Watched {
    /// As they were when they were of use.
    used: State,
    /// As they were when they were of none, and it was said. They are read again all the same:
    /// their times may be the same though they were still being written.
    refused: Option<State>,
}

impl Watched {
    fn is_news(&mut self, refused: State) -> bool {
        self.refused.replace(refused) != Some(refused)
    }
}

/// What tells a file that was changed, or that a link now leads to, from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State([Option<Stamp>; 2]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl State {
    fn of(files: &TlsFiles) -> Self {
        Self([stamp(&files.cert), stamp(&files.key)])
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp {
        inode: (found.dev(), found.ino()),
        bytes: found.len(),
        written: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

/// Reads the files away from the threads of the runtime.
async fn read_aside(
    files: &Arc<TlsFiles>,
) -> anyhow::Result<(State, Result<TlsAcceptor, TlsError>)> {
    let files = Arc::clone(files);
    let reading = tokio::task::spawn_blocking(move || (State::of(&files), read(&files)));
    reading.await.context("reading the certificate")
}

fn read(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let (chain, key) = (chain(&files.cert)?, key(&files.key)?);
    tls::choose();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let unfit = |error| TlsError::Unfit(files.cert.clone(), files.key.clone(), error);
    let mut config = config.map_err(unfit)?;
    config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = contents(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| TlsError::NotPem(path.to_owned(), error))?;
    if chain.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(chain) }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&contents(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey(path.to_owned()),
        error => TlsError::NotPem(path.to_owned(), error),
    })
}

fn contents(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |error| TlsError::Unreadable(path.to_owned(), error);
    let mut text = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(limits::PEM_BYTES_MAX + 1).read_to_end(&mut text).map_err(unreadable)?;
    let whole = text.len() as u64 <= limits::PEM_BYTES_MAX;
    if whole { Ok(text) } else { Err(TlsError::TooLong(path.to_owned())) }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tempfile::TempDir;

    use super::*;

    fn made() -> (TempDir, TlsFiles) {
        let folder = tempfile::tempdir().unwrap();
        let files =
            TlsFiles { cert: folder.path().join("c.pem"), key: folder.path().join("k.pem") };
        (folder, files)
    }

    fn write(files: &TlsFiles) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&files.cert, cert.pem()).unwrap();
        fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    }

    #[test]
    fn files_that_are_wrong_are_named_with_what_to_do() {
        let (_folder, files) = made();
        let said = |files: &TlsFiles| {
            let error = read(files).err().unwrap().to_string();
            error
                .replace(&*files.cert.to_string_lossy(), "C")
                .replace(&*files.key.to_string_lossy(), "K")
        };
        assert!(said(&files).starts_with("C cannot be read: No such file"));
        write(&files);
        let (cert, key) = (fs::read(&files.cert).unwrap(), fs::read(&files.key).unwrap());
        assert!(read(&files).is_ok());
        fs::write(&files.cert, &key).unwrap();
        assert!(said(&files).starts_with("C has no certificate; write PEM"));
        fs::write(&files.cert, "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n")
            .unwrap();
        assert!(said(&files).starts_with("C is not PEM: "), "{}", said(&files));
        fs::write(&files.cert, vec![b'x'; usize::try_from(limits::PEM_BYTES_MAX).unwrap() + 1])
            .unwrap();
        assert!(said(&files).starts_with("C has more than 1048576 bytes; "));
        fs::write(&files.cert, &cert).unwrap();
        fs::write(&files.key, &cert).unwrap();
        assert!(said(&files).starts_with("K has no private key; write PEM"));
        write(&files);
        fs::write(&files.cert, &cert).unwrap();
        assert!(said(&files).starts_with("C and K cannot be used together: "), "{}", said(&files));
    }

    #[test]
    fn a_file_that_is_put_in_the_place_of_another_is_a_change() {
        let (folder, files) = made();
        write(&files);
        let before = State::of(&files);
        assert_eq!(State::of(&files), before);
        let other = folder.path().join("other");
        fs::copy(&files.cert, &other).unwrap();
        let link = TlsFiles { cert: folder.path().join("link"), ..files.clone() };
        std::os::unix::fs::symlink(&files.cert, &link.cert).unwrap();
        assert_eq!(State::of(&link), before);
        fs::remove_file(&link.cert).unwrap();
        assert_ne!(State::of(&link), before);
        std::os::unix::fs::symlink(&other, &link.cert).unwrap();
        assert_ne!(State::of(&link), before);
    }

    #[test]
    fn files_that_are_of_no_use_are_news_once() {
        let (_folder, files) = made();
        let none = State::of(&files);
        write(&files);
        let some = State::of(&files);
        let mut watched = Watched { used: none, refused: None };
        assert!(watched.is_news(some));
        assert!(!watched.is_news(some));
        assert!(watched.is_news(none));
    }
}
