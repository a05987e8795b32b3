//! The session API under `/api`: one file for each kind of request.

pub(super) mod append;
pub(super) mod backup;
pub(super) mod channels;
pub(super) mod commands;
pub(super) mod events;
pub(super) mod follow;
mod frames;
mod ndjson;
pub(super) mod sessions;
pub(super) mod state;
pub(super) mod streams;
pub(super) mod tokens;
pub(super) mod views;
