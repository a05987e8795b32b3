//! Request bodies: read piece by piece, with a bound on size, on silence and on slowness, and on
//! what all that have not ended hold together. A body that does not come whole is an error, never
//! a shorter body.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::FutureExt;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{error::Fail, pace::Pace};
use crate::{clock::Clock, limits, wire::code::Code};

/// Room for bodies that have begun and not ended. One that comes in one piece needs none of it, so
/// whoever fills it up keeps nobody from appending.
#[derive(Debug, Clone)]
pub(super) struct BodyRoom(Arc<Semaphore>);

/// In which room is counted.
const ROOM_UNIT_BYTES: usize = 1024;

impl BodyRoom {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / ROOM_UNIT_BYTES)))
    }

    /// Takes more of it, to be given back with what was taken before.
    fn take(&self, bytes: usize, held: &mut Option<OwnedSemaphorePermit>) -> Result<(), Fail> {
        let units = u32::try_from(bytes.div_ceil(ROOM_UNIT_BYTES)).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.0).try_acquire_many_owned(units).map_err(|_| no_room())?;
        match held {
            Some(held) => held.merge(taken),
            None => *held = Some(taken),
        }
        Ok(())
    }
}

/// A body as it comes in.
pub(super) struct Incoming<'a> {
    body: &'a mut Body,
    clock: &'a dyn Clock,
    pace: Pace,
    /// Bytes that came since the pace was looked at. It is where a piece has to be waited for: what
    /// is there already was fast enough.
    unpaced: usize,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(body: &'a mut Body, clock: &'a dyn Clock) -> Self {
        Self { body, clock, pace: Pace::WHOLE, unpaced: 0 }
    }

    /// A body that may go on for as long as its writer has something to say.
    pub(super) fn ndjson(body: &'a mut Body, clock: &'a dyn Clock) -> Self {
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
            piece = piece(self.body) => piece?,
            () = self.clock.sleep(left.min(limits::BODY_IDLE_TIMEOUT)) => {
                return Err(if left < limits::BODY_IDLE_TIMEOUT { too_slow() } else { silent() });
            }
        };
        self.unpaced += piece.as_ref().map_or(0, Bytes::len);
        Ok(piece)
    }

    /// The next piece, if it is there.
    pub(super) fn ready(&mut self) -> Option<Result<Option<Bytes>, Fail>> {
        let piece = piece(self.body).now_or_never()?;
        if let Ok(Some(piece)) = &piece {
            self.unpaced += piece.len();
        }
        Some(piece)
    }

    /// All of it, up to [`limits::BODY_BYTES_MAX`].
    pub(super) async fn whole(mut self, room: &BodyRoom) -> Result<Bytes, Fail> {
        if self.body.size_hint().lower() > limits::BODY_BYTES_MAX as u64 {
            self.drain(0).await;
            return Err(too_large());
        }
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        // The body of an append comes in one piece, is not waited for and not copied.
        match self.ready() {
            Some(Ok(None)) => bounded(first),
            Some(Ok(Some(second))) => self.pieces(&[first, second], room).await,
            Some(Err(fail)) => Err(fail),
            None => self.pieces(&[first], room).await,
        }
    }

    /// All of a body that comes in several pieces, of which these are there.
    async fn pieces(mut self, begun: &[Bytes], room: &BodyRoom) -> Result<Bytes, Fail> {
        let mut held = None;
        let mut whole = begun.concat();
        let mut grown = room.take(whole.len(), &mut held);
        while grown.is_ok() {
            let Some(piece) = self.next().await? else { return bounded(whole.into()) };
            whole.extend_from_slice(&piece);
            if whole.len() > limits::BODY_BYTES_MAX {
                drop(whole);
                drop(held);
                self.drain(limits::BODY_BYTES_MAX).await;
                return Err(too_large());
            }
            grown = room.take(piece.len(), &mut held);
        }
        let came = whole.len();
        // What is refused is not held on to while the rest of it comes.
        drop(whole);
        drop(held);
        self.drain(came).await;
        Err(no_room())
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
            None => {
                // Nobody may ask it again; what is empty says that it is at its end.
                *body = Body::empty();
                return Ok(None);
            }
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

fn no_room() -> Fail {
    Fail::new(
        Code::Busy,
        "the server holds as many bodies that have not ended as it has room for; nothing was \
         written, send it again shortly",
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
