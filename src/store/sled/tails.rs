//! What an index that was put aside still knows, and one built anew from the block files cannot:
//! where streams ended whose last blocks are damaged. Their records are lost, but their offsets
//! must never be given out again, and a report must name them.

use super::{
    apply::{self, Framed, Round},
    block::StoredHead,
    files::Place,
    folder::Folder,
    index::{Index, IndexError},
};
use crate::store::StreamNo;

/// Takes over from the old index, as far as it can be read: heads, the ends of streams, and the
/// numbers of the store.
pub(super) fn keep(folder: &Folder, new: &Index) -> Result<(), IndexError> {
    let aside = folder.damaged_index();
    if !aside.exists() {
        return Ok(());
    }
    // It is damaged: whatever it does not answer is not there.
    let Ok(old) = Index::open(&aside) else { return Ok(()) };
    let number = |name: &str| old.number(name).unwrap_or(0);
    let mut round = Round {
        commit: number("commit"),
        position: number("position"),
        last_stream: number("stream"),
        ..Round::default()
    };
    // One that is older than the block files may show streams that were deleted since.
    let is_current = round.commit >= new.number("commit")?;
    let mut heads = Vec::new();
    // What can be read of it is sound; that it is all of it is not certain.
    let _ = old.each_stream(|stream, head| heads.push((stream, StoredHead::of(head, false))));
    for (stream, head) in heads {
        round.frames.extend(kept(new, stream, head, is_current)?);
    }
    // It was good for this once; how it closes does not matter.
    let _ = old.close();
    apply::apply(new, &round)
}

/// What a head of the old index adds to the new one.
fn kept(
    new: &Index,
    stream: StreamNo,
    old: StoredHead,
    is_current: bool,
) -> Result<Vec<Framed>, IndexError> {
    let nowhere = Place { file: 0, at: 0, len: 0 };
    if let Some(known) = new.head(stream)? {
        let place = Place { file: known.file, at: 0, len: known.len };
        let known = if *known.path == *apply::nameless(stream) { old.clone() } else { known };
        let head = StoredHead {
            tail: known.tail.max(old.tail),
            earliest: known.earliest.max(old.earliest),
            ..known
        };
        return Ok(vec![Framed::Head { stream, head, place }]);
    }
    if !is_current {
        return Ok(Vec::new());
    }
    let mut frames = Vec::new();
    // An earlier stream at this path has come back because its deletion is damaged.
    let earlier = new.stream_at(&old.path)?.filter(|earlier| *earlier < stream);
    let back = earlier.map(|earlier| Ok((earlier, new.head(earlier)?))).transpose()?;
    if let Some((earlier, Some(head))) = back {
        let head = StoredHead { deleted: true, ..head };
        frames.push(Framed::Head { stream: earlier, head, place: nowhere });
    }
    frames.push(Framed::Head { stream, head: old, place: nowhere });
    Ok(frames)
}
