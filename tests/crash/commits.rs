//! Damage where it is known what must come of it: in a commit of the journal, in headers, at the
//! end of a block file; and what salvage leaves behind.

use std::{path::PathBuf, sync::Arc};

use scrollback::{
    metrics::Metrics,
    store::{
        OpenError, Store,
        sled::{SledStore, salvage},
    },
};

use crate::{
    damage::{
        Image, build, compare, is_end_in_doubt, named, read_everything, restore,
        see_salvage_through,
    },
    disk,
    util::{block_on, open},
};

/// Where the commits of a journal segment stand: place and number, in order.
fn commits(segment: &[u8]) -> Vec<(usize, u64)> {
    let long = |at: usize| u64::from_le_bytes(*segment[at..].first_chunk().unwrap());
    let mut commits: Vec<(usize, u64)> = Vec::new();
    let mut at = 48;
    // A frame: magic, kind, …, length of the body at 12, number at 16, segment at 24; 48 in all.
    while segment[at..].starts_with(b"SBf1") && long(at + 24) == long(16) {
        commits.push((at, long(at + 16)));
        at += 48 + usize::try_from(long(at + 8) >> 32).unwrap();
    }
    commits
}

/// The newest segment of a killed folder with commits, and these.
fn last_segment(image: &Image) -> (PathBuf, Vec<(usize, u64)>) {
    let segments = image.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "log"));
    let mut with_commits = segments
        .map(|(path, content)| (path.clone(), commits(content.as_ref().unwrap())))
        .filter(|(_, commits)| commits.len() > 2);
    with_commits.next_back().unwrap()
}

/// Where the damage is in a payload, the commit still says which records it held.
#[test]
fn records_of_a_damaged_commit_are_named_and_their_offsets_stay_taken() {
    let (image, expected) = build(6, true);
    let (path, commits) = last_segment(&image);
    let mut told = 0;
    for next in commits.iter().skip(1).take(6) {
        let mut image = image.clone();
        image.get_mut(&path).unwrap().as_mut().unwrap()[next.0 - 1] ^= 1;
        let folder = restore(&image);
        let refused = open(folder.path());
        assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
        let report = salvage(folder.path(), &mut |_, _| {}).unwrap();
        let lost = named(&report.problems);
        told += usize::from(!lost.is_empty() && !is_end_in_doubt(&report.problems));
        let store = SledStore::open(folder.path(), Arc::new(Metrics::default())).unwrap();
        let (found, _) = block_on(read_everything(&store)).unwrap();
        compare(&expected, &found, &lost, &report.problems);
    }
    assert!(told > 0, "no commit ended in a payload");
}

#[test]
fn a_flip_anywhere_in_the_header_of_the_last_commit_is_reported() {
    let (image, expected) = build(7, true);
    let (path, commits) = last_segment(&image);
    let (last, _) = *commits.last().unwrap();
    for byte in 0..48 {
        let mut image = image.clone();
        image.get_mut(&path).unwrap().as_mut().unwrap()[last + byte] ^= 4;
        let folder = restore(&image);
        let store = open(folder.path()).unwrap();
        let reported = store.damage().iter().any(|line| line.contains("incomplete"));
        assert!(reported, "byte {byte}: {:?}", store.damage());
        let (found, lost) = block_on(read_everything(&store)).unwrap();
        compare(&expected, &found, &lost, store.damage());
    }
}

#[test]
fn a_salvaged_folder_is_not_refused_again() {
    // A segment in which nothing was written yet loses its header.
    let (image, expected) = build(8, false);
    let folder = restore(&image);
    let store = open(folder.path()).unwrap();
    let mut idle = disk::read_tree(folder.path());
    drop(store);
    let segment = idle.keys().rfind(|path| path.extension().is_some_and(|e| e == "log")).unwrap();
    idle.get_mut(&segment.clone()).unwrap().as_mut().unwrap()[16] ^= 1;
    // The index is gone, and the end of the last round is damaged.
    let mut ended = image;
    ended.retain(|path, _| !path.starts_with("index"));
    let last = ended.keys().rfind(|path| path.starts_with("blocks")).unwrap().clone();
    *ended.get_mut(&last).unwrap().as_mut().unwrap().last_mut().unwrap() ^= 1;
    for image in [idle, ended] {
        let folder = restore(&image);
        see_salvage_through(folder.path(), &expected);
        let store = open(folder.path()).unwrap();
        let (found, lost) = block_on(read_everything(&store)).unwrap();
        assert!(lost.is_empty());
        compare(&expected, &found, &lost, &[]);
    }
}

/// A block file loses its end, with the newest records of some streams; the index still knows
/// their tails, and salvage keeps them: no offset is given out twice.
#[test]
fn offsets_of_lost_records_are_not_given_out_again() {
    let (mut image, expected) = build(5, false);
    let last = image.keys().rfind(|path| path.starts_with("blocks")).unwrap().clone();
    let content = image.get_mut(&last).unwrap().as_mut().unwrap();
    content.truncate(content.len() / 2);
    let folder = restore(&image);
    let report = salvage(folder.path(), &mut |_, _| {}).unwrap();
    assert!(!named(&report.problems).is_empty(), "{report:#?}");
    let store = SledStore::open(folder.path(), Arc::new(Metrics::default())).unwrap();
    let listed = block_on(store.list("", "", usize::MAX)).unwrap();
    for (number, held) in &expected {
        let head = listed.iter().find(|head| head.stream.0 == *number).unwrap();
        let end = held.earliest + held.payloads.len() as u64;
        assert_eq!((&*head.path, head.tail.0 + 1), (&*held.path, end));
    }
}
