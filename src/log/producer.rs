//! Idempotent producers: is a batch new, was it written before, or must it be refused? Pure.
//!
//! Durable Streams protocol, section 5.2.1. Invariant: what is decided here is committed in the
//! same write as the batch, so a crash never separates the two.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Who sends a batch, and which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    /// Its name, kept across its restarts.
    pub id: Arc<str>,
    /// Grows with each of its restarts; an older one is fenced off.
    pub epoch: u64,
    /// Number of the batch within the epoch: 0, 1, 2 …
    pub seq: u64,
}

/// What a stream knows of a producer: the last batch it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerState {
    /// Its epoch.
    pub epoch: u64,
    /// The highest number it took in that epoch.
    pub seq: u64,
}

/// Why a producer's batch was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// A younger epoch of the same producer is at work.
    #[error("the producer's epoch {given} is over: epoch {current} is at work")]
    Fenced {
        /// The epoch that was sent.
        given: u64,
        /// The one that counts.
        current: u64,
    },
    /// Batches before this one are missing.
    #[error("batch {received} of the producer came, where {expected} is the next")]
    Gap {
        /// The number that would be taken.
        expected: u64,
        /// The number that came.
        received: u64,
    },
    /// A new epoch begins with batch 0.
    #[error("a new epoch begins with batch 0, not with {seq}")]
    EpochStart {
        /// The number that came.
        seq: u64,
    },
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Write it, and this with it.
    New(ProducerState),
    /// It is in the log; this is the last batch that is.
    Duplicate(ProducerState),
}

/// Decides a batch against what the stream knows of its producer.
pub(super) fn decide(
    known: Option<ProducerState>,
    producer: &Producer,
) -> Result<Verdict, ProducerError> {
    let Producer { epoch, seq, .. } = *producer;
    let new = Verdict::New(ProducerState { epoch, seq });
    let Some(known) = known else {
        return if seq == 0 {
            Ok(new)
        } else {
            Err(ProducerError::Gap { expected: 0, received: seq })
        };
    };
    if epoch < known.epoch {
        return Err(ProducerError::Fenced { given: epoch, current: known.epoch });
    }
    if epoch > known.epoch {
        return if seq == 0 { Ok(new) } else { Err(ProducerError::EpochStart { seq }) };
    }
    if seq <= known.seq {
        return Ok(Verdict::Duplicate(known));
    }
    let expected = known.seq + 1;
    if seq == expected { Ok(new) } else { Err(ProducerError::Gap { expected, received: seq }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(epoch: u64, seq: u64) -> Producer {
        Producer { id: Arc::from("p"), epoch, seq }
    }

    #[test]
    fn a_younger_epoch_fences_the_older_ones() {
        let known = Some(ProducerState { epoch: 5, seq: 3 });
        let fenced = decide(known, &batch(4, 4));
        assert_eq!(fenced, Err(ProducerError::Fenced { given: 4, current: 5 }));
        let younger = decide(known, &batch(6, 0));
        assert_eq!(younger, Ok(Verdict::New(ProducerState { epoch: 6, seq: 0 })));
        assert_eq!(decide(known, &batch(6, 1)), Err(ProducerError::EpochStart { seq: 1 }));
    }

    #[test]
    fn a_batch_sent_again_is_answered_with_the_last_one_taken() {
        let last = ProducerState { epoch: 5, seq: 3 };
        for seq in 0..=3 {
            assert_eq!(decide(Some(last), &batch(5, seq)), Ok(Verdict::Duplicate(last)));
        }
        let gap = decide(Some(last), &batch(5, 5));
        assert_eq!(gap, Err(ProducerError::Gap { expected: 4, received: 5 }));
    }

    #[test]
    fn a_producer_that_is_not_known_begins_with_batch_0_in_any_epoch() {
        let first = decide(None, &batch(7, 0));
        assert_eq!(first, Ok(Verdict::New(ProducerState { epoch: 7, seq: 0 })));
        assert_eq!(
            decide(None, &batch(0, 2)),
            Err(ProducerError::Gap { expected: 0, received: 2 })
        );
    }

    proptest! {
        /// However batches are sent again, late and out of order: those that are taken are, in
        /// each epoch, 0, 1, 2 … without gap or repetition, and epochs never go back.
        #[test]
        fn what_is_taken_is_in_order_and_once(sent in proptest::collection::vec((0..4_u64, 0..6_u64), 0..60)) {
            let mut known = None;
            let mut taken: Vec<ProducerState> = Vec::new();
            for (epoch, seq) in sent {
                if let Ok(Verdict::New(state)) = decide(known, &batch(epoch, seq)) {
                    known = Some(state);
                    taken.push(state);
                }
            }
            for pair in taken.windows(2) {
                let next = (pair[1].epoch == pair[0].epoch && pair[1].seq == pair[0].seq + 1)
                    || (pair[1].epoch > pair[0].epoch && pair[1].seq == 0);
                prop_assert!(next, "{pair:?}");
            }
        }
    }
}
