//! A chat in a terminal. Any number of them in one session show the same, whatever happens to
//! the server or the line in between: each folds the same events into the same state.
//!
//! ```text
//! cargo run -- serve                            # a server
//! cargo run --example worker                    # something that answers
//! cargo run --example chat -- demo ann          # session and name; again as bob, side by side
//! ```
//!
//! Lines are sent; `/interrupt` stops the answer, `/quit` leaves. `SCROLLBACK_URL` names another
//! server than `http://127.0.0.1:4437`.

use std::{
    env,
    io::{self, Write as _},
};

use futures_util::StreamExt;
use scrollback::{
    client::{Client, ClientError, Event, Followed, Session},
    session::{
        projections::{Message, Projections, turn::Outcome},
        vocabulary::{
            Id, KnownEvent,
            message::{MessageCreated, Role},
        },
    },
    wire::commands::{InterruptTurn, SendMessage, StartSession},
};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let id = args.next().unwrap_or_else(|| "demo".to_owned());
    let name = args.next().or_else(|| env::var("USER").ok()).unwrap_or_else(|| "me".to_owned());
    let url = env::var("SCROLLBACK_URL").unwrap_or_else(|_| "http://127.0.0.1:4437".to_owned());
    let client = Client::new(&url)?;
    // Whoever is second begins a session that is there already, which changes nothing.
    client.start(StartSession { id: Some(id.clone()), ..StartSession::default() }).await?;
    chat(&client.session(id), &name).await
}

/// Shows what happens and sends what is typed, until one of them ends.
async fn chat(session: &Session, name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut view = View::default();
    let mut follower = session.snapshot_then_follow();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            followed = follower.next() => match followed {
                Some(followed) => view.take(followed)?,
                None => return Ok(()),
            },
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                let done = match line.trim() {
                    "" => Ok(()),
                    "/quit" => return Ok(()),
                    "/interrupt" => interrupt(session, &view, name).await,
                    text => send(session, text, name).await,
                };
                if let Err(error) = done {
                    view.line(&format!("! {error}"));
                }
            }
        }
        io::stdout().flush()?;
    }
}

async fn send(session: &Session, text: &str, name: &str) -> Result<(), ClientError> {
    let (text, user_id) = (Some(text.to_owned()), Some(name.to_owned()));
    session.send(SendMessage { text, user_id, ..SendMessage::default() }).await.map(drop)
}

/// Stops the turn that is on the screen. It is named, so that it may be sent twice.
async fn interrupt(session: &Session, view: &View, name: &str) -> Result<(), ClientError> {
    let Some(turn) = &view.state.turn.active else { return Ok(()) };
    let (turn_id, by) = (Some(turn.turn_id.to_string()), Some(name.to_owned()));
    session.interrupt(&InterruptTurn { turn_id, by, ..InterruptTurn::default() }).await.map(drop)
}

/// What is on the screen.
#[derive(Default)]
struct View {
    state: Projections,
    /// What is shown of the answer that comes.
    shown: String,
    /// The cursor stands behind it.
    is_open: bool,
}

impl View {
    fn take(&mut self, followed: Followed) -> serde_json::Result<()> {
        match followed {
            Followed::Snapshot(state) => {
                self.state = state.projections()?;
                self.all();
            }
            Followed::Event(event) => self.event(&event),
            Followed::Reset(reset) => self.line(&format!("-- {}", reset.message)),
            Followed::Reconnecting { wait, why, .. } => {
                self.line(&format!("-- {why}; again in {} s", wait.as_secs()));
            }
            Followed::Ended(ended) => self.line(&format!("-- the end: {ended}")),
            // The line stands, or everything that was there has come.
            _ => {}
        }
        Ok(())
    }

    /// The whole conversation. An answer that comes stays open, to be gone on with.
    fn all(&mut self) {
        self.shown.clear();
        let active = self.state.turn.active.as_ref().and_then(|turn| turn.message_id.clone());
        let messages = self.state.messages.list().iter();
        let ended = messages.filter(|message| Some(&message.id) != active.as_ref());
        for line in ended.map(said).collect::<Vec<_>>() {
            self.line(&line);
        }
        self.grow(active);
    }

    fn event(&mut self, event: &Event) {
        event.fold_into(&mut self.state);
        match event.known() {
            Some(KnownEvent::MessageCreated(MessageCreated(info)))
                if info.role == Some(Role::User) =>
            {
                let said = self.state.messages.list().get(&info.message_id).map(said);
                self.line(&said.unwrap_or_default());
            }
            Some(KnownEvent::TurnStarted(_)) => self.shown.clear(),
            Some(
                KnownEvent::TurnCompleted(_)
                | KnownEvent::TurnInterrupted(_)
                | KnownEvent::TurnFailed(_),
            ) => self.ended(),
            _ => self.grow(self.state.turn.active.as_ref().and_then(|t| t.message_id.clone())),
        }
    }

    /// The answer that came has ended, in one way or another.
    fn ended(&mut self) {
        let Some(turn) = self.state.turn.last.clone() else { return };
        self.grow(turn.message_id);
        self.shown.clear();
        let by = turn.by.map_or_else(String::new, |by| format!(" by {by}"));
        match turn.outcome {
            Outcome::Completed => self.close(),
            outcome => self.line(&format!("-- {}{by}", format!("{outcome:?}").to_lowercase())),
        }
    }

    /// Shows an answer as it is now: its new end, or all of it where it is not the last thing on
    /// the screen.
    fn grow(&mut self, id: Option<Id>) {
        let message = id.and_then(|id| self.state.messages.list().get(&id));
        let Some(text) = message.map(Message::text).filter(|text| *text != self.shown) else {
            return;
        };
        match text.strip_prefix(&self.shown).filter(|_| self.is_open) {
            Some(end) => print!("{end}"),
            None => {
                self.close();
                print!("answer: {text}");
            }
        }
        (self.shown, self.is_open) = (text, true);
    }

    /// A line of its own.
    fn line(&mut self, text: &str) {
        self.close();
        println!("{text}");
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            println!();
        }
    }
}

/// A message in one line.
fn said(message: &Message) -> String {
    let who = match message.role {
        Role::User => message.user_id.as_deref().unwrap_or("somebody"),
        Role::Assistant => "answer",
        Role::System => "system",
    };
    let mark = if message.partial == Some(true) { " --" } else { "" };
    format!("{who}: {}{mark}", message.text())
}
