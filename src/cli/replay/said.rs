//! What an event says, in a line. Pure.
//!
//! It refuses to know what came before. Invariant: an event that nobody here knows is shown with
//! its type and its data, never left out.

use serde_json::Value;

use crate::{
    cli::{
        changes::short,
        shown::{Tone, cut},
    },
    client::Event,
    session::vocabulary::{
        KnownEvent,
        message::MessageInfo,
        part::{MessagePartUpdated, Part, ToolPart, ToolState, ToolStatus},
        permission::{PermissionRequest, PermissionTool},
        todo::{TodoStatus, TodoUpdated},
        tool_calls::ToolCall,
    },
};

/// Characters of a line that are shown.
const TEXT_CHARS_MAX: usize = 160;
/// Fields that say where an event belongs, which the lines around it say, too.
const BELONGS: &[&str] = &[
    "messageId",
    "messageID",
    "id",
    "sessionId",
    "sessionID",
    "role",
    "turnId",
    "userId",
    "agentId",
    "parentId",
    "parentID",
    "content",
    "parts",
    "time",
    "createdAt",
    "updatedAt",
    "partId",
    "partID",
    "callId",
    "callID",
    "type",
    "terminalId",
    "metadata",
    "delta",
];

/// A piece of what is shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// A line of its own.
    Line(Line),
    /// Text that goes on where the last with the same key ended.
    Flow(Flow),
}

/// A line of its own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) tone: Tone,
    /// What it is about, in a word.
    pub(super) subject: String,
    pub(super) text: String,
}

/// Text that comes in pieces.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Flow {
    /// What it is a piece of.
    pub(super) key: String,
    pub(super) tone: Tone,
    /// Who says it.
    pub(super) subject: String,
    pub(super) text: String,
}

/// The line of an event. `call` is the name of the tool that is called, where it was said before.
pub(super) fn line(event: &Event, known: Option<&KnownEvent>, call: Option<&str>) -> Line {
    let special = known.and_then(|known| {
        turn(known).or_else(|| tool(known, call)).or_else(|| asked(known)).or_else(|| lists(known))
    });
    let (tone, subject, text) = special.unwrap_or_else(|| {
        let text = format!("{} {}", event.kind(), facts(event, &[]));
        (Tone::Quiet, event.channel().to_owned(), text.trim_end().to_owned())
    });
    Line { tone, subject, text: cut(&text, TEXT_CHARS_MAX) }
}

/// The line of a message as a whole.
pub(super) fn message(event: &Event, info: &MessageInfo, word: &str, subject: String) -> Line {
    let is_bad = info.error.is_some();
    let tone = if is_bad { Tone::Bad } else { Tone::Quiet };
    let text = format!("message {} {word} {}", &*info.message_id, facts(event, BELONGS));
    Line { tone, subject, text: cut(text.trim_end(), TEXT_CHARS_MAX) }
}

/// Who wrote an event: whether it is a person, and the name.
pub(super) fn actor(event: &Event) -> (bool, String) {
    let actor: Value =
        event.actor().and_then(|actor| serde_json::from_str(actor).ok()).unwrap_or_default();
    let text = |name: &str| actor.get(name).and_then(Value::as_str);
    (text("kind") == Some("user"), text("id").unwrap_or("?").to_owned())
}

/// A text in quotes, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    short(&Value::String(text.to_owned()))
}

type Said = (Tone, String, String);

#[expect(clippy::unnecessary_wraps, reason = "what is not said is `None` beside it")]
fn said(tone: Tone, subject: &str, text: impl Into<String>) -> Option<Said> {
    Some((tone, subject.to_owned(), text.into()))
}

fn turn(known: &KnownEvent) -> Option<Said> {
    match known {
        KnownEvent::TurnStarted(turn) => {
            let answers = behind(" answers ", turn.user_message_id.as_deref());
            let by = behind(" by ", turn.agent_id.as_deref());
            said(Tone::Strong, "turn", format!("── {} started{by}{answers}", &*turn.turn_id))
        }
        KnownEvent::TurnCompleted(turn) => {
            said(Tone::Strong, "turn", format!("── {} completed", &*turn.turn_id))
        }
        KnownEvent::TurnInterrupted(turn) => {
            let by = behind(" by ", turn.by.as_deref());
            said(Tone::Work, "turn", format!("── {} interrupted{by}", &*turn.turn_id))
        }
        KnownEvent::TurnFailed(turn) => {
            let code = behind(" ", turn.error.code.as_deref());
            let why = &turn.error.message;
            said(Tone::Bad, "turn", format!("── {} failed:{code} {why}", &*turn.turn_id))
        }
        _ => None,
    }
}

/// What an event says of a call, and how the call stands.
pub(super) fn call_of(known: &KnownEvent) -> Option<(ToolStatus, &ToolCall)> {
    match known {
        KnownEvent::ToolPending(call) => Some((ToolStatus::Pending, &call.0)),
        KnownEvent::ToolRunning(call) => Some((ToolStatus::Running, &call.0)),
        KnownEvent::ToolCompleted(call) => Some((ToolStatus::Completed, &call.0)),
        KnownEvent::ToolError(call) => Some((ToolStatus::Error, &call.0)),
        _ => None,
    }
}

fn tool(known: &KnownEvent, name: Option<&str>) -> Option<Said> {
    if let KnownEvent::MessagePartUpdated(MessagePartUpdated { part: Part::Tool(part), .. }) = known
    {
        return part_call(part);
    }
    let (status, call) = call_of(known)?;
    let ToolCall { tool, call_id, title, input, output, error, .. } = call;
    let name = tool.as_deref().or(name).unwrap_or(call_id);
    let error = error.as_ref().map(|error| error.message.as_str());
    called(name, status, title.as_deref(), input.as_ref(), output.as_ref(), error)
}

fn part_call(part: &ToolPart) -> Option<Said> {
    let detail = match &part.state {
        ToolState::Detail(detail) => Some(&**detail),
        ToolState::Status(_) => None,
    };
    let title = detail.and_then(|detail| detail.title.as_deref());
    let input = detail.and_then(|detail| detail.input.as_ref()).or(part.input.as_ref());
    let output = detail.and_then(|detail| detail.output.as_ref()).or(part.output.as_ref());
    let error = detail.and_then(|detail| detail.error.as_ref()).or(part.error.as_ref());
    let error = error.map(|error| error.message.as_str());
    called(&part.tool, part.state.status(), title, input, output, error)
}

fn called(
    name: &str,
    status: ToolStatus,
    title: Option<&str>,
    input: Option<&Value>,
    output: Option<&Value>,
    error: Option<&str>,
) -> Option<Said> {
    let given = title.map(str::to_owned).or_else(|| input.map(short)).unwrap_or_default();
    let (tone, word, more) = match status {
        ToolStatus::Pending => (Tone::Work, "pending", given),
        ToolStatus::Running => (Tone::Work, "running", given),
        ToolStatus::Completed => (Tone::Work, "completed", output.map(short).unwrap_or_default()),
        ToolStatus::Error => (Tone::Bad, "failed", error.unwrap_or_default().to_owned()),
    };
    said(tone, "tool", format!("{name} {word} {more}").trim_end())
}

fn asked(known: &KnownEvent) -> Option<Said> {
    match known {
        KnownEvent::PermissionAsked(asked) => {
            let PermissionRequest { permission, tool, title, patterns, .. } = &asked.0;
            let tool = match tool {
                Some(PermissionTool::Name(name)) => Some(name.as_str()),
                _ => None,
            };
            let what = title.as_deref().or(permission.as_deref()).or(tool).unwrap_or_default();
            let patterns = patterns.as_deref().unwrap_or_default().join(", ");
            let on = behind(" on ", Some(&*patterns).filter(|patterns| !patterns.is_empty()));
            let id = &*asked.0.permission_id;
            said(Tone::Work, "permission", format!("{id} asked: {what}{on}"))
        }
        KnownEvent::PermissionReplied(replied) => {
            let reply = serde_json::to_value(replied.reply).unwrap_or_default();
            let by = behind(" by ", replied.by.as_deref());
            let reply = reply.as_str().unwrap_or_default();
            let id = &*replied.permission_id;
            said(Tone::Work, "permission", format!("{id} answered: {reply}{by}"))
        }
        KnownEvent::PresenceJoined(who) => {
            let name = who.name.as_deref().unwrap_or(&who.user_id);
            said(Tone::Quiet, "presence", format!("{name} joined"))
        }
        KnownEvent::PresenceLeft(who) => {
            let reason = behind(": ", who.reason.as_deref());
            said(Tone::Quiet, "presence", format!("{} left{reason}", &*who.user_id))
        }
        KnownEvent::TerminalInput(input) => {
            let terminal = input.terminal_id.as_deref().unwrap_or("terminal");
            let who = input.user_id.as_deref().unwrap_or("somebody");
            said(Tone::Person, terminal, format!("{who} types {}", quoted(&input.data)))
        }
        _ => None,
    }
}

fn lists(known: &KnownEvent) -> Option<Said> {
    match known {
        KnownEvent::AgentState(agent) => {
            let detail = behind(", ", agent.detail.as_deref());
            said(Tone::Quiet, &agent.agent_id, format!("is {}{detail}", agent.state))
        }
        KnownEvent::AgentStep(agent) => {
            let step = agent.step.map_or_else(String::new, |step| format!(" {step}"));
            let title = behind(": ", agent.title.as_deref());
            said(Tone::Plain, &agent.agent_id, format!("step{step}{title}"))
        }
        KnownEvent::TodoUpdated(TodoUpdated { todos }) => {
            let is_done = |status| matches!(status, TodoStatus::Completed | TodoStatus::Cancelled);
            let done = todos.iter().filter(|todo| is_done(todo.status)).count();
            let now = todos.iter().find(|todo| todo.status == TodoStatus::InProgress);
            let now = behind(", now: ", now.map(|todo| &*todo.text));
            said(Tone::Quiet, "todo", format!("{done} of {} done{now}", todos.len()))
        }
        KnownEvent::DiffUpdated(diff) => {
            let sum = |of: fn(&crate::session::vocabulary::diff::FileDiff) -> u64| -> u64 {
                diff.files.iter().map(of).sum()
            };
            let added = diff.additions.unwrap_or_else(|| sum(|file| file.additions));
            let gone = diff.deletions.unwrap_or_else(|| sum(|file| file.deletions));
            let files = diff.files.len();
            said(Tone::Quiet, "diff", format!("{files} files, +{added} -{gone}"))
        }
        _ => None,
    }
}

/// A word behind another, where there is one.
fn behind(before: &str, word: Option<&str>) -> String {
    word.map_or_else(String::new, |word| format!("{before}{word}"))
}

/// The fields of an event's data in a line, but for some.
fn facts(event: &Event, but: &[&str]) -> String {
    let data: Value = serde_json::from_str(event.data()).unwrap_or_default();
    let fields = match &data {
        Value::Object(fields) => fields,
        Value::Null => return String::new(),
        other => return short(other),
    };
    let fields = match fields.get("info") {
        Some(Value::Object(within)) => within,
        _ => fields,
    };
    let wanted = fields.iter().filter(|(name, value)| {
        let is_known = but.contains(&name.as_str()) || value.as_str() == Some(event.kind());
        !value.is_null() && !is_known
    });
    wanted.map(|(name, value)| format!("{name}={}", short(value))).collect::<Vec<_>>().join(" ")
}
