//! The calls of tools, from events of their own and from parts of messages, in the order in which
//! they began.
//!
//! Invariants: a call that is said in both ways is one call; with its part, or with the message
//! of that part, a call goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::{
    Event,
    keyed::{Keyed, Named},
    merge::{grow, keep_other, set, set_times},
};
use crate::{
    projection::Projection,
    session::vocabulary::{
        Fault, Id, KnownEvent, Times,
        message::{MessageCompleted, MessageCreated, MessageInfo, MessageUpdated},
        part::{MessagePartDelta, Part, ToolPart, ToolState, ToolStatus},
        tool_calls::{ToolCall, ToolCompleted, ToolError, ToolPending, ToolRunning},
    },
};

/// A call of a tool.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// The call. Where the model gave it no id, that of its part.
    pub call_id: Id,
    /// The tool's name.
    pub tool: Option<String>,
    /// How far it is.
    pub status: ToolStatus,
    /// The message it belongs to.
    pub message_id: Option<Id>,
    /// The part that shows it.
    pub part_id: Option<Id>,
    /// The turn it belongs to.
    pub turn_id: Option<Id>,
    /// The agent that calls.
    pub agent_id: Option<Id>,
    /// What it is about, in a line.
    pub title: Option<String>,
    /// What the tool was given.
    pub input: Option<Value>,
    /// What it gave back.
    pub output: Option<Value>,
    /// Why it failed.
    pub error: Option<Fault>,
    /// When it began and ended, as its writer says.
    pub time: Option<Times>,
    /// When it was first heard of, Unix milliseconds.
    pub created_at: u64,
    /// When it was last heard of, Unix milliseconds.
    pub updated_at: u64,
    /// The event it began with.
    pub offset: u64,
    /// The event that changed it last.
    pub updated_offset: u64,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Fields of ours that a writer may use for something else.
const OWN: &[&str] = &[
    "callId",
    "tool",
    "status",
    "state",
    "messageId",
    "partId",
    "turnId",
    "agentId",
    "title",
    "input",
    "output",
    "error",
    "time",
    "createdAt",
    "updatedAt",
];

impl Named for Call {
    type Key = Id;

    fn key(&self) -> Id {
        self.call_id.clone()
    }
}

/// The calls of a session: an array.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(from = "Keyed<Call>")]
pub struct ToolCalls {
    list: Keyed<Call>,
    /// The calls that parts show, by message and part. Made of the calls alone.
    shown: BTreeMap<Id, BTreeMap<Id, Id>>,
}

impl From<Keyed<Call>> for ToolCalls {
    fn from(list: Keyed<Call>) -> Self {
        let mut calls = Self::default();
        for call in list.iter() {
            calls.show(call);
        }
        Self { list, ..calls }
    }
}

impl Serialize for ToolCalls {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(to)
    }
}

impl Projection for ToolCalls {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "toolCalls";
    const VERSION: u32 = 1;

    fn apply(&mut self, event: &Event<'_>) {
        match &event.known {
            Some(KnownEvent::ToolPending(ToolPending(call))) => {
                self.call(event, call, ToolStatus::Pending);
            }
            Some(KnownEvent::ToolRunning(ToolRunning(call))) => {
                self.call(event, call, ToolStatus::Running);
            }
            Some(KnownEvent::ToolCompleted(ToolCompleted(call))) => {
                self.call(event, call, ToolStatus::Completed);
            }
            Some(KnownEvent::ToolError(ToolError(call))) => {
                self.call(event, call, ToolStatus::Error);
            }
            Some(KnownEvent::MessagePartUpdated(said)) => {
                self.part(event, &said.message_id, &said.part);
            }
            Some(KnownEvent::MessagePartDelta(said)) => self.grow(event, said),
            Some(KnownEvent::MessagePartRemoved(said)) => {
                self.hide(&said.message_id, &said.part_id);
            }
            Some(KnownEvent::MessageRemoved(said)) => {
                self.keep_parts(&said.message_id, &Keyed::default());
            }
            Some(
                KnownEvent::MessageCreated(MessageCreated(info))
                | KnownEvent::MessageUpdated(MessageUpdated(info))
                | KnownEvent::MessageCompleted(MessageCompleted(info)),
            ) => self.parts(event, info),
            _ => {}
        }
    }
}

impl ToolCalls {
    /// The calls, in order.
    #[must_use]
    pub fn list(&self) -> &Keyed<Call> {
        &self.list
    }

    fn call(&mut self, event: &Event<'_>, said: &ToolCall, status: ToolStatus) {
        self.change(event, &said.call_id, |call| {
            call.status = status;
            set(&mut call.tool, said.tool.as_ref());
            // Where a part shows it, that says which message it belongs to.
            if call.part_id.is_none() {
                set(&mut call.message_id, said.message_id.as_ref());
            }
            set(&mut call.turn_id, said.turn_id.as_ref());
            set(&mut call.agent_id, said.agent_id.as_ref());
            set(&mut call.title, said.title.as_ref());
            set(&mut call.input, said.input.as_ref());
            set(&mut call.output, said.output.as_ref());
            set(&mut call.error, said.error.as_ref());
            set_times(&mut call.time, said.time.as_ref());
            keep_other(&mut call.other, &said.other, OWN);
        });
    }

    fn part(&mut self, event: &Event<'_>, message_id: &Id, part: &Part) {
        let Part::Tool(part) = part else { return self.hide(message_id, part.id()) };
        let id = part.call_id.as_ref().unwrap_or(&part.id);
        let before = self.shown.get(message_id).and_then(|parts| parts.get(&part.id));
        if before.is_some_and(|before| before != id) {
            self.hide(message_id, &part.id);
        }
        self.change(event, id, |call| take_part(call, message_id, part));
    }

    fn parts(&mut self, event: &Event<'_>, info: &MessageInfo) {
        let Some(parts) = &info.parts else { return };
        // As the message has them: of parts with one id the last.
        let parts: Keyed<Part> = parts.iter().cloned().collect();
        self.keep_parts(&info.message_id, &parts);
        for part in parts.iter() {
            self.part(event, &info.message_id, part);
        }
    }

    fn grow(&mut self, event: &Event<'_>, said: &MessagePartDelta) {
        let shown = self.shown.get(&said.message_id).and_then(|parts| parts.get(&said.part_id));
        let Some(call) = shown.and_then(|id| self.list.get_mut(id)) else { return };
        match said.field.as_deref() {
            Some("input") => grow(&mut call.input, &said.delta),
            Some("output") => grow(&mut call.output, &said.delta),
            _ => return,
        }
        call.updated_at = event.timestamp_ms;
        call.updated_offset = event.offset;
    }

    fn change(&mut self, event: &Event<'_>, id: &Id, change: impl FnOnce(&mut Call)) {
        let before = self.list.get(id).and_then(place);
        let call = self.list.entry(id, || Call::new(id, event));
        call.updated_at = event.timestamp_ms;
        call.updated_offset = event.offset;
        change(call);
        let after = place(call);
        if before != after {
            let call = call.clone();
            if let Some((message_id, part_id)) = before {
                self.forget(&message_id, &part_id, id);
            }
            self.show(&call);
        }
    }

    fn show(&mut self, call: &Call) {
        if let Some((message_id, part_id)) = place(call) {
            self.shown.entry(message_id).or_default().insert(part_id, call.call_id.clone());
        }
    }

    /// A part shows a call no more.
    fn forget(&mut self, message_id: &Id, part_id: &Id, call_id: &Id) {
        if let Some(parts) = self.shown.get_mut(message_id) {
            if parts.get(part_id) == Some(call_id) {
                parts.remove(part_id);
            }
            if parts.is_empty() {
                self.shown.remove(message_id);
            }
        }
    }

    /// A part is gone, and its call with it.
    fn hide(&mut self, message_id: &Id, part_id: &Id) {
        let shown = self.shown.get(message_id).and_then(|parts| parts.get(part_id)).cloned();
        if let Some(id) = shown {
            self.forget(message_id, part_id, &id);
            self.list.remove(&id);
        }
    }

    /// Of a message's parts these are left.
    fn keep_parts(&mut self, message_id: &Id, parts: &Keyed<Part>) {
        let shown = self.shown.get(message_id).into_iter().flat_map(BTreeMap::keys);
        let gone: Vec<Id> = shown.filter(|id| parts.get(id).is_none()).cloned().collect();
        for part_id in gone {
            self.hide(message_id, &part_id);
        }
    }
}

/// The part that shows a call.
fn place(call: &Call) -> Option<(Id, Id)> {
    Some((call.message_id.clone()?, call.part_id.clone()?))
}

fn take_part(call: &mut Call, message_id: &Id, part: &ToolPart) {
    call.message_id = Some(message_id.clone());
    call.part_id = Some(part.id.clone());
    call.status = part.state.status();
    call.tool = Some(part.tool.clone());
    set(&mut call.input, part.input.as_ref());
    set(&mut call.output, part.output.as_ref());
    set(&mut call.error, part.error.as_ref());
    keep_other(&mut call.other, &part.other, OWN);
    if let ToolState::Detail(detail) = &part.state {
        set(&mut call.title, detail.title.as_ref());
        set(&mut call.input, detail.input.as_ref());
        set(&mut call.output, detail.output.as_ref());
        set(&mut call.error, detail.error.as_ref());
        set_times(&mut call.time, detail.time.as_ref());
        if let Some(metadata) = &detail.metadata {
            call.other.insert("metadata".to_owned(), Value::Object(metadata.clone()));
        }
        keep_other(&mut call.other, &detail.other, OWN);
    }
}

impl Call {
    fn new(id: &Id, event: &Event<'_>) -> Self {
        Self {
            call_id: id.clone(),
            tool: None,
            status: ToolStatus::Pending,
            message_id: None,
            part_id: None,
            turn_id: None,
            agent_id: None,
            title: None,
            input: None,
            output: None,
            error: None,
            time: None,
            created_at: event.timestamp_ms,
            updated_at: event.timestamp_ms,
            offset: event.offset,
            updated_offset: event.offset,
            other: Map::new(),
        }
    }
}

#[cfg(test)]
mod tests;
