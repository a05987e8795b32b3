//! How what an event says goes into what was said before. Pure.
//!
//! Invariant: a field that a state has of its own is never also among the unknown ones, so that
//! every state reads back as it was written.

use serde_json::{Map, Value};

use crate::session::vocabulary::{
    Times,
    part::{Part, ToolPart, ToolState},
};

/// Fields of the envelope that some writers repeat within the data.
const ENVELOPE: &[&str] = &["id", "type", "channel", "timestamp", "offset", "updatedOffset"];

/// Keeps the fields that nobody here knows; `own` are the state's.
pub(super) fn keep_other(into: &mut Map<String, Value>, from: &Map<String, Value>, own: &[&str]) {
    for (name, value) in from {
        if !ENVELOPE.contains(&name.as_str()) && !own.contains(&name.as_str()) {
            into.insert(name.clone(), value.clone());
        }
    }
}

/// The unknown fields of one event alone.
pub(super) fn only_other(from: &Map<String, Value>, own: &[&str]) -> Map<String, Value> {
    let mut other = Map::new();
    keep_other(&mut other, from, own);
    other
}

/// What was said takes the place of what was said before; what was not said stays.
pub(super) fn set<T: Clone>(into: &mut Option<T>, said: Option<&T>) {
    if let Some(said) = said {
        *into = Some(said.clone());
    }
}

/// Times are said one by one: an end does not undo a beginning.
pub(super) fn set_times(into: &mut Option<Times>, said: Option<&Times>) {
    let Some(said) = said else { return };
    let times = into.get_or_insert_default();
    set(&mut times.created, said.created.as_ref());
    set(&mut times.updated, said.updated.as_ref());
    set(&mut times.completed, said.completed.as_ref());
    set(&mut times.start, said.start.as_ref());
    set(&mut times.end, said.end.as_ref());
    times.other.extend(said.other.iter().map(|(name, value)| (name.clone(), value.clone())));
}

/// Adds to a value that is a text, or is not there yet.
pub(super) fn grow(value: &mut Option<Value>, delta: &str) {
    match value {
        Some(Value::String(text)) => text.push_str(delta),
        None => *value = Some(Value::String(delta.to_owned())),
        Some(_) => {}
    }
}

/// Adds to a field of a part. A field that is no text does not grow.
pub(super) fn grow_part(part: &mut Part, field: Option<&str>, delta: &str) {
    let field = field.unwrap_or("text");
    if matches!(field, "text" | "reasoning")
        && let Some(text) = part.text_mut()
    {
        return text.push_str(delta);
    }
    match (part, field) {
        (Part::Tool(tool), "input" | "output") => grow_tool(tool, field, delta),
        (Part::Snapshot(snapshot), "snapshot") => snapshot.snapshot.push_str(delta),
        (Part::Patch(patch), "patch") => patch.patch.get_or_insert_default().push_str(delta),
        (Part::Patch(patch), "diff") => patch.diff.get_or_insert_default().push_str(delta),
        _ => {}
    }
}

fn grow_tool(tool: &mut ToolPart, field: &str, delta: &str) {
    let (input, output) = match &mut tool.state {
        ToolState::Detail(detail) => (&mut detail.input, &mut detail.output),
        ToolState::Status(_) => (&mut tool.input, &mut tool.output),
    };
    grow(if field == "input" { input } else { output }, delta);
}
