//! Beginning a session.
//!
//! Invariant: a session is begun once; the same beginning again is answered as the first one.

use serde_json::{Map, Value};

use super::{Answer, CommandState, Decided, MakeId, Rejected};
use crate::session::{
    projections::session::settings,
    vocabulary::{
        Id, KnownEvent,
        session::{SessionCreated, SessionInfo},
    },
};

/// Begin a session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Start {
    /// Its id, unless one is to be made.
    pub id: Option<Id>,
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
    /// The session it is begun from.
    pub parent: Option<Id>,
    /// Whatever its maker wants to keep with it.
    pub metadata: Option<Map<String, Value>>,
}

impl Start {
    /// A session in which something was said before it was begun is begun now.
    pub(super) fn decide(
        &self,
        state: &CommandState<'_>,
        ids: MakeId<'_>,
    ) -> Result<Decided, Rejected> {
        let known = self.id.as_ref().or(state.session.id.as_ref());
        let session_id = known.cloned().unwrap_or_else(ids);
        let info = self.info(session_id.clone());
        let answer = Answer::Started { session_id };
        match &state.session.start {
            Some(start) if start.settings == settings(&as_read(&info)) => {
                Ok(Decided::stands(answer, start.offset))
            }
            Some(_) => Err(Rejected::StartedOtherwise),
            None => {
                state.open()?;
                let event = KnownEvent::SessionCreated(SessionCreated(info));
                Ok(Decided::write(vec![event], answer))
            }
        }
    }

    fn info(&self, session_id: Id) -> SessionInfo {
        SessionInfo {
            session_id: Some(session_id),
            title: self.title.clone(),
            model: self.model.clone(),
            provider: self.provider.clone(),
            agent: self.agent.clone(),
            worker: self.worker.clone(),
            parent_id: self.parent.clone(),
            metadata: self.metadata.clone(),
            ..SessionInfo::default()
        }
    }
}

/// The settings as a reader of the event has them: a number may read otherwise than it was given.
fn as_read(info: &SessionInfo) -> SessionInfo {
    let text = serde_json::to_string(info).ok();
    let read = text.and_then(|text| serde_json::from_str(&text).ok());
    read.unwrap_or_else(|| info.clone())
}
