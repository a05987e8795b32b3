//! Given events, then a state: what the tests of the projections share.

use serde::Serialize;
use serde_json::{Value, json};

use super::Event;
use crate::{
    projection::Projection,
    session::{
        Stored,
        vocabulary::{Kind, channel_of},
    },
};

/// The stored form of an event. Its time is a second for each offset.
pub(crate) fn record(offset: u64, kind: &str, data: &Value) -> String {
    json!({
        "id": format!("event-{offset}"),
        "channel": channel_of(kind).unwrap_or("other"),
        "type": kind,
        "timestamp": offset * 1_000,
        "data": data,
    })
    .to_string()
}

/// Hands on the event that a stored text is.
pub(crate) fn with_event<R>(offset: u64, text: &str, then: impl FnOnce(&Event<'_>) -> R) -> R {
    let stored = Stored { offset, timestamp_ms: 0, payload: text.as_bytes() };
    then(&Event::read(&stored).expect("an event"))
}

/// Folds events at the offsets 1, 2, 3 … into a state. Those of known types must fit them.
pub(crate) fn fold<P>(events: &[(&str, Value)]) -> P
where
    P: for<'a> Projection<Event<'a> = Event<'a>>,
{
    let mut state = P::default();
    for (offset, (kind, data)) in (1..).zip(events) {
        with_event(offset, &record(offset, kind, data), |event| {
            assert_eq!(event.known.is_some(), Kind::of(kind).is_some(), "{kind} {data}");
            state.apply(event);
        });
    }
    state
}

/// A state as users see it, its lists and objects one line each where they are short.
pub(crate) fn text_of(state: &impl Serialize) -> String {
    match serde_json::to_value(state).expect("a state is JSON") {
        Value::Array(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => {
            let field = |(name, value): (String, Value)| format!("{name}: {value}");
            fields.into_iter().map(field).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}
