//! The application and the workers that are online.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::{
    Event,
    keyed::{Keyed, Named},
    merge::{keep_other, only_other, set},
};
use crate::{
    limits,
    projection::Projection,
    session::vocabulary::{
        Id, KnownEvent,
        app::{AppStarted, AppStopped},
        worker::WorkerOnline,
    },
};

/// Whether the application runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppStatus {
    /// It runs.
    Started,
    /// It has stopped.
    Stopped,
}

/// A worker that is online.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// The worker.
    pub worker_id: Id,
    /// Its version.
    pub version: Option<String>,
    /// Since when, Unix milliseconds.
    pub since: u64,
    /// The event it came with.
    pub offset: u64,
    /// The event it was last heard of in.
    pub updated_offset: u64,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Named for Worker {
    type Key = Id;

    fn key(&self) -> Id {
        self.worker_id.clone()
    }
}

/// The application.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    /// Whether it runs, where anybody said.
    pub status: Option<AppStatus>,
    /// Its version.
    pub version: Option<String>,
    /// When it started, Unix milliseconds.
    pub started_at: Option<u64>,
    /// When it stopped, Unix milliseconds.
    pub stopped_at: Option<u64>,
    /// Why it stopped.
    pub reason: Option<String>,
    /// The workers that are online.
    pub workers: Keyed<Worker>,
    /// The event that changed any of it last; 0 where none did.
    pub updated_offset: u64,
    /// Whatever else was said of the start or the stop.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Fields of ours that a writer may use for something else.
const OWN: &[&str] = &["status", "version", "startedAt", "stoppedAt", "reason", "workers"];

impl Projection for App {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "app";
    const VERSION: u32 = 1;

    fn apply(&mut self, event: &Event<'_>) {
        match &event.known {
            Some(KnownEvent::AppStarted(said)) => self.start(event, said),
            Some(KnownEvent::AppStopped(said)) => self.stop(event, said),
            Some(KnownEvent::WorkerOnline(said)) => self.online(event, said),
            Some(KnownEvent::WorkerOffline(said)) => drop(self.workers.remove(&said.worker_id)),
            _ => return,
        }
        self.updated_offset = event.offset;
    }
}

impl App {
    fn start(&mut self, event: &Event<'_>, said: &AppStarted) {
        self.status = Some(AppStatus::Started);
        set(&mut self.version, said.version.as_ref());
        self.started_at = Some(event.timestamp_ms);
        self.stopped_at = None;
        self.reason = None;
        self.other = only_other(&said.other, OWN);
    }

    fn stop(&mut self, event: &Event<'_>, said: &AppStopped) {
        self.status = Some(AppStatus::Stopped);
        self.stopped_at = Some(event.timestamp_ms);
        self.reason.clone_from(&said.reason);
        self.other = only_other(&said.other, OWN);
    }

    fn online(&mut self, event: &Event<'_>, said: &WorkerOnline) {
        let worker = self.workers.entry(&said.worker_id, || Worker {
            worker_id: said.worker_id.clone(),
            version: None,
            since: event.timestamp_ms,
            offset: event.offset,
            updated_offset: event.offset,
            other: Map::new(),
        });
        set(&mut worker.version, said.version.as_ref());
        keep_other(&mut worker.other, &said.other, &["since"]);
        worker.updated_offset = event.offset;
        self.workers.trim(limits::ONLINE_WORKERS_MAX, |worker| worker.updated_offset);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::session::projections::testing::{fold, text_of};

    #[test]
    fn the_application_runs_or_does_not_and_workers_come_and_go() {
        let events = [
            ("app.started", json!({"version": "1.2", "host": "h"})),
            ("worker.online", json!({"workerId": "w1", "version": "3", "gpu": true})),
            ("worker.online", json!({"workerId": "w2"})),
            ("worker.offline", json!({"workerId": "w2", "reason": "restart"})),
            ("app.stopped", json!({"reason": "update"})),
            ("app.started", json!({})),
        ];
        insta::assert_snapshot!(text_of(&fold::<App>(&events[..5])), @r#"
        reason: "update"
        startedAt: 1000
        status: "stopped"
        stoppedAt: 5000
        updatedOffset: 5
        version: "1.2"
        workers: [{"gpu":true,"offset":2,"since":2000,"updatedOffset":2,"version":"3","workerId":"w1"}]
        "#);
        insta::assert_snapshot!(text_of(&fold::<App>(&events)), @r#"
        startedAt: 6000
        status: "started"
        updatedOffset: 6
        version: "1.2"
        workers: [{"gpu":true,"offset":2,"since":2000,"updatedOffset":2,"version":"3","workerId":"w1"}]
        "#);
    }
}
