//! Live bodies: lines are there as they are written, and a failure says how many.

use futures_util::StreamExt;
use scrollback::{
    client::{Followed, Follower, NdjsonError, NewEvent},
    limits,
};
use serde_json::json;

use crate::{client, ids, note, util::Server};

async fn next_id(follower: &mut Follower) -> String {
    loop {
        let followed = follower.next().await.unwrap();
        assert!(!matches!(followed, Followed::Ended(_)), "{followed:?}");
        if let Followed::Event(event) = followed {
            return event.id().to_owned();
        }
    }
}

#[tokio::test]
async fn each_line_is_there_before_the_body_ends() {
    let server = Server::start();
    let client = client(&server.url());
    let session = client.session("s");
    let mut writer = session.ndjson();
    writer.write(note("a")).await.unwrap();
    let mut follower = loop {
        // A stream is there with its first event.
        let mut follower = session.follow(0);
        if let Some(Followed::Connected { .. }) = follower.next().await {
            break follower;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(next_id(&mut follower).await, "a");
    for id in ["b", "c"] {
        writer.write(note(id)).await.unwrap();
        assert_eq!(next_id(&mut follower).await, id);
    }
    let made = writer.write(NewEvent { id: None, ..note("") }).await.unwrap();
    let answer = writer.finish().await.unwrap();
    assert_eq!((answer.count, answer.duplicates, answer.offset), (4, 0, Some(4)));
    assert_eq!(next_id(&mut follower).await, made);
}

#[tokio::test]
async fn a_body_that_fails_says_how_much_of_it_is_in_the_stream() {
    let server = Server::start();
    let client = client(&server.url());
    client.session("s").write(note("first")).await.unwrap();
    let mut follower = client.session("s").follow(1);
    let mut writer = client.ndjson("sessions/s");
    writer.write(note("a")).await.unwrap();
    assert_eq!(next_id(&mut follower).await, "a");
    let wrong = NewEvent::new("todo", "todo.updated", json!({"todos": 7}));
    writer.write(wrong).await.unwrap();
    let failed = writer.finish().await.unwrap_err();
    let is_counted =
        matches!(failed, NdjsonError::Failed { sent: 2, written: Some(1), offset: Some(2), .. });
    assert!(is_counted, "{failed:?}");
    assert!(failed.to_string().contains("of 2 events that were handed over, 1 are"), "{failed}");
    let empty = client.ndjson("sessions/s").finish().await.unwrap();
    assert_eq!((empty.count, empty.offset), (0, None));
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_alone() {
    let server = Server::start();
    let client = client(&server.url());
    let mut writer = client.ndjson("sessions/s");
    writer.write(note("a")).await.unwrap();
    let data = json!("x".repeat(limits::BODY_BYTES_MAX));
    let refused = writer.write(NewEvent { data, ..note("large") }).await.unwrap_err();
    assert!(matches!(refused, NdjsonError::TooLarge { .. }), "{refused}");
    writer.write(note("b")).await.unwrap();
    assert_eq!((writer.sent(), writer.finish().await.unwrap().count), (2, 2));
    assert_eq!(ids(&client, "sessions/s").await, ["a", "b"]);
}
