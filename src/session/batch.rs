//! Events on their way in: each is checked and written into one shared buffer, of which every
//! record becomes a slice.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use smallvec::SmallVec;

use super::event::{self, EventError, Maker, Rules};
use crate::log::{self, NewRecord};

/// The id of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventId {
    /// The id.
    pub text: Arc<str>,
    /// The writer gave it, so it may come again.
    pub given: bool,
}

/// Events that are appended in one step.
#[derive(Debug, Default)]
pub struct EventBatch {
    buffer: Vec<u8>,
    /// Mostly one.
    events: SmallVec<[(EventId, Range<usize>); 1]>,
}

impl EventBatch {
    /// An empty batch with room for `bytes` of events.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { buffer: Vec::with_capacity(bytes), events: SmallVec::new() }
    }

    /// Adds an event, given as its JSON text.
    ///
    /// # Errors
    /// [`EventError`]; the batch is as it was.
    pub fn push(&mut self, text: &[u8], rules: Rules, maker: &Maker<'_>) -> Result<(), EventError> {
        let Ok(text) = std::str::from_utf8(text) else {
            log::json::validate(text)?;
            return Err(EventError::NotUtf8);
        };
        // What is no object is told apart from what is no JSON.
        if !text.trim_ascii_start().starts_with('{') {
            log::json::validate(text.as_bytes())?;
        }
        self.push_parsed(text, rules, maker)
    }

    /// Adds an event, given as a text that is an object if it is JSON at all.
    ///
    /// # Errors
    /// [`EventError`]; the batch is as it was.
    pub fn push_parsed(
        &mut self,
        text: &str,
        rules: Rules,
        maker: &Maker<'_>,
    ) -> Result<(), EventError> {
        if !log::json::is_plain(text) {
            log::json::validate(text.as_bytes())?;
        }
        let start = self.buffer.len();
        match event::write(&mut self.buffer, text, rules, maker) {
            Ok(id) => {
                self.events.push((id, start..self.buffer.len()));
                Ok(())
            }
            Err(error) => {
                self.buffer.truncate(start);
                Err(error)
            }
        }
    }

    /// How many events it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// It has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Bytes of its events.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The ids and the records of its events, in order.
    #[must_use]
    pub fn finish(self) -> (SmallVec<[EventId; 1]>, SmallVec<[NewRecord; 1]>) {
        let buffer = Bytes::from(self.buffer);
        let record = |(id, range): (EventId, Range<usize>)| {
            let known = id.given.then(|| Arc::clone(&id.text));
            (id, NewRecord { id: known, payload: buffer.slice(range) })
        };
        self.events.into_iter().map(record).unzip()
    }
}
