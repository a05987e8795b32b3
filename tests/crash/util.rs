//! Small things that every suite here needs: random numbers from a seed, a runtime, a store.

use std::{future::Future, path::Path, sync::Arc};

use scrollback::{
    metrics::Metrics,
    store::{
        OpenError,
        sled::{Sizes, SledStore},
    },
};

/// Small files, so that a run of a moment fills, rotates and reclaims them.
pub(crate) const SIZES: Sizes = Sizes { segment_bytes: 128 * 1024, block_file_bytes: 256 * 1024 };

/// Splitmix64: the same numbers for the same seed, on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap();
        usize::try_from(self.next() % end).unwrap()
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// The seed of this run, from `SCROLLBACK_SEED` where that is set; printed, so that a failure
/// can be run again.
pub(crate) fn seed(test: &str) -> u64 {
    let given = std::env::var("SCROLLBACK_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("{test}: SCROLLBACK_SEED={seed}");
    seed
}

/// Runs a future on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Opens a store with small files.
///
/// A child that another test starts at this moment shares the lock of a store that was just
/// closed, until it becomes its own program; so a folder in use is tried again for a while.
pub(crate) fn open(folder: &Path) -> Result<SledStore, OpenError> {
    let open = || SledStore::open_sized(folder, Arc::new(Metrics::default()), SIZES);
    for _ in 0..100_000 {
        match open() {
            Err(OpenError::InUse(_)) => std::thread::yield_now(),
            answer => return answer,
        }
    }
    open()
}
