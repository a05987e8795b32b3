//! A generation: what one journal segment holds, as the compactor needs it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{
    commit::{Action, Committed},
    table::Run,
};
use crate::store::{Offset, Position, StreamNo};

/// What a journal segment changed.
#[derive(Debug, Default)]
pub(super) struct Generation {
    /// The segment's number.
    pub(super) segment: u64,
    /// The last commit in it.
    pub(super) last_commit: u64,
    /// The streams it touched, with the tail they had at its end.
    pub(super) dirty: HashMap<StreamNo, Touched>,
    /// The first position that may be in it.
    pub(super) first_position: Position,
    /// The last position in it.
    pub(super) last_position: Position,
}

/// What a generation did to a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) tail: Offset,
    /// The path, where the stream was deleted.
    pub(super) deleted: Option<Arc<str>>,
}

impl Generation {
    pub(super) fn new(segment: u64, last_commit: u64, last_position: Position) -> Self {
        let first_position = Position(last_position.0 + 1);
        Self { segment, last_commit, first_position, last_position, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.dirty.is_empty()
    }

    /// Notes a durable write whose first record has position `first`, and adds its records to the
    /// commit order.
    pub(super) fn note(
        &mut self,
        write: &Committed,
        first: Position,
        path: &Arc<str>,
        order: &mut VecDeque<Run>,
    ) {
        let touched = self.dirty.entry(write.stream).or_default();
        if write.action == Action::Delete {
            touched.deleted = Some(Arc::clone(path));
        }
        let Some(after) = write.begins_after() else { return };
        let count = write.records.len() as u64;
        touched.tail = touched.tail.max(after.plus(count));
        if count == 0 {
            return;
        }
        self.last_position = Position(first.0 + count - 1);
        let run = Run {
            position: first,
            stream: write.stream,
            first: after.plus(1),
            count: u32::try_from(count).unwrap_or(u32::MAX),
        };
        match order.back_mut() {
            // A run never reaches from one generation into the next: they go one at a time.
            Some(last) if last.position >= self.first_position && last.is_followed_by(&run) => {
                last.count += run.count;
            }
            _ => order.push_back(run),
        }
    }
}

impl Run {
    fn is_followed_by(&self, next: &Self) -> bool {
        self.stream == next.stream
            && self.position.0 + u64::from(self.count) == next.position.0
            && self.first.plus(u64::from(self.count)) == next.first
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn neighbours_in_the_commit_order_become_one_run() {
        let mut generation = Generation::new(1, 0, Position(0));
        let mut order = VecDeque::new();
        let mut note = |stream, after, count: usize, position| {
            let write = Committed {
                stream: StreamNo(stream),
                action: Action::Append { expected_tail: after },
                timestamp_ms: 0,
                due_ms: None,
                meta: Vec::new(),
                records: (0..count).map(|_| Bytes::new()).collect(),
            };
            generation.note(&write, Position(position), &Arc::from("a"), &mut order);
        };
        note(1, 0, 2, 1);
        note(1, 2, 1, 3);
        note(2, 0, 1, 4);
        note(1, 3, 1, 5);
        let runs: Vec<_> = order.iter().map(|run| (run.stream.0, run.count)).collect();
        assert_eq!(runs, [(1, 3), (2, 1), (1, 1)]);
        assert_eq!(generation.dirty[&StreamNo(1)].tail, Offset(4));
        assert_eq!(generation.last_position, Position(5));
    }
}
