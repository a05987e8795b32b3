//! Block files: append-only, numbered, written in rounds. A round is a sequence of frames with
//! a [`Kind::Round`] at its end, synced once; what has no such end is taken back on opening.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::RwLock;

use super::{
    disk::{self, DiskFile},
    frame::{self, HEADER, Header, Kind, Packing},
};
use crate::limits;

const EXTENSION: &str = "blk";

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: u32,
    pub(super) at: u64,
    pub(super) len: u32,
}

/// The block files of an open store.
#[derive(Debug)]
pub(super) struct BlockFiles {
    folder: PathBuf,
    files: RwLock<BTreeMap<u32, Arc<DiskFile>>>,
}

impl BlockFiles {
    /// Opens every file that is there.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for number in disk::numbered(folder, EXTENSION)? {
            let file = DiskFile::open(&disk::numbered_path(folder, number, EXTENSION))?;
            files.insert(u32::try_from(number).map_err(io::Error::other)?, Arc::new(file));
        }
        Ok(Self { folder: folder.to_owned(), files: RwLock::new(files) })
    }

    pub(super) fn numbers(&self) -> Vec<u32> {
        self.files.read().keys().copied().collect()
    }

    pub(super) fn get(&self, number: u32) -> Option<Arc<DiskFile>> {
        self.files.read().get(&number).cloned()
    }

    /// Begins the file after the last one.
    pub(super) fn create(&self) -> io::Result<(u32, Arc<DiskFile>)> {
        let number = self.files.read().last_key_value().map_or(1, |(last, _)| last + 1);
        let path = disk::numbered_path(&self.folder, number.into(), EXTENSION);
        let file = Arc::new(DiskFile::create(&path)?);
        disk::sync_folder(&self.folder)?;
        self.files.write().insert(number, Arc::clone(&file));
        Ok((number, file))
    }

    /// Removes a file. A reader that is in it ends undisturbed.
    pub(super) fn remove(&self, number: u32) -> io::Result<()> {
        let removed = self.files.write().remove(&number);
        if let Some(file) = removed {
            std::fs::remove_file(file.path())?;
            disk::sync_folder(&self.folder)?;
        }
        Ok(())
    }

    /// The frame at a place: its header and its checked body.
    ///
    /// # Errors
    /// What is wrong with it, as a text.
    pub(super) fn read(&self, place: Place) -> Result<(Header, Bytes), String> {
        let name = || format!("block file {} at byte {}", place.file, place.at);
        let file = self.get(place.file).ok_or_else(|| format!("{} is missing", name()))?;
        let read = file.read_at(place.at, place.len as usize);
        let bytes = Bytes::from(read.map_err(|error| format!("{}: {error}", name()))?);
        let header = Header::decode(&bytes).ok_or_else(|| format!("{} has no frame", name()))?;
        let body = bytes.slice(HEADER.min(bytes.len())..);
        let checked = header.body(&body);
        let body = checked.ok_or_else(|| format!("{} fails its checksum", name()))?;
        Ok((header, body))
    }
}

/// A frame met by a scan.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) place: Place,
    pub(super) header: Header,
    /// `None` where the body fails its checksum.
    pub(super) body: Option<Bytes>,
}

/// Walks the frames of a file from a place on. Where something is not a frame it goes on at the
/// next one and notes the stretch.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    number: u32,
    file: &'a DiskFile,
    at: u64,
    end: u64,
    /// Stretches that are no frames.
    pub(super) damage: Vec<(u64, u64)>,
}

const SEARCH_STEP: usize = 1 << 20;

impl<'a> Scan<'a> {
    pub(super) fn new(number: u32, file: &'a DiskFile, from: u64) -> io::Result<Self> {
        let end = file.len()?;
        Ok(Self { number, file, at: from.min(end), end, damage: Vec::new() })
    }

    /// The same, up to a place.
    pub(super) fn until(number: u32, file: &'a DiskFile, from: u64, end: u64) -> io::Result<Self> {
        let scan = Self::new(number, file, from)?;
        Ok(Self { end: end.min(scan.end), ..scan })
    }

    /// The next frame.
    pub(super) fn next(&mut self) -> io::Result<Option<Scanned>> {
        while self.at < self.end {
            let head = self.file.read_at(self.at, HEADER)?;
            let Some(header) = Header::decode(&head) else {
                self.skip()?;
                continue;
            };
            let body = self.file.read_at(self.at + HEADER as u64, header.body_len as usize)?;
            let body = header.body(&Bytes::from(body));
            let len = u32::try_from(header.frame_len()).unwrap_or(u32::MAX);
            let place = Place { file: self.number, at: self.at, len };
            if body.is_none() {
                // Its length may be true all the same; but a cut file ends in the middle of it.
                self.damage.push((self.at, (self.at + header.frame_len()).min(self.end)));
            }
            self.at = (self.at + header.frame_len()).min(self.end);
            return Ok(Some(Scanned { place, header, body }));
        }
        Ok(None)
    }

    fn skip(&mut self) -> io::Result<()> {
        let from = self.at;
        self.at += 1;
        loop {
            let bytes = self.file.read_at(self.at, SEARCH_STEP + HEADER)?;
            if let Some(found) = frame::find(&bytes, 0) {
                self.at += found as u64;
                break;
            }
            if bytes.len() < SEARCH_STEP + HEADER {
                self.at = self.end;
                break;
            }
            self.at += SEARCH_STEP as u64;
        }
        self.damage.push((from, self.at));
        Ok(())
    }
}

/// Builds a round in memory and knows where each frame will be.
#[derive(Debug)]
pub(super) struct RoundWriter {
    number: u32,
    file: Arc<DiskFile>,
    begin: u64,
    written: u64,
    buffer: Vec<u8>,
    packing: Packing,
}

impl RoundWriter {
    pub(super) fn new(number: u32, file: Arc<DiskFile>, begin: u64, packing: Packing) -> Self {
        Self { number, file, begin, written: 0, buffer: Vec::new(), packing }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Where the next frame goes.
    pub(super) fn end(&self) -> u64 {
        self.begin + self.written + self.buffer.len() as u64
    }

    /// Adds a frame.
    pub(super) fn add(
        &mut self,
        kind: Kind,
        (a, b, count): (u64, u64, u32),
        body: &[u8],
    ) -> io::Result<Place> {
        let at = self.end();
        let len = frame::add(&mut self.buffer, (kind, a, b, count), body, self.packing);
        if self.buffer.len() >= SEARCH_STEP {
            self.write()?;
        }
        Ok(Place { file: self.number, at, len })
    }

    /// Writes and syncs what was added.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        self.file.sync()
    }

    /// Takes back what was written, after an error.
    pub(super) fn undo(&self) -> io::Result<()> {
        self.file.set_len(self.begin)
    }

    fn write(&mut self) -> io::Result<()> {
        // Blocks may go further than new files; the rest is the index's, also on the next opening.
        let headroom = limits::DISK_HEADROOM_BYTES / 2 + self.buffer.len() as u64;
        let at = self.begin + self.written;
        disk::with_headroom(self.file.path(), headroom, || self.file.write_at(&self.buffer, at))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_steps_over_damage_and_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let files = BlockFiles::open(folder.path()).unwrap();
        let (number, file) = files.create().unwrap();
        let mut round = RoundWriter::new(number, Arc::clone(&file), 0, Packing::Lz4);
        let noise: Vec<u8> = (0..=255).collect();
        let first = round.add(Kind::Records, (1, 1, 1), &noise).unwrap();
        let second = round.add(Kind::Records, (2, 1, 1), &noise).unwrap();
        let third = round.add(Kind::Records, (3, 1, 1), &noise).unwrap();
        round.sync().unwrap();
        file.write_at(b"XXXX", first.at).unwrap();
        file.write_at(b"XXXX", second.at + 60).unwrap();
        let mut scan = Scan::new(number, &file, 0).unwrap();
        let broken = scan.next().unwrap().unwrap();
        assert_eq!((broken.header.a, broken.body), (2, None));
        let whole = scan.next().unwrap().unwrap();
        assert_eq!((whole.place, whole.body.is_some()), (third, true));
        assert!(scan.next().unwrap().is_none());
        assert_eq!(scan.damage, [(0, second.at), (second.at, third.at)]);
        assert!(files.read(first).is_err() && files.read(second).is_err());
        assert!(files.read(third).is_ok());
    }
}
