//! One request and its answer, with the tries that it takes.
//!
//! It refuses to know what is asked. Invariant: a request that must not be done twice is sent
//! again only where the first was certainly not done.

use std::{future::Future, time::Duration};

use reqwest::{RequestBuilder, Response, header};
use serde::{Serialize, de::DeserializeOwned};

use super::{Client, ClientError};

/// Bytes of an answer: a whole state is the largest, and the server's are bounded far below this.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of a refusal: ours have a few hundred, a gateway's page a few thousand.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Whether a request may be done twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Twice is as good as once: a read, or a write with an id.
    Safe,
    /// Only if nothing came of the first.
    Unwritten,
}

impl Repeat {
    fn allows(self, error: &ClientError) -> bool {
        error.is_passing() && (self == Self::Safe || error.is_unwritten())
    }
}

impl Client {
    /// A `GET` of a route, its answer read.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        route: &str,
        query: &(impl Serialize + Sync),
    ) -> Result<T, ClientError> {
        let request = self.inner.http.get(self.url(route)).query(query);
        self.answer(request, Repeat::Safe).await
    }

    /// Sends a body as JSON with a `POST`, its answer read.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        route: &str,
        body: &(impl Serialize + Sync),
        repeat: Repeat,
    ) -> Result<T, ClientError> {
        let request = self.inner.http.post(self.url(route));
        self.answer(with_json(request, body)?, repeat).await
    }

    /// Sends a request until it succeeds or the policy has enough, and reads its answer.
    pub(super) async fn answer<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        repeat: Repeat,
    ) -> Result<T, ClientError> {
        let mut attempt = 1;
        loop {
            // Bodies are in memory, so every request can be cloned; else it is sent once.
            let again = request.try_clone();
            let Some(this) = again else { return self.once(request).await };
            let error = match self.once(this).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let wait = self.inner.retry.wait_after(attempt, rand::random(), error.retry_after());
            let Some(wait) = wait.filter(|_| repeat.allows(&error)) else { return Err(error) };
            self.inner.clock.sleep(wait).await;
            attempt += 1;
        }
    }

    /// Sends a request once and reads its answer, for those who try again themselves.
    pub(super) async fn once<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        self.in_time(self.at_leisure(request)).await
    }

    /// The same for a request that lasts as long as its body does.
    pub(super) async fn at_leisure<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        let body = whole(self.send(request).await?, ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Garbled(error.to_string()))
    }

    /// What is asked, unless it takes longer than an answer may.
    pub(super) async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let within = self.inner.answer_within;
        tokio::select! {
            biased;
            answer = asked => answer,
            () = self.inner.clock.sleep(within) => Err(ClientError::Slow { secs: within.as_secs() }),
        }
    }

    /// Sends a request once; an answer that is a refusal is an error.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let answer = self.sent(request).await?;
        if answer.status().is_success() { Ok(answer) } else { Err(refusal(answer).await) }
    }

    /// Sends a request once, for those who look at a refusal's headers themselves.
    pub(super) async fn sent(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let unreachable =
            |source| ClientError::Unreachable { url: self.inner.base.clone(), source };
        request.send().await.map_err(unreachable)
    }
}

/// The whole body of an answer, which must end within a bound.
async fn whole(mut answer: Response, most: usize) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(ClientError::Answer)? {
        if body.len() + piece.len() > most {
            return Err(ClientError::Garbled(format!("it has more than {most} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// What an answer says that is a refusal.
pub(super) async fn refusal(answer: Response) -> ClientError {
    let status = answer.status().as_u16();
    let retry_after = retry_after(&answer);
    let body = match whole(answer, REFUSAL_BYTES_MAX).await {
        Ok(body) => body,
        // Half a refusal says neither why nor whether anything was written.
        Err(error) => return error,
    };
    match serde_json::from_slice(&body) {
        Ok(problem) => ClientError::Problem { problem: Box::new(problem), retry_after },
        Err(_) => ClientError::Status { status, retry_after },
    }
}

/// The request with a body of JSON.
pub(super) fn with_json(
    request: RequestBuilder,
    body: &impl Serialize,
) -> Result<RequestBuilder, ClientError> {
    let body = serde_json::to_vec(body).map_err(ClientError::Body)?;
    Ok(request.header(header::CONTENT_TYPE, crate::wire::JSON).body(body))
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}
