//! A state of a session as the server shows it, and how a client goes on from there.
//!
//! Invariant: folding the events after its offset into it gives what the server has.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::session::projections::Projections;

/// Projections of a session at one offset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The offset at which they stand.
    pub offset: u64,
    /// The projections by their names, as JSON text.
    pub projections: Box<RawValue>,
}

impl State {
    /// One of the projections as a type of yours; `None` where it was not asked for.
    ///
    /// # Errors
    /// It is not of that type.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> serde_json::Result<Option<T>> {
        let mut all: std::collections::HashMap<&str, &RawValue> =
            serde_json::from_str(self.projections.get())?;
        all.remove(name).map(|value| serde_json::from_str(value.get())).transpose()
    }

    /// All of them, ready to fold what comes after. Those that were not asked for are empty.
    ///
    /// # Errors
    /// They are of another version of the server.
    pub fn projections(&self) -> serde_json::Result<Projections> {
        let all: std::collections::HashMap<&str, &RawValue> =
            serde_json::from_str(self.projections.get())?;
        let mut state = Projections { offset: self.offset, ..Projections::default() };
        for (name, value) in all {
            state.read_json(name, value.get())?;
        }
        Ok(state)
    }
}
