//! The writes that are not settled yet, in order. Pure: no clock, no network, no disk.
//!
//! Invariants: an entry is announced once and then settled once, as confirmed or rolled back;
//! one entry is on its way at a time, the first, so that they reach the log in their order; where
//! there is a journal, an entry is sent only after it is on the disk.

use std::{collections::VecDeque, sync::Arc};

use indexmap::IndexMap;

use super::{
    OptimisticError, Rejection,
    journal::Line,
    write::{Entry, Outcome, ids_of, may_be_written},
};
use crate::client::{ClientError, Event};

/// The journal is written anew once it has this many bytes, and …
const REWRITE_ABOVE_BYTES: usize = 1024 * 1024;
/// … this many times those of the entries that are left: then most of it is history.
const REWRITE_TIMES: usize = 4;

/// What the queue holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) entries: usize,
    pub(super) bytes: usize,
    pub(super) unseen: usize,
}

/// Something to tell the application.
#[derive(Debug)]
pub(super) enum Notice {
    Optimistic(Arc<Entry>),
    Confirm(Arc<Entry>, u64),
    Rollback(Arc<Entry>, Rejection),
}

/// Lines to be put on the disk.
#[derive(Debug)]
pub(super) struct Save {
    pub(super) text: Vec<u8>,
    /// They stand for the whole journal.
    pub(super) is_whole: bool,
    /// Entries up to this number are on the disk then.
    up_to: u64,
}

/// What became of the first entry when it was tried.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// It is settled: the next one.
    Settled,
    /// It is to be tried again, after so many failures.
    Again { failures: u32 },
}

#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    /// The offset that it expects now: entries of ours before it move it on.
    expected: Option<u64>,
    bytes: usize,
    /// Counts the entries that were queued, from 1.
    number: u64,
    /// It was sent, and nobody knows what became of it.
    is_in_doubt: bool,
    /// It was taken back while it was on its way.
    is_unwanted: bool,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    path: String,
    bounds: Bounds,
    slots: IndexMap<String, Slot>,
    bytes: usize,
    /// The number of the one that is on its way.
    sending: Option<u64>,
    /// Tries of the first one that failed.
    failures: u32,
    last_failure: Option<Arc<ClientError>>,
    /// Somebody knows that the line is back: the wait for the next try is over.
    pub(super) is_nudged: bool,
    /// Nothing more is to be done but to save.
    pub(super) is_closing: bool,
    /// Confirmed by an answer; the echo is yet to come.
    unseen: IndexMap<String, Arc<Entry>>,
    pub(super) outbox: Outbox,
    /// Entries that were queued.
    queued: u64,
    disk: Disk,
}

/// What the application is to be told.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) notices: VecDeque<Notice>,
    /// Somebody is telling it.
    pub(super) is_telling: bool,
}

/// How far the disk has come.
#[derive(Debug, Default)]
struct Disk {
    has_journal: bool,
    /// Entries up to this number are there.
    saved: u64,
    /// Lines that are not there yet.
    unsaved: Vec<u8>,
    /// Of all lines, with those that are on their way.
    bytes: usize,
    /// Why it takes no more.
    broken: Option<Arc<str>>,
}

impl Queue {
    pub(super) fn new(path: String, bounds: Bounds, has_journal: bool) -> Self {
        Self {
            path,
            bounds,
            slots: IndexMap::new(),
            bytes: 0,
            sending: None,
            failures: 0,
            last_failure: None,
            is_nudged: false,
            is_closing: false,
            unseen: IndexMap::new(),
            outbox: Outbox::default(),
            queued: 0,
            disk: Disk { has_journal, ..Disk::default() },
        }
    }

    /// Takes over what an earlier life left in its journal; `false` where it is of another stream.
    pub(super) fn reload(&mut self, lines: Vec<Line>) -> Result<bool, OptimisticError> {
        for line in lines {
            match line {
                Line::For { path } if path != self.path => return Ok(false),
                Line::For { .. } => {}
                Line::Queued(entry) => self.place(entry).map(drop)?,
                Line::Confirmed { id, offset } => drop(self.confirm(&id, offset, false)),
                Line::RolledBack { id } => drop(self.remove(&id)),
            }
        }
        self.unseen.clear();
        // The earlier life may have sent them.
        self.slots.values_mut().for_each(|slot| slot.is_in_doubt = true);
        self.outbox.notices =
            self.slots.values().map(|s| Notice::Optimistic(s.entry.clone())).collect();
        self.disk.saved = self.queued;
        Ok(true)
    }

    /// Queues an entry, and returns its number.
    pub(super) fn push(&mut self, entry: Entry) -> Result<u64, OptimisticError> {
        if let Some(why) = &self.disk.broken {
            return Err(OptimisticError::NotSaved(Arc::clone(why)));
        }
        if self.slots.contains_key(&entry.id) || self.unseen.contains_key(&entry.id) {
            return Err(OptimisticError::Known(entry.id));
        }
        let text = Line::Queued(entry.clone()).text().map_err(OptimisticError::Json)?;
        let (entries, bytes) = (self.slots.len(), self.bytes);
        if entries >= self.bounds.entries || bytes.saturating_add(text.len()) > self.bounds.bytes {
            return Err(OptimisticError::Full { entries, bytes });
        }
        let entry = self.place(entry)?;
        self.outbox.notices.push_back(Notice::Optimistic(entry));
        if self.disk.has_journal {
            self.disk.unsaved.extend(text);
        } else {
            self.disk.saved = self.queued;
        }
        Ok(self.queued)
    }

    fn place(&mut self, entry: Entry) -> Result<Arc<Entry>, OptimisticError> {
        let text = Line::Queued(entry.clone()).text().map_err(OptimisticError::Json)?;
        self.queued += 1;
        self.bytes += text.len();
        let (expected, entry) = (entry.expected_offset, Arc::new(entry));
        let slot = Slot {
            entry: Arc::clone(&entry),
            expected,
            bytes: text.len(),
            number: self.queued,
            is_in_doubt: false,
            is_unwanted: false,
        };
        self.slots.insert(entry.id.clone(), slot);
        Ok(entry)
    }

    /// The entry that is to be sent now, and the offset that it expects. It counts as on its way
    /// until [`Queue::tried`].
    pub(super) fn next(&mut self) -> Option<(Arc<Entry>, Option<u64>)> {
        let (_, first) = self.slots.first()?;
        if self.sending.is_some() || first.number > self.disk.saved {
            return None;
        }
        self.sending = Some(first.number);
        // It is tried: there is no wait to cut short, and the next one is another matter.
        self.is_nudged = false;
        Some((Arc::clone(&first.entry), first.expected))
    }

    /// Takes what became of the entry that was on its way.
    pub(super) fn tried(&mut self, id: &str, outcome: Outcome) -> Tried {
        let sent = self.sending.take();
        let Some(slot) = self.slots.get_mut(id).filter(|slot| Some(slot.number) == sent) else {
            // Its echo was first.
            return Tried::Settled;
        };
        match outcome {
            Outcome::Written(offset) => drop(self.confirm(id, offset, true)),
            Outcome::Rejected(why) => self.roll_back(id, why),
            Outcome::Failed(error) => {
                slot.is_in_doubt |= may_be_written(&error);
                if slot.is_unwanted {
                    let may_be_written = slot.is_in_doubt;
                    self.roll_back(id, Rejection::Withdrawn { may_be_written });
                    return Tried::Settled;
                }
                self.failures = self.failures.saturating_add(1);
                self.last_failure = Some(Arc::new(error));
                return Tried::Again { failures: self.failures };
            }
        }
        Tried::Settled
    }

    /// Takes an entry back, once it is not on its way any more; `false` where there is none.
    pub(super) fn take_back(&mut self, id: &str) -> bool {
        let Some(slot) = self.slots.get_mut(id) else { return false };
        if self.sending == Some(slot.number) {
            slot.is_unwanted = true;
            return true;
        }
        let may_be_written = slot.is_in_doubt;
        self.roll_back(id, Rejection::Withdrawn { may_be_written });
        true
    }

    /// Takes an event from the stream: the entry that it is the echo of, if it is one.
    pub(super) fn observe(&mut self, event: &Event) -> Option<Arc<Entry>> {
        if self.slots.is_empty() && self.unseen.is_empty() {
            return None;
        }
        for id in ids_of(event) {
            let queued = self.slots.get(&id).map(|slot| &slot.entry);
            let known = queued.or_else(|| self.unseen.get(&id));
            let Some(entry) = known.filter(|entry| entry.is_echoed_by(event)).cloned() else {
                continue;
            };
            if self.unseen.shift_remove(&id).is_none() {
                self.confirm(&id, event.offset(), false);
            }
            return Some(entry);
        }
        None
    }

    fn confirm(&mut self, id: &str, offset: u64, awaits_echo: bool) -> Option<Arc<Entry>> {
        let slot = self.remove(id)?;
        // What was written against the place before it was written against this, too: nobody
        // else came between.
        if slot.entry.is_one_event() {
            let before = offset.checked_sub(1);
            let moved = self.slots.values_mut().filter(|slot| slot.expected.is_some());
            let moved = moved.filter(|slot| slot.expected == before);
            moved.for_each(|slot| slot.expected = Some(offset));
        }
        self.note(&Line::Confirmed { id: id.to_owned(), offset });
        if awaits_echo {
            if self.unseen.len() >= self.bounds.unseen {
                self.unseen.shift_remove_index(0);
            }
            self.unseen.insert(id.to_owned(), Arc::clone(&slot.entry));
        }
        self.outbox.notices.push_back(Notice::Confirm(Arc::clone(&slot.entry), offset));
        Some(slot.entry)
    }

    fn roll_back(&mut self, id: &str, why: Rejection) {
        let Some(slot) = self.remove(id) else { return };
        self.note(&Line::RolledBack { id: id.to_owned() });
        self.outbox.notices.push_back(Notice::Rollback(slot.entry, why));
    }

    fn remove(&mut self, id: &str) -> Option<Slot> {
        let is_first = self.slots.first().is_some_and(|(first, _)| first == id);
        let slot = self.slots.shift_remove(id)?;
        self.bytes -= slot.bytes;
        if is_first {
            self.failures = 0;
            self.last_failure = None;
        }
        Some(slot)
    }

    fn note(&mut self, line: &Line) {
        if self.disk.has_journal && self.disk.broken.is_none() {
            // Without it the entry is sent once more after a crash, and known by its id.
            self.disk.unsaved.extend(line.text().unwrap_or_default());
        }
    }

    /// What is to be put on the disk now. It counts as on its way until [`Queue::saved`].
    pub(super) fn take_unsaved(&mut self) -> Option<Save> {
        if self.disk.unsaved.is_empty() || self.disk.broken.is_some() {
            return None;
        }
        let text = std::mem::take(&mut self.disk.unsaved);
        let total = self.disk.bytes + text.len();
        let is_whole = total > REWRITE_ABOVE_BYTES.max(self.bytes.saturating_mul(REWRITE_TIMES));
        if is_whole { Some(self.whole()) } else { Some(self.save(text, false)) }
    }

    /// The journal as it would be written anew.
    pub(super) fn whole(&mut self) -> Save {
        let head = Line::For { path: self.path.clone() };
        let slots = self.slots.values().map(|slot| {
            let expected_offset = slot.expected;
            Line::Queued(Entry { expected_offset, ..Entry::clone(&slot.entry) })
        });
        let texts = [head].into_iter().chain(slots).map(|line| line.text().unwrap_or_default());
        let text = texts.collect::<Vec<_>>().concat();
        self.disk.unsaved.clear();
        self.disk.bytes = 0;
        self.save(text, true)
    }

    fn save(&mut self, text: Vec<u8>, is_whole: bool) -> Save {
        self.disk.bytes += text.len();
        Save { text, is_whole, up_to: self.queued }
    }

    /// What was to be saved is on the disk, or never will be: then what was queued since is
    /// rolled back, and nothing more is taken.
    pub(super) fn saved(&mut self, save: &Save, result: Result<(), Arc<str>>) {
        let Err(why) = result else {
            self.disk.saved = self.disk.saved.max(save.up_to);
            return;
        };
        self.disk.broken = Some(Arc::clone(&why));
        let unsaved = self.slots.values().filter(|slot| slot.number > self.disk.saved);
        let ids: Vec<String> = unsaved.map(|slot| slot.entry.id.clone()).collect();
        for id in ids {
            self.roll_back(&id, Rejection::NotSaved(Arc::clone(&why)));
        }
    }

    /// Whether the entry of this number is on the disk; nothing while that is not known.
    pub(super) fn is_saved(&self, number: u64) -> Option<Result<(), OptimisticError>> {
        if number <= self.disk.saved {
            return Some(Ok(()));
        }
        self.disk.broken.as_ref().map(|why| Err(OptimisticError::NotSaved(Arc::clone(why))))
    }

    /// The entry is not settled.
    pub(super) fn holds(&self, id: &str) -> bool {
        self.slots.contains_key(id)
    }

    /// Everything is settled, and the application was told.
    pub(super) fn is_settled(&self) -> bool {
        self.slots.is_empty() && self.outbox.notices.is_empty() && !self.outbox.is_telling
    }

    pub(super) fn pending(&self) -> Vec<Arc<Entry>> {
        self.slots.values().map(|slot| Arc::clone(&slot.entry)).collect()
    }

    pub(super) fn last_failure(&self) -> Option<Arc<ClientError>> {
        self.last_failure.clone()
    }
}
