//! The Rust client over lines that break: between it and a real server stands a proxy that cuts,
//! delays, repeats, answers for others and falls silent, as a seed says. Whatever it does, a
//! follower gives out every offset once and in order, and a write that was answered is in the log
//! once.
//!
//! A new suite takes a `Server`, a `Proxy` of a seed in front of it, and that proxy's client.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod across;
mod child;
mod fate;
mod follow;
mod guide;
mod optimistic;
mod proxy;
mod restart;
mod util;
mod write;
