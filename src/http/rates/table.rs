//! What each address and each token has taken, and how much it has open. Pure.
//!
//! Invariant: a table has a bounded number of keys; whoever comes with ever new ones makes it
//! forget those that were quiet for longest, and who is forgotten has its burst once more.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZero,
    time::Duration,
};

use lru::LruCache;

use super::{
    gcra::{Paid, Rate},
    settings::Allowance,
};
use crate::{http::Peer, limits};

/// Where somebody is: an IPv4 address, a network of 64 bits of IPv6, which is what one customer
/// has at the least, or the account of a user of this machine, who has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Network {
    V4([u8; 4]),
    V6(u64),
    User(u32),
}

impl From<Peer> for Network {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Address(addr) => addr.into(),
            Peer::User(user) => Self::User(user),
        }
    }
}

impl From<IpAddr> for Network {
    fn from(addr: IpAddr) -> Self {
        let upper = |addr: Ipv6Addr| u64::try_from(addr.to_bits() >> 64).unwrap_or_default();
        match addr.to_canonical() {
            IpAddr::V4(addr) => Self::V4(addr.octets()),
            IpAddr::V6(addr) => Self::V6(upper(addr)),
        }
    }
}

/// What is counted over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Requests,
    Bytes,
    Streams,
    Failures,
    Refusals,
}

/// How fast one of them may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    requests: Option<Rate>,
    bytes: Option<Rate>,
    streams: Option<Rate>,
    failures: Option<Rate>,
    refusals: Option<Rate>,
}

impl Rates {
    pub(super) fn new(allowance: &Allowance, failures_per_minute: u64) -> Self {
        let per = |units, span, burst| Rate::new(units, Duration::from_secs(span), burst);
        Self {
            requests: per(allowance.requests_per_second, 1, limits::RATE_BURST),
            bytes: per(allowance.bytes_per_second, 1, limits::RATE_BURST),
            streams: per(allowance.streams_per_hour, 3_600, limits::RATE_STREAMS_BURST),
            failures: per(failures_per_minute, 60, limits::RATE_FAILED_AUTH_BURST),
            refusals: per(limits::RATE_REFUSALS_PER_SECOND, 1, limits::RATE_BURST),
        }
    }

    pub(super) fn of(&self, counted: Counted) -> Option<Rate> {
        match counted {
            Counted::Requests => self.requests,
            Counted::Bytes => self.bytes,
            Counted::Streams => self.streams,
            Counted::Failures => self.failures,
            Counted::Refusals => self.refusals,
        }
    }
}

/// What one of them has taken.
#[derive(Debug, Default)]
struct Taken {
    requests: Paid,
    bytes: Paid,
    streams: Paid,
    failures: Paid,
    refusals: Paid,
}

impl Taken {
    fn of(&mut self, counted: Counted) -> &mut Paid {
        match counted {
            Counted::Requests => &mut self.requests,
            Counted::Bytes => &mut self.bytes,
            Counted::Streams => &mut self.streams,
            Counted::Failures => &mut self.failures,
            Counted::Refusals => &mut self.refusals,
        }
    }
}

/// What each of them has taken.
#[derive(Debug)]
pub(super) struct Table<K: Hash + Eq> {
    rates: Rates,
    taken: LruCache<K, Taken>,
}

impl<K: Hash + Eq + Clone> Table<K> {
    pub(super) fn new(rates: Rates, keys: NonZero<usize>) -> Self {
        Self { rates, taken: LruCache::new(keys) }
    }

    /// Forgets all of them.
    pub(super) fn forget(&mut self) {
        self.taken.clear();
    }

    /// How long until this may be taken; None where it may be now.
    pub(super) fn wait(&mut self, key: &K, counted: Counted, now_ns: u64) -> Option<Duration> {
        let rate = self.rates.of(counted)?;
        rate.wait(*self.taken.get_mut(key)?.of(counted), now_ns)
    }

    /// Takes so much.
    pub(super) fn take(&mut self, key: &K, counted: Counted, now_ns: u64, units: u64) {
        let Some(rate) = self.rates.of(counted) else { return };
        let taken = self.taken.get_or_insert_mut_ref(key, Taken::default);
        rate.take(taken.of(counted), now_ns, units);
    }
}

/// What is open, live reads or connections, by whose it is. It has an entry for each of those who
/// have anything open, and no more is let in than the server has places for.
#[derive(Debug)]
pub(crate) struct Open<K>(HashMap<K, u64>);

impl<K: Hash + Eq + Clone> Open<K> {
    /// How many this one has open.
    pub(crate) fn count(&self, key: &K) -> u64 {
        self.0.get(key).copied().unwrap_or(0)
    }

    /// One more.
    pub(crate) fn enter(&mut self, key: &K) {
        *self.0.entry(key.clone()).or_default() += 1;
    }

    /// One less.
    pub(crate) fn leave(&mut self, key: &K) {
        if let Entry::Occupied(mut entry) = self.0.entry(key.clone()) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    /// Whether nobody has anything open.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K> Default for Open<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_200_000_000_000_000;

    fn rates() -> Rates {
        Rates::new(&Allowance { requests_per_second: 2, ..Allowance::default() }, 0)
    }

    #[test]
    fn an_address_of_ipv6_is_its_network_and_one_of_ipv4_itself() {
        let network = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }

    #[test]
    fn whoever_comes_with_new_keys_makes_the_table_forget_and_never_grow() {
        let mut table = Table::new(rates(), NonZero::new(100).unwrap());
        for key in 0..100_000_u32 {
            table.take(&key, Counted::Requests, NOW, 1_000);
        }
        assert_eq!(table.taken.len(), 100);
        assert_eq!(table.wait(&0, Counted::Requests, NOW), None);
        assert!(table.wait(&99_999, Counted::Requests, NOW).is_some());
    }

    #[test]
    fn one_key_does_not_wait_for_another_nor_one_rate_for_another() {
        let mut table = Table::new(rates(), NonZero::new(100).unwrap());
        table.take(&1, Counted::Requests, NOW, 1_000);
        assert!(table.wait(&1, Counted::Requests, NOW).is_some());
        assert_eq!(table.wait(&1, Counted::Bytes, NOW), None);
        assert_eq!(table.wait(&2, Counted::Requests, NOW), None);
        table.take(&1, Counted::Failures, NOW, 1_000);
        assert_eq!(table.wait(&1, Counted::Failures, NOW), None, "there is no limit");
    }

    #[test]
    fn who_has_left_takes_no_room() {
        let mut open = Open::default();
        open.enter(&1);
        open.enter(&1);
        assert_eq!((open.count(&1), open.count(&2)), (2, 0));
        open.leave(&1);
        open.leave(&1);
        open.leave(&1);
        assert_eq!((open.count(&1), open.is_empty()), (0, true));
    }
}
