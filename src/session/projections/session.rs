//! Projection `session`: what a session is, and how it stands.
//!
//! It refuses to know turns beyond their being there, and messages. Invariants: a session exists
//! from its first event to its deletion; once it is deleted, only `session.created` changes it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::Event;
use crate::{
    projection::Projection,
    session::vocabulary::{
        Id, KnownEvent,
        session::{SessionInfo, SessionShare, SessionStatus, SessionSummary, StatusKind},
    },
};

/// A session.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Session {
    /// It has events and is not deleted.
    pub exists: bool,
    /// Its id, where an event says it.
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
    /// The session it was begun from.
    pub parent_id: Option<Id>,
    /// What it has changed in files.
    pub summary: Option<SessionSummary>,
    /// Where others can see it.
    pub share: Option<SessionShare>,
    /// It stays when old sessions are trimmed.
    pub pinned: bool,
    /// It is kept out of the list.
    pub archived: bool,
    /// Whatever its maker keeps with it.
    pub metadata: Option<Map<String, Value>>,
    /// What it does at the moment.
    pub status: Status,
    /// A worker has taken it up.
    pub ready: bool,
    /// The worker that said so last.
    pub ready_worker: Option<Id>,
    /// When it was made, Unix milliseconds.
    pub created_at: Option<u64>,
    /// When something other than presence happened last, Unix milliseconds.
    pub last_activity_at: Option<u64>,
    /// How it was begun.
    pub start: Option<Start>,
    /// How it ended.
    pub ended: Option<Gone>,
    /// How it was deleted.
    pub deleted: Option<Gone>,
    /// The last event that changed any of this but the time of the last activity.
    pub offset: u64,
}

/// What a session does.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// What it does.
    #[serde(rename = "type")]
    pub kind: StatusKind,
    /// The turn that runs.
    pub turn_id: Option<Id>,
    /// Of a retry: how often it was tried.
    pub attempt: Option<u64>,
    /// Of a retry: why it failed.
    pub message: Option<String>,
    /// Of a retry: when it is tried again, Unix milliseconds.
    pub next: Option<u64>,
}

impl Default for Status {
    fn default() -> Self {
        let kind = StatusKind::Idle;
        Self { kind, turn_id: None, attempt: None, message: None, next: None }
    }
}

/// How a session was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// The event.
    pub offset: u64,
    /// Fingerprint of the settings it was begun with, by [`settings`].
    pub settings: u32,
}

/// How a session ended or was deleted.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gone {
    /// The event.
    pub offset: u64,
    /// When, Unix milliseconds.
    pub at: u64,
    /// Why.
    pub reason: Option<String>,
    /// By whom.
    pub by: Option<Id>,
}

/// A fingerprint of what a session is begun with. Two that differ are two different beginnings.
#[must_use]
pub fn settings(info: &SessionInfo) -> u32 {
    let SessionInfo { title, model, provider, agent, worker, parent_id, metadata, .. } = info;
    let said = (title, model, provider, agent, worker, parent_id, metadata);
    // Texts, and JSON that was read: printing them cannot fail.
    crc32c::crc32c(&serde_json::to_vec(&said).unwrap_or_default())
}

impl Projection for Session {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "session";
    const VERSION: u32 = 1;

    fn apply(&mut self, event: &Event<'_>) {
        if event.offset <= self.offset {
            return;
        }
        if let Some(known) = &event.known
            && self.fold(known, event)
        {
            self.offset = event.offset;
        }
        self.touch(event);
    }
}

impl Session {
    /// Whether the event means something here.
    fn fold(&mut self, known: &KnownEvent, event: &Event<'_>) -> bool {
        if self.deleted.is_some() && !matches!(known, KnownEvent::SessionCreated(_)) {
            return false;
        }
        match known {
            KnownEvent::SessionCreated(created) => self.begin(&created.0, event),
            KnownEvent::SessionUpdated(updated) => self.take(&updated.0),
            KnownEvent::SessionStatus(status) => self.status = Status::of(status),
            KnownEvent::SessionReady(ready) => {
                self.ready = true;
                self.ready_worker.clone_from(&ready.worker_id);
            }
            KnownEvent::SessionEnded(ended) => {
                let gone = Gone::new(event, ended.reason.as_ref(), ended.by.as_ref());
                self.ended.get_or_insert(gone);
                self.rest();
            }
            KnownEvent::SessionDeleted(deleted) => {
                self.deleted = Some(Gone::new(event, deleted.reason.as_ref(), deleted.by.as_ref()));
                self.exists = false;
                self.rest();
            }
            KnownEvent::TurnStarted(turn) => {
                let turn_id = Some(turn.turn_id.clone());
                self.status = Status { kind: StatusKind::Busy, turn_id, ..Status::default() };
            }
            KnownEvent::TurnCompleted(turn) => return self.turn_ended(&turn.turn_id),
            KnownEvent::TurnInterrupted(turn) => return self.turn_ended(&turn.turn_id),
            KnownEvent::TurnFailed(turn) => return self.turn_ended(&turn.turn_id),
            _ => return false,
        }
        true
    }

    fn begin(&mut self, info: &SessionInfo, event: &Event<'_>) {
        if self.deleted.is_some() {
            *self = Self::default();
        }
        let start = Start { offset: event.offset, settings: settings(info) };
        self.start.get_or_insert(start);
        self.created_at = info.created_at.or(self.created_at);
        self.take(info);
    }

    /// The fields that are there replace the older ones.
    fn take(&mut self, info: &SessionInfo) {
        fn put<T: Clone>(mine: &mut Option<T>, theirs: Option<&T>) {
            if let Some(theirs) = theirs {
                *mine = Some(theirs.clone());
            }
        }
        put(&mut self.id, info.session_id.as_ref());
        put(&mut self.title, info.title.as_ref());
        put(&mut self.model, info.model.as_ref());
        put(&mut self.provider, info.provider.as_ref());
        put(&mut self.agent, info.agent.as_ref());
        put(&mut self.worker, info.worker.as_ref());
        put(&mut self.parent_id, info.parent_id.as_ref());
        put(&mut self.summary, info.summary.as_ref());
        put(&mut self.share, info.share.as_ref());
        put(&mut self.metadata, info.metadata.as_ref());
        self.pinned = info.pinned.unwrap_or(self.pinned);
        self.archived = info.archived.unwrap_or(self.archived);
    }

    /// The end of a turn other than the one that runs changes nothing.
    fn turn_ended(&mut self, turn_id: &Id) -> bool {
        let mine = self.status.turn_id.as_ref().is_none_or(|running| running == turn_id);
        if mine {
            self.status = Status::default();
        }
        mine
    }

    /// What is over does nothing.
    fn rest(&mut self) {
        self.status = Status::default();
        self.ready = false;
    }

    fn touch(&mut self, event: &Event<'_>) {
        if self.deleted.is_some() {
            return;
        }
        self.exists = true;
        self.created_at.get_or_insert(event.timestamp_ms);
        if event.channel != "presence" {
            self.last_activity_at = self.last_activity_at.max(Some(event.timestamp_ms));
        }
    }
}

impl Status {
    fn of(said: &SessionStatus) -> Self {
        Self {
            kind: said.status,
            turn_id: said.turn_id.clone(),
            attempt: said.attempt,
            message: said.message.clone(),
            next: said.next,
        }
    }
}

impl Gone {
    fn new(event: &Event<'_>, reason: Option<&String>, by: Option<&Id>) -> Self {
        Self {
            offset: event.offset,
            at: event.timestamp_ms,
            reason: reason.cloned(),
            by: by.cloned(),
        }
    }
}
