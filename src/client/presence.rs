//! Being there: a heartbeat every 10 s, and where somebody points, a few times a second.
//!
//! Invariants: no cursor holds a heartbeat up; the last place that was pointed at is always
//! sent. Who leaves without a word is gone for the others after half a minute.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use tokio::sync::watch;

use super::{ClientError, Session, Throttle, task::Task};
use crate::{clock::Clock, wire::commands::NotePresence};

/// How often somebody is said to be there: the server waits three of these.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);
/// How often a cursor is sent at most: the eye sees no more, and each is an event in the log.
const CURSOR_EVERY: Duration = Duration::from_millis(50);

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
        let joined = NotePresence { color: visitor.color.clone(), ..note("joined", &visitor) };
        session.note_presence(&joined).await?;
        let (cursor, cursors) = watch::channel(None);
        let (failed, failure) = watch::channel(None);
        let clock = Arc::clone(&session.client().inner.clock);
        let begun = Beats::new(clock.now_ms());
        let stay = stay((session.clone(), visitor.clone()), clock, begun, cursors, failed);
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
    NotePresence {
        kind: Some(kind.to_owned()),
        user_id: Some(visitor.user_id.clone()),
        name: (kind == "joined").then(|| visitor.name.clone()).flatten(),
        ..NotePresence::default()
    }
}

async fn stay(
    (session, visitor): (Session, Visitor),
    clock: Arc<dyn Clock>,
    mut beats: Beats,
    mut cursors: watch::Receiver<Option<Map<String, Value>>>,
    failed: watch::Sender<Option<Arc<ClientError>>>,
) {
    loop {
        let wait = Duration::from_millis(beats.due_ms().saturating_sub(clock.now_ms()));
        tokio::select! {
            moved = cursors.changed() => {
                // The handle is gone, and this task with it.
                if moved.is_err() {
                    return;
                }
                if let Some(place) = cursors.borrow_and_update().clone() {
                    beats.point(place);
                }
            }
            () = clock.sleep(wait) => {}
        }
        let said = match beats.take_due(clock.now_ms()) {
            None => continue,
            Some(Beat::Heartbeat) => note("heartbeat", &visitor),
            Some(Beat::Cursor(place)) => {
                NotePresence { cursor: Some(place), ..note("cursor", &visitor) }
            }
        };
        let error = session.note_presence(&said).await.err().map(Arc::new);
        failed.send_replace(error);
    }
}

/// What to say when. Pure: the time is handed in.
#[derive(Debug)]
struct Beats {
    heartbeat_ms: u64,
    cursor: Throttle<Map<String, Value>>,
}

/// What to say.
#[derive(Debug, PartialEq)]
enum Beat {
    Heartbeat,
    Cursor(Map<String, Value>),
}

impl Beats {
    fn new(now_ms: u64) -> Self {
        Self { heartbeat_ms: next_heartbeat(now_ms), cursor: Throttle::new(CURSOR_EVERY) }
    }

    fn point(&mut self, place: Map<String, Value>) {
        self.cursor.put(place);
    }

    /// When there is something to say.
    fn due_ms(&self) -> u64 {
        self.cursor.due_ms().unwrap_or(u64::MAX).min(self.heartbeat_ms)
    }

    /// The next thing to say, if it is time. A heartbeat goes before a cursor.
    fn take_due(&mut self, now_ms: u64) -> Option<Beat> {
        // On a clock that was set back the wait begins anew.
        self.heartbeat_ms = self.heartbeat_ms.min(next_heartbeat(now_ms));
        if self.heartbeat_ms <= now_ms {
            self.heartbeat_ms = next_heartbeat(now_ms);
            return Some(Beat::Heartbeat);
        }
        self.cursor.take_due(now_ms).map(Beat::Cursor)
    }
}

fn next_heartbeat(now_ms: u64) -> u64 {
    now_ms.saturating_add(u64::try_from(HEARTBEAT_EVERY.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(x: u64) -> Map<String, Value> {
        [("x".to_owned(), Value::from(x))].into_iter().collect()
    }

    #[test]
    fn a_heartbeat_is_due_every_ten_seconds_and_goes_first() {
        let mut beats = Beats::new(1_000);
        assert_eq!((beats.due_ms(), beats.take_due(10_999)), (11_000, None));
        beats.point(place(1));
        assert_eq!(beats.take_due(11_000), Some(Beat::Heartbeat));
        assert_eq!(beats.take_due(11_000), Some(Beat::Cursor(place(1))));
        assert_eq!((beats.take_due(11_000), beats.due_ms()), (None, 21_000));
        assert_eq!((beats.take_due(50), beats.due_ms()), (None, 10_050), "a clock set back");
    }

    proptest! {
        #[test]
        fn cursors_hold_no_heartbeat_up_and_the_last_one_is_sent(
            waits in prop::collection::vec(0..3_000_u64, 1..60),
        ) {
            let (mut beats, mut now, mut said) = (Beats::new(0), 0, Vec::new());
            for (number, wait) in (0..).zip(&waits) {
                let until = now + wait;
                while beats.due_ms() <= until {
                    now = now.max(beats.due_ms());
                    said.extend(beats.take_due(now).map(|beat| (now, beat)));
                }
                now = until;
                beats.point(place(number));
            }
            while !matches!(said.last(), Some((_, Beat::Cursor(at))) if *at == place(waits.len() as u64 - 1)) {
                now = now.max(beats.due_ms());
                prop_assert!(now < 500_000, "the last one never came");
                said.extend(beats.take_due(now).map(|beat| (now, beat)));
            }
            let heartbeats = said.iter().filter(|(_, beat)| *beat == Beat::Heartbeat);
            let at: Vec<u64> = heartbeats.map(|(at, _)| *at).collect();
            prop_assert_eq!(&at, &(1..=now / 10_000).map(|n| n * 10_000).collect::<Vec<_>>());
            let cursors: Vec<u64> = said.iter()
                .filter(|(_, beat)| *beat != Beat::Heartbeat).map(|(at, _)| *at).collect();
            prop_assert!(cursors.windows(2).all(|pair| pair[1] - pair[0] >= 50));
        }
    }
}
