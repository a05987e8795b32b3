//! The examples of `fixtures/events/`, and the sample sessions, against the types.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{Kind, KnownEvent};

/// The examples of one type.
#[derive(Debug, Deserialize)]
pub(super) struct Examples {
    pub(super) valid: Vec<Box<RawValue>>,
    invalid: Vec<Invalid>,
}

#[derive(Debug, Deserialize)]
struct Invalid {
    field: String,
    data: Box<RawValue>,
}

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All examples by type.
pub(super) fn all() -> BTreeMap<String, Examples> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(root().join("fixtures/events")).unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with("schema.json") {
            let text = fs::read_to_string(&path).unwrap();
            let file: BTreeMap<String, Examples> = serde_json::from_str(&text).unwrap();
            all.extend(file);
        }
    }
    all
}

#[test]
fn every_type_has_valid_and_invalid_examples_and_no_other_has() {
    let all = all();
    for kind in Kind::ALL {
        let both = |it: &Examples| !it.valid.is_empty() && !it.invalid.is_empty();
        assert!(all.get(kind.as_str()).is_some_and(both), "{kind:?}");
    }
    assert_eq!(all.len(), Kind::ALL.len());
}

#[test]
fn valid_examples_are_read_and_what_is_read_is_valid_again() {
    for (kind, examples) in all() {
        for data in examples.valid {
            let event = KnownEvent::parse(&kind, data.get()).unwrap();
            assert!(event.is_ok(), "{kind} {data}: {event:?}");
            let event = event.unwrap();
            assert_eq!(event.kind().as_str(), kind);
            assert_eq!(event.kind().check(data.get()), Ok(()));
            let again = event.data().unwrap();
            assert_eq!(KnownEvent::parse(&kind, again.get()), Some(Ok(event)), "{again}");
        }
    }
}

#[test]
fn invalid_examples_are_refused_for_the_field_they_name() {
    for (kind, examples) in all() {
        for Invalid { field, data } in examples.invalid {
            let error = KnownEvent::parse(&kind, data.get()).unwrap();
            assert!(error.is_err(), "{kind} {data}");
            let error = error.unwrap_err();
            assert_eq!(Kind::of(&kind).unwrap().check(data.get()), Err(error.clone()));
            assert_eq!(error.path, field, "{kind} {data}: {error}");
            assert!(!error.rule.is_empty());
        }
    }
}

#[test]
fn the_events_of_the_sample_sessions_are_valid() {
    #[derive(Deserialize)]
    struct Line {
        channel: String,
        #[serde(rename = "type")]
        kind: String,
        data: Box<RawValue>,
    }
    let mut unknown = std::collections::BTreeSet::new();
    for entry in fs::read_dir(root().join("fixtures/sessions")).unwrap() {
        for line in fs::read_to_string(entry.unwrap().path()).unwrap().lines() {
            let line: Line = serde_json::from_str(line).unwrap();
            match KnownEvent::parse(&line.kind, line.data.get()) {
                Some(Ok(event)) => assert_eq!(event.kind().channel(), line.channel),
                Some(Err(error)) => assert_eq!(error.path, "", "{}: {error}", line.kind),
                None => drop(unknown.insert(line.kind)),
            }
        }
    }
    assert_eq!(
        unknown.into_iter().collect::<Vec<_>>(),
        ["chunk", "reaction.added", "reaction.removed"]
    );
}

#[test]
fn both_forms_of_a_part_update_say_the_same() {
    let part = |data: Value| {
        KnownEvent::parse("message.part.updated", &data.to_string()).unwrap().unwrap()
    };
    let flat = json!({"messageId": "m", "partId": "p", "type": "text", "text": "x", "extra": 1});
    let nested =
        json!({"part": {"id": "p", "messageID": "m", "type": "text", "text": "x", "extra": 1}});
    // As `POST /api/streams` stores it: the event's own id and time are filled in.
    let filled = json!({"id": "event", "messageId": "m", "partId": "p", "type": "text",
        "text": "x", "extra": 1});
    assert_eq!(part(flat.clone()), part(nested));
    assert_eq!(part(flat), part(filled));
}

#[test]
fn a_fold_reads_short_names_and_passes_over_what_does_not_fit() {
    let read =
        |channel, kind, data| KnownEvent::read(channel, kind, data).map(|event| event.kind());
    assert_eq!(
        read("terminal", "input", r#"{"data":"ls","source":"user"}"#),
        Some(Kind::TerminalInput)
    );
    assert_eq!(read("chunks", "chunk", r#"{"agentId":"a","text":"x"}"#), Some(Kind::ChunkAppended));
    assert_eq!(read("terminal", "input", r#""ls""#), None);
    assert_eq!(read("message", "message.created", "{}"), None);
    assert_eq!(read("reactions", "reaction.added", "{}"), None);
}

mod anything {
    use proptest::prelude::*;

    use super::super::Kind;

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "[a-z\u{1} ]{0,6}".prop_map(Into::into),
            Just("text".into()),
            Just("tool".into()),
        ];
        let names = prop_oneof![
            Just("part"),
            Just("info"),
            Just("type"),
            Just("messageId"),
            Just("messageID"),
            Just("partId"),
            Just("id"),
            Just("state"),
            Just("status"),
            Just("text"),
            Just("delta"),
            Just("step"),
            Just("error"),
            Just("tool"),
            Just("todos"),
        ];
        leaf.prop_recursive(3, 24, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
                prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner, 0..6)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_data_is_read_or_refused_with_a_path_in_the_data(data in value(), at in 0..Kind::ALL.len()) {
            let read = Kind::ALL[at].parse(&data.to_string());
            prop_assert_eq!(Kind::ALL[at].check(&data.to_string()), read.clone().map(drop));
            if let Err(error) = read {
                prop_assert!(error.path.starts_with("data"), "{}", error);
                prop_assert!(!error.rule.contains('\u{1}'), "{}", error);
            }
        }
    }
}

#[test]
fn the_quick_look_and_the_whole_reading_agree() {
    let long = "x".repeat(129);
    for (text, passes) in [
        (r#"{"messageId":"m","partId":"p","delta":"\u00e4","field":null,"more":[1]}"#, true),
        (r#"{"messageID":"m","partID":"p","delta":""}"#, true),
        (r#"{"messageId":"","partId":"p","delta":""}"#, false),
        (&format!(r#"{{"messageId":"{long}","partId":"p","delta":""}}"#), false),
        (r#"{"messageId":"m","messageID":"m","partId":"p","delta":""}"#, false),
        (r#"["m","p","text","delta"]"#, false),
        (r#"["m","p","text"]"#, false),
    ] {
        let kind = Kind::MessagePartDelta;
        assert_eq!(kind.check(text).is_ok(), kind.parse(text).is_ok(), "{text}");
        assert_eq!(kind.check(text).is_ok(), passes, "{text}");
    }
}
