//! What can be written optimistically, how each kind is sent, and by what its echo is known.
//!
//! Invariant: every kind has an id that the server knows again, so it may be sent any number of
//! times and is done once.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Rejection;
use crate::{
    client::{ClientError, Event, NewEvent, Session, request::with_json},
    wire::{
        bodies::AppendAnswer,
        code::Code,
        commands::{CommandAnswer, SendMessage, TypeInput},
        paths,
    },
};

/// The type of the event that a sent message is echoed by.
const MESSAGE_CREATED: &str = "message.created";
/// The channel of what is typed …
const TERMINAL: &str = "terminal";
/// … and its type.
const TERMINAL_INPUT: &str = "terminal.input";

/// Something to be written in a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Write {
    /// An event. Its echo has its id.
    Event(NewEvent),
    /// A message that starts a turn or waits for one. Its echo is `message.created` with its id.
    Message(SendMessage),
    /// Something typed into a terminal. It is written as the event `terminal.input`, so that it
    /// has an id; unlike the command it is taken in a session that has ended, too.
    Input(TypeInput),
}

impl From<NewEvent> for Write {
    fn from(event: NewEvent) -> Self {
        Self::Event(event)
    }
}

impl From<SendMessage> for Write {
    fn from(message: SendMessage) -> Self {
        Self::Message(message)
    }
}

impl From<TypeInput> for Write {
    fn from(input: TypeInput) -> Self {
        Self::Input(input)
    }
}

impl Write {
    /// The id that it came with.
    pub(super) fn given_id(&self) -> Option<&str> {
        match self {
            Self::Event(event) => event.id.as_deref(),
            Self::Message(message) => message.id.as_deref(),
            Self::Input(_) => None,
        }
    }
}

/// A write in the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub(super) id: String,
    pub(super) write: Write,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expected_offset: Option<u64>,
    pub(super) queued_at_ms: u64,
}

impl Entry {
    /// Its id: that of the event or the message.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What is to be written.
    #[must_use]
    pub fn write(&self) -> &Write {
        &self.write
    }

    /// The offset that it was written against, where that was said.
    #[must_use]
    pub fn expected_offset(&self) -> Option<u64> {
        self.expected_offset
    }

    /// When it was queued, Unix milliseconds.
    #[must_use]
    pub fn queued_at_ms(&self) -> u64 {
        self.queued_at_ms
    }

    /// It is one event and nothing else, so its offset says all about what it wrote.
    pub(super) fn is_one_event(&self) -> bool {
        !matches!(self.write, Write::Message(_))
    }

    /// The event is what became of this.
    pub(super) fn is_echoed_by(&self, event: &Event) -> bool {
        match self.write {
            Write::Message(_) => message_of(event).as_deref() == Some(&self.id),
            _ => event.id() == self.id,
        }
    }

    /// Sends it once, and returns where it is.
    pub(super) async fn send(
        &self,
        session: &Session,
        expected: Option<u64>,
    ) -> Result<u64, ClientError> {
        let (client, id) = (session.client(), Some(self.id.clone()));
        let post = |url: String| client.inner.http.post(url);
        let event = match &self.write {
            Write::Message(message) => {
                let body = SendMessage { id, ..message.clone() };
                let request = post(session.url(paths::SESSION_MESSAGES));
                let answer: CommandAnswer = client.once(with_json(request, &body)?).await?;
                return Ok(answer.offset);
            }
            Write::Event(event) => NewEvent { id, ..event.clone() },
            Write::Input(input) => {
                let data = serde_json::to_value(input).map_err(ClientError::Body)?;
                NewEvent { id, ..NewEvent::new(TERMINAL, TERMINAL_INPUT, data) }
            }
        };
        let request = post(client.url(&paths::events(&session.path())));
        let request = request.query(&[("expectedOffset", expected)]);
        let answer: AppendAnswer = client.once(with_json(request, &event)?).await?;
        Ok(answer.offset)
    }
}

/// The ids by which an event may be the echo of something.
pub(super) fn ids_of(event: &Event) -> impl Iterator<Item = String> {
    [Some(event.id().to_owned()), message_of(event)].into_iter().flatten()
}

fn message_of(event: &Event) -> Option<String> {
    if event.kind() != MESSAGE_CREATED {
        return None;
    }
    let data: Value = event.data_as().ok()?;
    Some(data.get("messageId")?.as_str()?.to_owned())
}

/// A failed try may have reached the log. Who stands between cannot say that it did not.
pub(super) fn may_be_written(error: &ClientError) -> bool {
    matches!(error, ClientError::Status { .. }) || !error.is_unwritten()
}

/// What became of a try to send.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is in the log, at this offset.
    Written(u64),
    /// It is not, and never will be.
    Rejected(Rejection),
    /// Nobody knows, or it may go better later.
    Failed(ClientError),
}

impl Outcome {
    /// What an answer means.
    pub(super) fn of(answer: Result<u64, ClientError>) -> Self {
        let error = match answer {
            Ok(offset) => return Self::Written(offset),
            // A refusal without our words is of something that stands between, such as the page of
            // a hotel's network: it says nothing of the write.
            Err(error @ ClientError::Status { .. }) => return Self::Failed(error),
            Err(error) if error.is_passing() => return Self::Failed(error),
            Err(error) => error,
        };
        match error.problem() {
            Some(problem) if problem.code == Code::OffsetMismatch => {
                let (expected, actual) = (problem.expected, problem.actual);
                Self::Rejected(Rejection::Conflict { expected, actual })
            }
            _ => Self::Rejected(Rejection::Refused(error)),
        }
    }
}
