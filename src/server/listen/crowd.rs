//! How many connections each address has open, where strangers may come. Pure but for its lock: it
//! refuses to know sockets, and which addresses are counted. Invariant: no address has more than
//! its part, and one that has none open takes no room here.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::http::{Network, Open};

/// The connections that are open, by address. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Crowd(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// Connections that one address may have open.
    most: u64,
    /// No more than there are connections.
    open: Mutex<Open<Network>>,
}

/// An address has as many connections as one may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "its address, or its user, has {0} connections open, the most that one may have; raise \
     limits.connections_per_address, or name a proxy with --trusted-proxy"
)]
pub(super) struct Crowded(u64);

impl Crowd {
    /// One in which each address may have so many.
    pub(super) fn new(most: u64) -> Self {
        Self(Arc::new(Counts { most, open: Mutex::default() }))
    }

    /// Counts a connection of an address, where there is room for it.
    pub(super) fn enter(&self, from: Network) -> Result<Member, Crowded> {
        let mut open = self.0.open.lock();
        if open.count(&from) >= self.0.most {
            return Err(Crowded(self.0.most));
        }
        open.enter(&from);
        Ok(Member { crowd: self.clone(), from })
    }
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Member {
    crowd: Crowd,
    from: Network,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.crowd.0.open.lock().leave(&self.from);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::http::Peer;

    fn network(text: &str) -> Network {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn an_address_has_its_part_and_another_has_one_of_its_own() {
        let crowd = Crowd::new(2);
        let first = crowd.enter(network("192.0.2.1")).unwrap();
        let _second = crowd.enter(network("192.0.2.1")).unwrap();
        assert_eq!(crowd.enter(network("192.0.2.1")).unwrap_err(), Crowded(2));
        let other = crowd.enter(network("192.0.2.2"));
        assert!(other.is_ok());
        drop(first);
        let third = crowd.enter(network("192.0.2.1"));
        assert!(third.is_ok());
        assert!(crowd.enter(network("192.0.2.1")).is_err());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_however_many_it_has() {
        let crowd = Crowd::new(1);
        let _first = crowd.enter(network("2001:db8::1")).unwrap();
        assert!(crowd.enter(network("2001:db8::ffff:1")).is_err());
        assert!(crowd.enter(network("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn a_user_of_this_machine_is_as_one_address_and_none_of_the_network() {
        let crowd = Crowd::new(1);
        let _first = crowd.enter(Peer::User(1_000).into()).unwrap();
        assert!(crowd.enter(Peer::User(1_000).into()).is_err());
        assert!(crowd.enter(Peer::User(0).into()).is_ok());
        assert!(crowd.enter(network("0.0.3.232")).is_ok());
    }

    proptest! {
        #[test]
        fn nobody_is_over_and_whoever_has_left_takes_no_room(
            most in 1..4_u64, steps in prop::collection::vec((0..4_u8, any::<bool>()), 0..100),
        ) {
            let crowd = Crowd::new(most);
            let mut open: Vec<(u8, Member)> = Vec::new();
            for (address, comes) in steps {
                let from = Network::V4([192, 0, 2, address]);
                let has = open.iter().filter(|(other, _)| *other == address).count() as u64;
                if comes {
                    let entered = crowd.enter(from);
                    prop_assert_eq!(entered.is_ok(), has < most);
                    open.extend(entered.ok().map(|member| (address, member)));
                } else if let Some(at) = open.iter().position(|(other, _)| *other == address) {
                    drop(open.swap_remove(at));
                }
            }
            drop(open);
            prop_assert!(crowd.0.open.lock().is_empty());
        }
    }
}
