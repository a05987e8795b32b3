//! The HTTP interface, route by route: through the service without a socket where that is enough,
//! over a real one where it is not. Bodies and statuses stand in the tests, so that a change of
//! the wire contract shows as a change here.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod access;
mod append;
mod bodies;
mod channels;
mod commands;
mod debug;
mod documented;
mod errors;
mod events;
mod follow;
mod foreign;
mod health;
mod hostile;
mod http2;
mod jti;
mod limits;
mod list;
mod message;
mod metrics;
mod ndjson;
mod openapi;
mod projections;
mod protocol;
mod proxies;
mod reading;
mod sessions;
mod shared;
mod slow;
mod snapshot;
mod socket;
mod state;
mod streams;
mod subscriptions;
mod telemetry;
mod text;
mod tls;
mod tokens;
mod unix;
mod unread;
mod util;
mod views;
mod vocabulary;
