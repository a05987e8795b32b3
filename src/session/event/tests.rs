//! The envelope, field by field.

use super::*;
use crate::session::EventBatch;

const NOW_MS: u64 = 1_795_200_000_000;

fn push(text: &str, rules: Rules) -> Result<(String, EventId), EventError> {
    let ids = Ids::counting();
    let mut batch = EventBatch::default();
    batch.push(text.as_bytes(), rules, &Maker { ids: &ids, now_ms: NOW_MS, actor: None })?;
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
        stored(r#"{"channel":"todo"}"#, Rules::EVENT),
        r#"{"id":"01M7YXE400000000000000000","channel":"todo","type":"todo","timestamp":1795200000000,"data":null}"#
            .replace("01M7YXE400000000000000000", &Ids::counting().next(NOW_MS)),
    );
}

#[test]
fn values_and_unknown_fields_are_kept_as_they_came() {
    let text = r#" { "x\u0041" : [1.0, 1e2] , "data":{ "b" : "\u00e9" },"actor":{"kind":"user"},
        "offset":9,"timestamp":5,"type":"a.b","channel":"c","id":"i","y":null} "#;
    assert_eq!(
        stored(text, Rules::EVENT),
        r#"{"id":"i","channel":"c","type":"a.b","timestamp":5,"data":{ "b" : "\u00e9" },"actor":{"kind":"user"},"x\u0041":[1.0, 1e2],"y":null}"#,
    );
}

#[test]
fn the_type_is_the_one_of_the_data_where_none_is_given() {
    let kind = |text: &str| {
        let event: serde_json::Value = serde_json::from_str(&stored(text, Rules::EVENT)).unwrap();
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
        let event = stored(&format!(r#"{{"channel":"c","data":{given}}}"#), Rules::MESSAGE);
        assert!(event.ends_with(&format!(r#""data":{data}}}"#)), "{given} became {event}");
    }
}

#[test]
fn a_message_takes_its_own_id_before_that_of_its_data() {
    let (_, id) = push(r#"{"channel":"c","data":{"id":"d"}}"#, Rules::MESSAGE).unwrap();
    assert_eq!((&*id.text, id.given), ("d", true));
    let (event, id) =
        push(r#"{"channel":"c","id":"e\u0041","data":{"timestamp":3}}"#, Rules::MESSAGE).unwrap();
    assert_eq!((&*id.text, id.given), ("eA", true));
    assert_eq!(
        event,
        r#"{"id":"e\u0041","channel":"c","type":"c","timestamp":3,"data":{"id":"e\u0041","timestamp":3}}"#
    );
    let (_, id) = push(r#"{"channel":"c","data":{"id":7}}"#, Rules::MESSAGE).unwrap();
    assert!(!id.given);
    let (_, id) = push(r#"{"channel":"c","data":{"id":"d"}}"#, Rules::EVENT).unwrap();
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
        assert_eq!(refused(text, Rules::EVENT), message, "{text}");
    }
    for timestamp in ["-1", "1.5", "1e3", "\"1\"", "9007199254740992"] {
        let text = format!(r#"{{"channel":"a","timestamp":{timestamp}}}"#);
        assert!(
            refused(&text, Rules::EVENT).starts_with("`timestamp` must be Unix milliseconds"),
            "{text}"
        );
    }
    let long = format!(r#"{{"channel":"a","id":"{}"}}"#, "x".repeat(129));
    assert_eq!(refused(&long, Rules::EVENT), "`id` must have at most 128 bytes");
    assert_eq!(refused(r#"{"channel":"a"}"#, Rules::MESSAGE), "`data` is missing");
    assert_eq!(refused(r#"{"channel":"a","data":[]}"#, Rules::MESSAGE), "`data` must be an object");
}

#[test]
fn what_breaks_readers_is_refused() {
    let deep = format!(r#"{{"channel":"a","data":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(refused(&deep, Rules::EVENT), "nested deeper than 100 levels");
    assert!(refused(r#"{"channel":"a","data":"\ud800"}"#, Rules::EVENT).contains("line 1"));
    let ids = Ids::counting();
    let mut batch = EventBatch::default();
    let maker = Maker { ids: &ids, now_ms: 0, actor: None };
    assert!(batch.push(b"{\"channel\":\"\xff\"}", Rules::EVENT, &maker).is_err());
    assert!(batch.is_empty() && batch.bytes() == 0);
}

#[test]
fn the_channel_is_the_one_of_the_type_where_none_is_given() {
    assert!(
        stored(r#"{"type":"worker.online","data":{"workerId":"w"}}"#, Rules::EVENT)
            .contains(r#","channel":"app","type":"worker.online","#)
    );
    let part = r#"{"part":{ "id":"p","messageID":"m","type":"text","text":"\u0041"},"delta":"b"}"#;
    let event = stored(
        &format!(
            r#"{{"id":"i","timestamp":5,"x":1,"type":"message.part.updated","properties":{part}}}"#
        ),
        Rules::EVENT,
    );
    let expected =
        r#"{"id":"i","channel":"message","type":"message.part.updated","timestamp":5,"data":"#;
    assert_eq!(event, format!(r#"{expected}{part},"x":1}}"#));
    // Of an unknown type too, as long as its first segment is known.
    assert!(
        stored(r#"{"type":"session.idle","properties":{}}"#, Rules::EVENT)
            .contains(r#""channel":"session""#)
    );
    for kind in ["server.connected", "message", "x", ""] {
        let text = format!(r#"{{"type":"{kind}","properties":{{}}}}"#);
        assert!(refused(&text, Rules::EVENT).starts_with("`channel` is missing"), "{kind}");
    }
}

#[test]
fn properties_are_an_unknown_field_where_a_channel_or_data_is_given() {
    for text in [
        r#"{"channel":"x","type":"t","properties":{"a":1}}"#,
        r#"{"type":"app.x","data":null,"properties":{"a":1},"channel":"x"}"#,
        r#"{"type":"app.x","data":{},"properties":{"a":1}}"#,
    ] {
        assert!(stored(text, Rules::EVENT).ends_with(r#","properties":{"a":1}}"#), "{text}");
    }
}

#[test]
fn a_known_type_with_wrong_data_is_refused_unless_told_otherwise() {
    let wrong = r#"{"channel":"terminal","type":"terminal.\u006futput","data":{"data":7}}"#;
    assert_eq!(refused(wrong, Rules::EVENT), "`data.data` must be a text, not integer `7`");
    let unchecked = Rules { validate: false, ..Rules::EVENT };
    assert!(stored(wrong, unchecked).ends_with(r#""data":{"data":7}}"#));
    // The type may be that of the data.
    let within = r#"{"channel":"c","data":{"type":"turn.started"}}"#;
    assert_eq!(refused(within, Rules::EVENT), "`data.turnId` is missing");
}

#[test]
fn a_message_is_checked_with_the_id_that_was_filled_in() {
    let created = r#"{"channel":"message","type":"message.created","data":{"role":"user"}}"#;
    assert!(refused(created, Rules::EVENT).starts_with("`data.messageId` is missing"));
    let (event, id) = push(created, Rules::MESSAGE).unwrap();
    assert!(event.contains(&format!(r#""data":{{"id":"{}","#, id.text)));
}

#[test]
fn a_copy_is_the_bytes_that_came_whatever_is_in_them() {
    let copy = Rules { form: Form::Verbatim, validate: true };
    for text in [
        r#"{"type":"terminal.output", "channel":"c" ,"id":"i","data":{"data":7}}"#,
        r#"{"id":"i","id":"i"}"#,
    ] {
        let (stored, id) = push(&format!(" {text}\r"), copy).unwrap();
        assert_eq!((stored.as_str(), &*id.text, id.given), (text, "i", true));
    }
    let (_, id) = push(r#"{"id":7}"#, copy).unwrap();
    assert!(!id.given, "what has no text for an id cannot come again");
    assert_eq!(refused("[1]", copy), EventError::NotAnObject.to_string());
    assert!(push("{", copy).is_err());
}

#[test]
fn the_holder_of_a_token_stands_over_whom_the_writer_named() {
    let ids = Ids::counting();
    let actor = Some(r#"{"kind":"user","id":"ann"}"#);
    let maker = Maker { ids: &ids, now_ms: 5, actor };
    let write = |text: &str, rules| {
        let mut batch = EventBatch::default();
        batch.push(text.as_bytes(), rules, &maker)?;
        Ok::<_, EventError>(String::from_utf8(batch.finish().1[0].payload.to_vec()).unwrap())
    };
    for text in [
        r#"{"id":"i","channel":"c","timestamp":5,"actor":{"kind":"user","id":"bob"}}"#,
        r#"{"id":"i","channel":"c","timestamp":5,"\u0061ctor":{"id":"bob"}}"#,
        r#"{"id":"i","channel":"c","timestamp":5}"#,
    ] {
        let expected = r#"{"id":"i","channel":"c","type":"c","timestamp":5,"data":null,"actor":{"kind":"user","id":"ann"}}"#;
        assert_eq!(write(text, Rules::EVENT).unwrap(), expected);
    }
    assert!(write(r#"{"channel":"c","actor":"bob"}"#, Rules::EVENT).is_err());
}
