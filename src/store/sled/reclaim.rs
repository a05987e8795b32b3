//! Room given back: a block file of which little is still referred to is copied to the end of
//! the newest one, and removed. Retention removes whole files this way.

use std::sync::Arc;

use super::{
    apply::Framed,
    block::{self, StoredCheckpoint, StoredHead},
    files::{Scan, Scanned},
    frame::Kind,
    index,
    key::{self, BlockEntry},
    round::{Building, RoundError},
    shared::Shared,
};
use crate::{
    limits,
    store::{Offset, Position, StreamNo},
};

/// Reclaims the sparsest sealed block file, if one is sparse enough.
pub(super) fn step(shared: &Arc<Shared>) -> Result<(), RoundError> {
    let numbers = shared.files.numbers();
    let (mut total, mut live, mut sparsest) = (0, 0, None);
    for number in &numbers {
        let mark = shared.index(|index| index.file_mark(*number))?;
        total += mark.indexed;
        live += mark.live;
        let sealed = Some(number) != numbers.last();
        let share = mark.live.saturating_mul(100) / mark.indexed.max(1);
        let kept = shared.damaged_files.lock().contains(number);
        if sealed && !kept && share < limits::RECLAIM_BELOW_PERCENT {
            sparsest = sparsest.min(Some((share, *number))).or(Some((share, *number)));
        }
    }
    shared.metrics.block_bytes.set(total);
    shared.metrics.live_block_bytes.set(live);
    match sparsest {
        Some((_, number)) => reclaim(shared, number),
        None => Ok(()),
    }
}

fn reclaim(shared: &Shared, number: u32) -> Result<(), RoundError> {
    let Some(file) = shared.files.get(number) else { return Ok(()) };
    let older = shared.files.numbers().first().is_some_and(|first| *first < number);
    let mut scan = Scan::new(number, &file, 0)?;
    let mut ended = false;
    while !ended {
        let mut round = Building::begin(shared)?;
        let begin = round.writer.end();
        let full =
            |round: &Building<'_>| round.writer.end() - begin >= limits::RECLAIM_STEP_BYTES as u64;
        while !full(&round) {
            match scan.next()? {
                Some(frame) => keep(shared, &mut round, frame, older)?,
                None => {
                    ended = true;
                    break;
                }
            }
        }
        if !round.is_empty() {
            let numbers =
                shared.index(|index| Ok((index.number("commit")?, index.number("position")?)))?;
            round.end(numbers.0, Position(numbers.1))?;
            round.tell_index()?;
        }
    }
    if scan.damage.is_empty() {
        // IMPORTANT: entries that were dropped above must not come back after a power cut, with
        // the file they point to gone.
        shared.index(|index| index.flush(&shared.index_folder()))?;
        shared.files.remove(number)?;
        shared.metrics.reclaimed_files.inc();
        tracing::debug!(file = number, "block file reclaimed");
    } else {
        tracing::warn!(file = number, "a damaged block file is kept; run salvage");
        shared.damaged_files.lock().insert(number);
    }
    Ok(())
}

/// Copies a frame if something still refers to it.
fn keep(
    shared: &Shared,
    round: &mut Building<'_>,
    frame: Scanned,
    older: bool,
) -> Result<(), RoundError> {
    let Scanned { place, header, body: Some(body) } = frame else { return Ok(()) };
    let numbers = (header.a, header.b, header.count);
    let stream = StreamNo(header.a);
    match header.kind {
        Kind::Records => {
            let found = key::pair(header.a, header.b);
            if shared.index(|index| index::place_of(&index.blocks, &found))? != Some(place) {
                return Ok(());
            }
            let entry = shared.index(|index| index.block_at(stream, Offset(header.b)))?;
            let Some(entry) = entry else { return Ok(()) };
            round.copy(header.kind, numbers, &body, |place| Framed::Records {
                stream,
                entry: BlockEntry { place, ..entry },
            })
        }
        Kind::Order => {
            let found = key::position(Position(header.a));
            if shared.index(|index| index::place_of(&index.order, &found))? != Some(place) {
                return Ok(());
            }
            if !is_order_needed(shared, &body)? {
                let gone = [(found.to_vec(), None)];
                return Ok(shared.index(|index| index::change(&index.order, gone))?);
            }
            let (first, last) = (Position(header.a), Position(header.b));
            round.copy(header.kind, numbers, &body, |place| Framed::Order { first, last, place })
        }
        Kind::Checkpoint => {
            let Some(saved) = block::decode::<StoredCheckpoint>(&body) else { return Ok(()) };
            let found = key::checkpoint(stream, &saved.name);
            if shared.index(|index| index::place_of(&index.checkpoints, &found))? != Some(place) {
                return Ok(());
            }
            let name = saved.name;
            round.copy(header.kind, numbers, &body, |place| Framed::Checkpoint {
                stream,
                name,
                place,
            })
        }
        Kind::Head => keep_head(shared, round, (stream, &body, place.file), older),
        Kind::Segment | Kind::Commit | Kind::Round => Ok(()),
    }
}

fn keep_head(
    shared: &Shared,
    round: &mut Building<'_>,
    (stream, body, file): (StreamNo, &[u8], u32),
    older: bool,
) -> Result<(), RoundError> {
    let Some(head) = block::decode::<StoredHead>(body) else { return Ok(()) };
    if head.deleted {
        // An older file may still hold the stream's beginning: without its end, an index built
        // anew would bring the stream back.
        return if older { round.head(stream, head) } else { Ok(()) };
    }
    match shared.index(|index| index.head(stream))? {
        Some(known) if known.file == file => {
            round.head(stream, StoredHead { file: 0, len: 0, ..known })
        }
        _ => Ok(()),
    }
}

/// Whether any record of a stretch of the commit order is still kept.
fn is_order_needed(shared: &Shared, body: &[u8]) -> Result<bool, RoundError> {
    let Some(runs) = block::decode_order(body) else { return Ok(true) };
    for run in runs {
        let head = shared.index(|index| index.head(run.stream))?;
        let last = run.first.0 + u64::from(run.count.max(1)) - 1;
        if head.is_some_and(|head| last >= head.earliest) {
            return Ok(true);
        }
    }
    Ok(false)
}
