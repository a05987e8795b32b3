//! A thousand followers of one stream that leave and come back at random, while it grows.

use std::sync::Arc;

use scrollback::{
    clock::ManualClock,
    log::{Encode, Encoding, Log, Offset, Step, StreamSpec},
    metrics::Metrics,
    store::{PageLimit, Store, memory::MemoryStore, sled::SledStore},
};
use tokio::task::JoinSet;

use crate::util::{NOW_MS, SIZES, append, log_over, path};

const FOLLOWERS: u64 = 1_000;
const RECORDS: u64 = 300;

/// An encoding that shows which records were encoded.
const OFFSETS: Encoding = Encoding {
    name: "offsets",
    encode: Encode::Records(|records| {
        records.iter().flat_map(|record| record.offset.0.to_be_bytes()).collect()
    }),
};

/// Reads to the end of the stream, leaving after every few steps and coming back at the offset it
/// has reached; every second one reads encoded pages. Every record must be the one after the last.
async fn follow(log: Log, number: u64) -> u64 {
    let mut random = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let (mut at, mut visits) = (0, 0);
    while at < RECORDS {
        visits += 1;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let limit =
            PageLimit { records: usize::try_from(1 + random % 40).unwrap(), bytes: usize::MAX };
        let mut reader = log.follow(&path("a"), Offset(at)).await.unwrap().with_limit(limit);
        if number.is_multiple_of(2) {
            reader = reader.with_encoding(OFFSETS);
        }
        for _ in 0..=random % 7 {
            if at == RECORDS {
                break;
            }
            match reader.next().await.unwrap() {
                Step::Page(page) => {
                    for record in &page.records {
                        assert_eq!(record.offset.0, at + 1, "follower {number}");
                        at += 1;
                    }
                }
                Step::Encoded(page) => {
                    for offset in page.bytes.chunks_exact(8) {
                        assert_eq!(offset, (at + 1).to_be_bytes(), "follower {number}");
                        at += 1;
                    }
                    assert_eq!(page.last.0, at, "follower {number}");
                }
                Step::CaughtUp { tail } => assert_eq!(tail.0, at, "follower {number}"),
                step => panic!("{step:?}"),
            }
        }
    }
    visits
}

async fn every_follower_sees_every_offset_once(store: Arc<dyn Store>) {
    let log = log_over(store, &ManualClock::at(NOW_MS));
    append(&log, "a", &["1"]).await.unwrap();
    let mut followers = JoinSet::new();
    for number in 0..FOLLOWERS {
        followers.spawn(follow(log.clone(), number));
    }
    let mut written = 1;
    while written < RECORDS {
        let count = (1 + written % 5).min(RECORDS - written);
        let ids: Vec<String> = (written + 1..=written + count).map(|id| id.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        written = append(&log, "a", &ids).await.unwrap().last.0;
        tokio::task::yield_now().await;
    }
    let visits: u64 = followers.join_all().await.into_iter().sum();
    assert!(visits > 3 * FOLLOWERS, "only {visits} visits: nobody left");
}

#[tokio::test]
async fn a_thousand_followers_that_come_and_go_see_every_offset_once() {
    every_follower_sees_every_offset_once(Arc::new(MemoryStore::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_followers_of_a_store_on_disk_see_every_offset_once() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let store = SledStore::open_sized(folder.path(), metrics, SIZES).unwrap();
    every_follower_sees_every_offset_once(Arc::new(store)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_many_create_at_once_is_created_once() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let store = SledStore::open_sized(folder.path(), metrics, SIZES).unwrap();
    let log = log_over(Arc::new(store), &ManualClock::at(NOW_MS));
    for round in 0..20 {
        let at = path(&format!("a{round}"));
        let mut creators = JoinSet::new();
        for _ in 0..16 {
            let (log, at) = (log.clone(), at.clone());
            creators.spawn(async move { log.create(&at, StreamSpec::json()).await.unwrap() });
        }
        let created = creators.join_all().await;
        assert_eq!(created.iter().filter(|created| !created.existed).count(), 1);
        assert!(created.iter().all(|one| one.info.epoch == created[0].info.epoch));
    }
}
