//! The threads of an open store: named, and supervised. It refuses to know what they do.
//! Invariant: a store that has lost one of them acknowledges nothing more.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
};

use super::shared::Shared;

/// Runs a thread of the store. If it panics, the store is poisoned: a store that has lost one of
/// its threads would let every write wait for ever.
pub(super) fn supervised(
    shared: &Arc<Shared>,
    name: &'static str,
    run: impl FnOnce() + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            shared.poison(&format!("the {name} panicked"));
            shared.abandon();
        }
    })
}

#[cfg(test)]
#[expect(clippy::panic, reason = "threads that panic are what is tested")]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::{Store as _, StreamNo, WriteError, sled::SledStore};

    #[tokio::test]
    async fn a_thread_that_panics_poisons_the_store_and_nobody_waits_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(folder.path(), Arc::default()).unwrap();
        let broken = supervised(&store.shared, "broken", || panic!("bang")).unwrap();
        broken.join().unwrap();
        let write = store.save_checkpoint(StreamNo(1), "a", Bytes::new()).settled().await;
        assert_eq!(write, Err(WriteError::Poisoned(Arc::from("the broken panicked"))));
        assert!(store.poisoned().borrow().is_some());
        assert!(matches!(store.close().await, Err(WriteError::Poisoned(_))));
    }
}
