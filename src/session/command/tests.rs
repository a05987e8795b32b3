//! Commands, given what has happened: the events that are decided, or the rejection.
//!
//! Events are written as their type and data, in one line each.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Answer, Command, CommandState, Decided, KnownMessage, Rejected, decide};
use crate::{
    projection::Projection as _,
    session::{
        EventBatch, Ids, Maker, Rules, Stored,
        projections::{
            Event, permissions::Permissions, queue::Queue, session::Session, turn::Turn,
        },
        vocabulary::{Id, KnownEvent, channel_of},
    },
};

mod answering;
mod random;
mod samples;
mod sessions;
mod talking;

/// A session in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) session: Session,
    pub(super) turn: Turn,
    pub(super) queue: Queue,
    pub(super) permissions: Permissions,
    pub(super) messages: BTreeMap<Id, KnownMessage>,
    /// Type and data of all events, the first at offset 1.
    pub(super) log: Vec<(String, String)>,
    made: usize,
}

pub(super) fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

fn payload(offset: u64, kind: &str, data: &str) -> String {
    let (channel, timestamp) = (channel_of(kind).unwrap_or("data"), 1_000 + offset);
    format!(
        r#"{{"id":"e{offset}","channel":"{channel}","type":"{kind}","timestamp":{timestamp},"data":{data}}}"#
    )
}

/// Decided events as they are stored. They pass all checks on their way.
fn stored(decided: &Decided, tail: u64) -> Vec<Bytes> {
    let ids = Ids::counting();
    let mut batch = EventBatch::default();
    for (offset, text) in (tail + 1..).zip(decided.texts().unwrap()) {
        let maker = Maker { ids: &ids, now_ms: 1_000 + offset, actor: None };
        let pushed = batch.push_parsed(&text, Rules::EVENT, &maker);
        assert_eq!(pushed, Ok(()), "{text}");
    }
    let (_, records) = batch.finish();
    records.into_iter().map(|record| record.payload).collect()
}

/// What has happened.
pub(super) fn given(events: &[&str]) -> World {
    let mut world = World::default();
    for event in events {
        let (kind, data) = event.split_once(' ').unwrap();
        world.apply(kind, data);
    }
    world
}

impl World {
    /// Appends an event of a writer that decides nothing. It is valid where its type is known.
    pub(super) fn apply(&mut self, kind: &str, data: &str) {
        let offset = u64::try_from(self.log.len()).unwrap() + 1;
        self.log.push((kind.to_owned(), data.to_owned()));
        let read = KnownEvent::parse(kind, data);
        assert!(read.as_ref().is_none_or(Result::is_ok), "{kind} {data}: {read:?}");
        self.fold(offset, payload(offset, kind, data).as_bytes());
    }

    /// Folds a stored event; says what it was read as.
    fn fold(&mut self, offset: u64, payload: &[u8]) -> Option<KnownEvent> {
        let event = Event::read(&Stored { offset, timestamp_ms: 0, payload }).unwrap();
        self.session.apply(&event);
        self.turn.apply(&event);
        self.queue.apply(&event);
        self.permissions.apply(&event);
        if let Some(KnownEvent::MessageCreated(created)) = &event.known {
            let (role, turn_id) = (created.0.role, created.0.turn_id.clone());
            let known = KnownMessage { role, turn_id, offset };
            self.messages.entry(created.0.message_id.clone()).or_insert(known);
        }
        event.known
    }

    /// Folds the first events once more.
    pub(super) fn repeat(&mut self, count: usize) {
        let log: Vec<_> = self.log.iter().take(count).cloned().collect();
        for (offset, (kind, data)) in (1..).zip(log) {
            self.fold(offset, payload(offset, &kind, &data).as_bytes());
        }
    }

    pub(super) fn decide(&mut self, command: &Command) -> Result<Decided, Rejected> {
        let find = |id: &Id| self.messages.get(id).cloned();
        let state = CommandState {
            session: &self.session,
            turn: &self.turn,
            queue: &self.queue,
            permissions: &self.permissions,
            messages: &find,
        };
        let made = &mut self.made;
        decide(&state, command, &mut || {
            *made += 1;
            id(&format!("id{made}"))
        })
    }

    /// Decides and appends; the answer and the offset that would be answered.
    pub(super) fn run(&mut self, command: &Command) -> Result<(Answer, u64), Rejected> {
        let decided = self.decide(command)?;
        assert_eq!(decided.events.is_empty(), decided.stands_at.is_some(), "{decided:?}");
        let tail = u64::try_from(self.log.len()).unwrap();
        let events = decided.events.iter().zip(stored(&decided, tail));
        for (offset, (event, payload)) in (tail + 1..).zip(events) {
            let data = event.data().unwrap();
            self.log.push((event.kind().as_str().to_owned(), data.get().to_owned()));
            let known = self.fold(offset, &payload);
            assert_eq!(known.as_ref(), Some(event));
        }
        let tail = u64::try_from(self.log.len()).unwrap();
        Ok((decided.answer, decided.stands_at.unwrap_or(tail)))
    }

    pub(super) fn when(mut self, command: impl Into<Command>) -> Outcome {
        let before = self.log.len();
        let command = command.into();
        let result = self.run(&command);
        Outcome { world: self, before, command, result }
    }
}

/// What a command led to.
pub(super) struct Outcome {
    pub(super) world: World,
    before: usize,
    command: Command,
    result: Result<(Answer, u64), Rejected>,
}

impl Outcome {
    /// These events and nothing else.
    #[track_caller]
    pub(super) fn then(self, events: &[&str]) -> Self {
        assert!(self.result.is_ok(), "{:?}", self.result);
        let new = self.world.log.get(self.before..).unwrap();
        let new: Vec<_> = new.iter().map(|(kind, data)| format!("{kind} {data}")).collect();
        assert_eq!(new, events);
        self
    }

    #[track_caller]
    pub(super) fn answers(self, answer: &Answer) -> Self {
        assert_eq!(self.result.as_ref().map(|(answer, _)| answer), Ok(answer));
        self
    }

    /// The same command once more writes nothing and is answered in the same way.
    #[track_caller]
    pub(super) fn and_again_the_same(mut self) -> Self {
        let before = self.world.log.len();
        let again = self.world.run(&self.command);
        assert_eq!(self.world.log.len(), before);
        let answers = |result: &Result<(Answer, u64), _>| result.clone().map(|(answer, _)| answer);
        assert_eq!(answers(&again), answers(&self.result));
        assert!(again.unwrap().1 <= self.result.clone().unwrap().1);
        self
    }

    #[track_caller]
    pub(super) fn rejected(self, rejection: &Rejected) -> World {
        assert_eq!(self.result.as_ref(), Err(rejection));
        assert_eq!(self.world.log.len(), self.before);
        self.world
    }

    pub(super) fn next(self) -> World {
        self.world
    }
}

/// A session that was begun.
pub(super) const CREATED: &str = r#"session.created {"sessionId":"s","agent":"coder"}"#;

/// A session in which turn `t` answers message `m` with message `a`.
pub(super) const RUNNING: [&str; 4] = [
    CREATED,
    r#"message.created {"messageId":"m","role":"user","turnId":"t"}"#,
    r#"turn.started {"turnId":"t","userMessageId":"m","messageId":"a","agentId":"coder"}"#,
    r#"message.created {"messageId":"a","role":"assistant","turnId":"t"}"#,
];

/// The same, with message `m2` waiting.
pub(super) fn with_queue() -> World {
    let mut world = given(&RUNNING);
    world.apply("message.created", r#"{"messageId":"m2","role":"user","turnId":"t2"}"#);
    world.apply("queue.added", r#"{"messageId":"m2","turnId":"t2","position":1,"text":"and?"}"#);
    world
}

/// How the next turn of [`with_queue`] begins.
pub(super) const NEXT: [&str; 3] = [
    r#"queue.removed {"messageId":"m2","turnId":"t2","reason":"started"}"#,
    r#"turn.started {"turnId":"t2","userMessageId":"m2","messageId":"id1","agentId":"coder"}"#,
    r#"message.created {"messageId":"id1","role":"assistant","turnId":"t2","agentId":"coder","parentId":"m2"}"#,
];
