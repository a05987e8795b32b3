//! Projection `permissions`: what agents ask for, and what was answered.
//!
//! Invariants: a request is pending from the event that asks to the first one that answers; what
//! was answered does not come back.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::Event;
use crate::{
    limits,
    projection::Projection,
    session::vocabulary::{
        Id, KnownEvent,
        permission::{PermissionReplied, PermissionRequest, Reply},
    },
};

/// The permissions of a session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    /// Requests that wait for an answer, the oldest first.
    pub pending: VecDeque<PendingPermission>,
    /// Requests that were answered, the newest last; a bounded number of them.
    pub answered: VecDeque<AnsweredPermission>,
    /// The last event that changed any of this.
    pub offset: u64,
}

/// A request that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingPermission {
    /// What is asked for.
    #[serde(flatten)]
    pub request: PermissionRequest,
    /// When it was asked, Unix milliseconds.
    pub asked_at: u64,
    /// The event that asked.
    pub offset: u64,
}

/// A request that was answered.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnsweredPermission {
    /// What was asked for, without what was only there to be shown.
    #[serde(flatten)]
    pub request: PermissionRequest,
    /// When it was asked, Unix milliseconds.
    pub asked_at: u64,
    /// The answer.
    pub reply: Reply,
    /// Who answered.
    pub by: Option<Id>,
    /// When it was answered, Unix milliseconds.
    pub replied_at: u64,
    /// The event that answered.
    pub offset: u64,
}

/// Names that stand beside those of a request.
const OURS: [&str; 5] = ["askedAt", "offset", "reply", "by", "repliedAt"];

impl Projection for Permissions {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "permissions";
    const VERSION: u32 = 1;

    fn apply(&mut self, event: &Event<'_>) {
        if event.offset <= self.offset {
            return;
        }
        let changed = match &event.known {
            Some(KnownEvent::PermissionAsked(asked)) => self.ask(&asked.0, event),
            Some(KnownEvent::PermissionReplied(replied)) => self.reply(replied, event),
            _ => false,
        };
        if changed {
            self.offset = event.offset;
        }
    }
}

impl Permissions {
    /// A request that waits.
    #[must_use]
    pub fn pending(&self, permission_id: &Id) -> Option<&PendingPermission> {
        self.pending.iter().find(|it| it.request.permission_id == *permission_id)
    }

    /// A request that was answered lately.
    #[must_use]
    pub fn answered(&self, permission_id: &Id) -> Option<&AnsweredPermission> {
        self.answered.iter().rev().find(|it| it.request.permission_id == *permission_id)
    }

    /// What is asked once more is asked as it stands now, in its old place.
    fn ask(&mut self, request: &PermissionRequest, event: &Event<'_>) -> bool {
        if self.answered(&request.permission_id).is_some() {
            return false;
        }
        let mut request = request.clone();
        request.other.retain(|name, _| !OURS.contains(&&**name));
        let id = &request.permission_id;
        if let Some(known) = self.pending.iter_mut().find(|it| it.request.permission_id == *id) {
            known.request = request;
            return true;
        }
        if self.pending.len() >= limits::PERMISSIONS_PENDING_MAX {
            self.pending.pop_front();
        }
        let (asked_at, offset) = (event.timestamp_ms, event.offset);
        self.pending.push_back(PendingPermission { request, asked_at, offset });
        true
    }

    fn reply(&mut self, replied: &PermissionReplied, event: &Event<'_>) -> bool {
        let id = &replied.permission_id;
        let at = self.pending.iter().position(|it| it.request.permission_id == *id);
        let Some(asked) = at.and_then(|at| self.pending.remove(at)) else { return false };
        let mut request = asked.request;
        request.metadata = None;
        request.other.clear();
        self.answered.push_back(AnsweredPermission {
            request,
            asked_at: asked.asked_at,
            reply: replied.reply,
            by: replied.by.clone(),
            replied_at: event.timestamp_ms,
            offset: event.offset,
        });
        if self.answered.len() > limits::PERMISSIONS_ANSWERED_MAX {
            self.answered.pop_front();
        }
        true
    }
}
