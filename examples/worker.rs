//! A worker that answers whatever is asked in any session, word by word.
//!
//! ```text
//! cargo run -- serve                            # a server
//! cargo run --example worker                    # this; end and start it as you like
//! cargo run --example chat -- demo ann          # somebody who asks
//! ```
//!
//! It follows all sessions with one cursor. Pieces of an answer have numbers, so it may be killed
//! in the middle of a word, and so may the server: the next one reads from the state how far the
//! answer is, and goes on there. Somebody interrupts: its next piece is refused, and it stops.
//! `SCROLLBACK_URL` names another server than `http://127.0.0.1:4437`.

use std::{collections::BTreeMap, env, time::Duration};

use futures_util::StreamExt;
use scrollback::{
    client::{
        Client, ClientError, Event, Followed, Follower, ListQuery, RetryPolicy, Session, StateAt,
        Waits,
    },
    clock::{Clock, SystemClock},
    session::{projections::turn::Turn, vocabulary::KnownEvent},
    wire::{
        code::Code,
        commands::{AddChunks, CompleteTurn, SayReady},
    },
};
use tokio::time::MissedTickBehavior;

/// The model thinks of a word.
const WORD_EVERY: Duration = Duration::from_millis(150);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ClientError> {
    let url = env::var("SCROLLBACK_URL").unwrap_or_else(|_| "http://127.0.0.1:4437".to_owned());
    // Where the server is away, there is nothing better to do than to wait for it.
    let retry = RetryPolicy { tries: u32::MAX, waits: Waits::FOLLOWER };
    let client = Client::builder(url).retry(retry).build()?;
    let mut worker = Worker { client, jobs: BTreeMap::new() };
    let mut follower = worker.begin().await?;
    let mut words = tokio::time::interval(WORD_EVERY);
    words.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            followed = follower.next() => match followed {
                Some(Followed::Event(event)) => worker.hear(&event).await?,
                // Another log than before: what was known of it is worth nothing.
                Some(Followed::Reset(_)) => follower = worker.begin().await?,
                Some(Followed::Reconnecting { wait, why, .. }) => {
                    println!("{why}; again in {} s", wait.as_secs());
                }
                Some(Followed::Ended(ended)) => println!("the end: {ended}"),
                Some(_) => {}
                None => return Ok(()),
            },
            _ = words.tick(), if !worker.jobs.is_empty() => worker.say_words().await,
        }
    }
}

/// The turns that are being answered, by their ids.
struct Worker {
    client: Client,
    jobs: BTreeMap<String, Job>,
}

/// One answer on its way.
struct Job {
    session: Session,
    words: Vec<String>,
    /// The index of the word that comes next.
    next: u64,
}

impl Worker {
    /// Takes up the turns that run, and follows what comes after the list that named them.
    async fn begin(&mut self) -> Result<Follower, ClientError> {
        self.jobs.clear();
        let mut query = ListQuery { status: Some("busy".to_owned()), ..ListQuery::default() };
        let mut page = self.client.sessions(&query).await?;
        let position = page.position;
        loop {
            for session in &page.sessions {
                let id = session.get("id").and_then(|id| id.as_str()).unwrap_or_default();
                self.take_up(self.client.session(id)).await?;
            }
            query.cursor = page.cursor;
            if query.cursor.is_none() {
                return Ok(self.client.follow_across(["session:*"], position));
            }
            page = self.client.sessions(&query).await?;
        }
    }

    async fn hear(&mut self, event: &Event) -> Result<(), ClientError> {
        let session = event.stream().and_then(|path| path.strip_prefix("sessions/"));
        let Some(session) = session.map(|id| self.client.session(id)) else { return Ok(()) };
        match event.known() {
            Some(KnownEvent::TurnStarted(_)) => self.take_up(session).await,
            Some(KnownEvent::TurnInterrupted(turn)) => {
                if let Some(job) = self.jobs.remove(turn.turn_id.as_str()) {
                    println!("{}: stopped: somebody interrupted", job.session.id());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn take_up(&mut self, session: Session) -> Result<(), ClientError> {
        loop {
            match self.answer(&session).await {
                // The turn waits for us; nobody else would take it up.
                Err(error) if error.is_passing() => SystemClock.sleep(WORD_EVERY).await,
                // The session was deleted meanwhile, or the like.
                Err(error) if error.problem().is_some() => {
                    println!("passed over: {error}");
                    return Ok(());
                }
                done => return done,
            }
        }
    }

    /// Begins to answer the turn that runs in a session, or goes on where somebody stopped.
    async fn answer(&mut self, session: &Session) -> Result<(), ClientError> {
        let state = session.state(StateAt::Tail, &["turn"]).await?;
        let turn: Option<Turn> = state.get("turn").map_err(ClientError::Body)?;
        let Some(turn) = turn.and_then(|turn| turn.active) else { return Ok(()) };
        let Some(question) = turn.user_message_id else { return Ok(()) };
        if self.jobs.contains_key(turn.turn_id.as_str()) {
            return Ok(());
        }
        let question = session.message(&question).await?.text();
        session.ready(&SayReady { worker_id: Some("example".to_owned()) }).await?;
        println!("{}: {question:?}, from word {} on", session.id(), turn.pieces);
        let job = Job { session: session.clone(), words: answer(&question), next: turn.pieces };
        self.jobs.insert(turn.turn_id.to_string(), job);
        Ok(())
    }

    /// The next word of every answer.
    async fn say_words(&mut self) {
        let mut over = Vec::new();
        for (turn_id, job) in &mut self.jobs {
            if let Some(how) = job.step(turn_id).await {
                println!("{}: {how}", job.session.id());
                over.push(turn_id.clone());
            }
        }
        self.jobs.retain(|turn_id, _| !over.contains(turn_id));
    }
}

impl Job {
    /// Says the next word; how the answer ended, where it did.
    async fn step(&mut self, turn_id: &str) -> Option<&'static str> {
        let word = usize::try_from(self.next).ok().and_then(|next| self.words.get(next));
        let is_last = word.is_none();
        let answered = match word.cloned() {
            Some(text) => {
                let (index, text) = (Some(self.next), Some(text));
                let chunks = AddChunks { index, text, ..AddChunks::default() };
                self.session.add_chunks(turn_id, &chunks).await
            }
            None => {
                let text = Some(self.words.concat());
                let complete = CompleteTurn { text, ..CompleteTurn::default() };
                self.session.complete(turn_id, &complete).await
            }
        };
        let error = match answered {
            Ok(_) if is_last => return Some("answered"),
            Ok(answer) => {
                self.next = answer.next.unwrap_or(self.next + 1);
                return None;
            }
            Err(error) => error,
        };
        match error.problem().map(|problem| (problem.code, problem.expected)) {
            Some((Code::PieceMissing, Some(expected))) => self.next = expected,
            Some((Code::TurnEnded, _)) => return Some("stopped: somebody interrupted"),
            // The server is on its way back: the same word again, which has a number.
            _ if error.is_passing() => {}
            _ => return Some("stopped: there is nothing to answer any more"),
        }
        None
    }
}

/// What a model would say. The same question has the same answer, which another worker goes on with.
fn answer(question: &str) -> Vec<String> {
    let text = format!(
        "You said: {question}. I am a small example, and I know nothing better to say than this, \
         but I say it one word after the other."
    );
    text.split_inclusive(' ').map(str::to_owned).collect()
}
