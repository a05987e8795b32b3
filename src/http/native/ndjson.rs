//! NDJSON bodies: events of a body of any length, appended step by step as they come in.
//!
//! A step is atomic. Invariant: at every moment the events of whole steps are in the stream and
//! nothing else; a line that is wrong, or did not come whole, leaves its own step out.

use super::append::{Asked, To, append};
use crate::{
    auth::Right,
    http::{
        access,
        body::Incoming,
        error::{Fail, event_too_large},
    },
    limits,
    log::Offset,
    session::{EventBatch, Form},
    wire::bodies::NdjsonAnswer,
};

/// Appends the events of a body.
pub(super) async fn append_all(
    to: To<'_>,
    asked: Asked,
    mut incoming: Incoming<'_>,
) -> Result<NdjsonAnswer, Fail> {
    let mut intake = Intake::new(to, asked);
    match intake.run(&mut incoming).await {
        Ok(()) => Ok(intake.answer()),
        Err(fail) => Err(fail.with(|problem| {
            problem.count = Some(intake.count);
            problem.offset = intake.last.map(|offset| offset.0);
        })),
    }
}

struct Intake<'a> {
    to: To<'a>,
    /// Its `expected` moves with each step.
    asked: Asked,
    /// The events of the step that is being gathered.
    step: EventBatch,
    /// The beginning of a line whose end is yet to come.
    partial: Vec<u8>,
    /// Lines that came whole.
    lines: u64,
    count: u64,
    duplicates: u64,
    last: Option<Offset>,
}

impl<'a> Intake<'a> {
    fn new(to: To<'a>, asked: Asked) -> Self {
        Self {
            to,
            asked,
            step: EventBatch::default(),
            partial: Vec::new(),
            lines: 0,
            count: 0,
            duplicates: 0,
            last: None,
        }
    }

    fn answer(&self) -> NdjsonAnswer {
        NdjsonAnswer {
            ok: true,
            count: self.count,
            duplicates: self.duplicates,
            offset: self.last.map(|offset| offset.0),
        }
    }

    async fn run(&mut self, incoming: &mut Incoming<'_>) -> Result<(), Fail> {
        while let Some(piece) = self.next(incoming).await? {
            self.take(&piece).await?;
        }
        let rest = std::mem::take(&mut self.partial);
        self.line(&rest)?;
        self.flush().await
    }

    /// The next piece of the body. While none is there, what has been gathered is appended, so
    /// that a writer that sends line by line sees each line arrive.
    async fn next(&mut self, incoming: &mut Incoming<'_>) -> Result<Option<bytes::Bytes>, Fail> {
        if let Some(piece) = incoming.ready() {
            return piece;
        }
        // The connection reads on when this task yields; only then the body is really quiet.
        tokio::task::yield_now().await;
        if let Some(piece) = incoming.ready() {
            return piece;
        }
        self.flush().await?;
        incoming.next().await
    }

    async fn take(&mut self, piece: &[u8]) -> Result<(), Fail> {
        let mut rest = piece;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(at);
            rest = after.get(1..).unwrap_or_default();
            if self.partial.is_empty() {
                self.line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole)?;
            }
            if self.step.len() >= limits::NDJSON_STEP_RECORDS
                || self.step.bytes() >= limits::NDJSON_STEP_BYTES
            {
                self.flush().await?;
            }
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() > limits::BODY_BYTES_MAX {
            return Err(at_line(event_too_large(self.partial.len()), self.lines + 1));
        }
        Ok(())
    }

    /// Adds a line to the step.
    fn line(&mut self, line: &[u8]) -> Result<(), Fail> {
        self.lines += 1;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let before = self.step.bytes();
        let maker = self.to.app.maker(self.to.access);
        let pushed = self.step.push(line, self.asked.rules(Form::Event), &maker);
        pushed.map_err(|error| at_line(error.into(), self.lines))?;
        match self.step.bytes() - before {
            bytes if bytes > limits::RECORD_BYTES_MAX => {
                Err(at_line(event_too_large(bytes), self.lines))
            }
            _ => Ok(()),
        }
    }

    /// Appends the step.
    async fn flush(&mut self) -> Result<(), Fail> {
        if self.step.is_empty() {
            return Ok(());
        }
        // A body may come for hours, and rights end meanwhile.
        let To { app, path, access } = self.to;
        access::allow(app, access, Right::Write, path).await?;
        let step = std::mem::take(&mut self.step);
        let (ids, appended) = append(self.to, step, self.asked).await?;
        let duplicates = appended.placed.iter().filter(|placed| placed.duplicate).count() as u64;
        let count = ids.len() as u64;
        // The next step expects the tail where this one ended, or had ended when it was first sent.
        self.asked.expected = self.asked.expected.map(|_| appended.last);
        self.count += count;
        self.duplicates += duplicates;
        self.last = Some(appended.last);
        Ok(())
    }
}

fn at_line(fail: Fail, line: u64) -> Fail {
    fail.with(|problem| problem.line = Some(line))
}
