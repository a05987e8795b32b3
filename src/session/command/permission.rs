//! Answering a request for permission.
//!
//! Invariant: a request is answered once.

use super::{Answer, CommandState, Decided, Rejected};
use crate::session::vocabulary::{
    Id, KnownEvent,
    permission::{PermissionReplied, Reply},
};

/// Answer a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionReply {
    /// The request.
    pub permission_id: Id,
    /// The answer.
    pub reply: Reply,
    /// Who answers.
    pub by: Option<Id>,
}

impl PermissionReply {
    pub(super) fn decide(&self, state: &CommandState<'_>) -> Result<Decided, Rejected> {
        state.exists()?;
        let Self { permission_id, reply, by } = self.clone();
        let answer = Answer::Replied { permission_id: permission_id.clone(), reply };
        if let Some(answered) = state.permissions.answered(&permission_id) {
            let known = answered.reply;
            return if known == reply {
                Ok(Decided::stands(answer, answered.offset))
            } else {
                Err(Rejected::PermissionAnswered { permission_id, reply: known })
            };
        }
        state.open()?;
        let Some(pending) = state.permissions.pending(&permission_id) else {
            return Err(Rejected::PermissionNotFound { permission_id });
        };
        let message_id = pending.request.message_id.clone();
        let replied = PermissionReplied { permission_id, reply, message_id, by };
        Ok(Decided::write(vec![KnownEvent::PermissionReplied(replied)], answer))
    }
}
