//! The envelope, field by field.

use super::*;
use crate::session::EventBatch;

const NOW_MS: u64 = 1_795_200_000_000;

fn push(text: &str, rules: Rules) -> Result<(String, EventId), EventError> {
    let ids = Ids::counting();
    let mut batch = EventBatch::default();
    batch.push(text.as_bytes(), rules, &Maker { ids: &ids, now_ms: NOW_MS })?;
    let (ids, records) = batch.finish();
    Ok((String::from_utf8(records[0].payload.to_vec()).unwrap(), ids[0].clone()))
}

fn stored(text: &str, rules: Rules) -> String {
    push(text, rules).unwrap().0
}

fn refused(text: &str, rules: Rules) -> String {
    push(text, rules).unwrap_err().to_string()
}

#[test]
fn what_a_client_leaves_out_is_put_in() {
    assert_eq!(
        stored(r#"{"channel":"todo"}"#, Rules::Event),
        r#"{"id":"01M7YXE400000000000000000","channel":"todo","type":"todo","timestamp":1795200000000,"data":null}"#
            .replace("01M7YXE400000000000000000", &Ids::counting().next(NOW_MS)),
    );
}

#[test]
fn values_and_unknown_fields_are_kept_as_they_came() {
    let text = r#" { "x\u0041" : [1.0, 1e2] , "data":{ "b" : "\u00e9" },"actor":{"kind":"user"},
        "offset":9,"timestamp":5,"type":"a.b","channel":"c","id":"i","y":null} "#;
    assert_eq!(
        stored(text, Rules::Event),
        r#"{"id":"i","channel":"c","type":"a.b","timestamp":5,"data":{ "b" : "\u00e9" },"actor":{"kind":"user"},"x\u0041":[1.0, 1e2],"y":null}"#,
    );
}

#[test]
fn the_type_is_the_one_of_the_data_where_none_is_given() {
    let kind = |text: &str| {
        let event: serde_json::Value = serde_json::from_str(&stored(text, Rules::Event)).unwrap();
        event["type"].as_str().unwrap().to_owned()
    };
    assert_eq!(kind(r#"{"channel":"c","data":{"type":"d.e"}}"#), "d.e");
    assert_eq!(kind(r#"{"channel":"c","type":"t","data":{"type":"d.e"}}"#), "t");
    assert_eq!(kind(r#"{"channel":"c","data":{"type":""}}"#), "c");
    assert_eq!(kind(r#"{"channel":"c","data":{"type":7}}"#), "c");
    assert_eq!(kind(r#"{"channel":"c","data":"text"}"#), "c");
}

#[test]
fn a_message_gets_id_and_timestamp_into_its_data_where_they_are_missing() {
    let ulid = Ids::counting().next(NOW_MS);
    for (given, data) in [
        ("{}", format!(r#"{{"id":"{ulid}","timestamp":{NOW_MS}}}"#)),
        ("{ }", format!(r#"{{"id":"{ulid}","timestamp":{NOW_MS} }}"#)),
        (r#"{"a":1}"#, format!(r#"{{"id":"{ulid}","timestamp":{NOW_MS},"a":1}}"#)),
        (r#"{"timestamp":4}"#, format!(r#"{{"id":"{ulid}","timestamp":4}}"#)),
        (r#"{"id":"m"}"#, format!(r#"{{"timestamp":{NOW_MS},"id":"m"}}"#)),
        (r#"{"id":"m","timestamp":"x"}"#, r#"{"id":"m","timestamp":"x"}"#.to_owned()),
    ] {
        let event = stored(&format!(r#"{{"channel":"c","data":{given}}}"#), Rules::Message);
        assert!(event.ends_with(&format!(r#""data":{data}}}"#)), "{given} became {event}");
    }
}

#[test]
fn a_message_takes_its_own_id_before_that_of_its_data() {
    let (_, id) = push(r#"{"channel":"c","data":{"id":"d"}}"#, Rules::Message).unwrap();
    assert_eq!((&*id.text, id.given), ("d", true));
    let (event, id) =
        push(r#"{"channel":"c","id":"e\u0041","data":{"timestamp":3}}"#, Rules::Message).unwrap();
    assert_eq!((&*id.text, id.given), ("eA", true));
    assert_eq!(
        event,
        r#"{"id":"e\u0041","channel":"c","type":"c","timestamp":3,"data":{"id":"e\u0041","timestamp":3}}"#
    );
    let (_, id) = push(r#"{"channel":"c","data":{"id":7}}"#, Rules::Message).unwrap();
    assert!(!id.given);
    let (_, id) = push(r#"{"channel":"c","data":{"id":"d"}}"#, Rules::Event).unwrap();
    assert!(!id.given, "only messages look there");
}

#[test]
fn a_wrong_field_is_named() {
    for (text, message) in [
        ("[]", "an event is a JSON object, such as {\"channel\":\"message\",\"data\":{}}"),
        ("{}", "`channel` is missing; it says what kind of event it is"),
        (r#"{"channel":null}"#, "`channel` is missing; it says what kind of event it is"),
        (r#"{"channel":""}"#, "`channel` must not be empty"),
        (r#"{"channel":7}"#, "`channel` must be a text"),
        (r#"{"channel":"a\u0000"}"#, "`channel` must not have control characters"),
        (r#"{"channel":"a","channel":"b"}"#, "`channel` is given twice"),
        (r#"{"channel":"a","\u0063hannel":"b"}"#, "`channel` is given twice"),
        (r#"{"channel":"a","type":{}}"#, "`type` must be a text"),
        (r#"{"channel":"a","id":""}"#, "`id` must not be empty"),
        (
            r#"{"channel":"a","actor":"me"}"#,
            "`actor` must be an object, such as {\"kind\":\"user\",\"id\":\"u1\"}",
        ),
    ] {
        assert_eq!(refused(text, Rules::Event), message, "{text}");
    }
    for timestamp in ["-1", "1.5", "1e3", "\"1\"", "9007199254740992"] {
        let text = format!(r#"{{"channel":"a","timestamp":{timestamp}}}"#);
        assert!(
            refused(&text, Rules::Event).starts_with("`timestamp` must be Unix milliseconds"),
            "{text}"
        );
    }
    let long = format!(r#"{{"channel":"a","id":"{}"}}"#, "x".repeat(129));
    assert_eq!(refused(&long, Rules::Event), "`id` must have at most 128 bytes");
    assert_eq!(refused(r#"{"channel":"a"}"#, Rules::Message), "`data` is missing");
    assert_eq!(refused(r#"{"channel":"a","data":[]}"#, Rules::Message), "`data` must be an object");
}

#[test]
fn what_breaks_readers_is_refused() {
    let deep = format!(r#"{{"channel":"a","data":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(refused(&deep, Rules::Event), "nested deeper than 100 levels");
    assert!(refused(r#"{"channel":"a","data":"\ud800"}"#, Rules::Event).contains("line 1"));
    let ids = Ids::counting();
    let mut batch = EventBatch::default();
    let maker = Maker { ids: &ids, now_ms: 0 };
    assert!(batch.push(b"{\"channel\":\"\xff\"}", Rules::Event, &maker).is_err());
    assert!(batch.is_empty() && batch.bytes() == 0);
}
