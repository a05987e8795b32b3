//! A follower of several streams through the proxy.

use std::collections::HashMap;

use futures_util::StreamExt;
use scrollback::client::{Client, Event, Followed, NewEvent};
use serde_json::json;

use crate::{
    fate::Random,
    proxy::Proxy,
    util::{Server, all, each_seed, pause},
};

const STREAMS: u64 = 3;

async fn write(direct: &Client, seed: u64, count: u64, random: &mut Random) {
    for n in 0..count {
        let stream = random.below(3);
        let event = NewEvent::new("c", "t", json!({ "n": n }));
        direct.write(&format!("sessions/{seed}-{stream}"), event).await.unwrap();
        // Of a kind that nobody asked for.
        let other = NewEvent::new("c", "t", json!(null));
        direct.write(&format!("agents/{seed}"), other).await.unwrap();
        pause(random).await;
    }
}

#[tokio::test]
async fn the_events_of_several_streams_come_once_in_the_order_of_their_commits() {
    let server = Server::start().await;
    let (direct, count) = (server.client(), 20);
    let mut position = 0;
    let positions = tokio::sync::Mutex::new(&mut position);
    each_seed(50, async |seed| {
        let mut random = Random::new(seed);
        let proxy = Proxy::start(server.addr(), seed).await;
        let mut positions = positions.lock().await;
        let mut follower = proxy.client().follow_across(["session:*", "app"], **positions);
        let mut seen: Vec<Event> = Vec::new();
        let reading = async {
            let mut steps = Random::new(seed);
            while seen.len() < usize::try_from(count).unwrap() {
                match follower.next().await.unwrap() {
                    Followed::Event(event) => seen.push(event),
                    wrong @ (Followed::Reset(_) | Followed::Ended(_)) => panic!("{wrong:?}"),
                    // Now and then another one takes over.
                    _ if steps.below(3) == 0 => {
                        let (names, after) = (["session:*", "app"], follower.after());
                        follower = proxy.client().follow_across(names, after);
                    }
                    _ => {}
                }
            }
        };
        tokio::join!(write(&direct, seed, count, &mut random), reading);
        **positions = follower.after();
        let order: Vec<u64> = seen
            .iter()
            .map(|event| event.data_as::<HashMap<String, u64>>().unwrap()["n"])
            .collect();
        assert_eq!(order, (0..count).collect::<Vec<_>>(), "{:?}", proxy.taken());
        for stream in 0..STREAMS {
            let path = format!("sessions/{seed}-{stream}");
            let of_it = seen.iter().filter(|event| event.stream() == Some(&path));
            let ids: Vec<_> = of_it.map(|event| (event.offset(), event.id().to_owned())).collect();
            if ids.is_empty() {
                continue;
            }
            let kept = all(&direct, &path).await;
            let kept: Vec<_> = kept.iter().map(|e| (e.offset(), e.id().to_owned())).collect();
            assert_eq!(ids, kept);
        }
    })
    .await;
}
