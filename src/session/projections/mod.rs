//! The projections of a session: each folds the events it understands, in a file of its own.
//!
//! Invariant: an event that was read once is folded by all of them in the same step, so that they
//! stand at one offset.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[cfg(feature = "server")]
pub use self::blame::{Blame, SetBy};
pub use self::{
    agents::{Agent, Agents, TakenStep},
    app::{App, AppStatus, Worker},
    chunks::{Chunks, Pieces},
    config::{Config, Provider, Rule},
    diff::Diff,
    event::Event,
    keyed::{Keyed, Named},
    messages::{Message, MessageState, Messages},
    pointer::Pointer,
    presence::{Presence, Present},
    terminal::{Exit, Input, Line, Screen, Scroll, Terminal},
    todo::Todo,
    tool_calls::{Call, ToolCalls},
};
use self::{permissions::Permissions, queue::Queue, session::Session, turn::Turn};
use crate::projection::Projection;

mod agents;
mod app;
#[cfg(feature = "server")]
mod blame;
mod chunks;
mod config;
mod diff;
mod event;
#[cfg(feature = "server")]
mod fold;
mod keyed;
mod merge;
mod messages;
pub mod permissions;
mod pointer;
mod presence;
pub mod queue;
pub mod session;
mod terminal;
#[cfg(test)]
mod testing;
#[cfg(test)]
pub(crate) mod tests;
mod todo;
mod tool_calls;
pub mod turn;

/// What one projection's checkpoint stands or falls with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// The projection.
    pub name: &'static str,
    /// Its version.
    pub version: u32,
    /// The hash of its state.
    pub hash: [u8; 32],
}

macro_rules! projections {
    ($($(#[$doc:meta])* $field:ident: $state:ident,)*) => {
        /// All projections of a session, at one offset.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct Projections {
            /// The last event that was folded; 0 before the first.
            pub offset: u64,
            $($(#[$doc])* pub $field: $state,)*
        }

        impl Projections {
            /// Their names, in order.
            #[must_use]
            pub const fn names() -> &'static [&'static str] {
                &[$($state::NAME,)*]
            }

            /// Their names and versions, in order.
            #[must_use]
            pub const fn versions() -> &'static [(&'static str, u32)] {
                &[$(($state::NAME, $state::VERSION),)*]
            }

            /// Folds one event into all of them. An event at or before `offset` changes nothing.
            pub fn apply(&mut self, event: &Event<'_>) {
                if event.offset > self.offset {
                    self.offset = event.offset;
                    $(self.$field.apply(event);)*
                }
            }

            /// One of them as users see it.
            #[must_use]
            pub fn json(&self, name: &str) -> Option<Value> {
                match name {
                    $($state::NAME => serde_json::to_value(&self.$field).ok(),)*
                    _ => None,
                }
            }

            /// Appends one of them as users see it, as JSON text; false where there is none of
            /// that name.
            #[must_use]
            pub fn write_json(&self, name: &str, out: &mut Vec<u8>) -> bool {
                match name {
                    $($state::NAME => serde_json::to_writer(out, &self.$field).is_ok(),)*
                    _ => false,
                }
            }

            /// Writes what stands at a place, as JSON text; false where nothing does, or where
            /// `out` takes no more.
            #[must_use]
            pub fn write_at(&self, place: &Pointer, out: &mut impl io::Write) -> bool {
                match place.name() {
                    $($state::NAME => place.write(&self.$field, out),)*
                    _ => false,
                }
            }

            /// One of them as a checkpoint keeps it.
            #[must_use]
            pub fn save(&self, name: &str) -> Option<Vec<u8>> {
                match name {
                    $($state::NAME => rmp_serde::to_vec_named(&self.$field).ok(),)*
                    _ => None,
                }
            }

            /// Takes one of them from a checkpoint; false, and nothing is changed, where the bytes
            /// are not such a state.
            #[must_use]
            pub fn restore(&mut self, name: &str, bytes: &[u8]) -> bool {
                match name {
                    $($state::NAME => restore(&mut self.$field, bytes),)*
                    _ => false,
                }
            }

            /// Takes one of them from what users see of it. One that is not known is passed over:
            /// a later server has it.
            ///
            /// # Errors
            /// The text is no such state; nothing is changed.
            pub fn read_json(&mut self, name: &str, text: &str) -> serde_json::Result<()> {
                match name {
                    $($state::NAME => self.$field = serde_json::from_str(text)?,)*
                    _ => {}
                }
                Ok(())
            }

            /// The seal of each, in order.
            #[must_use]
            pub fn seals(&self) -> Vec<Seal> {
                vec![$(seal(&self.$field),)*]
            }
        }
    };
}

// A projection more is one line here, beside its module above.
projections! {
    /// What the session is and whether it is.
    session: Session,
    /// The turn that runs, and those that ended last.
    turn: Turn,
    /// Messages that wait for their turn.
    queue: Queue,
    /// What workers ask for, and what was answered.
    permissions: Permissions,
    /// The conversation.
    messages: Messages,
    /// The calls of tools.
    tool_calls: ToolCalls,
    /// Answers as they came.
    chunks: Chunks,
    /// Who is there.
    presence: Presence,
    /// Terminals.
    terminal: Terminal,
    /// What agents do.
    agents: Agents,
    /// What is to be done.
    todo: Todo,
    /// Changes in files.
    diff: Diff,
    /// What people have chosen.
    config: Config,
    /// The application and its workers.
    app: App,
}

impl Projections {
    /// The hash of all of them, and of where they stand.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.offset.to_be_bytes());
        for seal in self.seals() {
            hasher.update(&seal.hash);
        }
        hasher.finalize().into()
    }
}

fn restore<P: Projection>(state: &mut P, bytes: &[u8]) -> bool {
    match rmp_serde::from_slice(bytes) {
        Ok(read) => {
            *state = read;
            true
        }
        Err(_) => false,
    }
}

/// States are hashed as the JSON that users see, behind their name and version. It is canonical:
/// structs and lists have their order, and objects of clients are sorted.
fn seal<P: Projection>(state: &P) -> Seal {
    let mut hasher = blake3::Hasher::new();
    hasher.update(P::NAME.as_bytes());
    hasher.update(&[0]);
    hasher.update(&P::VERSION.to_be_bytes());
    // Neither the hasher nor these states can fail to write; a half would be another hash.
    let written = serde_json::to_writer(io::BufWriter::new(&mut hasher), state);
    hasher.update(&[u8::from(written.is_ok())]);
    Seal { name: P::NAME, version: P::VERSION, hash: hasher.finalize().into() }
}
