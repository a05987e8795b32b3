//! States of sessions over the store on disk, opened again in between, against a fold of the same
//! records in one go: the same, to the hash.

use std::{path::Path, sync::Arc};

use proptest::{prelude::*, sample::Index};
use scrollback::{
    clock::ManualClock,
    log::{Append, Log, NewRecord, Offset, Position, Record},
    metrics::Metrics,
    projection::{Checked, Fold, Views},
    session::projections::Projections,
    store::sled::SledStore,
};

use crate::util::{NOW_MS, SIZES, block_on, log_over, path};

const SESSION: &str = "sessions/any";

/// Every event of the sample sessions, to choose from.
fn samples() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sessions");
    let mut files: Vec<_> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn open(folder: &Path) -> Log {
    let metrics = Arc::new(Metrics::default());
    let store = SledStore::open_sized(folder, metrics, SIZES).unwrap();
    log_over(Arc::new(store), &ManualClock::at(NOW_MS))
}

async fn append(log: &Log, events: &[&str]) {
    let records =
        events.iter().map(|event| NewRecord { id: None, payload: (*event).to_owned().into() });
    log.append(&path(SESSION), Append::json(records)).await.unwrap();
}

async fn seen(log: &Log) -> ([u8; 32], Offset) {
    let views = Views::<Projections>::new(log.clone());
    views.read(&path(SESSION), |state, at| (state.hash(), at)).await.unwrap()
}

/// The hash of the state that events lead to, without a log.
fn folded(events: &[&str]) -> [u8; 32] {
    let mut state = Projections::default();
    for (offset, event) in (1..).zip(events) {
        state.fold(&Record {
            offset: Offset(offset),
            position: Position(offset),
            timestamp_ms: NOW_MS,
            payload: (*event).to_owned().into(),
        });
    }
    state.hash()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default()
    })]

    #[test]
    fn any_events_give_the_same_state_from_checkpoints_and_over_openings(
        chosen in proptest::collection::vec(any::<Index>(), 1..300),
        run in any::<Index>(),
        cut in any::<Index>(),
    ) {
        let samples = samples();
        // A run of events as they were, so that there are turns to fold, and then any.
        let begin = run.index(samples.len());
        let run = samples[begin..].iter().take(chosen.len());
        let any = chosen.iter().map(|index| index.get(&samples));
        let events: Vec<&str> = run.chain(any).map(String::as_str).collect();
        let (before, after) = events.split_at(1 + cut.index(events.len() - 1));
        let folder = tempfile::tempdir().unwrap();
        block_on(async {
            let log = open(folder.path());
            append(&log, before).await;
            let views = Views::<Projections>::new(log.clone());
            views.rebuild(&path(SESSION)).await.unwrap();
            drop((views, log));
            let log = open(folder.path());
            let views = Views::<Projections>::new(log.clone());
            let checked = views.check(&path(SESSION)).await.unwrap();
            prop_assert_eq!(checked, Checked::Same { checkpoints: 1 });
            prop_assert_eq!(seen(&log).await.0, folded(before));
            if !after.is_empty() {
                append(&log, after).await;
            }
            let whole = seen(&log).await;
            prop_assert_eq!(whole, (folded(&events), Offset(events.len() as u64)));
            drop((views, log));
            let log = open(folder.path());
            prop_assert_eq!(seen(&log).await, whole);
            Views::<Projections>::new(log.clone()).rebuild(&path(SESSION)).await.unwrap();
            prop_assert_eq!(seen(&log).await, whole);
            Ok(())
        })?;
    }
}
