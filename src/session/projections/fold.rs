//! The projections of a session as the driver sees them: records in, checkpoints out.
//!
//! Invariant: a checkpoint is taken whole or not at all; where the version of one projection has
//! changed, all are folded again, so that they stand at one offset.

use serde::{Deserialize, Serialize};

use super::{Event, Projections, Seal};
use crate::{log::Record, projection::Fold, session::Stored};

/// A checkpoint as it is saved.
#[derive(Serialize, Deserialize)]
struct Saved {
    offset: u64,
    projections: Vec<SavedProjection>,
}

#[derive(Serialize, Deserialize)]
struct SavedProjection {
    name: String,
    version: u32,
    #[serde(with = "serde_bytes")]
    state: Vec<u8>,
    /// The hash of the state; empty in checkpoints of the first form, which have none.
    #[serde(default, with = "serde_bytes")]
    hash: Vec<u8>,
}

impl Projections {
    /// Those whose hash in a checkpoint is not that of the state beside it.
    #[must_use]
    pub fn unsealed(checkpoint: &[u8]) -> Vec<&'static str> {
        let saved: Option<Saved> = rmp_serde::from_slice(checkpoint).ok();
        let Some((saved, state)) = saved.zip(Self::load(checkpoint)) else { return Vec::new() };
        let is_broken = |seal: &Seal| {
            let said = saved.projections.iter().find(|saved| saved.name == seal.name);
            said.is_some_and(|said| !said.hash.is_empty() && said.hash != seal.hash)
        };
        let seals = state.seals().into_iter();
        seals.filter(is_broken).map(|seal| seal.name).collect()
    }
}

impl Fold for Projections {
    fn fold(&mut self, record: &Record) {
        let stored = Stored {
            offset: record.offset.0,
            timestamp_ms: record.timestamp_ms,
            payload: &record.payload,
        };
        match Event::read(&stored) {
            Some(event) => self.apply(&event),
            // It means nothing here, and counts as folded.
            None => self.offset = self.offset.max(record.offset.0),
        }
    }

    fn save(&self) -> Vec<u8> {
        let saved = self.seals().into_iter().filter_map(|Seal { name, version, hash }| {
            let (state, name) = (Projections::save(self, name)?, name.to_owned());
            Some(SavedProjection { name, version, state, hash: hash.to_vec() })
        });
        let saved = Saved { offset: self.offset, projections: saved.collect() };
        // Nothing in it cannot be said; an empty checkpoint is none.
        rmp_serde::to_vec_named(&saved).unwrap_or_default()
    }

    fn load(bytes: &[u8]) -> Option<Self> {
        let saved: Saved = rmp_serde::from_slice(bytes).ok()?;
        let mut loaded = Self { offset: saved.offset, ..Self::default() };
        let found = |name: &str, version: u32| {
            let mut saved = saved.projections.iter();
            saved.find(|saved| saved.name == name && saved.version == version)
        };
        for (name, version) in Self::versions() {
            let saved = found(name, *version)?;
            if !loaded.restore(name, &saved.state) {
                return None;
            }
        }
        Some(loaded)
    }

    fn is_in(&self, checkpoint: &[u8]) -> bool {
        let save = Fold::save;
        let same = Self::load(checkpoint).is_some_and(|saved| save(&saved) == save(self));
        same && Self::unsealed(checkpoint).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::session::projections::testing::{record, with_event};

    fn state() -> Projections {
        let mut state = Projections::default();
        let data = json!({"todos": [{"id": "1", "text": "a", "status": "pending"}]});
        with_event(1, &record(1, "todo.updated", &data), |event| state.apply(event));
        state
    }

    fn changed(change: impl Fn(&mut SavedProjection)) -> Vec<u8> {
        let mut saved: Saved = rmp_serde::from_slice(&Fold::save(&state())).unwrap();
        saved.projections.iter_mut().for_each(change);
        rmp_serde::to_vec_named(&saved).unwrap()
    }

    #[test]
    fn a_checkpoint_says_the_hash_of_each_projection() {
        let saved = changed(|_| {});
        assert!(state().is_in(&saved) && Projections::unsealed(&saved).is_empty());
        assert!(!Projections::default().is_in(&saved));
        let wrong = changed(|saved| saved.hash[0] ^= u8::from(saved.name == "todo"));
        assert_eq!(Projections::unsealed(&wrong), ["todo"]);
        assert!(!state().is_in(&wrong));
        assert_eq!(<Projections as Fold>::load(&wrong), Some(state()), "the state is as it was");
        // A state of another time under the hash of this one.
        let nothing = Projections::save(&Projections::default(), "todo").unwrap();
        let other = changed(|saved| {
            if saved.name == "todo" {
                saved.state.clone_from(&nothing);
            }
        });
        assert_eq!(Projections::unsealed(&other), ["todo"]);
    }

    #[test]
    fn a_checkpoint_without_hashes_is_read_and_compared() {
        let old = changed(|saved| saved.hash.clear());
        assert!(state().is_in(&old) && Projections::unsealed(&old).is_empty());
        assert!(!Projections::default().is_in(&old));
    }
}
