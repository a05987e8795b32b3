//! The offline check of a data folder: every checksum, every stream without a gap, every record
//! in the commit order once. It opens the folder, so it heals
//! what opening heals and compacts the journal; records stay as they are.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use super::{
    SledStore, block, files::Scan, frame::Kind, index::IndexError, read, shared::Shared, table::Run,
};
use crate::{
    metrics::Metrics,
    store::{Head, Offset, OpenError, StreamNo},
};

/// What a check or a salvage found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What is wrong or was lost, in words; empty where nothing is.
    pub problems: Vec<String>,
    /// Streams that were looked at.
    pub streams: u64,
    /// Records that can be read.
    pub records: u64,
    /// Their payload bytes.
    pub bytes: u64,
}

/// Checks a data folder. `progress` is called with the bytes done and the bytes in all.
///
/// # Errors
/// [`OpenError`]: the folder cannot be opened at all.
pub fn verify(path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, OpenError> {
    let store = SledStore::open(path, Arc::new(Metrics::default()))?;
    store.compact();
    check(&store, progress)
}

/// Checks an open store that nobody writes to.
pub(super) fn check(
    store: &SledStore,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, OpenError> {
    let mut report = Report { problems: store.damage().to_vec(), ..Report::default() };
    let checked = frames(&store.shared, &mut report, progress)
        .and_then(|()| streams(&store.shared, &mut report));
    match checked {
        Ok(()) => Ok(report),
        Err(error) => Err(OpenError::Index(error.to_string())),
    }
}

/// Reads every frame of every block file.
fn frames(
    shared: &Shared,
    report: &mut Report,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), IndexError> {
    let numbers = shared.files.numbers();
    let sizes = numbers.iter().filter_map(|number| shared.files.get(*number)?.len().ok());
    let (total, mut before) = (sizes.sum(), 0);
    for number in numbers {
        let Some(file) = shared.files.get(number) else { continue };
        let problem = |error: std::io::Error| IndexError(format!("block file {number}: {error}"));
        let mark = shared.index(|index| index.file_mark(number))?;
        let len = file.len().map_err(problem)?;
        if len < mark.indexed {
            report
                .problems
                .push(format!("block file {number} was cut to {len} of {} bytes", mark.indexed));
        }
        let mut scan = Scan::new(number, &file, 0).map_err(problem)?;
        while let Some(frame) = scan.next().map_err(problem)? {
            progress(before + frame.place.at, total);
        }
        for (from, to) in std::mem::take(&mut scan.damage) {
            report.problems.push(format!("block file {number}: bytes {from} to {to} are damaged"));
        }
        before += len;
    }
    progress(total, total);
    Ok(())
}

/// Walks every stream, and the commit order beside them.
fn streams(shared: &Shared, report: &mut Report) -> Result<(), IndexError> {
    let mut heads: Vec<Head> = Vec::new();
    shared.index(|index| index.each_stream(|_, head| heads.push(head.clone())))?;
    let mut order = ordered(shared, report)?;
    for head in &heads {
        report.streams += 1;
        stream(shared, head, report)?;
        let runs = order.remove(&head.stream).unwrap_or_default();
        if let Some((from, to)) = first_gap(head, runs) {
            report.problems.push(format!(
                "stream {}: records {from} to {to} are not in the commit order exactly once",
                head.path
            ));
        }
    }
    Ok(())
}

fn stream(shared: &Shared, head: &Head, report: &mut Report) -> Result<(), IndexError> {
    let mut next = head.earliest;
    let mut lost = |from: Offset, to: u64, why: &str| {
        report
            .problems
            .push(format!("stream {}: records {from} to {to} are lost: {why}", head.path));
    };
    let (mut records, mut bytes) = (0, 0);
    loop {
        let entries = shared.index(|index| index.blocks_from(head.stream, next, 1_000))?;
        let ended = entries.len() < 1_000;
        for entry in entries.into_iter().filter(|entry| entry.last() >= head.earliest) {
            if entry.first > next {
                lost(next, entry.first.0 - 1, "no block holds them");
            }
            match read::read_block(shared, head.stream, &entry) {
                Ok(read) => {
                    let kept = read.iter().filter(|record| record.offset >= head.earliest);
                    for record in kept {
                        records += 1;
                        bytes += record.payload.len() as u64;
                    }
                }
                Err(reason) => lost(entry.first.max(head.earliest), entry.last().0, &reason),
            }
            next = entry.last().plus(1);
        }
        if ended {
            break;
        }
    }
    if next <= head.tail {
        lost(next, head.tail.0, "no block holds them");
    }
    report.records += records;
    report.bytes += bytes;
    Ok(())
}

/// The offsets of each stream that the commit order names.
fn ordered(
    shared: &Shared,
    report: &mut Report,
) -> Result<HashMap<StreamNo, BTreeMap<u64, u32>>, IndexError> {
    let mut places = Vec::new();
    shared.index(|index| index.each_order(|place| places.push(place)))?;
    let mut streams: HashMap<StreamNo, BTreeMap<u64, u32>> = HashMap::new();
    for place in places {
        let read = shared.files.read(place);
        let runs = read.and_then(|(header, body)| {
            let right = header.kind == Kind::Order;
            let runs = block::decode_order(&body).filter(|_| right);
            runs.ok_or_else(|| format!("block file {} at byte {}: no order", place.file, place.at))
        });
        match runs {
            Ok(runs) => {
                for Run { stream, first, count, .. } in runs {
                    streams.entry(stream).or_default().insert(first.0, count);
                }
            }
            Err(reason) => report.problems.push(format!("the commit order: {reason}")),
        }
    }
    Ok(streams)
}

/// The first kept records that the commit order leaves out or names twice.
fn first_gap(head: &Head, runs: BTreeMap<u64, u32>) -> Option<(u64, u64)> {
    let mut next = head.earliest.0;
    for (first, count) in runs {
        let end = first + u64::from(count);
        if end <= next && first < head.earliest.0 {
            continue;
        }
        if first > next {
            return Some((next, first - 1));
        }
        if first < next && next != head.earliest.0 {
            return Some((first, next - 1));
        }
        next = end;
    }
    (next <= head.tail.0).then_some((next, head.tail.0))
}
