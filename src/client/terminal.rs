//! A terminal of a session: what it shows, what was typed, and typing.
//!
//! It refuses to know what control characters mean. Invariant: what is typed goes under an id, so
//! that it is sent again when an answer is lost and is written once.

use serde_json::json;

use super::{ClientError, Collections, LiveQuery, NewEvent};
use crate::{
    session::{
        projections::{Input, Line},
        vocabulary::{Id, Kind},
    },
    wire::bodies::AppendAnswer,
};

/// A terminal of a session, over the session's collections.
///
/// ```no_run
/// use scrollback::client::{Client, Collections, Terminal};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let session = Client::new("http://127.0.0.1:4437")?.session("demo");
/// let terminal = Terminal::of(&Collections::follow(&session)).typed_by("u_mara");
/// let written = terminal.send_command("ls -l").await?;
/// terminal.collections().reached(written.offset).await;
/// println!("{:?}", terminal.history().now().first());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Terminal {
    collections: Collections,
    id: Option<Id>,
    user_id: Option<String>,
}

impl Terminal {
    /// The terminal of a session that has one.
    #[must_use]
    pub fn of(collections: &Collections) -> Self {
        Self { collections: collections.clone(), id: None, user_id: None }
    }

    /// The terminal of this id, where a session has several.
    #[must_use]
    pub fn named(mut self, id: Id) -> Self {
        self.id = Some(id);
        self
    }

    /// Who types here: their history is shown, and what is sent is theirs.
    #[must_use]
    pub fn typed_by(mut self, user_id: impl Into<String>) -> Self {
        self.user_id = Some(user_id.into());
        self
    }

    /// The collections it is a view of.
    #[must_use]
    pub fn collections(&self) -> &Collections {
        &self.collections
    }

    /// The lines it shows, in order: the last 1,000 or 256 KiB of them.
    #[must_use]
    pub fn lines(&self) -> LiveQuery<Vec<Line>> {
        let id = self.id.clone();
        self.collections.query(move |state| {
            let screen = state.terminal.terminals.get(&id);
            screen.map(|screen| screen.scroll.lines.iter().cloned().collect()).unwrap_or_default()
        })
    }

    /// What was typed, the newest first: of the session's last 50 inputs those of the user, or all
    /// where none is named.
    #[must_use]
    pub fn history(&self) -> LiveQuery<Vec<Input>> {
        let user = self.user_id.clone();
        self.collections.query(move |state| {
            let inputs = state.terminal.inputs.iter();
            let theirs =
                |input: &&Input| user.is_none() || input.user_id.as_deref() == user.as_deref();
            inputs.filter(theirs).cloned().collect()
        })
    }

    /// The event that types a line and its end. [`Optimistic::send`](super::Optimistic::send) it to
    /// have it shown at once, and sent in order when there is a line again.
    #[must_use]
    pub fn command(&self, line: &str) -> NewEvent {
        self.input(&format!("{}\n", line.strip_suffix('\n').unwrap_or(line)))
    }

    /// Types a line and its end, and waits until it is in the log.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn send_command(&self, line: &str) -> Result<AppendAnswer, ClientError> {
        self.collections.session().write(self.command(line)).await
    }

    /// Types a text as it is, control characters and all.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn send_input(&self, data: &str) -> Result<AppendAnswer, ClientError> {
        // An event and not the command, which has no id and could be done twice.
        self.collections.session().write(self.input(data)).await
    }

    fn input(&self, data: &str) -> NewEvent {
        let mut said = serde_json::Map::new();
        said.insert("data".to_owned(), json!(data));
        said.insert("source".to_owned(), json!("user"));
        let named = [("terminalId", self.id.as_deref()), ("userId", self.user_id.as_deref())];
        for (name, value) in named {
            said.extend(value.map(|value| (name.to_owned(), json!(value))));
        }
        let kind = Kind::TerminalInput;
        NewEvent::new(kind.channel(), kind.as_str(), said.into())
    }
}
