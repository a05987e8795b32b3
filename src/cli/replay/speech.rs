//! Who speaks in a session, and what of it has been shown: text that came in pieces and then comes
//! as a whole is shown once. Pure.
//!
//! It refuses to know how text is laid out. Invariant: what is remembered is bounded; of what was
//! forgotten the text is shown again, and nothing is left out.

use std::num::NonZero;

use lru::LruCache;
use serde_json::Value;

use super::said::{self, Flow, Line, Piece};
use crate::{
    cli::shown::Tone,
    client::Event,
    session::vocabulary::{
        KnownEvent,
        chunks::ChunkAppended,
        message::{MessageInfo, Role},
        part::{MessagePartDelta, MessagePartUpdated, Part},
    },
};

/// Messages and parts that are remembered: those that still grow are few.
const REMEMBERED: NonZero<usize> = NonZero::<usize>::MIN.saturating_add(2_047);

/// What was said so far.
#[derive(Debug)]
pub(super) struct Speech {
    speakers: LruCache<String, Speaker>,
    shown: LruCache<String, Shown>,
    /// Names of tools by their calls.
    calls: LruCache<String, String>,
}

#[derive(Debug, Clone)]
struct Speaker {
    tone: Tone,
    name: String,
}

/// Text that was shown, by its length and checksum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Shown {
    bytes: usize,
    crc: u32,
    /// It is no part of what was said: an agent thinks.
    is_thought: bool,
}

impl Shown {
    fn and(self, text: &str) -> Self {
        let crc = crc32c::crc32c_append(self.crc, text.as_bytes());
        Self { bytes: self.bytes + text.len(), crc, ..self }
    }

    /// What a text has beyond what was shown; `None` where it is another one.
    fn rest(self, text: &str) -> Option<&str> {
        let (known, rest) = text.split_at_checked(self.bytes)?;
        (crc32c::crc32c(known.as_bytes()) == self.crc).then_some(rest)
    }
}

impl Default for Speech {
    fn default() -> Self {
        let (speakers, shown) = (LruCache::new(REMEMBERED), LruCache::new(REMEMBERED));
        Self { speakers, shown, calls: LruCache::new(REMEMBERED) }
    }
}

impl Speech {
    /// Knows the messages of a state, as if they had been shown.
    pub(super) fn know(&mut self, messages: &[Value]) {
        for message in messages {
            let text = |name: &str| message.get(name).and_then(Value::as_str);
            let Some(id) = text("id") else { continue };
            let is_person = text("role") == Some("user");
            let name = text("agentId").or(text("userId")).or(text("role")).unwrap_or("?");
            self.meet(id, is_person, name);
            for part in message.get("parts").and_then(Value::as_array).into_iter().flatten() {
                let text = |name: &str| part.get(name).and_then(Value::as_str);
                let (Some(part_id), Some(said)) = (text("id"), text("text")) else { continue };
                let is_thought = text("type") == Some("reasoning");
                let shown = Shown { is_thought, ..Shown::default() };
                self.shown.put(part_key(id, part_id), shown.and(said));
                if !is_thought {
                    self.grow(&message_key(id), said);
                }
            }
        }
    }

    /// What an event says; `None` where it is not about text.
    pub(super) fn of(&mut self, event: &Event, known: &KnownEvent) -> Option<Vec<Piece>> {
        Some(match known {
            KnownEvent::MessageCreated(made) => self.message(event, &made.0, "begins"),
            KnownEvent::MessageUpdated(changed) => self.message(event, &changed.0, "changed"),
            KnownEvent::MessageCompleted(done) => self.message(event, &done.0, "completed"),
            KnownEvent::MessagePartDelta(delta) => self.delta(event, delta),
            KnownEvent::MessagePartUpdated(part) => self.part(event, part)?,
            KnownEvent::ChunkAppended(chunk) => self.chunk(event, chunk),
            _ => return None,
        })
    }

    /// The name of the tool that an event's call is of, where it was said.
    pub(super) fn call(&mut self, known: &KnownEvent) -> Option<&str> {
        let (_, call) = said::call_of(known)?;
        if let Some(tool) = &call.tool {
            self.calls.put(call.call_id.to_string(), tool.clone());
        }
        self.calls.get(&*call.call_id).map(String::as_str)
    }

    fn message(&mut self, event: &Event, info: &MessageInfo, word: &str) -> Vec<Piece> {
        let is_person = info.role == Some(Role::User);
        let name = info.agent_id.as_deref().or(info.user_id.as_deref());
        if name.is_some() || !self.speakers.contains(&*info.message_id) {
            let (_, actor) = said::actor(event);
            self.meet(&info.message_id, is_person, name.unwrap_or(&actor));
        }
        let mut pieces = Vec::new();
        if let Some(text) = &info.content {
            pieces.extend(self.content(event, info, text));
        }
        for part in info.parts.iter().flatten() {
            if let Some(text) = text_of(part) {
                pieces.extend(self.whole(event, &info.message_id, part, text));
            }
        }
        let line = said::message(event, info, word, self.speaker(event, &info.message_id).name);
        let place = if word == "begins" { 0 } else { pieces.len() };
        pieces.insert(place, Piece::Line(line));
        pieces
    }

    /// The whole text of a message, whatever pieces came before.
    fn content(&mut self, event: &Event, info: &MessageInfo, text: &str) -> Vec<Piece> {
        let key = message_key(&info.message_id);
        let by_turn = info.turn_id.as_deref().filter(|_| info.role != Some(Role::User));
        let shown = self.shown.get(&key).copied().or_else(|| {
            // Pieces may have come without the message they are of.
            self.shown.get(&turn_key(by_turn?)).copied()
        });
        let speaker = self.speaker(event, &info.message_id);
        self.shown.put(key.clone(), Shown::default().and(text));
        rest(shown.unwrap_or_default(), key, speaker, text)
    }

    fn delta(&mut self, event: &Event, delta: &MessagePartDelta) -> Vec<Piece> {
        let speaker = self.speaker(event, &delta.message_id);
        if let Some(field) =
            delta.field.as_deref().filter(|field| !matches!(*field, "text" | "reasoning"))
        {
            let text = format!("{field} of a part grows by {}", said::quoted(&delta.delta));
            return vec![Piece::Line(Line { tone: Tone::Quiet, subject: speaker.name, text })];
        }
        let key = part_key(&delta.message_id, &delta.part_id);
        self.grow(&key, &delta.delta);
        if self.shown.get(&key).is_some_and(|shown| shown.is_thought) {
            return vec![speaker.thinking().says(key, &delta.delta)];
        }
        self.grow(&message_key(&delta.message_id), &delta.delta);
        vec![speaker.says(key, &delta.delta)]
    }

    fn part(&mut self, event: &Event, updated: &MessagePartUpdated) -> Option<Vec<Piece>> {
        let text = text_of(&updated.part)?;
        match &updated.delta {
            // The part comes without its text: only what was added is known.
            Some(delta) if text.is_empty() => Some(self.delta(
                event,
                &MessagePartDelta {
                    message_id: updated.message_id.clone(),
                    part_id: updated.part.id().clone(),
                    field: None,
                    delta: delta.clone(),
                },
            )),
            _ => Some(self.whole(event, &updated.message_id, &updated.part, text)),
        }
    }

    /// The whole text of a part.
    fn whole(&mut self, event: &Event, message: &str, part: &Part, text: &str) -> Vec<Piece> {
        let key = part_key(message, part.id());
        let shown = self.shown.get(&key).copied().unwrap_or_default();
        let mut speaker = self.speaker(event, message);
        let is_thought = matches!(part, Part::Reasoning(_));
        self.shown.put(key.clone(), Shown { is_thought, ..Shown::default() }.and(text));
        let message = message_key(message);
        if is_thought {
            speaker = speaker.thinking();
        } else if let Some(more) = shown.rest(text) {
            self.grow(&message, more);
        } else if self.shown.get(&message) == Some(&shown) {
            // It is the only part.
            self.shown.put(message, Shown::default().and(text));
        } else {
            self.shown.pop(&message);
        }
        rest(shown, key, speaker, text)
    }

    fn chunk(&mut self, event: &Event, chunk: &ChunkAppended) -> Vec<Piece> {
        let (message, turn) = (chunk.message_id.as_deref(), chunk.turn_id.as_deref());
        let key = match (message, turn) {
            (Some(message), _) => message_key(message),
            (None, Some(turn)) => turn_key(turn),
            (None, None) => format!("agent/{}", chunk.agent_id.as_deref().unwrap_or_default()),
        };
        let known = message.map(|message| self.speaker(event, message).name);
        let name = chunk.agent_id.as_deref().map(str::to_owned).or(known);
        let name = name.unwrap_or_else(|| said::actor(event).1);
        self.grow(&key, &chunk.text);
        vec![Speaker { tone: Tone::Good, name }.says(key, &chunk.text)]
    }

    fn meet(&mut self, message: &str, is_person: bool, name: &str) {
        let tone = if is_person { Tone::Person } else { Tone::Good };
        self.speakers.put(message.to_owned(), Speaker { tone, name: name.to_owned() });
    }

    fn speaker(&mut self, event: &Event, message: &str) -> Speaker {
        self.speakers.get(message).cloned().unwrap_or_else(|| {
            let (is_person, name) = said::actor(event);
            Speaker { tone: if is_person { Tone::Person } else { Tone::Good }, name }
        })
    }

    fn grow(&mut self, key: &str, text: &str) {
        let shown = self.shown.get(key).copied().unwrap_or_default().and(text);
        self.shown.put(key.to_owned(), shown);
    }
}

impl Speaker {
    fn thinking(self) -> Self {
        Self { tone: Tone::Quiet, name: format!("{} thinks", self.name) }
    }

    fn says(self, key: String, text: &str) -> Piece {
        Piece::Flow(Flow { key, tone: self.tone, subject: self.name, text: text.to_owned() })
    }
}

/// What is new in a text, or all of it where it is another one.
fn rest(shown: Shown, key: String, speaker: Speaker, text: &str) -> Vec<Piece> {
    match shown.rest(text) {
        Some("") => Vec::new(),
        Some(rest) => vec![speaker.says(key, rest)],
        None => {
            let subject = speaker.name.clone();
            let text_is = "the whole text is now:".to_owned();
            let line = Line { tone: Tone::Quiet, subject, text: text_is };
            vec![Piece::Line(line), speaker.says(key, text)]
        }
    }
}

fn text_of(part: &Part) -> Option<&str> {
    match part {
        Part::Text(part) => Some(&part.text),
        Part::Reasoning(part) => part.reasoning.as_deref().or(part.text.as_deref()),
        _ => None,
    }
}

fn message_key(message: &str) -> String {
    format!("message/{message}")
}

fn turn_key(turn: &str) -> String {
    format!("turn/{turn}")
}

fn part_key(message: &str, part: &str) -> String {
    format!("part/{message}/{part}")
}
