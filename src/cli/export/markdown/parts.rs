//! Parts of messages and calls of tools, as Markdown.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    super::prose::{code, fence, inline, quote},
    line,
};

/// Characters of a place that are shown; a file within a URL has many.
const PLACE_CHARS_MAX: usize = 200;

/// A call of a tool, wherever it was told of.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Call {
    #[serde(rename = "callId")]
    id: String,
    tool: Option<String>,
    status: Option<String>,
    message_id: Option<String>,
    title: Option<String>,
    input: Option<Value>,
    output: Option<Value>,
    error: Option<Value>,
}

impl Call {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn belongs_to(&self, message: &str) -> bool {
        self.message_id.as_deref() == Some(message)
    }

    /// Whether one of these parts is this call.
    pub(super) fn is_in(&self, parts: &[Map<String, Value>]) -> bool {
        parts.iter().any(|part| call_of(part) == Some(&self.id))
    }

    /// The call that a part tells of by itself.
    fn within(part: &Map<String, Value>) -> Self {
        let state = part.get("state");
        let status = state.and_then(|state| state.get("status").or(Some(state)));
        let value = |name: &str| {
            let value = part.get(name).or_else(|| state?.get(name));
            value.filter(|value| !value.is_null()).cloned()
        };
        let text = |name| value(name).and_then(|value| Some(value.as_str()?.to_owned()));
        Self {
            id: String::new(),
            tool: text("tool"),
            status: status.and_then(Value::as_str).map(str::to_owned),
            message_id: None,
            title: text("title"),
            input: value("input"),
            output: value("output"),
            error: value("error"),
        }
    }
}

fn text<'a>(part: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    part.get(name)?.as_str()
}

fn call_of(part: &Map<String, Value>) -> Option<&str> {
    text(part, "callId").or_else(|| text(part, "id")).filter(|_| text(part, "type") == Some("tool"))
}

/// A part of a message.
pub(super) fn write_part(
    out: &mut String,
    part: &Map<String, Value>,
    calls: &HashMap<&str, &Call>,
) {
    match text(part, "type").unwrap_or_default() {
        "text" => block(out, &quote(text(part, "text").unwrap_or_default())),
        "reasoning" => {
            let thought = text(part, "text").or_else(|| text(part, "reasoning"));
            let thought = fence("text", thought.unwrap_or_default());
            block(out, "<details>\n<summary>Reasoning</summary>\n");
            block(out, &thought);
            block(out, "</details>\n");
        }
        "tool" => match call_of(part).and_then(|id| calls.get(id)) {
            Some(call) => write_call(out, call),
            None => write_call(out, &Call::within(part)),
        },
        "file" | "data-file" => block(out, &file(part)),
        "patch" => {
            let patch = text(part, "patch").or_else(|| text(part, "diff"));
            block(out, "**Patch**\n");
            block(out, &fence("diff", patch.unwrap_or_default()));
        }
        "error" => {
            block(out, "**Error**\n");
            block(out, &result(part.get("error").unwrap_or(&Value::Null)));
        }
        "snapshot" => block(
            out,
            &format!("**Snapshot** {}\n", place(text(part, "snapshot").unwrap_or_default())),
        ),
        // Where a step begins and ends is nothing to read.
        "step-start" | "step-finish" => {}
        other => block(out, &format!("*A part of type {}*\n", code(other))),
    }
}

/// A call of a tool, with what went in and what came out.
pub(super) fn write_call(out: &mut String, call: &Call) {
    let tool = call.tool.as_deref().map(code).unwrap_or_default();
    let status = call.status.as_deref().map(|status| format!(", {}", inline(status)));
    let title = call.title.as_deref().map(|title| format!(": {}", inline(title)));
    let (status, title) = (status.unwrap_or_default(), title.unwrap_or_default());
    block(out, &format!("**Tool** {tool}{status}{title}\n"));
    for (name, value) in [("Input", &call.input), ("Output", &call.output), ("Error", &call.error)]
    {
        if let Some(value) = value {
            block(out, &format!("{name}:\n"));
            block(out, &result(value));
        }
    }
}

/// A value in a fence: a text as it is, a fault by its message, anything else as JSON.
fn result(value: &Value) -> String {
    let message = value.as_object().filter(|fault| fault.len() == 1);
    let message = message.and_then(|fault| fault.get("message")?.as_str());
    match value.as_str().or(message) {
        Some(text) => fence("text", text),
        None => fence("json", &format!("{value:#}")),
    }
}

fn file(part: &Map<String, Value>) -> String {
    let name = text(part, "filename").or_else(|| text(part, "file"));
    let mut facts: Vec<String> = name.map(code).into_iter().collect();
    facts.extend(text(part, "mime").map(inline));
    facts.extend(part.get("size").and_then(Value::as_u64).map(|size| format!("{size} bytes")));
    facts.extend(text(part, "url").map(place));
    format!("**File** {}\n", facts.join(", "))
}

/// A place, cut where it is long.
fn place(text: &str) -> String {
    match text.char_indices().nth(PLACE_CHARS_MAX) {
        Some((at, _)) => code(&format!("{}…", text.get(..at).unwrap_or_default())),
        None => code(text),
    }
}

fn block(out: &mut String, text: &str) {
    line(out, &format!("\n{}", text.trim_end_matches('\n')));
}
