//! Before retention takes records of a session, what was folded from them is saved: the session's
//! own state, and its place in the list.

use futures_util::future::BoxFuture;

use super::{list::Sessions, projections::Projections};
use crate::{
    limits,
    log::{Offset, ReadError, Refused, StreamPath, TrimGuard},
    projection::{OrderView, SaveFirst, Views},
};

/// Saves the states of sessions.
#[derive(Debug)]
pub struct KeepStates {
    views: SaveFirst<Projections>,
    sessions: OrderView<Sessions>,
}

impl KeepStates {
    /// Saves these states.
    #[must_use]
    pub fn new(views: &Views<Projections>, sessions: &OrderView<Sessions>) -> Self {
        Self { views: views.save_first("sessions/"), sessions: sessions.clone() }
    }
}

impl TrimGuard for KeepStates {
    fn before_trim<'a>(
        &'a self,
        path: &'a StreamPath,
        earliest: Offset,
    ) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(async move {
            self.views.before_trim(path, earliest).await?;
            if !path.as_str().starts_with("sessions/") {
                return Ok(());
            }
            let saved = self.sessions.save_unless_within(limits::ORDER_SAVED_WITHIN).await;
            saved.map_err(|error: ReadError| Refused::Unavailable(error.to_string().into()))
        })
    }
}
