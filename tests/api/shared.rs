//! Pages of the protocol that clients share: one reading and one encoding for all of them, and
//! never a page that says less or more than the stream does by then.

use crate::{
    protocol::{A, request, said, send, text},
    util::{Answer, TestApp},
};
use scrollback::limits;

const JSON: &str = "content-type: application/json";
const TEXT: &str = "content-type: text/plain";

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

fn are_one_body(answers: &[Answer]) -> bool {
    let bodies = || answers.iter().map(|answer| &answer.body);
    bodies().all(|body| !body.is_empty())
        && bodies().zip(bodies().skip(1)).all(|(one, next)| one.as_ptr() == next.as_ptr())
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
