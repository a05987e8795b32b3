//! What a copy of a stream is made with: a beginning at any offset, and appends to the byte. Also the
//! state of a session, which a readable copy is made from.

use reqwest::header;
use serde::de::DeserializeOwned;

use super::{
    Client, ClientError,
    request::{Repeat, with_json},
};
use crate::wire::{
    NDJSON,
    bodies::{CreateStream, NdjsonAnswer, StreamBody},
    paths,
};

impl Client {
    /// Makes a stream of events whose first record will be at `first_offset`. It is no error if
    /// that stream is there already.
    ///
    /// # Errors
    /// The server is out of reach or refuses, as it does where the stream begins elsewhere.
    pub(crate) async fn begin_copy(
        &self,
        path: &str,
        first_offset: u64,
    ) -> Result<StreamBody, ClientError> {
        let creation = CreateStream { first_offset: Some(first_offset), ..CreateStream::default() };
        let request = self.inner.http.put(self.url(&paths::stream(path)));
        self.answer(with_json(request, &creation)?, Repeat::Safe).await
    }

    /// Appends the events in `lines` to the byte, behind offset `expected` and nowhere else.
    ///
    /// # Errors
    /// The server is out of reach or refuses, as it does where the stream ends elsewhere.
    pub(crate) async fn append_copy(
        &self,
        path: &str,
        expected: u64,
        lines: Vec<u8>,
    ) -> Result<NdjsonAnswer, ClientError> {
        let query = [("verbatim", "on"), ("expectedOffset", &expected.to_string())];
        let request = self.inner.http.post(self.url(&paths::events(path))).query(&query);
        let request = request.header(header::CONTENT_TYPE, NDJSON).body(lines);
        self.answer(request, Repeat::Unwritten).await
    }

    /// Some projections of a session, by their names with commas between them, all at its tail.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub(crate) async fn state_of<T: DeserializeOwned>(
        &self,
        session: &str,
        projections: &str,
    ) -> Result<T, ClientError> {
        let route = paths::STATE.replace("{id}", &paths::escaped(session));
        let query = [("projections", projections)];
        self.get(&route, &query).await
    }
}
