//! The driver with a fold that is easy to foresee: the payloads of a stream, one behind the other.

use std::{cell::Cell, sync::Arc, time::Duration};

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

thread_local! {
    /// Records that were folded on this thread, by states that are there and others.
    static FOLDED: Cell<u64> = const { Cell::new(0) };
}

fn folded_now() -> u64 {
    FOLDED.replace(0)
}

impl Fold for Joined {
    fn fold(&mut self, record: &Record) {
        FOLDED.set(FOLDED.get() + 1);
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
        FOLDED.set(FOLDED.get() + 1);
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
    let same = |checkpoints| Ok(Checked::Same { checkpoints });
    assert_eq!(bench.views.check(&path).await, Ok(Checked::NoCheckpoint));
    bench.state("s").await;
    bench.append("s", LONG + 1..=LONG + 1).await;
    assert_eq!(bench.views.check(&path).await, same(1));
    bench.append("s", LONG + 2..=LONG * 2).await;
    bench.clock.advance(limits::CHECKPOINT_AGAIN_AFTER);
    bench.state("s").await;
    assert_eq!(bench.views.check(&path).await, same(2));
    bench.append("s", LONG * 2 + 1..=LONG * 2 + 1).await;
    let save = async |offset, bytes: &[u8], replace| {
        let wrong = checkpoint::Checkpoint { offset: Offset(offset), bytes: bytes.to_vec() };
        checkpoint::save(&bench.log, &path, wrong, replace).await.unwrap();
    };
    let differs = async || {
        let checked = bench.views.check(&path).await.unwrap();
        let Checked::Differs(differing) = checked else { return (0, 0, Vec::new()) };
        assert_eq!(differing.replayed.text, numbers(differing.offset.0));
        (differing.after.0, differing.offset.0, differing.saved)
    };
    save(LONG * 2 + 1, b"v1:1,2,", false).await;
    assert_eq!(differs().await, (LONG * 2, LONG * 2 + 1, b"v1:1,2,".to_vec()));
    // The first of them is named, whatever comes after it.
    save(LONG, b"v1:1,2,", true).await;
    let right = format!("v1:{}", numbers(LONG + 1));
    save(LONG + 1, right.as_bytes(), false).await;
    assert_eq!(differs().await, (0, LONG, b"v1:1,2,".to_vec()));
    bench.views.rebuild(&path).await.unwrap();
    assert_eq!(bench.views.check(&path).await, same(1));
    let anew = Views::<Joined>::new(bench.log.clone());
    let opened = anew.read(&path, |state, _| state.clone()).await.unwrap();
    assert_eq!((opened.text, opened.folded), (numbers(LONG * 2 + 1), 0));
}

#[tokio::test]
async fn a_state_in_a_rush_is_saved_once_in_a_while() {
    let bench = Bench::new();
    let saved = async || match bench.views.check(&stream("s")).await.unwrap() {
        Checked::Same { checkpoints } => checkpoints,
        _ => 0,
    };
    for round in 0..4 {
        bench.append("s", LONG * round + 1..=LONG * (round + 1)).await;
        bench.state("s").await;
        assert_eq!(saved().await, 1, "{round}");
    }
    bench.clock.advance(limits::CHECKPOINT_AGAIN_AFTER / 2);
    bench.state("s").await;
    assert_eq!(saved().await, 1);
    bench.clock.advance(limits::CHECKPOINT_AGAIN_AFTER / 2);
    bench.state("s").await;
    assert_eq!(saved().await, 2);
}

#[tokio::test]
async fn a_checkpoint_of_the_first_form_is_read() {
    let bench = Bench::new();
    bench.append("s", 1..=LONG).await;
    bench.state("s").await;
    let head = bench.log.checkpoint(&stream("s"), "views").await.unwrap().unwrap();
    let mut head: serde_json::Value = serde_json::from_slice(&head).unwrap();
    head["form"] = 1.into();
    head.as_object_mut().unwrap().remove("before");
    bench.log.save_checkpoint(&stream("s"), "views", head.to_string().into()).await.unwrap();
    let opened = async || {
        let anew = Views::<Joined>::new(bench.log.clone());
        anew.read(&stream("s"), |state, _| state.clone()).await.unwrap()
    };
    assert_eq!((opened().await.text, opened().await.folded), (numbers(LONG), 0));
    bench.append("s", LONG + 1..=LONG * 2).await;
    bench.clock.advance(limits::CHECKPOINT_AGAIN_AFTER);
    bench.state("s").await;
    let checked = bench.views.check(&stream("s")).await;
    assert_eq!(checked, Ok(Checked::Same { checkpoints: 2 }));
    head["form"] = 3.into();
    bench.log.save_checkpoint(&stream("s"), "views", head.to_string().into()).await.unwrap();
    assert_eq!(opened().await.folded as u64, LONG * 2, "a form of later is not known");
}

/// Records that a state folds in a few steps.
const MANY: u64 = 3_500;

#[tokio::test]
async fn a_state_whose_reader_has_gone_is_folded_on_from_where_it_was() {
    let bench = Bench::new();
    bench.append("s", 1..=MANY).await;
    let path = stream("s");
    let mut before = 0;
    // Each comes a step further than the one before.
    for _ in 0..3 {
        let mut look = Box::pin(bench.views.read(&path, |_, _| ()));
        assert!(futures_util::poll!(&mut look).is_pending());
        drop(look);
        before += folded_now();
    }
    assert!(before > 1_000 && before < MANY, "{before}");
    assert_eq!(bench.state("s").await.0.text, numbers(MANY));
    assert_eq!(before + folded_now(), MANY);
}

#[tokio::test]
async fn a_state_is_opened_once_however_many_wait_for_it() {
    let bench = Bench::new();
    bench.append("s", 1..=MANY).await;
    let path = stream("s");
    let mut one = Box::pin(bench.views.read(&path, |state, _| state.text.len()));
    let mut other = Box::pin(bench.views.read(&path, |state, _| state.text.len()));
    assert!(futures_util::poll!(&mut one).is_pending());
    assert!(futures_util::poll!(&mut other).is_pending());
    // Many others are looked at meanwhile.
    for n in 0..limits::VIEWS_MAX * 2 {
        bench.append(&format!("s{n}"), 1..=1).await;
        bench.clock.advance(Duration::from_millis(1));
        bench.state(&format!("s{n}")).await;
    }
    let mut late = Box::pin(bench.views.read(&path, |state, _| state.text.len()));
    assert!(futures_util::poll!(&mut late).is_pending());
    let (one, other, late) = tokio::join!(one, other, late);
    let wanted = numbers(MANY).len();
    assert_eq!((one, other, late), (Ok(wanted), Ok(wanted), Ok(wanted)));
    assert_eq!(folded_now(), MANY + limits::VIEWS_MAX as u64 * 2);
}

#[tokio::test]
async fn few_long_states_are_opened_at_once_and_short_ones_do_not_wait() {
    let bench = Bench::new();
    let long = limits::REPLAY_LONG + 1;
    let paths: Vec<_> = (0..=limits::REPLAYS_AT_ONCE).map(|n| stream(&format!("s{n}"))).collect();
    for path in &paths {
        bench.append(path.as_str(), 1..=long / 2).await;
        bench.append(path.as_str(), long / 2 + 1..=long).await;
    }
    bench.append("short", 1..=limits::REPLAY_LONG).await;
    let mut looks: Vec<_> =
        paths.iter().map(|path| Box::pin(bench.views.read(path, |_, at| at.0))).collect();
    let mut last = looks.pop().unwrap();
    for look in &mut looks {
        assert!(futures_util::poll!(look).is_pending());
    }
    assert_ne!(folded_now(), 0);
    for _ in 0..100 {
        assert!(futures_util::poll!(&mut last).is_pending());
    }
    assert_eq!(folded_now(), 0, "it waits for its turn");
    assert_eq!(bench.state("short").await.1, limits::REPLAY_LONG);
    folded_now();
    drop(looks.pop());
    assert_eq!(last.await, Ok(long));
    assert_eq!(folded_now(), long);
}

#[tokio::test]
async fn few_states_are_in_memory_and_none_that_nobody_looks_at() {
    let bench = Bench::new();
    bench.append("pinned", 1..=1).await;
    let pin = bench.views.pin(&stream("pinned")).unwrap();
    for n in 0..limits::VIEWS_MAX + 10 {
        bench.append(&format!("s{n}"), 1..=1).await;
        bench.state(&format!("s{n}")).await;
        bench.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(bench.views.live(), limits::VIEWS_MAX + 1, "beside the pinned one");
    bench.clock.advance(limits::VIEWS_IDLE);
    bench.views.let_go_idle();
    assert_eq!(bench.views.live(), 1, "one is pinned");
    drop(pin);
    bench.views.let_go_idle();
    assert_eq!(bench.views.live(), 0);
}

#[tokio::test]
async fn states_are_pinned_as_long_as_there_is_room() {
    let bench = Bench::new();
    let unpinned = || bench.log.metrics().unpinned_snapshots.get();
    let paths: Vec<_> = (0..limits::VIEWS_PINNED_MAX).map(|n| stream(&format!("s{n}"))).collect();
    let mut pins: Vec<_> = paths.iter().map(|path| bench.views.pin(path).unwrap()).collect();
    let first = paths.first().unwrap();
    // One that is there takes no more room.
    pins.push(bench.views.pin(first).unwrap());
    assert_eq!(unpinned(), 0);
    assert!(bench.views.pin(&stream("more")).is_none());
    assert_eq!((unpinned(), bench.views.live()), (1, limits::VIEWS_PINNED_MAX + 1));
    drop(pins.pop());
    assert!(bench.views.pin(&stream("more")).is_none(), "there are two of it");
    drop(pins.pop());
    assert!(bench.views.pin(&stream("more")).is_some());
    drop(pins);
    bench.clock.advance(limits::VIEWS_IDLE);
    bench.views.let_go_idle();
    assert_eq!(bench.views.live(), 0);
}

#[tokio::test]
async fn pinned_states_that_have_grown_beyond_their_room_take_their_turn() {
    let bench = Bench::new();
    let large = "x".repeat(200 * 1024);
    let fill = async |path: &str, bytes: usize| {
        for _ in 0..bytes.div_ceil(large.len()) {
            let append = Append::json([NewRecord { id: None, payload: large.clone().into() }]);
            bench.log.append(&stream(path), append).await.unwrap();
        }
        bench.state(path).await;
        bench.clock.advance(Duration::from_millis(1));
    };
    bench.append("old", 1..=1).await;
    let old = bench.views.pin(&stream("old")).unwrap();
    bench.state("old").await;
    bench.append("new", 1..=1).await;
    let new = bench.views.pin(&stream("new")).unwrap();
    fill("new", limits::VIEWS_PINNED_BYTES_MAX).await;
    assert!(bench.views.pin(&stream("more")).is_none());
    bench.clock.advance(limits::VIEWS_IDLE);
    bench.views.read(&stream("new"), |_, _| ()).await.unwrap();
    bench.views.let_go_idle();
    assert_eq!(bench.views.live(), 1, "the one that was used last is there");
    // Whoever looks again gets what it asks for.
    assert_eq!(bench.state("old").await.0.text, "1,");
    drop((old, new));
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
async fn a_state_over_all_streams_is_there_wherever_its_saving_was_given_up() {
    let bench = Bench::new();
    let view = OrderView::<Counted>::new(bench.log.clone());
    for _ in 0..limits::ORDER_CHECKPOINT_EVERY / 10_000 {
        bench.append("a", 1..=10_000).await;
    }
    for polls in 0..100 {
        let mut step = Box::pin(view.step());
        for _ in 0..polls {
            if futures_util::poll!(&mut step).is_ready() {
                break;
            }
        }
    }
    view.step().await.unwrap();
    let many = limits::ORDER_CHECKPOINT_EVERY;
    assert_eq!(view.read(|state, _| state.by_path["a"]).await.unwrap(), many);
    assert_eq!(folded_now(), many);
    let anew = OrderView::<Counted>::new(bench.log.clone());
    assert_eq!(anew.read(|state, _| (state.folded, state.by_path["a"])).await, Ok((0, many)));
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
