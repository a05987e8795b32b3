//! What there is of a session, kept up to date: its state in memory, folded as the server folds
//! it, and live queries over it.
//!
//! It refuses to know how events travel. Invariants: one follower feeds any number of queries; the
//! state is always that of one offset; a query sees it between two flushes of the coalescer, never
//! within one.

mod feed;
mod query;

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

pub use self::query::LiveQuery;
use super::{Ended, FollowOptions, Session, task::Task};
use crate::session::{
    projections::{Agent, Call, Message, Pieces, Present, Projections, Terminal},
    vocabulary::Id,
};

/// The collections of a session. Cheap to clone; when the last clone goes, the follower ends.
///
/// ```no_run
/// use futures_util::StreamExt;
/// use scrollback::client::{Client, Collections};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let session = Client::new("http://127.0.0.1:4437")?.session("demo");
/// let collections = Collections::follow(&session);
/// let mut last = collections.query(|state| state.messages.list().last().map(|it| it.text()));
/// while let Some(text) = last.next().await {
///     println!("{}", text.unwrap_or_default());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Collections {
    session: Session,
    kept: Arc<RwLock<Kept>>,
    standing: watch::Receiver<Standing>,
    task: Arc<Mutex<Option<Task>>>,
}

/// A state, and the stream that it is of: what a follower needs to go on where another stopped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// The state.
    pub state: Projections,
    /// The epoch of its stream. Where it is not known, nobody can say whether the stream goes on
    /// from here, and the state comes anew.
    pub epoch: Option<String>,
}

/// How far collections are.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// The offset of the state.
    pub offset: u64,
    /// There is a state. Before, all collections are empty.
    pub is_filled: bool,
    /// Everything that was there when the line began has come, and the line stands.
    pub is_live: bool,
    /// Why nothing comes any more.
    pub over: Option<Arc<Over>>,
}

/// Why nothing comes any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Over {
    /// The stream is over, or the server refuses.
    #[error(transparent)]
    Ended(Ended),
    /// The server's state is of another version.
    #[error("the server's state cannot be read ({0}): take the client of the server's version")]
    Unreadable(serde_json::Error),
}

impl Collections {
    /// Follows a session: its state first, then every event after it. It must be called within a
    /// tokio runtime.
    #[must_use]
    pub fn follow(session: &Session) -> Self {
        Self::begin(session, None)
    }

    /// Goes on where other collections of the session stopped; where the stream does not, begins
    /// anew. It must be called within a tokio runtime.
    #[must_use]
    pub fn resume(session: &Session, kept: Kept) -> Self {
        Self::begin(session, Some(kept))
    }

    fn begin(session: &Session, from: Option<Kept>) -> Self {
        let is_filled = from.is_some();
        let kept = from.unwrap_or_default();
        let offset = kept.state.offset;
        let standing = Standing { offset, is_filled, ..Standing::default() };
        let after = kept.epoch.clone().map(|epoch| FollowOptions::after(offset).epoch(epoch));
        let kept = Arc::new(RwLock::new(kept));
        let (told, standing) = watch::channel(standing);
        let feed = feed::Feed::new(session.clone(), Arc::clone(&kept), told);
        let task = Arc::new(Mutex::new(Some(Task::spawn(feed.run(after)))));
        Self { session: session.clone(), kept, standing, task }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// How far they are.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Completes when the state stands at this offset or later, such as that of a command's
    /// answer. False where it never will.
    pub async fn reached(&self, offset: u64) -> bool {
        let mut standing = self.standing.clone();
        let there = |standing: &Standing| standing.is_filled && standing.offset >= offset;
        standing.wait_for(there).await.is_ok()
    }

    /// Completes when everything that was there has come, and the line stands. False where it
    /// never will.
    pub async fn is_live(&self) -> bool {
        self.standing.clone().wait_for(|standing| standing.is_live).await.is_ok()
    }

    /// Reads something of the state as it is.
    pub fn read<T>(&self, read: impl FnOnce(&Projections) -> T) -> T {
        read(&self.kept.read().state)
    }

    /// What `read` says of the state, now and whenever it says something else. It is called under
    /// the lock of the state, once for each flush, when the stream is polled; so it should be
    /// quick.
    #[must_use]
    pub fn query<T>(&self, read: impl Fn(&Projections) -> T + Send + Sync + 'static) -> LiveQuery<T>
    where
        T: Clone + PartialEq + Send + 'static,
    {
        LiveQuery::new(Arc::clone(&self.kept), self.standing.clone(), read)
    }

    /// The conversation. Pieces of answers are joined by agent and turn.
    #[must_use]
    pub fn messages(&self) -> LiveQuery<Vec<Message>> {
        self.query(|state| state.messages.list().iter().cloned().collect())
    }

    /// The calls of tools.
    #[must_use]
    pub fn tool_calls(&self) -> LiveQuery<Vec<Call>> {
        self.query(|state| state.tool_calls.list().iter().cloned().collect())
    }

    /// Answers as they came, joined by agent, turn and message.
    #[must_use]
    pub fn chunks(&self) -> LiveQuery<Vec<Pieces>> {
        self.query(|state| state.chunks.list().iter().cloned().collect())
    }

    /// Who is there.
    #[must_use]
    pub fn presence(&self) -> LiveQuery<Vec<Present>> {
        self.query(|state| state.presence.users().iter().cloned().collect())
    }

    /// The terminals, with their lines and what people typed.
    #[must_use]
    pub fn terminal(&self) -> LiveQuery<Terminal> {
        self.query(|state| state.terminal.clone())
    }

    /// What agents do.
    #[must_use]
    pub fn agents(&self) -> LiveQuery<Vec<Agent>> {
        self.query(|state| state.agents.list().iter().cloned().collect())
    }

    /// One message.
    #[must_use]
    pub fn message(&self, id: Id) -> LiveQuery<Option<Message>> {
        self.query(move |state| state.messages.list().get(&id).cloned())
    }

    /// Ends the follower, of all clones. The state stays to be read; queries end.
    pub fn stop(&self) {
        let task = self.task.lock().take();
        drop(task);
    }

    /// The state as it is, to go on from later; `None` where there is none yet.
    #[must_use]
    pub fn keep(&self) -> Option<Kept> {
        self.standing.borrow().is_filled.then(|| self.kept.read().clone())
    }
}
