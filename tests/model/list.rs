//! The list of sessions kept live, against one folded from the log alone: random events, forks of
//! forks, deletions, streams made anew, time that passes, looks and restarts in between.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use scrollback::{
    clock::ManualClock,
    log::{Append, Creation, Expiry, Fork, Log, NewRecord, Offset, StreamPath, StreamSpec},
    projection::OrderView,
    session::list::{Asked, Sessions},
    store::{Store, memory::MemoryStore},
};

use crate::util::{NOW_MS, block_on, log_over};

#[derive(Debug, Clone)]
enum Op {
    Event { to: u8, kind: u8 },
    Create { at: u8, expires: bool },
    Fork { from: u8, to: u8, at: u8, expires: bool },
    Delete(u8),
    Pass(u8),
    Look,
    Save,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let name = 0..5_u8;
    prop_oneof![
        6 => (name.clone(), 0..4_u8).prop_map(|(to, kind)| Op::Event { to, kind }),
        1 => (name.clone(), any::<bool>()).prop_map(|(at, expires)| Op::Create { at, expires }),
        5 => (name.clone(), name.clone(), any::<u8>(), any::<bool>())
            .prop_map(|(from, to, at, expires)| Op::Fork { from, to, at, expires }),
        3 => name.prop_map(Op::Delete),
        1 => (1..40_u8).prop_map(Op::Pass),
        3 => Just(Op::Look),
        1 => Just(Op::Save),
        1 => Just(Op::Restart),
    ]
}

struct World {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    log: Log,
    list: OrderView<Sessions>,
    events: u64,
}

fn session(number: u8) -> StreamPath {
    StreamPath::session(&format!("s{number}")).unwrap()
}

fn spec(expires: bool) -> StreamSpec {
    StreamSpec { expiry: expires.then_some(Expiry::Idle { seconds: 60 }), ..StreamSpec::json() }
}

impl World {
    fn new() -> Self {
        let (store, clock) = (Arc::new(MemoryStore::default()), ManualClock::at(NOW_MS));
        let log = log_over(store.clone(), &clock);
        let list = OrderView::new(log.clone());
        Self { store, clock, log, list, events: 0 }
    }

    async fn step(&mut self, op: &Op) {
        self.clock.advance(Duration::from_millis(10));
        match *op {
            Op::Event { to, kind } => self.event(to, kind).await,
            // What cannot be made or is not there is part of the play.
            Op::Create { at, expires } => {
                let _ = self.log.create(&session(at), spec(expires)).await;
            }
            Op::Fork { from, to, at, expires } => {
                let tail = self.log.info(&session(from)).await.map_or(0, |info| info.tail.0);
                let at = Some(Offset(u64::from(at) * (tail + 1) / 256));
                let fork = Some(Fork { source: session(from), at, sub: 0 });
                let creation = Creation { fork, ..spec(expires).into() };
                let _ = self.log.create(&session(to), creation).await;
            }
            Op::Delete(at) => {
                let _ = self.log.delete(&session(at)).await;
            }
            Op::Pass(seconds) => {
                self.clock.advance(Duration::from_secs(seconds.into()));
                self.log.sweep().await.unwrap();
            }
            Op::Look => self.look().await,
            Op::Save => self.list.save_unless_within(Duration::ZERO).await.unwrap(),
            Op::Restart => {
                self.log = log_over(Arc::clone(&self.store), &self.clock);
                self.list = OrderView::new(self.log.clone());
            }
        }
    }

    async fn event(&mut self, to: u8, kind: u8) {
        self.events += 1;
        let n = self.events;
        let (channel, kind, data) = match kind {
            0 => ("session", "session.created", format!(r#"{{"title":"T{n}"}}"#)),
            1 => ("turn", "turn.started", format!(r#"{{"turnId":"t{n}"}}"#)),
            2 => ("presence", "presence.joined", format!(r#"{{"userId":"u{}"}}"#, n % 3)),
            _ => ("message", "message.note", "{}".to_owned()),
        };
        let payload = format!(
            r#"{{"id":"e{n}","channel":"{channel}","type":"{kind}","timestamp":{n},"data":{data}}}"#
        );
        let record = NewRecord { id: None, payload: Bytes::from(payload) };
        let _ = self.log.append(&session(to), Append::json([record])).await;
    }

    /// What is shown is what the log alone gives, and names the streams there are.
    async fn look(&self) {
        let (live, at) = self.list.read(|list, at| (list.clone(), at)).await.unwrap();
        let anew = self.list.anew(at).await.unwrap();
        assert_eq!(live, anew);
        let shown = live.list(&Asked { archived: true, ..Asked::default() }, None, usize::MAX);
        let mut shown: Vec<_> = shown.into_iter().map(|(place, _)| place.id).collect();
        shown.sort();
        let there = self.log.list("sessions/", "", 100).await.unwrap();
        let there = there.iter().filter(|info| info.tail > Offset::ZERO);
        let there: Vec<_> = there.map(|info| info.path.replace("sessions/", "")).collect();
        assert_eq!(shown, there);
        assert_eq!(live.count(), there.len());
    }

    async fn end(&self) {
        self.look().await;
        let checked = self.list.check().await.unwrap();
        assert!(checked.is_none_or(|checked| checked.differing == 0 && checked.first.is_none()));
        let restarted = OrderView::<Sessions>::new(self.log.clone());
        let restarted = restarted.read(|list, _| list.clone()).await.unwrap();
        assert_eq!(restarted, self.list.read(|list, _| list.clone()).await.unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200, failure_persistence: None, max_shrink_iters: 2_000, ..ProptestConfig::default()
    })]

    #[test]
    fn a_list_kept_live_is_the_one_that_the_log_alone_gives(
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        block_on(async {
            let mut world = World::new();
            for op in &ops {
                world.step(op).await;
            }
            world.end().await;
        });
    }
}
