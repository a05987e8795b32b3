//! The one home of the client's spawned work.
//!
//! Invariant: a task lives no longer than what it works for, because dropping its handle ends it.

use std::future::Future;

use tokio::task::JoinHandle;

/// Work beside the caller's, on the runtime that it is spawned in.
#[derive(Debug)]
pub(super) struct Task(JoinHandle<()>);

impl Task {
    /// Begins the work. It must be called within a tokio runtime.
    #[expect(clippy::disallowed_methods, reason = "the client's one home of spawned work")]
    pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// Ends the work, and completes when it has ended.
    pub(super) async fn end(mut self) {
        self.0.abort();
        self.ended().await;
    }

    /// Completes when the work has ended.
    pub(super) async fn ended(&mut self) {
        // It panicked or was aborted: it has ended all the same.
        drop((&mut self.0).await);
    }
}

/// Work that blocks its thread, such as a sync of a file, on a thread that may be blocked; nothing
/// where the runtime is about to end. It goes on to its end, whether it is waited for or not.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_with_its_handle() {
        let (held, ended) = tokio::sync::oneshot::channel::<()>();
        let task = Task::spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop(task);
        assert!(ended.await.is_err());
        let mut done = Task::spawn(async {});
        done.ended().await;
    }
}
