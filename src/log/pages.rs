//! Pages that readers share: the newest of each stream for those that stand at its tail, and a
//! bounded cache of encoded ones for those that catch up. It refuses to know what an encoding
//! looks like.
//!
//! Invariant: a page in the cache ends before the tail, so it never changes. What retention has
//! taken since is not served: the reader asks for the earliest offset first.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::Offset;
use crate::{
    limits,
    store::{Record, StreamNo},
};

/// How a run of records is written for one kind of reader.
#[derive(Debug, Clone, Copy)]
pub struct Encoding {
    /// Its name; two encodings of one name are the same.
    pub name: &'static str,
    /// Writes a run of records. Called once for all readers that share the page.
    pub encode: fn(&[Record]) -> Bytes,
}

/// A run of records in some encoding.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The records, written.
    pub bytes: Bytes,
    /// Offset of the last of them.
    pub last: Offset,
}

/// A run of records, shared by every reader that stood at the same place.
#[derive(Debug)]
pub struct LivePage {
    /// The records, in order; at least one.
    pub records: Vec<Record>,
    /// The durable tail when the page was cut.
    pub tail: Offset,
    encoded: Mutex<SmallVec<[(&'static str, Bytes); 1]>>,
}

impl LivePage {
    pub(super) fn new(records: Vec<Record>, tail: Offset) -> Arc<Self> {
        Arc::new(Self { records, tail, encoded: Mutex::default() })
    }

    /// Offset of its last record.
    #[must_use]
    pub fn last(&self) -> Offset {
        self.records.last().map_or(Offset::ZERO, |record| record.offset)
    }

    /// The page in an encoding: written by the first reader that asks, while the rest wait.
    pub(super) fn encoded(&self, encoding: Encoding) -> Encoded {
        let mut encoded = self.encoded.lock();
        let known = encoded.iter().find(|(name, _)| *name == encoding.name);
        let bytes = match known {
            Some((_, bytes)) => bytes.clone(),
            None => {
                let bytes = (encoding.encode)(&self.records);
                encoded.push((encoding.name, bytes.clone()));
                bytes
            }
        };
        Encoded { bytes, last: self.last() }
    }
}

/// The newest page of a stream, kept for the readers that stand at the tail.
#[derive(Debug, Default)]
pub(super) struct Newest(Mutex<Option<(Offset, Arc<LivePage>)>>);

impl Newest {
    pub(super) fn get(&self, after: Offset) -> Option<Arc<LivePage>> {
        let newest = self.0.lock();
        newest.as_ref().filter(|(at, _)| *at == after).map(|(_, page)| Arc::clone(page))
    }

    pub(super) fn put(&self, after: Offset, page: &Arc<LivePage>) {
        // A page that is not at the tail belongs to those that catch up.
        if page.last() == page.tail {
            *self.0.lock() = Some((after, Arc::clone(page)));
        }
    }
}

/// Which page: readers cut theirs at the same places only with the same limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    pub(super) stream: StreamNo,
    pub(super) after: Offset,
    pub(super) encoding: &'static str,
    pub(super) limit: (usize, usize),
}

/// Encoded pages that were read lately, up to [`limits::PAGE_CACHE_BYTES`]; the one that was not
/// asked for longest goes first.
pub(super) struct Pages(Mutex<Cached>);

struct Cached {
    pages: LruCache<PageKey, Encoded>,
    bytes: usize,
}

impl Default for Pages {
    fn default() -> Self {
        Self(Mutex::new(Cached { pages: LruCache::new(limits::PAGES_CACHED_MAX), bytes: 0 }))
    }
}

impl Pages {
    pub(super) fn get(&self, key: &PageKey) -> Option<Encoded> {
        self.0.lock().pages.get(key).cloned()
    }

    pub(super) fn put(&self, key: PageKey, page: Encoded) {
        let mut cached = self.0.lock();
        cached.bytes += cost(&page);
        if let Some((_, before)) = cached.pages.push(key, page) {
            cached.bytes -= cost(&before);
        }
        while cached.bytes > limits::PAGE_CACHE_BYTES {
            let Some((_, oldest)) = cached.pages.pop_lru() else { return };
            cached.bytes -= cost(&oldest);
        }
    }
}

fn cost(page: &Encoded) -> usize {
    page.bytes.len() + size_of::<(PageKey, Encoded)>()
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("bytes", &self.0.lock().bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(after: u64) -> PageKey {
        PageKey { stream: StreamNo(1), after: Offset(after), encoding: "e", limit: (1, 1) }
    }

    #[test]
    fn the_cache_stays_within_its_bound() {
        let pages = Pages::default();
        let bytes = Bytes::from(vec![0; limits::PAGE_BYTES]);
        for after in 0..1_000 {
            pages.put(key(after), Encoded { bytes: bytes.clone(), last: Offset(after + 1) });
        }
        // A page that is put again is counted once.
        pages.put(key(999), Encoded { bytes: bytes.clone(), last: Offset(1_000) });
        let kept = (0..1_000).filter(|after| pages.get(&key(*after)).is_some()).count();
        assert_eq!(kept, limits::PAGE_CACHE_BYTES / (limits::PAGE_BYTES + 1_000));
        assert!(pages.get(&key(999)).is_some(), "the newest is there");
    }

    #[test]
    fn a_page_is_written_once_for_each_encoding() {
        let record = Record {
            offset: Offset(4),
            position: crate::store::Position(9),
            timestamp_ms: 0,
            payload: Bytes::from_static(b"x"),
        };
        let page = LivePage::new(vec![record], Offset(4));
        let one = Encoding { name: "one", encode: |records| records[0].payload.slice(..0) };
        let two = Encoding { name: "two", encode: |records| records[0].payload.clone() };
        assert_eq!(page.encoded(one).bytes, "");
        let other = Encoding { name: "one", ..two };
        assert_eq!(page.encoded(other).bytes, "", "known by its name");
        assert_eq!(page.encoded(two).bytes, "x");
        assert_eq!(page.encoded(two).last, Offset(4));
    }
}
