//! The Rust client over lines that break: between it and a real server stands a proxy that cuts,
//! delays, repeats, answers for others and falls silent, as a seed says. Whatever it does, a
//! follower gives out every offset once and in order, and a write that was answered is in the log
//! once.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod across;
mod child;
mod fate;
mod follow;
mod proxy;
mod restart;
mod util;
mod write;
