//! Projections: state that is a pure fold of records, and nothing else.
//!
//! It refuses to know what the records mean. Invariant: folding the same records gives the same
//! state, to the byte, whenever and from whichever checkpoint it is done.

use serde::{Serialize, de::DeserializeOwned};

/// A pure, total fold. What it does not understand changes nothing.
pub trait Projection:
    Default + Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static
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
