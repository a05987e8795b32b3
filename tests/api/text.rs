//! Server-sent events of text: whole characters, wherever records are cut, and offsets at which
//! a client goes on without a lost or a doubled one.

use axum::body::Body;
use http_body_util::BodyExt as _;
use insta::assert_snapshot;
use scrollback::limits;
use tower::ServiceExt as _;

use crate::{
    protocol::{A, request, send, text},
    util::TestApp,
};

const TEXT: &str = "content-type: text/plain";

async fn append(app: &TestApp, bytes: impl Into<Body>) {
    append_to(app, A, bytes).await;
}

async fn append_to(app: &TestApp, stream: &str, bytes: impl Into<Body>) {
    assert_eq!(app.send(request("POST", stream, TEXT, bytes)).await.status, 204);
}

async fn close(app: &TestApp) {
    let closed = send(app, "POST", A, "stream-closed: true", "").await;
    assert_eq!(closed.status, 204);
}

/// An event: the text of its data, or for a control event its offset.
#[derive(Debug, Clone, PartialEq)]
enum Event {
    Data(String),
    Control(String),
}

/// The events of some frames. Text that is not UTF-8 fails here.
fn events(frames: &[u8]) -> Vec<Event> {
    let frames = std::str::from_utf8(frames).expect("events are UTF-8");
    let frames = frames.strip_suffix("\n\n").expect("whole frames").split("\n\n");
    let event = |frame: &str| {
        let data: Vec<&str> = frame.lines().filter_map(|line| line.strip_prefix("data:")).collect();
        if frame.contains("event: data") {
            return Event::Data(data.join("\n"));
        }
        let json: serde_json::Value = serde_json::from_str(&data.concat()).unwrap();
        let closed = if json["streamClosed"] == true { " closed" } else { "" };
        let tail = if json["upToDate"] == true { " up to date" } else { "" };
        Event::Control(format!("{}{tail}{closed}", json["streamNextOffset"].as_str().unwrap()))
    };
    frames.filter(|frame| !frame.starts_with("retry:")).map(event).collect()
}

fn shown(events: &[Event]) -> String {
    let events = events.iter().map(|event| match event {
        Event::Data(text) => format!("{text:?}"),
        Event::Control(place) => {
            let (offset, said) = place.split_at(16);
            format!("{}{said}", offset.parse::<u64>().unwrap())
        }
    });
    events.collect::<Vec<_>>().join(" | ")
}

fn text_of(events: &[Event]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        Event::Data(text) => Some(text.as_str()),
        Event::Control(_) => None,
    });
    texts.collect()
}

/// All events of a closed stream.
async fn all_events(app: &TestApp, offset: &str) -> Vec<Event> {
    events(&send(app, "GET", &format!("{A}?offset={offset}&live=sse"), "", "").await.body)
}

/// A live read that has just begun.
async fn follow(app: &TestApp, stream: &str, offset: u64) -> Body {
    let uri = format!("{stream}?offset={offset:016}&live=sse");
    let service = scrollback::http::service(app.app.clone());
    service.oneshot(request("GET", &uri, "", Body::empty())).await.unwrap().into_body()
}

/// What can be read of it now.
async fn so_far(body: &mut Body) -> String {
    let mut frames = Vec::new();
    while let std::task::Poll::Ready(frame) = futures_util::poll!(body.frame()) {
        let data = frame.unwrap().unwrap().into_data().unwrap();
        assert!(!data.is_empty(), "an empty chunk would end the body");
        frames.extend_from_slice(&data);
    }
    shown(&events(&frames))
}

#[tokio::test]
async fn a_long_text_is_not_cut_within_a_character() {
    let app = TestApp::new();
    text(&app).await;
    // Three bytes each: the pieces that a body is cut into end within characters.
    let long = "漢".repeat(limits::BODY_BYTES_MAX / 3);
    append(&app, long.clone()).await;
    append(&app, "é".to_owned()).await;
    close(&app).await;
    let whole = format!("{long}é");
    let sent = all_events(&app, "-1").await;
    assert!(text_of(&sent) == whole);
    // From each place that a client was given, the rest comes: nothing lost, nothing twice.
    let mut controls = 0;
    for (index, event) in sent.iter().enumerate() {
        let Event::Control(place) = event else { continue };
        let rest = all_events(&app, &place[..16]).await;
        assert!(text_of(&sent[..index]) + &text_of(&rest) == whole, "{place}");
        controls += 1;
    }
    assert!(controls > 3, "{controls} places");
}

#[tokio::test]
async fn half_a_character_waits_for_its_other_half() {
    let app = TestApp::new();
    text(&app).await;
    let mut first = follow(&app, A, 0).await;
    let mut seen = vec![so_far(&mut first).await];
    append(&app, &b"a\xF0\x9F"[..]).await;
    seen.push(so_far(&mut first).await);
    append(&app, &b"\x98"[..]).await;
    seen.push(so_far(&mut first).await);
    // One that goes on where the first one stands now has the same before it.
    let mut second = follow(&app, A, 2).await;
    seen.push(format!("second: {}", so_far(&mut second).await));
    append(&app, &b"\x80b"[..]).await;
    seen.push(so_far(&mut first).await);
    seen.push(format!("second: {}", so_far(&mut second).await));
    assert_snapshot!(seen.join("\n"), @r#"
    0 up to date
    "a" | 1 up to date
    2 up to date
    second: 2 up to date
    "😀b" | 3 up to date
    second: "😀b" | 3 up to date
    "#);
}

#[tokio::test]
async fn an_event_ends_with_a_character_where_its_page_allows() {
    let app = TestApp::new();
    text(&app).await;
    for bytes in [&b"a"[..], b"b", b"c\xC3", b"\xA9\xC3"] {
        append(&app, bytes).await;
    }
    let mut body = follow(&app, A, 0).await;
    assert_snapshot!(so_far(&mut body).await, @r#""ab" | 2 | "cé" | 4 up to date"#);
}

#[tokio::test]
async fn what_is_no_text_does_not_hold_up_the_rest() {
    let app = TestApp::new();
    text(&app).await;
    append(&app, &b"caf\xE9"[..]).await;
    let mut body = follow(&app, A, 0).await;
    let mut seen = vec![so_far(&mut body).await];
    append(&app, &b" \xFF\x80 ol\xE9"[..]).await;
    seen.push(so_far(&mut body).await);
    close(&app).await;
    seen.push(shown(&events(&body.collect().await.unwrap().to_bytes())));
    seen.push(shown(&all_events(&app, "-1").await));
    assert_snapshot!(seen.join("\n"), @r#"
    "caf" | 1 up to date
    "� �� ol" | 2 up to date
    "�" | 2 up to date | 2 up to date closed
    "caf� �� ol" | 2 up to date | "�" | 2 up to date | 2 up to date closed
    "#);
}

#[tokio::test]
async fn a_fork_goes_on_with_the_character_that_its_source_began() {
    let app = TestApp::new();
    text(&app).await;
    append(&app, &b"a\xE6"[..]).await;
    append(&app, &b"\xBC"[..]).await;
    let fork = "/v1/stream/fork";
    let forked = send(&app, "PUT", fork, &format!("{TEXT}\nstream-forked-from: {A}"), "").await;
    assert_eq!(forked.status, 201);
    append_to(&app, fork, &b"\xA2b"[..]).await;
    append(&app, &b"\xAB"[..]).await;
    let from = async |stream, offset| so_far(&mut follow(&app, stream, offset).await).await;
    assert_eq!(from(fork, 0).await, r#""a漢b" | 3 up to date"#);
    assert_eq!(from(fork, 2).await, r#""漢b" | 3 up to date"#);
    assert_eq!(from(A, 2).await, r#""漫" | 3 up to date"#);
}
