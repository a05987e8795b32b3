//! What the tests share: a server in this process, a clock without waits, seeds.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use scrollback::{
    client::{Client, Event, ReadQuery, Waits},
    clock::{Clock, Sleep, SystemClock},
    metrics::Metrics,
    server::{self, Running, Settings},
    store::memory::MemoryStore,
};
use tokio::{sync::watch, task::yield_now};

use crate::fate::Random;

/// A clock on which waits before another try are over at once, and longer ones, for an answer or
/// a sign of life, when somebody says so.
#[derive(Debug)]
pub(crate) struct Impatient(watch::Sender<u64>);

impl Default for Impatient {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Impatient {
    /// Ends the long waits of this moment.
    pub(crate) fn lose_patience(&self) {
        self.0.send_modify(|times| *times += 1);
    }
}

impl Clock for Impatient {
    fn now_ms(&self) -> u64 {
        1_795_200_000_000
    }

    fn sleep(&self, span: Duration) -> Sleep<'_> {
        let mut lost = self.0.subscribe();
        Box::pin(async move {
            if span > Waits::FOLLOWER.most {
                drop(lost.changed().await);
            } else {
                yield_now().await;
            }
        })
    }
}

/// A server in this process. Its store is in memory: what is tried here lies on this side of it,
/// and waiting for the disk would be most of the time.
pub(crate) struct Server {
    running: Running,
    client: Client,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = Settings { listen, ..Settings::default() };
        let (store, metrics) = (Arc::new(MemoryStore::default()), Arc::new(Metrics::default()));
        let running = server::start_with(&settings, store, Arc::new(SystemClock), metrics);
        let running = running.await.unwrap();
        let client = Client::new(&running.url()).unwrap();
        Self { running, client }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.running.addr()
    }

    /// A client without anything in between.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }
}

/// Runs a test with each of its seeds, or with the one in `SCROLLBACK_SEED`. A run that fails or
/// hangs names its seed.
pub(crate) async fn each_seed<F: Future<Output = ()>>(count: u64, test: impl Fn(u64) -> F) {
    struct Told(u64);
    impl Drop for Told {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("again: SCROLLBACK_SEED={}", self.0);
            }
        }
    }
    let given: Option<u64> = std::env::var("SCROLLBACK_SEED").ok().and_then(|t| t.parse().ok());
    let seeds = given.map_or(1..=count, |seed| seed..=seed);
    for seed in seeds {
        let told = Told(seed);
        let run = tokio::time::timeout(Duration::from_secs(60), test(seed));
        assert!(run.await.is_ok(), "seed {seed} does not come to an end");
        drop(told);
    }
}

/// Lets others run for a while.
pub(crate) async fn pause(random: &mut Random) {
    for _ in 0..random.below(30) {
        yield_now().await;
    }
}

/// All events of a stream.
pub(crate) async fn all(client: &Client, path: &str) -> Vec<Event> {
    let (mut events, mut from_offset) = (Vec::new(), 0);
    loop {
        let query = ReadQuery { from_offset, limit: Some(1_000), ..ReadQuery::default() };
        let page = client.events(path, &query).await.unwrap();
        for json in &page.events {
            events.push(Event::read(json.get().to_owned()).unwrap());
        }
        from_offset = page.next_offset;
        if !page.has_more {
            return events;
        }
    }
}
