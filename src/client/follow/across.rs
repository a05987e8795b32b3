//! Where a follower stands in several streams at once, and what each thing that comes means there.
//! Pure: no clock and no network.
//!
//! It refuses to know which streams there are. Invariant: a cursor is given out once, and cursors
//! only grow. They have gaps, so a missing one cannot be seen here: the server sends all it has.

use serde::Deserialize;

use super::{
    Broken, Ended, Followed,
    place::{Taken, read},
};
use crate::{
    client::Event,
    wire::{
        bodies::{ChannelsReset, EndReason, ResetData},
        sse,
    },
};

/// A place in the order of all events.
#[derive(Debug)]
pub(super) struct Across {
    channels: String,
    /// Everything up to here was given out, or was not wanted.
    cursor: u64,
    /// The end of what was there has been told on this line.
    is_caught_up: bool,
}

/// The data of named events.
#[derive(Deserialize)]
struct Told {
    cursor: u64,
    #[serde(default)]
    reason: Option<EndReason>,
}

impl Across {
    pub(super) fn new<S: Into<String>>(channels: impl IntoIterator<Item = S>, cursor: u64) -> Self {
        let names: Vec<String> = channels.into_iter().map(Into::into).collect();
        Self { channels: names.join(","), cursor, is_caught_up: false }
    }

    /// Everything up to here was given out, or was not wanted.
    pub(super) fn after(&self) -> u64 {
        self.cursor
    }

    /// What to ask for on a new line.
    pub(super) fn query(&mut self) -> Vec<(&'static str, String)> {
        self.is_caught_up = false;
        vec![("channels", self.channels.clone()), ("cursor", self.cursor.to_string())]
    }

    /// Takes what came: its name, none for an event of a stream, its id and its data.
    pub(super) fn take(&mut self, name: Option<&str>, id: Option<String>, data: String) -> Taken {
        let taken = match name.unwrap_or_default() {
            "" => self.event(id, data),
            sse::CAUGHT_UP => self.caught_up(&data),
            sse::HEARTBEAT => read::<Told>(&data).map(|told| {
                self.reach(told.cursor);
                Taken::Nothing
            }),
            sse::RESET => self.reset(&data),
            sse::END => self.end(&data),
            // Of a later server.
            _ => Ok(Taken::Nothing),
        };
        taken.unwrap_or_else(Taken::Broken)
    }

    fn event(&mut self, id: Option<String>, data: String) -> Result<Taken, Broken> {
        let cursor: u64 = id.and_then(|id| id.parse().ok()).ok_or(Broken::Garbled)?;
        if cursor <= self.cursor {
            return Ok(Taken::Nothing);
        }
        let event = Event::read_across(data).map_err(|_| Broken::Garbled)?;
        self.cursor = cursor;
        Ok(Taken::Give(Followed::Event(event)))
    }

    fn reach(&mut self, cursor: u64) {
        self.cursor = self.cursor.max(cursor);
    }

    fn caught_up(&mut self, data: &str) -> Result<Taken, Broken> {
        let told: Told = read(data)?;
        self.reach(told.cursor);
        if self.is_caught_up {
            return Ok(Taken::Nothing);
        }
        self.is_caught_up = true;
        Ok(Taken::Give(Followed::CaughtUp { offset: self.cursor, epoch: None }))
    }

    fn reset(&mut self, data: &str) -> Result<Taken, Broken> {
        let ChannelsReset { reason, cursor, message } = read(data)?;
        self.cursor = cursor;
        let earliest = cursor.saturating_add(1);
        let reset = ResetData { reason, earliest, resume_from: cursor, message };
        Ok(Taken::Give(Followed::Reset(reset)))
    }

    fn end(&mut self, data: &str) -> Result<Taken, Broken> {
        let told: Told = read(data)?;
        self.reach(told.cursor);
        Ok(match told.reason {
            Some(EndReason::Shutdown) => Taken::Broken(Broken::Shutdown),
            Some(EndReason::Closed | EndReason::Deleted | EndReason::Limit | EndReason::Tail) => {
                Taken::Ended(Ended::Closed { offset: self.cursor })
            }
            Some(EndReason::Unauthorized) => Taken::Ended(Ended::Unauthorized),
            Some(EndReason::Unavailable) | None => Taken::Broken(Broken::Unavailable),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"stream":"sessions/a","offset":4,"id":"x","channel":"c","type":"t","timestamp":1,"data":1}"#;

    fn event(across: &mut Across, id: &str) -> Option<String> {
        match across.take(None, Some(id.to_owned()), EVENT.to_owned()) {
            Taken::Give(Followed::Event(event)) => event.stream().map(str::to_owned),
            _ => None,
        }
    }

    #[test]
    fn a_cursor_is_given_out_once_and_asked_for_on_the_next_line() {
        let mut across = Across::new(["session:*", "app"], 7);
        assert_eq!(event(&mut across, "9").as_deref(), Some("sessions/a"));
        for id in ["9", "8", "7"] {
            assert_eq!(event(&mut across, id), None);
        }
        let told = r#"{"cursor":12}"#.to_owned();
        assert!(matches!(
            across.take(Some("caught-up"), None, told.clone()),
            Taken::Give(Followed::CaughtUp { offset: 12, epoch: None })
        ));
        assert!(matches!(across.take(Some("caught-up"), None, told), Taken::Nothing));
        let asked = [("channels", "session:*,app".to_owned()), ("cursor", "12".to_owned())];
        assert_eq!(across.query(), asked);
    }

    #[test]
    fn a_cursor_of_another_log_is_set_back_and_the_end_of_the_server_is_a_broken_line() {
        let mut across = Across::new(["*"], 99);
        let reset = r#"{"reason":"beyond","cursor":0,"message":"drop it"}"#.to_owned();
        assert!(matches!(
            across.take(Some("reset"), None, reset),
            Taken::Give(Followed::Reset(reset)) if reset.resume_from == 0
        ));
        assert!(event(&mut across, "1").is_some());
        let end = r#"{"cursor":3,"reason":"shutdown"}"#.to_owned();
        assert!(matches!(across.take(Some("end"), None, end), Taken::Broken(Broken::Shutdown)));
        assert_eq!(across.after(), 3);
        let end = r#"{"cursor":3,"reason":"unauthorized"}"#.to_owned();
        assert!(matches!(across.take(Some("end"), None, end), Taken::Ended(Ended::Unauthorized)));
        assert!(matches!(
            across.take(None, None, EVENT.to_owned()),
            Taken::Broken(Broken::Garbled)
        ));
    }
}
