//! The state of a subscription: a fold of its events, and what stands in it. Pure.
//!
//! Invariant: folding the events since the newest checkpoint gives the same state as folding all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    config::{Config, Delivery},
    event::Event,
};
use crate::limits;

/// A stream that a subscription follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// By its name.
    pub explicit: bool,
    /// By the pattern.
    pub glob: bool,
    /// Offset of the last record that a worker is done with.
    pub acked: u64,
    /// Epoch of the stream, 0 where there was none.
    pub epoch: u64,
}

/// A wake in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// Its name.
    pub id: Arc<str>,
    /// A stream with pending records.
    pub stream: Arc<str>,
    /// Tails of the streams with pending records when it was issued.
    pub tails: Vec<(Arc<str>, u64)>,
    /// It has arrived.
    pub delivered: bool,
    /// Who works on it.
    pub holder: Option<Arc<str>>,
    /// When the lease ends, Unix milliseconds; `None` while no worker can have it.
    pub lease_ms: Option<u64>,
    /// How often it is on its wake stream.
    pub announced: u32,
    /// When it is written there again, Unix milliseconds.
    pub again_ms: Option<u64>,
    /// Paths where another stream is than the one the worker was told of.
    pub replaced: BTreeSet<Arc<str>>,
}

/// Wakes that did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How many in a row.
    pub attempts: u32,
    /// When the next one may go out, Unix milliseconds.
    pub next_ms: u64,
}

/// A subscription as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What it was made with.
    pub config: Config,
    /// When it was made, Unix milliseconds.
    pub created_ms: u64,
    /// Random, given when it was made.
    pub salt: u64,
    /// The streams it follows.
    pub links: BTreeMap<Arc<str>, Link>,
    /// Bytes of their paths.
    pub link_bytes: usize,
    /// Number of the last wake.
    pub generation: u64,
    /// The wake in flight.
    pub wake: Option<Wake>,
    /// Wakes that did not arrive.
    pub retry: Option<Retry>,
}

impl State {
    /// The state after the first event, which is its creation or a checkpoint.
    #[must_use]
    pub fn begin(event: &Event) -> Option<Self> {
        let (config, created_ms, salt, generation, wake, retry) = match event {
            Event::Created { config, at_ms, salt } => (config, *at_ms, *salt, 0, None, None),
            Event::Checkpoint { config, at_ms, salt, generation, wake, retry } => {
                (config, *at_ms, *salt, *generation, wake.clone(), *retry)
            }
            _ => return None,
        };
        let (config, links) = (config.clone(), BTreeMap::new());
        Some(Self { config, created_ms, salt, links, link_bytes: 0, generation, wake, retry })
    }

    /// Folds one event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Created { .. } | Event::Checkpoint { .. } => {
                if let Some(begun) = Self::begin(event) {
                    *self = begun;
                }
            }
            Event::Linked { links } => links.iter().for_each(|(path, link)| self.link(path, *link)),
            Event::Unlinked { path } => self.unlink(path),
            Event::Replaced { path, epoch, acked } => {
                if let Some(link) = self.links.get_mut(path) {
                    (link.epoch, link.acked) = (*epoch, *acked);
                }
                self.note_replaced(path);
            }
            Event::Dropped { path } => self.drop_link(path),
            Event::Woken { wake_id, generation, stream, tails, lease_ms } => {
                self.generation = *generation;
                self.wake = Some(Wake {
                    id: Arc::clone(wake_id),
                    stream: Arc::clone(stream),
                    tails: tails.clone(),
                    delivered: false,
                    holder: None,
                    lease_ms: *lease_ms,
                    announced: 0,
                    again_ms: None,
                    replaced: BTreeSet::new(),
                });
            }
            _ => self.apply_to_wake(event),
        }
    }

    fn apply_to_wake(&mut self, event: &Event) {
        let Some(wake) = &mut self.wake else { return };
        match event {
            Event::Retried { lease_ms } => wake.lease_ms = *lease_ms,
            Event::Delivered => {
                wake.delivered = true;
                self.retry = None;
            }
            Event::Announced { again_ms } => {
                wake.delivered = true;
                wake.announced = wake.announced.saturating_add(1);
                wake.again_ms = Some(*again_ms);
                self.retry = None;
            }
            Event::Failed { attempts, next_ms } => {
                wake.lease_ms = None;
                self.retry = Some(Retry { attempts: *attempts, next_ms: *next_ms });
            }
            Event::Claimed { worker, lease_ms } => {
                wake.holder = Some(Arc::clone(worker));
                wake.delivered = true;
                wake.lease_ms = Some(*lease_ms);
                wake.again_ms = None;
                // It is told of the streams as they are now.
                wake.replaced.clear();
                self.retry = None;
            }
            Event::Acked { acks, lease_ms, done } => {
                wake.lease_ms = *lease_ms;
                wake.delivered = true;
                self.retry = None;
                // What was done of a stream that is gone says nothing of the one in its place.
                for (path, offset) in acks.iter().filter(|(path, _)| !wake.replaced.contains(path))
                {
                    if let Some(link) = self.links.get_mut(path) {
                        link.acked = link.acked.max(*offset);
                    }
                }
                if *done {
                    self.wake = None;
                }
            }
            Event::Released => self.wake = None,
            Event::Lapsed { attempts, next_ms } => {
                self.wake = None;
                let failed = Retry { attempts: *attempts, next_ms: *next_ms };
                self.retry = (*attempts > 0).then_some(failed);
            }
            _ => {}
        }
    }

    /// Whether one more stream can be followed.
    #[must_use]
    pub fn has_room(&self, path: &str) -> bool {
        self.links.len() < limits::SUBSCRIPTION_LINKS_MAX
            && self.link_bytes + path.len() <= limits::SUBSCRIPTION_LINK_BYTES_MAX
    }

    /// Whether wakes are requests to an address.
    #[must_use]
    pub fn is_webhook(&self) -> bool {
        matches!(self.config.delivery, Delivery::Webhook { .. })
    }

    /// The same as events, from which it is built again.
    #[must_use]
    pub fn checkpoint(&self) -> Vec<Event> {
        let begin = Event::Checkpoint {
            config: self.config.clone(),
            at_ms: self.created_ms,
            salt: self.salt,
            generation: self.generation,
            wake: self.wake.clone(),
            retry: self.retry,
        };
        let links = self.links.iter().map(|(path, link)| (Arc::clone(path), *link));
        let links: Vec<_> = links.collect();
        std::iter::once(begin).chain(linked(&links)).collect()
    }

    fn link(&mut self, path: &Arc<str>, link: Link) {
        if let Some(known) = self.links.get_mut(path) {
            known.explicit |= link.explicit;
            known.glob |= link.glob;
            return;
        }
        self.link_bytes += path.len();
        self.links.insert(Arc::clone(path), link);
    }

    fn unlink(&mut self, path: &Arc<str>) {
        let Some(link) = self.links.get_mut(path) else { return };
        link.explicit = false;
        if !link.glob {
            self.drop_link(path);
        }
    }

    fn drop_link(&mut self, path: &Arc<str>) {
        if self.links.remove(path).is_some() {
            self.link_bytes -= path.len();
        }
        self.note_replaced(path);
    }

    fn note_replaced(&mut self, path: &Arc<str>) {
        if let Some(wake) = &mut self.wake {
            wake.tails.retain(|(named, _)| named != path);
            wake.replaced.insert(Arc::clone(path));
        }
    }
}

/// Links as events, none of them too large for a record.
#[must_use]
pub fn linked(links: &[(Arc<str>, Link)]) -> Vec<Event> {
    let chunks = links.chunks(limits::LINKS_IN_RECORD);
    chunks.map(|links| Event::Linked { links: links.to_vec() }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn created() -> Event {
        let delivery = Delivery::PullWake { wake_stream: Arc::from("w") };
        let config = Config::new(Some("*"), &[], delivery, None, None).unwrap();
        Event::Created { config, at_ms: 1, salt: 2 }
    }

    fn path() -> impl Strategy<Value = Arc<str>> {
        prop::sample::select(vec!["a", "b", "c"]).prop_map(Arc::from)
    }

    fn event() -> impl Strategy<Value = Event> {
        let link = (any::<bool>(), any::<bool>(), 0..9_u64, 0..3_u64)
            .prop_map(|(explicit, glob, acked, epoch)| Link { explicit, glob, acked, epoch });
        let links = prop::collection::vec((path(), link), 1..3);
        let places = || prop::collection::vec((path(), 0..9_u64), 0..3);
        let wake_id = || prop::sample::select(vec!["x", "y"]).prop_map(Arc::from);
        prop_oneof![
            links.prop_map(|links| Event::Linked { links }),
            path().prop_map(|path| Event::Unlinked { path }),
            (path(), 0..3_u64, 0..3_u64).prop_map(|(path, epoch, acked)| Event::Replaced {
                path,
                epoch,
                acked
            }),
            path().prop_map(|path| Event::Dropped { path }),
            (wake_id(), 1..9_u64, path(), places(), any::<Option<u64>>()).prop_map(
                |(wake_id, generation, stream, tails, lease_ms)| {
                    Event::Woken { wake_id, generation, stream, tails, lease_ms }
                }
            ),
            any::<Option<u64>>().prop_map(|lease_ms| Event::Retried { lease_ms }),
            Just(Event::Delivered),
            any::<u64>().prop_map(|again_ms| Event::Announced { again_ms }),
            (1..9_u32, any::<u64>())
                .prop_map(|(attempts, next_ms)| Event::Failed { attempts, next_ms }),
            (wake_id(), any::<u64>())
                .prop_map(|(worker, lease_ms)| Event::Claimed { worker, lease_ms }),
            (places(), any::<Option<u64>>(), any::<bool>())
                .prop_map(|(acks, lease_ms, done)| Event::Acked { acks, lease_ms, done }),
            Just(Event::Released),
            (0..9_u32, any::<u64>())
                .prop_map(|(attempts, next_ms)| Event::Lapsed { attempts, next_ms }),
        ]
    }

    fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> State {
        let mut events = events.into_iter();
        let mut state = State::begin(events.next().unwrap()).unwrap();
        events.for_each(|event| state.apply(event));
        state
    }

    proptest! {
        #[test]
        fn a_checkpoint_anywhere_changes_nothing(
            events in prop::collection::vec(event(), 0..40),
            cut in 0..40_usize,
        ) {
            let (created, cut) = (created(), cut.min(events.len()));
            let whole = fold([&created].into_iter().chain(&events));
            let before = fold([&created].into_iter().chain(&events[..cut]));
            let text = serde_json::to_string(&before.checkpoint()).unwrap();
            let checkpoint: Vec<Event> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(fold(checkpoint.iter().chain(&events[cut..])), whole.clone());
            prop_assert_eq!(whole.link_bytes, whole.links.keys().map(|path| path.len()).sum::<usize>());
        }
    }

    #[test]
    fn the_records_of_a_full_subscription_are_below_the_bounds_of_the_log() {
        let mut state = fold([&created()]);
        let path = |number: usize| -> Arc<str> {
            Arc::from(format!("{}{number:08}", "x".repeat(limits::PATH_BYTES_MAX - 8)))
        };
        let link = Link { explicit: true, glob: true, acked: u64::MAX, epoch: u64::MAX };
        let mut number = 0;
        while state.has_room(&path(number)) {
            state.apply(&Event::Linked { links: vec![(path(number), link)] });
            number += 1;
        }
        let records: Vec<_> = state
            .checkpoint()
            .iter()
            .map(|event| serde_json::to_vec(event).unwrap().len())
            .collect();
        assert!(records.iter().all(|bytes| *bytes <= limits::RECORD_BYTES_MAX), "{records:?}");
        assert!(records.iter().sum::<usize>() <= limits::BATCH_BYTES_MAX);
        // As many as it takes, whatever their length: this is what one has beside its path.
        let beside = serde_json::to_string(&("", link)).unwrap().len() + 1;
        let most = limits::SUBSCRIPTION_LINKS_MAX * beside + limits::SUBSCRIPTION_LINK_BYTES_MAX;
        assert!(most <= limits::BATCH_BYTES_MAX, "{most}");
    }
}
