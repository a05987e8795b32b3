//! The one place where a command that was not done becomes an answer. Beside `error.rs`, and in the
//! same way.
//!
//! Invariant: a rejection wrote nothing, and its message says what to do instead.

use super::{
    error::Fail,
    native::commands::{outcome_name, reply_name},
};
use crate::{
    session::{CommandError, command::Rejected, projections::turn::Outcome, vocabulary::Id},
    wire::code::Code,
};

impl From<CommandError> for Fail {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Rejected(rejected) => rejected.into(),
            CommandError::Read(error) => error.into(),
            CommandError::Event(error) => error.into(),
            // Whoever runs commands knows the session and says it otherwise.
            CommandError::NotTheirs => Self::new(Code::StreamNotFound, error.to_string()),
            // Which of the command's events it was means nothing to a client.
            CommandError::Append(error) => Self::from(error).with(|problem| problem.index = None),
        }
    }
}

impl From<Rejected> for Fail {
    fn from(rejected: Rejected) -> Self {
        let message = rejected.to_string();
        let fail = |code, hint: &str| Self::new(code, format!("{message}; {hint}"));
        match rejected {
            Rejected::SessionNotFound => {
                fail(Code::SessionNotFound, "begin it with POST /api/sessions")
            }
            Rejected::SessionDeleted => {
                fail(Code::SessionDeleted, "its events can still be read; begin another session")
            }
            Rejected::SessionEnded => {
                fail(Code::SessionEnded, "it can be read and renamed; begin another session")
            }
            Rejected::StartedOtherwise => fail(
                Code::SessionExists,
                "change it with PATCH, or begin one with another id, or with none",
            ),
            Rejected::EmptyMessage => {
                fail(Code::EmptyMessage, "send a `text`, or `parts` with one part at least")
                    .with(|problem| problem.field = Some("text".to_owned()))
            }
            Rejected::MessageIdTaken { .. } => {
                fail(Code::MessageIdTaken, "send it with another id, or with none")
            }
            Rejected::QueueFull { .. } => {
                fail(Code::QueueFull, "send it again when a turn has ended")
            }
            Rejected::MessageNotFound { .. } => {
                fail(Code::MessageNotFound, "it was never sent, or is no longer known")
            }
            Rejected::MessageNotQueued { turn_id, .. } => {
                fail(Code::MessageNotQueued, "interrupt the turn that answers it instead")
                    .about(turn_id.as_ref())
            }
            Rejected::NothingRuns { last } => {
                let fail = fail(Code::NothingRuns, "there is nothing to stop");
                match last {
                    Some((turn_id, outcome)) => fail.about(Some(&turn_id)).ended(outcome),
                    None => fail,
                }
            }
            Rejected::TurnNotFound { turn_id } => {
                fail(Code::TurnNotFound, "it never began, or ended long ago").about(Some(&turn_id))
            }
            Rejected::TurnNotStarted { turn_id } => {
                fail(Code::TurnNotStarted, "wait for its `turn.started`").about(Some(&turn_id))
            }
            Rejected::TurnEnded { turn_id, outcome, offset } => {
                fail(Code::TurnEnded, "stop working on it")
                    .about(Some(&turn_id))
                    .ended(outcome)
                    .with(|problem| problem.offset = Some(offset))
            }
            Rejected::PieceMissing { next, given } => {
                fail(Code::PieceMissing, "send the pieces from `expected` on").with(|problem| {
                    problem.expected = Some(next);
                    problem.actual = Some(given);
                })
            }
            Rejected::PermissionNotFound { .. } => {
                fail(Code::PermissionNotFound, "it was never asked, or answered long ago")
            }
            Rejected::PermissionAnswered { reply, .. } => {
                fail(Code::PermissionAnswered, "the first answer holds")
                    .with(|problem| problem.reply = Some(reply_name(reply).to_owned()))
            }
        }
    }
}

impl Fail {
    fn about(self, turn_id: Option<&Id>) -> Self {
        self.with(|problem| problem.turn_id = turn_id.map(|id| id.as_str().to_owned()))
    }

    fn ended(self, outcome: Outcome) -> Self {
        self.with(|problem| problem.outcome = Some(outcome_name(outcome).to_owned()))
    }
}
