//! Writers through the proxy: what was answered is in the log once, and nothing is there twice.

use std::collections::HashMap;

use futures_util::future::join_all;
use scrollback::{
    client::{Client, ClientError, Event, NewEvent, Session, StateAt},
    wire::commands::{AddChunks, CompleteTurn, InterruptTurn, SendMessage, StartSession},
};
use serde_json::{Value, json};

use crate::{
    fate::{Cut, Fate, Side},
    proxy::Proxy,
    util::{Server, all, each_seed},
};

const SEEDS: u64 = 100;

/// How often each id, or whatever else, is there.
fn counted(of: impl Iterator<Item = String>) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for name in of {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn of_kind<'a>(events: &'a [Event], kind: &'a str) -> impl Iterator<Item = Value> + 'a {
    let of_it = events.iter().filter(move |event| event.kind() == kind);
    of_it.map(|event| event.data_as::<Value>().unwrap())
}

async fn begin(client: &Client, id: String) -> Session {
    let start = StartSession { id: Some(id.clone()), ..StartSession::default() };
    client.start(start).await.unwrap();
    client.session(id)
}

#[tokio::test]
async fn a_write_that_was_answered_is_in_the_log_once_where_the_answer_says() {
    let server = Server::start().await;
    each_seed(SEEDS, async |seed| {
        let proxy = Proxy::start(server.addr(), seed).await;
        let session = proxy.client().session(format!("w{seed}"));
        let event = |n: usize| NewEvent::new("c", "t", json!({ "n": n }));
        let mut answered = Vec::new();
        for n in 0..6 {
            let answer = session.write(event(n)).await.unwrap();
            answered.push((answer.offset, answer.id.to_string()));
        }
        // At once, over lines of their own.
        for answer in join_all((6..10).map(|n| session.write(event(n)))).await {
            let answer = answer.unwrap();
            answered.push((answer.offset, answer.id.to_string()));
        }
        let batch = (10..20).map(event).collect();
        let answer = proxy.client().write_all(&session.path(), batch).await.unwrap();
        answered.extend(answer.offsets.into_iter().zip(answer.ids));
        answered.sort();
        let kept = all(&server.client(), &session.path()).await;
        let kept: Vec<_> =
            kept.iter().map(|event| (event.offset(), event.id().to_owned())).collect();
        assert_eq!(answered, kept, "{:?}", proxy.taken());
    })
    .await;
}

#[tokio::test]
async fn what_has_no_id_is_never_there_twice_and_is_there_where_that_was_answered() {
    let server = Server::start().await;
    each_seed(SEEDS, async |seed| {
        let proxy = Proxy::start_once(server.addr(), seed).await;
        let session = proxy.client().session(format!("n{seed}"));
        server
            .client()
            .session(session.id())
            .write(NewEvent::new("c", "t", json!(0)))
            .await
            .unwrap();
        let mut answered = Vec::new();
        for n in 0..12 {
            let line = |part| format!("{{\"channel\":\"n\",\"data\":\"{n}{part}\"}}\n");
            let lines = [line('a'), line('b')].concat().into_bytes();
            if proxy.client().append(&session.path(), lines).await.is_ok() {
                answered.extend([format!("{n}a"), format!("{n}b")]);
            }
        }
        let events = all(&server.client(), &session.path()).await;
        let appended = events.iter().filter(|event| event.channel() == "n");
        let kept = counted(appended.map(|event| event.data_as::<String>().unwrap()));
        let twice: Vec<_> = kept.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "{twice:?} {:?}", proxy.taken());
        let lost: Vec<_> = answered.iter().filter(|name| !kept.contains_key(*name)).collect();
        assert!(lost.is_empty(), "{lost:?} {:?}", proxy.taken());
    })
    .await;
}

#[tokio::test]
async fn commands_that_were_answered_were_done_once() {
    let server = Server::start().await;
    each_seed(SEEDS, async |seed| {
        let proxy = Proxy::start(server.addr(), seed).await;
        let session = begin(&proxy.client(), format!("k{seed}")).await;
        let mut turns = Vec::new();
        for n in 0..3 {
            let id = Some(format!("m{n}"));
            let text = Some("hello".to_owned());
            let message = SendMessage { id, text, ..SendMessage::default() };
            let answer = session.send(message).await.unwrap();
            assert_eq!(answer.queued, Some(n > 0));
            turns.push(answer.turn_id.unwrap());
        }
        for turn in &turns {
            for index in 0..3 {
                let text = Some(format!("{index} "));
                let chunks = AddChunks { index: Some(index), text, ..AddChunks::default() };
                let answer = session.add_chunks(turn, &chunks).await.unwrap();
                assert_eq!(answer.next, Some(index + 1));
            }
            session.complete(turn, &CompleteTurn::default()).await.unwrap();
        }
        let events = all(&server.client(), &session.path()).await;
        let taken = proxy.taken();
        for (kind, count) in
            [("session.created", 1), ("turn.started", 3), ("turn.completed", 3), ("queue.added", 2)]
        {
            assert_eq!(of_kind(&events, kind).count(), count, "{kind} {taken:?}");
        }
        let pieces = of_kind(&events, "chunk.appended");
        let pieces = counted(pieces.map(|data| format!("{} {}", data["turnId"], data["index"])));
        assert!(pieces.len() == 9 && pieces.values().all(|count| *count == 1), "{taken:?}");
        let page = session.messages(10, 0).await.unwrap();
        assert_eq!((page.total, page.offset), (6, events.len() as u64));
        assert_eq!(session.message("m1").await.unwrap().text(), "hello");
    })
    .await;
}

/// A session with a turn that runs and one that waits, and the messages of both.
async fn two_turns(server: &Server, id: &str) -> (Session, String, String) {
    let session = begin(&server.client(), id.to_owned()).await;
    let first = session.say("one").await.unwrap().turn_id.unwrap();
    let second = session.say("two").await.unwrap().turn_id.unwrap();
    (session, first, second)
}

async fn active(session: &Session) -> Option<String> {
    let state = session.state(StateAt::Tail, &["turn"]).await.unwrap().projections().unwrap();
    state.turn.active.map(|turn| turn.turn_id.to_string())
}

#[tokio::test]
async fn an_interrupt_of_whatever_runs_is_not_repeated_when_its_answer_is_lost() {
    let server = Server::start().await;
    let lost = |status| Fate::Gateway { status, handed_on: true };
    let cut = Fate::Cut { from: Side::Server, after: 20, how: Cut::Close };
    let reset = Fate::Cut { from: Side::Server, after: 40, how: Cut::Reset };
    let fates = [lost(502), lost(503), lost(504), cut, reset, Fate::Mute { after: 9 }];
    for (n, fate) in (0..).zip(fates) {
        let (direct, _, second) = two_turns(&server, &format!("unnamed{n}")).await;
        let proxy = Proxy::scripted(server.addr(), &[fate]).await;
        let through = proxy.client().session(direct.id());
        let answer = through.interrupt(&InterruptTurn::default()).await;
        assert!(answer.as_ref().is_err_and(ClientError::is_passing), "{fate:?} {answer:?}");
        assert_eq!(active(&direct).await.unwrap(), second, "{fate:?}");
        // Named, it is asked for until it is answered, and does nothing more.
        proxy.then(&[fate, fate]);
        let named = InterruptTurn { turn_id: Some(second.clone()), ..InterruptTurn::default() };
        let answer = proxy.client().session(direct.id()).interrupt(&named).await.unwrap();
        assert_eq!(answer.outcome.as_deref(), Some("interrupted"));
        assert_eq!(active(&direct).await, None);
    }
}

#[tokio::test]
async fn an_interrupt_that_was_refused_before_the_server_had_it_is_sent_again() {
    let server = Server::start().await;
    let (direct, _, second) = two_turns(&server, "refused").await;
    let refused = Fate::Gateway { status: 429, handed_on: false };
    let proxy = Proxy::scripted(server.addr(), &[refused, refused]).await;
    let through = proxy.client().session(direct.id());
    through.interrupt(&InterruptTurn::default()).await.unwrap();
    assert_eq!(proxy.taken(), [refused, refused, Fate::Whole]);
    assert_eq!(active(&direct).await.unwrap(), second);
}
