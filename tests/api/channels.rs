//! Several streams over one connection: `GET /api/events?channels=…` and
//! `GET /api/channels/{name}/stream`.

use insta::assert_snapshot;

use crate::util::TestApp;

async fn event(app: &TestApp, uri: &str, id: &str) {
    let body = format!(r#"{{"id":"{id}","channel":"c","data":1}}"#);
    let answer = app.post(uri, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Frames up to the end of a read that does not stay.
async fn read(app: &TestApp, query: &str, seen: Option<&str>) -> Vec<String> {
    let mut live = app.follow_from(&format!("/api/events?live=false&{query}"), seen).await;
    let mut frames = Vec::new();
    while let Some(frame) = live.frame().await {
        frames.push(frame);
    }
    frames
}

/// The event ids in some frames, and the last cursor.
fn told(frames: &[String]) -> (Vec<String>, String) {
    let ids = frames.iter().filter_map(|frame| {
        let (_, rest) = frame.split_once(r#","id":""#)?;
        rest.split('"').next().map(str::to_owned)
    });
    let cursor = frames.iter().rev().find_map(|frame| frame.strip_prefix("id: "));
    (ids.collect(), cursor.unwrap().lines().next().unwrap().to_owned())
}

async fn three_kinds(app: &TestApp) {
    event(app, "/api/sessions/a/events", "1").await;
    event(app, "/api/events/config/ai", "2").await;
    event(app, "/api/sessions/b/events", "3").await;
    event(app, "/api/events/app", "4").await;
    event(app, "/api/sessions/a/events", "5").await;
}

#[tokio::test]
async fn events_of_several_streams_come_in_the_order_of_their_commits() {
    let app = TestApp::new();
    three_kinds(&app).await;
    let frames = read(&app, "channels=session:a,config:*&cursor=0", None).await;
    assert_snapshot!(frames.join("\n\n"), @r#"
    id: 1
    data: {"stream":"sessions/a","offset":1,"id":"1","channel":"c","type":"c","timestamp":1795200000000,"data":1}

    id: 2
    data: {"stream":"config/ai","offset":1,"id":"2","channel":"c","type":"c","timestamp":1795200000000,"data":1}

    id: 5
    data: {"stream":"sessions/a","offset":2,"id":"5","channel":"c","type":"c","timestamp":1795200000000,"data":1}

    id: 5
    event: caught-up
    data: {"cursor":5}

    id: 5
    event: end
    data: {"cursor":5,"reason":"tail"}
    "#);
    for (channels, expected) in [
        ("*", "1 2 3 4 5"),
        ("session:*", "1 3 5"),
        ("session:b", "3"),
        ("app:*,config:ai", "2 4"),
        ("agent:x", ""),
    ] {
        let (ids, _) = told(&read(&app, &format!("channels={channels}&cursor=0"), None).await);
        assert_eq!(ids.join(" "), expected, "{channels}");
    }
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_follows_its_cursor() {
    let app = TestApp::new();
    three_kinds(&app).await;
    let all = read(&app, "channels=*&cursor=0", None).await;
    let cursors: Vec<&str> =
        all.iter().filter_map(|frame| frame.strip_prefix("id: ")?.lines().next()).collect();
    for (seen, cursor) in cursors[..5].iter().enumerate() {
        let (ids, _) = told(&read(&app, &format!("channels=*&cursor={cursor}"), None).await);
        assert_eq!(ids.len(), 4 - seen, "{cursor}");
        // What the client saw last wins over its URL.
        let (ids, _) = told(&read(&app, "channels=*&cursor=0", Some(cursor)).await);
        assert_eq!(ids.len(), 4 - seen, "{cursor}");
    }
    // Filtered ones move the cursor too.
    let (_, cursor) = told(&read(&app, "channels=agent:x&cursor=0", None).await);
    assert_eq!(told(&read(&app, &format!("channels=*&cursor={cursor}"), None).await).0.len(), 0);
}

#[tokio::test]
async fn what_comes_later_is_told_as_it_comes() {
    let app = TestApp::new();
    three_kinds(&app).await;
    // Without a cursor it begins now.
    let mut live = app.follow("/api/channels/session:*/stream").await;
    assert!(live.frame().await.unwrap().contains("event: caught-up"));
    event(&app, "/api/events/app", "6").await;
    event(&app, "/api/sessions/c/events", "7").await;
    let frame = live.frame().await.unwrap();
    assert!(frame.contains(r#"{"stream":"sessions/c","offset":1,"id":"7""#), "{frame}");
}

#[tokio::test]
async fn a_cursor_of_another_log_is_told_so() {
    let app = TestApp::new();
    three_kinds(&app).await;
    let frames = read(&app, "channels=*&cursor=999999", None).await;
    assert!(frames[0].contains("event: reset"), "{frames:?}");
    assert_eq!(told(&frames).0.len(), 5);
}

/// Events 2 and 4 are no longer kept.
async fn trimmed() -> TestApp {
    let app = TestApp::new();
    let made = app.put("/api/streams/sessions/short", r#"{"retentionSeconds":60}"#).await;
    assert_eq!(made.status, 201, "{}", made.text());
    for (id, name) in [("1", "long"), ("2", "short"), ("3", "long"), ("4", "short")] {
        event(&app, &format!("/api/sessions/{name}/events"), id).await;
    }
    app.pass(std::time::Duration::from_secs(3_600)).await;
    event(&app, "/api/sessions/short/events", "5").await;
    app
}

#[tokio::test]
async fn a_cursor_before_what_is_kept_is_told_so_once() {
    let app = trimmed().await;
    let frames = read(&app, "channels=*&cursor=1", None).await;
    assert_snapshot!(frames[..2].join("\n\n"), @r#"
    id: 2
    event: reset
    data: {"reason":"trimmed","cursor":2,"message":"records after the cursor are no longer kept. Read again what was built from them; reading goes on with what is kept"}

    id: 3
    data: {"stream":"sessions/long","offset":2,"id":"3","channel":"c","type":"c","timestamp":1795200000000,"data":1}
    "#);
    assert_eq!(told(&frames), (vec!["3".to_owned(), "5".to_owned()], "5".to_owned()));
    for (query, seen, expected) in [
        // What is gone lies before the cursor, or in streams that are not followed.
        ("channels=*&cursor=4", None, 0),
        ("channels=session:long&cursor=1", None, 0),
        ("channels=session:short&cursor=3", None, 1),
        ("channels=session:short&cursor=0", Some("1"), 1),
        // The beginning is the beginning of what is kept.
        ("channels=*&cursor=0", None, 0),
        ("channels=*", None, 0),
    ] {
        let frames = read(&app, query, seen).await;
        let resets = frames.iter().filter(|frame| frame.contains("event: reset")).count();
        assert_eq!(resets, expected, "{query}");
    }
}

#[tokio::test]
async fn the_beginning_is_what_is_kept_and_a_reader_that_is_overtaken_later_is_told() {
    let app = trimmed().await;
    let mut live = app.follow("/api/events?channels=*&cursor=0").await;
    // Nothing was read so far; what is appended now is gone before it is.
    event(&app, "/api/sessions/short/events", "6").await;
    app.pass(std::time::Duration::from_secs(3_600)).await;
    event(&app, "/api/sessions/short/events", "7").await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        let frame = live.frame().await.unwrap();
        let data: serde_json::Value =
            serde_json::from_str(frame.split_once("data: ").unwrap().1).unwrap();
        ids.push(data["id"].as_str().or(data["reason"].as_str()).unwrap().to_owned());
    }
    assert_eq!(ids, ["trimmed", "1", "3", "7"]);
}

#[tokio::test]
async fn what_is_no_name_is_refused() {
    let app = TestApp::new();
    for uri in [
        "/api/events",
        "/api/events?channels=",
        "/api/events?channels=session",
        "/api/events?channels=session:a/b",
        "/api/events?channels=*&cursor=x",
        "/api/events?channels=*&cursor=-1",
        "/api/channels/nobody/stream",
    ] {
        let answer = app.get(uri).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (400, "invalid_parameter"), "{uri}");
    }
}

#[tokio::test]
async fn deleted_streams_and_the_server_s_own_are_not_told_of() {
    let app = TestApp::new();
    three_kinds(&app).await;
    app.get("/v1/stream/__ds/jwks.json").await;
    assert_eq!(app.request("DELETE", "/api/streams/sessions/a").await.status, 200);
    let (ids, _) = told(&read(&app, "channels=*&cursor=0", None).await);
    assert_eq!(ids, ["2", "3", "4"]);
}

#[tokio::test]
async fn the_bus_of_a_coding_agent_has_types_and_properties() {
    let app = TestApp::new();
    three_kinds(&app).await;
    let mut live = app.follow("/event").await;
    let mut next = async || {
        let frame = live.frame().await.unwrap();
        frame.split_once("data: ").unwrap().1.to_owned()
    };
    assert_eq!(next().await, r#"{"type":"server.connected","properties":{}}"#);
    app.post("/api/sessions/s/messages", r#"{"id":"m1","text":"hello"}"#).await;
    assert_eq!(app.post("/api/sessions", r#"{"id":"s","title":"T"}"#).await.status, 201);
    assert_eq!(
        app.post("/api/sessions/s/messages", r#"{"id":"m1","text":"hello"}"#).await.status,
        200
    );
    let mut types = Vec::new();
    for _ in 0..5 {
        let event: serde_json::Value = serde_json::from_str(&next().await).unwrap();
        assert_eq!(event["properties"]["sessionID"], "s", "{event}");
        let status = event["properties"]["status"]["type"].as_str().unwrap_or_default();
        types.push(format!("{} {status}", event["type"].as_str().unwrap()).trim().to_owned());
    }
    let expected = [
        "session.created",
        "message.created",
        "turn.started",
        "session.status busy",
        "message.created",
    ];
    assert_eq!(types, expected);
    let part = r#"{"type":"message.part.updated","properties":{"part":{"id":"p","messageID":"m2","type":"text","text":"hi"},"delta":"hi"}}"#;
    assert_eq!(app.post("/api/sessions/s/events", part).await.status, 200);
    let shown = next().await;
    assert!(
        shown.ends_with(r#""delta":"hi"}}"#) && shown.contains(r#""part":{"id":"p""#),
        "{shown}"
    );
    app.clock.advance(scrollback::limits::HEARTBEAT_EVERY);
    assert_eq!(next().await, r#"{"type":"server.heartbeat","properties":{}}"#);
}
