//! A full disk: appends are refused as such, reads go on, room that comes back is used, and what
//! was acknowledged is there. On a small file system where one can be mounted, and always on a
//! disk whose room is counted by `disk`. And a sync that fails, which is worse: it ends the store.

use std::{
    path::Path,
    process::Command,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use scrollback::{
    limits,
    metrics::Metrics,
    store::{
        Change, Offset, PageLimit, Permit, Store, StreamNo, Write, WriteError, sled::SledStore,
    },
};

use crate::{
    disk::Watch,
    util::{Random, block_on, open},
};

const MIB: u64 = 1 << 20;
const PAGE: PageLimit = PageLimit { records: 1_000, bytes: 1 << 22 };

fn write(stream: StreamNo, change: Change, payloads: &[Bytes]) -> Write {
    Write {
        stream,
        change,
        records: payloads.iter().cloned().collect(),
        timestamp_ms: 1,
        meta: Vec::new(),
        due_ms: None,
        permit: Permit::default(),
    }
}

async fn create(store: &dyn Store, path: &str) -> Result<StreamNo, WriteError> {
    let stream = store.allocate();
    let change = Change::Create { path: Arc::from(path), tail: Offset(0) };
    store.submit(write(stream, change, &[])).settled().await.map(|()| stream)
}

/// Noise, so that nothing of it can be compressed away, with the offset in front.
fn payload(offset: u64, size: usize) -> Bytes {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    let noise = NOISE.get_or_init(|| {
        let mut random = Random::new(1);
        (0..32 * 1024).flat_map(|_| random.next().to_le_bytes()).collect()
    });
    let mut payload = offset.to_le_bytes().to_vec();
    payload.extend_from_slice(&noise[8..size]);
    Bytes::from(payload)
}

async fn append(
    store: &dyn Store,
    stream: StreamNo,
    tail: u64,
    size: usize,
) -> Result<(), WriteError> {
    append_bytes(store, stream, tail, payload(tail + 1, size)).await
}

async fn append_bytes(
    store: &dyn Store,
    stream: StreamNo,
    tail: u64,
    bytes: Bytes,
) -> Result<(), WriteError> {
    let change = Change::Append { expected_tail: Offset(tail) };
    store.submit(write(stream, change, &[bytes])).settled().await
}

/// Appends until the disk is full, and answers with the tail.
async fn fill(store: &dyn Store, stream: StreamNo, mut tail: u64, size: usize) -> u64 {
    for _ in 0..100_000 {
        match append(store, stream, tail, size).await {
            Ok(()) => tail += 1,
            Err(WriteError::Full) => return tail,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk does not fill");
}

async fn check(store: &dyn Store, stream: StreamNo, tail: u64, size: usize) {
    let mut at = 0;
    while at < tail {
        let page = store.read(stream, Offset(at), PAGE).await.unwrap();
        assert_eq!(page.tail.0, tail);
        for record in page.records {
            at += 1;
            assert_eq!(record.offset.0, at);
            assert!(record.payload == payload(at, size), "record {at} is wrong");
        }
    }
}

/// Tries an append until it is taken: the store looks for room by itself, and only now and then.
async fn append_when_there_is_room(store: &dyn Store, stream: StreamNo, tail: u64, size: usize) {
    let bytes = payload(tail + 1, size);
    for _ in 0..2_000_000 {
        match append_bytes(store, stream, tail, bytes.clone()).await {
            Ok(()) => return,
            Err(WriteError::Full) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("there is room, and appends are still refused");
}

#[test]
fn a_disk_without_room_refuses_appends_until_there_is_some() {
    let folder = tempfile::tempdir().unwrap();
    let watch = Watch::with_room(folder.path(), 64 * MIB);
    let store = open(folder.path()).unwrap();
    block_on(async {
        let (size, small) = (20_000, create(&store, "small").await.unwrap());
        append(&store, small, 0, 100).await.unwrap();
        let large = create(&store, "large").await.unwrap();
        watch.set_room(14 * MIB);
        let tail = fill(&store, large, 0, size).await;
        assert!(tail > 0);
        check(&store, large, tail, size).await;
        check(&store, small, 1, 100).await;
        watch.set_room(64 * MIB);
        append_when_there_is_room(&store, large, tail, size).await;
        check(&store, large, tail + 1, size).await;
        // Full for the store, with what it leaves to the index: a compaction may be under way.
        watch.set_room(limits::DISK_HEADROOM_BYTES - MIB);
        let tail = fill(&store, large, tail + 1, size).await;
        store.close().await.unwrap();
        drop(store);
        // Also what was not compacted for want of room is read back.
        let store = open(folder.path()).unwrap();
        check(&store, large, tail, size).await;
        // Compaction on closing may have given room back.
        let tail = match append(&store, large, tail, size).await {
            Ok(()) => tail + 1,
            Err(error) => {
                assert_eq!(error, WriteError::Full);
                tail
            }
        };
        store.close().await.unwrap();
        drop(store);
        watch.set_room(64 * MIB);
        let store = open(folder.path()).unwrap();
        assert!(store.damage().is_empty());
        check(&store, large, tail, size).await;
        check(&store, small, 1, 100).await;
        append(&store, large, tail, size).await.unwrap();
    });
    watch.end();
}

#[test]
fn a_sync_that_fails_ends_the_store_and_nothing_is_acknowledged_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let watch = Watch::with_room(folder.path(), u64::MAX);
    let store = open(folder.path()).unwrap();
    block_on(async {
        let stream = create(&store, "a").await.unwrap();
        append(&store, stream, 0, 100).await.unwrap();
        watch.fail_syncs();
        for _ in 0..3 {
            let refused = append(&store, stream, 1, 100).await;
            assert!(matches!(refused, Err(WriteError::Poisoned(_))), "{refused:?}");
        }
        assert!(store.poisoned().borrow().is_some());
        check(&store, stream, 1, 100).await;
        assert!(matches!(store.close().await, Err(WriteError::Poisoned(_))));
        drop(store);
        watch.set_room(u64::MAX);
        // The append in doubt may be there or not; what was acknowledged is.
        let store = open(folder.path()).unwrap();
        let tail = store.find("a").await.unwrap().unwrap().tail.0;
        assert!(tail == 1 || tail == 2, "{tail}");
        check(&store, stream, tail, 100).await;
        append(&store, stream, tail, 100).await.unwrap();
    });
    watch.end();
}

/// A file system of its own that goes with the test.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(path: &'a Path, mib: u64) -> Option<Self> {
        let size = format!("size={mib}m");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the test's tmpfs stays mounted");
    }
}

#[test]
fn a_small_file_system_fills_and_takes_appends_again_when_streams_are_deleted() {
    let parent = tempfile::tempdir().unwrap();
    let Some(mounted) = Mounted::new(parent.path(), 160) else {
        eprintln!("nothing can be mounted here; the counted disk has to do");
        return;
    };
    let folder = mounted.0.join("data");
    let metrics = || Arc::new(Metrics::default());
    let store = SledStore::open(&folder, metrics()).unwrap();
    block_on(async {
        let size = 200_000;
        let kept = create(&store, "kept").await.unwrap();
        for tail in 0..20 {
            append(&store, kept, tail, size).await.unwrap();
        }
        let large = create(&store, "large").await.unwrap();
        let tail = fill(&store, large, 0, size).await;
        check(&store, kept, 20, size).await;
        check(&store, large, tail, size).await;
        // A deletion is small, and gives all of it back.
        loop {
            match store.submit(write(large, Change::Delete, &[])).settled().await {
                Ok(()) => break,
                Err(WriteError::Full) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
        append_when_there_is_room(&store, kept, 20, size).await;
        let again = create(&store, "large").await.unwrap();
        let tail = fill(&store, again, 0, size).await;
        assert!(tail > 50, "only {tail} records fit after the deletion");
        store.close().await.unwrap();
        drop(store);
        let store = SledStore::open(&folder, metrics()).unwrap();
        check(&store, kept, 21, size).await;
        check(&store, again, tail, size).await;
        store.close().await.unwrap();
    });
    drop(mounted);
}
