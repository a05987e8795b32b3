//! What comes out of a coalescer folds as what went in; and it is fewer.

use std::{iter, sync::Arc};

use futures_util::{FutureExt, StreamExt, stream};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;
use crate::{
    client::Followed,
    clock::ManualClock,
    session::{
        projections::{Projections, tests::random},
        vocabulary::channel_of,
    },
};

type Given = (&'static str, Value);

fn event(offset: u64, timestamp: u64, kind: &str, data: &Value) -> Event {
    let channel = channel_of(kind).unwrap_or("other");
    let json = json!({
        "offset": offset,
        "id": format!("event-{offset}"),
        "channel": channel,
        "type": kind,
        "timestamp": timestamp,
        "data": data,
    });
    Event::read(json.to_string()).unwrap()
}

fn events(given: &[Given]) -> Vec<Event> {
    (1..).zip(given).map(|(offset, (kind, data))| event(offset, offset, kind, data)).collect()
}

fn fold_on<'a>(state: &mut Projections, events: impl IntoIterator<Item = &'a Event>) {
    events.into_iter().for_each(|event| event.fold_into(state));
}

/// A sign in a text that stands for a letter of its own each time, so that order shows.
const SIGN: &str = "_";

/// One of two, the first more often, so that things meet.
fn one_of_two() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0_u8), 1 => Just(1_u8)]
}

fn part() -> impl Strategy<Value = (String, String)> {
    (one_of_two(), one_of_two()).prop_map(|(m, p)| (format!("m{m}"), format!("p{p}")))
}

fn delta(fields: &'static [Option<&'static str>]) -> impl Strategy<Value = Given> {
    (part(), select(fields)).prop_map(|((m, p), field)| {
        ("message.part.delta", json!({"messageId": m, "partId": p, "field": field, "delta": SIGN}))
    })
}

fn update() -> impl Strategy<Value = Given> {
    let texts = select(vec![(SIGN, None), (SIGN, Some(SIGN)), ("", Some(SIGN)), ("", None)]);
    let kinds = select(vec!["text", "text", "reasoning"]);
    (part(), kinds, texts).prop_map(|((m, p), kind, (text, delta))| {
        let part = json!({"id": p, "type": kind, "text": text});
        ("message.part.updated", json!({"messageId": m, "part": part, "delta": delta}))
    })
}

fn tool() -> impl Strategy<Value = Given> {
    let status = select(vec!["pending", "running", "completed"]);
    let output = prop::option::of(Just(SIGN));
    (part(), status, one_of_two(), output, any::<bool>()).prop_map(
        |((m, p), status, call, output, has_detail)| {
            let detail = json!({"status": status, "output": output});
            let state = if has_detail { detail } else { json!(status) };
            let call = format!("c{call}");
            let part =
                json!({"id": p, "type": "tool", "tool": "sh", "state": state, "callId": call});
            ("message.part.updated", json!({"messageId": m, "part": part}))
        },
    )
}

fn chunk() -> impl Strategy<Value = Given> {
    let id =
        |letter: char| prop::option::of(one_of_two().prop_map(move |n| format!("{letter}{n}")));
    (id('a'), id('t'), id('m'), prop::option::of(0..9_u8)).prop_map(
        |(agent, turn, message, index)| {
            let data = json!({
                "agentId": agent, "turnId": turn, "messageId": message, "text": SIGN, "index": index,
            });
            ("chunk.appended", data)
        },
    )
}

fn status() -> impl Strategy<Value = Given> {
    let said = select(vec!["idle", "busy"]);
    said.prop_map(|status| ("session.status", json!({"status": status})))
}

/// What is said while an answer is written: some of all, or of what meets most.
fn said_often() -> impl Strategy<Value = Vec<Given>> {
    const TEXT: &[Option<&str>] = &[None, Some("text"), Some("reasoning")];
    const OUTPUT: &[Option<&str>] = &[Some("output"), Some("output"), None];
    let some = |one: BoxedStrategy<Given>| prop::collection::vec(one, 1..5);
    prop_oneof![
        some(prop_oneof![delta(TEXT), update(), tool(), chunk(), status()].boxed()),
        some(prop_oneof![2 => delta(OUTPUT), 3 => tool()].boxed()),
        some(prop_oneof![2 => delta(TEXT), 3 => chunk()].boxed()),
        some(status().boxed()),
    ]
}

/// What is said now and then, and may change what is there.
fn said_rarely() -> impl Strategy<Value = Given> {
    let some = random::events().prop_filter_map("some", |events| events.into_iter().next());
    let bare = select(vec!["session.created", "session.deleted", "session.ended", "made.up"])
        .prop_map(|kind| (kind, json!({})));
    let whole = (0..2_u8).prop_map(|m| {
        let message = json!({"messageId": format!("m{m}"), "role": "assistant", "turnId": "t0"});
        ("message.created", message)
    });
    let gone = (0..2_u8, 0..2_u8).prop_map(|(m, p)| {
        let data = json!({"messageId": format!("m{m}"), "partId": format!("p{p}")});
        ("message.part.removed", data)
    });
    let removed =
        (0..2_u8).prop_map(|m| ("message.removed", json!({"messageId": format!("m{m}")})));
    prop_oneof![2 => some, 2 => bare, 1 => whole, 1 => gone, 1 => removed]
}

/// A few things that are said again and again, in any order.
fn session() -> impl Strategy<Value = Vec<Given>> {
    let often = said_often();
    let rarely = prop::collection::vec(said_rarely(), 0..3);
    let order = prop::collection::vec(any::<prop::sample::Index>(), 1..32);
    (often, rarely, order).prop_map(|(often, rarely, order)| {
        // Each thing that is said often is there twice.
        let all: Vec<_> = often.iter().chain(&often).chain(&rarely).collect();
        let said = order.iter().zip(('a'..='z').cycle()).map(|(at, letter)| {
            let (kind, data) = all[at.index(all.len())];
            let text = data.to_string().replace("\"_\"", &format!("\"{letter}\""));
            (*kind, serde_json::from_str(&text).unwrap())
        });
        said.collect()
    })
}

/// What follows the events before `from`, with a flush now and then.
fn coalesced(events: &[Event], flushes: &[prop::sample::Index]) -> Vec<Event> {
    let mut coalescer = Coalescer::default();
    let flushes: Vec<_> = flushes.iter().map(|at| at.index(events.len().max(1))).collect();
    let mut out = Vec::new();
    for (number, event) in events.iter().enumerate() {
        coalescer.push(event.clone(), 0);
        if flushes.contains(&number) {
            out.extend(coalescer.flush(0));
        }
    }
    out.extend(coalescer.flush(0));
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_comes_out_folds_into_the_state_that_what_went_in_does(
        given in session(),
        jumps in prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(0..4_u64, 0..8)],
        from in prop_oneof![2 => 0..2_usize, 1 => 2..20_usize],
        flushes in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        // Times are those of writers, and now and then run backwards.
        let jumps = jumps.iter().copied().chain(iter::once(0)).cycle();
        let all: Vec<_> = (1..).zip(&given).zip(jumps)
            .map(|((offset, (kind, data)), jump)| event(offset, offset + jump, kind, data))
            .collect();
        let from = from.min(all.len());
        let mut whole = Projections::default();
        fold_on(&mut whole, &all[..from]);
        let mut fewer = whole.clone();
        let out = coalesced(&all[from..], &flushes);
        fold_on(&mut whole, &all[from..]);
        fold_on(&mut fewer, &out);
        prop_assert_eq!(&fewer, &whole);
        prop_assert_eq!(fewer.hash(), whole.hash());
        let offsets: Vec<_> = out.iter().map(Event::offset).collect();
        prop_assert!(offsets.is_sorted_by(|one, two| one < two));
        // Twice is as good as once.
        let mut again = Projections::default();
        fold_on(&mut again, &all[..from]);
        fold_on(&mut again, &coalesced(&out, &flushes));
        prop_assert_eq!(again, whole);
    }
}

fn shown(given: &[Given]) -> String {
    let line = |event: &Event| {
        format!("{} {}x {} {}", event.offset(), event.pieces(), event.kind(), event.data())
    };
    coalesced(&events(given), &[]).iter().map(line).collect::<Vec<_>>().join("\n")
}

fn piece(part: &str, text: &str) -> Given {
    ("message.part.delta", json!({"messageId": "m", "partId": part, "delta": text, "x": 1}))
}

fn whole(part: &str, text: &str) -> Given {
    let part = json!({"id": part, "type": "text", "text": text});
    ("message.part.updated", json!({"messageId": "m", "part": part}))
}

#[test]
fn deltas_of_each_part_are_joined_behind_the_first() {
    insta::assert_snapshot!(shown(&[
        ("turn.started", json!({"turnId": "t", "messageId": "m"})),
        piece("p", "a"),
        piece("q", "1"),
        piece("p", "b"),
        ("todo.updated", json!({"todos": []})),
        piece("q", "2"),
        piece("p", "\"c\n"),
        piece("p", "d"),
        piece("q", "3"),
    ]), @r#"
    1 1x turn.started {"messageId":"m","turnId":"t"}
    2 1x message.part.delta {"delta":"a","messageId":"m","partId":"p","x":1}
    3 1x message.part.delta {"delta":"1","messageId":"m","partId":"q","x":1}
    5 1x todo.updated {"todos":[]}
    8 3x message.part.delta {"delta":"b\"c\nd","messageId":"m","partId":"p","x":1}
    9 2x message.part.delta {"delta":"23","messageId":"m","partId":"q","x":1}
    "#);
}

#[test]
fn pieces_of_two_agents_are_joined_each_for_itself() {
    let chunk = |agent: &str, index: u64, text: &str| {
        ("chunk.appended", json!({"agentId": agent, "index": index, "text": text}))
    };
    insta::assert_snapshot!(shown(&[
        ("session.ready", json!({})),
        chunk("a", 0, "x"),
        chunk("b", 0, "1"),
        chunk("a", 1, "y"),
        chunk("b", 1, "2"),
        chunk("a", 2, "z"),
        chunk("b", 2, "3"),
    ]), @r#"
    1 1x session.ready {}
    2 1x chunk.appended {"agentId":"a","index":0,"text":"x"}
    3 1x chunk.appended {"agentId":"b","index":0,"text":"1"}
    6 2x chunk.appended {"agentId":"a","index":2,"text":"yz"}
    7 2x chunk.appended {"agentId":"b","index":2,"text":"23"}
    "#);
}

#[test]
fn the_newest_status_and_the_newest_update_of_a_part_are_left() {
    let status = |status: &str| ("session.status", json!({"status": status}));
    insta::assert_snapshot!(shown(&[
        ("session.created", json!({})),
        status("busy"),
        whole("p", "a"),
        whole("p", "ab"),
        ("turn.started", json!({"turnId": "t"})),
        status("busy"),
        whole("p", "abc"),
        whole("q", "1"),
        whole("p", "abcd"),
        whole("p", "abcde"),
        status("idle"),
    ]), @r#"
    1 1x session.created {}
    3 1x message.part.updated {"messageId":"m","part":{"id":"p","text":"a","type":"text"}}
    4 1x message.part.updated {"messageId":"m","part":{"id":"p","text":"ab","type":"text"}}
    5 1x turn.started {"turnId":"t"}
    7 1x message.part.updated {"messageId":"m","part":{"id":"p","text":"abc","type":"text"}}
    8 1x message.part.updated {"messageId":"m","part":{"id":"q","text":"1","type":"text"}}
    10 1x message.part.updated {"messageId":"m","part":{"id":"p","text":"abcde","type":"text"}}
    11 1x session.status {"status":"idle"}
    "#);
}

#[test]
fn an_update_of_a_call_that_says_less_replaces_nothing() {
    let tool = |state: Value| {
        let part = json!({"id": "p", "type": "tool", "tool": "sh", "state": state});
        ("message.part.updated", json!({"messageId": "m", "part": part}))
    };
    let given = [
        whole("q", "first"),
        tool(json!("pending")),
        tool(json!({"status": "running", "input": {"n": 1}})),
        tool(json!({"status": "running", "input": {"n": 1}, "title": "x"})),
        tool(json!({"status": "completed", "output": "y"})),
    ];
    let out = coalesced(&events(&given), &[]);
    assert_eq!(out.iter().map(Event::offset).collect::<Vec<_>>(), [1, 2, 4, 5]);
}

#[test]
fn output_is_not_joined_across_another_part_that_takes_the_call_over() {
    let tool = |part: &str| {
        let part =
            json!({"id": part, "type": "tool", "tool": "sh", "state": "running", "callId": "c"});
        ("message.part.updated", json!({"messageId": "m", "part": part}))
    };
    let grows = |text: &str| {
        let data = json!({"messageId": "m", "partId": "p", "field": "output", "delta": text});
        ("message.part.delta", data)
    };
    let given = [
        tool("p"),
        // From here on; the coalescer has not seen that the part shows a call.
        ("made.up", json!({})),
        grows("a"),
        grows("b"),
        tool("q"),
        grows("c"),
    ];
    let all = events(&given);
    let (mut whole, mut fewer) = (Projections::default(), Projections::default());
    fold_on(&mut whole, &all);
    fold_on(&mut fewer, &all[..1]);
    fold_on(&mut fewer, &coalesced(&all[1..], &[]));
    assert_eq!(fewer, whole);
    let call = whole.tool_calls.list().last().unwrap();
    assert_eq!(call.output, Some(json!("ab")));
}

#[test]
fn it_flushes_at_once_and_then_at_most_once_in_its_time() {
    let all = events(&vec![piece("p", "x"); 10]);
    let mut coalescer = Coalescer::default();
    let mut flushed = Vec::new();
    for (now, event) in (1_000..).step_by(5).zip(all) {
        coalescer.push(event, now);
        let out = coalescer.flush_due(now);
        flushed.extend((!out.is_empty()).then_some((now, out.len())));
    }
    assert_eq!(flushed, [(1_000, 1), (1_020, 2), (1_040, 1)]);
    assert_eq!(coalescer.due_ms(), Some(1_056));
    assert!(coalescer.flush_due(1_055).is_empty());
    assert_eq!(coalescer.flush_due(1_056).len(), 1);
    assert_eq!(coalescer.due_ms(), None);
    coalescer.push(event(11, 1, "x", &Value::Null), 3);
    assert_eq!(coalescer.due_ms(), Some(19), "a clock that was set back");
}

#[test]
fn more_than_it_holds_back_is_flushed_early() {
    let mut coalescer = Coalescer::default();
    coalescer.push(event(1, 1, "x", &Value::Null), 0);
    coalescer.flush(0);
    for offset in 0..EVENTS_MAX as u64 {
        assert_eq!(coalescer.flush_due(1).len(), 0);
        coalescer.push(event(offset + 2, 1, "x", &Value::Null), 1);
    }
    assert_eq!(coalescer.flush_due(1).len(), EVENTS_MAX);
    coalescer.push(event(2_000, 1, "x", &json!("x".repeat(BYTES_MAX))), 1);
    assert_eq!(coalescer.flush_due(1).len(), 1);
}

#[tokio::test]
async fn what_is_no_event_comes_with_what_waits() {
    let clock = ManualClock::at(0);
    let given = [piece("p", "a"), piece("p", "b"), piece("p", "c"), piece("p", "d")];
    let mut given = events(&given).into_iter().map(Followed::Event);
    let (first, second) = (given.next().unwrap(), given.next().unwrap());
    let told = Followed::CaughtUp { offset: 2, epoch: None };
    let rest = stream::iter([first, second, told].into_iter().chain(given));
    let mut batches = Coalesced::new(rest.chain(stream::pending()), Arc::clone(&clock) as _);
    let offsets = |batch: Vec<Followed>| {
        let offset = |followed: &Followed| match followed {
            Followed::Event(event) => event.offset(),
            _ => 0,
        };
        batch.iter().map(offset).collect::<Vec<_>>()
    };
    assert_eq!(offsets(batches.next().await.unwrap()), [1]);
    assert_eq!(offsets(batches.next().await.unwrap()), [2, 0]);
    assert!(batches.next().now_or_never().is_none());
    clock.advance(Duration::from_millis(15));
    assert!(batches.next().now_or_never().is_none());
    clock.advance(Duration::from_millis(1));
    assert_eq!(offsets(batches.next().await.unwrap()), [4]);
}
