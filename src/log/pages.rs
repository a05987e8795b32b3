//! Pages that readers share: the newest of each stream for those that stand at its tail, and
//! encoded ones for those that catch up, each kind up to a bound. It refuses to know what an
//! encoding looks like.
//!
//! Invariant: a page never changes. What is kept encoded ends before the tail; the newest page
//! knows the tail it was cut at. What retention has taken since is not served: the reader asks
//! for the earliest offset first. A stream made anew has another number, and so other pages.

use std::{fmt, hash::Hash, num::NonZero, sync::Arc};

use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::{
    Offset,
    text::{self, Held},
};
use crate::{
    limits,
    store::{PageLimit, Record, StreamNo},
};

/// How a run of records is written for one kind of reader.
#[derive(Debug, Clone, Copy)]
pub struct Encoding {
    /// Its name; two encodings of one name are the same.
    pub name: &'static str,
    /// Called once for all readers that share the page.
    pub encode: Encode,
}

/// What writes a run of records. The bytes are copies: a slice of a record would keep alive
/// whatever the record was cut from.
#[derive(Debug, Clone, Copy)]
pub enum Encode {
    /// Each record stands for itself.
    Records(fn(&[Record]) -> Bytes),
    /// The records are one text, cut anywhere. It is handed over in whole characters: a run ends
    /// with a record that ends one, or leaves the beginning of one to the next run.
    Text(fn(&str) -> Bytes),
}

/// A run of records in some encoding.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The records, written.
    pub bytes: Bytes,
    /// Offset of the last of them.
    pub last: Offset,
    /// What of the text up to there is left to the next run.
    pub(super) held: Held,
}

/// A run of records, shared by every reader that stood at the same place.
#[derive(Debug)]
pub struct LivePage {
    /// The records, in order; at least one.
    pub records: Vec<Record>,
    /// The durable tail when the page was cut.
    pub tail: Offset,
    /// Payload bytes of all records.
    size: usize,
    encoded: Mutex<SmallVec<[Written; 1]>>,
}

/// In which encoding, behind what the run before has left, as what.
type Written = (&'static str, Held, Encoded);

impl LivePage {
    pub(super) fn new(records: Vec<Record>, tail: Offset) -> Arc<Self> {
        let size = records.iter().map(|record| record.payload.len()).sum();
        Arc::new(Self { records, tail, size, encoded: Mutex::default() })
    }

    /// Offset of its last record.
    #[must_use]
    pub fn last(&self) -> Offset {
        self.records.last().map_or(Offset::ZERO, |record| record.offset)
    }

    /// Whether a reader with this limit could have cut it.
    fn is_within(&self, limit: PageLimit) -> bool {
        let records = self.records.len();
        records <= 1 || (records <= limit.records && self.size <= limit.bytes)
    }

    /// The page in an encoding, behind what the run before has left: written by the first reader
    /// that asks, while the rest wait.
    pub(super) fn encoded(&self, encoding: Encoding, held: Held) -> Encoded {
        let mut known = self.encoded.lock();
        let asked = (encoding.name, held);
        if let Some((.., page)) = known.iter().find(|(name, held, _)| (*name, *held) == asked) {
            return page.clone();
        }
        let page = self.encode(encoding.encode, held);
        known.push((encoding.name, held, page.clone()));
        page
    }

    fn encode(&self, encode: Encode, held: Held) -> Encoded {
        match encode {
            Encode::Records(write) => {
                Encoded { bytes: write(&self.records), last: self.last(), held }
            }
            Encode::Text(write) => {
                let payloads = self.records.iter().map(|record| &*record.payload);
                let piece = text::piece(held, payloads);
                let last = self.records.get(piece.records.saturating_sub(1));
                let last = last.map_or(Offset::ZERO, |record| record.offset);
                Encoded { bytes: write(&piece.text), last, held: piece.held }
            }
        }
    }
}

/// Which page: readers cut theirs at the same places only with the same limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    pub(super) stream: StreamNo,
    pub(super) after: Offset,
    /// What the run before has left, which a reader may know or not, where that is not kept.
    pub(super) held: Held,
    pub(super) encoding: &'static str,
    pub(super) limit: (usize, usize),
}

/// The pages of a log.
pub(super) struct Pages {
    /// Those that end before the tail, up to [`limits::PAGE_CACHE_BYTES`].
    encoded: Mutex<Bounded<PageKey, Encoded>>,
    /// One that ends at the tail for each stream, with the place before it, up to
    /// [`limits::NEWEST_CACHE_BYTES`].
    newest: Mutex<Bounded<StreamNo, (Offset, Arc<LivePage>)>>,
}

impl Default for Pages {
    fn default() -> Self {
        let encoded = |page: &Encoded| page.bytes.len() + size_of::<(PageKey, Encoded)>();
        // It holds its records and, as a rule, one encoding of them.
        let newest = |(_, page): &(Offset, Arc<LivePage>)| {
            2 * page.size + size_of::<LivePage>() + page.records.len() * size_of::<Record>()
        };
        let (pages, bytes) = (limits::PAGES_CACHED_MAX, limits::PAGE_CACHE_BYTES);
        let encoded = Mutex::new(Bounded::new(pages, bytes, encoded));
        let (pages, bytes) = (limits::NEWEST_CACHED_MAX, limits::NEWEST_CACHE_BYTES);
        let newest = Mutex::new(Bounded::new(pages, bytes, newest));
        Self { encoded, newest }
    }
}

impl Pages {
    pub(super) fn get(&self, key: &PageKey) -> Option<Encoded> {
        self.encoded.lock().entries.get(key).cloned()
    }

    pub(super) fn put(&self, key: PageKey, page: Encoded) {
        self.encoded.lock().put(key, page);
    }

    /// The newest page of a stream, for a reader that stands at its beginning.
    pub(super) fn newest(
        &self,
        stream: StreamNo,
        after: Offset,
        limit: PageLimit,
    ) -> Option<Arc<LivePage>> {
        let mut newest = self.newest.lock();
        let entry = newest.entries.get(&stream);
        let entry = entry.filter(|(at, page)| *at == after && page.is_within(limit));
        entry.map(|(_, page)| Arc::clone(page))
    }

    pub(super) fn put_newest(&self, stream: StreamNo, after: Offset, page: &Arc<LivePage>) {
        // A page that is not at the tail belongs to those that catch up.
        if page.last() == page.tail {
            self.newest.lock().put(stream, (after, Arc::clone(page)));
        }
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

/// Entries up to a number and a cost; the one that was not asked for longest goes first.
struct Bounded<K, V> {
    entries: LruCache<K, V>,
    bytes: usize,
    max: usize,
    cost: fn(&V) -> usize,
}

impl<K: Hash + Eq, V> Bounded<K, V> {
    fn new(entries: NonZero<usize>, max: usize, cost: fn(&V) -> usize) -> Self {
        Self { entries: LruCache::new(entries), bytes: 0, max, cost }
    }

    fn put(&mut self, key: K, value: V) {
        self.bytes += (self.cost)(&value);
        if let Some((_, before)) = self.entries.push(key, value) {
            self.bytes -= (self.cost)(&before);
        }
        while self.bytes > self.max {
            let Some((_, oldest)) = self.entries.pop_lru() else { return };
            self.bytes -= (self.cost)(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(after: u64) -> PageKey {
        let (stream, after, held) = (StreamNo(1), Offset(after), Held::default());
        PageKey { stream, after, held, encoding: "e", limit: (1, 1) }
    }

    #[test]
    fn the_cache_stays_within_its_bound() {
        let pages = Pages::default();
        let bytes = Bytes::from(vec![0; limits::PAGE_BYTES]);
        let encoded =
            |last| Encoded { bytes: bytes.clone(), last: Offset(last), held: Held::default() };
        for after in 0..1_000 {
            pages.put(key(after), encoded(after + 1));
        }
        // A page that is put again is counted once.
        pages.put(key(999), encoded(1_000));
        let kept = (0..1_000).filter(|after| pages.get(&key(*after)).is_some()).count();
        assert_eq!(kept, limits::PAGE_CACHE_BYTES / (limits::PAGE_BYTES + 1_000));
        assert!(pages.get(&key(999)).is_some(), "the newest is there");
    }

    fn record(offset: u64, payload: impl Into<Bytes>) -> Record {
        let position = crate::store::Position(9);
        Record { offset: Offset(offset), position, timestamp_ms: 0, payload: payload.into() }
    }

    #[test]
    fn the_newest_pages_of_all_streams_stay_within_their_bound() {
        const ANY: PageLimit = PageLimit { records: 9, bytes: usize::MAX };
        let (pages, at) = (Pages::default(), Offset(0));
        let page = LivePage::new(vec![record(1, vec![0; limits::PAGE_BYTES])], Offset(1));
        for stream in 0..100 {
            pages.put_newest(StreamNo(stream), at, &page);
        }
        let is_kept = |stream: &u64| pages.newest(StreamNo(*stream), at, ANY).is_some();
        let kept: Vec<u64> = (0..100).filter(is_kept).collect();
        let most = limits::NEWEST_CACHE_BYTES / (2 * limits::PAGE_BYTES);
        assert_eq!((kept.len(), kept.last()), (most - 1, Some(&99)));
    }

    #[test]
    fn a_newest_page_is_for_those_at_its_place_whose_limit_it_keeps() {
        let pages = Pages::default();
        let stream = StreamNo(1);
        let page = LivePage::new(vec![record(4, "ab"), record(5, "c")], Offset(5));
        pages.put_newest(stream, Offset(3), &page);
        let found = |after, records, bytes| {
            pages.newest(stream, Offset(after), PageLimit { records, bytes }).is_some()
        };
        assert!(found(3, 2, 3));
        assert!(!found(2, 2, 3) && !found(4, 2, 3), "another place");
        assert!(!found(3, 1, 3) && !found(3, 2, 2), "larger than asked for");
        let before = LivePage::new(vec![record(3, "ab")], Offset(5));
        pages.put_newest(stream, Offset(2), &before);
        assert!(found(3, 2, 3), "a page before the tail does not take its place");
        pages.put_newest(stream, Offset(4), &LivePage::new(vec![record(5, "c")], Offset(5)));
        assert!(found(4, 0, 0), "one record is always within the limit");
    }

    #[test]
    fn a_page_is_written_once_for_each_encoding() {
        let page = LivePage::new(vec![record(4, "x")], Offset(4));
        let one = Encode::Records(|records| records[0].payload.slice(..0));
        let two = Encode::Records(|records| records[0].payload.clone());
        let written = |name, encode| page.encoded(Encoding { name, encode }, Held::default());
        assert_eq!(written("one", one).bytes, "");
        assert_eq!(written("one", two).bytes, "", "known by its name");
        assert_eq!(written("two", two).bytes, "x");
        assert_eq!(written("two", two).last, Offset(4));
    }

    #[test]
    fn a_page_of_text_is_written_once_for_each_beginning() {
        let records = vec![record(4, &b"\xA9a"[..]), record(5, &b"b\xC3"[..])];
        let page = LivePage::new(records, Offset(5));
        let encode = Encode::Text(|text| Bytes::from(text.to_owned()));
        let written = |held| page.encoded(Encoding { name: "text", encode }, held);
        let open = Held::at_end_of(b"\xC3");
        let whole = written(open);
        assert_eq!((&*whole.bytes, whole.last), ("éa".as_bytes(), Offset(4)));
        assert_eq!(written(Held::default()).bytes, "\u{FFFD}a");
        assert_eq!(written(open).bytes.as_ptr(), whole.bytes.as_ptr());
    }
}
