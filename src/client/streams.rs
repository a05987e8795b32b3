//! Streams by their paths: writing events, reading pages, and what streams there are.

use reqwest::header;
use serde::Serialize;

use super::{Client, ClientError, NewEvent, request::Repeat};
use crate::wire::{
    NDJSON,
    bodies::{AppendAnswer, BatchAnswer, EventsAnswer, NdjsonAnswer, StreamBody, StreamsAnswer},
    paths,
};

/// What to read of a stream.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadQuery {
    /// Records after this offset.
    pub from_offset: u64,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Of these channels only, with commas between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<String>,
}

impl Client {
    /// Appends one event to the stream at `path`, under a made id where it has none: it may be
    /// sent twice and is written once.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn write(
        &self,
        path: &str,
        mut event: NewEvent,
    ) -> Result<AppendAnswer, ClientError> {
        event.id.get_or_insert_with(|| self.new_id());
        self.post(&paths::events(path), &event, Repeat::Safe).await
    }

    /// Appends events in one step: all of them or none. Each gets an id where it has none.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn write_all(
        &self,
        path: &str,
        mut events: Vec<NewEvent>,
    ) -> Result<BatchAnswer, ClientError> {
        for event in &mut events {
            event.id.get_or_insert_with(|| self.new_id());
        }
        self.post(&paths::events(path), &events, Repeat::Safe).await
    }

    /// Appends the events in `lines`, one JSON object each. They may lack ids, so they are sent
    /// again only where nothing was written.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn append(&self, path: &str, lines: Vec<u8>) -> Result<NdjsonAnswer, ClientError> {
        let request = self.inner.http.post(self.url(&paths::events(path)));
        let request = request.header(header::CONTENT_TYPE, NDJSON).body(lines);
        self.answer(request, Repeat::Unwritten).await
    }

    /// One page of a stream's events.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn events(&self, path: &str, query: &ReadQuery) -> Result<EventsAnswer, ClientError> {
        self.get(&paths::events(path), query).await
    }

    /// The place in a stream before the first event that was appended at a time, Unix
    /// milliseconds, or later.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn place_at(&self, path: &str, time_ms: u64) -> Result<u64, ClientError> {
        let query = [("fromTimestamp", time_ms), ("limit", 1)];
        let page: EventsAnswer = self.get(&paths::events(path), &query).await?;
        let found = u64::try_from(page.events.len()).unwrap_or(u64::MAX);
        Ok(page.next_offset.saturating_sub(found))
    }

    /// One page of the streams whose path begins with `prefix`.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn streams(
        &self,
        prefix: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<StreamsAnswer, ClientError> {
        self.get(paths::STREAMS, &[("prefix", prefix), ("cursor", cursor)]).await
    }

    /// A stream as it stands.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn stream(&self, path: &str) -> Result<StreamBody, ClientError> {
        self.get(&paths::stream(path), &()).await
    }
}
