//! Subscriptions over a log in memory, a clock that stands still, and webhooks that answer as a
//! test says. A restart is a second set of subscriptions on the same log.

use std::{collections::VecDeque, future::Future, pin::pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::ManualClock,
    limits,
    log::{self, Append, NewRecord, Offset, PageLimit, StreamPath, StreamSpec},
    metrics::Metrics,
    store::{WriteError, faulty::FaultyStore, memory::MemoryStore},
};

const NOW_MS: u64 = 1_795_200_000_000;
const URL: &str = "https://worker.example/hook";

/// Answers in the order they were put in; without one a request stays open.
#[derive(Debug, Default)]
struct Hook {
    asked: Mutex<Vec<Request>>,
    answers: Mutex<VecDeque<Result<Answer, Missed>>>,
}

impl Hook {
    fn says(&self, status: u16, body: &'static str) {
        self.answers.lock().push_back(Ok(Answer { status, body: body.into() }));
    }

    fn bodies(&self) -> Vec<Value> {
        self.asked.lock().iter().map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect()
    }
}

impl Post for Hook {
    fn post(&self, request: Request) -> Posting<'_> {
        self.asked.lock().push(request);
        match self.answers.lock().pop_front() {
            Some(answer) => Box::pin(async { answer }),
            None => Box::pin(std::future::pending()),
        }
    }
}

struct Desk {
    store: Arc<FaultyStore>,
    log: Log,
    clock: Arc<ManualClock>,
    hook: Arc<Hook>,
    subscriptions: Subscriptions,
}

impl Desk {
    fn new() -> Self {
        let (clock, metrics) = (ManualClock::at(NOW_MS), Arc::new(Metrics::default()));
        let store = FaultyStore::over(Arc::new(MemoryStore::default()));
        let log = Log::new(store.clone(), clock.clone(), log::Settings::default(), metrics);
        let hook = Arc::new(Hook::default());
        let subscriptions = subscriptions(&log, &hook);
        Self { store, log, clock, hook, subscriptions }
    }

    /// What a restart leaves: the log, and nothing else.
    async fn restarted(self) -> Self {
        let hook = Arc::new(Hook::default());
        let subscriptions = subscriptions(&self.log, &hook);
        subscriptions.load().await.unwrap();
        Self { hook, subscriptions, ..self }
    }

    async fn append(&self, path: &str) -> u64 {
        let record = NewRecord { id: None, payload: "1".into() };
        let append = self.log.append(&stream(path), Append::json([record])).await;
        append.unwrap().tail.0
    }

    /// Lets the task of subscriptions do what it can without time passing.
    async fn settle(&self) {
        let mut running = pin!(self.subscriptions.clone().run());
        for _ in 0..200 {
            tokio::select! {
                biased;
                () = &mut running => {}
                () = tokio::task::yield_now() => {}
            }
        }
    }

    /// The same, then time passes, then the same again, on one task: requests that are open stay
    /// open.
    async fn settle_and_pass(&self, span: Duration) {
        let mut running = pin!(self.subscriptions.clone().run());
        for step in 0..400 {
            if step == 200 {
                self.clock.advance(span);
            }
            tokio::select! {
                biased;
                () = &mut running => {}
                () = tokio::task::yield_now() => {}
            }
        }
    }

    /// Begins something whose client goes away while the write is on its way to the disk.
    async fn given_up<T>(&self, asked: impl Future<Output = T>) {
        self.store.hold();
        {
            let mut asked = pin!(asked);
            for _ in 0..50 {
                tokio::select! {
                    biased;
                    _ = &mut asked => unreachable!("its write is held"),
                    () = tokio::task::yield_now() => {}
                }
            }
        }
        assert_eq!(self.store.held(), 1);
        self.store.release();
    }

    async fn put(&self, id: &str, pattern: &str, delivery: Delivery) -> View {
        let config = Config::new(Some(pattern), &[], delivery, Some(1_000), None).unwrap();
        self.subscriptions.put(id, config).await.unwrap().0
    }

    async fn acked(&self, id: &str) -> Vec<(String, String)> {
        let view = self.subscriptions.get(id).await.unwrap();
        let acked = |link: &Followed| (link.path.to_string(), link.acked_offset.clone());
        view.followed.iter().map(acked).collect()
    }

    async fn ack(&self, id: &str, door: Door, wake: &Value, done: bool) -> Result<bool, String> {
        let text = |name: &str| wake[name].as_str().unwrap_or_default().to_owned();
        let token = if door == Door::Ack { text("token") } else { text("callback_token") };
        let offset = |link: &Value| link["tail_offset"].as_str().unwrap().parse().unwrap();
        let acks = wake["streams"].as_array().unwrap().iter();
        let given = Acknowledgement {
            token,
            wake_id: text("wake_id"),
            generation: wake["generation"].as_u64().unwrap(),
            acks: acks.map(|link| (link["path"].as_str().unwrap().into(), offset(link))).collect(),
            done,
        };
        let acked = self.subscriptions.acknowledge(id, door, given).await;
        acked.map_err(|error| error.to_string())
    }

    async fn claim(&self, id: &str, worker: &str) -> Result<Value, String> {
        let claimed = self.subscriptions.claim(id, worker).await;
        claimed.map(|claimed| json!(claimed)).map_err(|error| error.to_string())
    }

    async fn wakes(&self) -> Vec<Value> {
        let limit = PageLimit { records: 100, bytes: 1 << 20 };
        let page = self.log.read(&stream("wake"), Offset::ZERO, limit).await.unwrap();
        page.records.iter().map(|record| serde_json::from_slice(&record.payload).unwrap()).collect()
    }
}

fn subscriptions(log: &Log, hook: &Arc<Hook>) -> Subscriptions {
    let public_url = Some(Arc::from("https://log.example"));
    let settings = Settings { targets: Targets::Public, public_url };
    Subscriptions::new(log.clone(), hook.clone(), settings)
}

fn stream(path: &str) -> StreamPath {
    StreamPath::parse(path).unwrap()
}

fn webhook() -> Delivery {
    Delivery::Webhook { url: Arc::from(URL) }
}

fn pull_wake() -> Delivery {
    Delivery::PullWake { wake_stream: Arc::from("wake") }
}

fn offset(number: u64) -> String {
    format!("{number:016}")
}

#[tokio::test]
async fn streams_that_exist_are_followed_from_their_tail_and_new_ones_from_their_beginning() {
    let desk = Desk::new();
    desk.append("events/old").await;
    desk.append("events/old").await;
    let view = desk.put("s", "events/*", pull_wake()).await;
    assert_eq!(view.followed.len(), 1);
    assert_eq!(desk.acked("s").await, [("events/old".to_owned(), offset(2))]);
    assert_eq!(desk.claim("s", "w").await, Err("all records are acknowledged".to_owned()));
    desk.append("events/new").await;
    desk.append("other").await;
    let claimed = desk.claim("s", "w").await.unwrap();
    assert_eq!(claimed["streams"][0]["path"], "events/new");
    assert_eq!(claimed["streams"][0]["acked_offset"], offset(0));
    assert_eq!(claimed["streams"][0]["has_pending"], true);
    assert_eq!(claimed["streams"][1]["has_pending"], false);
}

#[tokio::test]
async fn a_webhook_that_is_done_at_once_has_acknowledged_what_it_was_told_of() {
    let desk = Desk::new();
    desk.put("s", "events/*", webhook()).await;
    desk.append("events/a").await;
    desk.hook.says(200, r#"{"done":true}"#);
    desk.settle().await;
    assert_eq!(desk.acked("s").await, [("events/a".to_owned(), offset(1))]);
    let asked = desk.hook.asked.lock()[0].clone();
    assert_eq!(&*asked.url, URL);
    assert!(asked.signature.starts_with("t=1795200000,kid=ds_"), "{}", asked.signature);
    let body = &desk.hook.bodies()[0];
    assert_eq!(body["callback_url"], "https://log.example/v1/stream/__ds/subscriptions/s/callback");
    assert_eq!(body["generation"], 1);
    // Nothing is left to do, so nobody is woken.
    desk.settle_and_pass(Duration::from_mins(10)).await;
    assert_eq!(desk.hook.bodies().len(), 1);
}

#[tokio::test]
async fn what_comes_while_a_wake_is_out_has_a_wake_of_its_own() {
    let desk = Desk::new();
    desk.put("s", "events/*", webhook()).await;
    desk.append("events/a").await;
    desk.hook.says(202, "");
    desk.settle().await;
    desk.append("events/a").await;
    desk.append("events/b").await;
    desk.settle().await;
    let first = desk.hook.bodies()[0].clone();
    assert_eq!(desk.hook.bodies().len(), 1, "one wake at a time");
    assert_eq!(desk.ack("s", Door::Callback, &first, true).await, Ok(true));
    desk.settle().await;
    let second = desk.hook.bodies()[1].clone();
    assert_eq!(second["generation"], 2);
    assert_ne!(second["wake_id"], first["wake_id"]);
    let named: Vec<_> = second["streams"].as_array().unwrap().iter().collect();
    assert_eq!(named.len(), 2);
    // The one that was told of last comes last.
    assert_eq!(named[0]["path"], "events/b");
    assert_eq!(named[1]["acked_offset"], offset(1));
    assert_eq!(named[1]["tail_offset"], offset(2));
    // The wake before is over, whoever still works on it.
    let late = desk.ack("s", Door::Callback, &first, true).await.unwrap_err();
    assert_eq!(late, "the wake is over: the subscription is at generation 2");
    assert_eq!(desk.ack("s", Door::Callback, &second, true).await, Ok(false));
}

#[tokio::test]
async fn a_webhook_that_fails_is_called_again_later_and_later() {
    let desk = Desk::new();
    desk.put("s", "events/*", webhook()).await;
    desk.append("events/a").await;
    desk.hook.says(500, "");
    desk.hook.answers.lock().push_back(Err(Missed("refused".to_owned())));
    desk.hook.says(200, r#"{"done":true}"#);
    desk.settle().await;
    assert!(desk.subscriptions.get("s").await.unwrap().is_failing);
    desk.settle_and_pass(Duration::from_millis(799)).await;
    assert_eq!(desk.hook.bodies().len(), 1, "not before a second, less a fifth");
    desk.settle_and_pass(Duration::from_millis(401)).await;
    assert_eq!(desk.hook.bodies().len(), 2);
    desk.settle_and_pass(Duration::from_millis(2_400)).await;
    let bodies = desk.hook.bodies();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| body["wake_id"] == bodies[0]["wake_id"]), "{bodies:?}");
    assert_eq!(desk.acked("s").await, [("events/a".to_owned(), offset(1))]);
    assert!(!desk.subscriptions.get("s").await.unwrap().is_failing);
}

#[tokio::test]
async fn a_worker_that_is_silent_loses_its_lease_and_another_wake_goes_out() {
    let desk = Desk::new();
    desk.put("s", "events/*", webhook()).await;
    desk.append("events/a").await;
    desk.hook.says(202, "");
    desk.hook.says(202, "");
    desk.settle_and_pass(Duration::from_millis(999)).await;
    let first = desk.hook.bodies()[0].clone();
    // A sign of life keeps the lease.
    assert_eq!(desk.ack("s", Door::Callback, &first, false).await, Ok(false));
    desk.settle_and_pass(Duration::from_millis(999)).await;
    assert_eq!(desk.hook.bodies().len(), 1);
    desk.append("events/a").await;
    desk.settle_and_pass(Duration::from_millis(1)).await;
    let bodies = desk.hook.bodies();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[1]["generation"], 2);
    let late = desk.ack("s", Door::Callback, &first, true).await;
    assert_eq!(late, Err("the wake is over: the subscription is at generation 2".to_owned()));
}

#[tokio::test]
async fn a_webhook_that_never_answers_is_given_up_with_its_lease() {
    let desk = Desk::new();
    desk.put("s", "events/*", webhook()).await;
    desk.append("events/a").await;
    desk.settle_and_pass(Duration::from_secs(1)).await;
    assert!(desk.subscriptions.get("s").await.unwrap().is_failing);
    desk.hook.says(200, r#"{"done":true}"#);
    desk.settle_and_pass(Duration::from_millis(1_200)).await;
    let bodies = desk.hook.bodies();
    assert_eq!((bodies.len(), bodies[1]["generation"].as_u64()), (2, Some(2)));
    assert_eq!(desk.acked("s").await, [("events/a".to_owned(), offset(1))]);
}

#[tokio::test]
async fn a_wake_stream_has_one_record_for_each_wake_and_one_worker_has_the_lease() {
    let desk = Desk::new();
    desk.log.create(&stream("wake"), StreamSpec::json()).await.unwrap();
    desk.put("s", "**", pull_wake()).await;
    desk.append("events/a").await;
    desk.settle().await;
    desk.append("events/a").await;
    desk.settle().await;
    let wakes = desk.wakes().await;
    assert_eq!(wakes.len(), 1, "its own record does not wake it: {wakes:?}");
    assert_eq!(wakes[0]["type"], "wake");
    assert_eq!(wakes[0]["stream"], "events/a");
    let claimed = desk.claim("s", "one").await.unwrap();
    assert_eq!(claimed["wake_id"], wakes[0]["id"]);
    assert_eq!(claimed["streams"][0]["tail_offset"], offset(2));
    let other = desk.claim("s", "two").await.unwrap_err();
    assert_eq!(other, "worker \"one\" holds the lease of generation 1");
    assert_eq!(desk.ack("s", Door::Ack, &claimed, true).await, Ok(false));
    // The lease of one that is gone is free for the other.
    desk.append("events/a").await;
    let claimed = desk.claim("s", "one").await.unwrap();
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(desk.claim("s", "two").await.unwrap()["generation"], 3);
    assert!(desk.ack("s", Door::Ack, &claimed, true).await.unwrap_err().contains("generation 3"));
}

#[tokio::test]
async fn a_claim_that_is_given_back_wakes_the_others() {
    let desk = Desk::new();
    desk.log.create(&stream("wake"), StreamSpec::json()).await.unwrap();
    desk.put("s", "events/*", pull_wake()).await;
    desk.append("events/a").await;
    let claimed = desk.claim("s", "one").await.unwrap();
    let (token, wake_id) =
        (claimed["token"].as_str().unwrap(), claimed["wake_id"].as_str().unwrap());
    let wrong = desk.subscriptions.release("s", "1.AAAA", wake_id.to_owned(), 1).await;
    assert_eq!(wrong, Err(Refusal::Token.into()));
    desk.subscriptions.release("s", token, wake_id.to_owned(), 1).await.unwrap();
    desk.settle().await;
    assert_eq!(desk.wakes().await[0]["generation"], 2);
}

#[tokio::test]
async fn a_wake_stream_that_is_missing_is_tried_until_it_is_there() {
    let desk = Desk::new();
    desk.put("s", "events/*", pull_wake()).await;
    desk.append("events/a").await;
    desk.settle().await;
    assert!(desk.subscriptions.get("s").await.unwrap().is_failing);
    desk.log.create(&stream("wake"), StreamSpec::json()).await.unwrap();
    desk.settle_and_pass(Duration::from_millis(1_200)).await;
    assert_eq!(desk.wakes().await.len(), 1);
    assert!(!desk.subscriptions.get("s").await.unwrap().is_failing);
}

#[tokio::test]
async fn an_acknowledgement_stands_for_records_that_are_there_and_no_fewer_than_before() {
    let desk = Desk::new();
    desk.put("s", "events/*", pull_wake()).await;
    desk.append("events/a").await;
    desk.append("events/a").await;
    let mut claimed = desk.claim("s", "w").await.unwrap();
    for (path, at, expected) in [
        ("events/a", 3, "stream \"events/a\" ends at offset 2"),
        ("events/b", 1, "stream \"events/b\" is not followed by the subscription"),
    ] {
        claimed["streams"] = json!([{ "path": path, "tail_offset": offset(at) }]);
        assert_eq!(desk.ack("s", Door::Ack, &claimed, true).await, Err(expected.to_owned()));
    }
    claimed["streams"] = json!([{ "path": "events/a", "tail_offset": offset(1) }]);
    assert_eq!(desk.ack("s", Door::Ack, &claimed, false).await, Ok(false));
    claimed["streams"] = json!([{ "path": "events/a", "tail_offset": offset(0) }]);
    let back = desk.ack("s", Door::Ack, &claimed, false).await;
    assert_eq!(back, Err("stream \"events/a\" is acknowledged up to offset 1 already".to_owned()));
    assert_eq!(desk.acked("s").await, [("events/a".to_owned(), offset(1))]);
}

#[tokio::test]
async fn a_stream_that_was_made_anew_is_read_from_its_beginning() {
    let desk = Desk::new();
    desk.append("events/a").await;
    desk.append("events/a").await;
    desk.put("s", "events/*", pull_wake()).await;
    desk.log.delete(&stream("events/a")).await.unwrap();
    assert_eq!(desk.acked("s").await, []);
    desk.append("events/a").await;
    let claimed = desk.claim("s", "w").await.unwrap();
    assert_eq!(claimed["streams"][0]["acked_offset"], offset(0));
}

#[tokio::test]
async fn streams_are_followed_by_name_beside_the_pattern() {
    let desk = Desk::new();
    desk.append("other").await;
    desk.put("s", "events/*", pull_wake()).await;
    let follow = async |path: &str| {
        let paths = paths(&[path.to_owned()]).unwrap();
        desk.subscriptions.follow("s", paths).await.unwrap();
    };
    follow("other").await;
    follow("later").await;
    follow("events/a").await;
    desk.append("events/a").await;
    assert_eq!(desk.acked("s").await.len(), 3);
    for path in ["events/a", "later", "absent"] {
        desk.subscriptions.unfollow("s", path).await.unwrap();
    }
    // The pattern still stands for one of them.
    let left = [("events/a".to_owned(), offset(0)), ("other".to_owned(), offset(1))];
    assert_eq!(desk.acked("s").await, left);
    desk.append("later").await;
    let claimed = desk.claim("s", "w").await.unwrap();
    assert_eq!(claimed["streams"][0]["path"], "events/a");
    assert_eq!(claimed["streams"][0]["link_type"], "glob");
}

#[tokio::test]
async fn a_restart_goes_on_in_the_middle_of_a_lease() {
    let desk = Desk::new();
    desk.put("s", "events/*", webhook()).await;
    desk.append("events/a").await;
    desk.hook.says(202, "");
    desk.settle().await;
    let wake = desk.hook.bodies()[0].clone();
    let before = desk.subscriptions.jwks().await.unwrap();
    let desk = desk.restarted().await;
    assert_eq!(desk.subscriptions.jwks().await.unwrap(), before, "the keys are the same");
    // What was appended while nobody looked is found as well.
    desk.append("events/b").await;
    desk.settle_and_pass(Duration::from_millis(900)).await;
    assert_eq!(desk.hook.bodies(), Vec::<Value>::new(), "the worker still has the lease");
    assert_eq!(desk.ack("s", Door::Callback, &wake, true).await, Ok(true));
    desk.settle().await;
    assert_eq!(desk.hook.bodies()[0]["streams"][0]["path"], "events/b");
}

#[tokio::test]
async fn a_restart_goes_on_in_the_middle_of_a_retry() {
    let desk = Desk::new();
    desk.put("s", "events/*", webhook()).await;
    desk.append("events/a").await;
    desk.hook.says(503, "");
    desk.settle().await;
    let wake_id = desk.hook.bodies()[0]["wake_id"].clone();
    let desk = desk.restarted().await;
    desk.settle_and_pass(Duration::from_millis(799)).await;
    assert_eq!(desk.hook.bodies().len(), 0, "the schedule of before holds");
    desk.settle_and_pass(Duration::from_millis(401)).await;
    assert_eq!(desk.hook.bodies()[0]["wake_id"], wake_id);
}

#[tokio::test]
async fn a_wake_that_may_not_have_gone_out_before_a_restart_goes_out_after_it() {
    let desk = Desk::new();
    desk.log.create(&stream("wake"), StreamSpec::json()).await.unwrap();
    desk.put("hook", "events/*", webhook()).await;
    desk.put("pull", "events/*", pull_wake()).await;
    desk.append("events/a").await;
    // Issued, and the server is killed before anything is sent.
    desk.subscriptions.get("hook").await.unwrap();
    let desk = desk.restarted().await;
    desk.settle().await;
    assert_eq!(desk.hook.bodies()[0]["generation"], 1);
    assert_eq!(desk.wakes().await.len(), 1);
    // Sent, and the server is killed before it has learned that it arrived.
    let desk = desk.restarted().await;
    desk.settle().await;
    assert_eq!(desk.hook.bodies()[0]["generation"], 1);
    assert_eq!(desk.wakes().await.len(), 1, "a record is written once");
}

#[tokio::test]
async fn a_subscription_that_was_ended_acknowledges_nothing() {
    let desk = Desk::new();
    desk.put("s", "events/*", pull_wake()).await;
    desk.append("events/a").await;
    let claimed = desk.claim("s", "w").await.unwrap();
    desk.subscriptions.delete("s").await.unwrap();
    desk.subscriptions.delete("s").await.unwrap();
    let gone = desk.ack("s", Door::Ack, &claimed, true).await;
    assert_eq!(gone, Err("no subscription has the id \"s\"".to_owned()));
    // One of the same name is another one, whatever the token says.
    desk.put("s", "events/*", pull_wake()).await;
    desk.append("events/a").await;
    desk.claim("s", "w").await.unwrap();
    let other = desk.ack("s", Door::Ack, &claimed, true).await;
    assert_eq!(other, Err("the token is not one of this subscription".to_owned()));
    let desk = desk.restarted().await;
    assert_eq!(desk.acked("s").await, [("events/a".to_owned(), offset(1))]);
}

#[tokio::test]
async fn a_subscription_s_stream_is_begun_anew_before_it_grows_long() {
    let desk = Desk::new();
    desk.put("s", "events/*", pull_wake()).await;
    let path = StreamPath::control("subscriptions/s").unwrap();
    let mut longest = 0;
    for round in 0..1_500 {
        desk.append("events/a").await;
        let claimed = desk.claim("s", &"w".repeat(limits::WORKER_BYTES_MAX)).await.unwrap();
        assert_eq!(desk.ack("s", Door::Ack, &claimed, true).await, Ok(false), "{round}");
        let info = desk.log.info(&path).await.unwrap();
        longest = longest.max(info.tail.0 + 1 - info.earliest.0);
    }
    let info = desk.log.info(&path).await.unwrap();
    assert!(info.earliest > Offset(1) && longest < 3_000, "{info:?} {longest}");
    let desk = desk.restarted().await;
    assert_eq!(desk.acked("s").await, [("events/a".to_owned(), offset(1_500))]);
    desk.append("events/a").await;
    assert_eq!(desk.claim("s", "w").await.unwrap()["generation"], 1_501);
}

#[tokio::test]
async fn an_append_wakes_whether_its_writer_waits_for_the_answer_or_not() {
    let desk = Desk::new();
    desk.put("s", "events/*", pull_wake()).await;
    desk.given_up(desk.append("events/a")).await;
    let claimed = desk.claim("s", "w").await.unwrap();
    assert_eq!(claimed["streams"][0]["tail_offset"], offset(1));
}

#[tokio::test]
async fn a_subscription_that_nobody_waited_for_is_there_as_it_was_asked_for() {
    let desk = Desk::new();
    desk.subscriptions.jwks().await.unwrap();
    desk.given_up(desk.put("s", "events/*", pull_wake())).await;
    let other = Config::new(Some("other/*"), &[], pull_wake(), Some(1_000), None).unwrap();
    let refused = desk.subscriptions.put("s", other.clone()).await.map(drop);
    assert_eq!(refused, Err(SubscriptionError::Exists("s".to_owned())));
    desk.append("events/a").await;
    assert!(desk.claim("s", "w").await.is_ok());
    // Another one that nobody waited for is ended though nobody knew of it.
    desk.given_up(desk.put("t", "events/*", pull_wake())).await;
    desk.subscriptions.delete("t").await.unwrap();
    let desk = desk.restarted().await;
    assert!(desk.subscriptions.get("t").await.is_err());
    assert!(desk.subscriptions.put("t", other).await.unwrap().1);
}

#[tokio::test]
async fn a_subscription_that_is_on_its_way_to_the_disk_is_not_made_twice() {
    let desk = Desk::new();
    desk.subscriptions.jwks().await.unwrap();
    let config = |pattern| Config::new(Some(pattern), &[], pull_wake(), None, None).unwrap();
    desk.store.hold();
    {
        let mut first = pin!(desk.subscriptions.put("s", config("events/*")));
        for _ in 0..50 {
            tokio::select! {
                biased;
                _ = &mut first => unreachable!("its write is held"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    let second = desk.subscriptions.put("s", config("other/*"));
    let release = async {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        desk.store.release();
    };
    let (second, ()) = tokio::join!(second, release);
    assert_eq!(second.map(drop), Err(SubscriptionError::Exists("s".to_owned())));
    let folded = record::load(&desk.log, "s").await.unwrap().unwrap();
    assert_eq!(folded.state.config, config("events/*"));
}

#[tokio::test]
async fn an_end_that_nobody_waited_for_is_an_end() {
    let desk = Desk::new();
    desk.put("s", "events/*", pull_wake()).await;
    desk.given_up(desk.subscriptions.delete("s")).await;
    let gone = desk.subscriptions.get("s").await.map(drop);
    assert_eq!(gone, Err(SubscriptionError::NotFound("s".to_owned())));
    let other = Config::new(Some("other/*"), &[], pull_wake(), None, None).unwrap();
    assert!(desk.subscriptions.put("s", other).await.unwrap().1);
}

#[tokio::test]
async fn a_claim_that_nobody_waited_for_holds_the_lease() {
    let desk = Desk::new();
    desk.put("s", "events/*", pull_wake()).await;
    desk.append("events/a").await;
    desk.subscriptions.get("s").await.unwrap();
    desk.given_up(desk.subscriptions.claim("s", "one")).await;
    let busy = desk.claim("s", "two").await.unwrap_err();
    assert_eq!(busy, "worker \"one\" holds the lease of generation 1");
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(desk.claim("s", "two").await.unwrap()["generation"], 2);
}

#[tokio::test]
async fn a_wake_that_came_to_nothing_makes_room_for_the_next() {
    let desk = Desk::new();
    desk.log.create(&stream("wake"), StreamSpec::json()).await.unwrap();
    desk.put("s", "events/*", pull_wake()).await;
    desk.append("events/a").await;
    desk.settle().await;
    desk.log.delete(&stream("events/a")).await.unwrap();
    assert_eq!(desk.claim("s", "w").await, Err("all records are acknowledged".to_owned()));
    desk.append("events/b").await;
    desk.settle().await;
    let wakes = desk.wakes().await;
    assert_eq!((wakes.len(), wakes[1]["stream"].as_str()), (2, Some("events/b")));
}

#[tokio::test]
async fn a_wake_that_nobody_claims_is_written_again() {
    let desk = Desk::new();
    desk.log.create(&stream("wake"), StreamSpec::json()).await.unwrap();
    desk.put("s", "events/*", pull_wake()).await;
    desk.append("events/a").await;
    desk.settle_and_pass(limits::LEASE_DEFAULT).await;
    desk.settle_and_pass(limits::LEASE_DEFAULT).await;
    let wakes = desk.wakes().await;
    assert!((2..=3).contains(&wakes.len()), "{wakes:?}");
    assert!(wakes.iter().all(|wake| wake["generation"] == 1), "{wakes:?}");
    let before = wakes.len();
    desk.claim("s", "w").await.unwrap();
    desk.settle_and_pass(Duration::from_millis(999)).await;
    assert_eq!(desk.wakes().await.len(), before, "a worker has it");
}

#[tokio::test]
async fn what_was_done_of_a_stream_says_nothing_of_the_one_in_its_place() {
    let desk = Desk::new();
    desk.put("hook", "events/*", webhook()).await;
    desk.put("pull", "events/*", pull_wake()).await;
    for _ in 0..10 {
        desk.append("events/a").await;
    }
    desk.hook.says(202, "");
    desk.settle().await;
    let (wake, claimed) = (desk.hook.bodies()[0].clone(), desk.claim("pull", "w").await.unwrap());
    desk.log.delete(&stream("events/a")).await.unwrap();
    desk.append("events/a").await;
    assert_eq!(desk.ack("hook", Door::Callback, &wake, true).await, Ok(true));
    assert_eq!(desk.ack("pull", Door::Ack, &claimed, true).await, Ok(true));
    for id in ["hook", "pull"] {
        assert_eq!(desk.acked(id).await, [("events/a".to_owned(), offset(0))], "{id}");
    }
    desk.hook.says(200, r#"{"done":true}"#);
    desk.settle().await;
    assert_eq!(desk.acked("hook").await, [("events/a".to_owned(), offset(1))]);
}

#[tokio::test]
async fn nobody_is_called_twice_for_a_full_disk() {
    let desk = Desk::new();
    desk.put("s", "events/*", webhook()).await;
    desk.append("events/a").await;
    desk.subscriptions.get("s").await.unwrap();
    for skipped in 0..3 {
        desk.store.fail_write(skipped, WriteError::Full);
    }
    desk.hook.says(200, r#"{"done":true}"#);
    for _ in 0..4 {
        desk.settle_and_pass(limits::SUBSCRIPTION_PAUSE).await;
    }
    assert_eq!(desk.hook.bodies().len(), 1);
    assert_eq!(desk.acked("s").await, [("events/a".to_owned(), offset(1))]);
}

#[tokio::test]
async fn a_request_that_stays_open_after_its_wake_is_over_keeps_nobody_waiting() {
    let desk = Desk::new();
    desk.put("s", "events/*", webhook()).await;
    desk.append("events/a").await;
    let mut running = pin!(desk.subscriptions.clone().run());
    let mut step = async || {
        for _ in 0..200 {
            tokio::select! {
                biased;
                () = &mut running => {}
                () = tokio::task::yield_now() => {}
            }
        }
    };
    step().await;
    let first = desk.hook.bodies()[0].clone();
    assert_eq!(desk.ack("s", Door::Callback, &first, true).await, Ok(false));
    desk.append("events/a").await;
    step().await;
    let bodies = desk.hook.bodies();
    assert_eq!((bodies.len(), bodies[1]["generation"].as_u64()), (2, Some(2)));
}

#[tokio::test]
async fn a_subscription_that_cannot_be_read_does_not_keep_others_from_their_work() {
    let desk = Desk::new();
    desk.put("good", "events/*", pull_wake()).await;
    desk.put("bad", "events/*", pull_wake()).await;
    let rubbish = NewRecord { id: None, payload: r#"{"type":"of_a_later_version"}"#.into() };
    let append = Append { records: [rubbish].into_iter().collect(), ..Append::default() };
    let path = StreamPath::control("subscriptions/bad").unwrap();
    desk.log.append(&path, append).await.unwrap();
    // It notices when it writes for the first time, and after a restart at once.
    for restart in [false, true] {
        desk.append("events/a").await;
        let bad = desk.subscriptions.claim("bad", "w").await;
        assert!(matches!(bad, Err(SubscriptionError::Log(_))), "{restart} {bad:?}");
        let claimed = desk.claim("good", "w").await.unwrap();
        assert_eq!(desk.ack("good", Door::Ack, &claimed, true).await, Ok(false));
        if !restart {
            let again = subscriptions(&desk.log, &desk.hook);
            again.load().await.unwrap();
            assert!(again.get("good").await.is_ok());
            assert!(matches!(again.get("bad").await, Err(SubscriptionError::Log(_))));
        }
    }
    // What cannot be read can be ended.
    desk.restarted().await.subscriptions.delete("bad").await.unwrap();
}

#[tokio::test]
async fn a_fork_is_followed_from_where_it_leaves_its_source() {
    let desk = Desk::new();
    desk.append("source").await;
    desk.append("source").await;
    desk.put("s", "events/*", pull_wake()).await;
    let fork = log::Fork { source: stream("source"), at: None, sub: 0 };
    let creation = log::Creation { fork: Some(fork), ..StreamSpec::json().into() };
    desk.log.create(&stream("events/fork"), creation).await.unwrap();
    assert_eq!(desk.claim("s", "w").await, Err("all records are acknowledged".to_owned()));
    desk.append("events/fork").await;
    let claimed = desk.claim("s", "w").await.unwrap();
    assert_eq!(claimed["streams"][0]["acked_offset"], offset(2));
    assert_eq!(claimed["streams"][0]["tail_offset"], offset(3));
}

#[tokio::test]
async fn a_stream_that_begins_at_a_later_offset_is_followed_from_there() {
    let desk = Desk::new();
    desk.put("s", "events/*", pull_wake()).await;
    let creation = log::Creation { first: Some(Offset(40)), ..StreamSpec::json().into() };
    desk.log.create(&stream("events/late"), creation).await.unwrap();
    assert_eq!(desk.claim("s", "w").await, Err("all records are acknowledged".to_owned()));
    desk.append("events/late").await;
    let claimed = desk.claim("s", "w").await.unwrap();
    assert_eq!(claimed["streams"][0]["acked_offset"], offset(39));
    assert_eq!(claimed["streams"][0]["tail_offset"], offset(40));
}
