//! The compactor: one thread that turns generations of the journal into blocks.
//!
//! Order protects the data: frames are written and synced, then the index learns of them, then
//! memory lets go of the records, and only then the journal segment may be used again. A crash at
//! any point replays to the same state.

use std::{sync::Arc, time::Instant};

use super::{
    generation::Generation,
    journal, reclaim,
    round::{Building, RoundError},
    shared::Shared,
};
use crate::limits;

/// Runs until the writer has ended and nothing is left.
pub(super) fn run(shared: &Arc<Shared>) {
    loop {
        let Some(generation) = next(shared) else { return };
        let streams = generation.dirty.len();
        let _span = tracing::info_span!("compaction", streams).entered();
        let begun = Instant::now();
        match compact(shared, &generation) {
            Ok(()) => {
                done(shared, &generation);
                shared.metrics.compaction_seconds.observe(begun.elapsed());
                tracing::debug!(streams, took = ?begun.elapsed(), "compacted");
            }
            Err(error) if error.is_full() => {
                if !shared.folder.spend_reserve() {
                    tracing::warn!(%error, "no room to compact; appends are refused");
                    shared.full.store(true, std::sync::atomic::Ordering::Relaxed);
                    shared.wake();
                    if wait_for_space(shared) {
                        return;
                    }
                }
            }
            Err(error) => {
                shared.poison(&format!("compaction failed: {error}"));
                return;
            }
        }
        if let Err(error) = reclaim::step(shared) {
            tracing::warn!(%error, "block files were not reclaimed");
        }
    }
}

/// The oldest generation that waits; `None` when there will be no more.
fn next(shared: &Shared) -> Option<Arc<Generation>> {
    let mut frozen = shared.frozen.lock();
    let mut deadline = Instant::now() + limits::COMPACT_EVERY;
    loop {
        if shared.poison_reason().is_some() {
            return None;
        }
        if let Some(generation) = frozen.generations.front() {
            return Some(Arc::clone(generation));
        }
        if frozen.writer_done {
            return None;
        }
        if shared.thawed.wait_until(&mut frozen, deadline).timed_out() {
            deadline = Instant::now() + limits::COMPACT_EVERY;
            shared.table.trim(limits::STORE_STREAMS_CACHED);
            // The writer does nothing about it where nothing was written.
            shared.queue.lock().freeze = true;
            shared.queued.notify_all();
        }
    }
}

/// Waits a little for somebody to make room; whether the store closes meanwhile.
fn wait_for_space(shared: &Shared) -> bool {
    let mut frozen = shared.frozen.lock();
    if !frozen.writer_done {
        shared.thawed.wait_for(&mut frozen, limits::FULL_RETRY_EVERY);
    }
    frozen.writer_done || shared.poison_reason().is_some()
}

fn index_shows_none(shared: &Shared, path: &str) -> bool {
    matches!(shared.index(|index| index.stream_at(path)), Ok(None))
}

/// Memory and journal let go of what is in blocks now.
fn done(shared: &Shared, generation: &Generation) {
    if shared.full.swap(false, std::sync::atomic::Ordering::Relaxed) {
        tracing::info!("there is room again; appends are taken");
    }
    let mut freed = 0;
    for (stream, touched) in &generation.dirty {
        // IMPORTANT: the index may show a later stream at this path that is deleted by now too;
        // memory forgets the deletion only once the index shows none.
        let deleted = touched.deleted.as_ref();
        if let Some(path) = deleted.filter(|path| index_shows_none(shared, path)) {
            shared.table.forget_deleted(path);
        }
        if let Some(live) = shared.table.get(*stream) {
            freed += live.lock().forget(touched.tail);
        }
    }
    shared.metrics.memtable_bytes.dec_by(freed as u64);
    let mut order = shared.table.order.write();
    while order.front().is_some_and(|run| run.position <= generation.last_position) {
        order.pop_front();
    }
    drop(order);
    // While a backup copies the journal it stays as it is; the next compaction catches up.
    if let Some(_unneeded) = shared.keeping.try_lock()
        && let Err(error) = journal::release(&shared.folder.journal(), generation.segment)
    {
        tracing::warn!(%error, "a journal segment was not released");
    }
    shared.table.trim(limits::STORE_STREAMS_CACHED);
    // A failure leaves the room unreserved until the next round.
    let _ = shared.folder.reserve();
    shared.metrics.compactions.inc();
    let mut frozen = shared.frozen.lock();
    frozen.generations.pop_front();
    shared.thawed.notify_all();
}

/// Writes a generation's round and tells the index.
fn compact(shared: &Shared, generation: &Generation) -> Result<(), RoundError> {
    let mut round = Building::begin(shared)?;
    let written = round.generation(generation).and_then(|()| {
        round.end(generation.last_commit, generation.last_position)?;
        round.tell_index()
    });
    if written.is_err() {
        round.undo()?;
    }
    written
}
