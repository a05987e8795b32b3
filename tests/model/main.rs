//! Random operations on the store and the log against the reference model, the log over a store
//! that fails, a thousand followers, and the sweeper at work. Time is a value here, and chance a
//! seed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod faults;
mod follow;
mod fork;
mod frozen;
mod list;
mod log;
mod ops;
mod states;
mod store;
mod sweep;
mod util;
