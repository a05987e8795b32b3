//! A bundle as it was given, read twice: checked to its end, then taken. What comes through a pipe
//! is put into a file without a name first, for nothing is written before all of it was checked.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, Result};

use crate::cli::{
    bundle::{Checker, Header, LINE_BYTES_MAX},
    progress,
};

/// The name that stands for standard input.
pub(super) const STDIN: &str = "-";

/// A bundle that can be read again and again.
pub(super) struct Input {
    file: File,
    bytes: u64,
}

/// Its records, checked while they are read.
pub(super) struct Records<'a> {
    lines: BufReader<&'a File>,
    line: Vec<u8>,
    checker: Checker,
    bytes: u64,
}

impl Input {
    /// Opens a file, or takes standard input whole.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = if path == Path::new(STDIN) {
            spooled(&mut io::stdin().lock()).context("cannot keep standard input in a file")?
        } else {
            File::open(path).with_context(|| format!("cannot open {}", path.display()))?
        };
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes })
    }

    /// Checks all of it.
    pub(super) fn check(&self) -> Result<Header> {
        let bar = progress::bytes(self.bytes);
        let mut records = self.records()?;
        while records.next()?.is_some() {
            bar.set_position(records.bytes);
        }
        bar.finish_and_clear();
        Ok(records.checker.end()?)
    }

    /// Its records from the first one on.
    pub(super) fn records(&self) -> Result<Records<'_>> {
        let mut lines = BufReader::new(&self.file);
        lines.rewind().context("cannot read the bundle twice: save it in a file first")?;
        Ok(Records { lines, line: Vec::new(), checker: Checker::default(), bytes: 0 })
    }
}

impl Records<'_> {
    /// The next record: its offset and its event. `None` behind the last line.
    pub(super) fn next(&mut self) -> Result<Option<(u64, String)>> {
        loop {
            self.line.clear();
            // One more than there may be: the checker refuses what is longer.
            let longest = LINE_BYTES_MAX as u64 + 2;
            let read = (&mut self.lines).take(longest).read_until(b'\n', &mut self.line);
            let read = read.context("cannot read the bundle")?;
            if read == 0 {
                return Ok(None);
            }
            self.bytes += read as u64;
            let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            if let Some(record) = self.checker.line(line)? {
                return Ok(Some((record.offset, record.event.to_owned())));
            }
        }
    }
}

/// What comes in, in a file that goes with its last handle and that nobody else can open.
fn spooled(from: &mut impl Read) -> io::Result<File> {
    let path = env::temp_dir().join(format!("scrollback-{:032x}", rand::random::<u128>()));
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    io::copy(from, &mut file)?;
    Ok(file)
}
