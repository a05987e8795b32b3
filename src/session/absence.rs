//! Users who are not heard of any more leave by an event, so that every replay agrees (mission,
//! A10).
//!
//! Invariant: the event is appended only where nothing has happened in the session since it was
//! decided, so nobody leaves who has just been heard of.

use std::sync::Arc;

use super::{
    EventBatch, Ids, Maker, Rules,
    list::{Sessions, Silent},
};
use crate::{
    limits,
    log::{Append, AppendError, JSON, Log, Offset, ReadError, StreamPath},
    projection::OrderView,
};

/// Looks for ever who is gone; the server runs it as a task and stops it by dropping it.
pub async fn run(log: Log, sessions: OrderView<Sessions>) {
    let ids = Ids::default();
    // After a start everybody has the time to be heard of again.
    log.clock().sleep(limits::PRESENCE_LASTS).await;
    loop {
        log.clock().sleep(limits::PRESENCE_LOOK_EVERY).await;
        if let Err(error) = look(&log, &sessions, &ids).await {
            tracing::warn!(%error, "who is gone is not known for now");
        }
    }
}

/// Lets those leave who have not been heard of for [`limits::PRESENCE_LASTS`]. How many did.
///
/// # Errors
/// The store does not answer.
pub async fn look(
    log: &Log,
    sessions: &OrderView<Sessions>,
    ids: &Ids,
) -> Result<usize, ReadError> {
    let lasts_ms = u64::try_from(limits::PRESENCE_LASTS.as_millis()).unwrap_or(u64::MAX);
    let since_ms = log.clock().now_ms().saturating_sub(lasts_ms);
    let silent =
        |sessions: &mut Sessions, _| sessions.silent_since(since_ms, limits::PRESENCE_LEFT_AT_ONCE);
    let mut left = 0;
    for silent in sessions.read_if_near(silent).await?.unwrap_or_default() {
        match leave(log, ids, &silent).await {
            Ok(()) => left += 1,
            // Something happens at this moment; once it is durable the next look knows what.
            Err(AppendError::Mismatch(_)) => {
                if let Ok(path) = StreamPath::session(&silent.session) {
                    drop(log.settled(&path).await);
                }
            }
            // There is nobody in it who could be told.
            Err(
                AppendError::NoStream(_)
                | AppendError::Gone(_)
                | AppendError::Closed(_)
                | AppendError::ContentType(_),
            ) => {
                let forget = |sessions: &mut Sessions, _| sessions.forget_user(&silent);
                sessions.read(forget).await?;
            }
            Err(error) => {
                tracing::warn!(session = silent.session, %error, "who is gone was not told");
            }
        }
    }
    Ok(left)
}

async fn leave(log: &Log, ids: &Ids, silent: &Silent) -> Result<(), AppendError> {
    let Ok(path) = StreamPath::session(&silent.session) else { return Ok(()) };
    let data = serde_json::json!({ "userId": &*silent.user, "reason": "timeout" });
    let event = serde_json::json!({ "channel": "presence", "type": "presence.left", "data": data });
    let mut batch = EventBatch::default();
    let maker = Maker { ids, now_ms: log.clock().now_ms(), actor: None };
    if batch.push_parsed(&event.to_string(), Rules::EVENT, &maker).is_err() {
        // A user's name that could be heard can be told.
        return Ok(());
    }
    let (_, records) = batch.finish();
    let append = Append {
        records,
        expected: Some(Offset(silent.offset)),
        content_type: Some(Arc::from(JSON)),
        ..Append::default()
    };
    log.append(&path, append).await.map(drop)
}
