//! The bundle: what is written is taken, and nothing else is.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{check::BundleError, write::WriteError, *};

fn header(earliest: u64, tail: u64) -> Header {
    let header = Header::new("sessions/a", "00000000000000ab", "application/json");
    Header { earliest, tail, exported_at: 1_795_200_000_000, ..header }
}

fn bundle(earliest: u64, payloads: &[String]) -> String {
    let mut out = Vec::new();
    let header = header(earliest, earliest + payloads.len() as u64 - 1);
    let mut writer = Writer::begin(&header, &mut out);
    for (offset, payload) in (earliest..).zip(payloads) {
        let shown = format!("{{\"offset\":{offset},{}", &payload[1..]);
        writer.event(&shown, &mut out).unwrap();
    }
    writer.end(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn events(count: u64) -> Vec<String> {
    let event =
        |n| format!(r#"{{"id":"e{n}","channel":"c","type":"t","timestamp":{n},"data":{n}}}"#);
    (0..count).map(event).collect()
}

/// The events of a bundle, or what is wrong with it.
fn check(text: &[u8]) -> Result<(Header, Vec<String>), BundleError> {
    let mut checker = Checker::default();
    let mut events = Vec::new();
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n');
    for line in lines.filter(|_| !text.is_empty()) {
        if let Some(record) = checker.line(line)? {
            events.push(record.event.to_owned());
        }
    }
    Ok((checker.end()?, events))
}

fn refused(text: &str) -> String {
    check(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_bundle_is_a_header_records_and_a_seal() {
    assert_snapshot!(bundle(7, &events(2)), @r#"
    {"scrollback":"bundle","version":1,"stream":"sessions/a","epoch":"00000000000000ab","contentType":"application/json","earliest":7,"tail":8,"exportedAt":1795200000000}
    {"offset":7,"id":"e0","timestamp":0,"event":{"id":"e0","channel":"c","type":"t","timestamp":0,"data":0},"hash":"36f212f2d8e91321d0005d886c24b9c802baa7d64c1a8eb9fa98d165dd70fdb9"}
    {"offset":8,"id":"e1","timestamp":1,"event":{"id":"e1","channel":"c","type":"t","timestamp":1,"data":1},"hash":"7e5fe60f38380c7ff6bc3e301b81e1eed3f66793506de7d01a52263782db01e4"}
    {"records":2,"chain":"7e5fe60f38380c7ff6bc3e301b81e1eed3f66793506de7d01a52263782db01e4","seal":"0b4a5661ca66cd50ecaed82e735014756d0e90a97a4619f521b12653f3b586ec"}
    "#);
    assert_snapshot!(bundle(1, &[]), @r#"
    {"scrollback":"bundle","version":1,"stream":"sessions/a","epoch":"00000000000000ab","contentType":"application/json","earliest":1,"tail":0,"exportedAt":1795200000000}
    {"records":0,"chain":"0000000000000000000000000000000000000000000000000000000000000000","seal":"e404dae6fd73ea5db914b467c1d8065f52719e9988c68aa9f893dc77fc43de48"}
    "#);
}

#[test]
fn what_was_changed_is_named_by_line_and_offset() {
    let text = bundle(7, &events(3));
    let lines: Vec<&str> = text.lines().collect();
    let with = |order: &[usize]| {
        refused(&order.iter().map(|at| lines[*at]).collect::<Vec<_>>().join(
            "
",
        ))
    };
    let edited = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        refused(&text.replacen(from, to, 1))
    };
    assert_snapshot!(edited("\"data\":1", "\"data\":2"), @"line 3, offset 8, has been changed: its hash does not fit");
    assert_snapshot!(edited("\"id\":\"e1\",\"timestamp", "\"id\":\"e2\",\"timestamp"), @"line 3, offset 8, has been changed: its hash does not fit");
    assert_snapshot!(edited("sessions/a", "sessions/b"), @"line 1, the header, has been changed: the seal is of another one, or was changed itself");
    assert_snapshot!(edited("\"tail\":9", "\"tail\":10"), @"line 1, the header, has been changed: the seal is of another one, or was changed itself");
    assert_snapshot!(edited("\"records\":3", "\"records\":2"), @"line 5, the seal, does not fit the 3 records before it, the last at offset 9: lines are missing or changed");
    assert_snapshot!(edited("\"version\":1", "\"version\":2"), @"it is a bundle of version 2, and this program reads version 1: take another release");
    assert_snapshot!(with(&[0, 1, 3, 4]), @"line 3 has offset 9 where 8 is due: lines are missing, twice there or not in their order");
    assert_snapshot!(with(&[0, 2, 1, 3, 4]), @"line 2 has offset 8 where 7 is due: lines are missing, twice there or not in their order");
    assert_snapshot!(with(&[0, 1, 1, 2, 3, 4]), @"line 3 has offset 7 where 8 is due: lines are missing, twice there or not in their order");
    assert_snapshot!(with(&[0, 1, 2, 4]), @"line 4, the seal, does not fit the 2 records before it, the last at offset 8: lines are missing or changed");
    assert_snapshot!(with(&[0, 1, 2, 3]), @"it is cut off behind line 4, offset 9: the seal is missing");
    assert_snapshot!(with(&[0, 1, 2, 3, 4, 4]), @"line 6 stands behind the seal: it does not belong to the bundle");
    assert_snapshot!(with(&[1, 2, 3, 4]), @"it is no bundle: line 1 is not the header that `scrollback export` writes");
    assert_snapshot!(with(&[0, 0, 1, 2, 3, 4]), @"line 2 is not a line of a bundle: it has been changed or cut off");
    assert_snapshot!(refused(""), @"it is no bundle: line 1 is not the header that `scrollback export` writes");
}

#[test]
fn records_of_one_bundle_do_not_pass_for_those_of_another() {
    let (mine, other) = (bundle(1, &events(2)), bundle(1, &events(3)[1..]));
    let mut lines: Vec<&str> = mine.lines().collect();
    lines[1] = other.lines().nth(1).unwrap();
    assert_eq!(
        check(lines.join("\n").as_bytes()),
        Err(BundleError::Changed { line: 3, offset: 2 })
    );
}

#[test]
fn an_event_that_no_server_takes_is_refused_before_anything_is_written() {
    let padding = "x".repeat(limits::RECORD_BYTES_MAX);
    let large = format!(r#"{{"id":"a","channel":"c","type":"t","data":"{padding}"}}"#);
    let bytes = large.len();
    let refused = check(bundle(1, &[large]).as_bytes());
    assert_eq!(refused, Err(BundleError::TooLarge { line: 2, offset: 1, bytes }));
}

#[test]
fn events_that_are_not_those_of_the_stream_make_no_bundle() {
    let mut out = Vec::new();
    let mut writer = Writer::begin(&header(5, 5), &mut out);
    let missing = Err(WriteError::Missing { offset: 5, tail: 5 });
    assert_eq!(writer.event(r#"{"offset":6,"id":"a"}"#, &mut out), missing);
    assert_eq!(
        writer.event(r#"{"offset":5,"idea":"a"}"#, &mut out),
        Err(WriteError::NoEvent { offset: 5 })
    );
    assert_eq!(Writer::begin(&header(5, 5), &mut out).end(&mut out), missing);
    writer.event(r#"{"offset":5,"id":"a"}"#, &mut out).unwrap();
    let missing = Err(WriteError::Missing { offset: 6, tail: 5 });
    assert_eq!(writer.event(r#"{"offset":6,"id":"a"}"#, &mut out), missing);
}

#[test]
fn line_breaks_between_tokens_are_taken_out_and_nothing_else() {
    let shown = "{\"offset\":12,\"id\":\"a\",\r\n  \"data\":\"\\n\"}";
    assert_eq!(payload_of(shown, 12).unwrap(), r#"{"id":"a",  "data":"\n"}"#);
    assert_eq!(payload_of(shown, 1), None);
}

/// Events as they may be: any text, spaces between tokens, a field more.
fn event() -> impl Strategy<Value = String> {
    (any::<String>(), any::<u64>(), " {0,3}", any::<Option<u64>>()).prop_map(
        |(text, number, space, timestamp)| {
            let (text, timestamp) = (serde_json::json!(text), serde_json::json!(timestamp));
            format!("{{\"id\":\"i{number}\",{space}\"timestamp\":{timestamp},\"channel\":\"c\",\"type\":\"t\",\"data\":{{\"hash\":{text}{space}}}}}")
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(payloads in prop::collection::vec(event(), 0..8), first in 1_u64..99) {
        let (header, events) = check(bundle(first, &payloads).as_bytes()).unwrap();
        prop_assert_eq!((header.earliest, header.records()), (first, payloads.len() as u64));
        prop_assert_eq!(events, payloads);
    }

    #[test]
    fn any_byte_that_differs_is_noticed(
        payloads in prop::collection::vec(event(), 0..5), at in any::<prop::sample::Index>(), flip in 1_u8..,
    ) {
        let mut text = bundle(3, &payloads).into_bytes();
        // Whether the last line is ended is the one thing that is not asked.
        let at = at.index(text.len() - 1);
        text[at] ^= flip;
        prop_assert!(check(&text).is_err(), "byte {}", at);
    }

    #[test]
    fn a_bundle_that_is_cut_anywhere_is_refused(
        payloads in prop::collection::vec(event(), 0..5), at in any::<prop::sample::Index>(),
    ) {
        let text = bundle(3, &payloads);
        let at = at.index(text.len() - 1);
        prop_assert!(check(&text.as_bytes()[..at]).is_err(), "cut at {}", at);
    }

    #[test]
    fn lines_that_are_dropped_or_moved_are_noticed(
        payloads in prop::collection::vec(event(), 1..8),
        (from, to) in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let text = bundle(3, &payloads);
        let mut lines: Vec<&str> = text.lines().collect();
        let (from, to) = (from.index(lines.len()), to.index(lines.len()));
        let line = lines.remove(from);
        prop_assert!(check(lines.join("\n").as_bytes()).is_err(), "without line {}", from + 1);
        lines.insert(to, line);
        prop_assert_eq!(check(lines.join("\n").as_bytes()).is_err(), from != to);
    }

    #[test]
    fn rubbish_is_refused_and_never_panics(text in any::<Vec<u8>>()) {
        prop_assert!(check(&text).is_err());
    }
}
