//! Whoever folds streams is asked before records of them go, so that what was folded from them is
//! saved first.

use futures_util::future::BoxFuture;

use super::{Log, Offset, Refused, StreamPath};

/// Asked before retention removes records.
pub trait TrimGuard: std::fmt::Debug + Send + Sync + 'static {
    /// Records before `earliest` are about to go. They stay where this fails.
    fn before_trim<'a>(
        &'a self,
        path: &'a StreamPath,
        earliest: Offset,
    ) -> BoxFuture<'a, Result<(), Refused>>;
}

impl Log {
    /// Has somebody asked before records go. Only the first one is.
    pub fn set_trim_guard(&self, guard: Box<dyn TrimGuard>) {
        // There is one who folds; another one is a second face of the same log.
        drop(self.inner.guard.set(guard));
    }
}
