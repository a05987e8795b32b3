//! One subscription in memory: its folded state, and what is known of the streams it follows.
//!
//! It refuses to know how events become durable. Invariant: `pending` names exactly the followed
//! streams whose known tail lies behind what was acknowledged.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Mutex;

use super::{
    decide::{self, Tails},
    event::Event,
    record::Folded,
    state::{Link, State},
};
use crate::wire::{
    protocol,
    subscription::{Followed, LinkType},
};

/// A subscription of the server.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: Arc<str>,
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
    /// The wake that is being delivered.
    pub(super) in_flight: Option<Arc<str>>,
    /// Nothing is begun before this, Unix milliseconds: the log refused a record.
    pub(super) pause_ms: u64,
    /// An append was begun and its end was not seen: the log knows better.
    pub(super) in_doubt: bool,
    /// Deleted.
    pub(super) gone: bool,
}

/// A stream as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) epoch: u64,
    pub(super) tail: u64,
}

impl Subscription {
    pub(super) fn new(id: Arc<str>, folded: Folded) -> Arc<Self> {
        let held = Held {
            folded,
            tails: Tails::new(),
            pending: BTreeSet::new(),
            in_flight: None,
            pause_ms: 0,
            in_doubt: false,
            gone: false,
        };
        Arc::new(Self { id, due_ms: AtomicU64::new(0), held: Mutex::new(held) })
    }

    pub(super) fn due_ms(&self) -> u64 {
        self.due_ms.load(Ordering::Acquire)
    }

    /// Notes when it is to be looked at next, after a change.
    pub(super) fn note_due(&self, held: &Held) {
        let state = &held.folded.state;
        let wake_id = state.wake.as_ref().map(|wake| &wake.id);
        let in_flight = wake_id.is_some() && held.in_flight.as_ref() == wake_id;
        let due_ms = if held.gone {
            u64::MAX
        } else {
            decide::due_ms(state, held.has_pending(), in_flight).max(held.pause_ms)
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

    /// Followed streams with records that are not acknowledged, with their tails.
    pub(super) fn pending(&self) -> impl Iterator<Item = (Arc<str>, u64)> {
        self.pending.iter().map(|path| (Arc::clone(path), self.tail(path)))
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
                    tracing::warn!(path = &**path, "a subscription follows no more streams");
                    return None;
                }
                let link = Link { explicit: false, glob: true, acked: 0, epoch: found.epoch };
                Some(Event::Linked { links: vec![(Arc::clone(path), link)] })
            }
            (Some(link), Some(found)) if link.epoch != found.epoch => {
                Some(Event::Replaced { path: Arc::clone(path), epoch: found.epoch })
            }
            (Some(link), None) if !link.explicit => Some(Event::Dropped { path: Arc::clone(path) }),
            (Some(link), None) if link.epoch != 0 => {
                Some(Event::Replaced { path: Arc::clone(path), epoch: 0 })
            }
            _ => None,
        };
        // What is recorded is looked at once it is durable.
        if event.is_none() {
            self.refresh(path);
        }
        event
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

    /// Takes the log's word for the state.
    pub(super) fn replace(&mut self, folded: Folded) {
        self.folded = folded;
        self.in_doubt = false;
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

    /// The followed streams as a worker is told of them now: those with pending records first.
    pub(super) fn followed(&self, max: usize) -> Vec<Followed> {
        let links = &self.folded.state.links;
        let pending = self.pending.iter().filter_map(|path| links.get_key_value(path));
        let others = links.iter().filter(|(path, _)| !self.pending.contains(*path));
        let listed = pending.chain(others).take(max);
        listed.map(|(path, link)| followed(path, link, self.tail(path))).collect()
    }

    /// The followed streams as the wake in flight names them. Those with records that came later
    /// are left to the next wake.
    pub(super) fn followed_by_wake(&self, max: usize) -> Vec<Followed> {
        let links = &self.folded.state.links;
        let Some(wake) = &self.folded.state.wake else { return Vec::new() };
        let named: BTreeSet<_> = wake.tails.iter().map(|(path, _)| path).collect();
        let pending = wake
            .tails
            .iter()
            .filter_map(|(path, tail)| links.get(path).map(|link| followed(path, link, *tail)));
        let others = links
            .iter()
            .filter(|(path, _)| !named.contains(path) && !self.pending.contains(*path))
            .map(|(path, link)| followed(path, link, self.tail(path)));
        pending.chain(others).take(max).collect()
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
