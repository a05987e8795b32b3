//! Checkpoints looked after: compared with a replay, made anew, and saved before retention takes
//! what they were folded from.
//!
//! Invariant: a checkpoint is replaced only by one that stands at a later offset, or by a replay
//! from the very beginning.

use futures_util::future::BoxFuture;

use super::{
    Fold, Views,
    checkpoint::{self, Checkpoint},
    replay::At,
};
use crate::log::{Offset, ReadError, Refused, StreamPath, TrimGuard};

/// What became of comparing the checkpoints of a stream with a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked<F> {
    /// They are the same, to the byte.
    Same {
        /// How many there are.
        checkpoints: u64,
    },
    /// They are not.
    Differs(Box<Differing<F>>),
    /// There is none, or none that this version can read.
    NoCheckpoint,
    /// The records at the beginning are no longer kept.
    BeginningGone,
}

/// The first checkpoint of a stream that is not what a replay gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing<F> {
    /// Where the last one stands that is what a replay gives; 0 where none is. The difference
    /// arose behind it.
    pub after: Offset,
    /// Where this one stands.
    pub offset: Offset,
    /// The checkpoint.
    pub saved: Vec<u8>,
    /// What the replay gives there.
    pub replayed: F,
    /// How many were compared.
    pub checkpoints: u64,
}

/// Before records of a session go, its state is saved with them in it (design, section 8).
#[derive(Debug)]
pub struct SaveFirst<F> {
    views: Views<F>,
    prefix: &'static str,
}

impl<F: Fold> Views<F> {
    /// Folds a stream from its beginning and compares that with its checkpoints, up to the first
    /// that differs.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn check(&self, path: &StreamPath) -> Result<Checked<F>, ReadError> {
        let info = self.inner.log.info(path).await?;
        let mut found = checkpoint::load_all(&self.inner.log, path).await?;
        // One of another version is folded again when it is asked for.
        found.retain(|found| found.offset <= info.tail && F::load(&found.bytes).is_some());
        if found.is_empty() {
            return Ok(Checked::NoCheckpoint);
        }
        if info.earliest > Offset(1) {
            return Ok(Checked::BeginningGone);
        }
        let total = found.len() as u64;
        let (mut at, mut after) = (At::<F>::empty(info.epoch), Offset::ZERO);
        for (checkpoints, Checkpoint { offset, bytes }) in (1..).zip(found) {
            self.inner.fold_to(path, &mut at, offset, |_, _| {}).await?;
            if !at.fold.is_in(&bytes) {
                let (saved, replayed) = (bytes, at.fold);
                let differing = Differing { after, offset, saved, replayed, checkpoints };
                return Ok(Checked::Differs(Box::new(differing)));
            }
            after = offset;
        }
        Ok(Checked::Same { checkpoints: total })
    }

    /// Folds a stream from its beginning and saves that as its checkpoint. Where the beginning is
    /// no longer kept, the checkpoint is all there is of it, and stays.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn rebuild(&self, path: &StreamPath) -> Result<(), ReadError> {
        let info = self.inner.log.info(path).await?;
        let mut at: At<F> = if info.earliest > Offset(1) {
            self.inner.open(path, &info).await?
        } else {
            At::empty(info.epoch)
        };
        self.inner.fold_to(path, &mut at, info.tail, |_, _| {}).await?;
        self.inner.save(path, &mut at, true).await
    }

    /// Saves the states of streams below a prefix before retention takes records of theirs.
    #[must_use]
    pub fn save_first(&self, prefix: &'static str) -> SaveFirst<F> {
        SaveFirst { views: self.clone(), prefix }
    }

    async fn save_through(&self, path: &StreamPath, earliest: Offset) -> Result<(), ReadError> {
        let info = self.inner.log.info(path).await?;
        let mut at: At<F> = self.inner.open(path, &info).await?;
        if at.offset.plus(1) >= earliest {
            return Ok(());
        }
        self.inner.fold_to(path, &mut at, info.tail, |_, _| {}).await?;
        self.inner.save(path, &mut at, false).await
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
