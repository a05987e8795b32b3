//! Being there: a heartbeat every 10 s, and where somebody points, a few times a second.
//!
//! Invariants: no cursor holds a heartbeat up, and none that hangs the next one; the last place
//! that was pointed at is always sent. Who leaves without a word is gone for the others after half
//! a minute, and who was taken for gone comes back with name and colour.

use std::{future::Future, sync::Arc, time::Duration};

use serde_json::{Map, Value};
use tokio::sync::watch;

use super::{ClientError, Session, task::Task};
use crate::{clock::Clock, wire::commands::NotePresence};

/// How often somebody is said to be there: the server waits three of these.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);
/// How often a cursor is sent at most: the eye sees no more, and each is an event in the log.
const CURSOR_EVERY: Duration = Duration::from_millis(50);
/// How long each is waited for: so one heartbeat may hang, and the next is in time.
const SAID_WITHIN: Duration = Duration::from_secs(5);
/// Whoever has not been heard of for so long may have been taken for gone: they come anew, because
/// a heartbeat does not say the colour. Longer than between two heartbeats, of which one hangs.
const ANEW_AFTER: Duration = Duration::from_secs(20);

/// Somebody who looks at a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visitor {
    /// The user.
    pub user_id: String,
    /// Their name.
    pub name: Option<String>,
    /// The colour they are shown in.
    pub color: Option<String>,
}

/// Somebody is there, as long as this is kept. Dropping it is leaving without a word; the server
/// notices after half a minute. [`Presence::leave`] says so at once.
///
/// ```no_run
/// use scrollback::client::{Client, Presence, Visitor};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let session = Client::new("http://127.0.0.1:4437")?.session("demo");
/// let mara = Visitor { user_id: "u_mara".to_owned(), ..Visitor::default() };
/// let presence = Presence::join(&session, mara).await?;
/// presence.point_at(12.0, 40.5);
/// presence.leave().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Presence {
    session: Session,
    visitor: Visitor,
    cursor: watch::Sender<Option<Map<String, Value>>>,
    failure: watch::Receiver<Option<Arc<ClientError>>>,
    task: Task,
}

impl Presence {
    /// Says that somebody has come, and from then on every 10 s that they are there. It must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn join(session: &Session, visitor: Visitor) -> Result<Self, ClientError> {
        session.note_presence(&note("joined", &visitor)).await?;
        let (cursor, cursors) = watch::channel(None);
        let (failed, failure) = watch::channel(None);
        let clock = Arc::clone(&session.client().inner.clock);
        let say = {
            let session = session.clone();
            move |said: NotePresence| {
                let session = session.clone();
                async move { session.note_presence(&said).await.map(drop) }
            }
        };
        let stay = stay(visitor.clone(), Voice { say, clock, failed }, cursors);
        let (session, task) = (session.clone(), Task::spawn(stay));
        Ok(Self { session, visitor, cursor, failure, task })
    }

    /// Points at a place, of which the newest is sent at most every 50 ms. It does not wait.
    pub fn point_at(&self, x: f64, y: f64) {
        let place = [("x", x), ("y", y)].map(|(name, at)| (name.to_owned(), Value::from(at)));
        self.point(place.into_iter().collect());
    }

    /// The same with whatever says the place among your clients.
    pub fn point(&self, place: Map<String, Value>) {
        self.cursor.send_replace(Some(place));
    }

    /// Why the last heartbeat or cursor did not reach the server; `None` where it did. The next
    /// ones are tried all the same.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<ClientError>> {
        self.failure.borrow().clone()
    }

    /// Says that they have gone.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn leave(self) -> Result<(), ClientError> {
        let Self { session, visitor, task, .. } = self;
        // A heartbeat after the word would bring them back.
        task.end().await;
        session.note_presence(&note("left", &visitor)).await.map(drop)
    }
}

fn note(kind: &str, visitor: &Visitor) -> NotePresence {
    let of_joined = |field: &Option<String>| field.clone().filter(|_| kind == "joined");
    NotePresence {
        kind: Some(kind.to_owned()),
        user_id: Some(visitor.user_id.clone()),
        name: of_joined(&visitor.name),
        color: of_joined(&visitor.color),
        ..NotePresence::default()
    }
}

/// Says things to the server, each within its time.
struct Voice<S> {
    say: S,
    clock: Arc<dyn Clock>,
    failed: watch::Sender<Option<Arc<ClientError>>>,
}

impl<S, F> Voice<S>
where
    S: Fn(NotePresence) -> F,
    F: Future<Output = Result<(), ClientError>>,
{
    /// Says something, and notes why it was not heard. Whether it was.
    async fn say(&self, said: NotePresence) -> bool {
        let heard = tokio::select! {
            heard = (self.say)(said) => heard,
            () = self.clock.sleep(SAID_WITHIN) => {
                Err(ClientError::Slow { secs: SAID_WITHIN.as_secs() })
            }
        };
        let error = heard.err().map(Arc::new);
        let is_heard = error.is_none();
        self.failed.send_replace(error);
        is_heard
    }
}

/// Heartbeats and cursors, beside each other, until nobody can point any more.
async fn stay<S, F>(
    visitor: Visitor,
    voice: Voice<S>,
    cursors: watch::Receiver<Option<Map<String, Value>>>,
) where
    S: Fn(NotePresence) -> F,
    F: Future<Output = Result<(), ClientError>>,
{
    tokio::select! {
        () = beat(&visitor, &voice) => {}
        () = point(&visitor, &voice, cursors) => {}
    }
}

async fn beat<S, F>(visitor: &Visitor, voice: &Voice<S>)
where
    S: Fn(NotePresence) -> F,
    F: Future<Output = Result<(), ClientError>>,
{
    let anew_after_ms = u64::try_from(ANEW_AFTER.as_millis()).unwrap_or(u64::MAX);
    let mut heard_ms = Some(voice.clock.now_ms());
    loop {
        voice.clock.sleep(HEARTBEAT_EVERY).await;
        let now_ms = voice.clock.now_ms();
        let silent_ms = heard_ms.map(|heard_ms| now_ms.saturating_sub(heard_ms));
        let is_known = silent_ms.is_some_and(|silent_ms| silent_ms < anew_after_ms);
        let said = note(if is_known { "heartbeat" } else { "joined" }, visitor);
        heard_ms = voice.say(said).await.then_some(now_ms);
    }
}

async fn point<S, F>(
    visitor: &Visitor,
    voice: &Voice<S>,
    mut cursors: watch::Receiver<Option<Map<String, Value>>>,
) where
    S: Fn(NotePresence) -> F,
    F: Future<Output = Result<(), ClientError>>,
{
    // It ends when the handle is gone, and this task with it.
    while cursors.changed().await.is_ok() {
        let cursor = cursors.borrow_and_update().clone();
        let said = NotePresence { cursor, ..note("cursor", visitor) };
        let pause = voice.clock.sleep(CURSOR_EVERY);
        tokio::join!(voice.say(said), pause);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt;
    use parking_lot::Mutex;

    use super::*;
    use crate::clock::ManualClock;

    /// A server of one visitor, on a clock that stands.
    struct Fixture {
        clock: Arc<ManualClock>,
        cursor: watch::Sender<Option<Map<String, Value>>>,
        failure: watch::Receiver<Option<Arc<ClientError>>>,
        server: Arc<Mutex<Server>>,
        stay: Pin<Box<dyn Future<Output = ()>>>,
    }

    #[derive(Default)]
    struct Server {
        /// What was said, with the second.
        said: Vec<String>,
        /// Words of this kind get no answer.
        hanging: &'static str,
    }

    impl Fixture {
        fn new() -> Self {
            let clock = ManualClock::at(0);
            let (cursor, cursors) = watch::channel(None);
            let (failed, failure) = watch::channel(None);
            let server = Arc::new(Mutex::new(Server::default()));
            let (asked, at) = (Arc::clone(&server), Arc::clone(&clock));
            let say = move |said: NotePresence| {
                let mut server = asked.lock();
                let (kind, at) = (said.kind.unwrap(), at.now_ms());
                let x = said.cursor.map(|cursor| cursor["x"].to_string()).unwrap_or_default();
                let who = [said.name, said.color].into_iter().flatten().collect::<String>();
                server.said.push(format!("{at} {kind} {x}{who}").trim().to_owned());
                let hangs = server.hanging == kind;
                async move { if hangs { std::future::pending().await } else { Ok(()) } }
            };
            let (name, color) = (Some("Mara ".to_owned()), Some("teal".to_owned()));
            let visitor = Visitor { user_id: "u".to_owned(), name, color };
            let voice = Voice { say, clock: clock.clone(), failed };
            let mut stay: Pin<Box<dyn Future<Output = ()>>> =
                Box::pin(stay(visitor, voice, cursors));
            assert!((&mut stay).now_or_never().is_none());
            Self { clock, cursor, failure, server, stay }
        }

        fn pass(&mut self, ms: u64) {
            for _ in 0..ms / 10 {
                self.clock.advance(Duration::from_millis(10));
                assert!((&mut self.stay).now_or_never().is_none());
            }
        }

        fn point(&mut self, x: u64) {
            self.cursor.send_replace(Some([("x".to_owned(), x.into())].into_iter().collect()));
            assert!((&mut self.stay).now_or_never().is_none());
        }

        fn said(&self) -> Vec<String> {
            std::mem::take(&mut self.server.lock().said)
        }
    }

    #[test]
    fn a_heartbeat_comes_every_ten_seconds_and_the_newest_place_every_fifty_milliseconds() {
        let mut visit = Fixture::new();
        for x in 0..8 {
            visit.point(x);
            visit.pass(20);
        }
        visit.pass(30_000);
        let said = visit.said();
        assert_eq!(said[..4], ["0 cursor 0", "50 cursor 2", "100 cursor 4", "150 cursor 7"]);
        assert_eq!(said[4..], ["10000 heartbeat", "20000 heartbeat", "30000 heartbeat"]);
    }

    #[test]
    fn a_cursor_that_hangs_holds_no_heartbeat_up_and_the_last_one_comes_after_it() {
        let mut visit = Fixture::new();
        visit.server.lock().hanging = "cursor";
        visit.pass(8_000);
        visit.point(1);
        visit.point(2);
        visit.pass(2_000);
        assert_eq!(visit.said(), ["8000 cursor 1", "10000 heartbeat"]);
        visit.pass(3_000);
        assert_eq!(visit.said(), ["13000 cursor 2"]);
        assert!(matches!(visit.failure.borrow().as_deref(), Some(ClientError::Slow { secs: 5 })));
    }

    #[test]
    fn who_was_not_heard_comes_again_with_name_and_colour() {
        let mut visit = Fixture::new();
        visit.server.lock().hanging = "heartbeat";
        visit.pass(10_000);
        visit.server.lock().hanging = "";
        visit.pass(25_000);
        assert_eq!(visit.said(), ["10000 heartbeat", "25000 joined Mara teal", "35000 heartbeat"]);
        assert!(visit.failure.borrow().is_none());
        // The machine was asleep, and nothing failed.
        visit.clock.advance(Duration::from_mins(1));
        visit.pass(10);
        assert_eq!(visit.said(), ["95010 joined Mara teal"]);
    }
}
