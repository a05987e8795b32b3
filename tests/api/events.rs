//! `GET /api/sessions/{id}/events`.

use std::time::Duration;

use insta::assert_snapshot;
use scrollback::log::{Append, NewRecord, StreamPath};

use crate::util::TestApp;

const URI: &str = "/api/sessions/s/events";

fn rest(answer: &crate::util::Answer) -> String {
    let mut json = answer.json();
    json.as_object_mut().unwrap().remove("events");
    format!("{:?} {json}", answer.offsets())
}

#[tokio::test]
async fn a_page_says_where_the_next_one_begins() {
    let app = TestApp::new();
    app.fill(5).await;
    assert_snapshot!(app.get(&format!("{URI}?limit=2")).await.shown(), @r#"200 {"events":[{"offset":1,"id":"e1","channel":"c1","type":"t.1","timestamp":1795200000000,"data":1},{"offset":2,"id":"e2","channel":"c2","type":"t.2","timestamp":1795200000000,"data":2}],"nextOffset":2,"tail":5,"earliest":1,"hasMore":true}"#);
    assert_snapshot!(rest(&app.get(&format!("{URI}?limit=2&fromOffset=2")).await), @r#"[3, 4] {"earliest":1,"hasMore":true,"nextOffset":4,"tail":5}"#);
    assert_snapshot!(rest(&app.get(&format!("{URI}?limit=2&fromOffset=4")).await), @r#"[5] {"earliest":1,"hasMore":false,"nextOffset":5,"tail":5}"#);
    assert_snapshot!(rest(&app.get(&format!("{URI}?fromOffset=5")).await), @r#"[] {"earliest":1,"hasMore":false,"nextOffset":5,"tail":5}"#);
}

#[tokio::test]
async fn newest_first_goes_back_to_the_beginning() {
    let app = TestApp::new();
    app.fill(150).await;
    let desc = format!("{URI}?order=desc");
    assert_snapshot!(rest(&app.get(&format!("{desc}&limit=3")).await), @r#"[150, 149, 148] {"earliest":1,"hasMore":true,"nextOffset":147,"tail":150}"#);
    assert_snapshot!(rest(&app.get(&format!("{desc}&limit=3&fromOffset=4")).await), @r#"[4, 3, 2] {"earliest":1,"hasMore":true,"nextOffset":1,"tail":150}"#);
    assert_snapshot!(rest(&app.get(&format!("{desc}&limit=3&fromOffset=1")).await), @r#"[1] {"earliest":1,"hasMore":false,"nextOffset":0,"tail":150}"#);
    assert_snapshot!(rest(&app.get(&format!("{desc}&limit=3&fromOffset=0")).await), @r#"[] {"earliest":1,"hasMore":false,"nextOffset":0,"tail":150}"#);
    let all = app.get(&format!("{desc}&limit=1000")).await.offsets();
    assert_eq!(all, (1..=150).rev().collect::<Vec<u64>>());
}

#[tokio::test]
async fn filters_are_by_channel_and_type() {
    let app = TestApp::new();
    app.fill(9).await;
    let get = async |query: &str| app.get(&format!("{URI}?{query}")).await;
    assert_eq!(get("channels=c1").await.offsets(), [1, 4, 7]);
    assert_eq!(get("channels=c1,c2").await.offsets(), [1, 2, 4, 5, 7, 8]);
    assert_eq!(get("channels=c1&types=t.4,t.5").await.offsets(), [4]);
    assert_eq!(get("types=t.*&limit=2&order=desc").await.offsets(), [9, 8]);
    assert_snapshot!(rest(&get("channels=none").await), @r#"[] {"earliest":1,"hasMore":false,"nextOffset":9,"tail":9}"#);
    assert_snapshot!(rest(&get("channels=c1&limit=2").await), @r#"[1, 4] {"earliest":1,"hasMore":true,"nextOffset":4,"tail":9}"#);
}

#[tokio::test]
async fn events_can_be_asked_for_by_time() {
    let app = TestApp::new();
    app.fill(2).await;
    app.clock.advance(Duration::from_millis(10));
    app.post(URI, r#"{"channel":"x"}"#).await;
    let from = |ms: u64| format!("{URI}?fromTimestamp={ms}");
    assert_eq!(app.get(&from(0)).await.offsets(), [1, 2, 3]);
    assert_eq!(app.get(&from(crate::util::NOW_MS + 1)).await.offsets(), [3]);
    assert_eq!(app.get(&from(crate::util::NOW_MS + 11)).await.offsets(), [0_u64; 0]);
    let both = app.get(&format!("{URI}?fromTimestamp=1&fromOffset=1")).await;
    assert_snapshot!(both.shown(), @r#"400 {"type":"urn:scrollback:problem:invalid_parameter","title":"Invalid parameter","status":400,"code":"invalid_parameter","message":"parameter `fromTimestamp` cannot stand beside `fromOffset`","retryable":false,"field":"fromTimestamp"}"#);
}

#[tokio::test]
async fn what_is_no_longer_kept_is_gone_and_says_so() {
    let app = TestApp::new();
    app.put("/api/streams/sessions/s", r#"{"retentionSeconds":60}"#).await;
    app.fill(3).await;
    app.clock.advance(Duration::from_secs(50));
    app.post(URI, r#"{"channel":"x"}"#).await;
    app.pass(Duration::from_secs(11)).await;
    assert_snapshot!(rest(&app.get(URI).await), @r#"[4] {"earliest":4,"hasMore":false,"nextOffset":4,"tail":4}"#);
    assert_snapshot!(app.get(&format!("{URI}?fromOffset=1")).await.shown(), @r#"410 {"type":"urn:scrollback:problem:offset_trimmed","title":"Records no longer kept","status":410,"code":"offset_trimmed","message":"records before 4 are no longer kept; go on from `resumeFrom`","retryable":false,"earliest":4,"resumeFrom":3}"#);
    assert_eq!(app.get(&format!("{URI}?fromOffset=3")).await.offsets(), [4]);
    assert_snapshot!(rest(&app.get(&format!("{URI}?order=desc")).await), @r#"[4] {"earliest":4,"hasMore":false,"nextOffset":3,"tail":4}"#);
    assert_eq!(app.get(&format!("{URI}?order=desc&fromOffset=2")).await.code(), "offset_trimmed");
    app.pass(Duration::from_mins(1)).await;
    assert_snapshot!(rest(&app.get(URI).await), @r#"[] {"earliest":5,"hasMore":false,"nextOffset":4,"tail":4}"#);
}

#[tokio::test]
async fn places_and_sessions_that_do_not_exist_are_errors() {
    let app = TestApp::new();
    assert_snapshot!(app.get(URI).await.shown(), @r#"404 {"type":"urn:scrollback:problem:stream_not_found","title":"No such stream","status":404,"code":"stream_not_found","message":"stream sessions/s does not exist; it begins with its first event, or with PUT /api/streams/{path}","retryable":false}"#);
    app.fill(2).await;
    assert_snapshot!(app.get(&format!("{URI}?fromOffset=3")).await.shown(), @r#"416 {"type":"urn:scrollback:problem:offset_beyond_tail","title":"Offset beyond the tail","status":416,"code":"offset_beyond_tail","message":"the stream ends at offset 2; the offset is of another stream, or the stream was deleted and made anew","retryable":false,"tail":2}"#);
}

#[tokio::test]
async fn records_without_an_envelope_are_put_into_one() {
    let app = TestApp::new();
    let path = StreamPath::session("s").unwrap();
    for payload in ["7", "{\"a\":1}"] {
        let record = NewRecord { id: None, payload: payload.into() };
        app.app.log().append(&path, Append::json([record])).await.unwrap();
    }
    assert_snapshot!(app.get(URI).await.shown(), @r#"200 {"events":[{"offset":1,"id":"record-1","channel":"data","type":"data","timestamp":1795200000000,"data":7},{"offset":2,"id":"record-2","channel":"data","type":"data","timestamp":1795200000000,"data":{"a":1}}],"nextOffset":2,"tail":2,"earliest":1,"hasMore":false}"#);
    assert_eq!(app.get(&format!("{URI}?channels=data")).await.offsets(), [1, 2]);
}

#[tokio::test]
async fn an_answer_is_bounded_in_bytes() {
    let app = TestApp::new();
    let event = format!(r#"{{"channel":"x","data":"{}"}}"#, "x".repeat(250_000));
    for _ in 0..20 {
        app.post(URI, event.clone()).await;
    }
    let page = app.get(&format!("{URI}?limit=1000")).await;
    assert!(page.body.len() < 5 * 1024 * 1024, "{}", page.body.len());
    assert_eq!((page.offsets().len(), page.json()["hasMore"].as_bool()), (17, Some(true)));
    let newest = app.get(&format!("{URI}?limit=1000&order=desc")).await;
    assert_eq!(newest.json()["nextOffset"], 3);
}
