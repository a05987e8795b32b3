//! What happens to a subscription, as the records of its stream `__ds/subscriptions/{id}`.
//!
//! The state is their fold and nothing else. Invariant: the names of types and fields never change
//! their meaning; a type that is not known is an error, because what it changed would be lost.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    config::Config,
    state::{Link, Retry, Wake},
};

/// A change of a subscription. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// It begins.
    Created {
        /// What it was made with.
        config: Config,
        /// When.
        at_ms: u64,
        /// Random: tokens of an earlier subscription with the same id are not its own.
        salt: u64,
    },
    /// Everything before is told again in short; links follow.
    Checkpoint {
        /// What it was made with.
        config: Config,
        /// When it was made.
        at_ms: u64,
        /// As in `Created`.
        salt: u64,
        /// Number of the last wake.
        generation: u64,
        /// The wake in flight.
        wake: Option<Wake>,
        /// When the next wake may go out, after failures.
        retry: Option<Retry>,
    },
    /// Streams it follows from now on; those it follows already gain the new way of it.
    Linked {
        /// The streams.
        links: Vec<(Arc<str>, Link)>,
    },
    /// It follows a stream no more by its name.
    Unlinked {
        /// The stream.
        path: Arc<str>,
    },
    /// Another stream is at the path, or (with epoch 0) none: what was acknowledged of the one
    /// before says nothing of it.
    Replaced {
        /// The path.
        path: Arc<str>,
        /// Epoch of the stream that is there now.
        epoch: u64,
        /// Where it is followed from.
        acked: u64,
    },
    /// A stream that was followed by the pattern only is gone.
    Dropped {
        /// The path.
        path: Arc<str>,
    },
    /// A wake is issued.
    Woken {
        /// Its name.
        wake_id: Arc<str>,
        /// Its number.
        generation: u64,
        /// A stream with pending records.
        stream: Arc<str>,
        /// Tails of the streams with pending records, for workers that are called.
        tails: Vec<(Arc<str>, u64)>,
        /// When the lease ends, for workers that are called.
        lease_ms: Option<u64>,
    },
    /// A wake that had failed goes out again.
    Retried {
        /// When the lease ends.
        lease_ms: Option<u64>,
    },
    /// The wake arrived.
    Delivered,
    /// The wake is on its wake stream.
    Announced {
        /// When it is written there again, if nobody has claimed it.
        again_ms: u64,
    },
    /// The wake did not arrive.
    Failed {
        /// How often in a row.
        attempts: u32,
        /// When it goes out again.
        next_ms: u64,
    },
    /// A worker holds the lease.
    Claimed {
        /// Its name.
        worker: Arc<str>,
        /// When the lease ends.
        lease_ms: u64,
    },
    /// A worker is done with records up to these offsets.
    Acked {
        /// Streams and offsets.
        acks: Vec<(Arc<str>, u64)>,
        /// When the lease ends now.
        lease_ms: Option<u64>,
        /// The wake is over.
        done: bool,
    },
    /// A worker gives the lease back.
    Released,
    /// The lease ended.
    Lapsed {
        /// Wakes in a row that did not arrive.
        attempts: u32,
        /// When the next wake may go out.
        next_ms: u64,
    },
}
