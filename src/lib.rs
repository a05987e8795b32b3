//! Scrollback: a durable, append-only event log for chat and agent sessions.
//!
//! It is:
//! - one server with streams: append-only logs of records at a path, numbered by offset;
//! - durable first: an append is acknowledged once it is synced to the disk, and readers see
//!   only what is;
//! - resumable: a reader that keeps the last offset it saw misses nothing and sees nothing twice.
//!
//! It is not a message broker with queues and routing, nor a database to query: whatever users
//! see beyond records is a fold of them.
//!
//! The modules in reading order; imports run only downwards in `docs/ARCHITECTURE.md`.

#[cfg(feature = "server")]
pub mod auth;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
#[cfg(feature = "server")]
pub mod http;
pub mod limits;
#[cfg(feature = "server")]
pub mod log;
#[cfg(feature = "server")]
pub mod metrics;
pub mod projection;
#[cfg(feature = "server")]
pub mod server;
pub mod session;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod subscription;
#[cfg(any(feature = "client", feature = "server"))]
pub mod tls;
pub mod wire;

/// The code in the guides, compiled.
#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../docs/client.md")]
#[doc = include_str!("../docs/client-reading.md")]
#[doc = include_str!("../docs/client-writing.md")]
pub struct Guide;
