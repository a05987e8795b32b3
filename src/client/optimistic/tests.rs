//! The queue without a network: what is told, in which order, whatever comes first; and what is
//! left of it after a crash.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;

use super::{
    journal::{self, Line},
    queue::{Notice, Tried},
    write::Outcome,
    *,
};
use crate::wire::{code::Code, commands::SendMessage, problem::Problem};

const BOUNDS: Bounds = Bounds { entries: 50, bytes: 100_000, unseen: 100 };

fn queue(has_journal: bool) -> Queue {
    Queue::new("sessions/s".to_owned(), BOUNDS, has_journal)
}

fn entry(id: &str) -> Entry {
    let write = Write::Event(NewEvent::new("note", "note.added", json!(1)));
    Entry { id: id.to_owned(), write, expected_offset: None, queued_at_ms: 0 }
}

fn against(id: &str, offset: u64) -> Entry {
    Entry { expected_offset: Some(offset), ..entry(id) }
}

fn echo(offset: u64, id: &str) -> Event {
    let text = format!(
        r#"{{"offset":{offset},"id":"{id}","channel":"note","type":"note.added","timestamp":0,"data":1}}"#
    );
    Event::read(text).unwrap()
}

fn refused() -> Outcome {
    Outcome::Rejected(Rejection::Refused(ClientError::Token))
}

fn failed() -> Outcome {
    Outcome::Failed(ClientError::Slow { secs: 1 })
}

/// What there is to tell, a word each.
fn told(queue: &mut Queue) -> Vec<String> {
    let words = queue.outbox.notices.drain(..).map(|notice| match notice {
        Notice::Optimistic(entry) => format!("show {}", entry.id()),
        Notice::Confirm(entry, offset) => format!("{} at {offset}", entry.id()),
        Notice::Rollback(entry, Rejection::Withdrawn { may_be_written: true }) => {
            format!("perhaps {}", entry.id())
        }
        Notice::Rollback(entry, _) => format!("no {}", entry.id()),
    });
    words.collect()
}

/// Sends the next one, which must be this, with this outcome.
fn send(queue: &mut Queue, id: &str, outcome: Outcome) -> Tried {
    assert_eq!(queue.next().unwrap().0.id(), id);
    queue.tried(id, outcome)
}

#[test]
fn entries_are_shown_sent_and_confirmed_in_order() {
    let mut queue = queue(false);
    for id in ["a", "b"] {
        queue.push(entry(id)).unwrap();
    }
    assert_eq!(queue.next().unwrap().0.id(), "a");
    assert!(queue.next().is_none(), "one is on its way");
    assert_eq!(queue.tried("a", Outcome::Written(4)), Tried::Settled);
    send(&mut queue, "b", Outcome::Written(5));
    assert_eq!(told(&mut queue), ["show a", "show b", "a at 4", "b at 5"]);
    assert!(queue.is_settled());
}

#[test]
fn an_echo_confirms_once_whether_it_comes_before_the_answer_or_behind() {
    let mut queue = queue(false);
    for id in ["a", "b", "c"] {
        queue.push(entry(id)).unwrap();
    }
    assert_eq!(queue.next().unwrap().0.id(), "a");
    assert_eq!(queue.observe(&echo(7, "a")).unwrap().id(), "a");
    assert_eq!(queue.tried("a", Outcome::Written(7)), Tried::Settled);
    send(&mut queue, "b", Outcome::Written(8));
    assert_eq!(queue.observe(&echo(8, "b")).unwrap().id(), "b");
    // The answer is lost, and the echo is what tells.
    assert_eq!(send(&mut queue, "c", failed()), Tried::Again { failures: 1 });
    assert_eq!(queue.observe(&echo(9, "c")).unwrap().id(), "c");
    assert!(queue.last_failure().is_none());
    let told = told(&mut queue);
    assert_eq!(told, ["show a", "show b", "show c", "a at 7", "b at 8", "c at 9"]);
    // Of another, or read a second time.
    assert!(queue.observe(&echo(10, "x")).is_none());
    assert!(queue.observe(&echo(8, "b")).is_none());
}

#[test]
fn a_message_is_known_by_its_id_in_the_event_that_creates_it() {
    let mut queue = queue(false);
    let write = Write::Message(SendMessage { id: Some("m".to_owned()), ..Default::default() });
    queue.push(Entry { write, ..entry("m") }).unwrap();
    let event = |kind: &str, id: &str| {
        let text = format!(
            r#"{{"offset":3,"id":"{id}","channel":"message","type":"{kind}","timestamp":0,"data":{{"messageId":"m"}}}}"#
        );
        Event::read(text).unwrap()
    };
    assert!(queue.observe(&event("message.updated", "e1")).is_none());
    assert!(queue.observe(&event("other", "m")).is_none(), "an event of that id is another thing");
    assert_eq!(queue.observe(&event("message.created", "e2")).unwrap().id(), "m");
    assert_eq!(told(&mut queue), ["show m", "m at 3"]);
}

#[test]
fn what_is_refused_is_taken_back_and_those_behind_it_go_on() {
    let mut queue = queue(false);
    for id in ["a", "b"] {
        queue.push(entry(id)).unwrap();
    }
    assert_eq!(send(&mut queue, "a", failed()), Tried::Again { failures: 1 });
    assert_eq!(send(&mut queue, "a", failed()), Tried::Again { failures: 2 });
    assert!(queue.last_failure().is_some());
    send(&mut queue, "a", refused());
    assert_eq!(send(&mut queue, "b", failed()), Tried::Again { failures: 1 });
    send(&mut queue, "b", Outcome::Written(1));
    assert_eq!(told(&mut queue), ["show a", "show b", "no a", "b at 1"]);
}

#[test]
fn only_the_server_itself_refuses_and_only_for_good() {
    let problem = |code| {
        let mut problem = Box::new(Problem::new(code, "no"));
        (problem.expected, problem.actual) = (Some(3), Some(4));
        Outcome::of(Err(ClientError::Problem { problem, retry_after: None }))
    };
    let conflict = problem(Code::OffsetMismatch);
    let is_conflict = matches!(
        conflict,
        Outcome::Rejected(Rejection::Conflict { expected: Some(3), actual: Some(4) })
    );
    assert!(is_conflict, "{conflict:?}");
    let ended = problem(Code::SessionEnded);
    assert!(matches!(ended, Outcome::Rejected(Rejection::Refused(_))), "{ended:?}");
    assert!(matches!(problem(Code::QueueFull), Outcome::Failed(_)));
    assert!(matches!(problem(Code::Poisoned), Outcome::Failed(_)));
    // Of a gateway, or the page of a network that wants a password.
    for status in [403, 404, 502] {
        let bare = ClientError::Status { status, retry_after: None };
        assert!(matches!(Outcome::of(Err(bare)), Outcome::Failed(_)), "{status}");
    }
}

#[test]
fn what_is_taken_back_says_whether_it_may_be_in_the_log_and_lets_the_next_go() {
    let mut queue = queue(false);
    for id in ["a", "b", "c", "d"] {
        queue.push(entry(id)).unwrap();
    }
    assert_eq!(queue.next().unwrap().0.id(), "a");
    assert!(queue.take_back("b") && !queue.take_back("b"));
    assert!(queue.take_back("a"));
    assert!(queue.holds("a"), "it is on its way");
    assert_eq!(queue.tried("a", Outcome::Written(1)), Tried::Settled);
    assert_eq!(send(&mut queue, "c", failed()), Tried::Again { failures: 1 });
    assert!(queue.take_back("c"));
    assert_eq!(queue.next().unwrap().0.id(), "d");
    assert!(queue.take_back("d"));
    let never_there = ClientError::Token;
    assert_eq!(queue.tried("d", Outcome::Failed(never_there)), Tried::Settled);
    assert!(queue.observe(&echo(2, "c")).is_none(), "as of somebody else");
    let words = ["no b", "a at 1", "perhaps c", "no d"];
    assert_eq!(told(&mut queue)[4..], words);
    assert!(queue.is_settled());
}

#[test]
fn an_entry_behind_one_whose_echo_came_first_is_not_on_its_way() {
    let mut queue = queue(false);
    for id in ["a", "b"] {
        queue.push(entry(id)).unwrap();
    }
    assert_eq!(queue.next().unwrap().0.id(), "a");
    queue.observe(&echo(1, "a")).unwrap();
    assert!(queue.take_back("b") && !queue.holds("b"));
    assert_eq!(queue.tried("a", Outcome::Written(1)), Tried::Settled);
    assert_eq!(told(&mut queue), ["show a", "show b", "a at 1", "no b"]);
}

#[test]
fn what_is_known_of_the_line_cuts_one_wait_short_and_no_later_one() {
    let mut queue = queue(false);
    queue.is_nudged = true;
    queue.push(entry("a")).unwrap();
    send(&mut queue, "a", failed());
    assert!(!queue.is_nudged, "it was said before this try began");
    assert_eq!(queue.next().unwrap().0.id(), "a");
    queue.is_nudged = true;
    queue.tried("a", failed());
    assert!(queue.is_nudged, "it was said while this try was under way");
}

#[test]
fn a_queue_that_is_full_says_so_and_shows_nothing() {
    let mut queue = Queue::new("p".to_owned(), Bounds { entries: 2, ..BOUNDS }, false);
    queue.push(entry("a")).unwrap();
    assert!(matches!(queue.push(entry("a")), Err(OptimisticError::Known(_))));
    queue.push(entry("b")).unwrap();
    let full = queue.push(entry("c"));
    assert!(matches!(full, Err(OptimisticError::Full { entries: 2, .. })), "{full:?}");
    let mut small = Queue::new("p".to_owned(), Bounds { bytes: 200, ..BOUNDS }, false);
    small.push(entry("a")).unwrap();
    assert!(matches!(small.push(entry("b")), Err(OptimisticError::Full { entries: 1, .. })));
    assert_eq!(told(&mut queue), ["show a", "show b"]);
}

#[test]
fn entries_of_our_own_move_the_offset_that_is_expected_and_those_of_others_do_not() {
    let mut queue = queue(false);
    for entry in [against("a", 5), entry("b"), against("c", 5), against("d", 5)] {
        queue.push(entry).unwrap();
    }
    let mut expected = |offset| {
        let (entry, expected) = queue.next().unwrap();
        queue.tried(&entry.id, Outcome::Written(offset));
        expected
    };
    assert_eq!([expected(6), expected(7), expected(8)], [Some(5), None, Some(7)]);
    assert_eq!(queue.next().unwrap().1, Some(8));
    queue.tried("d", refused());
    queue.push(against("e", 9)).unwrap();
    queue.push(entry("f")).unwrap();
    send(&mut queue, "e", Outcome::Failed(ClientError::Slow { secs: 1 }));
    assert_eq!(queue.next().unwrap().1, Some(9));
}

/// Puts what is unsaved on the disk.
fn save(queue: &mut Queue, disk: &mut Vec<u8>) {
    while let Some(save) = queue.take_unsaved() {
        if save.is_whole {
            disk.clear();
        }
        disk.extend_from_slice(&save.text);
        queue.saved(&save, Ok(()));
    }
}

fn reload(disk: &mut Vec<u8>) -> Queue {
    let mut queue = queue(true);
    assert!(queue.reload(journal::read(disk).unwrap()).unwrap());
    let whole = queue.whole();
    *disk = whole.text;
    queue
}

#[test]
fn nothing_is_sent_before_it_is_on_the_disk_and_what_the_disk_refuses_is_taken_back() {
    let mut queue = queue(true);
    let number = queue.push(entry("a")).unwrap();
    assert!(queue.next().is_none() && queue.is_saved(number).is_none());
    let saving = queue.take_unsaved().unwrap();
    queue.push(entry("b")).unwrap();
    queue.saved(&saving, Ok(()));
    assert!(matches!(queue.is_saved(number), Some(Ok(()))));
    let second = queue.take_unsaved().unwrap();
    queue.saved(&second, Err("no room".into()));
    assert!(matches!(queue.is_saved(2), Some(Err(OptimisticError::NotSaved(_)))));
    assert!(matches!(queue.push(entry("c")), Err(OptimisticError::NotSaved(_))));
    send(&mut queue, "a", Outcome::Written(1));
    assert_eq!(told(&mut queue), ["show a", "show b", "no b", "a at 1"]);
}

#[test]
fn what_was_not_settled_is_there_after_a_crash_with_the_offsets_it_expects() {
    let (mut queue, mut disk) = (queue(true), Vec::new());
    for entry in [against("a", 5), entry("b"), against("c", 5), entry("d")] {
        queue.push(entry).unwrap();
    }
    save(&mut queue, &mut disk);
    send(&mut queue, "a", Outcome::Written(6));
    send(&mut queue, "b", refused());
    save(&mut queue, &mut disk);
    let mut queue = reload(&mut disk);
    assert_eq!(told(&mut queue), ["show c", "show d"]);
    assert_eq!(queue.next().unwrap().1, Some(6));
    let mut other = Queue::new("sessions/other".to_owned(), BOUNDS, true);
    assert!(!other.reload(journal::read(&disk).unwrap()).unwrap());
}

#[test]
fn a_journal_that_is_mostly_history_is_written_anew() {
    let (mut queue, mut disk) = (queue(true), Vec::new());
    let large = |id: &str| {
        let data = json!("x".repeat(60_000));
        let write = Write::Event(NewEvent::new("note", "note.added", data));
        Entry { write, ..entry(id) }
    };
    let mut most = 0;
    for n in 0..60_u64 {
        queue.push(large(&n.to_string())).unwrap();
        save(&mut queue, &mut disk);
        send(&mut queue, &n.to_string(), Outcome::Written(n + 1));
        most = most.max(disk.len());
    }
    assert!(most < 1_200_000, "{most}");
    queue.push(entry("last")).unwrap();
    save(&mut queue, &mut disk);
    assert_eq!(told(&mut reload(&mut disk)), ["show last"]);
    let lines = journal::read(&disk).unwrap();
    assert!(matches!(&lines[..], [Line::For { .. }, Line::Queued(_)]), "{lines:?}");
}

/// A stream that knows ids, and refuses those that begin with `no`.
#[derive(Default)]
struct Server {
    log: Vec<String>,
    /// How far its reader has come.
    read: usize,
}

impl Server {
    fn take(&mut self, id: &str, expected: Option<u64>) -> Outcome {
        let at = |index: usize| u64::try_from(index).unwrap() + 1;
        if let Some(index) = self.log.iter().position(|known| known == id) {
            return Outcome::Written(at(index));
        }
        let tail = self.log.len() as u64;
        if id.starts_with("no") {
            return refused();
        }
        if expected.is_some_and(|expected| expected != tail) {
            let (expected, actual) = (expected, Some(tail));
            return Outcome::Rejected(Rejection::Conflict { expected, actual });
        }
        self.log.push(id.to_owned());
        Outcome::Written(at(self.log.len() - 1))
    }

    fn echo(&mut self) -> Option<Event> {
        let id = self.log.get(self.read)?;
        self.read += 1;
        Some(echo(self.read as u64, id))
    }
}

/// One step of a run.
#[derive(Debug, Clone, Copy)]
enum Step {
    Push {
        is_wrong: bool,
        is_guarded: bool,
    },
    Send,
    LoseRequest,
    LoseAnswer,
    /// The echo comes while the answer is on its way.
    SendAndEcho,
    Echo,
    Other,
    /// One of those that wait is taken back.
    TakeBack {
        index: usize,
    },
    /// The first one is, while it is on its way.
    TakeBackSent {
        is_lost: bool,
    },
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::{
        Crash, Echo, LoseAnswer, LoseRequest, Other, Push, Send, SendAndEcho, TakeBack,
        TakeBackSent,
    };
    let push = |is_wrong, is_guarded| Just(Push { is_wrong, is_guarded });
    let step = prop_oneof![
        4 => push(false, false), 1 => push(true, false), 2 => push(false, true),
        4 => Just(Send), 1 => Just(LoseRequest), 2 => Just(LoseAnswer), 2 => Just(SendAndEcho),
        4 => Just(Echo), 1 => Just(Other), 1 => Just(Crash),
        1 => (0..4_usize).prop_map(|index| TakeBack { index }),
        1 => any::<bool>().prop_map(|is_lost| TakeBackSent { is_lost }),
    ];
    proptest::collection::vec(step, 0..120)
}

struct World {
    queue: Queue,
    disk: Vec<u8>,
    server: Server,
    /// Entries that this life of the queue announced, and what became of them.
    fates: HashMap<String, Vec<String>>,
    order: Vec<String>,
    /// Foreign events that were shown.
    shown: Vec<String>,
    queued: u64,
    /// What nobody refuses.
    good: Vec<String>,
}

impl World {
    fn new() -> Self {
        let (fates, order, shown, good) = (HashMap::new(), Vec::new(), Vec::new(), Vec::new());
        let (queue, disk, server) = (queue(true), Vec::new(), Server::default());
        Self { queue, disk, server, fates, order, shown, queued: 0, good }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Push { is_wrong, is_guarded } => {
                self.queued += 1;
                let id = format!("{}{:04}", if is_wrong { "no" } else { "w" }, self.queued);
                let expected_offset = is_guarded.then_some(self.server.read as u64);
                // It may be full.
                let queued = self.queue.push(Entry { expected_offset, ..entry(&id) });
                if queued.is_ok() && !is_wrong && !is_guarded {
                    self.good.push(id);
                }
                save(&mut self.queue, &mut self.disk);
            }
            Step::Echo => self.echo(),
            Step::TakeBack { index } => {
                if let Some(entry) = self.queue.pending().get(index) {
                    self.take_back(entry.id());
                }
            }
            Step::Other => self.server.log.push(format!("other{}", self.server.log.len())),
            Step::Crash => {
                self.queue = reload(&mut self.disk);
                // A new life: it shows what is left, and reads on where the old one was.
                (self.fates, self.order) = (HashMap::new(), Vec::new());
            }
            _ => self.try_one(step),
        }
        save(&mut self.queue, &mut self.disk);
        self.listen();
    }

    fn try_one(&mut self, step: Step) {
        let Some((entry, expected)) = self.queue.next() else { return };
        if matches!(step, Step::TakeBackSent { .. }) {
            self.take_back(entry.id());
        }
        let outcome = match step {
            Step::LoseRequest => failed(),
            Step::LoseAnswer | Step::TakeBackSent { is_lost: true } => {
                self.server.take(entry.id(), expected);
                failed()
            }
            _ => self.server.take(entry.id(), expected),
        };
        if matches!(step, Step::SendAndEcho) {
            self.echo();
        }
        let tried = self.queue.tried(entry.id(), outcome);
        if matches!(step, Step::TakeBackSent { .. }) {
            assert_eq!(tried, Tried::Settled, "it is not sent again");
        }
    }

    fn take_back(&mut self, id: &str) {
        assert!(self.queue.take_back(id), "{id}");
        self.good.retain(|good| good != id);
    }

    fn echo(&mut self) {
        if let Some(event) = self.server.echo()
            && self.queue.observe(&event).is_none()
        {
            self.shown.push(event.id().to_owned());
        }
    }

    fn listen(&mut self) {
        for word in told(&mut self.queue) {
            if let Some(id) = word.strip_prefix("show ") {
                assert!(self.fates.insert(id.to_owned(), Vec::new()).is_none(), "{id} twice");
                self.order.push(id.to_owned());
                continue;
            }
            let no = word.strip_prefix("no ").or(word.strip_prefix("perhaps "));
            let id = no.or(word.split(' ').next()).unwrap().to_owned();
            self.fates.get_mut(&id).unwrap().push(word);
        }
    }
}

proptest! {
    /// Whatever is lost and in whichever order things come, crashes of the application included:
    /// in the end the log has what was confirmed, once and in order, nothing of what was rolled
    /// back, and nothing of ours was shown as somebody else's in the life that wrote it; but for
    /// what was withdrawn after it may have been written, which was told so.
    #[test]
    fn every_write_is_settled_once_and_in_order(steps in steps()) {
        let mut world = World::new();
        let mut has_crashed = false;
        for step in steps {
            has_crashed |= matches!(step, Step::Crash);
            world.step(step);
        }
        // The line is good from here on.
        while !world.queue.is_settled() {
            world.step(Step::Send);
        }
        while world.server.read < world.server.log.len() {
            world.step(Step::Echo);
        }
        let ours: Vec<&String> = world.server.log.iter().filter(|id| !id.starts_with("other")).collect();
        prop_assert!(ours.is_sorted_by(|a, b| a < b), "{ours:?}");
        prop_assert!(world.good.iter().all(|id| ours.contains(&id)), "{:?}", world.good);
        let (mut confirmed, mut doubtful) = (Vec::new(), Vec::new());
        for id in &world.order {
            let fate = &world.fates[id];
            prop_assert_eq!(fate.len(), 1, "{}: {:?}", id, fate);
            let fate = &fate[0];
            if fate.starts_with("no ") {
                prop_assert!(!ours.contains(&id), "{id} was taken back, and is in the log");
            } else if fate.starts_with("perhaps ") {
                doubtful.push(id);
            } else {
                let offset: usize = fate.rsplit(' ').next().unwrap().parse().unwrap();
                prop_assert_eq!(&world.server.log[offset - 1], id);
                confirmed.push(id);
            }
        }
        if !has_crashed {
            let sure = |id: &&String| !id.starts_with("other") && !doubtful.contains(id);
            prop_assert_eq!(confirmed, ours.into_iter().filter(sure).collect::<Vec<_>>());
            let foreign: Vec<_> = world.shown.iter().filter(sure).collect();
            prop_assert!(foreign.is_empty(), "shown twice: {foreign:?}");
        }
    }
}
