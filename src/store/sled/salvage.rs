//! Saving what can be saved of a damaged folder: the index is built anew from every block frame
//! whose checksums hold, damaged journal commits are stepped over, and what is missing is named
//! exactly. Records are never guessed at: a gap stays a gap.

use std::{path::Path, sync::Arc};

use super::{
    Report, SledStore, disk,
    folder::{Folder, Sizes},
    journal,
    recover::Mode,
    replay,
    round::{Building, RoundError},
    verify::check,
};
use crate::{
    metrics::Metrics,
    store::{OpenError, Position},
};

/// Rebuilds a data folder from what can be read of it, and reports what cannot.
///
/// # Errors
/// [`OpenError`]: in use, another format, or the system refuses.
pub fn salvage(path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, OpenError> {
    // Fails early where the folder is in use, before anything is moved.
    drop(Folder::open(path)?);
    let store =
        SledStore::open_with(path, Arc::new(Metrics::default()), Sizes::default(), Mode::Salvage)?;
    store.compact();
    retire_journal(&store)?;
    check(&store, progress)
}

/// Lets the damaged segments go, once all that could be read of them is in blocks, and notes up
/// to which commit there is nothing more to ask of the journal: the next opening asks nothing.
fn retire_journal(store: &SledStore) -> Result<(), OpenError> {
    let shared = &store.shared;
    let folder = shared.folder.journal();
    let segments = journal::segments(&folder).map_err(disk::at(&folder))?;
    let Some((newest, path)) = segments.last() else { return Ok(()) };
    let begins_with = replay::begins_with(*newest, path).map_err(disk::at(path))?;
    let all_in_blocks = shared.frozen.lock().generations.is_empty();
    let (Some(next), true) = (begins_with, all_in_blocks) else { return Ok(()) };
    let position: Position = *shared.position.borrow();
    let sealed = Building::begin(shared).and_then(|mut round| {
        round.end(next.saturating_sub(1), position)?;
        round.tell_index()
    });
    sealed.map_err(|error: RoundError| OpenError::Index(error.to_string()))?;
    journal::release(&folder, newest.saturating_sub(1)).map_err(disk::at(&folder))
}
