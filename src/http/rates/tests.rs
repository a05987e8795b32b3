//! What the door lets in, on times of the tests.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::auth::{Grant, Rights, Scopes};

const NOW_MS: u64 = 1_795_200_000_000;

fn limiter(change: impl FnOnce(&mut RateLimits)) -> Arc<Limiter> {
    let none = Allowance {
        requests_per_second: 0,
        bytes_per_second: 0,
        live_readers: 0,
        streams_per_hour: 0,
    };
    let mut settings = RateLimits {
        failed_auth_per_minute: 0,
        token: none,
        address: none,
        ..RateLimits::default()
    };
    change(&mut settings);
    Arc::new(Limiter::new(settings))
}

fn holder(id: &str) -> Access {
    Access::Holder(Arc::new(Grant {
        id: Arc::from(id),
        rights: Rights::Scopes(Scopes::default()),
        actor: None,
        ends_ms: None,
        revoked: CancellationToken::new(),
    }))
}

/// Whoever sends from an address with this access.
fn sender(address: &str, access: &Access) -> Sender {
    let mut extensions = Extensions::new();
    extensions.insert(Peer::Address(address.parse().unwrap()));
    extensions.insert(access.clone());
    Sender::of(&extensions)
}

/// How many of so many requests at one moment are let in.
fn let_in(limiter: &Limiter, address: &str, access: &Access, now_ms: u64, tries: usize) -> usize {
    let sender = sender(address, access);
    (0..tries).filter(|_| limiter.request(&sender, access, now_ms).is_ok()).count()
}

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";

#[test]
fn a_token_has_its_rate_from_wherever_it_comes_and_an_address_whatever_comes_from_it() {
    let by_token = limiter(|limits| limits.token.requests_per_second = 2);
    let (t, u) = (holder("t"), holder("u"));
    assert_eq!(let_in(&by_token, A, &t, NOW_MS, 100), 10, "five seconds' worth at once");
    assert_eq!(let_in(&by_token, B, &t, NOW_MS, 100), 0);
    assert_eq!(let_in(&by_token, A, &u, NOW_MS, 100), 10);
    assert_eq!(let_in(&by_token, A, &t, NOW_MS + 1_000, 100), 2);
    let by_address = limiter(|limits| limits.address.requests_per_second = 2);
    assert_eq!(let_in(&by_address, A, &t, NOW_MS, 100), 10);
    assert_eq!(let_in(&by_address, A, &u, NOW_MS, 100), 0);
    assert_eq!(let_in(&by_address, B, &t, NOW_MS, 100), 10);
}

#[test]
fn a_user_who_comes_over_the_unix_socket_has_the_rate_of_an_address() {
    let limiter = limiter(|limits| limits.address.requests_per_second = 2);
    let let_in = |peer: Peer| {
        let mut extensions = Extensions::new();
        extensions.insert(peer);
        let (sender, access) = (Sender::of(&extensions), holder("t"));
        (0..100).filter(|_| limiter.request(&sender, &access, NOW_MS).is_ok()).count()
    };
    assert_eq!(let_in(Peer::User(1_000)), 10);
    assert_eq!(let_in(Peer::User(1_000)), 0);
    assert_eq!(let_in(Peer::User(0)), 10, "another user, whoever it is");
    assert_eq!(let_in(Peer::Address(A.parse().unwrap())), 10);
}

#[test]
fn a_request_that_is_refused_takes_nothing() {
    let limiter = limiter(|limits| {
        limits.token.requests_per_second = 1;
        limits.address.requests_per_second = 10;
    });
    assert_eq!(let_in(&limiter, A, &holder("t"), NOW_MS, 1_000), 5);
    assert_eq!(let_in(&limiter, A, &Access::Everyone, NOW_MS, 1_000), 45);
}

#[test]
fn the_wait_that_is_told_is_that_of_the_limit_that_lasts_longest() {
    let limiter = limiter(|limits| {
        limits.token.requests_per_second = 1;
        limits.address.bytes_per_second = 10;
    });
    let access = holder("t");
    let sender = sender(A, &access);
    assert_eq!(limiter.request(&sender, &access, NOW_MS), Ok(()));
    let wait = limiter.bytes(&sender, NOW_MS, 150).unwrap();
    assert_eq!(wait, Duration::from_secs(10) + Duration::from_nanos(1));
    let over = limiter.request(&sender, &access, NOW_MS).unwrap_err();
    assert_eq!(over, Over { limit: Limit::Bytes, whose: Whose::Address, wait });
    assert_eq!(limiter.request(&sender, &access, NOW_MS + 10_001), Ok(()));
}

#[test]
fn who_guesses_is_not_told_whether_a_guess_was_right() {
    let limiter = limiter(|limits| limits.failed_auth_per_minute = 60);
    let wrong = Access::Nobody(Denied::Invalid);
    assert_eq!(let_in(&limiter, A, &wrong, NOW_MS, 1_000), 30, "half a minute's worth at once");
    let right = holder("t");
    assert_eq!(let_in(&limiter, A, &right, NOW_MS, 10), 0, "right, and refused as a wrong one is");
    assert_eq!(let_in(&limiter, B, &right, NOW_MS, 10), 10, "from elsewhere it is as good as ever");
    let missing = Access::Nobody(Denied::Missing);
    assert_eq!(let_in(&limiter, A, &missing, NOW_MS, 10), 10, "who has no token guesses none");
}

#[test]
fn who_shares_an_address_with_one_who_guesses_goes_on_and_newcomers_wait_for_a_second() {
    let limiter = limiter(|limits| limits.failed_auth_per_minute = 60);
    let (known, new) = (holder("known"), holder("new"));
    let wrong = Access::Nobody(Denied::Invalid);
    assert_eq!(let_in(&limiter, A, &known, NOW_MS, 1), 1);
    assert_eq!(let_in(&limiter, A, &wrong, NOW_MS, 10_000), 30);
    assert_eq!(let_in(&limiter, A, &known, NOW_MS, 100), 100);
    assert_eq!(let_in(&limiter, A, &new, NOW_MS, 1), 0);
    // However many wrong ones come: what is refused does not count.
    assert_eq!(let_in(&limiter, A, &new, NOW_MS + 1_000, 1), 1);
    assert_eq!(let_in(&limiter, A, &wrong, NOW_MS + 1_000, 10_000), 1);
    assert_eq!(let_in(&limiter, A, &new, NOW_MS + 1_000, 100), 100);
}

#[test]
fn who_does_not_wait_is_refused_slowly_and_who_does_at_once() {
    let limiter = limiter(|limits| limits.address.requests_per_second = 1);
    let (hasty, patient) = (sender(A, &Access::Everyone), sender(B, &Access::Everyone));
    let slow = |now_ms| (0..1_000).filter(|_| limiter.refusal(&hasty, now_ms).is_some()).count();
    assert_eq!(slow(NOW_MS), 900);
    assert_eq!(slow(NOW_MS + 1_000), 980);
    for second in 0..1_000 {
        assert_eq!(limiter.refusal(&patient, NOW_MS + 1_000 + second * 1_000), None);
    }
}

#[test]
fn a_clock_that_is_set_back_locks_nobody_out() {
    let limiter = limiter(|limits| limits.address.requests_per_second = 1);
    assert_eq!(let_in(&limiter, A, &Access::Everyone, NOW_MS, 100), 5);
    assert_eq!(let_in(&limiter, A, &Access::Everyone, NOW_MS - 500, 100), 0, "a correction");
    assert_eq!(let_in(&limiter, A, &Access::Everyone, NOW_MS - 86_400_000, 100), 5);
}

#[test]
fn live_reads_are_counted_while_they_are_open() {
    let limiter = limiter(|limits| {
        limits.token.live_readers = 2;
        limits.address.live_readers = 3;
    });
    let (t, u) = (holder("t"), holder("u"));
    let first = limiter.reader(sender(A, &t)).unwrap();
    let _second = limiter.reader(sender(A, &t)).unwrap();
    let over = |whose| Over { limit: Limit::Readers, whose, wait: limits::RATE_READERS_WAIT };
    assert_eq!(limiter.reader(sender(B, &t)).unwrap_err(), over(Whose::Token));
    let _third = limiter.reader(sender(A, &u)).unwrap();
    assert_eq!(limiter.reader(sender(A, &u)).unwrap_err(), over(Whose::Address));
    drop(first);
    assert!(limiter.reader(sender(A, &u)).is_ok());
}

#[test]
fn over_a_unix_socket_only_tokens_are_limited() {
    let limiter = limiter(|limits| {
        limits.token.requests_per_second = 1;
        limits.address.requests_per_second = 1;
    });
    let nobody = Sender::default();
    let tries = (0..100).filter(|_| limiter.request(&nobody, &Access::Everyone, NOW_MS).is_ok());
    assert_eq!(tries.count(), 100);
}

#[test]
fn who_is_over_two_limits_is_told_of_the_one_that_lasts_longer() {
    for (token, address, whose) in [(10, 20, Whose::Token), (20, 10, Whose::Address)] {
        let limiter = limiter(|limits| {
            limits.token.bytes_per_second = token;
            limits.address.bytes_per_second = address;
        });
        let access = holder("t");
        let sender = sender(A, &access);
        let wait = limiter.bytes(&sender, NOW_MS, 400).unwrap();
        assert_eq!(wait, Duration::from_secs(35) + Duration::from_nanos(1));
        let over = limiter.request(&sender, &access, NOW_MS).unwrap_err();
        assert_eq!(over, Over { limit: Limit::Bytes, whose, wait });
    }
}
