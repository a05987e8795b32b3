//! A backup: the state of a store at one commit, as a sequence of sealed bytes that whoever takes
//! it pulls at a pace of their own. It owns the handle and how pieces become bytes; it refuses to
//! know where pieces come from and where the bytes go.
//!
//! Invariant: what a whole, undamaged backup holds is one state that the store really had, with
//! everything in it that was acknowledged before the backup was asked for; and nothing passes for
//! whole that is not (`format.rs`).

use std::{fmt, sync::Arc};

use bytes::Bytes;

pub use self::format::{BackupError, Manifest, Part, Unsealing};
use self::format::{Kind, Sealing};

mod format;

/// What a backup consists of.
#[derive(Debug)]
pub(super) enum Piece {
    /// Whole frames of a block file, in order.
    Blocks {
        /// The file's number.
        file: u32,
        /// Where they stand in it.
        at: u64,
        /// The frames, as the file has them.
        frames: Vec<u8>,
    },
    /// Whole commits of a journal segment, in order.
    Commits {
        /// The segment's number.
        segment: u64,
        /// The first of the commits.
        first: u64,
        /// Their frames, as the segment has them.
        frames: Vec<u8>,
    },
    /// Something that the store has lost, and the backup lacks therefore, in words.
    Missing(String),
}

/// Where the pieces of a backup come from. May block.
pub(super) trait Pieces: fmt::Debug + Send + 'static {
    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// What is wrong, as a text: the backup ends with it.
    fn next(&mut self) -> Result<Option<Piece>, String>;
}

/// A backup that is being taken. It holds on to what it reads until it is dropped.
#[derive(Debug)]
pub struct Backup {
    sealing: Sealing,
    manifest: Option<Manifest>,
    pieces: Option<Box<dyn Pieces>>,
}

impl Backup {
    pub(super) fn new(manifest: Manifest, pieces: impl Pieces) -> Self {
        let pieces: Box<dyn Pieces> = Box::new(pieces);
        Self { sealing: Sealing::default(), manifest: Some(manifest), pieces: Some(pieces) }
    }

    /// The next bytes; `None` after the last. A failure is told in the bytes: whoever reads them
    /// learns the reason and has no whole backup.
    pub async fn next(&mut self) -> Option<Bytes> {
        if let Some(manifest) = self.manifest.take() {
            return Some(self.sealing.begin(&manifest));
        }
        let mut pieces = self.pieces.take()?;
        let read = tokio::task::spawn_blocking(move || {
            let piece = pieces.next();
            (pieces, piece)
        });
        match read.await {
            Ok((pieces, Ok(Some(piece)))) => {
                self.pieces = Some(pieces);
                Some(match piece {
                    Piece::Blocks { file, at, frames } => {
                        self.sealing.seal(Kind::Blocks, (file.into(), at), &frames)
                    }
                    Piece::Commits { segment, first, frames } => {
                        self.sealing.seal(Kind::Commits, (segment, first), &frames)
                    }
                    Piece::Missing(text) => {
                        tracing::warn!("{text}");
                        self.sealing.seal(Kind::Missing, (0, 0), text.as_bytes())
                    }
                })
            }
            Ok((_, Ok(None))) => Some(self.sealing.seal(Kind::End, (0, 0), &[])),
            Ok((_, Err(reason))) => Some(self.fail(&reason)),
            Err(error) => Some(self.fail(&error.to_string())),
        }
    }

    /// Ends the backup before its time; the bytes say why.
    pub fn fail(&mut self, reason: &str) -> Bytes {
        self.pieces = None;
        tracing::warn!(reason, "a backup was not finished");
        self.sealing.seal(Kind::Failed, (0, 0), reason.as_bytes())
    }
}

/// A store that could not begin a backup.
pub(super) fn unavailable(reason: impl fmt::Display) -> super::ReadError {
    super::ReadError::Unavailable(Arc::from(format!("a backup cannot begin: {reason}")))
}
