//! The one home of spawned work. Tasks of the server are named and supervised: when one fails or
//! panics, the server ends. Connections are not: a defect there costs one connection.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The tasks of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tasks {
    services: TaskTracker,
    connections: TaskTracker,
    requests: TaskTracker,
    /// The services that run.
    names: Arc<Mutex<Vec<&'static str>>>,
    stop: CancellationToken,
    failed: watch::Sender<Option<Arc<str>>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            services: TaskTracker::new(),
            connections: TaskTracker::new(),
            requests: TaskTracker::new(),
            names: Arc::default(),
            stop: CancellationToken::new(),
            failed: watch::Sender::new(None),
        }
    }
}

impl Tasks {
    /// Runs a task until it ends or [`Tasks::stop_services`] is called; then it is dropped at its
    /// next point of waiting. An error or a panic of it is kept as the reason to end.
    #[expect(clippy::disallowed_methods, reason = "the one home of spawned work")]
    pub fn service<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (stop, failed) = (self.stop.clone(), self.failed.clone());
        let names = Arc::clone(&self.names);
        names.lock().push(name);
        let supervised = async move {
            let ended = stop.run_until_cancelled(AssertUnwindSafe(work).catch_unwind()).await;
            names.lock().retain(|running| *running != name);
            let reason = match ended {
                None | Some(Ok(Ok(()))) => return,
                Some(Ok(Err(error))) => format!("{name} failed: {error:#}"),
                Some(Err(_)) => format!("{name} panicked"),
            };
            // First of all: nothing may come between a failure and the end of the server.
            failed.send_modify(|first| {
                first.get_or_insert_with(|| Arc::from(reason.as_str()));
            });
            tracing::error!(task = name, reason, "a task failed");
        };
        drop(tokio::spawn(self.services.track_future(supervised)));
    }

    /// Runs a connection to its end.
    #[expect(clippy::disallowed_methods, reason = "the one home of spawned work")]
    pub fn connection<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(tokio::spawn(self.connections.track_future(work)));
    }

    /// Runs one request of a connection on which many are under way at once.
    #[expect(clippy::disallowed_methods, reason = "the one home of spawned work")]
    pub fn request<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(tokio::spawn(self.requests.track_future(work)));
    }

    /// Completes when a task has failed, with the reason.
    pub async fn until_failed(&self) -> Arc<str> {
        let mut failed = self.failed.subscribe();
        match failed.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_else(|| Arc::from("unknown")),
            Err(_) => std::future::pending().await,
        }
    }

    /// The services that run, by name.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.names.lock().clone()
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Completes when every connection has ended, and every request with it.
    pub async fn until_disconnected(&self) {
        self.connections.close();
        self.connections.wait().await;
        self.requests.close();
        self.requests.wait().await;
    }

    /// Ends the tasks of the server and waits for them.
    pub async fn stop_services(&self) {
        self.stop.cancel();
        self.services.close();
        self.services.wait().await;
    }
}

#[cfg(test)]
#[expect(clippy::panic, reason = "tasks that panic are what is tested")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_failure_of_a_task_is_the_reason_to_end() {
        let tasks = Tasks::default();
        tasks.service("idle", std::future::pending());
        tasks.service("done", async { Ok(()) });
        tasks.service("broken", async { anyhow::bail!("no") });
        assert_eq!(&*tasks.until_failed().await, "broken failed: no");
        assert_eq!(tasks.names(), ["idle"]);
        tasks.service("worse", async { panic!("bang") });
        assert_eq!(&*tasks.until_failed().await, "broken failed: no");
        tasks.stop_services().await;
        assert!(tasks.names().is_empty());
    }

    #[tokio::test]
    async fn a_panicking_task_is_a_failure_too() {
        let tasks = Tasks::default();
        tasks.service("worse", async { panic!("bang") });
        assert_eq!(&*tasks.until_failed().await, "worse panicked");
    }
}
