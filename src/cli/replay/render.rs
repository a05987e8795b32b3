//! How a session is laid out as it happened: offset, time and subject in front, text that streams
//! in on one line. Pure: it gives text and prints none.
//!
//! It refuses to know what events mean. Invariant: what is given for the same events is the same
//! on a terminal and in a pipe but for colours, and holds no control characters of theirs.

use super::{
    pace::{GAP_MAX, gap},
    said::{self, Flow, Line, Piece},
    speech::Speech,
};
use crate::{
    cli::shown::{Paint, Tone, cut, visible},
    client::Event,
    session::vocabulary::{KnownEvent, terminal::TerminalOutput},
};

/// Characters of a subject that are shown.
const SUBJECT_CHARS_MAX: usize = 24;

/// A session being laid out.
#[derive(Debug)]
pub(super) struct Renderer {
    paint: Paint,
    speech: Speech,
    began_ms: Option<u64>,
    newest_ms: Option<u64>,
    open: Option<Open>,
}

/// A line that may go on.
#[derive(Debug)]
struct Open {
    key: String,
    /// Nothing stands on it yet.
    is_empty: bool,
}

impl Renderer {
    /// A session of which `speech` is known.
    pub(super) fn new(paint: Paint, speech: Speech) -> Self {
        Self { paint, speech, began_ms: None, newest_ms: None, open: None }
    }

    /// The text that an event adds.
    pub(super) fn show(&mut self, event: &Event) -> String {
        let mut out = String::new();
        let now_ms = event.timestamp_ms();
        let pause = gap(self.newest_ms, now_ms);
        if pause > GAP_MAX {
            self.close(&mut out);
            let text = format!("{:>7}  {:>12}  {}", "", "…", span_text(pause.as_secs()));
            out.push_str(&self.paint.tone(Tone::Quiet, &text));
            out.push('\n');
        }
        self.newest_ms = self.newest_ms.max(Some(now_ms));
        let began_ms = *self.began_ms.get_or_insert(now_ms);
        let place = format!("{:>7}  {:>12}", event.offset(), after_text(began_ms, now_ms));
        let place = self.paint.tone(Tone::Quiet, &place);
        for piece in pieces(&mut self.speech, event) {
            match piece {
                Piece::Line(line) => self.line(&mut out, &place, &line),
                Piece::Flow(flow) => self.flow(&mut out, &place, &flow),
            }
        }
        out
    }

    /// The text that ends an open line.
    pub(super) fn end(&mut self) -> String {
        let mut out = String::new();
        self.close(&mut out);
        out
    }

    fn line(&mut self, out: &mut String, place: &str, line: &Line) {
        self.close(out);
        let text = visible(&line.text);
        let text = match line.tone {
            Tone::Bad | Tone::Quiet | Tone::Strong => self.paint.tone(line.tone, &text),
            _ => text,
        };
        let head = self.head(place, line.tone, &line.subject);
        out.push_str(format!("{head}{text}").trim_end());
        out.push('\n');
    }

    fn flow(&mut self, out: &mut String, place: &str, flow: &Flow) {
        if self.open.as_ref().is_some_and(|open| open.key != flow.key) {
            self.close(out);
        }
        let mut is_empty = self.open.as_ref().is_none_or(|open| open.is_empty);
        let mut segments = flow.text.split('\n').peekable();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none();
            if is_empty && !(is_last && segment.is_empty()) {
                let head = self.head(place, flow.tone, &flow.subject);
                out.push_str(if segment.is_empty() { head.trim_end() } else { &head });
                is_empty = false;
            }
            let text = visible(segment);
            let is_quiet = flow.tone == Tone::Quiet;
            out.push_str(&if is_quiet { self.paint.tone(Tone::Quiet, &text) } else { text });
            if !is_last {
                out.push('\n');
                is_empty = true;
            }
        }
        self.open = Some(Open { key: flow.key.clone(), is_empty });
    }

    fn head(&self, place: &str, tone: Tone, subject: &str) -> String {
        let subject = cut(&visible(subject), SUBJECT_CHARS_MAX);
        format!("{place}  {}  ", self.paint.tone(tone, &format!("{subject:<12}")))
    }

    fn close(&mut self, out: &mut String) {
        if self.open.take().is_some_and(|open| !open.is_empty) {
            out.push('\n');
        }
    }
}

fn pieces(speech: &mut Speech, event: &Event) -> Vec<Piece> {
    let known = event.known();
    if let Some(KnownEvent::TerminalOutput(output)) = &known {
        return vec![Piece::Flow(terminal(output))];
    }
    let spoken = known.as_ref().and_then(|known| speech.of(event, known));
    spoken.unwrap_or_else(|| {
        let call = known.as_ref().and_then(|known| speech.call(known));
        vec![Piece::Line(said::line(event, known.as_ref(), call))]
    })
}

fn terminal(output: &TerminalOutput) -> Flow {
    let subject = output.terminal_id.as_deref().unwrap_or("terminal").to_owned();
    let key = format!("terminal/{subject}");
    Flow { key, tone: Tone::Plain, subject, text: uncoloured(&output.data) }
}

/// Terminal output without its colours, in lines. Other control sequences stay, to be shown as
/// escapes: they are what a reader of a log may be looking for.
fn uncoloured(data: &str) -> String {
    let mut out = String::with_capacity(data.len());
    let mut rest = data;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        let end = after.find(|c: char| !matches!(c, '0'..='9' | ';' | ':')).unwrap_or(after.len());
        let (_, tail) = after.split_at(end);
        if let Some(tail) = tail.strip_prefix('m') {
            rest = tail;
        } else {
            out.push_str("\u{1b}[");
            rest = after;
        }
    }
    out.push_str(rest);
    out.replace("\r\n", "\n")
}

/// The time since the beginning: `+01:02.345`, with hours where there are some.
fn after_text(began_ms: u64, now_ms: u64) -> String {
    let sign = if now_ms < began_ms { '-' } else { '+' };
    let ms = now_ms.abs_diff(began_ms);
    let (secs, ms) = (ms / 1_000, ms % 1_000);
    let (hours, mins, secs) = (secs / 3_600, secs / 60 % 60, secs % 60);
    match hours {
        0 => format!("{sign}{mins:02}:{secs:02}.{ms:03}"),
        _ => format!("{sign}{hours}:{mins:02}:{secs:02}.{ms:03}"),
    }
}

/// A span in words of one letter.
pub(super) fn span_text(secs: u64) -> String {
    match (secs / 3_600, secs / 60 % 60, secs % 60) {
        (0, 0, secs) => format!("{secs} s"),
        (0, mins, secs) => format!("{mins} min {secs} s"),
        (hours, mins, _) => format!("{hours} h {mins} min"),
    }
}

#[cfg(test)]
mod tests;
