//! `scrollback blame`: which event set what stands at a place of a session's state.
//!
//! It refuses to know how the event is found: the server looks back in steps, and this asks for
//! the next one. Invariant: each step begins before the one before it, so that asking ends.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, value::RawValue};

use super::{
    connection::ServerUrl,
    moment::rfc3339,
    output::Form,
    shown::{Paint, Tone, visible, visible_json},
    stream_name::StreamName,
};
use crate::wire::bodies::BlameAnswer;

/// Show which event set a value in a session's state
#[derive(Debug, Args)]
pub(super) struct Blame {
    /// A session id, or a channel name such as session:abc
    session: StreamName,
    /// The place: a JSON pointer such as /messages/3/state
    #[arg(value_name = "POINTER")]
    pointer: String,
    /// Ask about the state at this offset [default: the tail]
    #[arg(long, value_name = "OFFSET")]
    at: Option<u64>,
    /// One JSON value
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerUrl,
}

impl Blame {
    /// Prints the event.
    pub(super) async fn run(self) -> Result<()> {
        let session = self.server.client()?.session(self.session.session()?);
        let mut answer = session.blame(&self.pointer, self.at).await?;
        let asked_at = answer.at;
        while let Some(at) = next_look(&answer) {
            answer = session.blame(&self.pointer, Some(at)).await?;
        }
        answer.at = asked_at;
        let mut output = Form::default().open();
        if self.json {
            output.json(visible_json(&serde_json::to_string(&answer)?).as_bytes())?;
        } else {
            let paint = output.paint();
            for line in lines(&answer, paint) {
                output.line(&line)?;
            }
        }
        Ok(output.flush()?)
    }
}

/// Where to ask again: the value was there before all events that were looked at, and there are
/// earlier ones.
fn next_look(answer: &BlameAnswer) -> Option<u64> {
    (answer.cut && answer.scanned_from < answer.at).then_some(answer.scanned_from)
}

fn lines(answer: &BlameAnswer, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |name: &str, value: &str| {
        lines.push(format!("{} {value}", paint.tone(Tone::Quiet, &format!("{name:<7}"))));
    };
    say("place", &format!("{} at offset {}", visible(&answer.pointer), answer.at));
    say("value", &visible_json(answer.value.get()));
    match answer.offset {
        Some(offset) => {
            say("offset", &offset.to_string());
            say("type", &visible(answer.kind.as_deref().unwrap_or("-")));
            say("time", &answer.timestamp.map_or_else(|| "-".to_owned(), rfc3339));
            say("id", &visible(answer.id.as_deref().unwrap_or("-")));
            say("actor", &actor(answer.actor.as_deref()));
        }
        None if answer.cut => {
            let before = answer.scanned_from;
            say("offset", &format!("at or before {before}; events up to there are no longer kept"));
        }
        None => say("offset", "none: no event has set it, it is so from the beginning"),
    }
    lines
}

/// Who wrote an event, in a word or two.
pub(super) fn actor(actor: Option<&RawValue>) -> String {
    let Some(actor) = actor else { return "-".to_owned() };
    let value: Value = serde_json::from_str(actor.get()).unwrap_or_default();
    match (value.get("kind").and_then(Value::as_str), value.get("id").and_then(Value::as_str)) {
        (Some(kind), Some(id)) => visible(&format!("{kind} {id}")),
        _ => visible_json(actor.get()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> BlameAnswer {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn asking_goes_on_until_the_event_is_found_or_nothing_is_left() {
        let with = |cut: bool, from: u64| {
            answer(&format!(
                r#"{{"at":500,"pointer":"/a","value":1,"offset":null,"id":null,"type":null,"timestamp":null,"actor":null,"scannedFrom":{from},"cut":{cut}}}"#
            ))
        };
        assert_eq!(next_look(&with(true, 300)), Some(300));
        assert_eq!(next_look(&with(false, 0)), None);
        // Nothing was looked at: what is kept begins here.
        assert_eq!(next_look(&with(true, 500)), None);
        assert!(lines(&with(true, 500), Paint::new(false)).concat().contains("no longer kept"));
        assert!(lines(&with(false, 0), Paint::new(false)).concat().contains("from the beginning"));
    }

    #[test]
    fn an_actor_is_a_word_or_two_and_never_obeyed() {
        let of = |json: &str| actor(Some(&RawValue::from_string(json.to_owned()).unwrap()));
        assert_eq!(of(r#"{"kind":"agent","id":"coder"}"#), "agent coder");
        assert_eq!(of(r#"{"kind":"agent","id":"\u001b[2J"}"#), "agent \\x1b[2J");
        assert_eq!(of(r#"{"x":1}"#), r#"{"x":1}"#);
        assert_eq!(actor(None), "-");
    }
}
