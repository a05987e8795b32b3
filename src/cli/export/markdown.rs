//! The conversation of a session as Markdown, from its state as the server folded it. Pure.
//!
//! Texts of messages are quoted with their own Markdown, results of tools stand in fences; no text
//! reaches beyond its place (`prose.rs`). A field that is missing is left out.

mod parts;

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use self::parts::{Call, write_call, write_part};
use super::prose::{code, inline, quote, time};

/// The projections that a transcript is made of.
pub(super) const PROJECTIONS: &str = "session,turn,queue,messages,toolCalls";

/// A session's state, as far as it is told.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    offset: u64,
    projections: Projections,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Projections {
    session: Session,
    turn: Turns,
    queue: Queue,
    messages: Vec<Message>,
    tool_calls: Vec<Call>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    title: Option<String>,
    model: Option<String>,
    provider: Option<String>,
    agent: Option<String>,
    created_at: Option<u64>,
    ended: Option<Ended>,
    deleted: Option<Ended>,
}

#[derive(Debug, Deserialize)]
struct Ended {
    at: Option<u64>,
    reason: Option<String>,
    by: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Turns {
    last: Option<Turn>,
    earlier: Vec<Turn>,
}

#[derive(Debug, Deserialize)]
struct Turn {
    #[serde(rename = "turnId")]
    id: Option<String>,
    reason: Option<String>,
    by: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Queue {
    messages: Vec<Waiting>,
    sent: Vec<Sent>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    message_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    message_id: String,
    #[serde(default)]
    queued: bool,
    removed: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    id: String,
    role: String,
    state: String,
    turn_id: Option<String>,
    user_id: Option<String>,
    agent_id: Option<String>,
    error: Option<Fault>,
    created_at: u64,
    parts: Vec<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    message: String,
    code: Option<String>,
}

/// What is looked up while messages are written.
struct Lookup<'a> {
    calls: HashMap<&'a str, &'a Call>,
    turns: HashMap<&'a str, &'a Turn>,
    queued: Vec<&'a str>,
    waiting: Vec<&'a str>,
}

/// The transcript of a session.
pub(super) fn transcript(session: &str, state: &State) -> String {
    let Projections { session: about, turn, queue, messages, tool_calls } = &state.projections;
    let turns = turn.earlier.iter().chain(&turn.last);
    let queued = queue.sent.iter().filter(|sent| sent.queued && sent.removed.is_none());
    let lookup = Lookup {
        calls: tool_calls.iter().map(|call| (call.id(), call)).collect(),
        turns: turns.filter_map(|turn| Some((turn.id.as_deref()?, turn))).collect(),
        queued: queued.map(|sent| sent.message_id.as_str()).collect(),
        waiting: queue.messages.iter().filter_map(|one| one.message_id.as_deref()).collect(),
    };
    let mut out = String::new();
    head(&mut out, session, about, state.offset);
    for message in messages {
        write_message(&mut out, message, &lookup, tool_calls);
    }
    let is_told = |call: &&Call| messages.iter().any(|message| call.belongs_to(&message.id));
    let mut others = tool_calls.iter().filter(|call| !is_told(call)).peekable();
    if others.peek().is_some() {
        out.push_str("\n## Calls of tools outside of messages\n");
        others.for_each(|call| write_call(&mut out, call));
    }
    let removed: Vec<&Sent> = queue.sent.iter().filter(|sent| sent.removed.is_some()).collect();
    if !removed.is_empty() {
        out.push_str("\n## Taken back before their turn\n\n");
    }
    for Sent { message_id, removed, .. } in removed {
        line(&mut out, &format!("- {}, by event {}", code(message_id), removed.unwrap_or(0)));
    }
    out
}

fn head(out: &mut String, id: &str, about: &Session, offset: u64) {
    let title = about.title.as_deref().map(inline).filter(|title| !title.is_empty());
    line(out, &format!("# {}\n", title.unwrap_or_else(|| inline(id))));
    line(out, &format!("- Session {}, as of event {offset}", code(id)));
    if let Some(at) = about.created_at {
        line(out, &format!("- Begun {}", time(at)));
    }
    let named = [("Model", &about.model), ("Provider", &about.provider), ("Agent", &about.agent)];
    for (name, value) in named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)))
    {
        line(out, &format!("- {name} {}", code(value)));
    }
    for (word, ended) in [("Ended", &about.ended), ("Deleted", &about.deleted)] {
        if let Some(Ended { at, reason, by }) = ended {
            let at = at.map(|at| format!(" {}", time(at))).unwrap_or_default();
            line(out, &format!("- {word}{at}{}", why(by.as_deref(), reason.as_deref())));
        }
    }
}

/// Who did it, and why.
fn why(by: Option<&str>, reason: Option<&str>) -> String {
    let by = by.map(|by| format!(" by {}", code(by))).unwrap_or_default();
    let reason = reason.map(|reason| format!(": {}", inline(reason))).unwrap_or_default();
    by + &reason
}

fn write_message(out: &mut String, message: &Message, lookup: &Lookup<'_>, calls: &[Call]) {
    let Message { id, role, user_id, agent_id, created_at, .. } = message;
    let who = user_id.as_ref().or(agent_id.as_ref());
    let who = who.map(|who| format!(" {}", code(who))).unwrap_or_default();
    line(out, &format!("\n## {}{who}, {}", capital(role), time(*created_at)));
    for note in notes(message, lookup) {
        line(out, &format!("\n*{note}*"));
    }
    for part in &message.parts {
        write_part(out, part, &lookup.calls);
    }
    let apart = calls.iter().filter(|call| call.belongs_to(id) && !call.is_in(&message.parts));
    apart.for_each(|call| write_call(out, call));
    if let Some(Fault { message, code: name }) = &message.error {
        let name = name.as_deref().map(|name| format!(" ({})", code(name))).unwrap_or_default();
        line(out, &format!("\n**Failed**{name}:\n\n{}", quote(message).trim_end()));
    }
}

/// What is to be said of how a message came to be.
fn notes(message: &Message, lookup: &Lookup<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if lookup.waiting.contains(&message.id.as_str()) {
        notes.push("Waits in the queue.".to_owned());
    } else if lookup.queued.contains(&message.id.as_str()) {
        notes.push("Waited in the queue for its turn.".to_owned());
    }
    match message.state.as_str() {
        "streaming" => notes.push("Not finished yet.".to_owned()),
        "interrupted" => {
            let turn = message.turn_id.as_deref().and_then(|id| lookup.turns.get(id));
            let why = turn.map(|turn| why(turn.by.as_deref(), turn.reason.as_deref()));
            notes.push(format!("Interrupted{}.", why.unwrap_or_default()));
        }
        "failed" if message.error.is_none() => notes.push("Failed.".to_owned()),
        _ => {}
    }
    notes
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    inline(&(first.unwrap_or_default() + chars.as_str()))
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

#[cfg(test)]
mod tests;
