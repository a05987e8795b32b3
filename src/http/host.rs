//! What the process around the HTTP face tells of itself, to operators. The face asks; it refuses
//! to know how the answers are found.

use std::fmt;

use crate::metrics::Usage;

/// Room on the disk of the data folder, when it was last looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes that are free for us.
    pub free: u64,
    /// Bytes that the disk has.
    pub size: u64,
    /// Bytes of the files of the data folder.
    pub data: u64,
}

/// The process that serves.
pub trait Host: fmt::Debug + Send + Sync {
    /// When it was started, Unix milliseconds.
    fn started_ms(&self) -> u64;

    /// Connections that are open.
    fn connections(&self) -> usize;

    /// The supervised tasks that run, by name.
    fn tasks(&self) -> Vec<&'static str>;

    /// What it uses.
    fn usage(&self) -> Usage;

    /// Room on the disk; `None` where it could not be looked at. Never looks itself.
    fn room(&self) -> Option<Room>;
}

/// A face without a process of its own around it.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHost;

impl Host for NoHost {
    fn started_ms(&self) -> u64 {
        0
    }

    fn connections(&self) -> usize {
        0
    }

    fn tasks(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn room(&self) -> Option<Room> {
        None
    }
}
