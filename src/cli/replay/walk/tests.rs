//! A walk against a server of a few lines: whatever way it takes, the state beside an event is
//! that of every event up to it.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::client::Client;

const EVENTS: u64 = 5_000;

/// The to-do changes with every hundredth event only.
fn event(offset: u64) -> Event {
    let (kind, data) = if offset.is_multiple_of(100) {
        let todo = json!({"id": "1", "text": format!("do {offset}"), "status": "pending"});
        ("todo.updated", json!({"todos": [todo]}))
    } else {
        ("presence.heartbeat", json!({"userId": "u"}))
    };
    let json = json!({
        "offset": offset, "id": format!("e{offset}"), "channel": "c", "type": kind,
        "timestamp": 1_000 + offset, "data": data,
    });
    Event::read(json.to_string()).unwrap()
}

fn state(offset: u64) -> Projections {
    let mut state = Projections::default();
    (1..=offset).for_each(|offset| event(offset).fold_into(&mut state));
    state
}

/// What a server answers; states before `kept` it no longer has.
fn answer(target: &str, kept: u64) -> (u16, String) {
    let number = |name: &str| {
        let (_, rest) = target.split_once(name)?;
        rest.split('&').next()?.parse::<u64>().ok()
    };
    if let Some(at) = number("at=") {
        if at < kept {
            let problem = json!({
                "type": "x", "title": "x", "status": 410, "code": "offset_trimmed",
                "message": "gone", "retryable": false,
            });
            return (410, problem.to_string());
        }
        let state = state(at);
        let all =
            Projections::names().iter().map(|name| ((*name).to_owned(), state.json(name).unwrap()));
        let all: serde_json::Map<_, _> = all.collect();
        return (200, json!({"offset": at, "projections": all}).to_string());
    }
    let from = number("fromOffset=").unwrap();
    let until = EVENTS.min(from + number("limit=").unwrap());
    let events: Vec<String> = (from + 1..=until)
        .map(|offset| String::from_utf8(event(offset).json().to_vec()).unwrap())
        .collect();
    let (events, more) = (events.join(","), until < EVENTS);
    let page = format!(
        r#"{{"events":[{events}],"nextOffset":{until},"tail":{EVENTS},"earliest":1,"hasMore":{more}}}"#
    );
    (200, page)
}

/// Runs a walk from an offset on against such a server, and says what was asked for.
async fn walked<T>(
    names: &[&'static str],
    from: u64,
    kept: u64,
    way: impl AsyncFnOnce(&mut Walk) -> T,
) -> (T, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let session = Client::new(&url).unwrap().session("a");
    let mut walk = Walk::new(session, names.to_vec(), state(from), EVENTS);
    let mut asked = Vec::new();
    let serve = async {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                socket.read_buf(&mut request).await.unwrap();
            }
            let target = String::from_utf8(request).unwrap();
            let target = target.split(' ').nth(1).unwrap().to_owned();
            let (status, body) = answer(&target, kept);
            asked.push(target);
            let head = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            socket.write_all((head + &body).as_bytes()).await.unwrap();
        }
    };
    let done = tokio::select! {
        () = serve => unreachable!("it serves for ever"),
        done = way(&mut walk) => done,
    };
    (done, asked)
}

/// The step at an offset is the one that a fold of everything gives.
fn is_right(step: &Step, names: &[&'static str]) {
    let offset = step.event.offset();
    let look = |offset| Look::at(&state(offset), names);
    assert_eq!(step.event, event(offset));
    assert_eq!(step.changes, look(offset).since(&look(offset - 1), names), "{offset}");
}

#[tokio::test]
async fn whatever_way_is_taken_the_state_is_that_of_every_event() {
    let names = Projections::names();
    let (ends, asked) = walked(names, 0, 0, async |walk| {
        for offset in [1, 2, 64, 65, 63, 1, 3_000, 2_999, 2_500, 2_499, 4_999, 5_000, 100, 99] {
            is_right(&walk.step(offset).await.unwrap().unwrap(), names);
        }
        let mut at = 4_700;
        for _ in 0..600 {
            let step = walk.back(at).await.unwrap().unwrap();
            assert_eq!(step.event.offset(), at - 1);
            at -= 1;
        }
        is_right(&walk.next(at).await.unwrap().unwrap(), names);
        [
            walk.step(5_001).await.unwrap().is_none(),
            walk.next(5_000).await.unwrap().is_none(),
            walk.back(1).await.unwrap().is_none(),
            walk.step(0).await.unwrap().is_none(),
        ]
    })
    .await;
    assert_eq!(ends, [true; 4]);
    // Far jumps take a state of the server's; 600 steps back take few requests.
    assert!(asked.iter().any(|target| target.contains("/state?at=")), "{asked:?}");
    assert!(asked.len() < 40, "{} requests: {asked:?}", asked.len());
}

#[tokio::test]
async fn with_one_projection_only_what_changes_it_is_stopped_at() {
    let names = ["todo"];
    let (offsets, _) = walked(&names, 0, 0, async |walk| {
        let mut offsets = Vec::new();
        let mut at = 1_950;
        for _ in 0..2 {
            let step = walk.next(at).await.unwrap().unwrap();
            is_right(&step, &names);
            at = step.event.offset();
            offsets.push(at);
        }
        while let Some(step) = walk.back(at).await.unwrap() {
            is_right(&step, &names);
            at = step.event.offset();
            offsets.push(at);
        }
        offsets
    })
    .await;
    let back = (1..=20).rev().map(|hundred| hundred * 100);
    assert_eq!(offsets, [2_000, 2_100].into_iter().chain(back).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_server_without_the_state_is_no_hindrance() {
    let names = ["todo", "presence"];
    let ((), asked) = walked(&names, 40, u64::MAX, async |walk| {
        for offset in [3_000, 41, 3_001] {
            is_right(&walk.step(offset).await.unwrap().unwrap(), &names);
        }
        assert!(walk.step(40).await.unwrap().is_none());
    })
    .await;
    assert!(asked.iter().any(|target| target.contains("/state?at=")));
}
