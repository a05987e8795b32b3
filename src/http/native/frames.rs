//! The encoding of session SSE: records as unnamed events, and the named events about the stream.

use axum::body::Bytes;
use serde::Serialize;

use crate::{
    log::{Encode, Encoding, Record},
    session::{Filter, Stored, View},
    wire::sse,
};

/// Session SSE, as readers without a filter share it.
pub(super) const SESSION: Encoding = Encoding { name: "session", encode: Encode::Records(encode) };

fn encode(records: &[Record]) -> Bytes {
    let bytes = records.iter().map(|record| record.payload.len()).sum();
    let mut frames = Frames::with_room(records.len(), bytes);
    for record in records {
        frames.record(&Stored {
            offset: record.offset.0,
            timestamp_ms: record.timestamp_ms,
            payload: &record.payload,
        });
    }
    frames.finish()
}

/// Frames being written.
#[derive(Debug, Default)]
pub(super) struct Frames {
    out: Vec<u8>,
    head: Vec<u8>,
}

impl Frames {
    /// No frames yet, with room for records of so many bytes.
    pub(super) fn with_room(records: usize, bytes: usize) -> Self {
        let per_record = sse::FRAME_OVERHEAD * 2;
        Self { out: Vec::with_capacity(bytes + records * per_record), head: Vec::new() }
    }

    /// A record.
    pub(super) fn record(&mut self, stored: &Stored<'_>) {
        let parts = stored.parts(&mut self.head);
        sse::frame(&mut self.out, stored.offset, None, &parts);
    }

    /// A record of one of several streams: the event with its stream in front, and the place in
    /// the order of all as its id.
    pub(super) fn told(&mut self, position: u64, path: &str, stored: &Stored<'_>) {
        let parts = stored.parts(&mut self.head);
        // A path is a text, which JSON holds.
        let path = serde_json::to_vec(path).unwrap_or_default();
        let [head, rest @ ..] = parts;
        let head = head.get(1..).unwrap_or_default();
        let front: [&[u8]; 4] = [b"{\"stream\":", &path, b",", head];
        let parts: Vec<&[u8]> = front.into_iter().chain(rest).collect();
        sse::frame(&mut self.out, position, None, &parts);
    }

    /// An event that is written already.
    pub(super) fn written(&mut self, place: u64, data: &[u8]) {
        sse::frame(&mut self.out, place, None, &[data]);
    }

    /// A record, if it is wanted; whether it was.
    pub(super) fn wanted(&mut self, stored: &Stored<'_>, filter: &Filter) -> bool {
        let wanted = filter.takes_all() || filter.takes(&View::of(stored.payload));
        if wanted {
            self.record(stored);
        }
        wanted
    }

    /// An event about the stream. Its id is the place the reader has reached, so that a client
    /// that reconnects goes on from there.
    pub(super) fn named(&mut self, name: &str, place: u64, data: &impl Serialize) {
        // The data are structs of numbers and texts, which JSON holds.
        let data = serde_json::to_vec(data).unwrap_or_default();
        sse::frame(&mut self.out, place, Some(name), &[&data]);
    }

    /// What was written.
    pub(super) fn finish(self) -> Bytes {
        self.out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(offset: u64, payload: &str) -> Stored<'_> {
        Stored { offset, timestamp_ms: 0, payload: payload.as_bytes() }
    }

    #[test]
    fn line_breaks_inside_json_do_not_break_frames() {
        let mut frames = Frames::default();
        frames
            .record(&stored(3, "{\"id\":\"a\",\"channel\":\"c\",\"type\":\"c\",\"data\":{\r\n}}"));
        let text = String::from_utf8(frames.finish().to_vec()).unwrap();
        assert_eq!(
            text,
            "id: 3\ndata: {\"offset\":3,\"id\":\"a\",\"channel\":\"c\",\"type\":\"c\",\"data\":{\ndata: }}\n\n"
        );
    }

    #[test]
    fn what_is_not_wanted_leaves_no_trace() {
        let filter = Filter::default().with_channels("other").unwrap();
        let mut frames = Frames::default();
        assert!(!frames.wanted(&stored(1, "1"), &filter));
        assert!(frames.finish().is_empty());
    }
}
