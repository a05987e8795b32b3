//! An optimistic writer on a bad line.
//!
//! ```sh
//! scrollback serve &
//! cargo run --example optimistic -- http://127.0.0.1:4437
//! ```
//!
//! Between the writer and the server stands a line that is cut and comes back. What is written is
//! shown at once (`…`), sent when there is a line, and confirmed (`✓`) or taken back (`✗`).

use std::{error::Error, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use scrollback::{
    client::{
        Broken, Callbacks, Client, Entry, Followed, NewEvent, Optimistic, OptimisticOptions,
        Rejection, Session, Waits, Write,
    },
    clock::{Clock, SystemClock},
    wire::commands::{Because, SendMessage, StartSession},
};
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

type Done = Result<(), Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:4437".to_owned());
    let direct = Client::new(&url)?;
    let id = direct.start(StartSession::default()).await?.id.unwrap_or_default();

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let bad_url = format!("http://{}", listener.local_addr()?);
    let is_up = watch::Sender::new(true);
    let waits = Waits { first: Duration::from_millis(200), ..Waits::FOLLOWER };
    let session = Client::builder(bad_url).reconnect(waits).build()?.session(&id);

    let on = Callbacks::new(
        |entry: &Entry| println!("… {}", words(entry)),
        |entry: &Entry, offset| println!("✓ {} is at offset {offset}", words(entry)),
        |entry: &Entry, why: &Rejection| println!("✗ {}: {why}", words(entry)),
    );
    let optimistic = session.optimistic(on, OptimisticOptions::default())?;

    let elsewhere = direct.session(&id);
    let address = url.trim_start_matches("http://").to_owned();
    tokio::select! {
        done = write(&optimistic, &is_up, &elsewhere) => done,
        done = read(&session, &optimistic) => done,
        done = line(&listener, &address, &is_up) => done,
    }
}

/// What the user does, and what happens to the line.
async fn write(optimistic: &Optimistic, is_up: &watch::Sender<bool>, elsewhere: &Session) -> Done {
    optimistic.send(note("the line is good")).await?;
    optimistic.settled().await;

    println!("-- the line is cut");
    is_up.send_replace(false);
    optimistic.send(note("the line is gone")).await?;
    let text = Some("is anybody there?".to_owned());
    optimistic.send(SendMessage { text, ..SendMessage::default() }).await?;
    optimistic.send(note("the user goes on")).await?;
    SystemClock.sleep(Duration::from_secs(2)).await;
    if let Some(why) = optimistic.waits_because() {
        println!("-- {} wait: {why}", optimistic.pending().len());
    }

    println!("-- the line is back");
    is_up.send_replace(true);
    optimistic.try_now();
    optimistic.settled().await;

    println!("-- the line is cut, and somebody ends the session");
    is_up.send_replace(false);
    elsewhere.end(&Because::default()).await?;
    let text = Some("too late".to_owned());
    optimistic.send(SendMessage { text, ..SendMessage::default() }).await?;
    optimistic.send(note("a note may still be left")).await?;
    is_up.send_replace(true);
    optimistic.settled().await;
    Ok(())
}

/// Shows what others write; what is our own is shown already.
async fn read(session: &Session, optimistic: &Optimistic) -> Done {
    let mut follower = session.follow(0);
    while let Some(followed) = follower.next().await {
        match followed {
            Followed::Connected { .. } => optimistic.try_now(),
            Followed::Event(event) if optimistic.observe(&event).is_none() => {
                println!("  {} at {}", event.kind(), event.offset());
            }
            Followed::Reconnecting { why: Broken::Cut(_) | Broken::Closed, .. } => {
                println!("-- the reader notices");
            }
            _ => {}
        }
    }
    Ok(())
}

/// The line: every connection is passed on while it is up, and cut when it is not.
async fn line(listener: &TcpListener, server: &str, is_up: &watch::Sender<bool>) -> Done {
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (mut near, _) = accepted?;
                let mut state = is_up.subscribe();
                connections.push(async move {
                    if !*state.borrow() {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = state.wait_for(|is_up| !is_up) => {}
                    }
                });
            }
            Some(()) = connections.next() => {}
        }
    }
}

fn note(text: &str) -> NewEvent {
    NewEvent::new("note", "note.added", json!({ "text": text }))
}

/// What an entry says.
fn words(entry: &Entry) -> String {
    match entry.write() {
        Write::Event(event) => event.data.to_string(),
        Write::Message(message) => format!("message {:?}", message.text.as_deref().unwrap_or("")),
        _ => entry.id().to_owned(),
    }
}
