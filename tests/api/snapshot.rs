//! `GET /api/sessions/{id}/stream?snapshot=true`: the state, then everything after it.

use insta::assert_snapshot;
use scrollback::{limits, log::StreamPath};
use serde_json::Value;
use tokio::task::yield_now;

use crate::{
    state::lines_of,
    util::{Live, TestApp},
};

const URI: &str = "/api/sessions/s/stream?snapshot=true";

#[tokio::test]
async fn a_reader_gets_the_state_and_then_what_comes_after_it() {
    let app = TestApp::new();
    app.fill(2).await;
    let mut live = app.follow(&format!("{URI}&projections=presence,todo")).await;
    assert_snapshot!(live.frames(2).await, @r#"
    2 [snapshot] {"offset":2,"projections":{"presence":[],"todo":{"todos":[],"updatedAt":0,"updatedOffset":0}}}
    2 [caught-up] {"epoch":"E","offset":2}
    "#);
    assert!(live.is_quiet().await);
    app.post("/api/sessions/s/events", r#"{"id":"new","channel":"x"}"#).await;
    assert_snapshot!(live.frames(1).await, @r#"3 new"#);
    assert!(live.is_quiet().await);
}

#[tokio::test]
async fn a_snapshot_stands_beside_filters_and_bounds() {
    let app = TestApp::new();
    app.fill(2).await;
    let live = app.follow(&format!("{URI}&projections=todo&live=false")).await;
    assert_snapshot!(live.rest().await, @r#"
    2 [snapshot] {"offset":2,"projections":{"todo":{"todos":[],"updatedAt":0,"updatedOffset":0}}}
    2 [caught-up] {"epoch":"E","offset":2}
    2 [end] {"offset":2,"reason":"tail"}
    "#);
    let mut live = app.follow(&format!("{URI}&projections=todo&channels=c1&limit=1")).await;
    live.frames(2).await;
    for event in [r#"{"id":"other","channel":"c2"}"#, r#"{"id":"wanted","channel":"c1"}"#] {
        app.post("/api/sessions/s/events", event).await;
    }
    assert_snapshot!(live.rest().await, @r#"
    4 wanted
    4 [end] {"offset":4,"reason":"limit"}
    "#);
}

#[tokio::test]
async fn who_comes_back_goes_on_without_another_snapshot() {
    let app = TestApp::new();
    app.fill(3).await;
    let live = app.follow_from(&format!("{URI}&live=false"), Some("2")).await;
    assert_snapshot!(live.rest().await, @r#"
    3 e3
    3 [caught-up] {"epoch":"E","offset":3}
    3 [end] {"offset":3,"reason":"tail"}
    "#);
}

#[tokio::test]
async fn a_snapshot_is_a_place_of_its_own() {
    let app = TestApp::new();
    assert_eq!(app.get(URI).await.code(), "stream_not_found");
    app.fill(1).await;
    for query in ["fromOffset=0", "fromTimestamp=0", "projections=all"] {
        let answer = app.get(&format!("{URI}&{query}")).await;
        assert_eq!(answer.code(), "invalid_parameter", "{query}");
    }
    // A client that knew another stream at this path gets the state of this one.
    let live = app.follow(&format!("{URI}&projections=todo&epoch=0&live=false")).await;
    assert_snapshot!(live.rest().await, @r#"
    1 [snapshot] {"offset":1,"projections":{"todo":{"todos":[],"updatedAt":0,"updatedOffset":0}}}
    1 [caught-up] {"epoch":"E","offset":1}
    1 [end] {"offset":1,"reason":"tail"}
    "#);
}

#[tokio::test]
async fn the_state_is_kept_while_its_reader_is_there() {
    let app = TestApp::new();
    app.fill(1).await;
    let live = app.follow(URI).await;
    app.clock.advance(limits::VIEWS_IDLE);
    app.app.views().let_go_idle();
    assert_eq!(app.app.views().live(), 1);
    drop(live);
    app.app.views().let_go_idle();
    assert_eq!(app.app.views().live(), 0);
}

#[tokio::test]
async fn a_reader_gets_the_state_also_where_no_more_are_kept_for_readers() {
    let app = TestApp::new();
    app.fill(1).await;
    let path = |n| StreamPath::session(&format!("other{n}")).unwrap();
    let pins: Vec<_> =
        (0..limits::VIEWS_PINNED_MAX).map(|n| app.app.views().pin(&path(n)).unwrap()).collect();
    let mut live = app.follow(&format!("{URI}&projections=todo")).await;
    assert_snapshot!(live.frames(2).await, @r#"
    1 [snapshot] {"offset":1,"projections":{"todo":{"todos":[],"updatedAt":0,"updatedOffset":0}}}
    1 [caught-up] {"epoch":"E","offset":1}
    "#);
    assert!(app.get("/metrics").await.text().contains("scrollback_unpinned_snapshots_total 1\n"));
    // It has its turn among all others.
    app.clock.advance(limits::VIEWS_IDLE);
    app.app.views().let_go_idle();
    assert_eq!(app.app.views().live(), pins.len());
    app.post("/api/sessions/s/events", r#"{"id":"new","channel":"x"}"#).await;
    assert_snapshot!(live.frames(2).await.lines().last().unwrap(), @"2 new");
}

/// The next frame's id, name and data.
async fn next(live: &mut Live) -> (u64, String, Value) {
    let frame = live.frame().await.unwrap();
    let field = |name| frame.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
    let data = serde_json::from_str(field("data: ")).unwrap();
    (field("id: ").parse().unwrap(), field("event: ").to_owned(), data)
}

#[tokio::test]
async fn every_event_after_the_snapshot_comes_once_while_others_write() {
    const LAST: u64 = 500;
    let app = TestApp::new();
    let mut lines = lines_of("team-chat").into_iter().take(500);
    app.post("/api/sessions/s/events", lines.next().unwrap()).await;
    let write = async {
        for line in lines {
            assert_eq!(app.post("/api/sessions/s/events", line).await.status, 200);
            yield_now().await;
        }
    };
    let read = async |wait: u64| {
        while app.tail().await < wait {
            yield_now().await;
        }
        let mut live = app.follow(URI).await;
        let (at, name, data) = next(&mut live).await;
        assert_eq!((&*name, &data["offset"]), ("snapshot", &Value::from(at)));
        assert!(at >= wait && at < LAST, "{at}");
        assert_eq!(data["projections"], app.state_at("s", at).await);
        let mut seen = at;
        while seen < LAST {
            let (id, name, _) = next(&mut live).await;
            if name.is_empty() {
                seen += 1;
                assert_eq!(id, seen);
            }
        }
    };
    tokio::join!(write, read(1), read(50), read(210), read(390));
}
