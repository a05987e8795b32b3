//! Followers through the proxy: whatever it does to their lines, every offset comes once and in
//! order, as the server has it.

use futures_util::StreamExt;
use scrollback::{
    client::{Broken, Ended, Event, FollowOptions, Followed, Follower, NewEvent, Session, StateAt},
    session::projections::Projections,
    wire::{
        bodies::ResetReason,
        commands::{AddChunks, CompleteTurn, InterruptTurn, StartSession},
    },
};
use serde_json::json;
use tokio::sync::Notify;

use crate::{
    fate::{Cut, Fate, Random, Side},
    proxy::Proxy,
    util::{Server, all, each_seed, pause},
};

const SEEDS: u64 = 200;

/// The channel of the last event of a run.
const DONE: &str = "done";

fn event(n: usize) -> NewEvent {
    let data = json!({"n": n, "text": "line\none \u{1f40c} ".repeat(n % 9)});
    NewEvent::new(format!("c{}", n % 3), "t", data)
}

/// Writes events in batches, without the proxy; the last one is on a channel of its own.
async fn write(session: &Session, count: usize, random: &mut Random) {
    let mut written = 0;
    while written < count {
        let batch = 1 + random.below(6);
        let events = (written..written + batch).map(event).collect();
        session.client().write_all(&session.path(), events).await.unwrap();
        written += batch;
        pause(random).await;
    }
    session.write(NewEvent::new(DONE, "t", json!(null))).await.unwrap();
}

/// Everything that happens in turns, without the proxy. The last event waits for `seen`.
async fn converse(session: &Session, turns: usize, random: &mut Random, seen: &Notify) {
    for turn in 0..turns {
        let answer = session.say(format!("question {turn}")).await.unwrap();
        let turn_id = answer.turn_id.unwrap();
        for piece in 0..random.below(6) as u64 {
            let text = Some(format!("piece {piece} "));
            let chunks = AddChunks { index: Some(piece), text, ..AddChunks::default() };
            session.add_chunks(&turn_id, &chunks).await.unwrap();
            pause(random).await;
        }
        if random.below(2) == 0 {
            let text = Some("the whole answer".to_owned());
            let complete = CompleteTurn { text, ..CompleteTurn::default() };
            session.complete(&turn_id, &complete).await.unwrap();
        } else {
            let turn_id = Some(turn_id);
            session.interrupt(&InterruptTurn { turn_id, ..Default::default() }).await.unwrap();
        }
    }
    seen.notified().await;
    session.write(NewEvent::new(DONE, "t", json!(null))).await.unwrap();
}

/// What a follower handed out.
#[derive(Default)]
struct Seen {
    events: Vec<Event>,
    state: Option<Projections>,
}

impl Seen {
    fn take(&mut self, followed: Followed) {
        match followed {
            Followed::Event(event) => {
                if let Some(state) = &mut self.state {
                    event.fold_into(state);
                }
                self.events.push(event);
            }
            Followed::Snapshot(state) => {
                assert!(self.state.is_none() && self.events.is_empty(), "a second snapshot");
                self.state = Some(state.projections().unwrap());
            }
            Followed::Connected { .. }
            | Followed::CaughtUp { .. }
            | Followed::Reconnecting { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    fn is_done(&self) -> bool {
        self.events.last().is_some_and(|event| event.channel() == DONE)
    }
}

/// Follows up to the last event, or until so many have come.
async fn read(follower: &mut Follower, seen: &mut Seen, most: usize) {
    let until = seen.events.len().saturating_add(most);
    while !seen.is_done() && seen.events.len() < until {
        seen.take(follower.next().await.unwrap());
    }
}

async fn begun(server: &Server, id: String) -> Session {
    let start = StartSession { id: Some(id.clone()), ..StartSession::default() };
    server.client().start(start).await.unwrap();
    server.client().session(id)
}

#[tokio::test]
async fn every_offset_comes_once_and_in_order_whatever_happens_to_the_lines() {
    let server = Server::start().await;
    each_seed(SEEDS, async |seed| {
        let mut random = Random::new(seed);
        let direct = begun(&server, format!("a{seed}")).await;
        let proxy = Proxy::start(server.addr(), seed).await;
        let mut follower = proxy.client().session(direct.id()).follow(0);
        let mut seen = Seen::default();
        tokio::join!(write(&direct, 40, &mut random), read(&mut follower, &mut seen, usize::MAX));
        let kept = all(direct.client(), &direct.path()).await;
        assert_eq!(seen.events, kept, "{:?}", proxy.taken());
        let offsets: Vec<u64> = seen.events.iter().map(Event::offset).collect();
        assert_eq!(offsets, (1..=offsets.len() as u64).collect::<Vec<_>>());
        assert_eq!(follower.after(), offsets.len() as u64);
    })
    .await;
}

#[tokio::test]
async fn what_is_wanted_comes_once_and_in_order_where_some_is_not() {
    let server = Server::start().await;
    each_seed(SEEDS / 2, async |seed| {
        let mut random = Random::new(seed);
        let direct = begun(&server, format!("b{seed}")).await;
        let proxy = Proxy::start(server.addr(), seed).await;
        let wanted = ["c0", "c2", DONE];
        let options = FollowOptions::default().channels(wanted);
        let mut follower = proxy.client().session(direct.id()).follow_with(options);
        let mut seen = Seen::default();
        tokio::join!(write(&direct, 40, &mut random), read(&mut follower, &mut seen, usize::MAX));
        let mut kept = all(direct.client(), &direct.path()).await;
        kept.retain(|event| wanted.contains(&event.channel()));
        assert_eq!(seen.events, kept, "{:?}", proxy.taken());
    })
    .await;
}

#[tokio::test]
async fn a_state_and_what_comes_after_it_are_the_state_that_the_server_has() {
    let server = Server::start().await;
    each_seed(SEEDS / 2, async |seed| {
        let mut random = Random::new(seed);
        let direct = begun(&server, format!("c{seed}")).await;
        direct.write(NewEvent::new("todo", "todo.updated", json!({"todos": []}))).await.unwrap();
        let proxy = Proxy::start(server.addr(), seed).await;
        let mut follower = proxy.client().session(direct.id()).snapshot_then_follow();
        let mut seen = Seen::default();
        let has_state = Notify::new();
        let reading = async {
            while seen.state.is_none() {
                seen.take(follower.next().await.unwrap());
            }
            has_state.notify_one();
            read(&mut follower, &mut seen, usize::MAX).await;
        };
        tokio::join!(converse(&direct, 3, &mut random, &has_state), reading);
        let state = direct.state(StateAt::Tail, &[]).await.unwrap().projections().unwrap();
        assert_eq!(seen.state.unwrap(), state, "{:?}", proxy.taken());
        let kept = all(direct.client(), &direct.path()).await;
        assert_eq!(seen.events[..], kept[kept.len() - seen.events.len()..]);
    })
    .await;
}

#[tokio::test]
async fn a_follower_that_was_dropped_is_gone_on_from_where_it_stood() {
    let server = Server::start().await;
    each_seed(SEEDS / 2, async |seed| {
        let mut random = Random::new(seed);
        let direct = begun(&server, format!("d{seed}")).await;
        let proxy = Proxy::start(server.addr(), seed).await;
        let session = proxy.client().session(direct.id());
        let mut seen = Seen::default();
        let mut steps = random.clone();
        let reading = async {
            let mut follower = session.follow(0);
            while !seen.is_done() {
                read(&mut follower, &mut seen, 1 + steps.below(12)).await;
                let mut options = FollowOptions::after(follower.after());
                if let Some(epoch) = follower.epoch() {
                    options = options.epoch(epoch);
                }
                follower = session.follow_with(options);
            }
        };
        tokio::join!(write(&direct, 40, &mut random), reading);
        assert_eq!(seen.events, all(direct.client(), &direct.path()).await, "{:?}", proxy.taken());
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_was_made_anew_while_the_line_was_broken_is_told_of() {
    let server = Server::start().await;
    let direct = server.client().session("anew");
    direct.write(event(1)).await.unwrap();
    let proxy = Proxy::scripted(server.addr(), &[]).await;
    let mut follower = proxy.client().session("anew").follow(0);
    while !matches!(follower.next().await.unwrap(), Followed::CaughtUp { .. }) {}
    let (after, epoch) = (follower.after(), follower.epoch().unwrap().to_owned());
    drop(follower);
    let http = reqwest::Client::new();
    let gone = http.delete(direct.client().url("/api/streams/sessions/anew")).send().await;
    assert_eq!(gone.unwrap().status(), 200);
    for n in 2..5 {
        direct.write(event(n)).await.unwrap();
    }
    let options = FollowOptions::after(after).epoch(epoch);
    let mut follower = proxy.client().session("anew").follow_with(options);
    assert!(matches!(follower.next().await, Some(Followed::Connected { after: 1 })));
    let Some(Followed::Reset(reset)) = follower.next().await else { panic!("no reset") };
    assert_eq!((reset.reason, reset.resume_from), (ResetReason::Recreated, 0));
    for offset in 1..4 {
        let Some(Followed::Event(event)) = follower.next().await else { panic!("no event") };
        assert_eq!(event.offset(), offset);
    }
}

#[tokio::test]
async fn a_line_that_falls_silent_is_left_whether_it_ever_spoke_or_not() {
    let server = Server::start().await;
    let direct = begun(&server, "silent".to_owned()).await;
    let mute = |after| Fate::Mute { after };
    let proxy = Proxy::scripted(server.addr(), &[mute(0), mute(30), mute(470)]).await;
    let mut follower = proxy.client().session(direct.id()).follow(0);
    let mut why = Vec::new();
    loop {
        match follower.next().await.unwrap() {
            Followed::Reconnecting { why: broken, .. } => why.push(broken.to_string()),
            Followed::Event(event) => break assert_eq!(event.offset(), 1),
            _ => {}
        }
    }
    let slow = "the server did not answer within 60 s";
    assert_eq!(why, [slow, slow, "there was no sign of life"]);
}

#[tokio::test]
async fn half_a_refusal_is_no_answer_and_a_whole_one_is_the_end() {
    let server = Server::start().await;
    let cut = Fate::Cut { from: Side::Server, after: 330, how: Cut::Close };
    let proxy = Proxy::scripted(server.addr(), &[cut]).await;
    let mut follower = proxy.client().session("nobody").follow(0);
    let first = follower.next().await.unwrap();
    assert!(matches!(first, Followed::Reconnecting { why: Broken::Refused(_), .. }), "{first:?}");
    let Some(Followed::Ended(Ended::Refused(error))) = follower.next().await else {
        panic!("it goes on")
    };
    assert_eq!(error.problem().unwrap().code.as_str(), "stream_not_found");
}

#[tokio::test]
async fn fields_of_any_name_do_not_stop_a_follower() {
    let server = Server::start().await;
    let client = server.client();
    let lines = "{\"channel\":\"c\",\"type\":\"t\",\"data\":1,\"stream\":7}\n\
                 {\"channel\":\"c\",\"type\":\"t\",\"data\":2,\"stream\":\"sessions/other\"}\n";
    client.append("sessions/odd", lines.as_bytes().to_vec()).await.unwrap();
    let two = async |follower: Follower, stream: Option<&str>| {
        let events = follower.filter_map(async |followed| match followed {
            Followed::Event(event) => Some(event),
            Followed::Reconnecting { why, .. } => panic!("{why}"),
            _ => None,
        });
        let events: Vec<_> = events.take(2).collect().await;
        let seen: Vec<_> = events.iter().map(|event| (event.stream(), event.data())).collect();
        assert_eq!(seen, [(stream, "1"), (stream, "2")]);
    };
    two(client.session("odd").follow(0), None).await;
    two(client.follow_across(["session:odd"], 0), Some("sessions/odd")).await;
}
