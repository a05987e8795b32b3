//! Many events in a short time, made fewer: deltas are joined, and of what replaces what came
//! before only the newest is left. Pure: the time is handed in.
//!
//! It refuses to know the network and who listens. Invariant: folding what comes out gives the
//! same state, to the field, as folding what went in, whatever state was there before. What comes
//! out is in the order of the log.

mod flow;
mod memory;
mod slot;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::flow::Coalesced;
use self::{
    memory::{Memory, Run},
    slot::Slot,
};
use super::Event;
use crate::session::vocabulary::{
    KnownEvent,
    chunks::ChunkAppended,
    part::{MessagePartDelta, MessagePartUpdated},
};

/// Events between two flushes; at more it flushes early. A screen shows fewer in 16 ms.
const EVENTS_MAX: usize = 1_024;
/// Bytes between two flushes, for the same reason.
const BYTES_MAX: usize = 1024 * 1024;

/// Makes many events fewer. What it gives out folds as what it took.
///
/// The first event of a part, a message or an answer in pieces comes out as it is, because states
/// say which event that was. What follows is joined or replaced, until something else happens to
/// messages, turns or tools.
///
/// ```
/// use std::time::Duration;
/// use scrollback::client::{Coalescer, Event};
///
/// # fn main() -> serde_json::Result<()> {
/// let mut coalescer = Coalescer::new(Duration::from_millis(16));
/// let delta = |offset: u64, text: &str| {
///     Event::read(format!(
///         r#"{{"offset":{offset},"id":"{offset}","channel":"message","type":"message.part.delta",
///             "timestamp":1,"data":{{"messageId":"m","partId":"p","delta":"{text}"}}}}"#
///     ))
/// };
/// for (offset, text) in (1..).zip(["It ", "is ", "one ", "text"]) {
///     coalescer.push(delta(offset, text)?, 0);
/// }
/// let events = coalescer.flush(16);
/// let offsets: Vec<_> = events.iter().map(Event::offset).collect();
/// assert_eq!(offsets, [1, 2, 4]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Coalescer {
    every_ms: u64,
    slots: Vec<Option<Slot>>,
    bytes: usize,
    memory: Memory,
    /// Where the newest `session.status` is, if it may be replaced.
    status: Option<usize>,
    /// Something came: the first event says when a session was made, and so it stays.
    has_begun: bool,
    since_ms: Option<u64>,
    flushed_ms: Option<u64>,
}

impl Default for Coalescer {
    /// At most one flush per 16 ms, a frame of a screen.
    fn default() -> Self {
        Self::new(Duration::from_millis(16))
    }
}

impl Coalescer {
    /// At most one flush in each `every`, rounded down to milliseconds, unless more comes than is
    /// held back: 1,024 events or 1 MiB.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self {
            every_ms: u64::try_from(every.as_millis()).unwrap_or(u64::MAX),
            slots: Vec::new(),
            bytes: 0,
            memory: Memory::default(),
            status: None,
            has_begun: false,
            since_ms: None,
            flushed_ms: None,
        }
    }

    /// Takes the next event of a stream.
    pub fn push(&mut self, event: Event, now_ms: u64) {
        self.since_ms.get_or_insert(now_ms);
        self.bytes = self.bytes.saturating_add(event.json().len());
        if !std::mem::replace(&mut self.has_begun, true) {
            self.put(Slot::Whole(event));
            return;
        }
        match event.known() {
            Some(KnownEvent::MessagePartDelta(said)) => self.delta(event, said),
            Some(KnownEvent::ChunkAppended(said)) => self.chunk(event, said),
            Some(KnownEvent::MessagePartUpdated(said)) => self.part(event, said),
            Some(KnownEvent::SessionStatus(_)) => self.status(event),
            Some(known) => {
                if !leaves_messages_alone(&known) {
                    self.memory.clear();
                }
                // What a session was before it is deleted or begun counts there.
                if matches!(known, KnownEvent::SessionDeleted(_) | KnownEvent::SessionCreated(_)) {
                    self.status = None;
                }
                self.put(Slot::Whole(event));
            }
            None => {
                self.put(Slot::Whole(event));
            }
        }
    }

    /// When to flush, Unix milliseconds; `None` where there is nothing. It may be over already.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let since = self.since_ms?;
        if self.slots.len() >= EVENTS_MAX || self.bytes >= BYTES_MAX {
            return Some(since);
        }
        let Some(flushed) = self.flushed_ms else { return Some(since) };
        // On a clock that was set back it waits no longer than on any other.
        let due = flushed.saturating_add(self.every_ms);
        Some(due.clamp(since, since.saturating_add(self.every_ms)))
    }

    /// What there is, if it is time.
    pub fn flush_due(&mut self, now_ms: u64) -> Vec<Event> {
        match self.due_ms() {
            Some(due) if due <= now_ms => self.flush(now_ms),
            _ => Vec::new(),
        }
    }

    /// What there is, whether it is time or not.
    pub fn flush(&mut self, now_ms: u64) -> Vec<Event> {
        if self.since_ms.take().is_some() {
            self.flushed_ms = Some(now_ms);
        }
        self.bytes = 0;
        self.status = None;
        self.memory.let_go();
        self.slots.drain(..).flatten().map(Slot::into_event).collect()
    }

    /// Forgets what was there: another stream begins, or another state. Flush before.
    pub fn restart(&mut self) {
        *self = Self { every_ms: self.every_ms, flushed_ms: self.flushed_ms, ..Self::default() };
    }

    fn put(&mut self, slot: Slot) -> usize {
        self.slots.push(Some(slot));
        self.slots.len() - 1
    }

    fn status(&mut self, event: Event) {
        self.replace(self.status, &event);
        self.status = Some(self.put(Slot::Whole(event)));
    }

    fn delta(&mut self, event: Event, said: MessagePartDelta) {
        let field = said.field;
        let Some(part) = self.memory.part(said.message_id, said.part_id) else {
            self.put(Slot::Whole(event));
            return;
        };
        let run = part.run.take().filter(|run| run.field == field).map(|run| run.place);
        let place = join(&mut self.slots, run, Slot::delta(event, said.delta));
        part.run = Some(Run { place, field });
    }

    fn chunk(&mut self, event: Event, said: ChunkAppended) {
        let Some(run) = self.memory.answer(&said) else {
            self.put(Slot::Whole(event));
            return;
        };
        *run = Some(join(&mut self.slots, *run, Slot::chunk(event, said)));
    }

    fn part(&mut self, event: Event, said: MessagePartUpdated) {
        let before = self.memory.update(said, self.slots.len());
        self.replace(before, &event);
        self.put(Slot::Whole(event));
    }

    /// Takes out what stands at a place, if it gives way to the event.
    fn replace(&mut self, before: Option<usize>, event: &Event) {
        if let Some(slot) = before.and_then(|place| self.slots.get_mut(place)) {
            slot.take_if(|before| before.gives_way_to(event));
        }
    }
}

/// Puts a piece at the end, joined with the run that it goes on with. Where it is now.
fn join(slots: &mut Vec<Option<Slot>>, run: Option<usize>, piece: Slot) -> usize {
    let before = run.and_then(|place| slots.get_mut(place));
    let before = before.and_then(|slot| slot.take_if(|before| before.goes_on_with(&piece)));
    if slots.last().is_some_and(Option::is_none) {
        slots.pop();
    }
    slots.push(Some(match before {
        Some(before) => before.joined(piece),
        None => piece,
    }));
    slots.len() - 1
}

/// Events that change neither messages, nor calls of tools, nor turns.
fn leaves_messages_alone(known: &KnownEvent) -> bool {
    let channel = known.kind().channel();
    matches!(
        channel,
        "presence" | "terminal" | "agentState" | "todo" | "diff" | "config" | "app" | "permission"
    )
}
