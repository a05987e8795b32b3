//! Why a command is rejected: facts, and no word about how they are answered.

use crate::session::{
    projections::turn::Outcome,
    vocabulary::{Id, permission::Reply},
};

/// Why a command was rejected. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Nothing was ever said in the session.
    #[error("there is no such session")]
    SessionNotFound,
    /// The session is deleted.
    #[error("the session is deleted")]
    SessionDeleted,
    /// The session has ended.
    #[error("the session has ended")]
    SessionEnded,
    /// The session was begun with other settings.
    #[error("the session was begun with other settings")]
    StartedOtherwise,
    /// A message has neither text nor parts.
    #[error("a message has a text or parts")]
    EmptyMessage,
    /// Another message has this id.
    #[error("another message has the id `{message_id}`")]
    MessageIdTaken {
        /// The id.
        message_id: Id,
    },
    /// Too much waits already.
    #[error("the queue is full: {messages} messages with {bytes} bytes wait")]
    QueueFull {
        /// Messages that wait.
        messages: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// There is no such message.
    #[error("there is no message `{message_id}`")]
    MessageNotFound {
        /// The message.
        message_id: Id,
    },
    /// The message does not wait: it is answered, or was.
    #[error("the message `{message_id}` does not wait for a turn")]
    MessageNotQueued {
        /// The message.
        message_id: Id,
        /// The turn that answers it.
        turn_id: Option<Id>,
    },
    /// There is no turn to stop.
    #[error("no turn is running")]
    NothingRuns {
        /// The turn that ran last, and how it ended.
        last: Option<(Id, Outcome)>,
    },
    /// There is no such turn, or it ended too long ago to be remembered.
    #[error("there is no turn `{turn_id}`")]
    TurnNotFound {
        /// The turn.
        turn_id: Id,
    },
    /// The turn waits in the queue.
    #[error("the turn `{turn_id}` has not started")]
    TurnNotStarted {
        /// The turn.
        turn_id: Id,
    },
    /// The turn has ended, and otherwise.
    #[error("the turn `{turn_id}` has ended already")]
    TurnEnded {
        /// The turn.
        turn_id: Id,
        /// How it ended.
        outcome: Outcome,
        /// The event that ended it.
        offset: u64,
    },
    /// Pieces between the last one and the first of these are missing.
    #[error("the next piece is {next}, not {given}")]
    PieceMissing {
        /// The index of the piece that comes next.
        next: u64,
        /// The index that was given.
        given: u64,
    },
    /// There is no such request, or it was answered too long ago to be remembered.
    #[error("there is no request `{permission_id}`")]
    PermissionNotFound {
        /// The request.
        permission_id: Id,
    },
    /// The request was answered otherwise.
    #[error("the request `{permission_id}` was answered otherwise")]
    PermissionAnswered {
        /// The request.
        permission_id: Id,
        /// The answer.
        reply: Reply,
    },
}
