//! What each agent does, and the last steps it took.
//!
//! Invariant: a step with a number is there once in its turn.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::{
    Event,
    keyed::{Keyed, Named},
    merge::only_other,
};
use crate::{
    limits,
    projection::Projection,
    session::vocabulary::{
        Id, KnownEvent,
        agent::{AgentState, AgentStep},
    },
};

/// A step that an agent has begun.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TakenStep {
    /// Its number within the turn.
    pub step: Option<u64>,
    /// What it is about.
    pub title: Option<String>,
    /// The turn it belongs to.
    pub turn_id: Option<Id>,
    /// When it began, Unix milliseconds.
    pub at: u64,
    /// The event that said so.
    pub offset: u64,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An agent.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// The agent.
    pub agent_id: Id,
    /// What it does, where it said so.
    pub state: Option<String>,
    /// The turn it works on.
    pub turn_id: Option<Id>,
    /// More about what it does.
    pub detail: Option<String>,
    /// Since when it does that, Unix milliseconds.
    pub since: Option<u64>,
    /// Its last steps, in order.
    pub steps: VecDeque<TakenStep>,
    /// Earlier steps that are not in view any more.
    pub dropped_steps: u64,
    /// When it was last heard of, Unix milliseconds.
    pub updated_at: u64,
    /// The event it was first heard of in.
    pub offset: u64,
    /// The event it was last heard of in.
    pub updated_offset: u64,
    /// Whatever else was said of what it does.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Fields of ours that a writer may use for something else.
const OWN: &[&str] = &["since", "steps", "droppedSteps", "updatedAt"];

impl Named for Agent {
    type Key = Id;

    fn key(&self) -> Id {
        self.agent_id.clone()
    }
}

/// The agents of a session: an array.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Agents {
    list: Keyed<Agent>,
}

impl Projection for Agents {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "agents";
    const VERSION: u32 = 1;

    fn apply(&mut self, event: &Event<'_>) {
        match &event.known {
            Some(KnownEvent::AgentState(said)) => {
                self.heard(event, &said.agent_id, |agent| agent.does(event, said));
            }
            Some(KnownEvent::AgentStep(said)) => {
                self.heard(event, &said.agent_id, |agent| agent.steps_on(event, said));
            }
            _ => {}
        }
    }
}

impl Agents {
    /// The agents, in the order in which they were first heard of.
    #[must_use]
    pub fn list(&self) -> &Keyed<Agent> {
        &self.list
    }

    fn heard(&mut self, event: &Event<'_>, id: &Id, change: impl FnOnce(&mut Agent)) {
        let agent = self.list.entry(id, || Agent {
            agent_id: id.clone(),
            state: None,
            turn_id: None,
            detail: None,
            since: None,
            steps: VecDeque::new(),
            dropped_steps: 0,
            updated_at: event.timestamp_ms,
            offset: event.offset,
            updated_offset: event.offset,
            other: Map::new(),
        });
        agent.updated_at = event.timestamp_ms;
        agent.updated_offset = event.offset;
        change(agent);
        self.list.trim(limits::AGENTS_MAX, |agent| agent.updated_offset);
    }
}

impl Agent {
    fn does(&mut self, event: &Event<'_>, said: &AgentState) {
        if self.state.as_ref() != Some(&said.state) {
            self.since = Some(event.timestamp_ms);
        }
        self.state = Some(said.state.clone());
        self.turn_id.clone_from(&said.turn_id);
        self.detail.clone_from(&said.detail);
        self.other = only_other(&said.other, OWN);
    }

    fn steps_on(&mut self, event: &Event<'_>, said: &AgentStep) {
        let step = TakenStep {
            step: said.step,
            title: said.title.clone(),
            turn_id: said.turn_id.clone(),
            at: event.timestamp_ms,
            offset: event.offset,
            other: only_other(&said.other, &["at", "agentId"]),
        };
        let same = |before: &&mut TakenStep| {
            said.step.is_some() && before.step == said.step && before.turn_id == said.turn_id
        };
        match self.steps.iter_mut().find(same) {
            Some(before) => *before = step,
            None => self.steps.push_back(step),
        }
        while self.steps.len() > limits::AGENT_STEPS_MAX {
            self.steps.pop_front();
            self.dropped_steps = self.dropped_steps.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::session::projections::testing::{fold, text_of};

    #[test]
    fn an_agent_says_what_it_does_and_takes_steps() {
        let agents: Agents = fold(&[
            ("agent.state", json!({"agentId": "a", "state": "thinking", "turnId": "t"})),
            ("agent.step", json!({"agentId": "a", "step": 1, "turnId": "t", "title": "look"})),
            ("agent.state", json!({"agentId": "a", "state": "thinking", "turnId": "t", "pct": 5})),
            ("agent.step", json!({"agentId": "b", "title": "on its own"})),
            ("agent.step", json!({"agentId": "a", "step": 1, "turnId": "t", "title": "again"})),
            ("agent.step", json!({"agentId": "a", "step": 2, "turnId": "t", "at": "here"})),
            ("agent.state", json!({"agentId": "a", "state": "acting", "detail": "cargo"})),
        ]);
        insta::assert_snapshot!(text_of(&agents), @r#"
        {"agentId":"a","detail":"cargo","droppedSteps":0,"offset":1,"since":7000,"state":"acting","steps":[{"at":5000,"offset":5,"step":1,"title":"again","turnId":"t"},{"at":6000,"offset":6,"step":2,"turnId":"t"}],"updatedAt":7000,"updatedOffset":7}
        {"agentId":"b","droppedSteps":0,"offset":4,"steps":[{"at":4000,"offset":4,"title":"on its own"}],"updatedAt":4000,"updatedOffset":4}
        "#);
    }

    #[test]
    fn only_the_last_steps_and_agents_are_kept() {
        let step = |n: usize| ("agent.step", json!({"agentId": "a", "step": n}));
        let steps: Vec<_> = (0..limits::AGENT_STEPS_MAX + 3).map(step).collect();
        let agents: Agents = fold(&steps);
        let agent = agents.list().last().unwrap();
        assert_eq!(agent.steps.len(), limits::AGENT_STEPS_MAX);
        assert_eq!((agent.dropped_steps, agent.steps[0].step), (3, Some(3)));

        let state = |n: usize| ("agent.state", json!({"agentId": format!("a{n}"), "state": "x"}));
        let states: Vec<_> = (0..limits::AGENTS_MAX).chain([0, 9_999]).map(state).collect();
        let agents: Agents = fold(&states);
        assert_eq!(agents.list().len(), limits::AGENTS_MAX);
        assert!(agents.list().get(&Id::new("a0").unwrap()).is_some());
        assert!(agents.list().get(&Id::new("a1").unwrap()).is_none());
    }
}
