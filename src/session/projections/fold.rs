//! The projections of a session as the driver sees them: records in, checkpoints out.
//!
//! Invariant: a checkpoint is taken whole or not at all; where the version of one projection has
//! changed, all are folded again, so that they stand at one offset.

use serde::{Deserialize, Serialize};

use super::{Event, Projections};
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
        let saved = Self::versions().iter().filter_map(|(name, version)| {
            let (name, version) = ((*name).to_owned(), *version);
            Some(SavedProjection { state: Projections::save(self, &name)?, name, version })
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
}
