//! Where a follower stands in a stream, and what each thing that comes down the line means there.
//! Pure: no clock and no network.
//!
//! Invariant: every offset is given out once and in order; what is missing between two of them is
//! a broken line, and never passed over in silence.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{Broken, Ended, FollowOptions, Followed};
use crate::{
    client::{Event, State},
    wire::{
        bodies::{EndData, EndReason, PlaceData, ResetData},
        sse,
    },
};

/// A place in a stream.
#[derive(Debug)]
pub(super) struct Place {
    /// Everything up to here was given out, or was not wanted.
    after: u64,
    /// The stream's epoch, once it is known: a stream made anew under its path has another one.
    epoch: Option<Arc<str>>,
    /// The epoch that the line says, to be taken where a reset has told of it.
    line_epoch: Option<Arc<str>>,
    /// All events are wanted, so their offsets have no gaps.
    is_dense: bool,
    /// The state comes first, and has not come yet.
    awaits_snapshot: bool,
    options: FollowOptions,
    /// The end of what was there has been told on this line.
    is_caught_up: bool,
}

/// What becomes of one thing that came.
#[derive(Debug)]
pub(super) enum Taken {
    /// Nothing to tell.
    Nothing,
    /// Something to give out.
    Give(Followed),
    /// Something to give out, and the line is to be made anew.
    GiveAndRenew(Followed),
    /// The line cannot be used any more.
    Broken(Broken),
    /// The stream is over.
    Ended(Ended),
}

impl Place {
    pub(super) fn new(options: FollowOptions) -> Self {
        Self {
            after: options.from_offset,
            epoch: options.epoch.as_deref().map(Arc::from),
            line_epoch: None,
            is_dense: options.channels.is_empty() && options.types.is_empty(),
            awaits_snapshot: options.snapshot,
            is_caught_up: false,
            options,
        }
    }

    /// Everything up to here was given out, or was not wanted.
    pub(super) fn after(&self) -> u64 {
        self.after
    }

    /// The stream's epoch, once it is known.
    pub(super) fn epoch(&self) -> Option<Arc<str>> {
        self.epoch.clone()
    }

    /// What to ask for on a new line.
    pub(super) fn query(&mut self) -> Vec<(&'static str, String)> {
        self.is_caught_up = false;
        let mut query = Vec::new();
        if self.awaits_snapshot {
            query.push(("snapshot", "true".to_owned()));
            if !self.options.projections.is_empty() {
                query.push(("projections", self.options.projections.join(",")));
            }
        } else {
            query.push(("fromOffset", self.after.to_string()));
            query.extend(self.epoch.as_deref().map(|epoch| ("epoch", epoch.to_owned())));
        }
        for (name, list) in [("channels", &self.options.channels), ("types", &self.options.types)] {
            if !list.is_empty() {
                query.push((name, list.join(",")));
            }
        }
        query
    }

    /// A line stands, and the stream has this epoch. Where another one is known, that stays until
    /// the reset has come: a line that breaks before it is asked for it again.
    pub(super) fn opened(&mut self, epoch: Option<&str>) {
        self.line_epoch = epoch.map(Arc::from);
        if self.epoch.is_none() || self.awaits_snapshot {
            self.epoch.clone_from(&self.line_epoch);
        }
    }

    /// Takes what came: the name of the event, none for a record, and its data.
    pub(super) fn take(&mut self, name: Option<&str>, data: String) -> Taken {
        let taken = match name.unwrap_or_default() {
            "" => self.event(data),
            sse::SNAPSHOT => self.snapshot(&data),
            sse::CAUGHT_UP => self.caught_up(&data),
            sse::HEARTBEAT => read::<PlaceData>(&data).and_then(|place| {
                self.reach(place.offset)?;
                Ok(Taken::Nothing)
            }),
            sse::RESET => self.reset(&data),
            sse::END => self.end(&data),
            // Of a later server.
            _ => Ok(Taken::Nothing),
        };
        taken.unwrap_or_else(Taken::Broken)
    }

    fn event(&mut self, data: String) -> Result<Taken, Broken> {
        let event = Event::read(data).map_err(|_| Broken::Garbled)?;
        let offset = event.offset();
        if offset <= self.after {
            return Ok(Taken::Nothing);
        }
        self.must_be_next(offset.saturating_sub(1))?;
        self.after = offset;
        Ok(Taken::Give(Followed::Event(event)))
    }

    /// Everything up to an offset was sent, or was not wanted.
    fn reach(&mut self, offset: u64) -> Result<(), Broken> {
        self.must_be_next(offset)?;
        self.after = self.after.max(offset);
        Ok(())
    }

    fn must_be_next(&self, offset: u64) -> Result<(), Broken> {
        if self.is_dense && offset > self.after {
            return Err(Broken::Gap { after: self.after, next: offset });
        }
        Ok(())
    }

    fn snapshot(&mut self, data: &str) -> Result<Taken, Broken> {
        if !self.awaits_snapshot {
            // Something between us gives an answer of before once more. What follows it is
            // known by its offsets; the state would set the place back.
            return Ok(Taken::Nothing);
        }
        let state: State = read(data)?;
        self.after = state.offset;
        self.awaits_snapshot = false;
        Ok(Taken::Give(Followed::Snapshot(state)))
    }

    fn caught_up(&mut self, data: &str) -> Result<Taken, Broken> {
        let place: PlaceData = read(data)?;
        self.reach(place.offset)?;
        self.epoch = place.epoch.map(Arc::from).or_else(|| self.epoch.take());
        if self.is_caught_up {
            return Ok(Taken::Nothing);
        }
        self.is_caught_up = true;
        let epoch = self.epoch.as_deref().map(str::to_owned);
        Ok(Taken::Give(Followed::CaughtUp { offset: self.after, epoch }))
    }

    fn reset(&mut self, data: &str) -> Result<Taken, Broken> {
        let reset: ResetData = read(data)?;
        self.after = reset.resume_from;
        self.epoch.clone_from(&self.line_epoch);
        if self.options.snapshot {
            // What was folded is worth nothing now: the state comes first again.
            self.awaits_snapshot = true;
            return Ok(Taken::GiveAndRenew(Followed::Reset(reset)));
        }
        Ok(Taken::Give(Followed::Reset(reset)))
    }

    fn end(&mut self, data: &str) -> Result<Taken, Broken> {
        let end: EndData = read(data)?;
        let ended = match end.reason {
            EndReason::Shutdown => return Ok(Taken::Broken(Broken::Shutdown)),
            EndReason::Unavailable => return Ok(Taken::Broken(Broken::Unavailable)),
            EndReason::Unauthorized => Ended::Unauthorized,
            // The stream may have had more than was read of it when it was deleted.
            EndReason::Deleted => Ended::Deleted,
            EndReason::Closed | EndReason::Limit | EndReason::Tail => {
                self.reach(end.offset)?;
                Ended::Closed { offset: end.offset }
            }
        };
        Ok(Taken::Ended(ended))
    }
}

pub(super) fn read<T: DeserializeOwned>(data: &str) -> Result<T, Broken> {
    serde_json::from_str(data).map_err(|_| Broken::Garbled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(offset: u64) -> String {
        format!(
            r#"{{"offset":{offset},"id":"{offset}","channel":"c","type":"t","timestamp":1,"data":1}}"#
        )
    }

    fn offset_of(taken: &Taken) -> Option<u64> {
        match taken {
            Taken::Give(Followed::Event(event)) => Some(event.offset()),
            _ => None,
        }
    }

    #[test]
    fn an_offset_that_came_already_is_not_given_out_again() {
        let mut place = Place::new(FollowOptions::after(4));
        assert_eq!(offset_of(&place.take(None, event(5))), Some(5));
        for offset in [5, 4, 1] {
            assert!(matches!(place.take(None, event(offset)), Taken::Nothing));
        }
        assert_eq!(offset_of(&place.take(None, event(6))), Some(6));
    }

    #[test]
    fn a_gap_is_a_broken_line_unless_some_events_are_not_wanted() {
        let mut place = Place::new(FollowOptions::default());
        let gap = |taken| matches!(taken, Taken::Broken(Broken::Gap { after: 0, .. }));
        assert!(gap(place.take(None, event(2))));
        assert!(gap(place.take(Some("caught-up"), r#"{"offset":2}"#.to_owned())));
        assert!(gap(place.take(Some("heartbeat"), r#"{"offset":2}"#.to_owned())));
        assert!(gap(place.take(Some("end"), r#"{"reason":"closed","offset":2}"#.to_owned())));
        let mut place = Place::new(FollowOptions::default().channels(["c"]));
        assert_eq!(offset_of(&place.take(None, event(2))), Some(2));
        place.take(Some("heartbeat"), r#"{"offset":9}"#.to_owned());
        assert_eq!(place.after(), 9);
    }

    #[test]
    fn a_new_line_asks_for_what_follows_and_names_the_epoch() {
        let mut place = Place::new(FollowOptions::default().channels(["a", "b"]));
        place.take(None, event(3));
        place.take(Some("caught-up"), r#"{"offset":7,"epoch":"e"}"#.to_owned());
        let query = place.query();
        let asked: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(asked, [("fromOffset", "7"), ("epoch", "e"), ("channels", "a,b")]);
    }

    #[test]
    fn the_epoch_of_the_line_is_taken_unless_a_reset_is_yet_to_tell_of_it() {
        let mut place = Place::new(FollowOptions::default());
        place.opened(Some("one"));
        assert_eq!(place.epoch().as_deref(), Some("one"));
        place.opened(Some("two"));
        assert_eq!(place.epoch().as_deref(), Some("one"), "the line may break before the reset");
        let reset = r#"{"reason":"recreated","earliest":1,"resumeFrom":0,"message":"anew"}"#;
        place.take(Some("reset"), reset.to_owned());
        assert_eq!(place.epoch().as_deref(), Some("two"));
        let mut place = Place::new(FollowOptions::default().epoch("old").snapshot(["turn"]));
        place.opened(Some("new"));
        assert_eq!(place.epoch().as_deref(), Some("new"), "the state is of this stream");
    }

    #[test]
    fn the_state_comes_first_and_again_after_a_reset() {
        let mut place = Place::new(FollowOptions::default().snapshot(["turn"]));
        let asked = [("snapshot", "true".to_owned()), ("projections", "turn".to_owned())];
        assert_eq!(place.query(), asked);
        let state = r#"{"offset":4,"projections":{"turn":{}}}"#.to_owned();
        assert!(matches!(
            place.take(Some("snapshot"), state),
            Taken::Give(Followed::Snapshot(snapshot)) if snapshot.offset == 4
        ));
        assert_eq!(place.query(), [("fromOffset", "4".to_owned())]);
        let old = r#"{"offset":2,"projections":{"turn":{}}}"#.to_owned();
        assert!(matches!(place.take(Some("snapshot"), old), Taken::Nothing));
        assert_eq!(place.after(), 4);
        let reset = r#"{"reason":"trimmed","earliest":9,"resumeFrom":8,"message":"gone"}"#;
        assert!(matches!(place.take(Some("reset"), reset.to_owned()), Taken::GiveAndRenew(_)));
        assert_eq!(place.query(), asked);
    }

    #[test]
    fn the_end_of_what_was_there_is_told_once_on_each_line() {
        let mut place = Place::new(FollowOptions::default());
        let told = |place: &mut Place| {
            matches!(
                place.take(Some("caught-up"), r#"{"offset":0}"#.to_owned()),
                Taken::Give(Followed::CaughtUp { offset: 0, .. })
            )
        };
        assert_eq!([told(&mut place), told(&mut place)], [true, false]);
        place.query();
        assert!(told(&mut place));
    }

    #[test]
    fn rubbish_is_a_broken_line_and_names_of_later_servers_are_passed_over() {
        let mut place = Place::new(FollowOptions::default());
        assert!(matches!(place.take(None, "{".to_owned()), Taken::Broken(Broken::Garbled)));
        assert!(matches!(place.take(Some("later"), "{".to_owned()), Taken::Nothing));
        let end = |reason| format!(r#"{{"reason":"{reason}","offset":0}}"#);
        assert!(matches!(
            place.take(Some("end"), end("shutdown")),
            Taken::Broken(Broken::Shutdown)
        ));
        assert!(matches!(place.take(Some("end"), end("deleted")), Taken::Ended(Ended::Deleted)));
        assert!(matches!(
            place.take(Some("end"), end("unauthorized")),
            Taken::Ended(Ended::Unauthorized)
        ));
    }
}
