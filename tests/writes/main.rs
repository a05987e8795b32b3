//! Writes of the Rust client against a real server, which is killed in the middle: producers,
//! live bodies, optimistic writes.

#![expect(clippy::unwrap_used, reason = "tests")]

mod live;
mod optimistic;
mod producer;
#[path = "../cli/util.rs"]
#[expect(dead_code, reason = "the command line's tests need more of it")]
mod util;

use std::time::Duration;

use scrollback::client::{Client, Event, NewEvent, ReadQuery, Waits};
use serde_json::json;

/// A client that comes back soon.
fn client(url: &str) -> Client {
    let (first, most) = (Duration::from_millis(20), Duration::from_millis(200));
    let waits = Waits { first, factor: 2, most, jitter: false };
    Client::builder(url).reconnect(waits).build().unwrap()
}

fn note(id: &str) -> NewEvent {
    NewEvent::new("note", "note.added", json!({"text": "hello"})).with_id(id)
}

/// The events of a stream.
async fn events(client: &Client, path: &str) -> Vec<Event> {
    let (mut all, mut from_offset) = (Vec::new(), 0);
    loop {
        let query = ReadQuery { from_offset, limit: Some(1_000), ..ReadQuery::default() };
        let page = client.events(path, &query).await.unwrap();
        let events = page.events.iter().map(|event| Event::read(event.get().to_owned()).unwrap());
        all.extend(events);
        if !page.has_more {
            return all;
        }
        from_offset = page.next_offset;
    }
}

async fn ids(client: &Client, path: &str) -> Vec<String> {
    events(client, path).await.iter().map(|event| event.id().to_owned()).collect()
}
