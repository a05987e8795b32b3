//! What reads in commit order cost that lie far behind: how many are under way at once, and how
//! fast what nobody is sent goes by, for each token or address and not for each read.
//!
//! It refuses to know what is read. Invariants: who comes again goes on where what was passed over
//! for them ended; a turn is held by nobody for longer than a page takes, as far as their client
//! lets the server work, and where it does not others go on all the same.

use std::{sync::Arc, time::Duration};

use axum::http::Extensions;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    CLOCK_JITTER_MS, Sender,
    gcra::{Paid, Rate},
    table::Network,
};
use crate::{clock::Clock, limits};

/// Reads in commit order of a server.
#[derive(Debug)]
pub(in crate::http) struct OrderReads {
    turns: Semaphore,
    passed: Mutex<Passed>,
}

/// What was passed over for everybody.
#[derive(Debug)]
struct Passed {
    by: LruCache<Whose, Paid>,
    /// The latest time that was seen, Unix milliseconds.
    latest_ms: u64,
}

/// For whom it counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Whose {
    Token(Arc<str>),
    Address(Network),
}

/// How fast one read may go.
#[derive(Debug)]
pub(in crate::http) struct Pace {
    /// Nobody where nothing counts.
    whose: Option<Whose>,
    own: Paid,
    until_ms: u64,
    seen_ms: u64,
}

impl Default for OrderReads {
    fn default() -> Self {
        let by = LruCache::new(limits::RATE_KEYS_MAX);
        Self {
            turns: Semaphore::new(limits::ORDER_READS_AT_ONCE),
            passed: Mutex::new(Passed { by, latest_ms: 0 }),
        }
    }
}

impl OrderReads {
    /// A turn to read a page, in the order in which readers came. None for who has waited for very
    /// long, and reads without: those who have the turns have clients that take nothing.
    pub(in crate::http) async fn turn(&self, clock: &dyn Clock) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            turn = self.turns.acquire() => turn.ok(),
            () = clock.sleep(limits::ORDER_TURN_WAIT) => None,
        }
    }

    /// The pace of a read that begins. It has a backlog where there was something before it began
    /// that it reads; addresses count where they are limited at all.
    pub(in crate::http) fn pace(
        &self,
        extensions: &Extensions,
        has_backlog: bool,
        is_limited: bool,
        now_ms: u64,
    ) -> Pace {
        let Sender { address, token } = Sender::of(extensions);
        let address = address.filter(|_| is_limited).map(Whose::Address);
        let whose = token.map(Whose::Token).or(address);
        let mut pace = Pace { whose, own: Paid::default(), until_ms: 0, seen_ms: now_ms };
        if has_backlog {
            self.passed(&mut pace, 0, true, now_ms);
        }
        pace
    }

    /// Counts records that were looked at for a read and not sent. What was there before it began
    /// counts together with other reads of its token or address; of what came since each has its
    /// own share, or many that keep up would hold each other back for ever.
    pub(in crate::http) fn passed(
        &self,
        pace: &mut Pace,
        records: usize,
        is_backlog: bool,
        now_ms: u64,
    ) {
        let (Some(whose), Some(rate)) = (&pace.whose, rate()) else { return };
        let wait = if is_backlog {
            let mut passed = self.passed.lock();
            passed.forget_if_set_back(now_ms);
            let paid = passed.by.get_or_insert_mut_ref(whose, Paid::default);
            counted(rate, paid, records, now_ms)
        } else {
            counted(rate, &mut pace.own, records, now_ms)
        };
        pace.seen_ms = now_ms;
        pace.until_ms = now_ms.saturating_add(wait);
    }
}

impl Passed {
    /// Where the clock was set back, everybody would have to wait until it is where it was.
    fn forget_if_set_back(&mut self, now_ms: u64) {
        if now_ms.saturating_add(CLOCK_JITTER_MS) < self.latest_ms {
            self.by.clear();
            self.latest_ms = now_ms;
        }
        self.latest_ms = self.latest_ms.max(now_ms);
    }
}

impl Pace {
    /// How long to wait before the next page; None where it may be read now.
    pub(in crate::http) fn wait(&self, now_ms: u64) -> Option<Duration> {
        let was_set_back = now_ms.saturating_add(CLOCK_JITTER_MS) < self.seen_ms;
        let wait = self.until_ms.saturating_sub(now_ms);
        (wait > 0 && !was_set_back).then(|| Duration::from_millis(wait))
    }
}

fn rate() -> Option<Rate> {
    let units = u64::try_from(limits::ORDER_PASSED_OVER_MAX).unwrap_or(u64::MAX);
    Rate::new(units, limits::ORDER_PAUSE, limits::ORDER_PAUSE)
}

/// Takes so much, and says how many milliseconds pay for it.
fn counted(rate: Rate, paid: &mut Paid, records: usize, now_ms: u64) -> u64 {
    let now_ns = now_ms.saturating_mul(1_000_000);
    if records > 0 {
        rate.take(paid, now_ns, u64::try_from(records).unwrap_or(u64::MAX));
    }
    let wait = rate.wait(*paid, now_ns).unwrap_or_default();
    u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::FutureExt;

    use super::*;
    use crate::{clock::ManualClock, http::Peer};

    const NOW_MS: u64 = 1_795_200_000_000;
    const BURST: usize = limits::ORDER_PASSED_OVER_MAX;

    fn from(address: &str) -> Extensions {
        let address: IpAddr = address.parse().unwrap();
        let mut extensions = Extensions::new();
        extensions.insert(Peer::Address(address));
        extensions
    }

    #[test]
    fn who_comes_again_goes_on_where_what_was_passed_over_ended() {
        let (reads, a) = (OrderReads::default(), from("192.0.2.1"));
        let mut first = reads.pace(&a, true, true, NOW_MS);
        assert_eq!(first.wait(NOW_MS), None);
        reads.passed(&mut first, BURST, true, NOW_MS);
        assert_eq!(first.wait(NOW_MS), Some(Duration::from_millis(1)));
        reads.passed(&mut first, BURST, true, NOW_MS);
        let more = limits::ORDER_PAUSE + Duration::from_millis(1);
        assert_eq!(first.wait(NOW_MS), Some(more));
        assert_eq!(reads.pace(&a, true, true, NOW_MS).wait(NOW_MS), Some(more));
        let other = from("192.0.2.2");
        assert_eq!(reads.pace(&other, true, true, NOW_MS).wait(NOW_MS), None, "of its own");
        assert_eq!(reads.pace(&a, false, true, NOW_MS).wait(NOW_MS), None, "from the end on");
        assert_eq!(reads.pace(&a, true, false, NOW_MS).wait(NOW_MS), None, "without limits");
        let later = NOW_MS + 101;
        assert_eq!(reads.pace(&a, true, true, later).wait(later), None);
    }

    #[test]
    fn what_comes_while_it_is_read_counts_for_each_read_alone() {
        let (reads, a) = (OrderReads::default(), from("192.0.2.1"));
        let (mut one, mut two) =
            (reads.pace(&a, true, true, NOW_MS), reads.pace(&a, true, true, NOW_MS));
        reads.passed(&mut one, 2 * BURST, false, NOW_MS);
        assert!(one.wait(NOW_MS).is_some());
        reads.passed(&mut two, BURST - 1, false, NOW_MS);
        assert_eq!(two.wait(NOW_MS), None);
        assert_eq!(reads.pace(&a, true, true, NOW_MS).wait(NOW_MS), None);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_waiting() {
        let (reads, a) = (OrderReads::default(), from("192.0.2.1"));
        let mut pace = reads.pace(&a, true, true, NOW_MS);
        reads.passed(&mut pace, 2 * BURST, true, NOW_MS);
        let before = NOW_MS - 3_600_000;
        assert_eq!(pace.wait(before), None);
        assert_eq!(reads.pace(&a, true, true, before).wait(before), None);
    }

    #[test]
    fn turns_are_had_in_order_and_who_holds_all_of_them_stops_nobody_for_ever() {
        let (reads, clock) = (OrderReads::default(), ManualClock::at(NOW_MS));
        let turn = || reads.turn(&*clock).now_or_never().flatten();
        let mut held: Vec<_> = (0..limits::ORDER_READS_AT_ONCE).filter_map(|_| turn()).collect();
        assert_eq!(held.len(), limits::ORDER_READS_AT_ONCE);
        let (mut first, mut second) =
            (Box::pin(reads.turn(&*clock)), Box::pin(reads.turn(&*clock)));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        held.pop();
        assert!((&mut second).now_or_never().is_none(), "it is not the first");
        let first = first.now_or_never().flatten();
        assert!(first.is_some());
        assert!((&mut second).now_or_never().is_none());
        clock.advance(limits::ORDER_TURN_WAIT);
        let second = second.now_or_never().unwrap();
        assert!(second.is_none(), "it goes on without");
    }
}
