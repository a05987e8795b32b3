//! One subscription in memory: its folded state, and what is known of the streams it follows.
//!
//! It refuses to know how events become durable. Invariant: `pending` names exactly the followed
//! streams whose known tail lies behind what was acknowledged.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    config::Config,
    decide::{self, Tails},
    event::Event,
    record::Folded,
    state::{Link, State},
};
use crate::{
    limits,
    wire::{
        protocol,
        subscription::{Followed, LinkType},
    },
};

/// A subscription of the server.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: Arc<str>,
    /// What it was made with, which never changes.
    pub(super) config: Config,
    /// It follows streams by name, or has.
    by_name: AtomicBool,
    /// When the engine has to look at it, Unix milliseconds.
    due_ms: AtomicU64,
    pub(super) held: Mutex<Held>,
}

/// What is changed under its lock.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) folded: Folded,
    tails: Tails,
    pending: BTreeSet<Arc<str>>,
    /// The last stream that a worker was told of as pending: the next wake begins behind it.
    told: Option<Arc<str>>,
    /// The wake that is being delivered.
    pub(super) in_flight: Option<InFlight>,
    /// What became of a wake, as long as the log has not taken it.
    pub(super) outcome: Option<(Arc<str>, Outcome)>,
    /// Nothing is begun before this, Unix milliseconds: the log refused a record.
    pub(super) pause_ms: u64,
    /// How far what is here can be relied on.
    pub(super) standing: Standing,
    /// It was said that no more streams can be followed.
    was_full: bool,
}

/// How far a state in memory can be relied on; the later ones are the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It is as the log has it.
    Sure,
    /// Changes of streams may have been missed.
    Unseen,
    /// An append was begun and its end was not seen: the log knows better.
    InDoubt,
    /// Deleted.
    Gone,
}

/// A wake on its way.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) wake_id: Arc<str>,
    /// Ends it, where the wake is over before its answer has come.
    pub(super) over: CancellationToken,
}

/// What became of a wake that was sent.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// It arrived; the worker may be done at once.
    Arrived { is_done: bool },
    /// It did not.
    Missed { reason: Arc<str>, lapsed: bool },
    /// It was over before the answer came.
    Over,
}

/// A stream as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) epoch: u64,
    pub(super) tail: u64,
    /// The place behind what it took over from another.
    pub(super) inherited: u64,
}

impl Subscription {
    pub(super) fn new(id: Arc<str>, folded: Folded) -> Arc<Self> {
        let config = folded.state.config.clone();
        let by_name = folded.state.links.values().any(|link| link.explicit);
        let held = Held {
            folded,
            tails: Tails::new(),
            pending: BTreeSet::new(),
            told: None,
            in_flight: None,
            outcome: None,
            pause_ms: 0,
            standing: Standing::Sure,
            was_full: false,
        };
        let (by_name, due_ms) = (AtomicBool::new(by_name), AtomicU64::new(0));
        Arc::new(Self { id, config, by_name, due_ms, held: Mutex::new(held) })
    }

    /// Whether it follows a stream, or would.
    pub(super) async fn follows(&self, path: &str) -> bool {
        self.config.matches(path)
            || (self.by_name.load(Ordering::Acquire)
                && self.held.lock().await.state().links.contains_key(path))
    }

    /// It follows streams by name from now on.
    pub(super) fn note_by_name(&self) {
        self.by_name.store(true, Ordering::Release);
    }

    pub(super) fn due_ms(&self) -> u64 {
        self.due_ms.load(Ordering::Acquire)
    }

    /// Notes when it is to be looked at next, after a change.
    pub(super) fn note_due(&self, held: &Held) {
        let due_ms = if held.standing == Standing::Gone {
            u64::MAX
        } else if held.outcome.is_some() || held.standing > Standing::Sure {
            held.pause_ms
        } else {
            let in_flight = held.in_flight.is_some();
            decide::due_ms(held.state(), held.has_pending(), in_flight).max(held.pause_ms)
        };
        self.due_ms.store(due_ms, Ordering::Release);
    }
}

impl Held {
    pub(super) fn state(&self) -> &State {
        &self.folded.state
    }

    pub(super) fn tails(&self) -> &Tails {
        &self.tails
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Followed streams with records that are not acknowledged, with their tails. It goes round,
    /// so that busy streams do not keep workers from the others.
    pub(super) fn pending(&self) -> impl Iterator<Item = (Arc<str>, u64)> {
        self.pending_paths().map(|path| (Arc::clone(path), self.tail(path)))
    }

    fn pending_paths(&self) -> impl Iterator<Item = &Arc<str>> {
        let told = self.told.as_ref();
        let is_later = move |path: &&Arc<str>| told.is_none_or(|told| *path > told);
        let later = self.pending.iter().filter(is_later);
        later.chain(self.pending.iter().filter(move |path| !is_later(path)))
    }

    /// Ends what is on its way, where its wake is over.
    pub(super) fn end_what_is_over(&self) {
        let wake_id = self.folded.state.wake.as_ref().map(|wake| &wake.id);
        if let Some(sent) = self.in_flight.as_ref().filter(|sent| Some(&sent.wake_id) != wake_id) {
            sent.over.cancel();
        }
    }

    /// Takes in how a stream stands now. With it comes what is to be recorded of that.
    pub(super) fn note(&mut self, path: &Arc<str>, found: Option<Found>) -> Option<Event> {
        match found {
            Some(found) => self.tails.insert(Arc::clone(path), found.tail),
            None => self.tails.remove(path),
        };
        let state = &self.folded.state;
        let event = match (state.links.get(path), found) {
            (None, Some(found)) if state.config.matches(path) => {
                if !state.has_room(path) {
                    self.tails.remove(path);
                    self.say_full(path);
                    return None;
                }
                let Found { epoch, inherited: acked, .. } = found;
                let link = Link { explicit: false, glob: true, acked, epoch };
                Some(Event::Linked { links: vec![(Arc::clone(path), link)] })
            }
            // The second can only be where something is wrong; what is there is then read anew.
            (Some(link), Some(found)) if link.epoch != found.epoch || link.acked > found.tail => {
                let Found { epoch, inherited: acked, .. } = found;
                Some(Event::Replaced { path: Arc::clone(path), epoch, acked })
            }
            (Some(link), None) if !link.explicit => Some(Event::Dropped { path: Arc::clone(path) }),
            (Some(link), None) if link.epoch != 0 => {
                Some(Event::Replaced { path: Arc::clone(path), epoch: 0, acked: 0 })
            }
            _ => None,
        };
        // What is recorded is looked at once it is durable.
        if event.is_none() {
            self.refresh(path);
        }
        event
    }

    fn say_full(&mut self, path: &str) {
        if !std::mem::replace(&mut self.was_full, true) {
            tracing::warn!(
                path,
                "a subscription follows as many streams as it can, and not this one"
            );
        }
    }

    /// Brings what is pending in line with events that were folded.
    pub(super) fn refresh_after(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Linked { links } => links.iter().for_each(|(path, _)| self.refresh(path)),
                Event::Acked { acks, .. } => acks.iter().for_each(|(path, _)| self.refresh(path)),
                Event::Unlinked { path }
                | Event::Replaced { path, .. }
                | Event::Dropped { path } => self.refresh(path),
                _ => {}
            }
        }
    }

    /// It can be relied on so far at most.
    pub(super) fn doubt(&mut self, standing: Standing) {
        self.standing = self.standing.max(standing);
    }

    /// Takes the log's word for the state.
    pub(super) fn replace(&mut self, folded: Folded) {
        self.folded = folded;
        self.standing = Standing::Unseen;
        self.pending.clear();
        let paths: Vec<_> = self.folded.state.links.keys().cloned().collect();
        for path in &paths {
            self.refresh(path);
        }
    }

    fn refresh(&mut self, path: &Arc<str>) {
        let link = self.folded.state.links.get(path);
        if link.is_none() {
            self.tails.remove(path);
        }
        if link.is_some_and(|link| self.tail(path) > link.acked) {
            self.pending.insert(Arc::clone(path));
        } else {
            self.pending.remove(path);
        }
    }

    fn tail(&self, path: &str) -> u64 {
        self.tails.get(path).copied().unwrap_or(0)
    }

    /// All followed streams.
    pub(super) fn followed(&self) -> Vec<Followed> {
        let links = self.folded.state.links.iter();
        links.map(|(path, link)| followed(path, link, self.tail(path))).collect()
    }

    /// The followed streams as a worker is told of them that claims now: those with something to
    /// do, and some of the others.
    pub(super) fn told_now(&mut self) -> Vec<Followed> {
        let pending: Vec<_> = self.pending().take(limits::WAKE_STREAMS_MAX).collect();
        self.told(&pending)
    }

    /// The same as the wake in flight names them. Those with records that came later are left to
    /// the next wake.
    pub(super) fn told_by_wake(&mut self) -> Vec<Followed> {
        let wake = self.folded.state.wake.as_ref();
        let pending = wake.map(|wake| wake.tails.clone()).unwrap_or_default();
        self.told(&pending)
    }

    fn told(&mut self, pending: &[(Arc<str>, u64)]) -> Vec<Followed> {
        let links = &self.folded.state.links;
        let named = pending
            .iter()
            .filter_map(|(path, tail)| links.get(path).map(|link| followed(path, link, *tail)));
        let is_named: BTreeSet<_> = pending.iter().map(|(path, _)| path).collect();
        let is_other = |path: &Arc<str>| !self.pending.contains(path) && !is_named.contains(path);
        let others = links.iter().filter(|(path, _)| is_other(path));
        let others = others.map(|(path, link)| followed(path, link, self.tail(path)));
        let told = named.chain(others.take(limits::WAKE_OTHERS_MAX)).collect();
        self.told = pending.last().map(|(path, _)| Arc::clone(path));
        told
    }
}

fn followed(path: &Arc<str>, link: &Link, tail: u64) -> Followed {
    Followed {
        path: Arc::clone(path),
        link_type: if link.explicit { LinkType::Explicit } else { LinkType::Glob },
        acked_offset: protocol::offset(link.acked),
        tail_offset: Some(protocol::offset(tail)),
        has_pending: Some(tail > link.acked),
    }
}
