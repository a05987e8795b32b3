//! Whether the server should get work: decided from facts that others gather, without a look at
//! the disk.
//!
//! Pure. Invariant: a server whose log takes nothing, or is about to take nothing, is not ready.

use std::sync::Arc;

use super::error::Fail;
use crate::{log::Refused, wire::code::Code};

/// What is known of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Why the log takes nothing more, if so.
    pub(super) poisoned: Option<Arc<str>>,
    /// It is stopping.
    pub(super) is_stopping: bool,
    /// Bytes that are free on its disk, where that is known.
    pub(super) free: Option<u64>,
    /// Below so many it gets no work.
    pub(super) low_water: u64,
}

/// Why the server should get no work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unready {
    Poisoned(Arc<str>),
    Stopping,
    DiskLow { free: u64, low_water: u64 },
}

/// The first reason there is; the one that ends the server comes first.
pub(super) fn unready(facts: &Facts) -> Option<Unready> {
    if let Some(reason) = &facts.poisoned {
        return Some(Unready::Poisoned(Arc::clone(reason)));
    }
    if facts.is_stopping {
        return Some(Unready::Stopping);
    }
    let low_water = facts.low_water;
    let free = facts.free.filter(|free| *free < low_water)?;
    Some(Unready::DiskLow { free, low_water })
}

impl From<Unready> for Fail {
    fn from(reason: Unready) -> Self {
        match reason {
            Unready::Poisoned(reason) => Refused::Poisoned(reason).into(),
            Unready::Stopping => Refused::Closed.into(),
            Unready::DiskLow { free, low_water } => Self::new(
                Code::DiskLow,
                format!(
                    "{free} bytes are free on the disk of the data folder, less than the \
                     {low_water} of --low-water: make room, or shorten --retention; appends are \
                     taken until the disk is full"
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_ready_while_its_log_takes_appends_and_its_disk_has_room() {
        let facts = |free| Facts { free, low_water: 100, ..Facts::default() };
        for free in [None, Some(100), Some(u64::MAX)] {
            assert_eq!(unready(&facts(free)), None, "{free:?}");
        }
        assert_eq!(unready(&facts(Some(99))), Some(Unready::DiskLow { free: 99, low_water: 100 }));
        assert_eq!(unready(&Facts { low_water: 0, ..facts(Some(0)) }), None);
    }

    #[test]
    fn what_ends_the_server_is_said_first() {
        let low = Facts { free: Some(0), low_water: 1, ..Facts::default() };
        let stopping = Facts { is_stopping: true, ..low };
        assert_eq!(unready(&stopping), Some(Unready::Stopping));
        let reason: Arc<str> = Arc::from("EIO");
        let poisoned = Facts { poisoned: Some(Arc::clone(&reason)), ..stopping };
        assert_eq!(unready(&poisoned), Some(Unready::Poisoned(reason)));
    }
}
