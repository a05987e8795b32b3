//! Text in records: where characters end. Records of text are cut at any byte, because a body is
//! cut at a size and a client may send half a character. Pure.
//!
//! Invariant: the pieces of a stream, put together, are its text, however records and pages are
//! cut and at whichever end of a piece reading begins anew. What is no UTF-8 shows as U+FFFD.

/// The beginning of a character, at the end of a run of bytes: none, or up to three bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Held {
    bytes: [u8; Held::MAX],
    len: u8,
}

impl Held {
    /// A character has four bytes at most, so its beginning has three.
    pub(super) const MAX: usize = 3;

    /// What `bytes` leave open. Their last three decide it, whatever is before them: a character
    /// begins where its first byte stands.
    pub(super) fn at_end_of(bytes: &[u8]) -> Self {
        let last = bytes.get(bytes.len().saturating_sub(Self::MAX)..).unwrap_or_default();
        let begin = last.iter().rposition(|byte| !is_continuation(*byte));
        let rest = begin.and_then(|begin| last.get(begin..)).unwrap_or_default();
        let is_open = std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none());
        let mut held = Self::default();
        if is_open {
            for (to, from) in held.bytes.iter_mut().zip(rest) {
                *to = *from;
                held.len += 1;
            }
        }
        held
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    pub(super) fn is_empty(self) -> bool {
        self.len == 0
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// The text of some records, and what is left for the next piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// How many records it covers.
    pub(super) records: usize,
    pub(super) held: Held,
}

/// The text of a run of records behind `held`. It ends with the last record that ends between
/// two characters. Where none does, it covers them all and holds back what the last leaves open:
/// a run of records has an end, but a character may be cut by every one of them.
pub(super) fn piece<'a>(held: Held, payloads: impl Iterator<Item = &'a [u8]>) -> Piece {
    let mut bytes = held.as_bytes().to_vec();
    let (mut records, mut whole) = (0, None);
    for payload in payloads {
        bytes.extend_from_slice(payload);
        records += 1;
        if Held::at_end_of(&bytes).is_empty() {
            whole = Some((records, bytes.len()));
        }
    }
    let open = Held::at_end_of(&bytes);
    let cut = (records, bytes.len() - open.as_bytes().len());
    let (records, end) = whole.unwrap_or(cut);
    let held = if whole.is_some() { Held::default() } else { open };
    bytes.truncate(end);
    Piece { text: text_of(bytes), records, held }
}

/// Bytes as text.
pub(super) fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        clock::ManualClock,
        log::{
            Append, Encode, Encoding, Log, NewRecord, Offset, PageLimit, Reader, Settings, Step,
            StreamPath, StreamSpec,
        },
        store::memory::MemoryStore,
    };

    fn pieces(held: Held, records: &[&[u8]]) -> Piece {
        piece(held, records.iter().copied())
    }

    fn shown(held: &[u8], records: &[&[u8]]) -> String {
        let Piece { text, records, held } = pieces(Held::at_end_of(held), records);
        format!("{text:?} of {records}, {:02x?} held", held.as_bytes())
    }

    #[test]
    fn a_piece_ends_with_the_last_record_that_ends_a_character() {
        let smile = "😀".as_bytes();
        assert_eq!(shown(b"", &[b"a", b"b"]), r#""ab" of 2, [] held"#);
        assert_eq!(shown(b"", &[b"a", b"b\xC3"]), r#""a" of 1, [] held"#);
        assert_eq!(shown(b"", &[b"a\xC3", b"\xA9", b"b\xC3"]), r#""aé" of 2, [] held"#);
        assert_eq!(shown(b"", &[b"a\xC3"]), r#""a" of 1, [c3] held"#);
        assert_eq!(shown(b"\xC3", &[b"\xA9\xC3"]), r#""é" of 1, [c3] held"#);
        assert_eq!(shown(b"", &[&smile[..1]]), r#""" of 1, [f0] held"#);
        assert_eq!(shown(&smile[..1], &[&smile[1..3]]), r#""" of 1, [f0, 9f, 98] held"#);
        assert_eq!(shown(&smile[..3], &[&smile[3..]]), r#""😀" of 1, [] held"#);
    }

    #[test]
    fn what_can_be_no_character_is_not_waited_for() {
        // A continuation without a beginning, a surrogate, a byte that is never used, a beginning
        // that something else follows.
        for wrong in [&b"a\x80"[..], b"a\xED\xA0", b"a\xFF", b"a\xC3b", b"\xF0\x80", b"\x80\x80"] {
            assert!(Held::at_end_of(wrong).is_empty(), "{wrong:x?}");
        }
        assert_eq!(shown(b"", &[b"\xE2\x82", b"a\xFF"]), "\"\u{FFFD}a\u{FFFD}\" of 2, [] held");
    }

    /// Bytes cut into records of the given sizes, over and over.
    fn cut<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
        let mut records = Vec::new();
        for size in sizes.iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            let (record, rest) = bytes.split_at((*size).min(bytes.len()));
            records.push(record);
            bytes = rest;
        }
        records
    }

    fn sizes() -> impl Strategy<Value = Vec<usize>> {
        prop::collection::vec(1_usize..7, 1..6)
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop::collection::vec(any::<char>(), 0..30).prop_map(String::from_iter)
    }

    /// All text behind a place, in pages of the given numbers of records, and each place at which
    /// a page ended, with the text up to there.
    fn read(records: &[&[u8]], mut at: usize, pages: &[usize]) -> (String, Vec<(usize, String)>) {
        let (mut text, mut places) = (String::new(), Vec::new());
        let mut held = Held::at_end_of(&records[..at].concat());
        for page in pages.iter().cycle() {
            if at == records.len() {
                break;
            }
            let end = records.len().min(at + page);
            let piece = pieces(held, &records[at..end]);
            assert!(piece.records > 0, "it comes to an end");
            at += piece.records;
            held = piece.held;
            let place = records[..at].concat();
            assert_eq!(held, Held::at_end_of(&place), "known from the last bytes alone");
            let whole = |record: usize| Held::at_end_of(&records[..record].concat()).is_empty();
            let start = at - piece.records;
            assert!(held.is_empty() || !(start + 1..=end).any(whole), "the place could be whole");
            text += &piece.text;
            places.push((at, text.clone()));
        }
        text += &text_of(held.as_bytes().to_vec());
        (text, places)
    }

    proptest! {
        #[test]
        fn pieces_of_a_text_are_the_text_from_wherever_reading_begins_anew(
            text in any_text(), sizes in sizes(), pages in sizes(), others in sizes(),
        ) {
            let records = cut(text.as_bytes(), &sizes);
            let (whole, places) = read(&records, 0, &pages);
            prop_assert_eq!(&whole, &text);
            for (at, before) in places {
                let (rest, _) = read(&records, at, &others);
                prop_assert_eq!(before + &rest, text.as_str());
            }
        }

        #[test]
        fn bytes_that_are_no_text_become_the_same_text_however_they_are_cut(
            bytes in prop::collection::vec(
                prop_oneof![any::<u8>(), prop::sample::select(&b"a\x80\xBF\xC3\xE2\xED\xF0\xF4"[..])], 0..60,
            ),
            sizes in sizes(), pages in sizes(),
        ) {
            let (text, _) = read(&cut(&bytes, &sizes), 0, &pages);
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn readers_of_a_stream_get_its_text_from_every_offset(
            text in any_text(), sizes in sizes(), records in 1_usize..5,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let limit = PageLimit { records, bytes: usize::MAX };
                let cut = cut(text.as_bytes(), &sizes);
                let (log, path) = text_stream(&ManualClock::at(1_000_000)).await;
                append(&log, &path, &cut, true).await;
                let mut before = String::new();
                for (at, piece) in events(&log, &path, 0, limit).await {
                    before += &piece;
                    let rest = text_of_events(events(&log, &path, at, limit).await);
                    assert_eq!(format!("{before}{rest}"), text, "from {at}, which it was given");
                }
                assert_eq!(before, text);
                for at in 0..=cut.len() {
                    let place = cut[..at].concat();
                    let begin = place.len() - Held::at_end_of(&place).as_bytes().len();
                    let rest = text_of_events(events(&log, &path, at as u64, limit).await);
                    assert_eq!(rest, text[begin..], "from {at}, in whole characters");
                }
            });
        }
    }

    #[tokio::test]
    async fn a_reader_has_the_beginning_of_a_character_when_retention_has_taken_it() {
        let clock = ManualClock::at(1_000_000);
        let (log, path) = text_stream(&clock).await;
        append(&log, &path, &[b"\xC3"], false).await;
        let limit = PageLimit { records: 1, bytes: usize::MAX };
        let begin = async |after| {
            let reader = log.follow(&path, Offset(after)).await.unwrap().with_limit(limit);
            reader.with_encoding(ENCODING)
        };
        let mut before = begin(0).await;
        assert_eq!(next(&mut before).await, Some((1, String::new())));
        clock.advance(Settings::default().retention);
        append(&log, &path, &[b"\xA9a", b"b"], false).await;
        clock.advance(Duration::from_millis(1));
        log.sweep().await.unwrap();
        // Both stand at one place, and know different things of what was before it.
        let mut after = begin(1).await;
        assert_eq!(next(&mut after).await, Some((2, "\u{FFFD}a".to_owned())));
        assert_eq!(next(&mut before).await, Some((2, "éa".to_owned())));
    }

    const ENCODING: Encoding =
        Encoding { name: "text", encode: Encode::Text(|text| Bytes::from(text.to_owned())) };

    fn text_of_events(events: Vec<(u64, String)>) -> String {
        events.into_iter().map(|(_, piece)| piece).collect()
    }

    async fn text_stream(clock: &Arc<ManualClock>) -> (Log, StreamPath) {
        let store = Arc::new(MemoryStore::default());
        let log = Log::new(store, Arc::clone(clock) as _, Settings::default(), Arc::default());
        let path = StreamPath::parse("a").unwrap();
        let spec = StreamSpec { content_type: Arc::from("text/plain"), ..StreamSpec::json() };
        log.create(&path, spec).await.unwrap();
        (log, path)
    }

    async fn append(log: &Log, path: &StreamPath, records: &[&[u8]], close: bool) {
        let payloads = records.iter().map(|bytes| Bytes::copy_from_slice(bytes));
        let records = payloads.map(|payload| NewRecord { id: None, payload }).collect();
        log.append(path, Append { records, close, ..Append::default() }).await.unwrap();
    }

    /// What a reader comes to next: up to where, and the text; `None` at the end.
    async fn next(reader: &mut Reader) -> Option<(u64, String)> {
        loop {
            match reader.next().await.unwrap() {
                Step::Encoded(page) => {
                    let text = String::from_utf8(page.bytes.to_vec()).unwrap();
                    return Some((page.last.0, text));
                }
                Step::CaughtUp { .. } => {}
                step => {
                    assert!(matches!(step, Step::Closed { .. }), "{step:?}");
                    return None;
                }
            }
        }
    }

    /// The text behind a place up to the end, in the pieces and with the offsets that a reader
    /// is given.
    async fn events(
        log: &Log,
        path: &StreamPath,
        after: u64,
        limit: PageLimit,
    ) -> Vec<(u64, String)> {
        let reader = log.follow(path, Offset(after)).await.unwrap();
        let mut reader = reader.with_limit(limit).with_encoding(ENCODING);
        let mut events = Vec::new();
        while let Some(event) = next(&mut reader).await {
            events.push(event);
        }
        events
    }
}
