//! Server-sent events, read without copies, so that the bench measures the server and not its own
//! reading; the client uses a library. Bytes in, events out, whatever the pieces they arrive in.
//! It follows the field rules of the HTML standard and knows nothing of what the events mean.
//! Invariant: the events do not depend on where the input was cut.

/// One event as it is dispatched; the slices are valid until the next byte is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SseEvent<'a> {
    /// The `event:` field; empty for an unnamed event.
    pub(super) name: &'a [u8],
    /// The last `id:` field seen on the line, which an event without one inherits.
    pub(super) id: &'a [u8],
    /// The `data:` lines, joined with line breaks.
    pub(super) data: &'a [u8],
}

/// An incremental parser of one event stream.
#[derive(Debug, Default)]
pub(super) struct SseParser {
    /// A line whose end has not arrived yet.
    partial: Vec<u8>,
    name: Vec<u8>,
    id: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_cr: bool,
}

impl SseParser {
    /// A parser at the start of a stream.
    #[must_use]
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and hands every event they complete to `on_event`.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut on_event: impl FnMut(SseEvent<'_>)) {
        while !bytes.is_empty() {
            if self.after_cr {
                self.after_cr = false;
                if let Some(rest) = bytes.strip_prefix(b"\n") {
                    bytes = rest;
                    continue;
                }
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
                self.partial.extend_from_slice(bytes);
                return;
            };
            let (line, rest) = bytes.split_at(end);
            self.after_cr = rest.first() == Some(&b'\r');
            bytes = rest.get(1..).unwrap_or_default();
            if self.partial.is_empty() {
                self.line(line, &mut on_event);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole, &mut on_event);
                whole.clear();
                self.partial = whole;
            }
        }
    }

    fn line(&mut self, line: &[u8], on_event: &mut impl FnMut(SseEvent<'_>)) {
        if line.is_empty() {
            self.dispatch(on_event);
            return;
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let (field, value) = line.split_at(colon);
                let value = value.get(1..).unwrap_or_default();
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"id" if !value.contains(&0) => {
                self.id.clear();
                self.id.extend_from_slice(value);
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            // A comment, `retry`, or a field of a later standard.
            _ => {}
        }
    }

    fn dispatch(&mut self, on_event: &mut impl FnMut(SseEvent<'_>)) {
        if self.has_data {
            on_event(SseEvent { name: &self.name, id: &self.id, data: &self.data });
        }
        self.name.clear();
        self.data.clear();
        self.has_data = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Owned = (String, String, String);

    fn parse(pieces: &[&[u8]]) -> Vec<Owned> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut events = Vec::new();
        let mut parser = SseParser::new();
        for piece in pieces {
            parser.feed(piece, |event| {
                events.push((text(event.name), text(event.id), text(event.data)));
            });
        }
        events
    }

    fn owned(name: &str, id: &str, data: &str) -> Owned {
        (name.to_owned(), id.to_owned(), data.to_owned())
    }

    #[test]
    fn records_and_named_events_are_told_apart() {
        let events = parse(&[b"id: 7\ndata: {\"a\":1}\n\nevent: caught-up\ndata: {}\n\n"]);
        assert_eq!(events, [owned("", "7", "{\"a\":1}"), owned("caught-up", "7", "{}")]);
    }

    #[test]
    fn all_three_line_ends_and_a_missing_space_are_understood() {
        let events = parse(&[b"data:a\r\ndata: b\rdata:  c\n\r\n"]);
        assert_eq!(events, [owned("", "", "a\nb\n c")]);
    }

    #[test]
    fn comments_and_events_without_data_are_silent() {
        assert_eq!(parse(&[b": ping\n\nevent: x\n\nretry: 5\n\n"]), []);
    }

    #[test]
    fn an_unfinished_event_is_not_dispatched() {
        assert_eq!(parse(&[b"data: a\n"]), []);
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_where_the_input_is_cut(
            lines in prop::collection::vec(("(data|event|id|:|x)?", ":? ?[a-z:é]{0,6}", "\n|\r|\r\n|\n\n"), 0..40),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let parts: Vec<String> = lines.into_iter().map(|(f, v, end)| f + &v + &end).collect();
            let text = parts.concat();
            let bytes = text.as_bytes();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.sort_unstable();
            let mut pieces = Vec::new();
            let mut start = 0;
            for end in at.into_iter().chain([bytes.len()]) {
                pieces.push(&bytes[start..end]);
                start = end;
            }
            prop_assert_eq!(parse(&pieces), parse(&[bytes]));
        }
    }
}
