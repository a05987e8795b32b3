//! Coming, staying, pointing and going.
//!
//! It refuses to know who is there. A session need not have been begun: people look at it before
//! anything is said in it, and after it has ended.

use super::{Answer, Decided};
use crate::session::vocabulary::{
    KnownEvent,
    presence::{PresenceCursor, PresenceHeartbeat, PresenceJoined, PresenceLeft},
};

/// What somebody who looks at a session does.
#[derive(Debug, Clone, PartialEq)]
pub enum Presence {
    /// They have come.
    Joined(PresenceJoined),
    /// They are still there.
    Heartbeat(PresenceHeartbeat),
    /// They point at another place.
    Cursor(PresenceCursor),
    /// They have gone.
    Left(PresenceLeft),
}

impl Presence {
    pub(super) fn decide(&self) -> Decided {
        let event = match self.clone() {
            Self::Joined(joined) => KnownEvent::PresenceJoined(joined),
            Self::Heartbeat(heartbeat) => KnownEvent::PresenceHeartbeat(heartbeat),
            Self::Cursor(cursor) => KnownEvent::PresenceCursor(cursor),
            Self::Left(left) => KnownEvent::PresenceLeft(left),
        };
        Decided::write(vec![event], Answer::Noted)
    }
}
