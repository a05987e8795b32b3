//! The reading half of the client against a real server: collections fold what the server folds,
//! people come and go, agents are waited for, and sessions that were let go come back.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use futures_util::StreamExt;
use scrollback::{
    client::{
        Agents, Client, Collections, LiveQuery, LiveSet, NewEvent, Presence, ReadQuery, Session,
        StateAt, StateCache, Terminal, Visitor, Waits,
    },
    clock::ManualClock,
    log::StreamPath,
    server::Running,
    session::{
        projections::{Message, Present, Projections},
        vocabulary::Id,
    },
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{socket::start, util::NOW_MS};

/// Well beyond what anything here takes; a test that waits this long has failed.
const LONG: Duration = Duration::from_secs(20);

fn client(server: &Running) -> Client {
    Client::new(&format!("http://{}", server.addr())).unwrap()
}

async fn write(session: &Session, kind: &str, data: Value) -> u64 {
    let channel = kind.split('.').next().unwrap();
    session.write(NewEvent::new(channel, kind, data)).await.unwrap().offset
}

async fn say(session: &Session, id: &str, text: &str) -> u64 {
    let data = json!({"messageId": id, "role": "user", "content": text});
    write(session, "message.created", data).await
}

async fn grow(session: &Session, text: &str) -> u64 {
    let data = json!({"messageId": "answer", "partId": "p", "delta": text});
    write(session, "message.part.delta", data).await
}

async fn reach(collections: &Collections, offset: u64) {
    let reached = tokio::time::timeout(LONG, collections.reached(offset)).await;
    assert_eq!(reached, Ok(true), "{:?}", collections.standing());
}

/// The first answer of a query that is as it should be.
async fn until<T>(mut query: LiveQuery<T>, is_right: impl Fn(&T) -> bool) -> T
where
    T: Clone + PartialEq + Send + std::fmt::Debug + 'static,
{
    let find = async {
        while let Some(answer) = query.next().await {
            if is_right(&answer) {
                return answer;
            }
        }
        panic!("the query ended with {:?}", query.now());
    };
    tokio::time::timeout(LONG, find).await.unwrap_or_else(|_| panic!("it never came"))
}

async fn server_state(session: &Session) -> Projections {
    session.state(StateAt::Tail, &[]).await.unwrap().projections().unwrap()
}

fn texts(state: &Projections) -> Vec<String> {
    state.messages.list().iter().map(Message::text).collect()
}

#[tokio::test]
async fn collections_are_what_the_server_has_and_queries_tell_changes_only() {
    let server = start().await;
    let session = client(&server).session("s");
    say(&session, "m1", "one").await;
    let collections = Collections::follow(&session);
    let mut first = collections.query(|state| texts(state).first().cloned());
    assert_eq!(first.next().await, Some(Some("one".to_owned())));

    let turn = json!({"turnId": "t", "userMessageId": "m1", "messageId": "answer"});
    write(&session, "turn.started", turn).await;
    for piece in ["It ", "is ", "one ", "text"] {
        grow(&session, piece).await;
    }
    let chunk = json!({"agentId": "a", "turnId": "u", "text": "x"});
    write(&session, "chunk.appended", chunk.clone()).await;
    write(&session, "chunk.appended", chunk).await;
    write(&session, "tool.pending", json!({"callId": "c", "tool": "bash"})).await;
    let done = json!({"callId": "c", "output": "ok"});
    reach(&collections, write(&session, "tool.completed", done).await).await;

    assert_eq!(collections.read(Clone::clone), server_state(&session).await);
    let all: Vec<_> = collections.messages().now().iter().map(Message::text).collect();
    assert_eq!(all, ["one", "It is one text", "xx"]);
    assert_eq!(collections.tool_calls().now()[0].output, Some(json!("ok")));
    assert_eq!(
        (&*collections.chunks().now()[0].text, collections.chunks().now()[0].count),
        ("xx", 2)
    );

    // Nothing of all this has changed the first message.
    let changed = json!({"messageId": "m1", "content": "another"});
    write(&session, "message.updated", changed).await;
    assert_eq!(first.next().await, Some(Some("another".to_owned())));
    collections.stop();
    assert_eq!(first.next().await, None);
    assert_eq!(collections.read(texts)[0], "another");
}

#[tokio::test]
async fn people_come_point_stay_and_go() {
    let server = start().await;
    let collections_of = client(&server).session("s");
    let clock = ManualClock::at(NOW_MS);
    let builder =
        Client::builder(format!("http://{}", server.addr())).clock(Arc::clone(&clock) as _);
    let session = builder.build().unwrap().session("s");
    let mara = Visitor {
        user_id: "mara".to_owned(),
        name: Some("Mara".to_owned()),
        color: Some("teal".to_owned()),
    };
    let presence = Presence::join(&session, mara).await.unwrap();
    let collections = Collections::follow(&collections_of);
    let there = until(collections.presence(), |users| users.len() == 1).await;
    assert_eq!((there[0].name.as_deref(), there[0].color.as_deref()), (Some("Mara"), Some("teal")));

    presence.point_at(1.0, 2.0);
    let x = |x: f64| {
        move |users: &Vec<Present>| {
            users.first().and_then(|user| user.cursor.as_ref()).is_some_and(|at| at["x"] == x)
        }
    };
    until(collections.presence(), x(1.0)).await;
    // Until 50 ms have passed on its clock, the newest waits.
    presence.point_at(3.0, 2.0);
    presence.point_at(5.0, 2.0);
    clock.advance(Duration::from_millis(50));
    until(collections.presence(), x(5.0)).await;
    let before = collections.standing().offset;
    clock.advance(Duration::from_secs(10));
    reach(&collections, before + 1).await;
    assert!(presence.failure().is_none());
    presence.leave().await.unwrap();
    until(collections.presence(), Vec::is_empty).await;

    let page = collections_of.read(&ReadQuery::default()).await.unwrap();
    let kinds: Vec<Value> = page
        .events
        .iter()
        .map(|event| serde_json::from_str::<Value>(event.get()).unwrap()["type"].take())
        .collect();
    assert_eq!(kinds[0], "presence.joined");
    assert_eq!(kinds[kinds.len() - 2..], ["presence.heartbeat", "presence.left"]);
    assert_eq!(kinds.iter().filter(|kind| **kind == "presence.heartbeat").count(), 1);
}

#[tokio::test]
async fn what_is_typed_is_in_the_history_newest_first() {
    let server = start().await;
    let session = client(&server).session("s");
    let shown = json!({"terminalId": "t", "data": "$ ls\r\na  b\r\n"});
    write(&session, "terminal.output", shown).await;
    let collections = Collections::follow(&session);
    let id = Id::new("t").unwrap();
    let terminal = Terminal::of(&collections).named(id).typed_by("mara");
    terminal.send_command("ls").await.unwrap();
    let other = Terminal::of(&collections).typed_by("tomek");
    other.send_command("whoami\n").await.unwrap();
    let last = terminal.send_command("pwd").await.unwrap();
    reach(&collections, last.offset).await;
    let history: Vec<_> = terminal.history().now().into_iter().map(|input| input.data).collect();
    assert_eq!(history, ["pwd\n", "ls\n"]);
    assert_eq!(Terminal::of(&collections).history().now().len(), 3);
    let lines: Vec<_> = terminal.lines().now().into_iter().map(|line| line.text).collect();
    assert_eq!(lines, ["$ ls", "a  b"]);
}

#[tokio::test]
async fn an_agent_is_waited_for_and_its_states_and_steps_go_to_their_handlers() {
    let server = start().await;
    let waits = Waits { first: Duration::from_millis(1), ..Waits::FOLLOWER };
    let client =
        Client::builder(format!("http://{}", server.addr())).reconnect(waits).build().unwrap();
    let (told, mut heard) = mpsc::channel(16);
    let (states, steps) = (told.clone(), told.clone());
    let coder = Agents::of(&client, "coder")
        .on_state(move |said, _| states.try_send(said.state).unwrap())
        .on_step(move |said, event| {
            let title = said.title.unwrap_or_default();
            steps.try_send(format!("{title} at {}", event.offset())).unwrap();
        })
        .on_unfit(move |unfit| told.try_send(unfit.event.kind().to_owned()).unwrap())
        .follow(0);
    let said = [
        ("agent.state", json!({"agentId": "coder", "state": "thinking"})),
        ("agent.step", json!({"agentId": "coder", "title": "look", "turnId": "t"})),
        ("agent.state", json!({"agentId": "coder", "state": "acting"})),
    ];
    for (kind, data) in said {
        client.write("agents/coder", NewEvent::new("agentState", kind, data)).await.unwrap();
    }
    for expected in ["thinking", "look at 2", "acting"] {
        let next = tokio::time::timeout(LONG, heard.recv()).await.unwrap();
        assert_eq!(next.as_deref(), Some(expected));
    }
    drop(coder);
    assert_eq!(heard.recv().await, None);
}

#[tokio::test]
async fn a_session_that_was_let_go_goes_on_where_it_was_left() {
    let server = start().await;
    let client = client(&server);
    let (a, b) = (client.session("a"), client.session("b"));
    let seen = say(&a, "m1", "one").await;
    say(&b, "m1", "elsewhere").await;

    let set = LiveSet::with(&client, NonZeroUsize::MIN, StateCache::default());
    let first = set.open("a").unwrap();
    until(first.messages(), |messages| messages.len() == 1).await;
    assert_eq!(tokio::time::timeout(LONG, first.is_live()).await, Ok(true));
    let mut query = first.messages();
    query.next().await.unwrap();
    let pinned = set.pin("b").unwrap();
    assert_eq!((query.next().await, set.ids()), (None, vec!["b".to_owned()]));
    let refused = set.open("a").unwrap_err().to_string();
    assert_eq!(refused, "all 1 places are pinned: unpin one, or allow more");
    set.close("b");
    assert_eq!(set.ids(), ["b"]);
    drop(pinned);

    let next = say(&a, "m2", "two").await;
    let again = set.open("a").unwrap();
    // Its state is there before the server is asked.
    assert!(again.standing().is_filled && again.standing().offset >= seen);
    reach(&again, next).await;
    assert_eq!(again.read(Clone::clone), server_state(&a).await);

    // The stream is made anew while nobody looks: nothing of the old one is left.
    set.close("a");
    server.log().delete(&StreamPath::session("a").unwrap()).await.unwrap();
    say(&a, "m3", "anew").await;
    say(&a, "m4", "and more").await;
    let last = say(&a, "m5", "than before").await;
    let other = LiveSet::new(&client);
    let mut cache = StateCache::default();
    assert_eq!(cache.load(&set.save(), NOW_MS), Ok(2));
    let loaded = LiveSet::with(&client, NonZeroUsize::MIN, cache);
    for anew in [set.open("a").unwrap(), loaded.open("a").unwrap(), other.open("a").unwrap()] {
        let is_anew = |texts: &Vec<String>| texts.first().is_some_and(|text| text == "anew");
        until(anew.query(texts), is_anew).await;
        reach(&anew, last).await;
        assert_eq!(anew.read(Clone::clone), server_state(&a).await);
    }
}
