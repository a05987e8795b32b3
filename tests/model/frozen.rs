//! Data folders of versions that were released: each must open for ever and read as it was
//! written. `fixtures/store-v1` was left by a server that was killed with records in its journal.
//!
//! `SCROLLBACK_FREEZE=fixtures/store-v2 cargo test --test model frozen` freezes a new one, when
//! the format has changed.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use scrollback::{
    clock::ManualClock,
    log::{Append, AppendError, Log, NewRecord, Offset, ReadError, StreamSpec},
    metrics::Metrics,
    store::{
        Store,
        sled::{SledStore, verify},
    },
};

use crate::util::{ALL, NOW_MS, SIZES, append, log_over, path};

const LONG: u64 = 300;
const SHORT: u64 = 20;

fn payload(stream: &str, number: u64) -> Bytes {
    let text = "lorem ipsum ".repeat(usize::try_from(number % 7).unwrap());
    Bytes::from(format!(r#"{{"id":"{stream}-{number}","channel":"x","data":"{text}"}}"#))
}

async fn fill(log: &Log, at: &str, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let id = Some(Arc::from(format!("{at}-{number}")));
        let record = NewRecord { id, payload: payload(at, number) };
        log.append(&path(at), Append::json([record])).await.unwrap();
    }
}

/// Writes what the frozen folders hold: some of it in blocks, the rest in the journal.
async fn write(store: &Arc<SledStore>, clock: &Arc<ManualClock>) {
    let log = log_over(Arc::<SledStore>::clone(store), clock);
    let minute = Duration::from_secs(60);
    let spec = StreamSpec { retention: Some(minute), ..StreamSpec::json() };
    log.create(&path("short"), spec).await.unwrap();
    fill(&log, "short", 1..=SHORT).await;
    fill(&log, "long", 1..=LONG / 2).await;
    fill(&log, "gone", 1..=5).await;
    fill(&log, "closed", 1..=3).await;
    log.close(&path("closed")).await.unwrap();
    let text = StreamSpec { content_type: Arc::from("text/plain"), ..StreamSpec::json() };
    log.create(&path("text"), text).await.unwrap();
    let number = store.find("long").await.unwrap().unwrap().stream;
    store.save_checkpoint(number, "state", Bytes::from_static(b"half")).settled().await.unwrap();
    store.compact();
    clock.advance(2 * minute);
    log.sweep().await.unwrap();
    fill(&log, "short", SHORT + 1..=SHORT + 2).await;
    fill(&log, "long", LONG / 2 + 1..=LONG).await;
    log.delete(&path("gone")).await.unwrap();
}

async fn check(folder: &Path) {
    let store = SledStore::open_sized(folder, Arc::new(Metrics::default()), SIZES).unwrap();
    assert_eq!(store.damage(), [] as [String; 0]);
    let store = Arc::new(store);
    let log = log_over(Arc::<SledStore>::clone(&store), &ManualClock::at(NOW_MS + 130_000));
    for (at, earliest, tail) in
        [("closed", 1, 3), ("long", 1, LONG), ("short", SHORT + 1, SHORT + 2), ("text", 1, 0)]
    {
        let info = log.info(&path(at)).await.unwrap();
        assert_eq!((info.earliest.0, info.tail.0), (earliest, tail), "{at}");
        assert_eq!(info.closed, at == "closed");
        let mut next = earliest;
        while next <= tail {
            let page = log.read(&path(at), Offset(next - 1), ALL).await.unwrap();
            for record in page.records {
                assert_eq!((record.offset.0, record.payload), (next, payload(at, next)), "{at}");
                next += 1;
            }
        }
    }
    assert!(matches!(log.info(&path("gone")).await, Err(ReadError::NoStream(_))));
    let number = store.find("long").await.unwrap().unwrap().stream;
    assert_eq!(store.checkpoint(number, "state").await.unwrap().unwrap(), "half");
    // It goes on where it was: ids are known, closed is closed, offsets follow.
    let again = append(&log, "long", &["long-300", "new"]).await.unwrap();
    assert_eq!((again.placed[0].duplicate, again.last), (true, Offset(LONG + 1)));
    let closed = append(&log, "closed", &["new"]).await;
    assert!(matches!(closed, Err(AppendError::Closed(_))), "{closed:?}");
    log.stop().await.unwrap();
    drop((log, store));
    let report = verify(folder, &mut |_, _| ()).unwrap();
    assert_eq!(report.problems, [] as [String; 0]);
}

/// Copies a folder as a kill would leave it. The lock and the room set aside are made anew.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else if !["LOCK", "reserve"].iter().any(|name| path.ends_with(name)) {
            fs::copy(&path, &to).unwrap();
        }
    }
}

#[tokio::test]
async fn folders_of_every_version_read_as_they_were_written() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut versions = 0;
    for entry in fs::read_dir(fixtures).unwrap() {
        let frozen = entry.unwrap().path();
        if !frozen.file_name().unwrap().to_str().unwrap().starts_with("store-v") {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        copy(&frozen, folder.path());
        check(folder.path()).await;
        versions += 1;
    }
    assert!(versions > 0, "no folder is frozen");
}

#[tokio::test]
async fn what_is_written_now_reads_like_what_was_frozen() {
    let (written, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let metrics = Arc::new(Metrics::default());
    let store = Arc::new(SledStore::open_sized(written.path(), metrics, SIZES).unwrap());
    write(&store, &ManualClock::at(NOW_MS)).await;
    copy(written.path(), killed.path());
    if let Some(to) = std::env::var_os("SCROLLBACK_FREEZE").map(PathBuf::from) {
        copy(killed.path(), &to);
    }
    store.close().await.unwrap();
    check(killed.path()).await;
}

/// An opening that was killed while it built the index anew leaves half of one. It goes, and the
/// one that was put aside, which knows more, is asked again.
#[tokio::test]
async fn a_half_built_index_does_not_take_the_place_of_the_one_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let store = Arc::new(SledStore::open_sized(folder.path(), metrics, SIZES).unwrap());
    write(&store, &ManualClock::at(NOW_MS)).await;
    store.close().await.unwrap();
    drop(store);
    let at = |name: &str| folder.path().join(name);
    fs::rename(at("index"), at("index.damaged")).unwrap();
    fs::create_dir(at("index")).unwrap();
    fs::write(at("index/half"), "half").unwrap();
    fs::write(at("index.building"), "").unwrap();
    check(folder.path()).await;
    assert!(!at("index.building").exists(), "it is built");
    assert!(!at("index/half").exists(), "built anew");
    assert!(at("index.damaged/db").exists() && !at("index.damaged/half").exists());
}
