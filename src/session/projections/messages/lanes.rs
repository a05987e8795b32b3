//! Where the answers of a turn and of an agent are, so that a chunk that names no message finds
//! its own without a search. Pure.
//!
//! Invariant: it is made of the messages alone, and so it is never written down.

use std::collections::{BTreeMap, BTreeSet};

use crate::session::vocabulary::Id;

/// A turn, by its id or by its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TurnKey {
    Id(Id),
    Number(u64),
}

impl TurnKey {
    pub(super) fn of(id: Option<&Id>, number: Option<u64>) -> Option<Self> {
        id.cloned().map(Self::Id).or(number.map(Self::Number))
    }
}

/// What chunks agree in.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) turn: Option<TurnKey>,
    pub(super) agent: Option<Id>,
}

/// Answers by turn and agent, by turn, and by agent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Lanes {
    answers: BTreeMap<Lane, BTreeSet<(u64, Id)>>,
}

impl Lanes {
    /// Notes an answer: its lane, the offset it began at, its id.
    pub(super) fn add(&mut self, lane: &Lane, offset: u64, id: &Id) {
        for view in views(lane) {
            self.answers.entry(view).or_default().insert((offset, id.clone()));
        }
    }

    pub(super) fn remove(&mut self, lane: &Lane, offset: u64, id: &Id) {
        for view in views(lane) {
            if let Some(answers) = self.answers.get_mut(&view) {
                answers.remove(&(offset, id.clone()));
                if answers.is_empty() {
                    self.answers.remove(&view);
                }
            }
        }
    }

    /// The latest answer of a lane.
    pub(super) fn last(&self, lane: &Lane) -> Option<&Id> {
        self.answers.get(lane)?.last().map(|(_, id)| id)
    }

    /// All answers of a turn.
    pub(super) fn of_turn(&self, turn_id: &Id) -> Vec<Id> {
        let lane = Lane { turn: Some(TurnKey::Id(turn_id.clone())), agent: None };
        let answers = self.answers.get(&lane).into_iter().flatten();
        answers.map(|(_, id)| id.clone()).collect()
    }
}

/// The ways in which an answer is looked for.
fn views(lane: &Lane) -> impl Iterator<Item = Lane> {
    let Lane { turn, agent } = lane;
    let both = (turn.is_some() && agent.is_some()).then(|| lane.clone());
    let turn = turn.is_some().then(|| Lane { turn: turn.clone(), agent: None });
    let agent = agent.is_some().then(|| Lane { turn: None, agent: agent.clone() });
    both.into_iter().chain(turn).chain(agent)
}
