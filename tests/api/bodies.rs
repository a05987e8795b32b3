//! Bodies that come in pieces: together they take no more memory than there is room for, and
//! whoever sends a small one at once is not kept from it.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use futures_util::{FutureExt, StreamExt, stream};

use crate::util::TestApp;

const EVENTS: &str = "/api/sessions/s/events";
const ROOM: usize = 64 * 1024;

/// The pieces of an event of some 48 KiB.
fn pieces() -> [Bytes; 2] {
    let begin = format!(r#"{{"channel":"x","data":"{}"#, "y".repeat(48 * 1024));
    [begin.into(), Bytes::from_static(b"\"}")]
}

/// A body that ends.
fn whole() -> Body {
    Body::from_stream(stream::iter(pieces().map(Ok::<_, Infallible>)))
}

/// A body of which the end never comes.
fn endless() -> Body {
    let [begin, _] = pieces();
    Body::from_stream(stream::iter([Ok::<_, Infallible>(begin)]).chain(stream::pending()))
}

#[tokio::test]
async fn bodies_that_have_not_ended_take_no_more_than_there_is_room_for() {
    let app = TestApp::with(|app| app.with_body_room(ROOM));
    assert_eq!(app.post(EVENTS, whole()).await.status, 200);
    let mut open = Box::pin(app.post(EVENTS, endless()));
    assert!((&mut open).now_or_never().is_none());
    let refused = app.post(EVENTS, whole()).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (503, &"busy".into()));
    assert_eq!(refused.json()["retryable"], true);
    let [begin, end] = pieces();
    let at_once = [begin, end].concat();
    assert_eq!(app.post(EVENTS, at_once).await.json()["offset"], 2, "one piece needs no room");
    drop(open);
    assert_eq!(app.post(EVENTS, whole()).await.json()["offset"], 3, "the room is free again");
}
