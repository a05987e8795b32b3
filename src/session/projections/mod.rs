//! The projections of a session: each folds the events it understands, in a file of its own.
//!
//! Invariant: an event that was read once is folded by all of them in the same step, so that they
//! stand at one offset.

pub use self::event::Event;

mod event;
pub mod permissions;
pub mod queue;
pub mod session;
pub mod turn;
