//! Streams that end by themselves: a while after they were last read or written, or at a time
//! that was given. Durable Streams protocol, section 5.1.
//!
//! Invariant: a stream that is over is not served by anything, though the sweeper may not have
//! come to it yet. Retention is something else: it takes records, not streams.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Inner, Log, ReadError, Refused, StreamPath,
    meta::StreamMeta,
    stream::{Assigned, OpenStream},
};
use crate::store::{Head, MetaChange};

/// When a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// So many seconds after it was last read or written.
    Idle {
        /// The seconds.
        seconds: u64,
    },
    /// At a time, Unix milliseconds.
    At {
        /// The time.
        ms: u64,
    },
}

impl Expiry {
    /// When a stream ends that was used last at `used_ms`.
    #[must_use]
    pub fn deadline_ms(self, used_ms: u64) -> u64 {
        match self {
            Self::Idle { seconds } => used_ms.saturating_add(seconds.saturating_mul(1_000)),
            Self::At { ms } => ms,
        }
    }
}

/// Reads that keep a stream alive are written down this often: a part of its time to live.
const NOTES_IN_A_LIFE: u64 = 8;
const KEY: &str = "used";

/// When a stored stream was last read, as far as that was written down.
pub(super) fn used_of(head: &Head) -> u64 {
    let bytes = head.meta.get(KEY).and_then(|value| value.first_chunk().copied());
    bytes.map_or(0, u64::from_be_bytes)
}

impl Assigned {
    /// When the stream ends, if it does, unless it is used before.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let used_ms = self.used_ms.max(self.last_timestamp_ms).max(self.meta.created_ms);
        Some(self.meta.expiry()?.deadline_ms(used_ms))
    }

    /// Notes that it is used: that keeps it alive. Answers with the change that says so after a
    /// restart too, where it is time for one.
    pub(super) fn note_use(&mut self, now_ms: u64) -> Option<MetaChange> {
        let Some(Expiry::Idle { seconds }) = self.meta.expiry() else { return None };
        self.used_ms = self.used_ms.max(now_ms);
        let since_ms = now_ms.saturating_sub(self.used_noted_ms);
        if since_ms < seconds.saturating_mul(1_000) / NOTES_IN_A_LIFE {
            return None;
        }
        self.used_noted_ms = now_ms;
        let value = Some(Bytes::copy_from_slice(&now_ms.to_be_bytes()));
        Some(MetaChange { key: Arc::from(KEY), value })
    }

    /// Whether it is over.
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        self.deadline_ms().is_some_and(|deadline_ms| deadline_ms <= now_ms)
    }
}

impl Inner {
    /// Whether a stored stream is over, as far as is known without opening it.
    pub(super) fn looks_over(&self, meta: &StreamMeta, head: &Head) -> bool {
        let Some(expiry) = meta.expiry() else { return false };
        let now_ms = self.clock.now_ms();
        let known = StreamPath::stored(&head.path).ok().and_then(|path| self.table.get(&path));
        match known {
            Some(open) => open.assigned().is_over(now_ms),
            None => {
                let used_ms = used_of(head).max(head.last_timestamp_ms).max(meta.created_ms);
                expiry.deadline_ms(used_ms) <= now_ms
            }
        }
    }

    /// Whether a stream may be served; one that is over is deleted first.
    pub(super) async fn is_alive(&self, open: &Arc<OpenStream>) -> Result<bool, Refused> {
        if open.assigned().meta.expiry().is_none() {
            return Ok(true);
        }
        {
            let state = open.assigned();
            if state.gone || state.meta.deleted || !state.is_over(self.clock.now_ms()) {
                return Ok(!state.gone);
            }
        }
        self.remove(open).await?;
        Ok(false)
    }

    /// Notes that a stream was read.
    pub(super) fn note_read(&self, open: &OpenStream) {
        let mut state = open.assigned();
        if state.gone || state.stale {
            return;
        }
        let Some(change) = state.note_use(self.clock.now_ms()) else { return };
        let timestamp_ms = state.last_timestamp_ms;
        let mut write = Self::write(open, &mut state, timestamp_ms);
        write.meta.push(change);
        // Nobody waits: without it the stream would end a little early after a crash.
        drop(self.store.submit(write));
    }
}

impl Log {
    /// Notes that somebody uses a stream without reading records of it.
    ///
    /// # Errors
    /// [`ReadError`]: no such stream, or the store does not answer.
    pub async fn note_use(&self, path: &StreamPath) -> Result<(), ReadError> {
        let open = self.inner.open_existing(path).await?;
        self.inner.note_read(&open);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        clock::ManualClock,
        log::{Append, AppendError, NewRecord, Offset, Settings, StreamSpec},
        store::memory::MemoryStore,
    };

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct Fixture {
        log: Log,
        clock: Arc<ManualClock>,
        store: Arc<MemoryStore>,
        path: StreamPath,
    }

    impl Fixture {
        async fn with(expiry: Expiry) -> Self {
            let (clock, store) = (ManualClock::at(1_000_000), Arc::new(MemoryStore::default()));
            let path = StreamPath::parse("a").unwrap();
            let fixture = Self { log: log(&store, &clock), clock, store, path };
            let spec = StreamSpec { expiry: Some(expiry), ..StreamSpec::json() };
            fixture.log.create(&fixture.path, spec).await.unwrap();
            fixture
        }

        async fn exists(&self) -> bool {
            self.log.info(&self.path).await.is_ok()
        }
    }

    fn log(store: &Arc<MemoryStore>, clock: &Arc<ManualClock>) -> Log {
        let (store, clock) = (Arc::clone(store), Arc::clone(clock));
        Log::new(store, clock, Settings::default(), Arc::default())
    }

    fn record() -> Append {
        let append = Append::json([NewRecord { id: None, payload: Bytes::from_static(b"1") }]);
        Append { create: None, ..append }
    }

    #[tokio::test]
    async fn a_stream_lives_on_while_it_is_read_or_written_and_not_by_being_looked_at() {
        let fixture = Fixture::with(Expiry::Idle { seconds: 10 }).await;
        fixture.clock.advance(9 * SECOND);
        fixture.log.append(&fixture.path, record()).await.unwrap();
        fixture.clock.advance(9 * SECOND);
        fixture.log.read(&fixture.path, Offset(0), crate::log::PAGE).await.unwrap();
        fixture.clock.advance(9 * SECOND);
        assert!(fixture.exists().await);
        // A restart does not shorten what a read has given it by more than a part.
        let restarted = Fixture { log: log(&fixture.store, &fixture.clock), ..fixture };
        assert!(restarted.exists().await);
        restarted.clock.advance(SECOND);
        assert!(!restarted.exists().await);
        let refused = restarted.log.append(&restarted.path, record()).await;
        assert!(matches!(refused, Err(AppendError::NoStream(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_stream_that_is_over_is_made_anew_and_keeps_nothing() {
        let fixture = Fixture::with(Expiry::At { ms: 1_005_000 }).await;
        fixture.log.append(&fixture.path, record()).await.unwrap();
        fixture.clock.advance(5 * SECOND);
        let made = fixture.log.create(&fixture.path, StreamSpec::json()).await.unwrap();
        assert_eq!((made.existed, made.info.tail), (false, Offset(0)));
    }

    #[tokio::test]
    async fn an_append_to_a_stream_that_is_over_is_refused_or_begins_it_anew() {
        let fixture = Fixture::with(Expiry::Idle { seconds: 1 }).await;
        fixture.log.append(&fixture.path, record()).await.unwrap();
        fixture.clock.advance(2 * SECOND);
        let refused = fixture.log.append(&fixture.path, record()).await;
        assert!(matches!(refused, Err(AppendError::NoStream(_))), "{refused:?}");
        let anew = Append { create: Some(StreamSpec::json()), ..record() };
        assert_eq!(fixture.log.append(&fixture.path, anew).await.unwrap().last, Offset(1));
    }

    #[tokio::test]
    async fn the_sweeper_takes_streams_that_nobody_asks_for_any_more() {
        let fixture = Fixture::with(Expiry::Idle { seconds: 60 }).await;
        fixture.log.sweep().await.unwrap();
        assert_eq!(fixture.log.list("", "", 10).await.unwrap().len(), 1);
        fixture.clock.advance(61 * SECOND);
        fixture.log.sweep().await.unwrap();
        assert!(fixture.log.list("", "", 10).await.unwrap().is_empty());
    }
}
