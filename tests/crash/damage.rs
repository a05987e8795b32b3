//! Flipped bits and cut files, in every file of a data folder that was closed and of one whose
//! process was killed. Each ends in one of three ways:
//!
//! - the folder opens and every record reads back exactly;
//! - it opens, the damage is named, and what it took is named when it is read; the rest is exact;
//! - it is refused with the file and the place, and salvage makes it open again.
//!
//! After salvage, each record reads back exactly or lies in a range that the report names. There
//! is one thing no check can know: what stood at the very end of a journal. A flip in the last
//! commit looks like a commit torn by a power cut, and a cut segment ends where it ends. Records
//! that go this way are the last of their streams, and the report names the commit or the file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use scrollback::{
    metrics::Metrics,
    store::{
        Offset, OpenError, PageLimit, ReadError, Store,
        sled::{Report, SledStore, salvage, verify},
    },
};

use crate::{
    disk,
    load::{self, Event, Load, Sink},
    util::{Random, block_on, open, seed},
};

pub(crate) type Image = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// What a stream holds: the first offset that is kept, and the payloads from there on.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) path: String,
    pub(crate) earliest: u64,
    pub(crate) payloads: Vec<Bytes>,
}

/// Every record of a folder, by stream number: a path may have had several streams.
pub(crate) type Records = BTreeMap<u64, Held>;

const PAGE: PageLimit = PageLimit { records: 500, bytes: 1 << 20 };

struct Quiet(std::sync::atomic::AtomicUsize);

impl Sink for Quiet {
    fn event(&self, event: Event) {
        if matches!(event, Event::Appended(_)) {
            let left = &self.0;
            let order = std::sync::atomic::Ordering::SeqCst;
            let _ = left.fetch_update(order, order, |n| n.checked_sub(1));
        }
    }

    fn is_over(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst) == 0
    }
}

/// A folder with several block files; closed, or as a kill leaves it with a full journal.
pub(crate) fn build(seed: u64, killed: bool) -> (Image, Records) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()).unwrap());
    let sink = |appends: usize| -> Arc<dyn Sink> { Arc::new(Quiet(appends.into())) };
    let load = |round, compact_one_in| Load { seed, round, workers: 3, compact_one_in };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(load::run(&store, load(1, 60), &sink(900)));
    store.compact();
    runtime.block_on(load::run(&store, load(2, usize::MAX), &sink(25)));
    let image = disk::read_tree(folder.path());
    if !killed {
        runtime.block_on(store.close()).unwrap();
        let image = disk::read_tree(folder.path());
        let records = truth(&image);
        return (image, records);
    }
    let records = truth(&image);
    (image, records)
}

/// What an undamaged folder holds.
fn truth(image: &Image) -> Records {
    let folder = restore(image);
    let store = open(folder.path()).unwrap();
    let (records, lost) = block_on(read_everything(&store)).unwrap();
    assert!(lost.is_empty() && store.damage().is_empty());
    records
}

pub(crate) fn restore(image: &Image) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in image {
        let path = folder.path().join(path);
        match content {
            Some(content) => std::fs::write(path, content).unwrap(),
            None => std::fs::create_dir(path).unwrap(),
        }
    }
    folder
}

pub(crate) type Lost = Vec<(String, u64, u64)>;

/// Everything that can be read, with empty payloads where something is lost, and the lost ranges.
pub(crate) async fn read_everything(store: &SledStore) -> Result<(Records, Lost), String> {
    let (mut records, mut lost) = (Records::new(), Lost::new());
    let listed = store.list("", "", usize::MAX).await.map_err(|error| error.to_string())?;
    for head in listed {
        let (mut at, mut payloads) = (head.earliest.0 - 1, Vec::new());
        while at < head.tail.0 {
            match store.read(head.stream, Offset(at), PAGE).await {
                Ok(page) => {
                    assert!(!page.records.is_empty(), "{} ends at {at}", head.path);
                    for record in page.records {
                        at += 1;
                        assert_eq!(record.offset.0, at, "a gap in {}", head.path);
                        payloads.push(record.payload);
                    }
                }
                Err(ReadError::Lost { from, to, .. }) => {
                    assert_eq!(from.0, at + 1);
                    lost.push((head.path.to_string(), from.0, to.0));
                    payloads
                        .resize(payloads.len() + usize::try_from(to.0 - at).unwrap(), Bytes::new());
                    at = to.0;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        let (path, earliest) = (head.path.to_string(), head.earliest.0);
        records.insert(head.stream.0, Held { path, earliest, payloads });
    }
    Ok((records, lost))
}

/// The ranges that a report names.
pub(crate) fn named(problems: &[String]) -> Lost {
    let range = |line: &String| {
        let (path, rest) = line.strip_prefix("stream ")?.split_once(": records ")?;
        let (range, _) = rest.split_once(" are lost")?;
        let (from, to) = range.split_once(" to ")?;
        Some((path.to_owned(), from.parse().ok()?, to.parse().ok()?))
    };
    problems.iter().filter_map(range).collect()
}

/// Compares what was read with the truth: exact, or inside a lost range, or, where the words about
/// the folder leave the end of the journal in doubt, one of the last of its stream.
pub(crate) fn compare(expected: &Records, found: &Records, lost: &Lost, words: &[String]) {
    let end_may_go = is_end_in_doubt(words);
    // Trims and deletions of a damaged commit are undone with it.
    let is_undone = words.iter().any(|line| line.contains("cannot be read"));
    for (number, Held { path, earliest, payloads }) in expected {
        let Some(held) = found.get(number) else {
            assert!(end_may_go, "stream {number} at {path} is gone without a word");
            continue;
        };
        let is_nameless = held.path == format!("recovered/{number}");
        assert!(held.path == *path || is_nameless, "{path} is at {}", held.path);
        let begins = held.earliest == *earliest || is_undone && held.earliest < *earliest;
        assert!(end_may_go || begins, "{path} begins at {}", held.earliest);
        for (payload, offset) in payloads.iter().zip(*earliest..) {
            let is_lost = lost
                .iter()
                .any(|(at, from, to)| *at == held.path && (*from..=*to).contains(&offset));
            let at = offset.checked_sub(held.earliest).and_then(|at| usize::try_from(at).ok());
            match at.and_then(|at| held.payloads.get(at)) {
                _ if is_lost => {}
                Some(found) => assert!(found == payload, "{path} has wrong bytes at {offset}"),
                None => assert!(end_may_go, "{path} lost {offset} without a word: {lost:?}"),
            }
        }
        let (known, end) =
            (earliest + payloads.len() as u64, held.earliest + held.payloads.len() as u64);
        assert!(end <= known || end_may_go, "{path} ends at {end}, not {known}");
    }
}

/// Whether the words about a folder say that the end of the journal is in doubt.
pub(crate) fn is_end_in_doubt(words: &[String]) -> bool {
    let doubts = ["cut short", "incomplete", "is unknown", "header cannot be read"];
    words.iter().any(|line| doubts.iter().any(|doubt| line.contains(doubt)))
}

/// How a damaged folder ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Exact,
    Named,
    Healed,
    Salvaged,
}

/// Opens a damaged folder and sees it through.
fn see_through(folder: &Path, expected: &Records) -> End {
    match open(folder) {
        Ok(store) => {
            let words = store.damage().to_vec();
            match block_on(read_everything(&store)) {
                Ok((found, lost)) => {
                    compare(expected, &found, &lost, &words);
                    if lost.is_empty() && words.is_empty() { End::Exact } else { End::Named }
                }
                // The index broke while it was read: said so, and built anew the next time.
                Err(_) => {
                    drop(store);
                    let store = open(folder).unwrap();
                    let (found, lost) = block_on(read_everything(&store)).unwrap();
                    compare(expected, &found, &lost, store.damage());
                    End::Healed
                }
            }
        }
        Err(OpenError::Damaged { .. } | OpenError::Index(_) | OpenError::Format { .. }) => {
            see_salvage_through(folder, expected);
            End::Salvaged
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn see_salvage_through(folder: &Path, expected: &Records) {
    let report: Report = match salvage(folder, &mut |_, _| {}) {
        Ok(report) => report,
        // The format is for a person to look at: nothing is read under a wrong one.
        Err(OpenError::Format { .. }) => {
            std::fs::write(folder.join("FORMAT"), "scrollback 1\n").unwrap();
            return assert_eq!(see_through(folder, expected), End::Exact);
        }
        Err(error) => panic!("salvage: {error}"),
    };
    let lost = named(&report.problems);
    let store = SledStore::open(folder, Arc::new(Metrics::default())).unwrap();
    let (found, lost_on_reading) = block_on(read_everything(&store)).unwrap();
    compare(expected, &found, &lost, &report.problems);
    assert_eq!(sorted(lost_on_reading), sorted(lost.clone()), "the report and the reads differ");
    drop(store);
    let again = verify(folder, &mut |_, _| {}).unwrap();
    assert_eq!(sorted(named(&again.problems)), sorted(lost), "verify and salvage differ");
}

fn sorted(mut lost: Lost) -> Lost {
    lost.sort_unstable();
    // Neighbours may be named together or apart.
    let mut joined: Lost = Vec::new();
    for (path, from, to) in lost {
        match joined.last_mut() {
            Some(last) if last.0 == path && last.2 + 1 >= from => last.2 = last.2.max(to),
            _ => joined.push((path, from, to)),
        }
    }
    joined
}

/// Damages a file of the folder, and sees it through.
fn damaged(
    image: &Image,
    expected: &Records,
    random: &mut Random,
    damage: impl Fn(&mut Vec<u8>, &mut Random) -> String,
) -> (PathBuf, String, End) {
    let files: Vec<&PathBuf> = image
        .iter()
        .filter(|(path, content)| {
            let matters = !path.starts_with("reserve") && !path.starts_with("LOCK");
            matters && content.as_ref().is_some_and(|content| !content.is_empty())
        })
        .map(|(path, _)| path)
        .collect();
    // Small files are as likely as large ones.
    let path = files[random.below(files.len())].clone();
    let mut image = image.clone();
    let content = image.get_mut(&path).unwrap().as_mut().unwrap();
    let words = damage(content, random);
    let folder = restore(&image);
    eprintln!("{} {words}", path.display());
    let end = see_through(folder.path(), expected);
    (path, words, end)
}

#[expect(clippy::ptr_arg, reason = "damage of either kind has one signature")]
fn flip(content: &mut Vec<u8>, random: &mut Random) -> String {
    // Half of the flips hit the beginning, where headers and short files are.
    let within = if random.one_in(2) { content.len().min(4_096) } else { content.len() };
    let at = random.below(within);
    content[at] ^= 1 << random.below(8);
    format!("flipped at {at}")
}

fn cut(content: &mut Vec<u8>, random: &mut Random) -> String {
    let len = random.below(content.len());
    content.truncate(len);
    format!("cut at {len}")
}

fn summary(ends: &[(PathBuf, String, End)]) {
    for end in [End::Exact, End::Named, End::Healed, End::Salvaged] {
        eprintln!("{end:?}: {}", ends.iter().filter(|(_, _, ended)| *ended == end).count());
    }
}

#[test]
fn a_hundred_flipped_bits_are_healed_named_or_refused_and_salvaged() {
    let seed = seed("flipped bits");
    let mut random = Random::new(seed);
    let mut ends = Vec::new();
    for killed in [false, true] {
        let (image, expected) = build(seed, killed);
        ends.extend((0..50).map(|_| damaged(&image, &expected, &mut random, flip)));
    }
    summary(&ends);
}

#[test]
fn fifty_cut_files_are_healed_named_or_refused_and_salvaged() {
    let seed = seed("cut files");
    let mut random = Random::new(seed);
    let mut ends = Vec::new();
    for killed in [false, true] {
        let (image, expected) = build(seed, killed);
        ends.extend((0..25).map(|_| damaged(&image, &expected, &mut random, cut)));
    }
    summary(&ends);
}

#[test]
fn snapshots_of_the_index_that_are_half_written_or_rubbish_are_stepped_over() {
    let (image, expected) = build(3, true);
    for (name, content) in [
        ("snap.0000000000000001.generating", &b"half"[..]),
        ("snap.00000000FFFFFFFF.generating", b""),
        ("snap.00000000FFFFFFFF", b"rubbish that was never a snapshot of anything"),
    ] {
        let mut image = image.clone();
        image.insert(PathBuf::from("index").join(name), Some(content.to_vec()));
        let folder = restore(&image);
        assert_eq!(see_through(folder.path(), &expected), End::Exact, "{name}");
    }
}

#[test]
fn an_index_that_is_gone_is_built_anew_with_every_record() {
    let (mut image, expected) = build(4, true);
    image.retain(|path, _| !path.starts_with("index"));
    let folder = restore(&image);
    assert_eq!(see_through(folder.path(), &expected), End::Exact);
}
