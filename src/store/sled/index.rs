//! The index: where everything in the block files is, in a sled database. The one file that
//! names sled.
//!
//! Every call is fenced: sled answers damage with a panic as often as with an error, and both
//! become an [`IndexError`]. Nothing here is the only copy of anything: the index can be built
//! again from the block files, and whatever it names is checked against the frame it points to.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use sled::{Batch, Db, Tree};

use super::{
    block::{self, StoredHead},
    files::Place,
    key::{self, BlockEntry, FileMark},
};
use crate::{
    limits,
    store::{Head, Offset, Position, StreamNo},
};

/// The index did not answer as it must.
#[derive(Debug, Clone, thiserror::Error)]
#[error("index: {0}")]
pub(super) struct IndexError(pub(super) String);

type Result<T> = std::result::Result<T, IndexError>;

/// The index of an open store.
pub(super) struct Index {
    db: Db,
    pub(super) streams: Tree,
    pub(super) heads: Tree,
    pub(super) blocks: Tree,
    pub(super) order: Tree,
    pub(super) expiry: Tree,
    pub(super) checkpoints: Tree,
    pub(super) files: Tree,
    pub(super) state: Tree,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

/// Runs a call into sled, and turns its errors and panics into [`IndexError`].
fn fenced<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(IndexError(error.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(IndexError(format!("panicked: {}", text.unwrap_or("without a message"))))
        }
    }
}

fn damaged(what: &str) -> IndexError {
    IndexError(format!("{what} cannot be read"))
}

impl Index {
    /// Opens the database in a folder, or makes one.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        fenced(|| {
            let db = sled::Config::new()
                .path(folder)
                .cache_capacity(limits::INDEX_CACHE_BYTES)
                .flush_every_ms(None)
                .open()?;
            Ok(Self {
                streams: db.open_tree("streams")?,
                heads: db.open_tree("heads")?,
                blocks: db.open_tree("blocks")?,
                order: db.open_tree("order")?,
                expiry: db.open_tree("expiry")?,
                checkpoints: db.open_tree("checkpoints")?,
                files: db.open_tree("files")?,
                state: db.open_tree("state")?,
                db,
            })
        })
    }

    /// Writes out what was changed and syncs it.
    ///
    /// NOTE: sled's own flush does not sync on Linux, so the database's file is synced through a
    /// handle of ours. An index that lost its last changes all the same is caught up from the
    /// block files on opening.
    pub(super) fn flush(&self, folder: &Path) -> Result<()> {
        fenced(|| {
            self.db.flush()?;
            std::fs::File::open(folder.join("db"))?.sync_data()?;
            Ok(())
        })
    }

    /// Closes the database. Whatever it does on its way out, it does not unwind.
    pub(super) fn close(self) -> Result<()> {
        fenced(|| {
            drop(self);
            Ok(())
        })
    }

    pub(super) fn stream_at(&self, path: &str) -> Result<Option<StreamNo>> {
        let found = fenced(|| self.streams.get(path))?;
        found
            .map(|value| key::number(&value).map(StreamNo))
            .map_or(Ok(None), |number| number.map(Some).ok_or_else(|| damaged("a path's entry")))
    }

    pub(super) fn head(&self, stream: StreamNo) -> Result<Option<StoredHead>> {
        let Some(value) = fenced(|| self.heads.get(key::stream(stream)))? else {
            return Ok(None);
        };
        let decoded = value.split_last_chunk::<4>().and_then(|(bytes, crc)| {
            let sound = crc32c::crc32c(bytes) == u32::from_le_bytes(*crc);
            sound.then(|| block::decode(bytes)).flatten()
        });
        decoded.map(Some).ok_or_else(|| damaged("a stream's head"))
    }

    /// Paths with their streams from `from` on that begin with `prefix`.
    pub(super) fn paths(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, StreamNo)>> {
        fenced(|| {
            let from = if after < prefix {
                prefix.as_bytes().to_vec()
            } else {
                [after.as_bytes(), &[0]].concat()
            };
            let entries = self.streams.range(from..).take_while(|entry| {
                entry.as_ref().map_or(true, |(path, _)| path.starts_with(prefix.as_bytes()))
            });
            let mut paths = Vec::new();
            for entry in entries.take(limit) {
                let (path, number) = entry?;
                let path = std::str::from_utf8(&path).ok().map(Arc::from);
                if let (Some(path), Some(number)) = (path, key::number(&number)) {
                    paths.push((path, StreamNo(number)));
                }
            }
            Ok(paths)
        })
    }

    /// The block of a stream that holds `offset`, or else the next one after it.
    pub(super) fn block_at(&self, stream: StreamNo, offset: Offset) -> Result<Option<BlockEntry>> {
        let before = self.block_before(stream, offset)?;
        if let Some(entry) = before.filter(|entry| entry.last() >= offset) {
            return Ok(Some(entry));
        }
        let next = fenced(|| {
            let from = key::pair(stream.0, offset.0);
            self.blocks.range(from..=key::pair(stream.0, u64::MAX)).next().transpose()
        })?;
        next.map_or(Ok(None), |(found, value)| entry(&found, &value).map(Some))
    }

    /// The last block of a stream that begins at `offset` or before.
    pub(super) fn block_before(
        &self,
        stream: StreamNo,
        offset: Offset,
    ) -> Result<Option<BlockEntry>> {
        let found = fenced(|| {
            let to = key::pair(stream.0, offset.0);
            self.blocks.range(key::pair(stream.0, 0)..=to).next_back().transpose()
        })?;
        found.map_or(Ok(None), |(found, value)| entry(&found, &value).map(Some))
    }

    /// Blocks of a stream from the first that may matter at `from`, `limit` at most.
    pub(super) fn blocks_from(
        &self,
        stream: StreamNo,
        from: Offset,
        limit: usize,
    ) -> Result<Vec<BlockEntry>> {
        let begin = self.block_before(stream, from)?.map_or(from, |entry| entry.first);
        let found = fenced(|| {
            let range = key::pair(stream.0, begin.0)..=key::pair(stream.0, u64::MAX);
            self.blocks.range(range).take(limit).collect::<sled::Result<Vec<_>>>()
        })?;
        found.iter().map(|(found, value)| entry(found, value)).collect()
    }

    /// The stretch of the commit order that holds `position`, or else the next one after it.
    pub(super) fn order_at(&self, position: Position) -> Result<Option<(Position, Place)>> {
        let found = fenced(|| {
            let at = key::position(position);
            let before = self.order.range(..=at).next_back().transpose()?;
            let last = |value: &[u8]| value.get(16..).and_then(key::number);
            match before {
                Some((found, value)) if last(&value).is_some_and(|last| last >= position.0) => {
                    Ok(Some((found, value)))
                }
                _ => self.order.range(at..).next().transpose(),
            }
        })?;
        found.map_or(Ok(None), |(found, value)| {
            let first = key::number(&found).map(Position);
            let both = first.zip(key::read_place(&value));
            both.map(Some).ok_or_else(|| damaged("an entry of the commit order"))
        })
    }

    /// Streams whose time has come, behind an entry that was seen before.
    pub(super) fn due(
        &self,
        after: (u64, StreamNo),
        now_ms: u64,
        limit: usize,
    ) -> Result<Vec<(u64, StreamNo)>> {
        fenced(|| {
            let mut due = Vec::new();
            let from = key::pair(after.0, after.1.0.saturating_add(1));
            for entry in self.expiry.range(from..=key::pair(now_ms, u64::MAX)).take(limit) {
                let (found, _) = entry?;
                if let Some((due_ms, stream)) = key::read_pair(&found) {
                    due.push((due_ms, StreamNo(stream)));
                }
            }
            Ok(due)
        })
    }

    pub(super) fn checkpoint(&self, stream: StreamNo, name: &str) -> Result<Option<Place>> {
        let found = fenced(|| self.checkpoints.get(key::checkpoint(stream, name)))?;
        found.map_or(Ok(None), |value| {
            key::read_place(&value).map(Some).ok_or_else(|| damaged("a checkpoint's entry"))
        })
    }

    pub(super) fn file_mark(&self, file: u32) -> Result<FileMark> {
        let found = fenced(|| self.files.get(file.to_be_bytes()))?;
        Ok(found.and_then(|value| FileMark::decode(&value)).unwrap_or_default())
    }

    /// A number of the store as a whole.
    pub(super) fn number(&self, name: &str) -> Result<u64> {
        let found = fenced(|| self.state.get(name))?;
        Ok(found.and_then(|value| key::number(&value)).unwrap_or(0))
    }

    /// The number of every stream.
    pub(super) fn each_number(&self, mut visit: impl FnMut(StreamNo)) -> Result<()> {
        fenced(|| {
            for found in self.heads.iter().keys() {
                if let Some(number) = key::number(&found?) {
                    visit(StreamNo(number));
                }
            }
            Ok(())
        })
    }

    /// Every head, in steps, for the checks that read all.
    pub(super) fn each_stream(&self, mut visit: impl FnMut(StreamNo, &Head)) -> Result<()> {
        let numbers = fenced(|| self.heads.iter().keys().collect::<sled::Result<Vec<_>>>())?;
        for number in numbers {
            let number =
                key::number(&number).map(StreamNo).ok_or_else(|| damaged("a stream number"))?;
            if let Some(head) = self.head(number)? {
                visit(number, &head.head(number));
            }
        }
        Ok(())
    }

    /// Every stretch of the commit order.
    pub(super) fn each_order(&self, mut visit: impl FnMut(Place)) -> Result<()> {
        let values = fenced(|| self.order.iter().values().collect::<sled::Result<Vec<_>>>())?;
        for value in values {
            visit(key::read_place(&value).ok_or_else(|| damaged("an entry of the commit order"))?);
        }
        Ok(())
    }

    /// Every entry of a stream in `checkpoints`, by its key.
    pub(super) fn checkpoint_keys(&self, stream: StreamNo) -> Result<Vec<Vec<u8>>> {
        fenced(|| {
            let keys = self.checkpoints.scan_prefix(key::stream(stream)).keys();
            keys.map(|found| found.map(|found| found.to_vec())).collect()
        })
    }
}

/// The place of any entry of `blocks`, `order` or `checkpoints`, by its key.
pub(super) fn place_of(tree: &Tree, found: &[u8]) -> Result<Option<Place>> {
    Ok(fenced(|| tree.get(found))?.and_then(|value| key::read_place(&value)))
}

/// Changes entries of one tree in one atomic step.
pub(super) fn change(
    tree: &Tree,
    changes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
) -> Result<()> {
    let mut changes = changes.into_iter().peekable();
    while changes.peek().is_some() {
        let mut batch = Batch::default();
        for (found, value) in changes.by_ref().take(limits::INDEX_BATCH_ENTRIES) {
            match value {
                Some(value) => batch.insert(found, value),
                None => batch.remove(found),
            }
        }
        fenced(|| tree.apply_batch(batch))?;
    }
    Ok(())
}

fn entry(found: &[u8], value: &[u8]) -> Result<BlockEntry> {
    BlockEntry::decode(found, value).ok_or_else(|| damaged("a block's entry"))
}

/// The stored form of a head.
pub(super) fn head_value(head: &StoredHead) -> Vec<u8> {
    let mut value = block::encode(head);
    let crc = crc32c::crc32c(&value);
    value.extend_from_slice(&crc.to_le_bytes());
    value
}
