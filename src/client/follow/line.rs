//! One connection of a follower: bytes in, server-sent events out.
//!
//! It refuses to know what the events mean. Invariant: a line that falls silent, or that sends an
//! event without end, is broken; neither holds the follower or its memory.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_stream::stream;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Response;
use sse_stream::{Sse, SseByteStream};

use super::Broken;
use crate::clock::Clock;

/// Bytes between two events. A snapshot is the largest: the server's states are bounded far
/// below this, so more is no server of ours.
const EVENT_BYTES_MAX: usize = 256 * 1024 * 1024;

type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A connection that events come from.
pub(super) struct Line {
    events: SseByteStream<Pieces>,
    /// Bytes since the last event.
    pending: Arc<AtomicUsize>,
}

impl Line {
    /// Reads an answer; `silent_for` without a byte is too long.
    pub(super) fn new(answer: Response, clock: Arc<dyn Clock>, silent_for: Duration) -> Self {
        let pending = Arc::new(AtomicUsize::new(0));
        let pieces = pieces(answer, Arc::clone(&pending), clock, silent_for);
        Self { events: SseByteStream::new(Box::pin(pieces)), pending }
    }

    /// The next event that has data.
    pub(super) async fn next(&mut self) -> Result<Sse, Broken> {
        loop {
            match self.events.next().await {
                Some(Ok(event)) => {
                    self.pending.store(0, Ordering::Relaxed);
                    if event.data.is_some() {
                        return Ok(event);
                    }
                }
                Some(Err(sse_stream::Error::Body(cause))) => return Err(broken(&*cause)),
                Some(Err(_)) => return Err(Broken::Garbled),
                None => return Err(Broken::Closed),
            }
        }
    }
}

fn broken(cause: &(dyn std::error::Error + 'static)) -> Broken {
    match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => Broken::Silent,
        Some(io::ErrorKind::FileTooLarge) => Broken::Garbled,
        _ => Broken::Cut(crate::client::error::innermost(cause)),
    }
}

fn pieces(
    answer: Response,
    pending: Arc<AtomicUsize>,
    clock: Arc<dyn Clock>,
    silent_for: Duration,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let mut bytes = answer.bytes_stream();
    stream! {
        loop {
            let piece = tokio::select! {
                biased;
                piece = bytes.next() => piece.map(|piece| piece.map_err(io::Error::other)),
                () = clock.sleep(silent_for) => Some(Err(io::ErrorKind::TimedOut.into())),
            };
            let Some(piece) = piece else { return };
            let length = piece.as_ref().map_or(0, Bytes::len);
            if pending.fetch_add(length, Ordering::Relaxed) > EVENT_BYTES_MAX {
                yield Err(io::ErrorKind::FileTooLarge.into());
                return;
            }
            yield piece;
        }
    }
}
