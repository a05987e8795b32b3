//! What the actors of a soak share: where the server is, what is counted, what was found wrong,
//! and how far the run is. It refuses to know what actors do.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use super::dice::Dice;
use crate::clock::{Clock, SystemClock};

/// Findings that are kept in words; the first ones say most.
const FINDINGS_MAX: usize = 20;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Everybody works.
    Load,
    /// Writers have stopped; readers go on to the tails.
    Drain,
    /// Whoever is still there leaves.
    Over,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// Counts so many more.
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// The number.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Events that were acknowledged.
    pub(super) events: Count,
    /// Requests that were answered.
    pub(super) requests: Count,
    /// Requests that were sent again.
    pub(super) retries: Count,
    /// Events that readers were given.
    pub(super) read: Count,
    /// Connections of live readers.
    pub(super) connections: Count,
    /// Whole sessions with their turns.
    pub(super) sessions: Count,
    /// Streams that were made, forked, closed and deleted.
    pub(super) churned: Count,
    /// Connections with nothing sensible on them.
    pub(super) nuisances: Count,
    /// Backups that were taken whole, restored and checked.
    pub(super) backups: Count,
    /// Events that readers of a short retention were told to be gone.
    pub(super) resets: Count,
}

/// [`Counts`] as they are told.
#[derive(Debug, Serialize)]
pub(super) struct Counted {
    events: u64,
    requests: u64,
    retries: u64,
    read: u64,
    connections: u64,
    sessions: u64,
    churned: u64,
    nuisances: u64,
    backups: u64,
    resets: u64,
}

/// What all actors share.
#[derive(Debug)]
pub(super) struct Run {
    /// Where all choices come from.
    pub(super) seed: u64,
    /// Where the server listens, through all its lives.
    pub(super) address: String,
    /// What was done.
    pub(super) counts: Counts,
    /// Times the server began to end, and times it had started: odd while it is down.
    pub(super) turns: Count,
    phase: watch::Sender<Phase>,
    findings: Mutex<Vec<String>>,
    tails: Mutex<BTreeMap<String, u64>>,
}

impl Run {
    /// A run of this seed against the server that will be at `address`.
    pub(super) fn new(seed: u64, address: String) -> Self {
        Self {
            seed,
            address,
            counts: Counts::default(),
            turns: Count::default(),
            phase: watch::Sender::new(Phase::Load),
            findings: Mutex::default(),
            tails: Mutex::default(),
        }
    }

    /// The choices of one actor.
    pub(super) fn dice(&self, actor: u64) -> Dice {
        Dice::new(self.seed, actor)
    }

    /// How far the run is.
    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether writers go on.
    pub(super) fn loads(&self) -> bool {
        self.phase() == Phase::Load
    }

    /// Goes on to a phase; never back.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|now| phase > std::mem::replace(now, phase.max(*now)));
    }

    /// Completes when the run is over, for those who wait for something else.
    pub(super) async fn until_over(&self) {
        let mut phase = self.phase.subscribe();
        // It is there for as long as the run.
        drop(phase.wait_for(|phase| *phase == Phase::Over).await);
    }

    /// Waits, at most until the load ends.
    pub(super) async fn pause(&self, span: Duration) {
        let mut phase = self.phase.subscribe();
        tokio::select! {
            () = SystemClock.sleep(span) => {}
            _ = phase.wait_for(|phase| *phase > Phase::Load) => {}
        }
    }

    /// Something is not as it must be.
    pub(super) fn found(&self, what: impl Into<String>) {
        let mut findings = self.findings.lock();
        if findings.len() < FINDINGS_MAX {
            findings.push(what.into());
        }
    }

    /// What was found so far.
    pub(super) fn findings(&self) -> Vec<String> {
        self.findings.lock().clone()
    }

    /// Where the streams ended when the writers had stopped.
    pub(super) fn set_tails(&self, tails: BTreeMap<String, u64>) {
        *self.tails.lock() = tails;
    }

    /// Whether a reader that came to `offset` of a stream has all of it.
    pub(super) fn is_drained(&self, stream: &str, offset: u64) -> bool {
        match self.phase() {
            Phase::Load => false,
            Phase::Drain => self.tails.lock().get(stream).is_some_and(|tail| offset >= *tail),
            Phase::Over => true,
        }
    }

    /// What was done so far.
    pub(super) fn counted(&self) -> Counted {
        let counts = &self.counts;
        Counted {
            events: counts.events.get(),
            requests: counts.requests.get(),
            retries: counts.retries.get(),
            read: counts.read.get(),
            connections: counts.connections.get(),
            sessions: counts.sessions.get(),
            churned: counts.churned.get(),
            nuisances: counts.nuisances.get(),
            backups: counts.backups.get(),
            resets: counts.resets.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_and_never_back() {
        let run = Run::new(1, String::new());
        assert!(run.loads() && !run.is_drained("a", 9));
        run.set_tails(BTreeMap::from([("a".to_owned(), 3)]));
        run.enter(Phase::Drain);
        assert!(!run.is_drained("a", 2) && run.is_drained("a", 3));
        run.enter(Phase::Load);
        assert_eq!(run.phase(), Phase::Drain);
        run.enter(Phase::Over);
        assert!(run.is_drained("b", 0));
    }
}
