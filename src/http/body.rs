//! Request bodies: read piece by piece, with a bound on size, on silence and on slowness. A body
//! that does not come whole is an error, never a shorter body.

use axum::body::{Body, Bytes};
use futures_util::FutureExt;
use http_body::Body as _;
use http_body_util::BodyExt;

use super::{error::Fail, pace::Pace};
use crate::{clock::Clock, limits, wire::code::Code};

/// A body as it comes in.
pub(super) struct Incoming<'a> {
    body: Body,
    clock: &'a dyn Clock,
    pace: Pace,
    /// Bytes that came since the pace was looked at. It is where a piece has to be waited for: what
    /// is there already was fast enough.
    unpaced: usize,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(body: Body, clock: &'a dyn Clock) -> Self {
        Self { body, clock, pace: Pace::WHOLE, unpaced: 0 }
    }

    /// A body that may go on for as long as its writer has something to say.
    pub(super) fn ndjson(body: Body, clock: &'a dyn Clock) -> Self {
        Self { pace: Pace::NDJSON, ..Self::new(body, clock) }
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Fail> {
        if let Some(piece) = self.ready() {
            return piece;
        }
        let came = std::mem::take(&mut self.unpaced);
        let left = self.pace.left(came, self.clock.now_ms()).ok_or_else(too_slow)?;
        let piece = tokio::select! {
            piece = piece(&mut self.body) => piece?,
            () = self.clock.sleep(left.min(limits::BODY_IDLE_TIMEOUT)) => {
                return Err(if left < limits::BODY_IDLE_TIMEOUT { too_slow() } else { silent() });
            }
        };
        self.unpaced += piece.as_ref().map_or(0, Bytes::len);
        Ok(piece)
    }

    /// The next piece, if it is there.
    pub(super) fn ready(&mut self) -> Option<Result<Option<Bytes>, Fail>> {
        let piece = piece(&mut self.body).now_or_never()?;
        if let Ok(Some(piece)) = &piece {
            self.unpaced += piece.len();
        }
        Some(piece)
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

    /// Takes in what is left of a body that nobody wants, up to the length of one that is whole.
    pub(super) async fn leave(mut self) {
        self.drain(limits::BODY_DRAINED_MAX.saturating_sub(limits::BODY_BYTES_MAX)).await;
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

fn silent() -> Fail {
    let seconds = limits::BODY_IDLE_TIMEOUT.as_secs();
    Fail::new(Code::BodyTimeout, format!("the body stopped coming for {seconds} s"))
}

fn too_slow() -> Fail {
    Fail::new(
        Code::BodyTimeout,
        format!(
            "the body came too slowly; send 1 KiB a second or more, and all of it within {} s, or \
             whole events as NDJSON, one each {} s at least",
            limits::BODY_WITHIN.as_secs(),
            limits::BODY_IDLE_TIMEOUT.as_secs()
        ),
    )
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
