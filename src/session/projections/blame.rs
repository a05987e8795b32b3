//! Which event set what stands at a place of a state: watched while the events are folded once
//! more. Pure.
//!
//! Invariant: of the events that were seen, it names the last one after which the value became
//! what it is, though it may have been the same before and something else in between.

use std::io::{self, Write};

use serde_json::value::RawValue;

use super::{Event, Pointer, Projections};
use crate::{log::Record, session::Stored};

/// A search for the event that set a value.
#[derive(Debug)]
pub struct Blame {
    pointer: Pointer,
    /// None where the search is for when nothing stood there.
    wanted: Option<Vec<u8>>,
    is_there: bool,
    by: Option<SetBy>,
    left: Option<SetBy>,
}

/// The event that set a value.
#[derive(Debug, Clone)]
pub struct SetBy {
    /// Its offset.
    pub offset: u64,
    /// Its id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// When it says it happened, Unix milliseconds.
    pub timestamp_ms: u64,
    /// Who wrote it, as it came.
    pub actor: Option<Box<RawValue>>,
}

impl Blame {
    /// Looks for what set the value that stands at a place now; `None` where nothing does.
    #[must_use]
    pub fn of(pointer: Pointer, now: &Projections) -> Option<Self> {
        let wanted = now.text_at(&pointer)?;
        Some(Self::wanting(pointer, Some(wanted)))
    }

    /// Looks for what set a value, given as JSON text; with `None`, for what took it away.
    #[must_use]
    pub fn wanting(pointer: Pointer, wanted: Option<Vec<u8>>) -> Self {
        Self { pointer, wanted, is_there: false, by: None, left: None }
    }

    /// The value, as JSON text; empty where it is none.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.wanted.as_deref().unwrap_or_default()
    }

    /// Looks at a state, and at the record that led to it; none where it is the first.
    pub fn see(&mut self, state: &Projections, record: Option<&Record>) {
        let is_there = self.is_in(state);
        match (self.is_there, is_there) {
            (false, true) => self.by = record.and_then(SetBy::of),
            (true, false) => self.left = record.and_then(SetBy::of),
            _ => {}
        }
        self.is_there = is_there;
    }

    fn is_in(&self, state: &Projections) -> bool {
        let Some(wanted) = &self.wanted else {
            let mut any = Any(false);
            // What takes nothing is refused as what is not there: it says which it was.
            let written = state.write_at(&self.pointer, &mut any);
            return !written && !any.0;
        };
        let mut same = Same { rest: wanted };
        state.write_at(&self.pointer, &mut same) && same.rest.is_empty()
    }

    /// The event, if it was among those seen.
    #[must_use]
    pub fn by(self) -> Option<SetBy> {
        self.by.filter(|_| self.is_there)
    }

    /// The event after which the value was there no more, if it was there and is not now.
    #[must_use]
    pub fn left(self) -> Option<SetBy> {
        self.left.filter(|_| !self.is_there)
    }
}

impl Projections {
    /// What stands at a place, as JSON text; `None` where nothing does.
    #[must_use]
    pub fn text_at(&self, place: &Pointer) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        self.write_at(place, &mut text).then_some(text)
    }
}

impl SetBy {
    fn of(record: &Record) -> Option<Self> {
        let (offset, timestamp_ms) = (record.offset.0, record.timestamp_ms);
        let event = Event::read(&Stored { offset, timestamp_ms, payload: &record.payload })?;
        Some(Self {
            offset,
            id: event.id.into_owned(),
            kind: event.kind.into_owned(),
            timestamp_ms: event.timestamp_ms,
            actor: event.actor.map(ToOwned::to_owned),
        })
    }
}

/// Takes a text for as long as it is the one expected, so that another one is given up early.
struct Same<'a> {
    rest: &'a [u8],
}

impl Write for Same<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.rest = self.rest.strip_prefix(text).ok_or(io::ErrorKind::InvalidData)?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes nothing, and remembers that there was something.
struct Any(bool);

impl Write for Any {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        self.0 = true;
        Err(io::ErrorKind::InvalidData.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        log::{Offset, Position},
        projection::Fold,
        session::projections::testing,
    };

    /// The offset that set the value at a place, where events from `seen` on are looked at; 0
    /// where none of them did.
    fn set_by(events: &[(&str, Value)], pointer: &str, seen: usize) -> Option<u64> {
        let records = (1..).zip(events).map(|(offset, (kind, data))| Record {
            offset: Offset(offset),
            position: Position(offset),
            timestamp_ms: 0,
            payload: testing::record(offset, kind, data).into(),
        });
        let records: Vec<_> = records.collect();
        let fold = |records: &[Record]| {
            let mut state = Projections::default();
            for record in records {
                Fold::fold(&mut state, record);
            }
            state
        };
        let mut blame = Blame::of(Pointer::parse(pointer).unwrap(), &fold(&records))?;
        let mut state = fold(&records[..seen]);
        blame.see(&state, None);
        for record in &records[seen..] {
            Fold::fold(&mut state, record);
            blame.see(&state, Some(record));
        }
        Some(blame.by().map_or(0, |by| by.offset))
    }

    #[test]
    fn what_took_a_value_away_is_named() {
        let events = [todo("a"), todo("b"), ("todo.updated", json!({"todos": []})), todo("c")];
        let mut state = Projections::default();
        let search = |wanted: Option<&str>| {
            let pointer = Pointer::parse("/todo/todos/0/text").unwrap();
            Blame::wanting(pointer, wanted.map(|text| text.as_bytes().to_vec()))
        };
        let mut searches = [search(Some("\"a\"")), search(Some("\"c\"")), search(None)];
        for search in &mut searches {
            search.see(&state, None);
        }
        for (offset, (kind, data)) in (1..).zip(&events) {
            let payload = testing::record(offset, kind, data).into();
            let (offset, position) = (Offset(offset), Position(offset));
            let record = Record { offset, position, timestamp_ms: 0, payload };
            Fold::fold(&mut state, &record);
            for search in &mut searches {
                search.see(&state, Some(&record));
            }
        }
        let left = searches.map(|search| search.left().map(|by| by.offset));
        assert_eq!(left, [Some(2), None, Some(4)]);
    }

    fn todo(text: &str) -> (&'static str, Value) {
        ("todo.updated", json!({"todos": [{"id": "1", "text": text, "status": "pending"}]}))
    }

    #[test]
    fn the_last_event_that_made_a_value_what_it_is_is_named() {
        let events = [todo("a"), todo("b"), todo("a"), todo("a"), todo("aa"), todo("a")];
        assert_eq!(set_by(&events, "/todo/todos/0/text", 0), Some(6));
        assert_eq!(set_by(&events[..4], "/todo/todos/0/text", 0), Some(3));
        assert_eq!(set_by(&events[..4], "/todo/todos/0/id", 0), Some(1));
        assert_eq!(set_by(&events[..4], "/todo/todos", 0), Some(3));
        assert_eq!(set_by(&events[..4], "/todo/updatedOffset", 0), Some(4));
        assert_eq!(set_by(&events, "/todo/todos/1", 0), None);
        assert_eq!(set_by(&events, "/nothing", 0), None);
    }

    #[test]
    fn what_was_set_before_the_events_that_are_seen_has_no_event() {
        let events = [todo("a"), todo("a"), todo("b"), todo("b")];
        assert_eq!(set_by(&events, "/todo/todos/0/text", 3), Some(0));
        assert_eq!(set_by(&events, "/todo/todos/0/text", 2), Some(3));
    }
}
