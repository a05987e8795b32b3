//! Typing into a terminal.
//!
//! It refuses to know what terminals there are. A session need not have been begun.

use super::{Answer, CommandState, Decided, Rejected};
use crate::session::vocabulary::{KnownEvent, terminal::TerminalInput};

pub(super) fn decide(state: &CommandState<'_>, input: &TerminalInput) -> Result<Decided, Rejected> {
    state.open()?;
    Ok(Decided::write(vec![KnownEvent::TerminalInput(input.clone())], Answer::Noted))
}
