//! Random commands of several clients, one after the other in any order, with events of writers
//! that decide nothing in between.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Map;

use super::{World, id};
use crate::session::{
    command::{
        Answer, Chunks, Command, Complete, Content, Delete, Dequeue, End, Fail, Interrupt,
        PermissionReply, Pieces, Ready, Send, Start,
    },
    vocabulary::{Fault, permission::Reply},
};

/// What a client does. Turns are named by how many began after them.
#[derive(Debug, Clone)]
enum Step {
    Send(u8),
    SendUnnamed,
    Dequeue(u8),
    Interrupt(usize),
    InterruptAny,
    Chunks(usize, Option<u64>, usize),
    Complete(usize),
    Fail(usize),
    Ask(u8),
    Reply(u8, Reply),
    Ready,
    End,
    Delete,
}

fn step() -> impl Strategy<Value = Step> {
    let reply = prop_oneof![Just(Reply::Once), Just(Reply::Always), Just(Reply::Reject)];
    prop_oneof![
        8 => any::<u8>().prop_map(|n| Step::Send(n % 24)),
        4 => Just(Step::SendUnnamed),
        3 => any::<u8>().prop_map(|n| Step::Dequeue(n % 24)),
        3 => (0..3_usize).prop_map(Step::Interrupt),
        2 => Just(Step::InterruptAny),
        3 => (0..3_usize, prop::option::of(0..4_u64), 0..3_usize).prop_map(|(turn, at, count)| Step::Chunks(turn, at, count)),
        4 => (0..3_usize).prop_map(Step::Complete),
        2 => (0..3_usize).prop_map(Step::Fail),
        2 => (0..4_u8).prop_map(Step::Ask),
        2 => (0..4_u8, reply).prop_map(|(at, reply)| Step::Reply(at, reply)),
        1 => Just(Step::Ready),
        1 => prop_oneof![9 => Just(Step::Ready), 2 => Just(Step::End), 1 => Just(Step::Delete)],
    ]
}

/// The command of a step; `None` where it is an event that nobody decides.
fn command(step: &Step, world: &mut World, turns: &[String]) -> Option<Command> {
    // Where there are not that many turns, one that never was.
    let turn = |back: usize| id(turns.iter().rev().nth(back).map_or("never", |turn| turn));
    let message = |n: u8| id(&format!("m{n}"));
    let text = || Content::Text("x".to_owned());
    Some(match step {
        Step::Send(n) => {
            Command::Send(Send { id: Some(message(*n)), content: text(), user_id: None })
        }
        Step::SendUnnamed => Command::Send(Send { id: None, content: text(), user_id: None }),
        Step::Dequeue(n) => Command::Dequeue(Dequeue { message_id: message(*n), by: None }),
        Step::Interrupt(back) => {
            Command::Interrupt(Interrupt { turn_id: Some(turn(*back)), ..Interrupt::default() })
        }
        Step::InterruptAny => Command::Interrupt(Interrupt::default()),
        Step::Chunks(back, at, count) => {
            let pieces = Pieces::Texts(vec!["x".to_owned(); *count]);
            Command::Chunks(Chunks { turn_id: turn(*back), index: *at, pieces })
        }
        Step::Complete(back) => Command::Complete(Box::new(Complete {
            turn_id: turn(*back),
            content: Some(text()),
            finish: None,
            tokens: None,
            cost: None,
        })),
        Step::Fail(back) => {
            let message = "x".to_owned();
            let error = Fault { message, code: None, retryable: None, other: Map::new() };
            Command::Fail(Fail { turn_id: turn(*back), error })
        }
        Step::Ask(n) => {
            world.apply("permission.asked", &format!(r#"{{"permissionId":"p{n}","tool":"x"}}"#));
            return None;
        }
        Step::Reply(n, reply) => {
            let permission_id = id(&format!("p{n}"));
            Command::PermissionReply(PermissionReply { permission_id, reply: *reply, by: None })
        }
        Step::Ready => Command::Ready(Ready::default()),
        Step::End => Command::End(End::default()),
        Step::Delete => Command::Delete(Delete::default()),
    })
}

/// What the log alone says of turns and messages, told without the projections.
#[derive(Debug, Default)]
struct Story {
    running: Option<String>,
    turns: Vec<String>,
    /// Turns by the message they answer.
    answered: BTreeMap<String, String>,
    ended: BTreeSet<String>,
    queue: Vec<String>,
    dropped: BTreeSet<String>,
    sent: Vec<String>,
}

impl Story {
    fn of(log: &[(String, String)]) -> Self {
        let mut story = Self::default();
        for (kind, data) in log {
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            let field = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
            match &**kind {
                "message.created" if data["role"] == "user" => story.sent.push(field("messageId")),
                "turn.started" => story.start(field("turnId"), field("userMessageId")),
                "turn.completed" | "turn.interrupted" | "turn.failed" => {
                    let turn = field("turnId");
                    assert_eq!(story.running.take(), Some(turn.clone()));
                    assert!(story.ended.insert(turn), "two ends");
                }
                "queue.added" => story.queue.push(field("messageId")),
                "queue.removed" => {
                    let message = field("messageId");
                    let at = story.queue.iter().position(|it| *it == message).unwrap();
                    story.queue.remove(at);
                    if data["reason"] == "started" {
                        assert_eq!(at, 0, "not the next one");
                    } else {
                        story.dropped.insert(message);
                    }
                }
                _ => {}
            }
        }
        story
    }

    fn start(&mut self, turn: String, message: String) {
        assert_eq!(self.running.replace(turn.clone()), None, "two turns");
        assert!(!self.turns.contains(&turn), "a turn began twice");
        self.turns.push(turn.clone());
        assert_eq!(self.answered.insert(message, turn), None, "answered twice");
    }

    /// Every message is at one place, and the projections agree about which.
    fn check(&self, world: &World) {
        for message in &self.sent {
            let places = [
                self.answered.contains_key(message),
                self.queue.contains(message),
                self.dropped.contains(message),
            ];
            assert_eq!(places.iter().filter(|there| **there).count(), 1, "{message}");
        }
        let unique: BTreeSet<_> = self.sent.iter().collect();
        assert_eq!(unique.len(), self.sent.len(), "a message was taken twice");
        let order: Vec<_> = self.sent.iter().filter(|it| self.queue.contains(it)).collect();
        assert!(order.into_iter().eq(&self.queue), "not in the order of sending");
        if self.running.is_none() {
            assert!(self.queue.is_empty(), "a message waits for nothing");
        }
        let active = world.turn.active.as_ref().map(|active| active.turn_id.to_string());
        assert_eq!(active, self.running);
        assert_eq!(world.session.status.turn_id.as_ref().map(ToString::to_string), self.running);
        let queue = world.queue.messages.iter().map(|queued| &*queued.message_id);
        assert!(queue.eq(self.queue.iter().map(String::as_str)));
        assert_eq!(world.turn.count, u64::try_from(self.turns.len()).unwrap());
    }
}

fn begun() -> World {
    let mut world = World::default();
    let start = Start { id: Some(id("s")), agent: Some("coder".to_owned()), ..Start::default() };
    world.run(&Command::Start(start)).unwrap();
    world
}

/// The same command at once, by the name of what it acted on.
fn retry(command: &Command, answer: &Answer) -> Command {
    match (command, answer) {
        (Command::Send(send), Answer::Sent { message_id, .. }) => {
            Command::Send(Send { id: Some(message_id.clone()), ..send.clone() })
        }
        (Command::Interrupt(interrupt), Answer::TurnEnded { turn_id, .. }) => {
            let turn_id = Some(turn_id.clone());
            Command::Interrupt(Interrupt { turn_id, ..interrupt.clone() })
        }
        (Command::Chunks(chunks), Answer::Chunked { next, .. }) => {
            let Pieces::Texts(texts) = &chunks.pieces else { return command.clone() };
            let first = next.saturating_sub(u64::try_from(texts.len()).unwrap());
            Command::Chunks(Chunks { index: chunks.index.or(Some(first)), ..chunks.clone() })
        }
        _ => command.clone(),
    }
}

proptest! {
    #[test]
    fn whatever_clients_do_turns_and_messages_are_where_they_must_be(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = begun();
        for step in &steps {
            let turns = Story::of(&world.log).turns;
            let Some(command) = command(step, &mut world, &turns) else { continue };
            let before = world.log.len();
            let first = world.run(&command);
            Story::of(&world.log).check(&world);
            let after = world.log.len();
            match &first {
                Ok((answer, offset)) => {
                    let again = world.run(&retry(&command, answer));
                    prop_assert_eq!(world.log.len(), after, "{:?} was done twice", command);
                    let (said, stands) = again.unwrap();
                    prop_assert_eq!(&said, answer);
                    prop_assert!(stands <= *offset);
                }
                Err(_) => {
                    prop_assert_eq!(after, before);
                    prop_assert_eq!(world.run(&command), first);
                }
            }
        }
    }

    #[test]
    fn folding_any_prefix_twice_and_from_any_checkpoint_gives_the_same_state(
        steps in prop::collection::vec(step(), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut world = begun();
        for step in &steps {
            let turns = Story::of(&world.log).turns;
            if let Some(command) = command(step, &mut world, &turns) {
                drop(world.run(&command));
            }
        }
        let cut = cut.index(world.log.len() + 1);
        let whole = states(&world);
        world.repeat(cut);
        prop_assert_eq!(states(&world), whole.clone());
        let mut again = World::default();
        for (at, (kind, data)) in world.log.iter().enumerate() {
            if at == cut {
                again.restore();
            }
            again.apply(kind, data);
        }
        prop_assert_eq!(states(&again), whole);
    }
}

fn states(world: &World) -> [String; 4] {
    [
        serde_json::to_string(&world.session).unwrap(),
        serde_json::to_string(&world.turn).unwrap(),
        serde_json::to_string(&world.queue).unwrap(),
        serde_json::to_string(&world.permissions).unwrap(),
    ]
}

impl World {
    /// Saves the state and reads it back.
    fn restore(&mut self) {
        let [session, turn, queue, permissions] = states(self);
        self.session = serde_json::from_str(&session).unwrap();
        self.turn = serde_json::from_str(&turn).unwrap();
        self.queue = serde_json::from_str(&queue).unwrap();
        self.permissions = serde_json::from_str(&permissions).unwrap();
    }
}
