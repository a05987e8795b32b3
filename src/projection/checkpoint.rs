//! Checkpoints: what was folded from a stream up to an offset, kept beside the stream in parts of
//! a bounded size.
//!
//! It refuses to know what the bytes mean. Invariant: what is loaded is what was saved, by its
//! checksum; one that was not finished leaves the one before it as it was.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::aside::aside;
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

/// What is saved after the parts, under [`HEAD`].
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    form: u32,
    #[serde(flatten)]
    newest: Saved,
    /// The one before, for as long as nothing is written over it. The first form has none.
    #[serde(default)]
    before: Option<Saved>,
}

/// A checkpoint, and in which of the two slots its parts are, so that parts are never written over
/// those of the newest.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Saved {
    offset: u64,
    slot: u32,
    parts: usize,
    crc: u32,
}

/// The first form is read as well: what it has, it has in the same places.
const FORMS: std::ops::RangeInclusive<u32> = 1..=2;
const HEAD: &str = "views";

/// Saves a state in place of the one before the newest, unless the newest stands at a later
/// offset; with `replace`, in place of both. Whoever saves for the same stream at the same time
/// waits elsewhere.
pub(super) async fn save(
    log: &Log,
    path: &StreamPath,
    checkpoint: Checkpoint,
    replace: bool,
) -> Result<(), ReadError> {
    let before = head(log, path).await?.map(|head| head.newest);
    let Checkpoint { offset, bytes } = checkpoint;
    if !replace && before.is_some_and(|before| before.offset >= offset.0) {
        return Ok(());
    }
    let (packed, crc) = aside(bytes.len(), move || {
        let packed = Bytes::from(lz4_flex::compress_prepend_size(&bytes));
        let crc = crc32c::crc32c(&packed);
        (packed, crc)
    })
    .await?;
    let slot = before.map_or(0, |before| 1 - before.slot.min(1));
    let parts = packed.len().div_ceil(limits::CHECKPOINT_PART_BYTES);
    for number in 0..parts {
        let at = number * limits::CHECKPOINT_PART_BYTES;
        let part = packed.slice(at..packed.len().min(at + limits::CHECKPOINT_PART_BYTES));
        log.save_checkpoint(path, &part_name(slot, number), part).await?;
    }
    let newest = Saved { offset: offset.0, slot, parts, crc };
    let head = Head { form: *FORMS.end(), newest, before: before.filter(|_| !replace) };
    let head = serde_json::to_vec(&head).unwrap_or_default();
    log.save_checkpoint(path, HEAD, head.into()).await?;
    log.metrics().checkpoints.inc();
    Ok(())
}

fn part_name(slot: u32, number: usize) -> String {
    format!("{HEAD}/{slot}/{number}")
}

async fn head(log: &Log, path: &StreamPath) -> Result<Option<Head>, ReadError> {
    let head = log.checkpoint(path, HEAD).await?;
    let head = head.and_then(|head| serde_json::from_slice::<Head>(&head).ok());
    Ok(head.filter(|head| FORMS.contains(&head.form)))
}

/// The newest state of a stream, if there is one that can be used.
pub(super) async fn load(log: &Log, path: &StreamPath) -> Result<Option<Checkpoint>, ReadError> {
    match head(log, path).await? {
        Some(head) => head.newest.load(log, path).await,
        None => Ok(None),
    }
}

/// The states of a stream that can be used, the oldest first.
pub(super) async fn load_all(log: &Log, path: &StreamPath) -> Result<Vec<Checkpoint>, ReadError> {
    let Some(head) = head(log, path).await? else { return Ok(Vec::new()) };
    let mut loaded = Vec::new();
    for saved in head.before.into_iter().chain([head.newest]) {
        loaded.extend(saved.load(log, path).await?);
    }
    Ok(loaded)
}

impl Saved {
    async fn load(&self, log: &Log, path: &StreamPath) -> Result<Option<Checkpoint>, ReadError> {
        let mut packed = Vec::new();
        for number in 0..self.parts {
            let Some(part) = log.checkpoint(path, &part_name(self.slot, number)).await? else {
                return Ok(None);
            };
            packed.extend_from_slice(&part);
        }
        if crc32c::crc32c(&packed) != self.crc {
            return Ok(None);
        }
        let bytes = lz4_flex::decompress_size_prepended(&packed).ok();
        Ok(bytes.map(|bytes| Checkpoint { offset: Offset(self.offset), bytes }))
    }
}
