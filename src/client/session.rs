//! One session: its commands, its state and its events.
//!
//! Invariant: a command that has an id, or a place of its own such as a turn or an index, may be
//! sent twice and is done once; ids that are missing are made here, so that it may.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Client, ClientError, FollowOptions, Follower, NewEvent, ReadQuery, State,
    request::{Repeat, with_json},
};
use crate::{
    session::projections::Message,
    wire::{
        bodies::{AppendAnswer, BlameAnswer, EventsAnswer, SessionsAnswer, StateDiffAnswer},
        commands::{
            AddChunks, Because, ChangeSession, CommandAnswer, CompleteTurn, FailTurn,
            InterruptTurn, NotePresence, ReplyPermission, SayReady, SendMessage, StartSession,
            TypeInput,
        },
        paths,
    },
};

/// A session, by its id. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Session {
    client: Client,
    id: String,
}

/// The moment of a state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StateAt {
    /// Now.
    #[default]
    Tail,
    /// After the record at this offset.
    Offset(u64),
    /// At this time, Unix milliseconds.
    TimeMs(u64),
}

/// Which sessions to list. What is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ListQuery {
    /// `active`, `idle`, `busy` or `ended`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The worker they belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The session they were begun from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Only those that were begun from none.
    pub roots: bool,
    /// With archived ones.
    pub archived: bool,
    /// A part of their title or id, in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The cursor of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

type Answered = Result<CommandAnswer, ClientError>;

impl Client {
    /// Begins a session, under a made id where it has none.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn start(&self, mut start: StartSession) -> Answered {
        start.id.get_or_insert_with(|| self.new_id());
        self.post(paths::SESSIONS, &start, Repeat::Safe).await
    }

    /// A page of the list of sessions, the newest first.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn sessions(&self, query: &ListQuery) -> Result<SessionsAnswer, ClientError> {
        self.get(paths::SESSIONS, query).await
    }
}

impl Session {
    pub(super) fn new(client: Client, id: String) -> Self {
        Self { client, id }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The client it is asked through.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The path of its stream.
    #[must_use]
    pub fn path(&self) -> String {
        format!("sessions/{}", self.id)
    }

    /// Changes what it is: the fields that are there.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn change(&self, change: &ChangeSession) -> Answered {
        let request = self.client.inner.http.patch(self.url(paths::SESSION));
        self.client.answer(with_json(request, change)?, Repeat::Safe).await
    }

    /// Deletes it.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn delete(&self, because: &Because) -> Answered {
        let request = self.client.inner.http.delete(self.url(paths::SESSION));
        self.client.answer(with_json(request, because)?, Repeat::Safe).await
    }

    /// Ends it; it stays to be read.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn end(&self, because: &Because) -> Answered {
        self.command(paths::SESSION_END, because, Repeat::Safe).await
    }

    /// Sends a message, under a made id where it has none. It starts a turn, or waits for one.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn send(&self, mut message: SendMessage) -> Answered {
        message.id.get_or_insert_with(|| self.client.new_id());
        self.command(paths::SESSION_MESSAGES, &message, Repeat::Safe).await
    }

    /// Sends a message that is a text.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn say(&self, text: impl Into<String>) -> Answered {
        self.send(SendMessage { text: Some(text.into()), ..SendMessage::default() }).await
    }

    /// Stops the turn that runs, or the one that is named.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn interrupt(&self, interrupt: &InterruptTurn) -> Answered {
        // Sent twice, it could stop the turn after.
        let is_named = interrupt.turn_id.is_some();
        let repeat = if is_named { Repeat::Safe } else { Repeat::Unwritten };
        self.command(paths::SESSION_INTERRUPT, interrupt, repeat).await
    }

    /// Takes back a message that waits for its turn.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn dequeue(&self, message_id: &str, because: &Because) -> Answered {
        let route = named(paths::SESSION_QUEUED, "{messageId}", message_id);
        let request = self.client.inner.http.delete(self.url(&route));
        self.client.answer(with_json(request, because)?, Repeat::Safe).await
    }

    /// Says who is there.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn note_presence(&self, presence: &NotePresence) -> Answered {
        self.command(paths::SESSION_PRESENCE, presence, Repeat::Safe).await
    }

    /// Types into a terminal. It has no id: it is sent again only where nothing was written.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn type_input(&self, input: &TypeInput) -> Answered {
        self.command(paths::SESSION_TERMINAL_INPUT, input, Repeat::Unwritten).await
    }

    /// Answers a request for permission.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn reply(&self, permission_id: &str, reply: &ReplyPermission) -> Answered {
        let route = named(paths::SESSION_PERMISSION_REPLY, "{permissionId}", permission_id);
        self.command(&route, reply, Repeat::Safe).await
    }

    /// Says, as a worker, that it has taken the session up.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn ready(&self, ready: &SayReady) -> Answered {
        self.command(paths::SESSION_READY, ready, Repeat::Safe).await
    }

    /// Adds pieces to the answer of a turn, as a worker. Pieces with an index may be sent twice.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn add_chunks(&self, turn_id: &str, chunks: &AddChunks) -> Answered {
        let repeat = if chunks.index.is_some() { Repeat::Safe } else { Repeat::Unwritten };
        self.command(&named(paths::TURN_CHUNKS, "{turnId}", turn_id), chunks, repeat).await
    }

    /// Ends a turn with its whole answer, as a worker.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn complete(&self, turn_id: &str, complete: &CompleteTurn) -> Answered {
        let route = named(paths::TURN_COMPLETE, "{turnId}", turn_id);
        self.command(&route, complete, Repeat::Safe).await
    }

    /// Ends a turn with an error, as a worker.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn fail(&self, turn_id: &str, fail: &FailTurn) -> Answered {
        self.command(&named(paths::TURN_FAIL, "{turnId}", turn_id), fail, Repeat::Safe).await
    }

    /// Appends an event of any kind, under a made id where it has none.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn write(&self, event: NewEvent) -> Result<AppendAnswer, ClientError> {
        self.client.write(&self.path(), event).await
    }

    /// One page of its events.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn read(&self, query: &ReadQuery) -> Result<EventsAnswer, ClientError> {
        self.client.events(&self.path(), query).await
    }

    /// The state of some projections at a moment, of all where none is named.
    ///
    /// # Errors
    /// The server is out of reach or refuses, or the moment is no longer kept.
    pub async fn state(&self, at: StateAt, projections: &[&str]) -> Result<State, ClientError> {
        let mut query = Vec::new();
        match at {
            StateAt::Tail => {}
            StateAt::Offset(offset) => query.push(("at", offset.to_string())),
            StateAt::TimeMs(ms) => query.push(("atTime", ms.to_string())),
        }
        if !projections.is_empty() {
            query.push(("projections", projections.join(",")));
        }
        self.client.get(&self.route(paths::STATE), &query).await
    }

    /// What changed in the state between two offsets, as a JSON Patch.
    ///
    /// # Errors
    /// The server is out of reach or refuses, or an offset is no longer kept.
    pub async fn diff(
        &self,
        from: u64,
        to: u64,
        projections: &[&str],
    ) -> Result<StateDiffAnswer, ClientError> {
        let mut query = vec![("from", from.to_string()), ("to", to.to_string())];
        if !projections.is_empty() {
            query.push(("projections", projections.join(",")));
        }
        self.client.get(&self.route(paths::STATE_DIFF), &query).await
    }

    /// Which event set what stands at a place of the state, such as `/messages/0/state`.
    ///
    /// # Errors
    /// The server is out of reach or refuses, or nothing stands there.
    pub async fn blame(&self, pointer: &str, at: Option<u64>) -> Result<BlameAnswer, ClientError> {
        let query = [("pointer", Some(pointer.to_owned())), ("at", at.map(|at| at.to_string()))];
        self.client.get(&self.route(paths::BLAME), &query).await
    }

    /// A page of the conversation: the newest `limit` messages but for the last `offset`.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn messages(&self, limit: usize, offset: usize) -> Result<Messages, ClientError> {
        let query = [("limit", limit), ("offset", offset)];
        self.client.get(&self.route(paths::MESSAGES), &query).await
    }

    /// One message as it stands.
    ///
    /// # Errors
    /// The server is out of reach or refuses, or the session has no such message.
    pub async fn message(&self, message_id: &str) -> Result<Message, ClientError> {
        let route = named(paths::MESSAGE, "{mid}", message_id);
        let shown: Shown = self.client.get(&self.route(&route), &()).await?;
        Ok(shown.message)
    }

    /// One of the views of a session, such as `presence`: the answer of its route as a type of
    /// yours.
    ///
    /// # Errors
    /// The server is out of reach or refuses, or the answer is not of that type.
    pub async fn view<T: DeserializeOwned>(&self, name: &str) -> Result<T, ClientError> {
        self.client.get(&format!("{}/{name}", self.route(paths::SESSION)), &()).await
    }

    /// Follows its events after an offset; 0 is the beginning.
    #[must_use]
    pub fn follow(&self, from_offset: u64) -> Follower {
        self.follow_with(FollowOptions::after(from_offset))
    }

    /// Follows its events.
    #[must_use]
    pub fn follow_with(&self, options: FollowOptions) -> Follower {
        self.client.follow(&self.path(), options)
    }

    /// The state of all projections first, then every event after it.
    #[must_use]
    pub fn snapshot_then_follow(&self) -> Follower {
        self.follow_with(FollowOptions::default().snapshot::<String>([]))
    }

    async fn command(
        &self,
        route: &str,
        body: &(impl serde::Serialize + Sync),
        repeat: Repeat,
    ) -> Answered {
        self.client.post(&self.route(route), body, repeat).await
    }

    fn route(&self, route: &str) -> String {
        named(route, "{id}", &self.id)
    }

    pub(super) fn url(&self, route: &str) -> String {
        self.client.url(&self.route(route))
    }
}

/// A route with one of its places filled in.
fn named(route: &str, place: &str, name: &str) -> String {
    // A name is one segment, whatever it holds.
    route.replace(place, &paths::escaped(name).replace('/', "%2F"))
}

/// The answer about one message.
#[derive(serde::Deserialize)]
struct Shown {
    message: Message,
}

/// A page of a conversation.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Messages {
    /// The messages, oldest first, as the `messages` projection has them.
    pub messages: Vec<Value>,
    /// There are older ones.
    pub has_more: bool,
    /// How many there are in all.
    pub total: usize,
    /// The offset at which they stand.
    #[serde(rename = "logOffset")]
    pub offset: u64,
}
