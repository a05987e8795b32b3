//! One agent, whichever sessions it works in: what it does, and the steps it takes.
//!
//! Invariants: an agent that has not said anything yet is waited for; handlers hear events in the
//! order of the agent's stream, each once.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::watch;

use super::{
    Client, ClientError, Ended, Event, FollowOptions, Followed, Router, Subscription, Unfit,
    task::Task,
};
use crate::{
    session::vocabulary::agent::{AgentState, AgentStep},
    wire::code::Code,
};

/// Handlers for an agent's stream, `agents/{id}`, which is channel name `agent:{id}`.
///
/// ```no_run
/// use scrollback::client::{Agents, Client};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new("http://127.0.0.1:4437")?;
/// let coder = Agents::of(&client, "coder")
///     .on_state(|said, _| println!("{}", said.state))
///     .on_step(|said, _| println!("{}", said.title.unwrap_or_default()))
///     .follow(0);
/// // … and before the program ends:
/// let place = coder.offset();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is followed before `follow`"]
pub struct Agents {
    client: Client,
    path: String,
    router: Router,
    handlers: Vec<Subscription>,
}

/// An agent that is followed. Dropping it ends that.
#[derive(Debug)]
#[must_use = "dropping it ends the following"]
pub struct AgentFollower {
    place: watch::Receiver<Place>,
    _handlers: Vec<Subscription>,
    _task: Task,
}

#[derive(Debug, Clone, Default)]
struct Place {
    offset: u64,
    ended: Option<Arc<Ended>>,
}

impl Agents {
    /// The agent of this id.
    pub fn of(client: &Client, id: &str) -> Self {
        let (client, router) = (client.clone(), Router::default());
        Self { client, path: format!("agents/{id}"), router, handlers: Vec::new() }
    }

    /// Calls `handler` whenever the agent does something else.
    pub fn on_state(
        mut self,
        handler: impl Fn(AgentState, &Event) + Send + Sync + 'static,
    ) -> Self {
        self.handlers.push(self.router.on_known(handler));
        self
    }

    /// Calls `handler` whenever the agent begins a step.
    pub fn on_step(mut self, handler: impl Fn(AgentStep, &Event) + Send + Sync + 'static) -> Self {
        self.handlers.push(self.router.on_known(handler));
        self
    }

    /// Calls `handler` with every event whose data is not that of its type.
    pub fn on_unfit(mut self, handler: impl Fn(&Unfit) + Send + Sync + 'static) -> Self {
        self.handlers.push(self.router.on_unfit(handler));
        self
    }

    /// Follows the agent after an offset of its stream; 0 is the beginning. It must be called
    /// within a tokio runtime.
    pub fn follow(self, after: u64) -> AgentFollower {
        let Self { client, path, router, handlers } = self;
        let (told, place) = watch::channel(Place { offset: after, ended: None });
        let task = Task::spawn(run(client, path, router, told));
        AgentFollower { place, _handlers: handlers, _task: task }
    }
}

impl AgentFollower {
    /// The offset to go on from later: the handlers have heard everything up to it.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.place.borrow().offset
    }

    /// Completes when nothing comes any more, and says why.
    pub async fn ended(&self) -> Option<Arc<Ended>> {
        let mut place = self.place.clone();
        let place = place.wait_for(|place| place.ended.is_some()).await;
        place.ok().and_then(|place| place.ended.clone())
    }
}

async fn run(client: Client, path: String, router: Router, told: watch::Sender<Place>) {
    let mut absences = 0_u32;
    loop {
        let after = told.borrow().offset;
        let mut follower = client.follow(&path, FollowOptions::after(after));
        let mut last = None;
        while let Some(followed) = follower.next().await {
            match followed {
                Followed::Connected { .. } => absences = 0,
                Followed::Event(event) => {
                    router.dispatch(&event);
                    told.send_modify(|place| place.offset = event.offset());
                }
                Followed::Reset(reset) => {
                    told.send_modify(|place| place.offset = reset.resume_from);
                }
                Followed::Ended(ended) => last = Some(ended),
                _ => {}
            }
        }
        match last {
            // What comes under this path next is another stream.
            Some(Ended::Deleted) => told.send_modify(|place| place.offset = 0),
            Some(Ended::Refused(error)) if is_absent(&error) => {}
            ended => {
                told.send_modify(|place| place.ended = ended.map(Arc::new));
                return;
            }
        }
        absences = absences.saturating_add(1);
        let wait = client.inner.reconnect.wait(absences, rand::random(), None);
        client.inner.clock.sleep(wait).await;
    }
}

/// The agent has not said anything yet, or all of it is gone.
fn is_absent(error: &ClientError) -> bool {
    error.problem().is_some_and(|problem| problem.code == Code::StreamNotFound)
}
