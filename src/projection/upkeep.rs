//! Checkpoints looked after: compared with a replay, made anew, and saved before retention takes
//! what they were folded from.
//!
//! Invariant: a checkpoint is replaced only by one that stands at a later offset, or by a replay
//! from the very beginning.

use futures_util::future::BoxFuture;

use super::{Fold, Views, checkpoint, views::At};
use crate::log::{Offset, ReadError, Refused, StreamPath, TrimGuard};

/// What became of comparing a checkpoint with a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// They are the same, to the byte.
    Same,
    /// They are not.
    Differs {
        /// The last record in the checkpoint.
        offset: Offset,
    },
    /// There is none, or none that this version can read.
    NoCheckpoint,
    /// The records at the beginning are no longer kept.
    BeginningGone,
}

/// Before records of a session go, its state is saved with them in it (design, section 8).
#[derive(Debug)]
pub struct SaveFirst<F> {
    views: Views<F>,
    prefix: &'static str,
}

impl<F: Fold> Views<F> {
    /// Folds a stream from its beginning and compares that with its checkpoint.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn check(&self, path: &StreamPath) -> Result<Checked, ReadError> {
        let info = self.inner.log.info(path).await?;
        let found = checkpoint::load(&self.inner.log, path).await?;
        let Some(found) = found.filter(|found| found.offset <= info.tail) else {
            return Ok(Checked::NoCheckpoint);
        };
        if info.earliest > Offset(1) {
            return Ok(Checked::BeginningGone);
        }
        let replayed = self.inner.caught_up(path, At::<F>::empty(&info), found.offset).await?;
        // One of another version is folded again when it is asked for.
        let Some(saved) = F::load(&found.bytes) else { return Ok(Checked::NoCheckpoint) };
        let same = saved.save() == replayed.fold.save();
        Ok(if same { Checked::Same } else { Checked::Differs { offset: found.offset } })
    }

    /// Folds a stream from its beginning and saves that as its checkpoint. Where the beginning is
    /// no longer kept, the checkpoint is all there is of it, and stays.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn rebuild(&self, path: &StreamPath) -> Result<(), ReadError> {
        let info = self.inner.log.info(path).await?;
        let start = if info.earliest > Offset(1) {
            self.inner.open(path, &info).await?
        } else {
            At::empty(&info)
        };
        let at = self.inner.caught_up(path, start, info.tail).await?;
        self.inner.save(path, &at, true).await
    }

    /// Saves the states of streams below a prefix before retention takes records of theirs.
    #[must_use]
    pub fn save_first(&self, prefix: &'static str) -> SaveFirst<F> {
        SaveFirst { views: self.clone(), prefix }
    }

    async fn save_through(&self, path: &StreamPath, earliest: Offset) -> Result<(), ReadError> {
        let info = self.inner.log.info(path).await?;
        let at = self.inner.open(path, &info).await?;
        if at.offset.plus(1) >= earliest {
            return Ok(());
        }
        let at = self.inner.caught_up(path, at, info.tail).await?;
        self.inner.save(path, &at, false).await
    }
}

impl<F: Fold> TrimGuard for SaveFirst<F> {
    fn before_trim<'a>(
        &'a self,
        path: &'a StreamPath,
        earliest: Offset,
    ) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(async move {
            if !path.as_str().starts_with(self.prefix) {
                return Ok(());
            }
            match self.views.save_through(path, earliest).await {
                Ok(()) | Err(ReadError::NoStream(_) | ReadError::Gone(_)) => Ok(()),
                Err(error) => Err(Refused::Unavailable(error.to_string().into())),
            }
        })
    }
}
