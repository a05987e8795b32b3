//! The sessions that are followed at once: a bounded number, the least used of which is let go.
//!
//! Invariants: there are never more followers than the cap; a session that comes back goes on
//! where it was left, as long as its state is kept.

use std::{num::NonZeroUsize, sync::Arc};

use parking_lot::Mutex;

use super::{AllPinned, CacheKey, Client, Collections, StateCache, cache::STATES_MAX, lru::Lru};

/// Sessions that are followed, the least used of which goes when there are too many. Cheap to
/// clone; clones are one set.
///
/// A browser has six connections to a server, a proxy often a few more; a client that follows a
/// session for each tab that was ever open runs out of them.
///
/// ```no_run
/// use scrollback::client::{Client, LiveSet};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let set = LiveSet::new(&Client::new("http://127.0.0.1:4437")?);
/// let shown = set.pin("demo")?;
/// println!("{}", shown.collections().messages().now().len());
/// set.open("another")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LiveSet {
    client: Client,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    live: Lru<String, Collections>,
    cache: StateCache,
}

/// A session that stays in its set as long as this is kept.
#[derive(Debug)]
#[must_use = "dropping it takes the pin off"]
pub struct Pinned {
    set: LiveSet,
    id: String,
    collections: Collections,
}

impl LiveSet {
    /// At most 30 sessions at once.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        Self::with(client, STATES_MAX, StateCache::default())
    }

    /// At most `cap` sessions at once. The states of those that were let go are kept in `cache`,
    /// which may come from [`StateCache::load`].
    #[must_use]
    pub fn with(client: &Client, cap: NonZeroUsize, cache: StateCache) -> Self {
        let inner = Inner { live: Lru::new(cap), cache };
        Self { client: client.clone(), inner: Arc::new(Mutex::new(inner)) }
    }

    /// The collections of a session, which are followed from now on. Where there are too many, the
    /// least used is let go: its collections and queries end, and its state is kept. It must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// All others are pinned.
    pub fn open(&self, id: &str) -> Result<Collections, AllPinned> {
        self.inner.lock().open(&self.client, id)
    }

    /// The same, and it is not let go as long as the answer is kept.
    ///
    /// # Errors
    /// All others are pinned.
    pub fn pin(&self, id: &str) -> Result<Pinned, AllPinned> {
        let mut inner = self.inner.lock();
        let collections = inner.open(&self.client, id)?;
        inner.live.pin(&id.to_owned());
        Ok(Pinned { set: self.clone(), id: id.to_owned(), collections })
    }

    /// Lets a session go, unless it is pinned. Its state is kept.
    pub fn close(&self, id: &str) {
        let (mut inner, id) = (self.inner.lock(), id.to_owned());
        if inner.live.is_pinned(&id) {
            return;
        }
        if let Some(collections) = inner.live.remove(&id) {
            inner.retire(&collections);
        }
    }

    /// The sessions that are followed, the least used first.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.inner.lock().live.iter().map(|(id, _)| id.clone()).collect()
    }

    /// All states as bytes, those of the sessions that are followed included, for a file or the
    /// like: see [`StateCache::load`].
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut inner = self.inner.lock();
        let Inner { live, cache } = &mut *inner;
        live.iter().for_each(|(_, collections)| put(cache, collections));
        cache.save()
    }
}

impl Inner {
    fn open(&mut self, client: &Client, id: &str) -> Result<Collections, AllPinned> {
        let (id, now_ms) = (id.to_owned(), client.inner.clock.now_ms());
        let there = self.live.get(&id, now_ms).filter(|it| it.standing().over.is_none());
        if let Some(collections) = there {
            return Ok(collections.clone());
        }
        let session = client.session(id.clone());
        // One that is over is begun anew in its place; only a new one needs room.
        let is_new = self.live.get(&id, now_ms).is_none();
        if is_new && let Some((_, gone)) = self.live.make_room()? {
            self.retire(&gone);
        }
        let collections = match self.cache.take(&CacheKey::of(&session), now_ms) {
            Some(kept) => Collections::resume(&session, kept),
            None => Collections::follow(&session),
        };
        self.live.insert(id, collections.clone(), now_ms)?;
        Ok(collections)
    }

    /// Ends the follower and keeps the state.
    fn retire(&mut self, collections: &Collections) {
        collections.stop();
        put(&mut self.cache, collections);
    }
}

fn put(cache: &mut StateCache, collections: &Collections) {
    let session = collections.session();
    let now_ms = session.client().inner.clock.now_ms();
    if let Some(kept) = collections.keep()
        && let Err(full) = cache.put(CacheKey::of(session), kept, now_ms)
    {
        // The cache is the caller's, who may have pinned all of it: this state comes anew.
        tracing::debug!(session = session.id(), "the state is not kept: {full}");
    }
}

impl Pinned {
    /// The collections of the session.
    #[must_use]
    pub fn collections(&self) -> &Collections {
        &self.collections
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.set.inner.lock().live.unpin(&self.id);
    }
}
