//! How a client is put together: the server's URL, a token, timeouts, and how failures are met.

use std::{sync::Arc, time::Duration};

use reqwest::header;

use super::{Client, ClientError, Inner, RetryPolicy, Waits};
use crate::{
    clock::{Clock, SystemClock},
    session::Ids,
    tls,
};

/// Settings of a client. What is not said is as [`ClientBuilder::new`] has it.
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    url: String,
    token: Option<String>,
    ca: Option<Vec<u8>>,
    connect_within: Duration,
    answer_within: Duration,
    silent_for: Duration,
    retry: RetryPolicy,
    reconnect: Waits,
    clock: Arc<dyn Clock>,
}

impl ClientBuilder {
    /// A client of the server at `url`: 5 s to connect, a minute for an answer, 45 s of silence
    /// on a live line (three heartbeats missed), three tries, and a follower that comes back
    /// after 1 to 30 s.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            ca: None,
            connect_within: Duration::from_secs(5),
            answer_within: Duration::from_mins(1),
            silent_for: Duration::from_secs(45),
            retry: RetryPolicy::default(),
            reconnect: Waits::FOLLOWER,
            clock: Arc::new(SystemClock),
        }
    }

    /// Shows a token with every request, as `Authorization: Bearer`.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Believes certificates of these authorities, in PEM, and of no others; for servers with a
    /// certificate that the machine does not know.
    #[must_use]
    pub fn ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// The time in which a connection must stand.
    #[must_use]
    pub fn connect_within(mut self, span: Duration) -> Self {
        self.connect_within = span;
        self
    }

    /// The time in which an answer must be there, its body included; of a live read, its head.
    #[must_use]
    pub fn answer_within(mut self, span: Duration) -> Self {
        self.answer_within = span;
        self
    }

    /// After this long without a byte a live line counts as dead, whatever TCP says. The server
    /// sends a heartbeat every 15 s.
    #[must_use]
    pub fn silent_for(mut self, span: Duration) -> Self {
        self.silent_for = span;
        self
    }

    /// How requests are tried again.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How long followers wait before they come back.
    #[must_use]
    pub fn reconnect(mut self, waits: Waits) -> Self {
        self.reconnect = waits;
        self
    }

    /// Where time comes from; for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Puts the client together. Nothing is sent yet.
    ///
    /// # Errors
    /// The URL or the token cannot be one, or what should be authorities is no PEM.
    pub fn build(self) -> Result<Client, ClientError> {
        let refused = || ClientError::Url(self.url.clone());
        let parsed = reqwest::Url::parse(&self.url).map_err(|_| refused())?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(refused());
        }
        let mut headers = header::HeaderMap::new();
        if let Some(token) = &self.token {
            let bearer = header::HeaderValue::try_from(format!("Bearer {token}"));
            let mut bearer = bearer.map_err(|_| ClientError::Token)?;
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        tls::choose();
        let mut http = reqwest::Client::builder()
            .connect_timeout(self.connect_within)
            .default_headers(headers)
            // Each live read has a connection to itself: one that is not read holds up no other.
            .http1_only();
        if let Some(pem) = &self.ca {
            let trusted = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
            if trusted.is_empty() {
                return Err(ClientError::Ca);
            }
            http = http.tls_certs_only(trusted);
        }
        let http = http
            .build()
            .map_err(|source| ClientError::Unreachable { url: self.url.clone(), source })?;
        let base = self.url.trim_end_matches('/').to_owned();
        let inner = Inner {
            http,
            base,
            answer_within: self.answer_within,
            silent_for: self.silent_for,
            retry: self.retry,
            reconnect: self.reconnect,
            clock: self.clock,
            ids: Ids::default(),
        };
        Ok(Client { inner: Arc::new(inner) })
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

    #[test]
    fn authorities_that_are_no_pem_are_refused() {
        for pem in ["", "x", "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n"] {
            let builder = Client::builder("https://127.0.0.1:1").ca(pem);
            assert!(matches!(builder.build(), Err(ClientError::Ca)), "{pem:?}");
        }
    }

    #[test]
    fn a_token_with_a_line_break_is_refused_and_none_is_shown() {
        let builder = Client::builder("http://127.0.0.1:1").token("a\nb");
        assert!(matches!(builder.build(), Err(ClientError::Token)));
        let client = Client::builder("http://127.0.0.1:1").token("secret").build().unwrap();
        assert!(!format!("{client:?}").contains("secret"));
    }
}
