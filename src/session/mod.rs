//! What the records of a session mean: the envelope of events, in and out, and the vocabulary of
//! their types.
//!
//! It refuses to know HTTP. Invariant: a stored event begins with its `id`, `channel`, `type` and
//! `timestamp`, holds no `offset`, and its `data` is the bytes that the writer sent.

pub use self::{
    batch::{EventBatch, EventId},
    channel_name::{ChannelName, ChannelNameError},
    event::{EventError, Form, Maker, Rules},
    executor::{CommandError, Done, Executor},
    filter::{Filter, FilterError},
    ids::Ids,
    keep::KeepStates,
    view::{Stored, View},
};

pub mod absence;
pub mod audit;
mod batch;
pub mod bus;
mod channel_name;
pub mod command;
mod event;
mod executor;
mod filter;
mod ids;
mod keep;
pub mod list;
pub mod projections;
mod view;
pub mod vocabulary;
