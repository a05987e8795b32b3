//! The conversation: messages in the order in which they began, each with its parts.
//!
//! It refuses to know what else goes on in a session. Invariants: what comes for a message that is
//! not there begins it; a complete message is what its writer says it is, whatever chunks come
//! before and after; what there is of an answer stays when its turn ends badly.

use serde::{Deserialize, Serialize, Serializer};

use self::lanes::{Lane, Lanes, TurnKey};
pub use self::message::{Message, MessageState};
use super::{Event, keyed::Keyed, merge::grow_part};
use crate::{
    projection::Projection,
    session::vocabulary::{
        Fault, Id, KnownEvent,
        chunks::ChunkAppended,
        message::{MessageCompleted, MessageCreated, MessageInfo, MessageRemoved, MessageUpdated},
        part::{MessagePartDelta, MessagePartRemoved, MessagePartUpdated, Part},
        turn::{TurnCompleted, TurnFailed, TurnInterrupted, TurnStarted},
    },
};

mod lanes;
mod message;

/// The messages of a session: an array.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(from = "Keyed<Message>")]
pub struct Messages {
    list: Keyed<Message>,
    lanes: Lanes,
}

impl From<Keyed<Message>> for Messages {
    fn from(list: Keyed<Message>) -> Self {
        let mut lanes = Lanes::default();
        for message in list.iter() {
            if let Some(lane) = message.lane() {
                lanes.add(&lane, message.offset, &message.id);
            }
        }
        Self { list, lanes }
    }
}

impl Serialize for Messages {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(to)
    }
}

impl Projection for Messages {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "messages";
    const VERSION: u32 = 1;

    fn apply(&mut self, event: &Event<'_>) {
        match &event.known {
            Some(KnownEvent::MessagePartDelta(said)) => self.grow(event, said),
            Some(KnownEvent::ChunkAppended(chunk)) => self.chunk(event, chunk),
            Some(KnownEvent::MessagePartUpdated(said)) => self.part(event, said),
            Some(KnownEvent::MessagePartRemoved(said)) => self.remove_part(event, said),
            Some(
                KnownEvent::MessageCreated(MessageCreated(info))
                | KnownEvent::MessageUpdated(MessageUpdated(info)),
            ) => self.info(event, info, |_| {}),
            Some(KnownEvent::MessageCompleted(MessageCompleted(info))) => {
                self.info(event, info, Message::complete);
            }
            Some(KnownEvent::MessageRemoved(said)) => self.remove(said),
            Some(KnownEvent::TurnStarted(turn)) => self.start(event, turn),
            Some(KnownEvent::TurnCompleted(turn)) => self.completed(event, turn),
            Some(KnownEvent::TurnInterrupted(turn)) => self.interrupted(event, turn),
            Some(KnownEvent::TurnFailed(turn)) => self.failed(event, turn),
            _ => {}
        }
    }
}

impl Messages {
    /// The messages, in order.
    #[must_use]
    pub fn list(&self) -> &Keyed<Message> {
        &self.list
    }

    /// Changes a message, which begins where it is not there, and notes where it is found now.
    fn change(&mut self, event: &Event<'_>, id: &Id, change: impl FnOnce(&mut Message)) {
        let before = self.list.get(id).and_then(Message::lane);
        let message = self.list.entry(id, || Message::new(id, event));
        message.touch(event);
        change(message);
        let after = message.lane();
        if before != after {
            let offset = message.offset;
            if let Some(lane) = before {
                self.lanes.remove(&lane, offset, id);
            }
            if let Some(lane) = after {
                self.lanes.add(&lane, offset, id);
            }
        }
    }

    fn info(&mut self, event: &Event<'_>, info: &MessageInfo, then: impl FnOnce(&mut Message)) {
        self.adopt(info);
        self.change(event, &info.message_id, |message| {
            message.merge(info);
            then(message);
        });
    }

    /// Where chunks have begun an answer before anybody named it, it gets its name now.
    fn adopt(&mut self, info: &MessageInfo) {
        if self.list.get(&info.message_id).is_some() {
            return;
        }
        let number = info.other.get("turn").and_then(serde_json::Value::as_u64);
        let turn = TurnKey::of(info.turn_id.as_ref(), number);
        let lane = Lane { turn, agent: info.agent_id.clone() };
        let Some(found) = self.find(&lane) else { return };
        let fits = found.is_streaming() || lane.turn.is_some();
        if found.placeholder != Some(true) || !fits {
            return;
        }
        let (old, offset, at) = (found.id.clone(), found.offset, found.lane());
        self.list.rename(&old, |message| {
            message.id = info.message_id.clone();
            message.placeholder = None;
        });
        if let Some(at) = at {
            self.lanes.remove(&at, offset, &old);
            self.lanes.add(&at, offset, &info.message_id);
        }
    }

    /// The latest answer of a turn and an agent. One of the turn whose agent is not known will do.
    fn find(&self, lane: &Lane) -> Option<&Message> {
        let whole = self.lanes.last(lane).and_then(|id| self.list.get(id));
        whole.or_else(|| {
            lane.turn.as_ref()?;
            let id = self.lanes.last(&Lane { turn: lane.turn.clone(), agent: None })?;
            self.list.get(id).filter(|message| message.agent_id.is_none())
        })
    }

    fn chunk(&mut self, event: &Event<'_>, chunk: &ChunkAppended) {
        let Some(id) = self.home(event, chunk) else { return };
        let known = self.list.get(&id);
        if known.is_some_and(|message| !message.is_streaming()) {
            return;
        }
        let is_new = known.is_none();
        self.change(event, &id, |message| {
            message.placeholder =
                message.placeholder.or((is_new && chunk.message_id.is_none()).then_some(true));
            message.turn_id = message.turn_id.take().or_else(|| chunk.turn_id.clone());
            message.turn = message.turn.or(chunk.turn);
            message.agent_id = message.agent_id.take().or_else(|| chunk.agent_id.clone());
            message.push_chunk(event, &chunk.text);
        });
    }

    /// The message that a chunk belongs to: the one it names, or the answer it agrees with, or one
    /// that begins with it. An agent whose answer has ended begins another unless the turn is the
    /// same.
    fn home(&self, event: &Event<'_>, chunk: &ChunkAppended) -> Option<Id> {
        if let Some(id) = &chunk.message_id {
            return Some(id.clone());
        }
        let turn = TurnKey::of(chunk.turn_id.as_ref(), chunk.turn);
        let lane = Lane { turn, agent: chunk.agent_id.clone() };
        match self.find(&lane) {
            Some(found) if found.is_streaming() || lane.turn.is_some() => Some(found.id.clone()),
            _ => Id::new(&event.id),
        }
    }

    fn part(&mut self, event: &Event<'_>, said: &MessagePartUpdated) {
        let message = self.begun(event, &said.message_id);
        let mut part = said.part.clone();
        if let (Some(delta), Some(text)) = (&said.delta, part.text_mut())
            && text.is_empty()
        {
            if let Some(before) = message.parts.get_mut(said.part.id()).and_then(Part::text_mut) {
                text.push_str(before);
            }
            text.push_str(delta);
        }
        message.parts.put(part);
    }

    fn grow(&mut self, event: &Event<'_>, said: &MessagePartDelta) {
        let message = self.begun(event, &said.message_id);
        let field = said.field.as_deref();
        let part = message.parts.entry(&said.part_id, || message::begun_part(&said.part_id, field));
        grow_part(part, field, &said.delta);
    }

    /// A message that a part is for. Parts say nothing of turns, so that only a new one is noted.
    fn begun(&mut self, event: &Event<'_>, id: &Id) -> &mut Message {
        let message = self.list.entry(id, || Message::new(id, event));
        message.touch(event);
        message
    }

    fn remove_part(&mut self, event: &Event<'_>, said: &MessagePartRemoved) {
        if let Some(message) = self.list.get_mut(&said.message_id)
            && message.parts.remove(&said.part_id).is_some()
        {
            message.touch(event);
        }
    }

    fn remove(&mut self, said: &MessageRemoved) {
        if let Some(message) = self.list.remove(&said.message_id)
            && let Some(lane) = message.lane()
        {
            self.lanes.remove(&lane, message.offset, &message.id);
        }
    }

    fn start(&mut self, event: &Event<'_>, turn: &TurnStarted) {
        if let Some(asked) = &turn.user_message_id
            && self.list.get(asked).is_some()
        {
            self.change(event, asked, |message| message.turn_id = Some(turn.turn_id.clone()));
        }
        if let Some(answer) = &turn.message_id {
            self.change(event, answer, |message| {
                message.turn_id = Some(turn.turn_id.clone());
                let parent = || turn.user_message_id.clone();
                message.parent_id = message.parent_id.take().or_else(parent);
                message.agent_id = message.agent_id.take().or_else(|| turn.agent_id.clone());
            });
        }
    }

    fn completed(&mut self, event: &Event<'_>, turn: &TurnCompleted) {
        self.end(event, (&turn.turn_id, turn.message_id.as_ref()), |message| {
            if message.is_streaming() {
                message.complete();
            }
        });
    }

    fn interrupted(&mut self, event: &Event<'_>, turn: &TurnInterrupted) {
        self.end(event, (&turn.turn_id, turn.message_id.as_ref()), |message| {
            message.state = MessageState::Interrupted;
            message.interrupted = Some(true);
            message.partial = Some(true);
        });
    }

    fn failed(&mut self, event: &Event<'_>, turn: &TurnFailed) {
        let fail = |message: &mut Message, error: &Fault| {
            message.state = MessageState::Failed;
            message.partial = Some(true);
            message.error = Some(error.clone());
        };
        self.end(event, (&turn.turn_id, turn.message_id.as_ref()), |message| {
            fail(message, &turn.error);
        });
    }

    /// The end of a turn reaches its answers that still stream, and the one that it names, for a
    /// writer may complete a message before it says how the turn ended.
    fn end(
        &mut self,
        event: &Event<'_>,
        (turn_id, named): (&Id, Option<&Id>),
        end: impl Fn(&mut Message),
    ) {
        let mut answers = self.lanes.of_turn(turn_id);
        answers.retain(|id| self.list.get(id).is_some_and(Message::is_streaming));
        answers.extend(named.filter(|id| !answers.contains(id)).cloned());
        for id in answers {
            if self.list.get(&id).is_some_and(|message| message.lane().is_some()) {
                self.change(event, &id, &end);
            }
        }
    }
}

#[cfg(test)]
mod tests;
