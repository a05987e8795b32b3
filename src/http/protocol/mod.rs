//! The Durable Streams protocol at `/v1/stream/{path}`: create, fork, append, read, follow,
//! close and delete, on the same streams as everything else. Its subscriptions are next door.

pub(super) mod append;
pub(super) mod catch_up;
pub(super) mod create;
mod encode;
mod headers;
pub(super) mod live;
pub(super) mod read;
