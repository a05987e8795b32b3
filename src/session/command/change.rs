//! Changing, ending and deleting a session, and saying that it is ready.
//!
//! Invariant: a session that has ended or is deleted has no running turn and nothing that waits.

use serde_json::{Map, Value};

use super::{Answer, CommandState, Decided, Rejected, events};
use crate::session::{
    projections::session::Session,
    vocabulary::{
        Id, KnownEvent,
        session::{
            SessionDeleted, SessionEnded, SessionInfo, SessionReady, SessionShare, SessionSummary,
            SessionUpdated,
        },
    },
};

/// Change what is known of a session: the fields that are there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// Its title.
    pub title: Option<String>,
    /// The model that answers.
    pub model: Option<String>,
    /// Whose model it is.
    pub provider: Option<String>,
    /// The agent that answers.
    pub agent: Option<String>,
    /// The worker it belongs to.
    pub worker: Option<Id>,
    /// The session it was begun from.
    pub parent: Option<Id>,
    /// What it has changed in files.
    pub summary: Option<SessionSummary>,
    /// Where others can see it.
    pub share: Option<SessionShare>,
    /// It stays when old sessions are trimmed.
    pub pinned: Option<bool>,
    /// It is kept out of the list.
    pub archived: Option<bool>,
    /// Whatever its maker wants to keep with it. It replaces what was kept.
    pub metadata: Option<Map<String, Value>>,
}

impl Change {
    /// Only what differs is written. A session that has ended can still be named and put away.
    pub(super) fn decide(&self, state: &CommandState<'_>) -> Result<Decided, Rejected> {
        state.exists()?;
        let info = self.differing(state.session);
        if info == SessionInfo::default() {
            return Ok(Decided::stands(Answer::Changed, state.session.offset));
        }
        let event = KnownEvent::SessionUpdated(SessionUpdated(info));
        Ok(Decided::write(vec![event], Answer::Changed))
    }

    fn differing(&self, session: &Session) -> SessionInfo {
        fn new<T: Clone + PartialEq>(asked: Option<&T>, known: Option<&T>) -> Option<T> {
            asked.filter(|asked| Some(*asked) != known).cloned()
        }
        SessionInfo {
            title: new(self.title.as_ref(), session.title.as_ref()),
            model: new(self.model.as_ref(), session.model.as_ref()),
            provider: new(self.provider.as_ref(), session.provider.as_ref()),
            agent: new(self.agent.as_ref(), session.agent.as_ref()),
            worker: new(self.worker.as_ref(), session.worker.as_ref()),
            parent_id: new(self.parent.as_ref(), session.parent_id.as_ref()),
            summary: new(self.summary.as_ref(), session.summary.as_ref()),
            share: new(self.share.as_ref(), session.share.as_ref()),
            pinned: new(self.pinned.as_ref(), Some(&session.pinned)),
            archived: new(self.archived.as_ref(), Some(&session.archived)),
            metadata: new(self.metadata.as_ref(), session.metadata.as_ref()),
            ..SessionInfo::default()
        }
    }
}

/// Delete a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delete {
    /// Why.
    pub reason: Option<String>,
    /// Who deletes it.
    pub by: Option<Id>,
}

impl Delete {
    pub(super) fn decide(&self, state: &CommandState<'_>) -> Result<Decided, Rejected> {
        if let Some(deleted) = &state.session.deleted {
            return Ok(Decided::stands(Answer::Deleted, deleted.offset));
        }
        state.exists()?;
        let mut events = events::stop_all(state, "session deleted", self.by.as_ref());
        events.push(KnownEvent::SessionDeleted(SessionDeleted {
            session_id: state.session.id.clone(),
            reason: self.reason.clone(),
            by: self.by.clone(),
        }));
        Ok(Decided::write(events, Answer::Deleted))
    }
}

/// End a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: Option<String>,
    /// Who ends it.
    pub by: Option<Id>,
}

impl End {
    pub(super) fn decide(&self, state: &CommandState<'_>) -> Result<Decided, Rejected> {
        state.exists()?;
        if let Some(ended) = &state.session.ended {
            return Ok(Decided::stands(Answer::Ended, ended.offset));
        }
        let mut events = events::stop_all(state, "session ended", self.by.as_ref());
        events.push(KnownEvent::SessionEnded(SessionEnded {
            reason: self.reason.clone(),
            by: self.by.clone(),
        }));
        Ok(Decided::write(events, Answer::Ended))
    }
}

/// Say that messages of a session are answered from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ready {
    /// The worker that answers.
    pub worker_id: Option<Id>,
}

impl Ready {
    pub(super) fn decide(&self, state: &CommandState<'_>) -> Result<Decided, Rejected> {
        state.exists()?;
        state.open()?;
        if state.session.ready && state.session.ready_worker == self.worker_id {
            return Ok(Decided::stands(Answer::Ready, state.session.offset));
        }
        let ready = SessionReady { worker_id: self.worker_id.clone() };
        Ok(Decided::write(vec![KnownEvent::SessionReady(ready)], Answer::Ready))
    }
}
