//! What differs between a checkpoint of a session and a replay, and from which event on.
//!
//! It refuses to know how checkpoints are kept. Invariant: what it says of an event is what the
//! replay shows: that the event set what the checkpoint lacks, or ended what the checkpoint has.

use std::fmt::Write;

use serde_json::Value;

use super::projections::{Blame, Pointer, Projections, SetBy};
use crate::{
    limits,
    log::{Offset, ReadError, StreamPath},
    projection::{Differing, Fold, Views},
};

/// A checkpoint that is not what a replay gives.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The last checkpoint before it that is what a replay gives; 0 where none is.
    pub after: u64,
    /// Where this one stands: the difference arose behind `after` and not behind it.
    pub offset: u64,
    /// The projections that differ.
    pub parts: Vec<Part>,
}

/// A projection that differs.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// The first place that differs, as a JSON pointer; none where only the hash is wrong.
    pub pointer: Option<String>,
    /// The beginning of what the checkpoint has there, as JSON text; none where it has nothing.
    pub saved: Option<String>,
    /// The same of the replay.
    pub replayed: Option<String>,
    /// Whether the hash in the checkpoint is that of the state beside it: then it was written so.
    pub is_sealed: bool,
    /// The event from which on the two differ there, as far as can be said.
    pub event: Option<Evidence>,
}

/// The event from which on a checkpoint and a replay differ at a place.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// Until then the replay had what the checkpoint has: the event is missing from it.
    Missing(SetBy),
    /// It set what the replay has. What the checkpoint has no event behind the last good
    /// checkpoint has led to.
    Set(SetBy),
}

impl Evidence {
    /// The event.
    #[must_use]
    pub fn event(&self) -> &SetBy {
        match self {
            Self::Missing(event) | Self::Set(event) => event,
        }
    }
}

impl Finding {
    /// Looks for what differs, and goes through the replay once more for the events.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn of(
        views: &Views<Projections>,
        path: &StreamPath,
        differing: &Differing<Projections>,
    ) -> Result<Self, ReadError> {
        let saved = <Projections as Fold>::load(&differing.saved).unwrap_or_default();
        let mut parts = differences(&saved, &differing.replayed);
        let unsealed = Projections::unsealed(&differing.saved);
        for name in &unsealed {
            if !parts.iter().any(|part| part.name == *name) {
                parts.push(Part::named(name));
            }
        }
        for part in &mut parts {
            part.is_sealed = !unsealed.contains(&part.name);
        }
        let mut searches: Vec<_> =
            parts.iter().map(|part| Search::of(part, &saved, &differing.replayed)).collect();
        let see = |state: &Projections, record: Option<&_>| {
            for search in searches.iter_mut().flatten() {
                search.saved.see(state, record);
                search.replayed.see(state, record);
            }
        };
        views.walk(path, differing.after, differing.offset, see).await?;
        for (part, search) in parts.iter_mut().zip(searches) {
            part.event = search.and_then(Search::end);
        }
        let Differing { after: Offset(after), offset: Offset(offset), .. } = *differing;
        Ok(Self { after, offset, parts })
    }

    /// The first of the events from which on something differs.
    #[must_use]
    pub fn first(&self) -> Option<&SetBy> {
        let events = self.parts.iter().filter_map(|part| part.event.as_ref());
        events.map(Evidence::event).min_by_key(|event| event.offset)
    }
}

impl Part {
    fn named(name: &'static str) -> Self {
        let (pointer, saved, replayed, event) = (None, None, None, None);
        Self { name, pointer, saved, replayed, is_sealed: true, event }
    }
}

/// When what stands at a place came and went.
struct Search {
    saved: Blame,
    replayed: Blame,
}

impl Search {
    fn of(part: &Part, saved: &Projections, replayed: &Projections) -> Option<Self> {
        let pointer = Pointer::parse(part.pointer.as_ref()?)?;
        let (saved, replayed) = (saved.text_at(&pointer), replayed.text_at(&pointer));
        let saved = Blame::wanting(pointer.clone(), saved);
        Some(Self { saved, replayed: Blame::wanting(pointer, replayed) })
    }

    fn end(self) -> Option<Evidence> {
        let missing = self.saved.left().map(Evidence::Missing);
        missing.or_else(|| self.replayed.by().map(Evidence::Set))
    }
}

/// The projections in which two states differ, each with the first place.
fn differences(saved: &Projections, replayed: &Projections) -> Vec<Part> {
    let part = |name: &&'static str| {
        let (ours, theirs) = (saved.json(name)?, replayed.json(name)?);
        let mut at = format!("/{name}");
        if !leads_to_difference(&ours, &theirs, &mut at) {
            return None;
        }
        let pointer = Pointer::parse(&at)?;
        let shown = |state: &Projections| Some(excerpt(&state.text_at(&pointer)?));
        let (saved, replayed) = (shown(saved), shown(replayed));
        Some(Part { pointer: Some(at), saved, replayed, ..Part::named(name) })
    };
    Projections::names().iter().filter_map(part).collect()
}

/// Lengthens a pointer to the first place at which two values differ; false, and it is what it
/// was, where they do not. Fields are gone through by name.
fn leads_to_difference(one: &Value, other: &Value, at: &mut String) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let mut names: Vec<_> = one.keys().chain(other.keys()).collect();
            names.sort_unstable();
            names.dedup();
            names.into_iter().any(|name| {
                let step = name.replace('~', "~0").replace('/', "~1");
                steps_to_difference(one.get(name), other.get(name), &step, at)
            })
        }
        (Value::Array(one), Value::Array(other)) => (0..one.len().max(other.len()))
            .any(|n| steps_to_difference(one.get(n), other.get(n), &n.to_string(), at)),
        (one, other) => one != other,
    }
}

fn steps_to_difference(
    one: Option<&Value>,
    other: Option<&Value>,
    step: &str,
    at: &mut String,
) -> bool {
    let before = at.len();
    // Writing to memory does not fail.
    let written = write!(at, "/{step}").is_ok();
    let differs = written
        && match (one, other) {
            (Some(one), Some(other)) => leads_to_difference(one, other, at),
            (one, other) => one.is_some() || other.is_some(),
        };
    if !differs {
        at.truncate(before);
    }
    differs
}

fn excerpt(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(limits::EXCERPT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn place(one: &Value, other: &Value) -> Option<String> {
        let mut at = String::new();
        leads_to_difference(one, other, &mut at).then_some(at)
    }

    #[test]
    fn the_first_place_that_differs_is_found() {
        let one = json!({"a": [1, {"x/y": 2}], "b": 1});
        let at = |other: &Value| place(&one, other);
        assert_eq!(at(&one.clone()), None);
        assert_eq!(at(&json!({"a": [1, {"x/y": 3}], "b": 2})).unwrap(), "/a/1/x~1y");
        assert_eq!(at(&json!({"a": [1, {"x/y": 2}], "b": 2})).unwrap(), "/b");
        assert_eq!(at(&json!({"a": [1], "b": 1})).unwrap(), "/a/1");
        assert_eq!(at(&json!({"a": {}, "b": 1})).unwrap(), "/a");
        assert_eq!(at(&json!({"a": [1, {"x/y": 2}], "a~": 0, "b": 1})).unwrap(), "/a~0");
        assert_eq!(at(&json!(null)).unwrap(), "");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), (0..3_u8).prop_map(Value::from)];
        leaf.prop_recursive(3, 20, 3, |inner| {
            let list = proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from);
            let names = prop_oneof![Just("a"), Just("~/"), Just("")].prop_map(str::to_owned);
            let object = proptest::collection::btree_map(names, inner, 0..3);
            prop_oneof![list, object.prop_map(|map| map.into_iter().collect::<Value>())]
        })
    }

    proptest! {
        #[test]
        fn there_is_a_place_where_values_differ_and_they_do_at_it(one in value(), other in value()) {
            match place(&one, &other) {
                None => prop_assert_eq!(one, other),
                Some(at) => prop_assert_ne!(one.pointer(&at), other.pointer(&at)),
            }
        }
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let long = "ü".repeat(limits::EXCERPT_CHARS_MAX);
        assert_eq!(excerpt(long.as_bytes()), long);
        assert_eq!(excerpt(format!("{long}ü").as_bytes()), format!("{long}…"));
    }
}
