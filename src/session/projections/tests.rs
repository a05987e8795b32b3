//! All projections together: wherever a fold is taken up again, it comes to the same state.

use std::{fmt::Write as _, fs, path::PathBuf};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    Projections,
    testing::{record, text_of, with_event},
};

pub(crate) mod random;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Folds records at the offsets after `from`.
fn fold_on(state: &mut Projections, from: usize, records: &[String]) {
    for (offset, text) in (1..).zip(records).skip(from) {
        with_event(offset, text, |event| state.apply(event));
    }
}

fn folded(records: &[String]) -> Projections {
    let mut state = Projections::default();
    fold_on(&mut state, 0, records);
    state
}

/// The state as a checkpoint brings it back.
fn restored(state: &Projections) -> Projections {
    let mut back = Projections { offset: state.offset, ..Projections::default() };
    for name in Projections::names() {
        assert!(back.restore(name, &state.save(name).expect("bytes")), "{name}");
    }
    back
}

/// The state as it reads back from JSON.
fn reread(state: &Projections) -> Projections {
    serde_json::from_str(&serde_json::to_string(state).expect("JSON")).expect("a state")
}

fn records(events: &[(&'static str, Value)]) -> Vec<String> {
    (1..).zip(events).map(|(offset, (kind, data))| record(offset, kind, data)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_fold_from_any_checkpoint_is_the_fold_of_everything(
        events in random::events(),
        at in any::<prop::sample::Index>(),
    ) {
        let records = records(&events);
        let whole = folded(&records);
        let at = at.index(records.len() + 1);
        let half = folded(records.get(..at).unwrap_or_default());
        for mut taken_up in [restored(&half), reread(&half)] {
            prop_assert_eq!(&taken_up, &half);
            prop_assert_eq!(taken_up.hash(), half.hash());
            fold_on(&mut taken_up, at, &records);
            prop_assert_eq!(&taken_up, &whole);
            prop_assert_eq!(taken_up.seals(), whole.seals());
        }
    }

    #[test]
    fn events_that_were_folded_already_change_nothing(
        events in random::events(),
        at in any::<prop::sample::Index>(),
    ) {
        let records = records(&events);
        let whole = folded(&records);
        let at = at.index(records.len() + 1);
        let mut twice = folded(records.get(..at).unwrap_or_default());
        fold_on(&mut twice, 0, &records);
        fold_on(&mut twice, 0, &records);
        prop_assert_eq!(twice.hash(), whole.hash());
        prop_assert_eq!(twice, whole);
    }

    #[test]
    fn what_does_not_add_can_be_said_twice(events in random::events()) {
        let (mut once, mut twice) = (Projections::default(), Projections::default());
        for (offset, (kind, data)) in (1..).zip(&events) {
            with_event(offset, &record(offset, kind, data), |event| {
                once.apply(event);
                twice.apply(event);
                if !adds(kind, data) {
                    twice.offset = offset - 1;
                    twice.apply(event);
                }
            });
            prop_assert_eq!(&once, &twice, "{} {}", kind, data);
        }
    }
}

/// Events that mean more each time they are said.
fn adds(kind: &str, data: &Value) -> bool {
    match kind {
        "message.part.delta" | "chunk.appended" | "terminal.input" | "terminal.output" => true,
        "message.part.updated" => data.get("delta").is_some(),
        "agent.step" => data.get("step").is_none(),
        _ => false,
    }
}

/// The valid examples of all types.
fn examples() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(root().join("fixtures/events")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let file: Map<String, Value> = serde_json::from_str(&text).unwrap();
        for (kind, examples) in file.iter().filter(|(kind, _)| kind.contains('.')) {
            let valid = examples["valid"].as_array().unwrap();
            all.extend(valid.iter().map(|data| (kind.clone(), data.clone())));
        }
    }
    assert!(all.len() > 100);
    all
}

#[test]
fn the_examples_of_all_types_fold_into_states_that_read_back() {
    let records = (1..).zip(examples()).map(|(offset, (kind, data))| record(offset, &kind, &data));
    let state = folded(&records.collect::<Vec<_>>());
    assert_eq!(restored(&state), state);
    assert_eq!(reread(&state), state);
}

#[test]
fn fields_of_ours_in_the_data_of_writers_do_no_harm() {
    for (kind, data) in examples() {
        for name in random::ODD {
            let mut data = data.clone();
            let fields = data.as_object_mut().unwrap();
            fields.entry(*name).or_insert(json!(3));
            let state = folded(&[record(1, &kind, &data)]);
            assert_eq!(reread(&state), state, "{kind} {data}");
        }
    }
}

#[test]
fn a_seal_says_which_projection_has_changed() {
    let before = Projections::default();
    let data = json!({"todos": [{"id": "1", "text": "a", "status": "pending"}]});
    let after = folded(&[record(1, "todo.updated", &data)]);
    let pairs = before.seals().into_iter().zip(after.seals());
    let changed: Vec<_> =
        pairs.filter(|(one, other)| one.hash != other.hash).map(|(one, _)| one.name).collect();
    assert_eq!(changed, ["session", "todo"]);
    assert_ne!(before.hash(), after.hash());
}

#[test]
fn a_projection_is_found_by_its_name_and_no_other_is() {
    let mut state = folded(&[record(1, "message.created", &json!({"id": "m", "role": "user"}))]);
    for name in Projections::names() {
        let mut text = Vec::new();
        assert!(state.write_json(name, &mut text));
        let read: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(Some(read), state.json(name));
    }
    assert_eq!(state.json("messages").unwrap()[0]["id"], "m");
    assert_eq!((state.json("nothing"), state.save("nothing")), (None, None));
    assert!(!state.write_json("nothing", &mut Vec::new()) && !state.restore("nothing", &[]));
    let before = state.clone();
    assert!(!state.restore("messages", b"no state"));
    assert_eq!(state, before);
}

#[test]
fn names_and_fields_of_the_projections_are_the_same() {
    let json = serde_json::to_value(Projections::default()).unwrap();
    let mut names: Vec<_> = Projections::names().to_vec();
    names.push("offset");
    names.sort_unstable();
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), names);
    let versions = Projections::versions().iter().map(|(name, _)| *name).collect::<Vec<_>>();
    assert_eq!(versions, Projections::names());
}

/// A sample session, folded, against the states kept in `fixtures/states/`.
/// `INSTA_UPDATE=always cargo test sample_session` writes them anew.
fn sample(session: &str, offsets: [usize; 5]) {
    let path = root().join("fixtures/sessions").join(session).with_extension("ndjson");
    let records: Vec<_> = fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(offsets[4], records.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root().join("fixtures/states"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut state = Projections::default();
    for (from, to) in [0].into_iter().chain(offsets).zip(offsets) {
        fold_on(&mut state, from, &records[..to]);
        let mut text = String::new();
        for name in Projections::names() {
            writeln!(text, "# {name}\n{}\n", text_of(&state.json(name))).unwrap();
        }
        settings.bind(|| insta::assert_snapshot!(format!("{session}@{to}"), text));
        assert_eq!(restored(&state), state);
        assert_eq!(reread(&state).hash(), state.hash());
    }
}

#[test]
fn the_sample_session_of_a_coding_agent() {
    sample("coding-agent", [60, 300, 950, 1_224, 1_357]);
}

#[test]
fn the_sample_session_of_a_team() {
    sample("team-chat", [40, 250, 500, 800, 1_072]);
}

#[test]
fn the_sample_session_of_a_terminal() {
    sample("terminal", [20, 100, 300, 600, 1_059]);
}

#[test]
fn the_sample_session_of_a_worker() {
    let path = root().join("fixtures/sessions/worker-chat.ndjson");
    let count = fs::read_to_string(path).unwrap().lines().count();
    sample("worker-chat", [28, 38, 50, 70, count]);
}
