//! The log over the store on disk against the log over the one in memory: appends with ids and
//! expected offsets, closings, deletions, sweeps, readers that resume, restarts.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use proptest::{prelude::*, test_runner::TestCaseError};
use scrollback::{
    clock::ManualClock,
    log::{Append, Creation, Log, Offset, Reader, Step, StreamInfo, StreamPath, StreamSpec},
    metrics::Metrics,
    store::{Record, memory::MemoryStore, sled::SledStore},
};

use crate::util::{ALL, NOW_MS, SIZES, block_on, event, log_over, path};

#[derive(Debug, Clone)]
enum Op {
    Create { path: u8, days: Option<u8>, first: Option<u8> },
    Append { path: u8, ids: Vec<u8>, expected: Option<i8>, create: bool },
    Close { path: u8 },
    Delete { path: u8 },
    Read { path: u8, after: u8 },
    Seek { path: u8, hours: u16 },
    Advance { hours: u8 },
    Sweep,
    Follow { path: u8, after: u8 },
    Compact,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let path = 0..4_u8;
    let ids = proptest::collection::vec(any::<u8>(), 1..9);
    let expected = proptest::option::weighted(0.2, -2..2_i8);
    prop_oneof![
        2 => (path.clone(), proptest::option::of(1..20_u8), proptest::option::of(1..9_u8))
            .prop_map(|(path, days, first)| Op::Create { path, days, first }),
        12 => (path.clone(), ids, expected, prop::bool::weighted(0.9)).prop_map(
            |(path, ids, expected, create)| Op::Append { path, ids, expected, create }
        ),
        1 => path.clone().prop_map(|path| Op::Close { path }),
        1 => path.clone().prop_map(|path| Op::Delete { path }),
        4 => (path.clone(), any::<u8>()).prop_map(|(path, after)| Op::Read { path, after }),
        2 => (path.clone(), any::<u16>()).prop_map(|(path, hours)| Op::Seek { path, hours }),
        5 => any::<u8>().prop_map(|hours| Op::Advance { hours }),
        4 => Just(Op::Sweep),
        3 => (path.clone(), any::<u8>()).prop_map(|(path, after)| Op::Follow { path, after }),
        3 => Just(Op::Compact),
        2 => Just(Op::Restart),
    ]
}

type Outcome = Result<(), TestCaseError>;

/// Two logs on one clock. The one on disk is opened again now and then, and so is the other, on
/// the store it had.
struct Pair<'a> {
    folder: &'a Path,
    clock: Arc<ManualClock>,
    store: Arc<SledStore>,
    model_store: Arc<MemoryStore>,
    disk: Log,
    model: Log,
    hours: u64,
}

fn stream(number: u8) -> StreamPath {
    path(["a", "sessions/b", "sessions/c", "d"][usize::from(number) % 4])
}

/// Everything but what is random.
fn plain(info: StreamInfo) -> StreamInfo {
    StreamInfo { epoch: 0, ..info }
}

fn open(folder: &Path) -> Arc<SledStore> {
    let metrics = Arc::new(Metrics::default());
    Arc::new(SledStore::open_sized(folder, metrics, SIZES).unwrap())
}

impl<'a> Pair<'a> {
    fn new(folder: &'a Path) -> Self {
        let clock = ManualClock::at(NOW_MS);
        let (store, model_store) = (open(folder), Arc::new(MemoryStore::default()));
        let disk = log_over(Arc::<SledStore>::clone(&store), &clock);
        let model = log_over(Arc::<MemoryStore>::clone(&model_store), &clock);
        Self { folder, clock, store, model_store, disk, model, hours: 0 }
    }

    async fn run(&mut self, op: Op) -> Outcome {
        match op {
            Op::Create { path, days, first } => {
                let retention = days.map(|days| Duration::from_secs(u64::from(days) * 86_400));
                let spec = StreamSpec { retention, ..StreamSpec::json() };
                let first = first.map(|first| Offset(first.into()));
                let creation = Creation { first, ..spec.into() };
                let disk = self.disk.create(&stream(path), creation.clone()).await;
                let model = self.model.create(&stream(path), creation).await;
                let plain =
                    |created: scrollback::log::Created| (plain(created.info), created.existed);
                prop_assert_eq!(disk.map(plain), model.map(plain));
            }
            Op::Append { path, ids, expected, create } => {
                self.append(path, &ids, expected, create).await?;
            }
            Op::Close { path } => {
                let disk = self.disk.close(&stream(path)).await;
                prop_assert_eq!(disk, self.model.close(&stream(path)).await);
            }
            Op::Delete { path } => {
                let disk = self.disk.delete(&stream(path)).await;
                prop_assert_eq!(disk, self.model.delete(&stream(path)).await);
            }
            Op::Read { path, after } => self.read(path, Offset(after.into())).await?,
            Op::Seek { path, hours } => {
                let time = NOW_MS + u64::from(hours) * (self.hours + 2) * 3_600_000 / 65_536;
                let disk = self.disk.seek(&stream(path), time).await;
                prop_assert_eq!(disk, self.model.seek(&stream(path), time).await);
            }
            Op::Advance { hours } => {
                self.hours += u64::from(hours);
                self.clock.advance(Duration::from_secs(u64::from(hours) * 3_600));
            }
            Op::Sweep => {
                prop_assert_eq!(self.disk.sweep().await, self.model.sweep().await);
            }
            Op::Follow { path, after } => self.follow(path, Offset(after.into())).await?,
            Op::Compact => self.store.compact(),
            Op::Restart => self.restart().await?,
        }
        Ok(())
    }

    async fn append(&self, path: u8, ids: &[u8], expected: Option<i8>, create: bool) -> Outcome {
        let tail = self.model.info(&stream(path)).await.map_or(0, |info| info.tail.0);
        let records = ids.iter().map(|id| event(&format!("id-{id}")));
        let mut append = Append::json(records);
        append.expected = expected.map(|off| Offset(tail.saturating_add_signed(off.into())));
        append.create = append.create.filter(|_| create);
        let disk = self.disk.append(&stream(path), append.clone()).await;
        prop_assert_eq!(disk, self.model.append(&stream(path), append).await);
        Ok(())
    }

    async fn read(&self, path: u8, after: Offset) -> Outcome {
        let disk = self.disk.read(&stream(path), after, ALL).await;
        let model = self.model.read(&stream(path), after, ALL).await;
        match (disk, model) {
            // A page may end where blocks end and memory begins; the rest comes with the next.
            (Ok(disk), Ok(model)) => {
                prop_assert_eq!(disk.tail, model.tail);
                prop_assert!(model.records.starts_with(&disk.records));
                prop_assert_eq!(disk.records.is_empty(), model.records.is_empty());
            }
            (disk, model) => prop_assert_eq!(disk, model),
        }
        Ok(())
    }

    /// Reads to the tail with both, leaving after each page and coming back where it ended.
    async fn follow(&self, path: u8, after: Offset) -> Outcome {
        let path = stream(path);
        let (disk, model) =
            (self.disk.follow(&path, after).await, self.model.follow(&path, after).await);
        let (Ok(disk), Ok(model)) = (&disk, &model) else {
            prop_assert_eq!(disk.err(), model.err());
            return Ok(());
        };
        prop_assert_eq!(disk.lag(), model.lag());
        let disk = to_the_tail(&self.disk, &path, after).await;
        // Both logs could be wrong together: every id is kept once.
        let payloads: BTreeSet<_> = disk.0.iter().map(|record| &record.payload).collect();
        prop_assert_eq!(payloads.len(), disk.0.len());
        prop_assert_eq!(disk, to_the_tail(&self.model, &path, after).await);
        Ok(())
    }

    async fn restart(&mut self) -> Outcome {
        self.disk.stop().await.unwrap();
        self.store = open(self.folder);
        prop_assert!(self.store.damage().is_empty());
        self.disk = log_over(Arc::<SledStore>::clone(&self.store), &self.clock);
        self.model = log_over(Arc::<MemoryStore>::clone(&self.model_store), &self.clock);
        Ok(())
    }

    async fn same(&self) -> Outcome {
        let list = async |log: &Log| {
            let infos = log.list("", "", 100).await.unwrap();
            infos.into_iter().map(plain).collect::<Vec<_>>()
        };
        let infos = list(&self.disk).await;
        prop_assert_eq!(&infos, &list(&self.model).await);
        for path in 0..4 {
            self.follow(path, Offset(0)).await?;
        }
        Ok(())
    }
}

async fn to_the_tail(log: &Log, path: &StreamPath, after: Offset) -> (Vec<Record>, String) {
    let (mut at, mut records) = (after, Vec::new());
    loop {
        let mut reader: Reader = log.follow(path, at).await.unwrap();
        match reader.next().await {
            Ok(Step::Page(page)) => {
                records.extend(page.records.iter().cloned());
                at = page.last();
            }
            step => return (records, format!("{step:?}")),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default()
    })]

    #[test]
    fn any_operations_on_the_log_give_the_same_answers_over_either_store(
        ops in proptest::collection::vec(op(), 1..80),
    ) {
        let folder = tempfile::tempdir().unwrap();
        block_on(async {
            let mut pair = Pair::new(folder.path());
            for op in ops {
                pair.run(op).await?;
            }
            pair.same().await?;
            pair.restart().await?;
            pair.same().await
        })?;
    }
}
