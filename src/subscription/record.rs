//! Subscriptions and keys on the log: how they are read back and how their events are appended.
//!
//! A subscription's stream is `__ds/subscriptions/{id}`; its records never grow old, and are
//! begun anew with a checkpoint where they have grown long. Invariant: what was before a
//! checkpoint goes only once the checkpoint is durable.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{
    error::SubscriptionError,
    event::Event,
    keys::{Keys, KeysRecord},
    state::State,
};
use crate::{
    limits,
    log::{
        Append, AppendError, ChangeError, CreateError, Creation, JSON, Log, NewRecord, Offset,
        PageLimit, ReadError, Refused, StreamPath, StreamSpec,
    },
};

const SUBSCRIPTIONS: &str = "subscriptions";
const KEYS: &str = "keys";

/// A subscription's state with the place on the log that it stands at.
#[derive(Debug)]
pub(super) struct Folded {
    pub(super) state: State,
    pub(super) tail: Offset,
    /// Bytes of the records since the newest checkpoint, and of that itself.
    pub(super) grown: usize,
    pub(super) checkpoint: usize,
}

/// The stream of a subscription.
pub(super) fn path(id: &str) -> Result<StreamPath, SubscriptionError> {
    StreamPath::control(&format!("{SUBSCRIPTIONS}/{id}")).map_err(|error| damaged(&error))
}

/// The ids of all subscriptions.
pub(super) async fn ids(log: &Log) -> Result<Vec<String>, SubscriptionError> {
    let prefix = format!("{}/{SUBSCRIPTIONS}/", crate::log::CONTROL);
    let found = log.list_control(&prefix, limits::SUBSCRIPTIONS_MAX).await?;
    Ok(found.iter().filter_map(|info| info.path.strip_prefix(&prefix)).map(str::to_owned).collect())
}

/// Folds a subscription's stream; `None` where there is none.
pub(super) async fn load(log: &Log, id: &str) -> Result<Option<Folded>, SubscriptionError> {
    let path = path(id)?;
    let info = match log.info(&path).await {
        Ok(info) => info,
        Err(ReadError::NoStream(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut folded: Option<Folded> = None;
    let mut at = Offset(info.earliest.0.saturating_sub(1));
    while at < info.tail {
        let limit = PageLimit { records: limits::PAGE_RECORDS, bytes: limits::PAGE_BYTES };
        let page = log.read(&path, at, limit).await?;
        for record in &page.records {
            let event: Event = read(&record.payload)?;
            at = record.offset;
            fold(&mut folded, &event, record.payload.len(), at);
        }
        if page.records.is_empty() {
            break;
        }
    }
    folded.ok_or_else(|| damaged(&"its beginning is missing")).map(Some)
}

fn fold(folded: &mut Option<Folded>, event: &Event, bytes: usize, at: Offset) {
    let begins = matches!(event, Event::Created { .. } | Event::Checkpoint { .. });
    match folded {
        Some(folded) if !begins => {
            folded.state.apply(event);
            folded.tail = at;
            // The links that follow a checkpoint count as growth: it comes a little earlier.
            folded.grown += bytes;
        }
        _ => {
            if let Some(state) = State::begin(event) {
                *folded = Some(Folded { state, tail: at, grown: 0, checkpoint: bytes });
            }
        }
    }
}

/// Begins a subscription's stream; `None` where there is one, which somebody has begun who did
/// not wait for the answer.
pub(super) async fn create(
    log: &Log,
    id: &str,
    events: &[Event],
) -> Result<Option<Folded>, SubscriptionError> {
    let records = write(events)?;
    let sizes: Vec<_> = records.iter().map(Bytes::len).collect();
    let creation = Creation { records, closed: Some(false), ..spec().into() };
    let created = log.create(&path(id)?, creation).await.map_err(from_create)?;
    if created.existed {
        return Ok(None);
    }
    let mut folded = None;
    for ((at, event), bytes) in (1..).zip(events).zip(sizes) {
        fold(&mut folded, event, bytes, Offset(at));
    }
    folded.ok_or_else(|| damaged(&"its beginning is missing")).map(Some)
}

/// Appends events and folds them once they are durable.
pub(super) async fn append(
    log: &Log,
    id: &str,
    folded: &mut Folded,
    events: &[Event],
) -> Result<(), SubscriptionError> {
    let records = write(events)?;
    folded.grown += records.iter().map(Bytes::len).sum::<usize>();
    folded.tail = submit(log, id, folded.tail, records).await?;
    for event in events {
        folded.state.apply(event);
    }
    if folded.grown > limits::SUBSCRIPTION_CHECKPOINT_BYTES.max(folded.checkpoint)
        && let Err(error) = begin_anew(log, id, folded).await
    {
        // What was asked for is done; the next append tries again.
        tracing::warn!(subscription = id, %error, "no checkpoint was written");
    }
    Ok(())
}

/// Writes a checkpoint and removes what came before it.
async fn begin_anew(log: &Log, id: &str, folded: &mut Folded) -> Result<(), SubscriptionError> {
    let records = write(&folded.state.checkpoint())?;
    let bytes = records.iter().map(Bytes::len).sum();
    let before = folded.tail;
    folded.tail = submit(log, id, before, records).await?;
    (folded.grown, folded.checkpoint) = (0, bytes);
    log.trim(&path(id)?, before.plus(1)).await.map_err(|error| from_change(error, id))
}

async fn submit(
    log: &Log,
    id: &str,
    tail: Offset,
    records: Vec<Bytes>,
) -> Result<Offset, SubscriptionError> {
    let records = records.into_iter().map(|payload| NewRecord { id: None, payload }).collect();
    let append = Append { records, expected: Some(tail), ..Append::default() };
    let appended = log.append(&path(id)?, append).await;
    appended.map(|appended| appended.tail).map_err(|error| from_append(error, id))
}

/// Ends a subscription.
pub(super) async fn delete(log: &Log, id: &str) -> Result<(), SubscriptionError> {
    log.delete(&path(id)?).await.map_err(|error| from_change(error, id))
}

/// The server's keys, made where there are none.
pub(super) async fn keys(log: &Log) -> Result<Keys, SubscriptionError> {
    let path = StreamPath::control(KEYS).map_err(|error| damaged(&error))?;
    let record = KeysRecord::generate(log.clock().now_ms());
    let exists = match log.info(&path).await {
        Ok(_) => true,
        Err(ReadError::NoStream(_)) => false,
        Err(error) => return Err(error.into()),
    };
    if !exists {
        let records = vec![to_bytes(&record)?];
        let creation = Creation { records, closed: Some(true), ..spec().into() };
        log.create(&path, creation).await.map_err(from_create)?;
    }
    let limit = PageLimit { records: 1, bytes: limits::PAGE_BYTES };
    let page = log.read(&path, Offset::ZERO, limit).await?;
    let record = page.records.first().ok_or_else(|| damaged(&"the keys are missing"))?;
    Keys::of(&read(&record.payload)?).map_err(|error| damaged(&error))
}

/// Records of the server's own streams never grow old.
fn spec() -> StreamSpec {
    let retention = Some(Duration::from_millis(limits::OFFSET_MAX));
    StreamSpec { content_type: Arc::from(JSON), retention, expiry: None }
}

fn write(events: &[Event]) -> Result<Vec<Bytes>, SubscriptionError> {
    events.iter().map(to_bytes).collect()
}

fn to_bytes(value: &impl serde::Serialize) -> Result<Bytes, SubscriptionError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| damaged(&error))
}

fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, SubscriptionError> {
    serde_json::from_slice(payload).map_err(|error| damaged(&error))
}

/// What the log holds is not what this version wrote.
fn damaged(error: &dyn std::fmt::Display) -> SubscriptionError {
    Refused::Unavailable(format!("a record of subscriptions cannot be read: {error}").into()).into()
}

fn from_append(error: AppendError, id: &str) -> SubscriptionError {
    match error {
        AppendError::Refused(refused) => refused.into(),
        AppendError::NoStream(_) | AppendError::Gone(_) => {
            SubscriptionError::NotFound(id.to_owned())
        }
        // Somebody else has written to the stream: what was folded is old.
        AppendError::Mismatch(_) => Refused::Contended.into(),
        error => damaged(&error),
    }
}

fn from_change(error: ChangeError, id: &str) -> SubscriptionError {
    match error {
        ChangeError::NoStream(_) | ChangeError::Gone(_) => {
            SubscriptionError::NotFound(id.to_owned())
        }
        ChangeError::Refused(refused) => refused.into(),
    }
}

fn from_create(error: CreateError) -> SubscriptionError {
    match error {
        CreateError::Refused(refused) => refused.into(),
        CreateError::Exists(_) => Refused::Contended.into(),
        error => damaged(&error),
    }
}
