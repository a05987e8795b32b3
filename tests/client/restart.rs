//! A server that is killed while a follower reads and a writer writes, both through the proxy.

use futures_util::StreamExt;
use scrollback::client::{Client, Event, Followed, NewEvent};
use serde_json::json;

use crate::{
    child::Served,
    fate::Random,
    proxy::Proxy,
    util::{all, each_seed, pause},
};

const EVENTS: u64 = 30;

/// Kills the server now and then while others are at work.
async fn kills(server: &mut Served, random: &mut Random) {
    for _ in 0..2 {
        for _ in 0..=random.below(12) {
            pause(random).await;
        }
        server.kill();
        pause(random).await;
        server.start_again();
    }
}

#[tokio::test]
async fn nothing_is_lost_or_twice_over_a_server_that_is_killed_and_started_again() {
    each_seed(10, async |seed| {
        let mut random = Random::new(seed);
        let mut server = Served::start();
        let direct = Client::new(&format!("http://{}", server.addr())).unwrap();
        let path = "sessions/killed";
        direct.write(path, NewEvent::new("c", "t", json!(0))).await.unwrap();
        let proxy = Proxy::start(server.addr(), seed).await;
        let (writer, reader) = (proxy.client(), proxy.client());
        let writing = async {
            let mut answered = Vec::new();
            for n in 1..EVENTS {
                let answer = writer.write(path, NewEvent::new("c", "t", json!(n))).await.unwrap();
                answered.push((answer.offset, answer.id.to_string()));
            }
            answered
        };
        let reading = async {
            let mut follower = reader.session("killed").follow(0);
            let mut seen = Vec::new();
            while seen.len() < usize::try_from(EVENTS).unwrap() {
                match follower.next().await.unwrap() {
                    Followed::Event(event) => seen.push(event),
                    wrong @ (Followed::Reset(_) | Followed::Ended(_)) => panic!("{wrong:?}"),
                    _ => {}
                }
            }
            seen
        };
        let (answered, seen, ()) = tokio::join!(writing, reading, kills(&mut server, &mut random));
        let kept = all(&direct, path).await;
        assert_eq!(seen, kept, "{:?}", proxy.taken());
        let ids = |event: &Event| (event.offset(), event.id().to_owned());
        let kept: Vec<_> = kept.iter().skip(1).map(ids).collect();
        assert_eq!(answered, kept, "{:?}", proxy.taken());
    })
    .await;
}
