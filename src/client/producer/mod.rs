//! A producer: a writer of which every event ends up in the stream exactly once and in order,
//! whatever the network does and however often the server restarts.
//!
//! Batches go over the Durable Streams protocol, under the producer's name, its epoch and a number.
//! Invariant: an event counts as written only when the server has said that its batch is durable.

mod batcher;
mod run;
mod sequence;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use tokio::sync::{Semaphore, mpsc, oneshot};

use self::{
    batcher::BatchLimits,
    run::{Ask, Entry, Run},
    sequence::Sequence,
};
use super::{Client, ClientError, NewEvent, Session, task::Task};
use crate::limits;

/// Events that are handed over and that the sending task has not looked at: as many as one batch
/// holds by default. Their bytes are bounded apart.
const HANDED_OVER_MAX: usize = 1_000;

/// How a producer gathers what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerOptions {
    linger: Duration,
    batch_events: usize,
    batch_bytes: usize,
    in_flight_bytes: usize,
    epoch: Option<u64>,
}

impl Default for ProducerOptions {
    /// 5 ms, 1,000 events and 512 KiB a batch, 4 MiB in flight, an epoch that is made.
    fn default() -> Self {
        Self {
            // Well below what a person notices, and enough for a burst to become one batch.
            linger: Duration::from_millis(5),
            // As in the server's own steps: one flush should carry no more.
            batch_events: limits::NDJSON_STEP_RECORDS,
            batch_bytes: limits::NDJSON_STEP_BYTES,
            // Some batches beyond the one on its way, so that the line never runs dry.
            in_flight_bytes: 4 * 1024 * 1024,
            epoch: None,
        }
    }
}

impl ProducerOptions {
    /// How long an event waits for others to go with it.
    #[must_use]
    pub fn linger(mut self, span: Duration) -> Self {
        self.linger = span;
        self
    }

    /// Events in one batch, 1 to 10,000.
    #[must_use]
    pub fn batch_events(mut self, events: usize) -> Self {
        self.batch_events = events.clamp(1, limits::BATCH_RECORDS_MAX);
        self
    }

    /// Bytes in one batch, up to 1 MiB. An event that is larger alone goes alone.
    #[must_use]
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        // The array has brackets.
        self.batch_bytes = bytes.min(limits::BODY_BYTES_MAX - 2);
        self
    }

    /// Bytes that may be handed over and not yet acknowledged, at least 256 KiB, the largest
    /// event. Beyond them [`Producer::send`] waits.
    #[must_use]
    pub fn in_flight_bytes(mut self, bytes: usize) -> Self {
        self.in_flight_bytes = bytes.clamp(limits::RECORD_BYTES_MAX, Semaphore::MAX_PERMITS);
        self
    }

    /// The epoch, for those who keep one and raise it each time they begin. Without this it is
    /// made of the time, so that a later life fences off an earlier one.
    #[must_use]
    pub fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    fn limits(&self) -> BatchLimits {
        let Self { linger, batch_events: items, batch_bytes: bytes, .. } = *self;
        BatchLimits { linger, items, bytes }
    }
}

/// Why a producer did not write an event. But for the first five, it has stopped: every event
/// that it had not acknowledged gets the same answer, and so do those that come later.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProducerError {
    /// No server takes this as a producer's name.
    #[error("{0:?} cannot name a producer: it has 1 to 256 printable characters of ASCII")]
    Name(String),
    /// A name in the event is empty or too long.
    #[error("the {field} of the event has {bytes} bytes; it has 1 to {max}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What it has.
        bytes: usize,
        /// What it may have.
        max: usize,
    },
    /// The event is too large.
    #[error(
        "the event has {bytes} bytes, more than {max}: keep what it says elsewhere, and send where"
    )]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What it may have.
        max: usize,
    },
    /// The event is nested too deep.
    #[error(
        "the event is nested {levels} levels deep in its batch, more than {max}: make it flatter"
    )]
    TooDeep {
        /// What it has.
        levels: usize,
        /// What it may have.
        max: usize,
    },
    /// The event cannot be written as JSON.
    #[error("the event cannot be written as JSON: {0}")]
    Json(Arc<serde_json::Error>),
    /// A younger life of this producer is at work. Whether the batch that was on its way was
    /// written is not known if its answer had been lost.
    #[error(
        "a younger life of the producer is at work: epoch {epoch} is over; stop, or begin anew"
    )]
    Fenced {
        /// The epoch that is over.
        epoch: u64,
        /// The one that counts, where the server said it.
        current: Option<u64>,
    },
    /// Another life of this producer wrote in the epoch that was given.
    #[error("epoch {epoch} was used before: keep it, and raise it each time the producer begins")]
    EpochUsed {
        /// The epoch.
        epoch: u64,
    },
    /// The stream does not have what it acknowledged: it was deleted and made anew, or restored.
    #[error(
        "the stream has lost batches that it acknowledged (it was made anew?): begin anew, and send what must be there"
    )]
    Lost {
        /// The number that the server would take.
        expected: Option<u64>,
    },
    /// The server refuses, and waiting would not help.
    #[error("the server refuses what the producer sends: {0}")]
    Refused(Arc<ClientError>),
    /// The producer was dropped before the event was acknowledged: perhaps it was written.
    #[error("the producer was dropped before this was acknowledged: close it instead")]
    Dropped,
}

/// An event that is in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its id.
    pub id: String,
    /// Its offset. `None` in one rare case: an answer was lost, and so much was written by others
    /// since that the event was not found among it.
    pub offset: Option<u64>,
}

/// The promise of an event's offset: await it, or drop it and let the event take its course.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Written, ProducerError>>);

impl Future for Receipt {
    type Output = Result<Written, ProducerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(cx);
        answer.map(|answer| answer.unwrap_or(Err(ProducerError::Dropped)))
    }
}

/// A writer of a stream, exactly once and in order. See [`Client::producer`].
///
/// While the server is out of reach, or something that stands between answers in its place, it
/// waits, for ever if need be, and [`Producer::send`] waits
/// once the bytes in flight have reached their bound. **Dropping it** ends it at once: what was
/// not acknowledged may be written or not. [`Producer::close`] it to know.
pub struct Producer {
    client: Client,
    asks: mpsc::Sender<Ask>,
    room: Arc<Semaphore>,
    /// Why it has stopped.
    stopped: Arc<OnceLock<ProducerError>>,
    task: Task,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("stopped", &self.stopped.get()).finish_non_exhaustive()
    }
}

impl Client {
    /// A producer of the stream at `path`, under a name of its own that it keeps across its
    /// restarts. A stream that is not there is made. At most 1,000 producers write to one stream.
    ///
    /// The server does not check the data of known types on this way. It must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// [`ProducerError::Name`]. Nothing has been sent yet.
    pub fn producer(
        &self,
        path: &str,
        name: &str,
        options: ProducerOptions,
    ) -> Result<Producer, ProducerError> {
        let is_printable = name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        let is_one = is_printable && name.trim() == name && !name.is_empty();
        if !is_one || name.len() > limits::PRODUCER_ID_BYTES_MAX {
            return Err(ProducerError::Name(name.to_owned()));
        }
        let sequence = options.epoch.map_or_else(
            || Sequence::made(self.inner.clock.now_ms(), rand::random()),
            Sequence::given,
        );
        let (asks, asked) = mpsc::channel(HANDED_OVER_MAX);
        let room = Arc::new(Semaphore::new(options.in_flight_bytes));
        let stopped = Arc::new(OnceLock::new());
        let run = Run::new(self, path, name, options.limits(), sequence, asked);
        let (end, closed) = (Arc::clone(&stopped), Arc::clone(&room));
        let task = Task::spawn(async move { run.run(&end, &closed).await });
        Ok(Producer { client: self.clone(), asks, room, stopped, task })
    }
}

impl Session {
    /// A producer of its events; see [`Client::producer`].
    ///
    /// # Errors
    /// [`ProducerError::Name`].
    pub fn producer(
        &self,
        name: &str,
        options: ProducerOptions,
    ) -> Result<Producer, ProducerError> {
        self.client().producer(&self.path(), name, options)
    }
}

impl Producer {
    /// Hands an event over, under a made id where it has none, and waits while there is no room
    /// for it. The receipt says where it is once it is durable. Events are written in the order
    /// in which these calls return.
    ///
    /// # Errors
    /// The event cannot be one, or the producer has stopped.
    pub async fn send(&self, mut event: NewEvent) -> Result<Receipt, ProducerError> {
        let at_ms = self.client.inner.clock.now_ms();
        let id = event.id.get_or_insert_with(|| self.client.new_id()).clone();
        let json = run::json_of(event, at_ms)?;
        let bytes = u32::try_from(json.len()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let Ok(room) = room else { return Err(self.why()) };
        let (receipt, answer) = oneshot::channel();
        let entry = Entry { id, json, at_ms, receipt, _room: room };
        self.asks.send(Ask::Event(entry)).await.map_err(|_| self.why())?;
        Ok(Receipt(answer))
    }

    /// Sends what was handed over without lingering, and waits until all of it is durable.
    ///
    /// # Errors
    /// The producer has stopped.
    pub async fn flush(&self) -> Result<(), ProducerError> {
        let (done, is_done) = oneshot::channel();
        self.asks.send(Ask::Flush(done)).await.map_err(|_| self.why())?;
        is_done.await.map_err(|_| self.why())
    }

    /// Waits until everything is durable, and ends the producer.
    ///
    /// # Errors
    /// It had stopped before: some of what was handed over is not in the stream.
    pub async fn close(self) -> Result<(), ProducerError> {
        let Self { asks, stopped, mut task, .. } = self;
        drop(asks);
        task.ended().await;
        stopped.get().cloned().map_or(Ok(()), Err)
    }

    fn why(&self) -> ProducerError {
        self.stopped.get().cloned().unwrap_or(ProducerError::Dropped)
    }
}
