//! The task that sends a producer's batches, one after the other.
//!
//! It refuses to know when a batch is full and what an answer means: `batcher.rs` and
//! `sequence.rs` decide that. Invariant: a batch is let go only when it is acknowledged, or with
//! the reason why it never will be.

use std::sync::{Arc, OnceLock};

use reqwest::{Response, header};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{
    ProducerError, Written,
    batcher::{BatchLimits, Batcher, Next},
    sequence::{Heard, Sequence, Stop, Then},
};
use crate::{
    client::{
        Client, ClientError, NewEvent, ReadQuery,
        request::{refusal, with_json},
    },
    limits,
    wire::{self, bodies::CreateStream, code::Code, paths, protocol},
};

/// How far back events are looked for whose answer was lost: one page.
const FOUND_WITHIN: u64 = limits::EVENTS_LIMIT_MAX as u64;

/// What is asked of the task.
pub(super) enum Ask {
    /// Write an event.
    Event(Entry),
    /// Say when all before this is durable.
    Flush(oneshot::Sender<()>),
}

/// An event on its way.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) json: Vec<u8>,
    /// When it was handed over.
    pub(super) at_ms: u64,
    pub(super) receipt: oneshot::Sender<Result<Written, ProducerError>>,
    /// Its bytes, given back when it is let go.
    pub(super) _room: OwnedSemaphorePermit,
}

/// The task.
pub(super) struct Run {
    client: Client,
    path: String,
    name: String,
    asks: mpsc::Receiver<Ask>,
    batcher: Batcher<Entry>,
    sequence: Sequence,
    /// Events that came, and those that were acknowledged.
    came: u64,
    done: u64,
    /// Who waits for how many.
    flushes: Vec<(u64, oneshot::Sender<()>)>,
    /// The handle is gone: nothing more comes.
    is_closing: bool,
}

impl Run {
    pub(super) fn new(
        client: &Client,
        path: &str,
        name: &str,
        limits: BatchLimits,
        sequence: Sequence,
        asks: mpsc::Receiver<Ask>,
    ) -> Self {
        Self {
            client: client.clone(),
            path: path.to_owned(),
            name: name.to_owned(),
            asks,
            batcher: Batcher::new(limits),
            sequence,
            came: 0,
            done: 0,
            flushes: Vec::new(),
            is_closing: false,
        }
    }

    /// Runs until the handle is gone and all is written, or nothing more can be.
    pub(super) async fn run(mut self, stopped: &OnceLock<ProducerError>, room: &Semaphore) {
        while let Some(batch) = self.gather().await {
            match self.write(&batch).await {
                Ok(first) => self.acknowledge(batch, first),
                Err(error) => {
                    // Whoever is told must find the reason there.
                    drop(stopped.set(error.clone()));
                    room.close();
                    self.refuse(batch, &error).await;
                    return;
                }
            }
        }
    }

    async fn gather(&mut self) -> Option<Vec<Entry>> {
        loop {
            while !self.batcher.is_full()
                && let Ok(ask) = self.asks.try_recv()
            {
                self.take(ask);
            }
            let wait = match self.batcher.next(self.client.inner.clock.now_ms()) {
                Next::Batch(batch) => return Some(batch),
                Next::In(wait) => Some(wait),
                Next::Nothing if self.is_closing => return None,
                Next::Nothing => None,
            };
            let clock = Arc::clone(&self.client.inner.clock);
            let lingered = async {
                match wait {
                    Some(wait) => clock.sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.take(ask),
                    None => self.close(),
                },
                () = lingered => {}
            }
        }
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Event(entry) => {
                self.came += 1;
                // A comma goes with it.
                let (bytes, at_ms) = (entry.json.len() + 1, entry.at_ms);
                self.batcher.push(entry, bytes, at_ms);
            }
            Ask::Flush(done) => {
                self.batcher.urge();
                self.flushes.push((self.came, done));
                self.tell_flushes();
            }
        }
    }

    fn close(&mut self) {
        self.is_closing = true;
        self.batcher.urge();
    }

    /// Sends a batch until it is acknowledged; returns the offset of its first event, where that
    /// is known.
    async fn write(&mut self, batch: &[Entry]) -> Result<Option<u64>, ProducerError> {
        let body = body_of(batch);
        let mut failures = 0;
        loop {
            let (heard, error) = match self.send(&body).await {
                Ok(heard) => (heard, None),
                Err((heard, error)) => (heard, Some(error)),
            };
            let failed = match self.sequence.hear(heard, rand::random()) {
                Then::Acknowledged { last } => {
                    let before = (batch.len() as u64).saturating_sub(1);
                    return Ok(last.checked_sub(before));
                }
                Then::AcknowledgedBefore { tail } => return Ok(self.find(batch, tail).await),
                Then::Again => error,
                Then::AtOnce => continue,
                Then::Create => match self.create().await {
                    Ok(()) => continue,
                    Err(error) if error.is_passing() || is_of_another(&error) => Some(error),
                    Err(error) => return Err(ProducerError::Refused(Arc::new(error))),
                },
                Then::Stop(stop) => return Err(self.stopped(stop, error)),
            };
            failures += 1;
            let asked = failed.as_ref().and_then(ClientError::retry_after);
            let inner = &self.client.inner;
            let wait = inner.reconnect.wait(failures, rand::random(), asked);
            inner.clock.sleep(wait).await;
        }
    }

    /// Sends a batch once.
    async fn send(&self, body: &[u8]) -> Result<Heard, (Heard, ClientError)> {
        let inner = &self.client.inner;
        let request = inner
            .http
            .post(self.client.url(&paths::protocol_stream(&self.path)))
            .header(header::CONTENT_TYPE, wire::JSON)
            .header(protocol::PRODUCER_ID, &self.name)
            .header(protocol::PRODUCER_EPOCH, self.sequence.epoch())
            .header(protocol::PRODUCER_SEQ, self.sequence.seq())
            .body(body.to_vec());
        let answer = self.client.in_time(self.client.sent(request)).await.map_err(failed)?;
        let current = number(&answer, protocol::PRODUCER_EPOCH);
        let last = number(&answer, protocol::PRODUCER_SEQ);
        if !answer.status().is_success() {
            let read = self.client.in_time(async { Ok(refusal(answer).await) });
            let error = read.await.unwrap_or_else(|slow| slow);
            return Err((refused(&error, current), error));
        }
        let is_new = answer.status() == reqwest::StatusCode::OK;
        // An answer without these is none of a server that knows producers.
        let Some(tail) = number(&answer, protocol::NEXT_OFFSET).filter(|_| last.is_some()) else {
            let status = answer.status().as_u16();
            return Err(failed(ClientError::Status { status, retry_after: None }));
        };
        Ok(if is_new { Heard::Written { tail } } else { Heard::Duplicate { tail, last } })
    }

    /// Makes the stream; that another was first is as good.
    async fn create(&mut self) -> Result<(), ClientError> {
        let inner = &self.client.inner;
        let request = inner.http.put(self.client.url(&paths::stream(&self.path)));
        let request = with_json(request, &CreateStream::default())?;
        match self.client.in_time(self.client.send(request)).await {
            Ok(_) => {}
            Err(error) if error.problem().is_some_and(|it| it.code == Code::StreamExists) => {}
            Err(error) => return Err(error),
        }
        self.sequence.created();
        Ok(())
    }

    /// The offset of a batch whose answer was lost: a batch is one run, and the id of its last
    /// event is known.
    async fn find(&self, batch: &[Entry], tail: u64) -> Option<u64> {
        #[derive(Deserialize)]
        struct Found {
            offset: u64,
            id: String,
        }
        let id = &batch.last()?.id;
        let from_offset = tail.saturating_sub(FOUND_WITHIN);
        let query = ReadQuery { from_offset, limit: Some(FOUND_WITHIN), ..ReadQuery::default() };
        let page = self.client.events(&self.path, &query).await.ok()?;
        let mut found = page.events.iter().filter_map(|event| {
            let found: Found = serde_json::from_str(event.get()).ok()?;
            (found.id == *id).then_some(found.offset)
        });
        found.next_back()?.checked_sub((batch.len() as u64).saturating_sub(1))
    }

    fn acknowledge(&mut self, batch: Vec<Entry>, first: Option<u64>) {
        self.done += batch.len() as u64;
        for (index, entry) in (0..).zip(batch) {
            let offset = first.map(|first: u64| first.saturating_add(index));
            // Whoever dropped the receipt did not want to know.
            drop(entry.receipt.send(Ok(Written { id: entry.id, offset })));
        }
        self.tell_flushes();
    }

    fn tell_flushes(&mut self) {
        let done = self.done;
        for (_, flushed) in self.flushes.extract_if(.., |(came, _)| *came <= done) {
            flushed.send(()).unwrap_or_default();
        }
    }

    /// Tells everybody who waits that it has stopped.
    async fn refuse(mut self, batch: Vec<Entry>, error: &ProducerError) {
        self.asks.close();
        while let Some(ask) = self.asks.recv().await {
            self.take(ask);
        }
        for entry in batch.into_iter().chain(self.batcher.drain()) {
            drop(entry.receipt.send(Err(error.clone())));
        }
    }

    fn stopped(&self, stop: Stop, error: Option<ClientError>) -> ProducerError {
        let epoch = self.sequence.epoch();
        match (stop, error) {
            (Stop::Fenced { current }, _) => ProducerError::Fenced { epoch, current },
            (Stop::Lost { expected }, _) => ProducerError::Lost { expected },
            (Stop::Refused, Some(error)) => ProducerError::Refused(Arc::new(error)),
            (Stop::EpochUsed, _) | (Stop::Refused, None) => ProducerError::EpochUsed { epoch },
        }
    }
}

/// What no answer at all means, or one that is not of our server.
fn failed(error: ClientError) -> (Heard, ClientError) {
    let is_unwritten = error.is_unwritten() && !is_of_another(&error);
    (Heard::Failed { is_unwritten }, error)
}

/// An answer without our words is of something that stands between, such as a gateway that does
/// not know the server yet or the page of a hotel's network: it says nothing of the batch.
fn is_of_another(error: &ClientError) -> bool {
    matches!(error, ClientError::Status { .. })
}

/// What a refusal means.
fn refused(error: &ClientError, current: Option<u64>) -> Heard {
    let problem = error.problem();
    match problem.map(|known| known.code) {
        Some(Code::ProducerFenced) => Heard::Fenced { current },
        Some(Code::ProducerGap) => {
            Heard::Gap { expected: problem.and_then(|known| known.expected) }
        }
        Some(Code::StreamNotFound) => Heard::NoStream,
        _ if is_of_another(error) => Heard::Failed { is_unwritten: false },
        _ if error.is_passing() => Heard::Failed { is_unwritten: error.is_unwritten() },
        _ => Heard::Refused,
    }
}

fn number(answer: &Response, name: &str) -> Option<u64> {
    answer.headers().get(name)?.to_str().ok()?.parse().ok()
}

fn body_of(batch: &[Entry]) -> Vec<u8> {
    let mut body = vec![b'['];
    for entry in batch {
        if body.len() > 1 {
            body.push(b',');
        }
        body.extend_from_slice(&entry.json);
    }
    body.push(b']');
    body
}

/// The event as it is stored: the whole envelope, because the protocol keeps what it is given.
pub(super) fn json_of(mut event: NewEvent, now_ms: u64) -> Result<Vec<u8>, ProducerError> {
    let derived = || event.data.get("type").and_then(Value::as_str);
    let kind = event
        .kind
        .take()
        .unwrap_or_else(|| derived().map_or_else(|| event.channel.clone(), str::to_owned));
    let id = event.id.as_deref().unwrap_or_default();
    for (field, text, max) in [
        ("id", id, limits::EVENT_ID_BYTES_MAX),
        ("channel", event.channel.as_str(), limits::NAME_BYTES_MAX),
        ("type", kind.as_str(), limits::NAME_BYTES_MAX),
    ] {
        if text.is_empty() || text.len() > max {
            return Err(ProducerError::Field { field, bytes: text.len(), max });
        }
    }
    // The batch is an array, and the event is an object in it.
    let (levels, max) = (2 + depth(&event.data), limits::JSON_DEPTH_MAX);
    if levels > max {
        return Err(ProducerError::TooDeep { levels, max });
    }
    event.kind = Some(kind);
    event.timestamp.get_or_insert(now_ms);
    let json = serde_json::to_vec(&event).map_err(|error| ProducerError::Json(Arc::new(error)))?;
    let (bytes, max) = (json.len(), limits::RECORD_BYTES_MAX);
    if bytes > max { Err(ProducerError::TooLarge { bytes, max }) } else { Ok(json) }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
