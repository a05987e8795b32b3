//! The Durable Streams protocol at `/v1/stream/{path}`: create, fork, append, read, follow,
//! close and delete, on the same streams as everything else. Not there yet: subscriptions.

pub(super) mod append;
pub(super) mod create;
mod encode;
mod headers;
pub(super) mod live;
pub(super) mod read;
