//! Checkpoints on the log: the state of a stream at an offset, as the newest records of the stream
//! `__ds/checkpoints/{path}`.
//!
//! The state is written in parts, and then a record that says where they begin; it refuses to
//! know what the bytes mean. Invariant: what is loaded is what was saved, by its hash, and is of
//! the stream that is there now, by its epoch; anything else is no checkpoint.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    limits,
    log::{
        Append, AppendError, ChangeError, Log, NewRecord, Offset, PageLimit, ReadError, Refused,
        StreamPath, StreamSpec,
    },
};

/// A state at an offset of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Epoch of the stream.
    pub(super) epoch: u64,
    /// The last record that is in it.
    pub(super) offset: Offset,
    /// The state.
    pub(super) bytes: Vec<u8>,
}

/// The record behind the parts.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    checkpoint: u32,
    epoch: u64,
    offset: u64,
    /// Offset of the first part.
    first: u64,
    crc: u32,
}

/// The form of these records.
const FORM: u32 = 1;
const OCTETS: &str = "application/octet-stream";

/// The stream of a stream's checkpoints; `None` where its path is too long to have one.
fn path(of: &StreamPath) -> Option<StreamPath> {
    StreamPath::control(&format!("checkpoints/{of}")).ok()
}

/// Saves a state, and removes the one before it.
pub(super) async fn save(
    log: &Log,
    of: &StreamPath,
    checkpoint: &Checkpoint,
) -> Result<(), AppendError> {
    let Some(path) = path(of) else { return Ok(()) };
    let packed = Bytes::from(lz4_flex::compress_prepend_size(&checkpoint.bytes));
    let mut first = None;
    let mut rest = packed.clone();
    while !rest.is_empty() {
        let group = rest.split_to(rest.len().min(limits::CHECKPOINT_GROUP_BYTES));
        let parts = (0..group.len()).step_by(limits::RECORD_BYTES_MAX);
        let parts = parts.map(|at| group.slice(at..group.len().min(at + limits::RECORD_BYTES_MAX)));
        let begun = append(log, &path, parts).await?;
        first = first.or(Some(begun));
    }
    let header = Header {
        checkpoint: FORM,
        epoch: checkpoint.epoch,
        offset: checkpoint.offset.0,
        first: first.unwrap_or_default(),
        crc: crc32c::crc32c(&packed),
    };
    let text = serde_json::to_vec(&header).unwrap_or_default();
    append(log, &path, [Bytes::from(text)]).await?;
    match log.trim(&path, Offset(header.first)).await {
        Ok(()) | Err(ChangeError::NoStream(_) | ChangeError::Gone(_)) => Ok(()),
        Err(ChangeError::Refused(refused)) => Err(refused.into()),
    }
}

/// Appends records; answers with the offset of the first.
async fn append(
    log: &Log,
    path: &StreamPath,
    records: impl IntoIterator<Item = Bytes>,
) -> Result<u64, AppendError> {
    let retention = Some(Duration::from_millis(limits::OFFSET_MAX));
    let spec = StreamSpec { content_type: Arc::from(OCTETS), retention, expiry: None };
    let append = Append {
        records: records.into_iter().map(|payload| NewRecord { id: None, payload }).collect(),
        create: Some(spec),
        ..Append::default()
    };
    let appended = log.append(path, append).await?;
    Ok(appended.placed.first().map_or(appended.tail, |placed| placed.offset).0)
}

/// The newest checkpoint of a stream, if there is one that can be used.
pub(super) async fn load(
    log: &Log,
    of: &StreamPath,
    epoch: u64,
) -> Result<Option<Checkpoint>, ReadError> {
    let Some(path) = path(of) else { return Ok(None) };
    let info = match log.info(&path).await {
        Ok(info) => info,
        Err(ReadError::NoStream(_) | ReadError::Gone(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    match read(log, &path, info.tail).await {
        Ok(found) => Ok(found.filter(|found| found.epoch == epoch)),
        // What cannot be read is folded again.
        Err(ReadError::Trimmed { .. } | ReadError::Lost { .. } | ReadError::Beyond { .. }) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn read(log: &Log, path: &StreamPath, tail: Offset) -> Result<Option<Checkpoint>, ReadError> {
    let one = PageLimit { records: 1, bytes: limits::RECORD_BYTES_MAX };
    let last = log.read(path, Offset(tail.0.saturating_sub(1)), one).await?;
    let header =
        last.records.first().map(|record| serde_json::from_slice::<Header>(&record.payload));
    let Some(Ok(header)) = header.filter(|_| tail > Offset::ZERO) else { return Ok(None) };
    if header.checkpoint != FORM {
        return Ok(None);
    }
    let (mut at, mut packed) = (Offset(header.first.saturating_sub(1)), Vec::new());
    while at.plus(1) < tail {
        let limit = PageLimit { records: limits::PAGE_RECORDS, bytes: limits::PAGE_BYTES };
        let page = log.read(path, at, limit).await?;
        let Some(end) = page.records.last().map(|record| record.offset) else { return Ok(None) };
        for record in page.records.iter().filter(|record| record.offset < tail) {
            packed.extend_from_slice(&record.payload);
        }
        at = end;
    }
    if crc32c::crc32c(&packed) != header.crc {
        return Ok(None);
    }
    let bytes = lz4_flex::decompress_size_prepended(&packed).ok();
    let (epoch, offset) = (header.epoch, Offset(header.offset));
    Ok(bytes.map(|bytes| Checkpoint { epoch, offset, bytes }))
}

/// Forgets the checkpoints of a stream that is gone.
pub(super) async fn forget(log: &Log, of: &StreamPath) -> Result<(), Refused> {
    let Some(path) = path(of) else { return Ok(()) };
    match log.delete(&path).await {
        Ok(()) | Err(ChangeError::NoStream(_) | ChangeError::Gone(_)) => Ok(()),
        Err(ChangeError::Refused(refused)) => Err(refused),
    }
}

/// The streams that have checkpoints.
pub(super) async fn saved(log: &Log, limit: usize) -> Result<Vec<StreamPath>, ReadError> {
    let prefix = format!("{}/checkpoints/", crate::log::CONTROL);
    let found = log.list_control(&prefix, limit).await?;
    let of = found.iter().filter_map(|info| info.path.strip_prefix(&prefix));
    Ok(of.filter_map(|of| StreamPath::parse(of).ok()).collect())
}
