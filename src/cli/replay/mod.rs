//! `scrollback replay`: a session as it happened, its state at a point, or event by event with
//! what each one changed.
//!
//! It refuses to know how states are folded. Invariant: a pipe gets the same lines as a terminal,
//! without colours and without waiting.

mod events;
mod pace;
mod play;
mod render;
mod said;
mod speech;
mod step;
mod walk;

use std::io::{self, IsTerminal};

use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use self::{
    pace::Speed,
    step::{Step, Wish},
    walk::Walk,
};
use super::{
    connection::ServerUrl,
    moment::Moment,
    output::{Form, Output, notice},
    shown::visible_json,
    stream_name::StreamName,
};
use crate::{
    client::{Session, StateAt},
    clock::{Clock, SystemClock},
    session::projections::Projections,
    wire::bodies::StreamBody,
};

/// What can be typed while stepping.
const HELP: &str = "Enter or n: the next event, b: the one before, a number: that event, q: quit";

/// Play a session as it happened, show its state at a point, or step through it
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// A session id, a channel name such as agent:x, or a path
    stream: StreamName,
    /// Print the state after this offset, as JSON
    #[arg(long, value_name = "OFFSET", conflicts_with_all = ["at_time", "step", "from", "to", "speed"])]
    at: Option<u64>,
    /// Print the state as it was then: 2026-11-20T10:00:00Z, Unix milliseconds, or "2m ago"
    #[arg(long, value_name = "TIME", conflicts_with_all = ["step", "from", "to", "speed"])]
    at_time: Option<Moment>,
    /// Go event by event, each with what it changed in the state
    #[arg(long, conflicts_with = "speed")]
    step: bool,
    /// Only this projection, such as messages, and what changes it; may be given several times
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    projection: Vec<String>,
    /// Begin after this offset; 0 is the beginning
    #[arg(long, value_name = "OFFSET")]
    from: Option<u64>,
    /// End with the event at this offset [default: the tail]
    #[arg(long, value_name = "OFFSET")]
    to: Option<u64>,
    /// How fast, such as 10x, 0.5x or max; in a pipe nothing waits [default: 1x]
    #[arg(long)]
    speed: Option<Speed>,
    #[command(flatten)]
    server: ServerUrl,
}

impl Replay {
    /// Plays, shows or steps.
    pub(super) async fn run(self) -> Result<()> {
        let client = self.server.client()?;
        let names = known(&self.projection)?;
        let at = match (self.at, self.at_time) {
            (Some(offset), _) => Some(StateAt::Offset(offset)),
            (None, Some(moment)) => Some(StateAt::TimeMs(moment.unix_ms(SystemClock.now_ms()))),
            (None, None) => None,
        };
        let mut output = Form::default().open();
        if let Some(at) = at {
            let session = client.session(self.stream.session()?);
            return show(&session, at, &self.projection, &mut output).await;
        }
        let span = Span::of(&client.stream(self.stream.path()).await?, self.from, self.to);
        if self.step {
            let session = client.session(self.stream.session()?);
            return step(session, names, &span, &mut output).await;
        }
        let channels = (!self.projection.is_empty()).then(|| channels(&names));
        let play = play::Play { client, stream: self.stream, channels, speed: self.speed, span };
        play.run(&mut output).await
    }
}

/// The events that are wanted, of those that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    /// After this offset …
    after: u64,
    /// … up to this one.
    until: u64,
    /// Events before it were asked for, and are no longer kept.
    is_trimmed: bool,
}

impl Span {
    fn of(stream: &StreamBody, from: Option<u64>, to: Option<u64>) -> Self {
        let (from, kept) = (from.unwrap_or(0), stream.earliest.saturating_sub(1));
        let until = to.unwrap_or(stream.tail).min(stream.tail);
        Self { after: from.max(kept), until, is_trimmed: from < kept }
    }
}

/// The projections of these names, all where none is given.
fn known(asked: &[String]) -> Result<Vec<&'static str>> {
    let all = Projections::names();
    if let Some(unknown) = asked.iter().find(|asked| !all.contains(&asked.as_str())) {
        bail!("there is no projection {unknown:?}; there are {}", all.join(", "));
    }
    let is_wanted = |name: &&&str| asked.is_empty() || asked.iter().any(|asked| asked == **name);
    Ok(all.iter().filter(is_wanted).copied().collect())
}

/// The channels whose events change some projections.
fn channels(names: &[&str]) -> String {
    let mut channels: Vec<&str> =
        names.iter().flat_map(|name| channels_of(name)).copied().collect();
    channels.sort_unstable();
    channels.dedup();
    channels.join(",")
}

fn channels_of(name: &str) -> &'static [&'static str] {
    match name {
        "messages" => &["message", "chunks", "session"],
        "toolCalls" => &["toolCalls", "message"],
        "turn" | "session" => &["session"],
        "permissions" => &["permission"],
        "agents" => &["agentState"],
        "queue" => &["queue", "session"],
        "chunks" => &["chunks"],
        "presence" => &["presence"],
        "terminal" => &["terminal"],
        "todo" => &["todo"],
        "diff" => &["diff"],
        "config" => &["config"],
        "app" => &["app"],
        _ => &[],
    }
}

/// Prints a state.
async fn show(
    session: &Session,
    at: StateAt,
    projections: &[String],
    output: &mut Output,
) -> Result<()> {
    let names: Vec<&str> = projections.iter().map(String::as_str).collect();
    let state = session.state(at, &names).await?;
    if output.is_for_people() {
        let value: Value = serde_json::to_value(&state)?;
        output.line(&visible_json(&serde_json::to_string_pretty(&value)?))?;
    } else {
        output.json(&serde_json::to_vec(&state)?)?;
    }
    Ok(output.flush()?)
}

/// Goes event by event: by what is typed on a terminal, all of them in a pipe.
async fn step(
    session: Session,
    names: Vec<&'static str>,
    span: &Span,
    output: &mut Output,
) -> Result<()> {
    let known = walk::state_at(&session, span.after).await?;
    if span.is_trimmed {
        let there = if known.is_some() {
            "the state there is where this begins"
        } else {
            "neither is the state there, so changes are shown against an empty one"
        };
        notice(&format!("events up to offset {} are no longer kept; {there}", span.after));
    }
    let mut state = known.unwrap_or_default();
    state.offset = span.after;
    let mut walk = Walk::new(session, names, state, span.until);
    if output.is_for_people() && io::stdin().is_terminal() {
        return ask(&mut walk, output).await;
    }
    let mut at = walk.base();
    while let Some(step) = walk.next(at).await? {
        at = step.event.offset();
        print(&step, output)?;
    }
    Ok(output.flush()?)
}

async fn ask(walk: &mut Walk, output: &mut Output) -> Result<()> {
    notice(HELP);
    let mut typed = BufReader::new(tokio::io::stdin()).lines();
    let (mut at, mut wish) = (walk.base(), Wish::Next);
    loop {
        let step = match wish {
            Wish::Next => walk.next(at).await?,
            Wish::Back => walk.back(at).await?,
            Wish::To(offset) => walk.step(offset).await?,
            Wish::Help => None,
            Wish::Quit => return Ok(()),
        };
        match (&step, wish) {
            (Some(step), _) => {
                at = step.event.offset();
                print(step, output)?;
                output.flush()?;
            }
            (None, Wish::Next) => notice("this is the end"),
            (None, Wish::Back) => notice("this is the beginning"),
            (None, Wish::To(offset)) => notice(&format!("there is no event at offset {offset}")),
            (None, _) => notice(HELP),
        }
        let Some(line) = typed.next_line().await? else { return Ok(()) };
        wish = Wish::of(&line);
    }
}

fn print(step: &Step, output: &mut Output) -> Result<()> {
    let paint = output.paint();
    for line in step.lines(paint) {
        output.line(&line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_projection_is_changed_by_some_channel() {
        for name in Projections::names() {
            assert!(!channels_of(name).is_empty(), "{name}");
        }
        assert_eq!(channels(&["messages", "queue"]), "chunks,message,queue,session");
    }

    #[test]
    fn projections_that_are_not_there_are_refused_by_name() {
        assert_eq!(known(&[]).unwrap(), Projections::names());
        assert_eq!(known(&["todo".into(), "turn".into()]).unwrap(), ["turn", "todo"]);
        let refused = known(&["massages".into()]).unwrap_err().to_string();
        assert!(refused.contains("massages") && refused.contains("messages"), "{refused}");
    }

    #[test]
    fn a_span_lies_within_what_is_kept() {
        let stream = |earliest, tail| StreamBody {
            path: String::new(),
            content_type: String::new(),
            tail,
            earliest,
            closed: false,
            created_at: 0,
            last_append_at: None,
            epoch: String::new(),
            retention_seconds: 0,
        };
        let span = |stream: &StreamBody, from, to| {
            let Span { after, until, is_trimmed } = Span::of(stream, from, to);
            (after, until, is_trimmed)
        };
        assert_eq!(span(&stream(1, 9), None, None), (0, 9, false));
        assert_eq!(span(&stream(1, 9), Some(3), Some(99)), (3, 9, false));
        assert_eq!(span(&stream(5, 9), None, Some(7)), (4, 7, true));
        assert_eq!(span(&stream(5, 9), Some(6), None), (6, 9, false));
    }
}
