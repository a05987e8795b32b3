//! Pages of the protocol that clients share: one reading and one encoding for all of them, and
//! never a page that says less or more than the stream does by then.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use futures_util::StreamExt as _;
use insta::assert_snapshot;
use scrollback::{http, limits};
use tower::ServiceExt as _;

use crate::{
    protocol::{A, request, said, send, text},
    util::{Answer, TestApp},
};

const JSON: &str = "content-type: application/json";
const TEXT: &str = "content-type: text/plain";
const DAY: Duration = Duration::from_secs(86_400);

/// Several clients wait at the tail of the stream while something is appended.
async fn poll_during(app: &TestApp, kind: &str, body: Vec<u8>) -> [Answer; 3] {
    let uri = format!("{A}?offset=now&live=long-poll");
    let poll = || send(app, "GET", &uri, "", "");
    let writing = async {
        tokio::task::yield_now().await;
        let appended = app.send(request("POST", A, kind, body)).await;
        assert_eq!(appended.status, 204);
    };
    let (a, b, c, ()) = tokio::join!(poll(), poll(), poll(), writing);
    [a, b, c]
}

/// The pieces in which a body is sent.
async fn pieces(app: &TestApp, uri: &str) -> Vec<Bytes> {
    let response = http::service(Arc::clone(&app.app)).oneshot(request("GET", uri, "", "")).await;
    response.unwrap().into_body().into_data_stream().map(Result::unwrap).collect().await
}

fn are_one_body(answers: &[Answer]) -> bool {
    let bodies: Vec<_> = answers.iter().map(|answer| answer.body.clone()).collect();
    are_one(&bodies)
}

/// Whether these are the same bytes in memory.
fn are_one(bodies: &[Bytes]) -> bool {
    bodies.iter().all(|body| !body.is_empty())
        && bodies.windows(2).all(|two| two[0].as_ptr() == two[1].as_ptr())
}

#[tokio::test]
async fn long_polls_that_wait_at_one_offset_share_one_body() {
    let app = TestApp::new();
    send(&app, "PUT", A, JSON, "").await;
    let answers = poll_during(&app, JSON, b"[1,[2]]".to_vec()).await;
    for answer in &answers {
        assert_eq!(answer.text(), "[1,[2]]");
        assert!(
            said(answer).contains("stream-next-offset=0000000000000002 stream-up-to-date=true")
        );
    }
    assert!(are_one_body(&answers));
    // A body of several records is put together once.
    let app = TestApp::new();
    text(&app).await;
    let answers = poll_during(&app, TEXT, vec![b'x'; limits::RECORD_BYTES_MAX + 1]).await;
    assert_eq!(answers[0].body.len(), limits::RECORD_BYTES_MAX + 1);
    assert!(are_one_body(&answers));
}

#[tokio::test]
async fn a_long_poll_does_not_take_an_older_page_for_the_end() {
    let app = TestApp::new();
    text(&app).await;
    let uri = format!("{A}?offset=0000000000000000&live=long-poll");
    send(&app, "POST", A, TEXT, "a").await;
    assert_eq!(send(&app, "GET", &uri, "", "").await.text(), "a");
    send(&app, "POST", A, &format!("{TEXT}\nstream-closed: true"), "b").await;
    let answer = send(&app, "GET", &uri, "", "").await;
    assert_eq!(answer.text(), "ab");
    let cursor = answer.headers["stream-cursor"].to_str().unwrap();
    assert_eq!(
        said(&answer),
        format!(
            "200 stream-closed=true stream-cursor={cursor} stream-next-offset=0000000000000002 \
             stream-up-to-date=true"
        )
    );
}

/// A stream of one full page, written in one body, and a little more, written a day later.
async fn full_page_and_more(app: &TestApp) {
    text(app).await;
    let full = request("POST", A, TEXT, vec![b'x'; limits::PROTOCOL_PAGE_BYTES]);
    assert_eq!(app.send(full).await.status, 204);
    app.clock.advance(DAY);
    send(app, "POST", A, TEXT, "y").await;
    send(app, "POST", A, TEXT, "z").await;
}

#[tokio::test]
async fn those_who_catch_up_share_the_bodies_of_their_pages() {
    let app = TestApp::new();
    full_page_and_more(&app).await;
    let page =
        async |offset: &str| send(&app, "GET", &format!("{A}?offset={offset}"), "", "").await;
    let all = page("-1").await;
    assert_eq!(said(&all), "200 stream-next-offset=0000000000000006 stream-up-to-date=true");
    assert_eq!(all.body.len(), limits::PROTOCOL_PAGE_BYTES + 2);
    let begun = [pieces(&app, A).await, pieces(&app, &format!("{A}?offset=-1")).await];
    assert_eq!(begun[0][0].len(), limits::PROTOCOL_PAGE_BYTES);
    assert!(are_one(&[begun[0][0].clone(), begun[1][0].clone()]));
    let rest = [page("0000000000000004").await, page("0000000000000004").await];
    assert_eq!(rest[0].text(), "yz");
    assert!(are_one_body(&rest));
    // What ends at the tail is read anew when that moves.
    send(&app, "POST", A, TEXT, "!").await;
    let longer = page("0000000000000004").await;
    assert_eq!(longer.text(), "yz!");
    assert_eq!(said(&longer), "200 stream-next-offset=0000000000000007 stream-up-to-date=true");
}

#[tokio::test]
async fn a_shared_page_is_not_served_once_retention_has_taken_it() {
    let app = TestApp::new();
    full_page_and_more(&app).await;
    let fork = "/v1/stream/fork";
    let forked = send(&app, "PUT", fork, &format!("{TEXT}\nstream-forked-from: {A}"), "").await;
    assert_eq!(forked.status, 201, "{}", forked.text());
    for uri in [A, fork] {
        for _ in 0..2 {
            let page = send(&app, "GET", &format!("{uri}?offset=0000000000000000"), "", "").await;
            assert_eq!(page.body.len(), limits::PROTOCOL_PAGE_BYTES + 2, "{uri}");
        }
    }
    let full_page_is_over = limits::RETENTION_DEFAULT.checked_sub(DAY).unwrap();
    app.pass(full_page_is_over + Duration::from_millis(1)).await;
    for uri in [A, fork] {
        let gone = send(&app, "GET", &format!("{uri}?offset=0000000000000000"), "", "").await;
        assert_eq!((gone.status.as_u16(), &*gone.code()), (410, "offset_trimmed"), "{uri}");
        assert_eq!(send(&app, "GET", uri, "", "").await.text(), "yz", "{uri}");
    }
}

#[tokio::test]
async fn a_stream_made_anew_has_nothing_of_the_pages_of_the_old_one() {
    let app = TestApp::new();
    full_page_and_more(&app).await;
    let old = send(&app, "GET", A, "", "").await;
    let tag = old.headers["etag"].to_str().unwrap();
    let given = format!("if-none-match: {tag}");
    assert_eq!(send(&app, "GET", A, &given, "").await.status, 304);
    assert_eq!(send(&app, "DELETE", A, "", "").await.status, 204);
    assert_eq!(send(&app, "GET", A, &given, "").await.status, 404);
    text(&app).await;
    let fresh = request("POST", A, TEXT, vec![b'n'; limits::PROTOCOL_PAGE_BYTES]);
    app.send(fresh).await;
    send(&app, "POST", A, TEXT, "more").await;
    let page = send(&app, "GET", A, &given, "").await;
    assert_eq!(said(&page), "200 stream-next-offset=0000000000000005 stream-up-to-date=true");
    let (full, more) = page.body.split_at(limits::PROTOCOL_PAGE_BYTES);
    assert!(full.iter().all(|byte| *byte == b'n'));
    assert_eq!(more, b"more");
}

#[tokio::test]
async fn what_is_said_of_the_tail_is_as_new_as_the_request_though_the_page_is_not() {
    let full = format!("[{}]", vec!["1"; limits::PROTOCOL_PAGE_RECORDS].join(","));
    let uri = format!("{A}?offset=0000000000000000");
    let mut said_then = Vec::new();
    for (header, body) in [("", "2"), ("stream-closed: true", "2"), ("stream-closed: true", "")] {
        let app = TestApp::new();
        send(&app, "PUT", A, JSON, "").await;
        app.send(request("POST", A, JSON, full.clone())).await;
        let mut tag = String::new();
        let mut page = async || {
            let page = send(&app, "GET", &uri, &format!("if-none-match: {tag}"), "").await;
            tag = page.headers["etag"].to_str().unwrap().to_owned();
            let cached = page.headers["cache-control"].to_str().unwrap();
            said_then.push(format!("{} [{cached}]", said(&page)));
            page.body
        };
        let first = page().await;
        page().await;
        send(&app, "POST", A, &format!("{JSON}\n{header}"), body).await;
        let then = page().await;
        assert!(then.starts_with(&first[..first.len() - 1]) && then.ends_with(b"]"));
        assert_eq!(then.len() - first.len(), 2 * body.len());
        page().await;
    }
    assert_snapshot!(said_then.join("\n"), @r#"
    200 stream-next-offset=0000000000010000 stream-up-to-date=true [private, no-cache]
    304 stream-next-offset=0000000000010000 stream-up-to-date=true [private, no-cache]
    200 stream-next-offset=0000000000010001 stream-up-to-date=true [private, no-cache]
    304 stream-next-offset=0000000000010001 stream-up-to-date=true [private, no-cache]
    200 stream-next-offset=0000000000010000 stream-up-to-date=true [private, no-cache]
    304 stream-next-offset=0000000000010000 stream-up-to-date=true [private, no-cache]
    200 stream-closed=true stream-next-offset=0000000000010001 stream-up-to-date=true [private, max-age=60, stale-while-revalidate=300]
    304 stream-closed=true stream-next-offset=0000000000010001 stream-up-to-date=true [private, max-age=60, stale-while-revalidate=300]
    200 stream-next-offset=0000000000010000 stream-up-to-date=true [private, no-cache]
    304 stream-next-offset=0000000000010000 stream-up-to-date=true [private, no-cache]
    200 stream-closed=true stream-next-offset=0000000000010000 stream-up-to-date=true [private, max-age=60, stale-while-revalidate=300]
    304 stream-closed=true stream-next-offset=0000000000010000 stream-up-to-date=true [private, max-age=60, stale-while-revalidate=300]
    "#);
}

#[tokio::test]
async fn one_answer_holds_all_there_was_when_it_was_asked_for() {
    let app = TestApp::new();
    send(&app, "PUT", A, JSON, "").await;
    let messages: Vec<String> =
        (0..120_u32).map(|n| format!("{{\"n\":{n},\"p\":\"{}\"}}", "p".repeat(50_000))).collect();
    for message in &messages {
        app.send(request("POST", A, JSON, message.clone())).await;
    }
    let whole = send(&app, "GET", &format!("{A}?offset=-1"), "", "").await;
    assert_eq!(said(&whole), "200 stream-next-offset=0000000000000120 stream-up-to-date=true");
    assert!(whole.text() == format!("[{}]", messages.join(",")), "{} bytes", whole.body.len());
    let part = send(&app, "GET", &format!("{A}?offset=0000000000000041"), "", "").await;
    assert!(part.text() == format!("[{}]", messages[41..].join(",")));
    // It is sent in pages, and what is appended meanwhile is left to the next.
    let response = http::service(Arc::clone(&app.app)).oneshot(request("GET", A, "", "")).await;
    let mut pieces = response.unwrap().into_body().into_data_stream();
    let mut taken = pieces.next().await.unwrap().unwrap().to_vec();
    assert!(taken.len() <= limits::PROTOCOL_PAGE_BYTES + 1);
    send(&app, "POST", A, JSON, "\"later\"").await;
    while let Some(piece) = pieces.next().await {
        taken.extend_from_slice(&piece.unwrap());
    }
    assert!(taken == whole.body);
    // A stream that goes away breaks the body off.
    let response = http::service(Arc::clone(&app.app)).oneshot(request("GET", A, "", "")).await;
    let mut pieces = response.unwrap().into_body().into_data_stream();
    pieces.next().await.unwrap().unwrap();
    assert_eq!(send(&app, "DELETE", A, "", "").await.status, 204);
    assert!(pieces.next().await.unwrap().is_err());
    assert!(pieces.next().await.is_none());
}
