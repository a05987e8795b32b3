//! Optimistic writes: over kills of the server and of the application, rejected ones, conflicts.

use std::sync::Arc;

use futures_util::StreamExt;
use parking_lot::Mutex;
use scrollback::{
    client::{
        Callbacks, Client, Entry, Followed, OnWrite, Optimistic, OptimisticError,
        OptimisticOptions, Rejection,
    },
    wire::{
        code::Code,
        commands::{Because, SendMessage, StartSession, TypeInput},
    },
};

use crate::{client, events, ids, note, util::Server};

/// What was told, a word each.
type Told = Arc<Mutex<Vec<String>>>;

fn listener() -> (Told, impl OnWrite) {
    let told = Told::default();
    let (shown, confirmed, rolled_back) = (told.clone(), told.clone(), told.clone());
    let on = Callbacks::new(
        move |entry: &Entry| shown.lock().push(format!("show {}", entry.id())),
        move |entry: &Entry, _| confirmed.lock().push(format!("ok {}", entry.id())),
        move |entry: &Entry, why: &Rejection| {
            let why = match why {
                Rejection::Refused(error) => error.problem().unwrap().code.as_str().to_owned(),
                Rejection::Conflict { expected, actual } => format!("{expected:?} {actual:?}"),
                why => why.to_string(),
            };
            rolled_back.lock().push(format!("no {}: {why}", entry.id()));
        },
    );
    (told, on)
}

fn message(id: &str) -> SendMessage {
    let (id, text) = (Some(id.to_owned()), Some("hello".to_owned()));
    SendMessage { id, text, ..SendMessage::default() }
}

async fn start(client: &Client) {
    let id = Some("s".to_owned());
    client.start(StartSession { id, ..StartSession::default() }).await.unwrap();
}

/// Reads the session to a note with this id; returns the events that were not ours.
async fn read_to(client: &Client, optimistic: &Optimistic, last: &str) -> Vec<String> {
    let mut follower = client.session("s").follow(1);
    let mut foreign = Vec::new();
    while let Some(followed) = follower.next().await {
        let Followed::Event(event) = followed else { continue };
        if optimistic.observe(&event).is_none() {
            foreign.push(event.kind().to_owned());
        }
        if event.id() == last {
            break;
        }
    }
    foreign
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_reach_the_log_in_order_and_are_told_once_though_the_server_is_killed() {
    const WRITES: usize = 120;
    let mut server = Server::start();
    let client = client(&server.url());
    start(&client).await;
    let (told, on) = listener();
    let options = OptimisticOptions::default();
    let optimistic = client.session("s").optimistic(on, options).unwrap();
    let expected: Vec<String> = (0..WRITES).map(|n| format!("w{n}")).collect();
    let write = async {
        for (n, id) in expected.iter().enumerate() {
            if n % 40 == 20 {
                server.kill_and_restart();
            }
            optimistic.send(note(id)).await.unwrap();
        }
        optimistic.settled().await;
    };
    let ((), foreign) = tokio::join!(write, read_to(&client, &optimistic, "w119"));
    assert_eq!(foreign, Vec::<String>::new());
    let log = ids(&client, "sessions/s").await;
    assert_eq!(log[1..], expected);
    let told = told.lock().clone();
    let of = |word: &str| -> Vec<String> {
        told.iter().filter_map(|told| told.strip_prefix(word)).map(str::to_owned).collect()
    };
    assert_eq!((of("show "), of("ok ")), (expected.clone(), expected));
    assert_eq!(told.len(), 2 * WRITES);
}

#[tokio::test]
async fn commands_are_writes_too_and_what_the_session_refuses_is_taken_back_with_the_reason() {
    let server = Server::start();
    let client = client(&server.url());
    start(&client).await;
    let (told, on) = listener();
    let session = client.session("s");
    let optimistic = session.optimistic(on, OptimisticOptions::default()).unwrap();
    optimistic.send(message("m1")).await.unwrap();
    optimistic.settled().await;
    let data = Some("ls\n".to_owned());
    let typed = optimistic.send(TypeInput { data, ..TypeInput::default() }).await.unwrap();
    optimistic.settled().await;
    let foreign = read_to(&client, &optimistic, &typed).await;
    assert_eq!(foreign, ["turn.started", "message.created"], "the turn, and the empty answer");
    session.end(&Because::default()).await.unwrap();
    optimistic.send(message("m2")).await.unwrap();
    optimistic.settled().await;
    optimistic.send(note("n")).await.unwrap();
    optimistic.settled().await;
    let refused = format!("no m2: {}", Code::SessionEnded.as_str());
    let (show, ok) = (format!("show {typed}"), format!("ok {typed}"));
    assert_eq!(
        told.lock()[..],
        ["show m1", "ok m1", &show, &ok, "show m2", &refused, "show n", "ok n"]
    );
    let kinds: Vec<_> =
        events(&client, "sessions/s").await.iter().map(|e| e.kind().to_owned()).collect();
    assert!(kinds.contains(&"terminal.input".to_owned()), "{kinds:?}");
}

#[tokio::test]
async fn what_was_queued_without_a_line_outlives_the_application() {
    let server = Server::start();
    let client = client(&server.url());
    start(&client).await;
    let folder = tempfile::tempdir().unwrap();
    let options = || OptimisticOptions::default().persist_at(folder.path().join("queue"));
    let nowhere = crate::client("http://127.0.0.1:1").session("s");
    let (told, on) = listener();
    let offline = nowhere.optimistic(on, options()).unwrap();
    for id in ["a", "b", "c"] {
        offline.send(note(id)).await.unwrap();
    }
    assert_eq!(*told.lock(), ["show a", "show b", "show c"]);
    let twice = nowhere.optimistic(listener().1, options());
    assert!(matches!(twice, Err(OptimisticError::InUse { .. })), "{twice:?}");
    assert!(offline.pending().len() == 3);
    offline.close().await;
    let (told, on) = listener();
    let online = client.session("s").optimistic(on, options()).unwrap();
    assert_eq!(told.lock()[..3], ["show a", "show b", "show c"]);
    online.settled().await;
    assert_eq!(told.lock()[3..], ["ok a", "ok b", "ok c"]);
    assert_eq!(ids(&client, "sessions/s").await[1..], ["a", "b", "c"]);
    online.close().await;
    let other = client.session("t").optimistic(listener().1, options());
    assert!(matches!(other, Err(OptimisticError::OtherSession { .. })), "{other:?}");
}

#[tokio::test]
async fn a_write_against_an_offset_is_taken_back_where_others_were_first() {
    let server = Server::start();
    let client = client(&server.url());
    start(&client).await;
    let (told, on) = listener();
    let session = client.session("s");
    let optimistic = session.optimistic(on, OptimisticOptions::default()).unwrap();
    for id in ["a", "b"] {
        optimistic.send_against(1, note(id)).await.unwrap();
    }
    optimistic.settled().await;
    session.write(note("other")).await.unwrap();
    optimistic.send_against(3, note("c")).await.unwrap();
    optimistic.send_against(4, note("d")).await.unwrap();
    optimistic.settled().await;
    let told = told.lock().clone();
    let settled: Vec<_> = told.iter().filter(|told| !told.starts_with("show")).collect();
    assert_eq!(settled, ["ok a", "ok b", "no c: Some(3) Some(4)", "ok d"]);
}

#[tokio::test]
async fn a_write_that_is_taken_back_lets_those_behind_it_go_on() {
    let server = Server::start();
    let client = client(&server.url());
    start(&client).await;
    let (told, on) = listener();
    let nowhere = crate::client("http://127.0.0.1:1").session("s");
    let folder = tempfile::tempdir().unwrap();
    let options = || OptimisticOptions::default().persist_at(folder.path().join("queue"));
    let offline = nowhere.optimistic(on, options()).unwrap();
    for id in ["a", "b"] {
        offline.send(note(id)).await.unwrap();
    }
    assert!(offline.take_back("a") && !offline.take_back("x"));
    while offline.pending().len() > 1 {
        tokio::task::yield_now().await;
    }
    assert!(!offline.take_back("a"), "it is settled");
    assert_eq!(*told.lock(), ["show a", "show b", "no a: this was withdrawn"]);
    offline.close().await;
    let (told, on) = listener();
    let online = client.session("s").optimistic(on, options()).unwrap();
    online.settled().await;
    assert_eq!(*told.lock(), ["show b", "ok b"]);
    assert_eq!(ids(&client, "sessions/s").await[1..], ["b"]);
}
