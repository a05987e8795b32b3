//! Stepping through a session: what people type, the states that are remembered on the way, and
//! how a step is shown. Pure.
//!
//! Invariant: what is remembered is bounded; a state that was forgotten is folded again.

use std::collections::BTreeMap;

use serde_json::{Map, Value, value::RawValue};

use crate::{
    cli::{
        blame,
        changes::{Change, changes, line},
        moment::rfc3339,
        shown::{Paint, Tone, cut, visible, visible_json},
    },
    client::Event,
    session::projections::Projections,
};

/// A state is remembered every so many events: going back folds no more than these again.
const MARK_EVERY: u64 = 64;
/// States that are remembered.
const MARKS_MAX: usize = 32;
/// Where the nearest state is further away than so many events, the server is asked for one: it
/// has checkpoints.
pub(super) const FOLD_MAX: u64 = 1_000;
/// Characters of an event's data that are shown.
const DATA_CHARS_MAX: usize = 160;

/// What people want next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Next,
    Back,
    To(u64),
    Quit,
    Help,
}

impl Wish {
    /// What a typed line means.
    pub(super) fn of(line: &str) -> Self {
        match line.trim() {
            "" | "n" | "next" => Self::Next,
            "b" | "back" => Self::Back,
            "q" | "quit" => Self::Quit,
            number => number.parse().map_or(Self::Help, Self::To),
        }
    }
}

/// States that were seen on the way.
#[derive(Debug, Default)]
pub(super) struct Trail {
    marks: BTreeMap<u64, Projections>,
}

impl Trail {
    /// Remembers a state where it is time to; the one furthest from it is forgotten where there
    /// are too many.
    pub(super) fn pass(&mut self, state: &Projections) {
        if state.offset.is_multiple_of(MARK_EVERY) {
            self.remember(state);
        }
    }

    /// Remembers a state wherever it stands.
    pub(super) fn remember(&mut self, state: &Projections) {
        if self.marks.contains_key(&state.offset) {
            return;
        }
        self.marks.insert(state.offset, state.clone());
        if self.marks.len() > MARKS_MAX {
            let furthest = self.marks.keys().max_by_key(|at| at.abs_diff(state.offset)).copied();
            furthest.and_then(|at| self.marks.remove(&at));
        }
    }

    /// The nearest state at or before an offset.
    pub(super) fn nearest(&self, offset: u64) -> Option<&Projections> {
        self.marks.range(..=offset).next_back().map(|(_, state)| state)
    }
}

/// Some projections of a state as JSON text, to be compared.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Look(Vec<Vec<u8>>);

impl Look {
    /// Looks at some projections of a state.
    pub(super) fn at(state: &Projections, names: &[&'static str]) -> Self {
        let written = names.iter().map(|name| {
            let mut text = Vec::new();
            let is_there = state.write_json(name, &mut text);
            if is_there { text } else { Vec::new() }
        });
        Self(written.collect())
    }

    /// What changed since an earlier look at the same projections. Only those that differ are
    /// read and compared.
    pub(super) fn since(&self, before: &Self, names: &[&'static str]) -> Vec<Change> {
        let (mut old, mut new) = (Map::new(), Map::new());
        for ((name, old_text), new_text) in names.iter().zip(&before.0).zip(&self.0) {
            if old_text != new_text {
                let read = |text: &[u8]| serde_json::from_slice(text).unwrap_or(Value::Null);
                old.insert((*name).to_owned(), read(old_text));
                new.insert((*name).to_owned(), read(new_text));
            }
        }
        let (old, new) = (Value::Object(old), Value::Object(new));
        let patch = json_patch::diff(&old, &new);
        // A patch fits what it was made from.
        changes(old, patch).unwrap_or_default()
    }
}

/// An event and what it changed.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) event: Event,
    pub(super) changes: Vec<Change>,
}

impl Step {
    /// The step as it is printed.
    pub(super) fn lines(&self, paint: Paint) -> Vec<String> {
        let event = &self.event;
        let actor: Option<Box<RawValue>> =
            event.actor().and_then(|actor| RawValue::from_string(actor.to_owned()).ok());
        let place = format!("{:>7}  {}", event.offset(), rfc3339(event.timestamp_ms()));
        let kind = paint.tone(Tone::Strong, &visible(event.kind()));
        let actor = blame::actor(actor.as_deref());
        let data = cut(&visible_json(&event.data().replace('\n', " ")), DATA_CHARS_MAX);
        let mut lines = vec![
            format!("{}  {kind}  {actor}", paint.tone(Tone::Quiet, &place)),
            format!("         {}", paint.tone(Tone::Quiet, &data)),
        ];
        if self.changes.is_empty() {
            lines.push("         (nothing changed)".to_owned());
        }
        lines.extend(self.changes.iter().map(|change| format!("         {}", line(change, paint))));
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(offset: u64) -> Event {
        let data =
            json!({"todos": [{"id": "1", "text": format!("do {offset}"), "status": "pending"}]});
        let json = json!({
            "offset": offset, "id": format!("e{offset}"), "channel": "todo", "type": "todo.updated",
            "timestamp": 1_795_165_200_000_u64 + offset, "data": data,
        });
        Event::read(json.to_string()).unwrap()
    }

    fn state(offset: u64) -> Projections {
        let mut state = Projections::default();
        (1..=offset).for_each(|offset| event(offset).fold_into(&mut state));
        state
    }

    #[test]
    fn what_people_type_is_understood() {
        for (line, wish) in [
            ("\n", Wish::Next),
            ("n\n", Wish::Next),
            ("b", Wish::Back),
            (" 120 ", Wish::To(120)),
            ("q", Wish::Quit),
            ("what", Wish::Help),
            ("-1", Wish::Help),
        ] {
            assert_eq!(Wish::of(line), wish, "{line:?}");
        }
    }

    #[test]
    fn few_states_are_remembered_and_those_near_by_are_among_them() {
        let mut trail = Trail::default();
        let mut now = Projections::default();
        trail.remember(&now);
        for offset in 1..=5_000 {
            event(offset).fold_into(&mut now);
            trail.pass(&now);
        }
        assert_eq!(trail.marks.len(), MARKS_MAX);
        assert_eq!(trail.nearest(5_000).unwrap().offset, 4_992);
        for offset in 4_000..=5_000 {
            assert!(offset - trail.nearest(offset).unwrap().offset < MARK_EVERY, "{offset}");
        }
        assert_eq!(*trail.nearest(4_992).unwrap(), state(4_992));
        assert!(trail.nearest(100).is_none());
        // Who goes back has states there again.
        trail.remember(&state(128));
        assert_eq!(trail.nearest(130).unwrap().offset, 128);
        assert_eq!(trail.marks.len(), MARKS_MAX);
    }

    #[test]
    fn a_step_is_shown_with_what_it_changed() {
        let names = ["todo", "presence"];
        let (before, after) = (Look::at(&state(1), &names), Look::at(&state(2), &names));
        let step = Step { event: event(2), changes: after.since(&before, &names) };
        insta::assert_snapshot!(step.lines(Paint::new(false)).join("\n"), @r#"
        2  2026-11-20T09:00:00.002Z  todo.updated  -
           {"todos":[{"id":"1","status":"pending","text":"do 2"}]}
           ~ /todo/todos/0/text  "do 1" → "do 2"
           ~ /todo/updatedAt  1795165200001 → 1795165200002
           ~ /todo/updatedOffset  1 → 2
        "#);
        let step = Step { event: event(2), changes: after.since(&after, &names) };
        assert!(step.lines(Paint::new(false)).concat().contains("nothing changed"));
    }
}
