//! Projections: state that is a pure fold of records, and nothing else.
//!
//! The driver keeps the states of a few streams caught up and saves them as checkpoints, so that
//! a long stream is not read from its beginning. It refuses to know what the records mean.
//! Invariant: folding the same records gives the same state, to the byte, whenever and from
//! whichever checkpoint it is done.

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};

#[cfg(feature = "server")]
pub use self::{
    order::{OrderFold, OrderView},
    order_check::OrderChecked,
    room::Held,
    upkeep::{Checked, Differing, SaveFirst},
    views::{Pin, Views},
};
#[cfg(feature = "server")]
use crate::log::Record;

#[cfg(feature = "server")]
mod aside;
#[cfg(feature = "server")]
mod checkpoint;
#[cfg(feature = "server")]
mod order;
#[cfg(feature = "server")]
mod order_check;
#[cfg(feature = "server")]
mod replay;
#[cfg(feature = "server")]
mod roll_call;
#[cfg(feature = "server")]
mod room;
#[cfg(feature = "server")]
#[cfg(test)]
mod tests;
#[cfg(feature = "server")]
mod upkeep;
#[cfg(feature = "server")]
mod views;

/// A pure, total fold. What it does not understand changes nothing.
pub trait Projection:
    Default + Clone + PartialEq + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// What it folds.
    type Event<'a>;

    /// Its name, as users see it.
    const NAME: &'static str;
    /// Grows whenever the same events would give another state: checkpoints of before are dropped.
    const VERSION: u32;

    /// Folds one event.
    fn apply(&mut self, event: &Self::Event<'_>);
}

#[cfg(feature = "server")]
/// All that is folded from one stream, as the driver sees it.
pub trait Fold: Default + Clone + Debug + Send + Sync + 'static {
    /// Folds one record.
    fn fold(&mut self, record: &Record);

    /// The state as bytes that [`Fold::load`] reads.
    fn save(&self) -> Vec<u8>;

    /// The state of a checkpoint; `None` where it is one of another version, or none at all.
    fn load(bytes: &[u8]) -> Option<Self>;

    /// Whether a checkpoint is of this state, by all that it says of it.
    fn is_in(&self, checkpoint: &[u8]) -> bool {
        self.save() == checkpoint
    }
}
