//! A backup of an open store: the block files as far as they are in the index, and the commits
//! that came after. It is what a start after a kill would find, so what it becomes is the state at
//! its last commit.
//!
//! Invariants: nothing that is read here changes while it is read: rounds are never written twice,
//! block files that are removed meanwhile stay readable through their handles, and the commits are
//! copied before the journal may let go of them. Writers wait for nothing.

use std::{collections::VecDeque, io, sync::Arc, sync::atomic::Ordering};

use super::{
    block::{self, RoundEnd},
    disk::{self, DiskFile},
    files::{Scan, Scanned},
    folder::FORMAT,
    frame::{self, HEADER, Header, Kind, Packing},
    index::IndexError,
    journal,
    shared::Shared,
};
use crate::{
    limits,
    store::{
        ReadError,
        backup::{Backup, Manifest, Piece, Pieces, unavailable},
    },
};

/// Where the commits are kept for the time of a backup. It has no name for longer than a moment.
const SPOOL: &str = "backup";

/// Holds on to the state of a store as it is now.
pub(super) fn begin(shared: &Shared, now_ms: u64) -> Result<Backup, ReadError> {
    if let Some(reason) = shared.poison_reason() {
        return Err(unavailable(reason));
    }
    // IMPORTANT: in this order. The journal must keep all that is not in the index; heads in block
    // files may be ahead of their round, but not of a commit that is looked up after them.
    let keeping = shared.keeping.lock();
    let after = shared.index(|index| index.number("commit"))?;
    let position = shared.index(|index| index.number("position"))?;
    let files = settled(shared)?;
    let existing = Existing::read(shared)?;
    let until = shared.commit.load(Ordering::SeqCst);
    let commits = spool(shared, after, until).map_err(unavailable)?;
    drop(keeping);
    let bytes = commits.bytes() + files.iter().map(|walk| walk.end).sum::<u64>();
    let manifest = Manifest { format: FORMAT.to_owned(), created_ms: now_ms, commit: until, bytes };
    let round = block::encode(&RoundEnd { last_stream: existing.last });
    let mut end = Vec::new();
    frame::add(&mut end, (Kind::Round, after, position, 0), &round, Packing::None);
    Ok(Backup::new(manifest, Copying { commits, files, existing, end }))
}

/// The block files, each with the end of its last round that the index knows, as they were at one
/// moment: rounds are written one after the other, so it is enough that no file came or went.
fn settled(shared: &Shared) -> Result<VecDeque<Walk>, ReadError> {
    loop {
        let numbers = shared.files.numbers();
        let mut walks = VecDeque::new();
        for number in &numbers {
            let Some(file) = shared.files.get(*number) else { continue };
            let end = shared.index(|index| index.file_mark(*number))?.indexed;
            let missing = VecDeque::new();
            walks.push_back(Walk { number: *number, file, at: 0, end, written: 0, missing });
        }
        if numbers == shared.files.numbers() && walks.len() == numbers.len() {
            return Ok(walks);
        }
    }
}

/// One bit for each stream number ever given out: whether the index has the stream. Frames of
/// others are left out, so that what was deleted does not live on in backups.
#[derive(Debug)]
struct Existing {
    bits: Vec<u64>,
    /// Nothing is said of streams behind this one.
    last: u64,
}

impl Existing {
    fn read(shared: &Shared) -> Result<Self, IndexError> {
        let last = shared.last_stream.load(Ordering::SeqCst);
        let mut bits = vec![0; Self::place(last).0 + 1];
        shared.index(|index| {
            index.each_number(|stream| {
                let (word, bit) = Self::place(stream.0);
                if let Some(word) = bits.get_mut(word) {
                    *word |= bit;
                }
            })
        })?;
        Ok(Self { bits, last })
    }

    fn place(stream: u64) -> (usize, u64) {
        (usize::try_from(stream / 64).unwrap_or(usize::MAX), 1 << (stream % 64))
    }

    fn has(&self, stream: u64) -> bool {
        let (word, bit) = Self::place(stream);
        stream > self.last || self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    fn wants(&self, header: &Header) -> bool {
        match header.kind {
            Kind::Records | Kind::Head | Kind::Checkpoint => self.has(header.a),
            Kind::Order | Kind::Round | Kind::Segment | Kind::Commit => true,
        }
    }
}

/// Copies the commits `after + 1` to `until` out of the journal, which may let go of them then.
fn spool(shared: &Shared, after: u64, until: u64) -> Result<Commits, String> {
    let folder = shared.folder.journal();
    let path = folder.join(SPOOL);
    let io = |error: io::Error| format!("{}: {error}", path.display());
    let file = DiskFile::create(&path).map_err(io)?;
    std::fs::remove_file(&path).map_err(io)?;
    let mut commits = Commits { file, len: 0, parts: VecDeque::new() };
    let mut next = after + 1;
    for (number, path) in journal::segments(&folder).map_err(io)? {
        if next > until {
            break;
        }
        let mut segment = Segment::open(number, &path)?;
        while let Some((first, frames)) = segment.part(&mut next, until)? {
            let headroom = limits::DISK_HEADROOM_BYTES + frames.len() as u64;
            disk::with_headroom(&folder, headroom, || commits.file.write_at(&frames, commits.len))
                .map_err(io)?;
            commits.add(number, first, frames.len());
        }
    }
    if next <= until {
        return Err(format!("the journal does not hold commits {next} to {until}"));
    }
    Ok(commits)
}

/// A journal segment on its way into a backup.
struct Segment {
    number: u64,
    file: DiskFile,
    at: u64,
    expected: u64,
}

impl Segment {
    fn open(number: u64, path: &std::path::Path) -> Result<Self, String> {
        let file = DiskFile::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let header = header(&file, 0)?;
        let header = header.filter(|header| header.kind == Kind::Segment && header.a == number);
        let Some(header) = header else {
            return Err(format!("{} has no header that can be read", path.display()));
        };
        Ok(Self { number, file, at: HEADER as u64, expected: header.b })
    }

    /// The next frames of commits from `next` to `until`, and the first of these commits; `None`
    /// where this segment has no more of them.
    fn part(&mut self, next: &mut u64, until: u64) -> Result<Option<(u64, Vec<u8>)>, String> {
        let (first, mut frames) = (*next, Vec::new());
        while frames.len() < limits::BACKUP_PART_BYTES && self.expected <= until {
            let found = header(&self.file, self.at)?.filter(|header| {
                let (number, commit) = (header.b, header.a);
                header.kind == Kind::Commit && number == self.number && commit == self.expected
            });
            let Some(header) = found else { break };
            if self.expected == *next {
                add_frame(&self.file, self.at, &header, &mut frames)?;
                *next += 1;
            }
            self.at += header.frame_len();
            self.expected += 1;
        }
        Ok((!frames.is_empty()).then_some((first, frames)))
    }
}

/// The commits of a backup, copied.
#[derive(Debug)]
struct Commits {
    file: DiskFile,
    len: u64,
    parts: VecDeque<Spooled>,
}

/// A run of commits of one segment.
#[derive(Debug)]
struct Spooled {
    segment: u64,
    first: u64,
    at: u64,
    len: usize,
}

impl Commits {
    fn bytes(&self) -> u64 {
        self.len
    }

    fn add(&mut self, segment: u64, first: u64, len: usize) {
        self.parts.push_back(Spooled { segment, first, at: self.len, len });
        self.len += len as u64;
    }

    fn next(&mut self) -> Result<Option<Piece>, String> {
        let Some(Spooled { segment, first, at, len }) = self.parts.pop_front() else {
            return Ok(None);
        };
        let frames = self.file.read_at(at, len).map_err(|error| error.to_string())?;
        if frames.len() < len {
            return Err("commits that were set aside cannot be read back".to_owned());
        }
        Ok(Some(Piece::Commits { segment, first, frames }))
    }
}

/// A block file on its way into a backup.
#[derive(Debug)]
struct Walk {
    number: u32,
    file: Arc<DiskFile>,
    at: u64,
    end: u64,
    /// Bytes of it that the backup has.
    written: u64,
    /// Damage that is yet to be told.
    missing: VecDeque<String>,
}

impl Walk {
    fn next(&mut self, existing: &Existing) -> Result<Option<Piece>, String> {
        let io = |error: io::Error| format!("{}: {error}", self.file.path().display());
        let mut scan = Scan::until(self.number, &self.file, self.at, self.end).map_err(io)?;
        let mut frames = Vec::new();
        while frames.len() < limits::BACKUP_PART_BYTES && scan.damage.is_empty() {
            let Some(Scanned { place, header, body }) = scan.next().map_err(io)? else {
                if scan.damage.is_empty() && self.at < self.end {
                    scan.damage.push((self.at, self.end));
                }
                break;
            };
            if body.is_some() && existing.wants(&header) {
                let read = self.file.read_at(place.at, place.len as usize).map_err(io)?;
                frames.extend_from_slice(&read);
            }
            self.at = place.at + u64::from(place.len);
        }
        if let Some((from, to)) = scan.damage.first() {
            let text = format!(
                "block file {}: bytes {from} to {to} cannot be read; what they held is not in the \
                 backup",
                self.number
            );
            self.at = self.at.max(*to);
            self.missing.push_back(text);
        }
        let at = self.written;
        self.written += frames.len() as u64;
        let file = self.number;
        Ok(match (frames.is_empty(), self.missing.pop_front()) {
            (false, missing) => {
                self.missing.extend(missing);
                Some(Piece::Blocks { file, at, frames })
            }
            (true, missing) => missing.map(Piece::Missing),
        })
    }
}

/// A backup on its way out.
#[derive(Debug)]
struct Copying {
    commits: Commits,
    files: VecDeque<Walk>,
    existing: Existing,
    /// The end of a round, behind everything else: the last one may be damaged.
    end: Vec<u8>,
}

impl Pieces for Copying {
    fn next(&mut self) -> Result<Option<Piece>, String> {
        if let Some(piece) = self.commits.next()? {
            return Ok(Some(piece));
        }
        while let Some(walk) = self.files.front_mut() {
            if let Some(piece) = walk.next(&self.existing)? {
                return Ok(Some(piece));
            }
            let (file, at) = (walk.number, walk.written);
            self.files.pop_front();
            if self.files.is_empty() {
                let frames = std::mem::take(&mut self.end);
                return Ok(Some(Piece::Blocks { file, at, frames }));
            }
        }
        Ok(None)
    }
}

fn header(file: &DiskFile, at: u64) -> Result<Option<Header>, String> {
    let read = file.read_at(at, HEADER);
    let bytes = read.map_err(|error| format!("{}: {error}", file.path().display()))?;
    Ok(Header::decode(&bytes))
}

/// Adds a frame as it stands in its file, if its body is what its checksum says.
fn add_frame(file: &DiskFile, at: u64, header: &Header, into: &mut Vec<u8>) -> Result<(), String> {
    let len = usize::try_from(header.frame_len()).unwrap_or(usize::MAX);
    let read = file.read_at(at, len);
    let bytes = read.map_err(|error| format!("{}: {error}", file.path().display()))?;
    if !bytes.get(HEADER..).is_some_and(|body| header.confirms(body)) {
        return Err(format!("{} is damaged at byte {at}", file.path().display()));
    }
    into.extend_from_slice(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::atomic::{AtomicBool, AtomicU64},
    };

    use bytes::Bytes;

    use super::*;
    use crate::store::backup::{Part, Unsealing};
    use crate::store::{
        Batch, Change, MetaChange, Offset, Ordered, PageLimit, Permit, Position, Store, StreamNo,
        Write,
        sled::{Report, Sizes, SledStore, restore},
    };

    const WRITERS: u64 = 4;
    const STREAMS: u64 = 8;
    const SMALL: Sizes = Sizes { segment_bytes: 128 * 1024, block_file_bytes: 256 * 1024 };

    fn path(writer: u64, n: u64) -> Arc<str> {
        Arc::from(format!("{writer}/{}", n % STREAMS))
    }

    /// Step `n` of a writer, on stream `n % STREAMS`. Each step writes its number beside what it
    /// does, and with its record, where it has one.
    async fn step(store: &SledStore, writer: u64, n: u64) {
        let path = path(writer, n);
        let found = store.find(&path).await.unwrap();
        let (stream, change, is_record) = match found {
            Some(head) if n.is_multiple_of(97) => {
                submit(store, head.stream, Change::Delete, None, None).await;
                (store.allocate(), Change::Create { path, tail: Offset(0) }, true)
            }
            Some(head) if n.is_multiple_of(41) => {
                let earliest = Offset(head.tail.0.saturating_sub(5));
                (head.stream, Change::Trim { earliest }, false)
            }
            Some(head) => (head.stream, Change::Append { expected_tail: head.tail }, true),
            None => (store.allocate(), Change::Create { path, tail: Offset(0) }, true),
        };
        submit(store, stream, change, Some(n), is_record.then_some(n)).await;
    }

    async fn submit(
        store: &SledStore,
        stream: StreamNo,
        change: Change,
        step: Option<u64>,
        record: Option<u64>,
    ) {
        let meta = |key: &str, n: Option<u64>| {
            let value = n.map(|n| Bytes::from(n.to_string()));
            value.map(|value| MetaChange { key: Arc::from(key), value: Some(value) })
        };
        let payload = record.map(|n| {
            let filler = "0".repeat(300 + usize::try_from(n % 500).unwrap());
            Bytes::from(format!("{filler}{n}"))
        });
        let write = Write {
            stream,
            change,
            records: payload.into_iter().collect::<Batch>(),
            timestamp_ms: 0,
            meta: meta("step", step).into_iter().chain(meta("record", record)).collect(),
            due_ms: None,
            permit: Permit::default(),
        };
        store.submit(write).settled().await.unwrap();
    }

    fn number(bytes: &Bytes) -> u64 {
        std::str::from_utf8(bytes).unwrap().parse().unwrap()
    }

    async fn records(store: &SledStore) -> HashMap<Position, (StreamNo, u64)> {
        let (mut records, mut after) = (HashMap::new(), Position(0));
        loop {
            let limit = PageLimit { records: 1_000, bytes: usize::MAX };
            let Ordered { entries, reached, .. } = store.read_all(after, limit).await.unwrap();
            if reached == after {
                return records;
            }
            after = reached;
            records.extend(entries.into_iter().map(|entry| {
                (entry.record.position, (entry.stream, number(&entry.record.payload)))
            }));
        }
    }

    /// Checks that each writer's streams are as they were after one of its steps, at least the
    /// one that was acknowledged before.
    async fn is_one_state(store: &SledStore, acknowledged: &[u64]) {
        for (writer, acknowledged) in (0..).zip(acknowledged) {
            let mut steps = HashMap::new();
            for head in store.list(&format!("{writer}/"), "", 100).await.unwrap() {
                steps.insert(Arc::clone(&head.path), number(&head.meta["step"]));
                let page = PageLimit { records: 10_000, bytes: usize::MAX };
                let page =
                    store.read(head.stream, Offset(head.earliest.0 - 1), page).await.unwrap();
                if let Some(last) = page.records.last() {
                    assert_eq!(
                        number(&last.payload),
                        number(&head.meta["record"]),
                        "{}",
                        head.path
                    );
                }
            }
            let last = steps.values().copied().max().unwrap_or(0);
            assert!(last >= *acknowledged, "writer {writer}: {last} of {acknowledged}");
            for n in last.saturating_sub(STREAMS - 1).max(1)..=last {
                let found = steps.get(&path(writer, n)).copied();
                let made_anew = found.is_none() && n + STREAMS == last + 1;
                assert!(found == Some(n) || made_anew, "writer {writer}: {n}, not {found:?}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_backup_under_load_is_a_state_that_the_store_had() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        let store = Arc::new(SledStore::open_sized(&source, Arc::default(), SMALL).unwrap());
        let done = Arc::new(AtomicBool::new(false));
        let acknowledged: Arc<Vec<_>> = Arc::new((0..WRITERS).map(|_| AtomicU64::new(0)).collect());
        let mut writers = tokio::task::JoinSet::new();
        for (writer, _) in (0..).zip(acknowledged.iter()) {
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            let acknowledged = Arc::clone(&acknowledged);
            writers.spawn(async move {
                let mut n = 0;
                while !done.load(Ordering::SeqCst) {
                    n += 1;
                    step(&store, writer, n).await;
                    acknowledged[usize::try_from(writer).unwrap()].store(n, Ordering::SeqCst);
                }
            });
        }
        let now = || -> Vec<u64> {
            acknowledged.iter().map(|count| count.load(Ordering::SeqCst)).collect()
        };
        let mut restored = Vec::new();
        for round in 1..=6_u64 {
            while now().iter().any(|count| *count < round * 150) {
                tokio::task::yield_now().await;
            }
            let before = now();
            let mut backup = store.backup(round).await.unwrap();
            let mut bytes = Vec::new();
            while let Some(part) = backup.next().await {
                bytes.extend_from_slice(&part);
                // Somebody slow: segments are used again and block files replaced meanwhile.
                let far = now()[0] + 20;
                while now()[0] < far {
                    tokio::task::yield_now().await;
                }
            }
            let dir = folder.path().join(round.to_string());
            let found = restore(&mut &bytes[..], &dir, &mut |_, _| {}).unwrap();
            assert_eq!(found.report.problems, [""; 0]);
            let opened = SledStore::open_sized(&dir, Arc::default(), SMALL).unwrap();
            is_one_state(&opened, &before).await;
            restored.push(records(&opened).await);
        }
        done.store(true, Ordering::SeqCst);
        writers.join_all().await;
        // What the source still has of the time before a backup is in the backup.
        let at_the_end = records(&store).await;
        for restored in restored {
            let last = restored.keys().max().copied().unwrap();
            for (position, record) in at_the_end.iter().filter(|(position, _)| **position <= last) {
                assert_eq!(restored.get(position), Some(record));
            }
        }
    }

    /// A folder out of a backup of a store with a damaged frame: where the frame was, what the
    /// backup says that it lacks, and what is found in the folder.
    async fn damaged(is_hit: impl Fn(&Header) -> bool) -> (String, Vec<String>, Report) {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        let store = SledStore::open(&source, Arc::default()).unwrap();
        for n in 1..=30 {
            step(&store, 0, n).await;
        }
        store.compact();
        let file = DiskFile::open(&source.join("blocks/00000001.blk")).unwrap();
        let mut scan = Scan::new(1, &file, 0).unwrap();
        let frames = std::iter::from_fn(|| scan.next().unwrap());
        let hit = frames.filter(|frame| is_hit(&frame.header)).last().unwrap().place;
        let bytes = file.read_at(hit.at + HEADER as u64, 1).unwrap();
        file.write_at(&[bytes[0] ^ 1], hit.at + HEADER as u64).unwrap();
        let mut backup = store.backup(1).await.unwrap();
        let (mut bytes, mut unsealing) = (Vec::new(), Unsealing::default());
        let mut missing = Vec::new();
        while let Some(part) = backup.next().await {
            bytes.extend_from_slice(&part);
            unsealing.push(&part);
            while let Some(part) = unsealing.part().unwrap() {
                missing.extend(match part {
                    Part::Missing(text) => Some(text),
                    _ => None,
                });
            }
        }
        unsealing.finish().unwrap();
        let dir = folder.path().join("new");
        let found = restore(&mut &bytes[..], &dir, &mut |_, _| {}).unwrap().report;
        let place = format!("block file 1: bytes {} to {}", hit.at, hit.at + u64::from(hit.len));
        (place, missing, found)
    }

    #[tokio::test]
    async fn what_the_store_had_lost_is_named_and_the_rest_comes_back() {
        let hit = |header: &Header| header.kind == Kind::Records && header.a == 3;
        let (place, missing, found) = damaged(hit).await;
        let lacks = format!("{place} cannot be read; what they held is not in the backup");
        assert_eq!(missing, [lacks]);
        assert_eq!(found.problems, ["stream 0/3: records 1 to 4 are lost: no block holds them"]);
        assert_eq!(found.records, 26);
    }

    #[tokio::test]
    async fn a_damaged_end_of_a_round_costs_nothing() {
        let (place, missing, found) = damaged(|header| header.kind == Kind::Round).await;
        assert!(missing.len() == 1 && missing[0].starts_with(&place), "{missing:?}");
        assert_eq!((found.problems, found.records), (Vec::new(), 30));
    }
}
