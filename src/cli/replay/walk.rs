//! A walk through a session, event by event, forwards and backwards, with the state beside it.
//!
//! It refuses to know how a step is shown. Invariant: the state beside an event is that of every
//! event up to it, wherever the walk came from.

use anyhow::Result;

use super::{
    events::Book,
    step::{FOLD_MAX, Look, Step, Trail},
};
use crate::{
    client::{Event, Session, StateAt},
    session::projections::Projections,
};

/// A walk through a session.
#[derive(Debug)]
pub(super) struct Walk {
    session: Session,
    book: Book,
    /// The projections that are looked at; events that change none of them are passed over where
    /// only some are.
    names: Vec<&'static str>,
    is_choosy: bool,
    /// Events after this offset are walked through …
    base: u64,
    /// … up to this one.
    until: u64,
    /// The state at `base`.
    first: Projections,
    trail: Trail,
    state: Projections,
    look: Look,
}

impl Walk {
    /// A walk that stands at a state.
    pub(super) fn new(
        session: Session,
        names: Vec<&'static str>,
        state: Projections,
        until: u64,
    ) -> Self {
        let book = Book::new(session.client().clone(), &session.path());
        let (first, trail) = (state.clone(), Trail::default());
        let is_choosy = names.len() < Projections::names().len();
        let (base, look) = (state.offset, Look::at(&state, &names));
        Self { session, book, names, is_choosy, base, until, first, trail, state, look }
    }

    /// Where the walk began: the offset before the first event.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// The next event after an offset; `None` where there is none.
    pub(super) async fn next(&mut self, after: u64) -> Result<Option<Step>> {
        for offset in after.saturating_add(1)..=self.until {
            match self.step(offset).await? {
                Some(step) if self.is_choosy && step.changes.is_empty() => {}
                other => return Ok(other),
            }
        }
        Ok(None)
    }

    /// The event before an offset; `None` where the walk began.
    pub(super) async fn back(&mut self, before: u64) -> Result<Option<Step>> {
        let mut end = before;
        while end > self.base + 1 {
            let start = if self.is_choosy { end.saturating_sub(FOLD_MAX / 2) } else { end - 2 };
            let start = start.max(self.base);
            if let Some(offset) = self.last_change(start, end).await? {
                return self.step(offset).await;
            }
            end = start + 1;
        }
        Ok(None)
    }

    /// The event at an offset; `None` beyond the tail.
    pub(super) async fn step(&mut self, offset: u64) -> Result<Option<Step>> {
        if offset <= self.base || offset > self.until {
            return Ok(None);
        }
        let Some(event) = self.book.event(offset).await? else { return Ok(None) };
        self.stand_at(offset - 1).await?;
        self.fold(&event);
        let look = Look::at(&self.state, &self.names);
        let changes = look.since(&self.look, &self.names);
        self.look = look;
        Ok(Some(Step { event, changes }))
    }

    /// The last event between two offsets, exclusive, that is to be shown.
    async fn last_change(&mut self, start: u64, end: u64) -> Result<Option<u64>> {
        if !self.is_choosy {
            return Ok(Some(end - 1));
        }
        self.stand_at(start).await?;
        let mut last = None;
        for offset in start + 1..end {
            let Some(event) = self.book.event(offset).await? else { break };
            self.fold(&event);
            let look = Look::at(&self.state, &self.names);
            if look != self.look {
                (self.look, last) = (look, Some(offset));
            }
        }
        Ok(last)
    }

    /// Moves the state to an offset, from the nearest one that is known.
    async fn stand_at(&mut self, offset: u64) -> Result<()> {
        if self.state.offset == offset {
            return Ok(());
        }
        let is_ahead = self.state.offset > offset;
        // A state that is ahead cannot be taken back.
        let near = self.trail.nearest(offset).or(is_ahead.then_some(&self.first));
        if let Some(near) = near.filter(|near| is_ahead || near.offset > self.state.offset) {
            self.state = near.clone();
        }
        if offset - self.state.offset > FOLD_MAX {
            // Some way before it, so that going back from there finds states on the way.
            let at = offset.saturating_sub(FOLD_MAX / 2).max(self.base);
            if let Some(state) = state_at(&self.session, at).await? {
                self.trail.remember(&state);
                self.state = state;
            }
        }
        while self.state.offset < offset {
            let Some(event) = self.book.event(self.state.offset + 1).await? else { break };
            self.fold(&event);
        }
        self.look = Look::at(&self.state, &self.names);
        Ok(())
    }

    fn fold(&mut self, event: &Event) {
        event.fold_into(&mut self.state);
        // A record that is no event folds into nothing, and is passed all the same.
        self.state.offset = event.offset();
        self.trail.pass(&self.state);
    }
}

/// The whole state of a session at an offset; `None` where the server no longer has it.
pub(super) async fn state_at(session: &Session, offset: u64) -> Result<Option<Projections>> {
    match session.state(StateAt::Offset(offset), &[]).await {
        Ok(state) => Ok(Some(state.projections()?)),
        Err(error) if error.problem().is_some_and(|problem| problem.status == 410) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
