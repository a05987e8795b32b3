//! Checkpoints: what was folded from a stream up to an offset, kept beside the stream in parts of
//! a bounded size.
//!
//! It refuses to know what the bytes mean. Invariant: what is loaded is what was saved, by its
//! checksum; one that was not finished leaves the one before it as it was.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    limits,
    log::{Log, Offset, ReadError, StreamPath},
};

/// A state at an offset of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The last record that is in it.
    pub(super) offset: Offset,
    /// The state.
    pub(super) bytes: Vec<u8>,
}

/// What is saved after the parts, under [`HEAD`]. It says which of the two slots they are in, so
/// that parts are never written over those that it stands for.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    form: u32,
    offset: u64,
    slot: u32,
    parts: usize,
    crc: u32,
}

const FORM: u32 = 1;
const HEAD: &str = "views";

/// Saves a state in place of the one before, unless that stands at a later offset. Whoever saves
/// for the same stream at the same time waits elsewhere.
pub(super) async fn save(
    log: &Log,
    path: &StreamPath,
    checkpoint: &Checkpoint,
    replace: bool,
) -> Result<(), ReadError> {
    let before = head(log, path).await?;
    if !replace && before.as_ref().is_some_and(|before| before.offset >= checkpoint.offset.0) {
        return Ok(());
    }
    let slot = before.map_or(0, |before| 1 - before.slot.min(1));
    let packed = Bytes::from(lz4_flex::compress_prepend_size(&checkpoint.bytes));
    let crc = crc32c::crc32c(&packed);
    let parts = packed.len().div_ceil(limits::CHECKPOINT_PART_BYTES);
    for number in 0..parts {
        let at = number * limits::CHECKPOINT_PART_BYTES;
        let part = packed.slice(at..packed.len().min(at + limits::CHECKPOINT_PART_BYTES));
        log.save_checkpoint(path, &part_name(slot, number), part).await?;
    }
    let head = Head { form: FORM, offset: checkpoint.offset.0, slot, parts, crc };
    let head = serde_json::to_vec(&head).unwrap_or_default();
    log.save_checkpoint(path, HEAD, head.into()).await
}

fn part_name(slot: u32, number: usize) -> String {
    format!("{HEAD}/{slot}/{number}")
}

async fn head(log: &Log, path: &StreamPath) -> Result<Option<Head>, ReadError> {
    let head = log.checkpoint(path, HEAD).await?;
    let head = head.and_then(|head| serde_json::from_slice::<Head>(&head).ok());
    Ok(head.filter(|head| head.form == FORM))
}

/// The newest state of a stream, if there is one that can be used.
pub(super) async fn load(log: &Log, path: &StreamPath) -> Result<Option<Checkpoint>, ReadError> {
    let Some(head) = head(log, path).await? else { return Ok(None) };
    let mut packed = Vec::new();
    for number in 0..head.parts {
        let Some(part) = log.checkpoint(path, &part_name(head.slot, number)).await? else {
            return Ok(None);
        };
        packed.extend_from_slice(&part);
    }
    if crc32c::crc32c(&packed) != head.crc {
        return Ok(None);
    }
    let bytes = lz4_flex::decompress_size_prepended(&packed).ok();
    Ok(bytes.map(|bytes| Checkpoint { offset: Offset(head.offset), bytes }))
}
