//! The events of a stream, page by page: in their order for a replay, by offset for a walk.
//!
//! It refuses to know what they mean. Invariant: one page is in memory, however long the stream.

use std::collections::VecDeque;

use anyhow::{Context, Result};

use crate::{
    client::{Client, Event, ReadQuery},
    limits,
    wire::bodies::EventsAnswer,
};

/// The events after an offset, in their order.
#[derive(Debug)]
pub(super) struct Pages {
    client: Client,
    path: String,
    channels: Option<String>,
    after: u64,
    page: VecDeque<Event>,
    has_more: bool,
}

impl Pages {
    /// The events of a stream after an offset, of some channels or of all.
    pub(super) fn new(client: Client, path: &str, after: u64, channels: Option<String>) -> Self {
        let (path, page) = (path.to_owned(), VecDeque::new());
        Self { client, path, channels, after, page, has_more: true }
    }

    /// The next one; `None` at the tail.
    ///
    /// # Errors
    /// The server is out of reach or refuses, or its answer is none.
    pub(super) async fn next(&mut self) -> Result<Option<Event>> {
        while self.page.is_empty() && self.has_more {
            let limit = Some(limits::EVENTS_LIMIT_MAX as u64);
            let channels = self.channels.clone();
            let query = ReadQuery { from_offset: self.after, limit, channels };
            let answer = self.client.events(&self.path, &query).await?;
            (self.after, self.has_more) = (answer.next_offset, answer.has_more);
            self.page = events(&answer)?.into();
        }
        Ok(self.page.pop_front())
    }
}

/// The events of a session by their offsets.
#[derive(Debug)]
pub(super) struct Book {
    client: Client,
    path: String,
    page: Vec<Event>,
}

impl Book {
    /// The events of a stream.
    pub(super) fn new(client: Client, path: &str) -> Self {
        Self { client, path: path.to_owned(), page: Vec::new() }
    }

    /// The event at an offset; `None` beyond the tail.
    ///
    /// # Errors
    /// As [`Pages::next`], or it is no longer kept.
    pub(super) async fn event(&mut self, offset: u64) -> Result<Option<Event>> {
        if let Some(event) = self.known(offset) {
            return Ok(Some(event));
        }
        let limit = Some(limits::EVENTS_LIMIT_MAX as u64);
        let query = ReadQuery { from_offset: offset.saturating_sub(1), limit, channels: None };
        self.page = events(&self.client.events(&self.path, &query).await?)?;
        Ok(self.known(offset))
    }

    fn known(&self, offset: u64) -> Option<Event> {
        let first = self.page.first()?.offset();
        let at = usize::try_from(offset.checked_sub(first)?).ok()?;
        self.page.get(at).filter(|event| event.offset() == offset).cloned()
    }
}

fn events(answer: &EventsAnswer) -> Result<Vec<Event>> {
    let texts = answer.events.iter().map(|event| event.get().to_owned());
    let all: serde_json::Result<Vec<Event>> = texts.map(Event::read).collect();
    all.context("the server's events cannot be read; is it of another version?")
}
