//! The work behind collections: a follower in, a state and how far it is out.
//!
//! It refuses to know who looks. Invariant: of a stream that does not go on where the state stands
//! nothing is folded into it.

use std::sync::Arc;

use futures_util::StreamExt;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{Kept, Over, Standing};
use crate::client::{FollowOptions, Followed, Follower, Session, State};

/// One follower, and where what it brings goes.
pub(super) struct Feed {
    session: Session,
    kept: Arc<RwLock<Kept>>,
    told: watch::Sender<Standing>,
}

/// What to do after a batch.
enum Then {
    GoOn,
    /// The state is worth nothing: it comes anew.
    Renew,
    Stop,
}

impl Feed {
    pub(super) fn new(
        session: Session,
        kept: Arc<RwLock<Kept>>,
        told: watch::Sender<Standing>,
    ) -> Self {
        Self { session, kept, told }
    }

    /// Follows from a place, or from the state that the server has.
    pub(super) async fn run(self, from: Option<FollowOptions>) {
        let mut follower = match from {
            Some(place) => self.session.follow_with(place),
            None => self.session.snapshot_then_follow(),
        };
        while let Then::Renew = self.fold(follower).await {
            follower = self.session.snapshot_then_follow();
        }
    }

    async fn fold(&self, follower: Follower) -> Then {
        let mut batches = self.session.client().coalesce(follower);
        while let Some(batch) = batches.next().await {
            let mut standing = self.told.borrow().clone();
            let then = self.take(batch, &mut standing);
            standing.offset = self.kept.read().state.offset;
            self.told.send_replace(standing);
            if !matches!(then, Then::GoOn) {
                return then;
            }
        }
        Then::Stop
    }

    /// Folds what came at once. Whoever looks sees all of it or nothing.
    fn take(&self, batch: Vec<Followed>, standing: &mut Standing) -> Then {
        let mut kept = self.kept.write();
        for followed in batch {
            match followed {
                Followed::Event(event) => event.fold_into(&mut kept.state),
                Followed::Connected { .. } => {}
                Followed::Snapshot(state) => {
                    if let Err(over) = renew(&mut kept, &state) {
                        standing.over = Some(Arc::new(over));
                        return Then::Stop;
                    }
                    standing.is_filled = true;
                }
                Followed::CaughtUp { epoch, .. } => {
                    kept.epoch = epoch;
                    standing.is_live = true;
                }
                Followed::Reset(_) => {
                    standing.is_live = false;
                    return Then::Renew;
                }
                Followed::Reconnecting { .. } => standing.is_live = false,
                Followed::Ended(ended) => {
                    standing.is_live = false;
                    standing.over = Some(Arc::new(Over::Ended(ended)));
                    return Then::Stop;
                }
            }
        }
        Then::GoOn
    }
}

fn renew(kept: &mut Kept, state: &State) -> Result<(), Over> {
    let state = state.projections().map_err(Over::Unreadable)?;
    *kept = Kept { state, epoch: None };
    Ok(())
}
