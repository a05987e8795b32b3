//! Events written as they come, over one request that stays open: for what a terminal shows or a
//! model says, where each line should be there at once.
//!
//! It refuses to try again: while a body is under way nobody says how much of it is in the stream,
//! so going on by itself would mean keeping all of it. Invariant: memory is bounded however long
//! the body is, and a failure says what is known of the events that were handed over. What must be
//! there exactly once is for a producer.

use std::{fmt, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use reqwest::{Body, header};
use tokio::sync::{mpsc, oneshot};

use super::{Client, ClientError, NewEvent, Session, task::Task};
use crate::{
    clock::Clock,
    limits,
    wire::{NDJSON, bodies::NdjsonAnswer, paths},
};

/// Lines that wait for the connection: some milliseconds of it, and 8 MiB of the largest events.
const WAITING_MAX: usize = 32;
/// Lines that wait go together up to here, so that small ones do not cost a packet each.
const PIECE_BYTES: usize = 64 * 1024;
/// After this long without a line an empty one is sent: the server gives a body up after 30 s.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// A live body of events. See [`Client::ndjson`].
///
/// **Dropping it** breaks the request off: of what was handed over, some events are in the stream
/// and others are not. [`NdjsonWriter::finish`] it to know.
pub struct NdjsonWriter {
    client: Client,
    lines: mpsc::Sender<Bytes>,
    /// Nothing once it came.
    answer: Option<oneshot::Receiver<Result<NdjsonAnswer, ClientError>>>,
    sent: u64,
    _task: Task,
}

impl fmt::Debug for NdjsonWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NdjsonWriter").field("sent", &self.sent).finish_non_exhaustive()
    }
}

/// Why an event was not handed over, or a body did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NdjsonError {
    /// The event is larger than any that the server reads. Nothing of it was sent, and the writer
    /// goes on with others.
    #[error(
        "the event has {bytes} bytes, more than {max}: keep what it says elsewhere, and send where"
    )]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What it may have.
        max: usize,
    },
    /// The event cannot be written as JSON. Nothing of it was sent, and the writer goes on with
    /// others.
    #[error("the event cannot be written as JSON: {0}")]
    Json(serde_json::Error),
    /// The body failed, and ends here.
    ///
    /// Events are written in order: where `written` is known, the ones after the first so many are
    /// to be written again. Where it is not, those may be written again under the same ids (which
    /// [`NdjsonWriter::write`] returns), as long as the server remembers them: 1,024 ids or 10
    /// minutes.
    #[error("{error}; of {sent} events that were handed over, {} are in the stream", told(.written.as_ref()))]
    Failed {
        /// What happened.
        #[source]
        error: ClientError,
        /// Events that were handed over.
        sent: u64,
        /// Those of them that are in the stream, where that is known: the server said it, or was
        /// never reached.
        written: Option<u64>,
        /// The offset of the last of them, where the server said it.
        offset: Option<u64>,
    },
    /// The body had failed before, and that was said then.
    #[error("the body has failed before: begin a new one")]
    Over,
}

fn told(written: Option<&u64>) -> String {
    written.map_or_else(|| "an unknown number".to_owned(), u64::to_string)
}

/// How many events are in the stream, where that is known. Events become durable while the body is
/// under way, so a refusal that does not count them says nothing: it may be of a gateway that had
/// enough of the body after some of it was passed on.
fn written(error: &ClientError) -> Option<u64> {
    match error {
        ClientError::Unreachable { source, .. } if source.is_connect() => Some(0),
        _ => error.problem()?.count,
    }
}

impl Client {
    /// Begins to write events to the stream at `path`. Nothing is sent before the first event. It
    /// must be called within a tokio runtime.
    #[must_use]
    pub fn ndjson(&self, path: &str) -> NdjsonWriter {
        let (lines, waiting) = mpsc::channel(WAITING_MAX);
        let (answered, answer) = oneshot::channel();
        let (client, url) = (self.clone(), self.url(&paths::events(path)));
        let task = Task::spawn(async move {
            let Some(body) = body(waiting, Arc::clone(&client.inner.clock)).await else { return };
            let request = client.inner.http.post(url).header(header::CONTENT_TYPE, NDJSON);
            // It was given up if nobody listens.
            drop(answered.send(client.at_leisure(request.body(body)).await));
        });
        NdjsonWriter { client: self.clone(), lines, answer: Some(answer), sent: 0, _task: task }
    }
}

impl Session {
    /// Begins to write events; see [`Client::ndjson`].
    #[must_use]
    pub fn ndjson(&self) -> NdjsonWriter {
        self.client().ndjson(&self.path())
    }
}

/// The body, once there is a first line for it.
async fn body(mut lines: mpsc::Receiver<Bytes>, clock: Arc<dyn Clock>) -> Option<Body> {
    let first = lines.recv().await?;
    let step = async move |(first, mut lines, clock): (Option<Bytes>, _, _)| {
        let piece = next_piece(first, &mut lines, &clock).await?;
        Some((Ok::<_, std::convert::Infallible>(piece), (None, lines, clock)))
    };
    Some(Body::wrap_stream(stream::unfold((Some(first), lines, clock), step)))
}

async fn next_piece(
    first: Option<Bytes>,
    lines: &mut mpsc::Receiver<Bytes>,
    clock: &Arc<dyn Clock>,
) -> Option<Bytes> {
    let first = match first {
        Some(first) => first,
        None => tokio::select! {
            line = lines.recv() => line?,
            () = clock.sleep(ALIVE_EVERY) => return Some(Bytes::from_static(b"\n")),
        },
    };
    let Ok(next) = lines.try_recv() else { return Some(first) };
    let mut piece = BytesMut::from(first);
    piece.extend_from_slice(&next);
    while piece.len() < PIECE_BYTES
        && let Ok(next) = lines.try_recv()
    {
        piece.extend_from_slice(&next);
    }
    Some(piece.freeze())
}

impl NdjsonWriter {
    /// Events that were handed over.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Hands an event over, under a made id where it has none, and waits while the line is full.
    /// Returns its id. That it is in the stream is known with the answer of
    /// [`NdjsonWriter::finish`].
    ///
    /// # Errors
    /// This event cannot be one, which hurts no other; or the request has failed or took nothing
    /// for as long as an answer may take: then nothing more can be written.
    pub async fn write(&mut self, mut event: NewEvent) -> Result<String, NdjsonError> {
        let id = event.id.get_or_insert_with(|| self.client.new_id()).clone();
        let mut line = serde_json::to_vec(&event).map_err(NdjsonError::Json)?;
        let (bytes, max) = (line.len(), limits::BODY_BYTES_MAX);
        if bytes > max {
            return Err(NdjsonError::TooLarge { bytes, max });
        }
        line.push(b'\n');
        let inner = &self.client.inner;
        let handed_over = tokio::select! {
            handed_over = self.lines.send(line.into()) => handed_over.is_ok(),
            () = inner.clock.sleep(inner.answer_within) => return Err(self.slow()),
        };
        if !handed_over {
            let answered = self.answer().await;
            // It cannot have succeeded while its body was open.
            return Err(answered.err().unwrap_or(NdjsonError::Over));
        }
        self.sent += 1;
        Ok(id)
    }

    /// Ends the body and waits for the answer: then all of it is durable.
    ///
    /// # Errors
    /// The request has failed; the error says what is known of the events.
    pub async fn finish(mut self) -> Result<NdjsonAnswer, NdjsonError> {
        if self.sent == 0 {
            return Ok(NdjsonAnswer { ok: true, count: 0, duplicates: 0, offset: None });
        }
        // The body ends when nobody can write to it any more.
        let (closed, _) = mpsc::channel(1);
        self.lines = closed;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<NdjsonAnswer, NdjsonError> {
        let Some(mut answer) = self.answer.take() else { return Err(NdjsonError::Over) };
        let inner = &self.client.inner;
        tokio::select! {
            answer = &mut answer => match answer {
                Ok(answer) => answer.map_err(|error| self.failed(error)),
                Err(_) => Err(self.slow()),
            },
            () = inner.clock.sleep(inner.answer_within) => Err(self.slow()),
        }
    }

    fn slow(&self) -> NdjsonError {
        self.failed(ClientError::Slow { secs: self.client.inner.answer_within.as_secs() })
    }

    fn failed(&self, error: ClientError) -> NdjsonError {
        let written = written(&error);
        let offset = error.problem().and_then(|problem| problem.offset);
        NdjsonError::Failed { error, sent: self.sent, written, offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{code::Code, problem::Problem};

    #[test]
    fn only_the_server_counts_what_is_in_the_stream() {
        for status in [408, 413, 429, 503] {
            let bare = ClientError::Status { status, retry_after: None };
            assert_eq!(written(&bare), None, "{status} of a gateway");
        }
        let mut problem = Box::new(Problem::new(Code::IncompleteBody, "no"));
        let said = |problem| ClientError::Problem { problem, retry_after: None };
        assert_eq!(written(&said(problem.clone())), None);
        problem.count = Some(3);
        assert_eq!(written(&said(problem)), Some(3));
        assert_eq!(written(&ClientError::Slow { secs: 1 }), None);
    }

    #[tokio::test]
    async fn a_server_that_was_never_reached_has_nothing_and_the_writer_is_over_then() {
        let client = Client::new("http://127.0.0.1:1").unwrap();
        let mut writer = client.ndjson("sessions/s");
        let note = || NewEvent::new("note", "note.added", "x".into());
        writer.write(note()).await.unwrap();
        let failed = loop {
            if let Err(error) = writer.write(note()).await {
                break error;
            }
        };
        assert!(matches!(failed, NdjsonError::Failed { written: Some(0), .. }), "{failed}");
        let later = writer.write(note()).await;
        assert!(matches!(later, Err(NdjsonError::Over)), "{later:?}");
        assert!(matches!(writer.finish().await, Err(NdjsonError::Over)));
    }
}
