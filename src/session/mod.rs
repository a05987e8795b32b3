//! What the records of a session mean: the envelope of events, in and out, and the vocabulary of
//! their types.
//!
//! It refuses to know HTTP. Invariant: a stored event begins with its `id`, `channel`, `type` and
//! `timestamp`, holds no `offset`, and its `data` is the bytes that the writer sent. The
//! vocabulary, the projections and the way an event is shown are pure and know no log: clients
//! fold with them, too.

#[cfg(feature = "server")]
pub use self::{
    batch::{EventBatch, EventId},
    channel_name::{ChannelName, ChannelNameError},
    event::{EventError, Form, Maker, Rules},
    executor::{By, CommandError, Done, Executor},
    filter::{Filter, FilterError},
    keep::KeepStates,
};
pub use self::{
    ids::Ids,
    view::{Stored, View},
};

#[cfg(feature = "server")]
pub mod absence;
#[cfg(feature = "server")]
pub mod audit;
#[cfg(feature = "server")]
mod batch;
#[cfg(feature = "server")]
pub mod bus;
#[cfg(feature = "server")]
mod channel_name;
#[cfg(feature = "server")]
pub mod claims;
#[cfg(feature = "server")]
pub mod command;
#[cfg(feature = "server")]
mod event;
#[cfg(feature = "server")]
mod executor;
#[cfg(feature = "server")]
mod filter;
mod ids;
#[cfg(feature = "server")]
mod keep;
#[cfg(feature = "server")]
pub mod list;
pub mod projections;
mod view;
pub mod vocabulary;
