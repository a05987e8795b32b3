//! Request bodies: read piece by piece, with a bound on size and on silence. A body that does
//! not come whole is an error, never a shorter body.

use axum::body::{Body, Bytes};
use futures_util::FutureExt;
use http_body::Body as _;
use http_body_util::BodyExt;

use super::error::Fail;
use crate::{clock::Clock, limits, wire::code::Code};

/// A body as it comes in.
pub(super) struct Incoming<'a> {
    body: Body,
    clock: &'a dyn Clock,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(body: Body, clock: &'a dyn Clock) -> Self {
        Self { body, clock }
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Fail> {
        if let Some(piece) = self.ready() {
            return piece;
        }
        tokio::select! {
            piece = piece(&mut self.body) => piece,
            () = self.clock.sleep(limits::BODY_IDLE_TIMEOUT) => Err(Fail::new(
                Code::BodyTimeout,
                format!("the body stopped coming for {} s", limits::BODY_IDLE_TIMEOUT.as_secs()),
            )),
        }
    }

    /// The next piece, if it is there.
    pub(super) fn ready(&mut self) -> Option<Result<Option<Bytes>, Fail>> {
        piece(&mut self.body).now_or_never()
    }

    /// All of it, up to [`limits::BODY_BYTES_MAX`].
    pub(super) async fn whole(mut self) -> Result<Bytes, Fail> {
        if self.body.size_hint().lower() > limits::BODY_BYTES_MAX as u64 {
            self.drain(0).await;
            return Err(too_large());
        }
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        // The body of an append comes in one piece, and is not copied.
        let Some(second) = self.next().await? else { return bounded(first) };
        let mut whole = Vec::with_capacity(first.len() + second.len());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
            if whole.len() > limits::BODY_BYTES_MAX {
                self.drain(whole.len()).await;
                return Err(too_large());
            }
        }
        bounded(whole.into())
    }

    /// Takes in what is left of a body that is refused, up to a bound: a client that is still
    /// sending when the connection closes does not get to see the answer.
    async fn drain(&mut self, mut taken: usize) {
        while taken < limits::BODY_DRAINED_MAX {
            match self.next().await {
                Ok(Some(piece)) => taken += piece.len(),
                Ok(None) | Err(_) => return,
            }
        }
    }
}

fn bounded(body: Bytes) -> Result<Bytes, Fail> {
    if body.len() > limits::BODY_BYTES_MAX { Err(too_large()) } else { Ok(body) }
}

async fn piece(body: &mut Body) -> Result<Option<Bytes>, Fail> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(error)) => {
                let message = format!("the body did not come whole: {error}; send it again");
                return Err(Fail::new(Code::IncompleteBody, message));
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !data.is_empty() => return Ok(Some(data)),
                // Trailers and empty pieces say nothing.
                _ => {}
            },
        }
    }
}

fn too_large() -> Fail {
    Fail::new(
        Code::BodyTooLarge,
        format!(
            "a body has at most {} bytes; split it, or send NDJSON, which has no bound",
            limits::BODY_BYTES_MAX
        ),
    )
}
