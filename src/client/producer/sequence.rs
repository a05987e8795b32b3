//! Which batch of a producer is sent under which number, and what an answer to it means. Pure: no
//! clock, no network, no dice of its own.
//!
//! One batch is on its way at a time. Several would gain little, because a batch holds all that
//! came while the one before it was away, and on several connections they would overtake each
//! other and be refused as gaps. Invariants: a number is used again only for the same batch; a
//! batch counts as written only when the server says so; where it is in doubt whether it was, it
//! is never sent under another number or epoch.

/// Epochs that are made begin with the time, and these many of them share a millisecond: two
/// lives of a producer that begin at once are told apart by chance.
pub(super) const EPOCHS_A_MS: u64 = 1_024;
/// How often a fenced producer takes a higher epoch before it has written anything. More than
/// once means that others do so at the same time.
const CLAIMS_MAX: u32 = 4;

/// The place of a producer in its epoch.
#[derive(Debug)]
pub(super) struct Sequence {
    epoch: u64,
    seq: u64,
    /// The epoch was made here, and so many more may be; nothing where the caller keeps it.
    claims_left: Option<u32>,
    /// Something was written in this epoch.
    has_begun: bool,
    /// The batch was sent, and nobody knows what became of it.
    in_doubt: bool,
    has_created: bool,
}

/// What was heard of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It was written, and the stream ended there.
    Written { tail: u64 },
    /// It was written before. The last batch of the epoch is the `last`.
    Duplicate { tail: u64, last: Option<u64> },
    /// A younger epoch is at work.
    Fenced { current: Option<u64> },
    /// Batches are missing.
    Gap { expected: Option<u64> },
    /// There is no such stream.
    NoStream,
    /// It failed for now; perhaps it was written nevertheless.
    Failed { is_unwritten: bool },
    /// It cannot be written.
    Refused,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The batch is in the stream and ends at this offset.
    Acknowledged { last: u64 },
    /// The batch is in the stream, at or before this offset.
    AcknowledgedBefore { tail: u64 },
    /// Send it again after a wait.
    Again,
    /// Send it again at once, in the epoch that is now current.
    AtOnce,
    /// Make the stream and send it again.
    Create,
    /// Nothing more can be sent.
    Stop(Stop),
}

/// Why nothing more can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A younger epoch is at work.
    Fenced { current: Option<u64> },
    /// Another life of the producer wrote in this epoch.
    EpochUsed,
    /// Batches that were acknowledged are gone.
    Lost { expected: Option<u64> },
    /// As the server said.
    Refused,
}

impl Sequence {
    /// In an epoch that the caller keeps.
    pub(super) fn given(epoch: u64) -> Self {
        Self {
            epoch,
            seq: 0,
            claims_left: None,
            has_begun: false,
            in_doubt: false,
            has_created: false,
        }
    }

    /// In an epoch that is made of the time, Unix milliseconds, and of chance.
    pub(super) fn made(now_ms: u64, dice: u64) -> Self {
        let epoch = now_ms.saturating_mul(EPOCHS_A_MS).saturating_add(dice % EPOCHS_A_MS);
        Self { claims_left: Some(CLAIMS_MAX), ..Self::given(epoch) }
    }

    /// The epoch.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The number of the batch that is on its way, or is next.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// The stream was made, or somebody else had made it.
    pub(super) fn created(&mut self) {
        self.has_created = true;
    }

    /// Takes what was heard of the batch.
    pub(super) fn hear(&mut self, heard: Heard, dice: u64) -> Then {
        match heard {
            Heard::Written { tail } => {
                self.advance();
                Then::Acknowledged { last: tail }
            }
            Heard::Duplicate { tail, last } => self.duplicate(tail, last),
            Heard::Fenced { current } => self.fenced(current, dice),
            Heard::Gap { expected } => Then::Stop(Stop::Lost { expected }),
            // In a stream that was there before, what was acknowledged is gone.
            Heard::NoStream if self.has_begun || self.has_created => Then::Stop(Stop::Refused),
            Heard::NoStream => Then::Create,
            Heard::Failed { is_unwritten } => {
                self.in_doubt |= !is_unwritten;
                Then::Again
            }
            Heard::Refused => Then::Stop(Stop::Refused),
        }
    }

    fn advance(&mut self) {
        self.seq += 1;
        self.has_begun = true;
        self.in_doubt = false;
    }

    fn duplicate(&mut self, tail: u64, last: Option<u64>) -> Then {
        let is_ahead = last.is_some_and(|last| last > self.seq);
        // An epoch that was made is ours. One that is kept by the caller may not have been raised,
        // and then the server takes what is new for what it has.
        let is_strange = !self.has_begun && !self.in_doubt && self.claims_left.is_none();
        if is_ahead || is_strange {
            return Then::Stop(Stop::EpochUsed);
        }
        self.advance();
        Then::AcknowledgedBefore { tail }
    }

    fn fenced(&mut self, current: Option<u64>, dice: u64) -> Then {
        let is_new = !self.has_begun && !self.in_doubt;
        let left = self.claims_left.filter(|_| is_new).and_then(|left| left.checked_sub(1));
        let (Some(known), Some(left)) = (current, left) else {
            return Then::Stop(Stop::Fenced { current });
        };
        self.claims_left = Some(left);
        let next = (known / EPOCHS_A_MS + 1).saturating_mul(EPOCHS_A_MS);
        self.epoch = next.saturating_add(dice % EPOCHS_A_MS);
        Then::AtOnce
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const LOST: Heard = Heard::Failed { is_unwritten: false };

    #[test]
    fn numbers_grow_with_what_is_acknowledged_and_stay_while_it_is_in_doubt() {
        let mut sequence = Sequence::given(7);
        let written = sequence.hear(Heard::Written { tail: 3 }, 0);
        assert_eq!((written, sequence.seq()), (Then::Acknowledged { last: 3 }, 1));
        assert_eq!((sequence.hear(LOST, 0), sequence.seq()), (Then::Again, 1));
        let again = sequence.hear(Heard::Duplicate { tail: 9, last: Some(1) }, 0);
        assert_eq!((again, sequence.seq()), (Then::AcknowledgedBefore { tail: 9 }, 2));
    }

    #[test]
    fn an_epoch_that_was_not_raised_is_found_out_before_anything_is_lost() {
        let duplicate = Heard::Duplicate { tail: 9, last: Some(0) };
        assert_eq!(Sequence::given(1).hear(duplicate, 0), Then::Stop(Stop::EpochUsed));
        let mut doubtful = Sequence::given(1);
        doubtful.hear(LOST, 0);
        assert_eq!(doubtful.hear(duplicate, 0), Then::AcknowledgedBefore { tail: 9 });
        let ahead = Heard::Duplicate { tail: 9, last: Some(5) };
        assert_eq!(Sequence::made(1, 0).hear(ahead, 0), Then::Stop(Stop::EpochUsed));
    }

    #[test]
    fn a_clock_that_was_put_back_costs_a_higher_epoch_and_a_younger_life_ends_this_one() {
        let mut sequence = Sequence::made(1_000, 3);
        assert_eq!(sequence.epoch(), 1_024_003);
        let fenced = Heard::Fenced { current: Some(2_048_001) };
        assert_eq!((sequence.hear(fenced, 9), sequence.epoch()), (Then::AtOnce, 2_049_033));
        sequence.hear(Heard::Written { tail: 1 }, 0);
        let stop = Then::Stop(Stop::Fenced { current: Some(2_048_001) });
        assert_eq!(sequence.hear(fenced, 0), stop);
        let mut doubtful = Sequence::made(1_000, 3);
        doubtful.hear(LOST, 0);
        assert_eq!(doubtful.hear(fenced, 0), stop);
        assert_eq!(Sequence::given(4).hear(fenced, 0), stop);
        let mut unlucky = Sequence::made(1_000, 3);
        let heard: Vec<_> = (0..5).map(|_| unlucky.hear(fenced, 0)).collect();
        assert_eq!(heard, [[Then::AtOnce; 4].as_slice(), &[stop]].concat());
    }

    #[test]
    fn a_stream_is_made_once_and_one_that_vanishes_is_not_made_again() {
        let mut sequence = Sequence::given(1);
        assert_eq!(sequence.hear(Heard::NoStream, 0), Then::Create);
        assert_eq!(sequence.hear(Heard::NoStream, 0), Then::Create, "making it failed");
        sequence.created();
        assert_eq!(sequence.hear(Heard::NoStream, 0), Then::Stop(Stop::Refused));
        let mut begun = Sequence::given(1);
        begun.hear(Heard::Written { tail: 1 }, 0);
        assert_eq!(begun.hear(Heard::NoStream, 0), Then::Stop(Stop::Refused));
        let gap = Heard::Gap { expected: Some(0) };
        assert_eq!(begun.hear(gap, 0), Then::Stop(Stop::Lost { expected: Some(0) }));
    }

    /// A stream as the protocol wants it to treat its producer.
    #[derive(Default)]
    struct Server {
        known: Option<(u64, u64)>,
        records: Vec<u64>,
    }

    impl Server {
        fn take(&mut self, epoch: u64, seq: u64, batch: u64) -> Heard {
            let tail = self.records.len() as u64;
            match self.known {
                Some((current, _)) if epoch < current => Heard::Fenced { current: Some(current) },
                Some((current, last)) if epoch == current && seq <= last => {
                    Heard::Duplicate { tail, last: Some(last) }
                }
                Some((current, last)) if epoch == current && seq != last + 1 => {
                    Heard::Gap { expected: Some(last + 1) }
                }
                _ => {
                    self.known = Some((epoch, seq));
                    self.records.push(batch);
                    Heard::Written { tail: tail + 1 }
                }
            }
        }
    }

    proptest! {
        /// Whatever is lost, comes late or comes twice: what is acknowledged is in the stream, in
        /// order and once, and nothing else is.
        #[test]
        fn each_batch_is_written_once(faults in proptest::collection::vec(0..6_u8, 0..120), older: Option<u64>) {
            let mut server = Server { known: older.map(|epoch| (epoch % 3_000, 4)), ..Server::default() };
            let mut sequence = Sequence::made(1, 1);
            let mut late = VecDeque::new();
            let mut batch = 0;
            for fault in faults {
                let (epoch, seq) = (sequence.epoch(), sequence.seq());
                let heard = match fault {
                    0 => Heard::Failed { is_unwritten: true },
                    1 => LOST,
                    // The answer is lost.
                    2 => { server.take(epoch, seq, batch); LOST }
                    // It is under way for long.
                    3 => { late.push_back((epoch, seq, batch)); LOST }
                    _ => server.take(epoch, seq, batch),
                };
                match sequence.hear(heard, u64::from(fault)) {
                    Then::Acknowledged { last } => {
                        prop_assert_eq!(server.records.get(usize::try_from(last).unwrap() - 1), Some(&batch));
                        batch += 1;
                    }
                    Then::AcknowledgedBefore { .. } => batch += 1,
                    // In doubt, and an older life's epoch is higher: it says so and stops. Or chance
                    // gave both the same.
                    Then::Stop(Stop::Fenced { .. }) => break,
                    Then::Stop(Stop::EpochUsed) if older.map(|epoch| epoch % 3_000) == Some(epoch) => break,
                    then => prop_assert!(matches!(then, Then::Again | Then::AtOnce), "{then:?}"),
                }
                if fault == 5 && let Some((epoch, seq, batch)) = late.pop_front() {
                    server.take(epoch, seq, batch);
                }
            }
            let acknowledged: Vec<u64> = (0..batch).collect();
            let (sure, rest) = server.records.split_at(acknowledged.len());
            prop_assert_eq!(sure, acknowledged);
            prop_assert!(rest.is_empty() || rest == [batch]);
        }
    }
}
