//! The queue on disk: a file with a JSON object a line, appended to and synced, so that what was
//! queued outlives the program.
//!
//! It refuses to know what the entries mean. Invariants: a line counts once it is synced; a line
//! that was cut off by a crash, which can only be the last one, counts as not written; one program
//! at a time has the file.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{OptimisticError, write::Entry};

/// Something that happened to the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Line {
    /// The stream that the queue is for. The first line.
    For {
        /// Its path.
        path: String,
    },
    /// An entry was queued.
    Queued(Entry),
    /// It is in the log.
    Confirmed {
        /// Its id.
        id: String,
        /// Its offset.
        offset: u64,
    },
    /// It will never be.
    RolledBack {
        /// Its id.
        id: String,
    },
}

impl Line {
    /// Its text, with the line break.
    pub(super) fn text(&self) -> serde_json::Result<Vec<u8>> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

/// Reads the lines; an error is the number, from 1, of one that is none.
pub(super) fn read(text: &[u8]) -> Result<Vec<Line>, usize> {
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let text = text.get(..whole).unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(index, line)| serde_json::from_slice(line).map_err(|_| index + 1))
        .collect()
}

/// The file.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Its length, as far as it is known to be whole.
    len: u64,
    /// Held for as long as this is open; a file of its own, because the journal is replaced.
    lock: File,
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Closing is not enough: a program that is being started at this moment has the lock, too.
        drop(self.lock.unlock());
    }
}

impl Journal {
    /// Opens the file, or makes it, and reads what is there.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Line>), OptimisticError> {
        let at = |source| OptimisticError::Journal { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let lock = options.open(beside(path, "lock")).map_err(at)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OptimisticError::InUse { path: path.to_owned() },
            TryLockError::Error(source) => at(source),
        })?;
        let mut file = options.open(path).map_err(at)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(at)?;
        let lines =
            read(&text).map_err(|line| OptimisticError::Garbled { path: path.to_owned(), line })?;
        let len = text.len() as u64;
        Ok((Self { path: path.to_owned(), file, len, lock }, lines))
    }

    /// Adds lines; returns when they are on the disk. After a failure none of them is there, as
    /// far as the disk still does what it is told, and nothing more may be added.
    pub(super) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(text).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.len += text.len() as u64,
            // The first error is the one to tell.
            Err(_) => drop(self.file.set_len(self.len).and_then(|()| self.file.sync_data())),
        }
        written
    }

    /// Puts other lines in place of all, in one step.
    pub(super) fn replace(&mut self, text: &[u8]) -> io::Result<()> {
        let next = beside(&self.path, "next");
        let mut file = File::create(&next)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&next, &self.path)?;
        self.file = file;
        self.len = text.len() as u64;
        // Without this the old file could be back after a power cut.
        match self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => File::open(".")?.sync_all(),
        }
    }
}

/// The path with something behind it.
fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_was_never_written_and_a_wrong_one_is_named() {
        let done = Line::Confirmed { id: "a".to_owned(), offset: 3 };
        let back = Line::RolledBack { id: "b".to_owned() };
        let text = [done.text().unwrap(), back.text().unwrap()].concat();
        assert_eq!(read(&text).unwrap(), [done.clone(), back]);
        for cut in 1..text.len() {
            let lines = read(&text[..cut]).unwrap();
            let first = done.text().unwrap().len();
            assert_eq!(lines.len(), usize::from(cut >= first), "{cut}");
        }
        assert_eq!(read(b"{\"confirmed\":{\"id\":\"a\",\"offset\":3}}\nx\n"), Err(2));
    }

    #[test]
    fn a_file_keeps_its_lines_is_replaced_whole_and_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue");
        let line = |id: &str| Line::RolledBack { id: id.to_owned() };
        let (mut journal, lines) = Journal::open(&path).unwrap();
        assert_eq!(lines, []);
        journal.append(&line("a").text().unwrap()).unwrap();
        journal.append(&line("b").text().unwrap()).unwrap();
        let other = Journal::open(&path);
        assert!(matches!(other, Err(OptimisticError::InUse { .. })), "{other:?}");
        drop(journal);
        let (mut journal, lines) = Journal::open(&path).unwrap();
        assert_eq!(lines, [line("a"), line("b")]);
        journal.replace(&line("c").text().unwrap()).unwrap();
        journal.append(&line("d").text().unwrap()).unwrap();
        drop(journal);
        assert_eq!(Journal::open(&path).unwrap().1, [line("c"), line("d")]);
    }
}
