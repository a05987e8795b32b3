//! What the coalescer knows to be there, so that it joins and replaces only what leaves no trace
//! of its own. Pure.
//!
//! It refuses to know the events that wait, but for their places. Invariants: what is remembered
//! is in every state that has folded the same events; parts and answers in pieces are never
//! remembered at once, because a piece goes to the last part of a message, whichever that is.

use std::{collections::HashMap, mem};

use serde_json::{Map, Value};

use crate::session::vocabulary::{
    Id, Times,
    chunks::ChunkAppended,
    part::{MessagePartUpdated, Part, ToolDetail, ToolPart, ToolState},
};

/// Parts or answers that are remembered; beyond it all are forgotten, and their next events come
/// out as they are.
const KNOWN_MAX: usize = 256;

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// By message and part.
    parts: HashMap<(Id, Id), KnownPart>,
    /// Where the text of each is joined.
    answers: HashMap<Home, Option<usize>>,
}

/// A part that is there.
#[derive(Debug, Default)]
pub(super) struct KnownPart {
    /// Where its text is joined.
    pub(super) run: Option<Run>,
    /// What it is, where an update said so.
    shape: Option<Shape>,
    /// Its newest update that may be replaced, and where that waits.
    newest: Option<(usize, Part)>,
}

/// Text that is joined for one field of a part.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) place: usize,
    pub(super) field: Option<String>,
}

/// What two updates of a part must agree in for one to replace the other: its kind, and the call
/// that it shows.
#[derive(Debug, PartialEq)]
struct Shape {
    kind: mem::Discriminant<Part>,
    call: Option<Id>,
}

/// Where a piece of an answer belongs.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Home {
    agent: Option<Id>,
    turn: Option<Id>,
    number: Option<u64>,
    message: Option<Id>,
}

impl Memory {
    /// Something happened that may have changed anything.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.answers.clear();
    }

    /// Nothing waits any more; what is there stays there.
    pub(super) fn let_go(&mut self) {
        for part in self.parts.values_mut() {
            part.run = None;
            part.newest = None;
        }
        self.answers.values_mut().for_each(|run| *run = None);
    }

    /// A part that text comes for; `None` where it was not known, and from now on it is.
    pub(super) fn part(&mut self, message: Id, part: Id) -> Option<&mut KnownPart> {
        let key = (message, part);
        if self.make_room_for_part(&key) {
            self.parts.insert(key, KnownPart::default());
            return None;
        }
        self.parts.get_mut(&key)
    }

    /// An update that comes to a place. The place of the one before that says no more than it.
    pub(super) fn update(&mut self, said: MessagePartUpdated, place: usize) -> Option<usize> {
        let MessagePartUpdated { message_id, mut part, delta } = said;
        let key = (message_id, part.id().clone());
        let shape = Shape::of(&part);
        if shape.call.is_some() {
            self.take_call(&key, &shape);
        }
        self.make_room_for_part(&key);
        let known = self.parts.entry(key).or_default();
        known.run = None;
        let before = known.newest.take();
        // An update without a text of its own goes on with the text before it.
        if delta.is_some() && part.text_mut().is_some_and(|text| text.is_empty()) {
            known.shape = None;
            return None;
        }
        let goes_on = known.shape.as_ref() == Some(&shape);
        known.shape = Some(shape);
        if !goes_on {
            return None;
        }
        let covered = before.filter(|(_, before)| covers(&part, before)).map(|(place, _)| place);
        known.newest = Some((place, part));
        covered
    }

    /// A call is shown by one part: the latest that says so. The others are forgotten, and text
    /// that may have been for the call is not joined across this.
    fn take_call(&mut self, key: &(Id, Id), shape: &Shape) {
        self.parts.retain(|other, part| {
            let shows = part.shape.as_ref().is_some_and(|other| other.call == shape.call);
            other == key || !shows
        });
        for part in self.parts.values_mut() {
            part.run.take_if(|run| !run.is_text());
        }
    }

    /// Whether the part is new.
    fn make_room_for_part(&mut self, key: &(Id, Id)) -> bool {
        self.answers.clear();
        let is_new = !self.parts.contains_key(key);
        if is_new && self.parts.len() >= KNOWN_MAX {
            self.parts.clear();
        }
        is_new
    }

    /// Where the text of an answer is joined; `None` where the answer was not known, and from now
    /// on it is.
    pub(super) fn answer(&mut self, said: &ChunkAppended) -> Option<&mut Option<usize>> {
        self.parts.clear();
        let home = Home::of(said);
        self.answers.retain(|other, _| *other == home || other.is_apart_from(&home));
        if self.answers.contains_key(&home) {
            return self.answers.get_mut(&home);
        }
        if self.answers.len() >= KNOWN_MAX {
            self.answers.clear();
        }
        self.answers.insert(home, None);
        None
    }
}

impl Run {
    /// It is text or reasoning, which calls of tools have no share in.
    fn is_text(&self) -> bool {
        matches!(self.field.as_deref(), None | Some("text" | "reasoning"))
    }
}

impl Shape {
    fn of(part: &Part) -> Self {
        let call = match part {
            Part::Tool(tool) => Some(tool.call_id.as_ref().unwrap_or(&tool.id).clone()),
            _ => None,
        };
        Self { kind: mem::discriminant(part), call }
    }
}

impl Home {
    fn of(said: &ChunkAppended) -> Self {
        Self {
            agent: said.agent_id.clone(),
            turn: said.turn_id.clone(),
            number: said.turn,
            message: said.message_id.clone(),
        }
    }

    /// Pieces of the two never go to one message: they name two, or come from two agents.
    fn is_apart_from(&self, other: &Self) -> bool {
        match (&self.message, &other.message) {
            (Some(one), Some(two)) => one != two,
            (None, None) => {
                self.agent.is_some() && other.agent.is_some() && self.agent != other.agent
            }
            _ => false,
        }
    }
}

/// Whether nothing of an update is left when a later one of the same shape has been folded. A part
/// is replaced as a whole; a call keeps what later updates do not say again.
fn covers(new: &Part, old: &Part) -> bool {
    match (new, old) {
        (Part::Tool(new), Part::Tool(old)) => covers_call(new, old),
        _ => true,
    }
}

fn covers_call(new: &ToolPart, old: &ToolPart) -> bool {
    let state = match (&new.state, &old.state) {
        (_, ToolState::Status(_)) => true,
        (ToolState::Status(_), ToolState::Detail(_)) => false,
        (ToolState::Detail(new), ToolState::Detail(old)) => covers_detail(new, old),
    };
    state
        && (new.input.is_some() || old.input.is_none())
        && (new.output.is_some() || old.output.is_none())
        && (new.error.is_some() || old.error.is_none())
        && has_keys(&new.other, &old.other)
}

fn covers_detail(new: &ToolDetail, old: &ToolDetail) -> bool {
    (new.input.is_some() || old.input.is_none())
        && (new.output.is_some() || old.output.is_none())
        && (new.error.is_some() || old.error.is_none())
        && (new.title.is_some() || old.title.is_none())
        && (new.metadata.is_some() || old.metadata.is_none())
        && old.time.as_ref().is_none_or(|old| covers_times(new.time.as_ref(), old))
        && has_keys(&new.other, &old.other)
}

fn covers_times(new: Option<&Times>, old: &Times) -> bool {
    new.is_some_and(|new| {
        (new.created.is_some() || old.created.is_none())
            && (new.updated.is_some() || old.updated.is_none())
            && (new.completed.is_some() || old.completed.is_none())
            && (new.start.is_some() || old.start.is_none())
            && (new.end.is_some() || old.end.is_none())
            && has_keys(&new.other, &old.other)
    })
}

fn has_keys(new: &Map<String, Value>, old: &Map<String, Value>) -> bool {
    old.keys().all(|key| new.contains_key(key))
}
