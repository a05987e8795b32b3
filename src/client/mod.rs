//! How the command line talks to a server over HTTP. It knows requests, answers and event
//! streams, and refuses to know the server: everything it sees went over a socket.

mod error;
pub mod follow;
pub mod sse;

use std::time::Duration;

use reqwest::{RequestBuilder, Response, header};
use serde::{Serialize, de::DeserializeOwned};

pub use self::error::ClientError;
use crate::{
    tls,
    wire::{
        NDJSON,
        bodies::{EventsAnswer, NdjsonAnswer, StreamBody, StreamsAnswer},
        paths,
    },
};

/// Time to connect. A server in reach takes milliseconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Time for an answer that is not a live read, its body included.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// A server, by its URL.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

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
    /// A client of the server at `url`, such as `http://127.0.0.1:4437`.
    ///
    /// # Errors
    /// The URL is not one.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        let refused = || ClientError::Url(url.to_owned());
        let parsed = reqwest::Url::parse(url).map_err(|_| refused())?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(refused());
        }
        tls::choose();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .build()
            .map_err(|source| ClientError::Unreachable { url: url.to_owned(), source })?;
        Ok(Self { http, base: url.trim_end_matches('/').to_owned() })
    }

    /// The URL of a route.
    #[must_use]
    pub fn url(&self, route: &str) -> String {
        format!("{}{route}", self.base)
    }

    /// Appends the events in `lines`, one JSON object each.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn append(&self, path: &str, lines: Vec<u8>) -> Result<NdjsonAnswer, ClientError> {
        let request = self.http.post(self.url(&paths::events(path)));
        self.answer(request.header(header::CONTENT_TYPE, NDJSON).body(lines)).await
    }

    /// One page of a stream's events.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn events(&self, path: &str, query: &ReadQuery) -> Result<EventsAnswer, ClientError> {
        self.answer(self.http.get(self.url(&paths::events(path))).query(query)).await
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
        let query = [("prefix", prefix), ("cursor", cursor)];
        self.answer(self.http.get(self.url(paths::STREAMS)).query(&query)).await
    }

    /// A stream as it stands.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn stream(&self, path: &str) -> Result<StreamBody, ClientError> {
        self.answer(self.http.get(self.url(&paths::stream(path)))).await
    }

    /// Begins a live read.
    async fn follow(&self, path: &str, query: &ReadQuery) -> Result<Response, ClientError> {
        let request = self.http.get(self.url(&paths::follow(path))).query(query);
        self.send(request.header(header::ACCEPT, crate::wire::EVENT_STREAM)).await
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let answer = self.send(request.timeout(ANSWER_WITHIN)).await?;
        answer.json().await.map_err(ClientError::Answer)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let unreachable = |source| ClientError::Unreachable { url: self.base.clone(), source };
        let answer = request.send().await.map_err(unreachable)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(ClientError::Answer)?;
        Err(serde_json::from_slice(&body).map_or(ClientError::Status { status }, |problem| {
            ClientError::Problem(Box::new(problem))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_other_kinds_are_refused() {
        for url in ["", "127.0.0.1:4437", "ftp://x", "http://"] {
            assert!(matches!(Client::new(url), Err(ClientError::Url(_))), "{url:?}");
        }
        let client = Client::new("http://127.0.0.1:4437/").unwrap();
        assert_eq!(client.url("/healthz"), "http://127.0.0.1:4437/healthz");
    }
}
