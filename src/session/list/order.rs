//! The list as a state over all streams: which of them are sessions, what is taken from one list to
//! another, and the form in which it is saved.
//!
//! It refuses to know what events mean. Invariant: places and attendance follow every change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Listed, Session, Sessions};
use crate::{
    log::{JSON, Offset, StreamInfo, Told},
    projection::{OrderFold, Projection as _},
};

const PREFIX: &str = "sessions/";

/// The id of the session whose stream this is.
fn id_of(path: &str) -> Option<&str> {
    path.strip_prefix(PREFIX).filter(|id| !id.contains('/'))
}

/// Of the form of the list, and of the projection in it.
const VERSION: u32 = 2_000 + Session::VERSION;

/// What is saved, and under which version of its fold.
///
/// The version grows with the form of [`Listed`]; that of the session's projection is beside it.
#[derive(Serialize, Deserialize)]
struct Saved<T> {
    version: u32,
    sessions: T,
}

impl OrderFold for Sessions {
    const NAME: &'static str = "sessions";
    const PREFIX: &'static str = PREFIX;

    fn folds(path: &str) -> bool {
        id_of(path).is_some()
    }

    fn fold(&mut self, told: &Told) {
        let Some(id) = id_of(&told.path) else { return };
        let before = self.by_id.get(id).map(|listed| listed.active_ms);
        if before.is_none() {
            self.by_id.insert(id.to_owned(), Listed::default());
        }
        if let Some(listed) = self.by_id.get_mut(id) {
            listed.fold(told);
        }
        // A new one has no place yet, wherever it stands.
        self.note(id, before);
    }

    fn has(&self, path: &str, epoch: u64) -> bool {
        let listed = id_of(path).and_then(|id| self.by_id.get(id));
        listed.is_some_and(|listed| listed.epoch == epoch)
    }

    fn begin(&mut self, info: &StreamInfo) {
        // Making it is something that happens in it, though no event says so.
        let (epoch, active_ms) = (info.epoch, info.created_ms);
        if let Some(id) = id_of(&info.path) {
            self.put(id, Listed { epoch, active_ms, ..Listed::default() });
        }
    }

    fn take(&mut self, path: &str, from: &mut Self) {
        self.forget(path);
        let taken = id_of(path).and_then(|id| Some((id, from.by_id.get(id)?.clone())));
        if let Some((id, listed)) = taken {
            from.forget(path);
            self.put(id, listed);
        }
    }

    fn forget(&mut self, path: &str) {
        if let Some(id) = id_of(path) {
            let before = self.by_id.remove(id).map(|listed| listed.active_ms);
            self.note(id, before);
        }
    }

    fn paths(&self) -> Vec<String> {
        self.by_id.keys().map(|id| format!("{PREFIX}{id}")).collect()
    }

    fn offset(&self, path: &str) -> Offset {
        let listed = id_of(path).and_then(|id| self.by_id.get(id));
        Offset(listed.map_or(0, |listed| listed.offset))
    }

    fn is_same(&self, other: &Self, info: &StreamInfo) -> bool {
        let of = |sessions: &Self| id_of(&info.path).and_then(|id| sessions.by_id.get(id).cloned());
        let (mine, theirs) = (of(self), of(other));
        // Somebody in a session that takes no more events is forgotten without one.
        if info.closed || &*info.spec.content_type != JSON {
            let without = |listed: Listed| Listed { present: BTreeMap::new(), ..listed };
            return mine.map(without) == theirs.map(without);
        }
        mine == theirs
    }

    fn save(&self) -> Vec<u8> {
        let saved = Saved { version: VERSION, sessions: &self.by_id };
        rmp_serde::to_vec_named(&saved).unwrap_or_default()
    }

    fn load(bytes: &[u8]) -> Option<Self> {
        let saved: Saved<BTreeMap<String, Listed>> = rmp_serde::from_slice(bytes).ok()?;
        if saved.version != VERSION {
            return None;
        }
        let mut loaded = Self { by_id: saved.sessions, ..Self::default() };
        let ids: Vec<_> = loaded.by_id.keys().cloned().collect();
        for id in ids {
            loaded.note(&id, None);
        }
        Some(loaded)
    }
}
