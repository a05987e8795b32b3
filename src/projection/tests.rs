//! The driver with a fold that is easy to foresee: the payloads of a stream, one behind the other.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    clock::ManualClock,
    limits,
    log::{Append, Log, NewRecord, Offset, ReadError, Settings, StreamInfo, StreamPath, Told},
    metrics::Metrics,
    store::memory::MemoryStore,
};

/// What was folded, and how many records in this process.
#[derive(Debug, Clone, Default, PartialEq)]
struct Joined {
    text: String,
    folded: usize,
}

impl Fold for Joined {
    fn fold(&mut self, record: &Record) {
        self.text.push_str(std::str::from_utf8(&record.payload).unwrap());
        self.folded += 1;
    }

    fn save(&self) -> Vec<u8> {
        format!("v1:{}", self.text).into_bytes()
    }

    fn load(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_prefix("v1:")?.to_owned();
        Some(Self { text, folded: 0 })
    }
}

/// Records by stream, and how many were folded in this process.
#[derive(Debug, Default)]
struct Counted {
    by_path: std::collections::BTreeMap<String, u64>,
    folded: u64,
}

impl OrderFold for Counted {
    const NAME: &'static str = "counted";
    const PREFIX: &'static str = "";

    fn folds(_: &str) -> bool {
        true
    }

    fn has(&self, path: &str, _: u64) -> bool {
        self.by_path.contains_key(path)
    }

    fn begin(&mut self, info: &StreamInfo) {
        self.by_path.insert(info.path.to_string(), 0);
    }

    fn take(&mut self, path: &str, from: &mut Self) {
        self.by_path.extend(from.by_path.remove_entry(path));
    }

    fn forget(&mut self, path: &str) {
        self.by_path.remove(path);
    }

    fn paths(&self) -> Vec<String> {
        self.by_path.keys().cloned().collect()
    }

    fn offset(&self, path: &str) -> Offset {
        Offset(self.by_path.get(path).copied().unwrap_or_default())
    }

    fn is_same(&self, other: &Self, info: &StreamInfo) -> bool {
        self.by_path.get(&*info.path) == other.by_path.get(&*info.path)
    }

    fn fold(&mut self, told: &Told) {
        *self.by_path.entry(told.path.to_string()).or_default() += 1;
        self.folded += 1;
    }

    fn save(&self) -> Vec<u8> {
        serde_json::to_vec(&self.by_path).unwrap()
    }

    fn load(bytes: &[u8]) -> Option<Self> {
        Some(Self { by_path: serde_json::from_slice(bytes).ok()?, folded: 0 })
    }
}

struct Bench {
    clock: Arc<ManualClock>,
    log: Log,
    views: Views<Joined>,
}

impl Bench {
    fn new() -> Self {
        let clock = ManualClock::at(1_000_000);
        let metrics = Arc::new(Metrics::default());
        let log =
            Log::new(Arc::new(MemoryStore::default()), clock.clone(), Settings::default(), metrics);
        Self { clock, views: Views::new(log.clone()), log }
    }

    async fn append(&self, path: &str, numbers: std::ops::RangeInclusive<u64>) {
        let record = |n: u64| NewRecord { id: None, payload: format!("{n},").into() };
        self.log.append(&stream(path), Append::json(numbers.map(record))).await.unwrap();
    }

    async fn state(&self, path: &str) -> (Joined, u64) {
        self.views.read(&stream(path), |state, at| (state.clone(), at.0)).await.unwrap()
    }
}

fn stream(path: &str) -> StreamPath {
    StreamPath::parse(path).unwrap()
}

fn numbers(until: u64) -> String {
    (1..=until).flat_map(|n| [n.to_string(), ",".to_owned()]).collect()
}

const LONG: u64 = limits::CHECKPOINT_EVERY + 5;

#[tokio::test]
async fn a_state_is_caught_up_when_it_is_looked_at_and_folds_each_record_once() {
    let bench = Bench::new();
    bench.append("s", 1..=3).await;
    assert_eq!(bench.state("s").await, (Joined { text: numbers(3), folded: 3 }, 3));
    bench.append("s", 4..=5).await;
    assert_eq!(bench.state("s").await, (Joined { text: numbers(5), folded: 5 }, 5));
    let nothing = bench.views.read(&stream("none"), |_, _| ()).await;
    assert!(matches!(nothing, Err(ReadError::NoStream(_))));
}

#[tokio::test]
async fn a_long_stream_is_opened_from_its_checkpoint() {
    let bench = Bench::new();
    bench.append("s", 1..=LONG).await;
    bench.state("s").await;
    bench.append("s", LONG + 1..=LONG + 2).await;
    let after_restart = Views::<Joined>::new(bench.log.clone());
    let (state, at) =
        after_restart.read(&stream("s"), |state, at| (state.clone(), at)).await.unwrap();
    assert_eq!((state.text, at), (numbers(LONG + 2), Offset(LONG + 2)));
    assert_eq!(state.folded, 2, "only what is new is read");
}

#[tokio::test]
async fn a_state_of_any_offset_can_be_shown() {
    let bench = Bench::new();
    bench.append("s", 1..=LONG + 3).await;
    bench.state("s").await;
    bench.append("s", LONG + 4..=LONG + 9).await;
    for offset in [0, 1, 500, LONG, LONG + 3, LONG + 4, LONG + 9] {
        let text =
            bench.views.read_at(&stream("s"), Offset(offset), |state| state.text.clone()).await;
        assert_eq!(text.unwrap(), numbers(offset), "{offset}");
    }
    let beyond = bench.views.read_at(&stream("s"), Offset(LONG + 10), |_| ()).await;
    assert_eq!(beyond, Err(ReadError::Beyond { tail: Offset(LONG + 9) }));
}

#[tokio::test]
async fn each_state_on_the_way_can_be_looked_at_with_the_record_that_led_to_it() {
    let bench = Bench::new();
    bench.append("s", 1..=6).await;
    let mut seen = Vec::new();
    let show = |state: &Joined, record: Option<&Record>| {
        seen.push((state.text.clone(), record.map(|record| record.offset.0)));
    };
    bench.views.walk(&stream("s"), Offset(3), Offset(5), show).await.unwrap();
    let wanted = [(3, None), (4, Some(4)), (5, Some(5))];
    assert_eq!(seen, wanted.map(|(until, record)| (numbers(until), record)));
    let beyond = bench.views.walk(&stream("s"), Offset(7), Offset(8), |_, _| {}).await;
    assert_eq!(beyond, Err(ReadError::Beyond { tail: Offset(6) }));
}

#[tokio::test]
async fn a_checkpoint_is_of_one_stream_and_whole_or_none() {
    let bench = Bench::new();
    bench.append("s", 1..=LONG).await;
    bench.state("s").await;
    // The stream is made anew.
    bench.log.delete(&stream("s")).await.unwrap();
    bench.append("s", 7..=8).await;
    assert_eq!(bench.state("s").await, (Joined { text: "7,8,".to_owned(), folded: 2 }, 2));
    // One that was not finished is none.
    bench.append("t", 1..=LONG).await;
    bench.state("t").await;
    let opened = async || {
        let anew = Views::<Joined>::new(bench.log.clone());
        anew.read(&stream("t"), |state, _| state.clone()).await.unwrap()
    };
    // The next one goes to the other slot, and is no checkpoint before its head is written.
    bench.log.save_checkpoint(&stream("t"), "views/1/0", "half".into()).await.unwrap();
    assert_eq!((opened().await.text, opened().await.folded), (numbers(LONG), 0));
    // One that is damaged is none, whether it can be unpacked or not.
    let whole = bench.log.checkpoint(&stream("t"), "views/0/0").await.unwrap().unwrap();
    let mut wrong = whole.to_vec();
    let three = wrong.windows(4).position(|bytes| bytes == b",3,4").unwrap();
    wrong[three + 1] = b'7';
    for damaged in [wrong.into(), "half".into()] {
        bench.log.save_checkpoint(&stream("t"), "views/0/0", damaged).await.unwrap();
        let folded = opened().await;
        assert_eq!((folded.text, folded.folded as u64), (numbers(LONG), LONG));
    }
}

#[tokio::test]
async fn a_large_state_is_saved_in_many_records() {
    let bench = Bench::new();
    let noise = |seed: u64| -> String {
        let mut x = seed;
        (0..200_000)
            .map(|_| {
                x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b'0' + ((x >> 40) % 75) as u8)
            })
            .collect()
    };
    let mut text = String::new();
    for n in 0..40 {
        let payload = noise(n);
        text.push_str(&payload);
        let append = Append::json([NewRecord { id: None, payload: payload.into() }]);
        bench.log.append(&stream("s"), append).await.unwrap();
    }
    bench.append("s", 1..=limits::CHECKPOINT_EVERY).await;
    text.push_str(&numbers(limits::CHECKPOINT_EVERY));
    bench.state("s").await;
    assert!(bench.log.checkpoint(&stream("s"), "views/0/1").await.unwrap().is_some());
    let anew = Views::<Joined>::new(bench.log.clone());
    let opened = anew.read(&stream("s"), |state, _| state.clone()).await.unwrap();
    assert!(opened.text == text && opened.folded == 0, "{}", opened.folded);
}

#[tokio::test]
async fn what_retention_has_taken_is_still_in_the_state() {
    let bench = Bench::new();
    bench.log.set_trim_guard(Box::new(bench.views.save_first("s")));
    // Nobody has looked at it, and it is short: nothing was saved so far.
    bench.append("s", 1..=5).await;
    bench.append("t", 1..=5).await;
    bench.clock.advance(limits::RETENTION_DEFAULT + Duration::from_secs(1));
    bench.append("s", 6..=7).await;
    bench.append("t", 6..=7).await;
    bench.log.sweep().await.unwrap();
    assert_eq!(bench.log.info(&stream("s")).await.unwrap().earliest, Offset(6));
    bench.append("s", 8..=8).await;
    let anew = Views::<Joined>::new(bench.log.clone());
    let text = anew.read(&stream("s"), |state, _| state.text.clone()).await.unwrap();
    assert_eq!(text, numbers(8));
    // A stream that nobody folds is what is kept of it.
    let text = anew.read(&stream("t"), |state, _| state.text.clone()).await.unwrap();
    assert_eq!(text, "6,7,");
    let gone = anew.read_at(&stream("s"), Offset(3), |state| state.text.clone()).await;
    assert!(matches!(gone, Err(ReadError::Trimmed { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_state_in_memory_that_is_behind_what_is_kept_goes_on_from_the_checkpoint() {
    let bench = Bench::new();
    bench.log.set_trim_guard(Box::new(bench.views.save_first("s")));
    bench.append("s", 1..=2).await;
    assert_eq!(bench.state("s").await.1, 2);
    bench.append("s", 3..=5).await;
    bench.clock.advance(limits::RETENTION_DEFAULT + Duration::from_secs(1));
    bench.append("s", 6..=7).await;
    bench.log.sweep().await.unwrap();
    assert_eq!(bench.log.info(&stream("s")).await.unwrap().earliest, Offset(6));
    let (state, at) = bench.state("s").await;
    assert_eq!((state.text, at), (numbers(7), 7));
    // Between the checkpoint and the tail every state is known, before it none.
    bench.append("s", 8..=9).await;
    let at = async |offset| {
        bench.views.read_at(&stream("s"), Offset(offset), |state| state.text.clone()).await
    };
    assert_eq!((at(8).await, at(9).await), (Ok(numbers(8)), Ok(numbers(9))));
    assert!(matches!(at(6).await, Err(ReadError::Trimmed { .. })), "{:?}", at(6).await);
    assert_eq!(bench.views.known_from(&stream("s")).await, Ok(Offset(7)));
}

#[tokio::test]
async fn a_checkpoint_is_compared_with_a_replay_and_made_anew() {
    let bench = Bench::new();
    bench.append("s", 1..=LONG).await;
    let path = stream("s");
    assert_eq!(bench.views.check(&path).await, Ok(Checked::NoCheckpoint));
    bench.state("s").await;
    bench.append("s", LONG + 1..=LONG + 1).await;
    assert_eq!(bench.views.check(&path).await, Ok(Checked::Same));
    let wrong = checkpoint::Checkpoint { offset: Offset(LONG), bytes: b"v1:1,2,".to_vec() };
    checkpoint::save(&bench.log, &path, &wrong, true).await.unwrap();
    let differs = Checked::Differs { offset: Offset(LONG) };
    assert_eq!(bench.views.check(&path).await, Ok(differs));
    bench.views.rebuild(&path).await.unwrap();
    assert_eq!(bench.views.check(&path).await, Ok(Checked::Same));
    let anew = Views::<Joined>::new(bench.log.clone());
    let opened = anew.read(&path, |state, _| state.clone()).await.unwrap();
    assert_eq!((opened.text, opened.folded), (numbers(LONG + 1), 0));
}

#[tokio::test]
async fn few_states_are_in_memory_and_none_that_nobody_looks_at() {
    let bench = Bench::new();
    bench.append("pinned", 1..=1).await;
    let pin = bench.views.pin(&stream("pinned"));
    for n in 0..limits::VIEWS_MAX + 10 {
        bench.append(&format!("s{n}"), 1..=1).await;
        bench.state(&format!("s{n}")).await;
        bench.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(bench.views.live(), limits::VIEWS_MAX);
    bench.clock.advance(limits::VIEWS_IDLE);
    bench.views.let_go_idle();
    assert_eq!(bench.views.live(), 1, "one is pinned");
    drop(pin);
    bench.views.let_go_idle();
    assert_eq!(bench.views.live(), 0);
}

#[tokio::test]
async fn a_state_over_all_streams_goes_on_from_its_checkpoint() {
    let bench = Bench::new();
    let view = OrderView::<Counted>::new(bench.log.clone());
    bench.append("a", 1..=3).await;
    bench.append("b", 1..=2).await;
    assert_eq!(view.read(|state, _| state.by_path.clone()).await.unwrap().len(), 2);
    for _ in 0..limits::ORDER_CHECKPOINT_EVERY / 10_000 {
        bench.append("a", 1..=10_000).await;
    }
    view.step().await.unwrap();
    bench.append("b", 3..=9).await;
    let anew = OrderView::<Counted>::new(bench.log.clone());
    let (folded, counts) =
        anew.read(|state, _| (state.folded, state.by_path.clone())).await.unwrap();
    assert_eq!(folded, 7, "only what is new is read");
    let counts: Vec<_> = counts.into_iter().collect();
    let many = limits::ORDER_CHECKPOINT_EVERY + 3;
    assert_eq!(counts, [("a".to_owned(), many), ("b".to_owned(), 9)]);
}

#[tokio::test]
async fn a_rush_of_records_is_folded_when_it_is_over_unless_somebody_asks() {
    let bench = Bench::new();
    let view = OrderView::<Counted>::new(bench.log.clone());
    let folded = |state: &mut Counted, _| state.folded;
    let mut task = Box::pin(view.clone().run());
    let mut goes_on = async || {
        bench.clock.advance(limits::ORDER_VIEW_EVERY);
        for _ in 0..50 {
            assert!(futures_util::poll!(&mut task).is_pending());
            tokio::task::yield_now().await;
        }
    };
    let rush = limits::ORDER_NEAR + 1;
    goes_on().await;
    for part in 0..3 {
        bench.append("s", part * rush / 3 + 1..=(part + 1) * rush / 3).await;
    }
    goes_on().await;
    assert_eq!(view.read_if_near(folded).await.unwrap(), None);
    goes_on().await;
    assert_eq!(view.read_if_near(folded).await.unwrap(), Some(rush));
    bench.append("t", 1..=1).await;
    assert_eq!(view.read(folded).await.unwrap(), rush + 1);
}
