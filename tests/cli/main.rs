//! The command line, as people run it: the built binary, a server of its own in a folder of its
//! own, and what is printed. Nothing is asked of the library.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod backup;
mod bench;
mod bundle;
mod cast;
mod client;
mod debugging;
mod offline;
mod operations;
mod producer;
mod serve;
mod slow;
mod subscriptions;
mod tls;
mod token;
mod util;
