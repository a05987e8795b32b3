//! Optimistic writes through the proxy: each is in the log once or taken back, told once, and
//! known again when its echo comes.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use scrollback::{
    client::{
        Callbacks, Entry, Followed, NewEvent, OnWrite, Optimistic, OptimisticOptions, Rejection,
        Session,
    },
    wire::commands::StartSession,
};
use serde_json::json;

use crate::{
    fate::Random,
    proxy::Proxy,
    util::{Server, all, each_seed, pause},
};

const SEEDS: u64 = 200;
const WRITES: usize = 12;
/// What the last event of a run is called: it is written past the proxy.
const LAST: &str = "last";

/// What was told, a word and an id each.
type Told = Arc<Mutex<Vec<(&'static str, String)>>>;

fn listener() -> (Told, impl OnWrite) {
    let told = Told::default();
    let tell = |word| {
        let told = Arc::clone(&told);
        move |entry: &Entry| told.lock().unwrap().push((word, entry.id().to_owned()))
    };
    let (shown, confirmed, taken_back) = (tell("shown"), tell("confirmed"), tell("taken back"));
    let on = Callbacks::new(
        shown,
        move |entry: &Entry, _| confirmed(entry),
        move |entry: &Entry, _: &Rejection| taken_back(entry),
    );
    (told, on)
}

/// Whether the n-th write is one that the server refuses: a known type with wrong data.
fn is_wrong(n: usize) -> bool {
    n % 5 == 3
}

fn write(n: usize) -> NewEvent {
    let wrong = || NewEvent::new("todo", "todo.updated", json!({ "todos": n }));
    let write = if is_wrong(n) { wrong() } else { note(String::new()) };
    write.with_id(format!("own{n}"))
}

fn note(id: String) -> NewEvent {
    NewEvent::new("note", "note.added", json!({})).with_id(id)
}

/// Writes of the user's own, and of others beside them.
async fn send(optimistic: &Optimistic, direct: &Session, seed: u64) {
    let mut random = Random::new(seed);
    for n in 0..WRITES {
        optimistic.send(write(n)).await.unwrap();
        pause(&mut random).await;
        if n % 4 == 1 {
            direct.write(note(format!("other{n}"))).await.unwrap();
        }
    }
    optimistic.settled().await;
    direct.write(note(LAST.to_owned())).await.unwrap();
}

/// Follows to the end of the run; what was known as the user's own, and what was not.
async fn observe(optimistic: &Optimistic, session: &Session) -> (Vec<String>, Vec<String>) {
    let (mut own, mut others) = (Vec::new(), Vec::new());
    let mut follower = session.follow(1);
    while let Some(followed) = follower.next().await {
        let Followed::Event(event) = followed else { continue };
        let known = optimistic.observe(&event);
        let list = if known.is_some() { &mut own } else { &mut others };
        list.push(event.id().to_owned());
        if event.id() == LAST {
            break;
        }
    }
    (own, others)
}

#[tokio::test]
async fn optimistic_writes_end_without_a_lost_and_without_a_double_entry() {
    let server = Server::start().await;
    let wanted = |wrong: bool| (0..WRITES).filter(move |n| is_wrong(*n) == wrong);
    let named = |numbers: &mut dyn Iterator<Item = usize>| -> Vec<String> {
        numbers.map(|n| format!("own{n}")).collect()
    };
    each_seed(SEEDS, async |seed| {
        let proxy = Proxy::start(server.addr(), seed).await;
        let id = format!("o{seed}");
        let start = StartSession { id: Some(id.clone()), ..StartSession::default() };
        server.client().start(start).await.unwrap();
        let (direct, through) = (server.client().session(&id), proxy.client().session(&id));
        let (told, on) = listener();
        let optimistic = through.optimistic(on, OptimisticOptions::default()).unwrap();
        let sending = send(&optimistic, &direct, seed);
        let ((), (own, others)) = tokio::join!(sending, observe(&optimistic, &through));
        let taken = proxy.taken();
        let (right, wrong) = (named(&mut wanted(false)), named(&mut wanted(true)));
        assert_eq!(own, right, "each echo is known once, in order: {taken:?}");
        let mut foreign: Vec<_> =
            (0..WRITES).filter(|n| n % 4 == 1).map(|n| format!("other{n}")).collect();
        foreign.push(LAST.to_owned());
        assert_eq!(others, foreign, "{taken:?}");
        let log = all(&server.client(), &direct.path()).await;
        let kept: Vec<_> = log.iter().map(|event| event.id().to_owned()).collect();
        let kept_own: Vec<_> = kept.iter().filter(|id| id.starts_with("own")).cloned().collect();
        assert_eq!(kept_own, right, "{taken:?}");
        let told = told.lock().unwrap().clone();
        let of = |word: &str| -> Vec<String> {
            told.iter().filter(|(told, _)| *told == word).map(|(_, id)| id.clone()).collect()
        };
        assert_eq!(of("shown"), named(&mut (0..WRITES)), "{taken:?}");
        assert_eq!((of("confirmed"), of("taken back")), (right, wrong), "{taken:?}");
        assert!(optimistic.pending().is_empty());
    })
    .await;
}
