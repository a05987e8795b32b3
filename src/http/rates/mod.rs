//! Limits on those who use the server, by token and by address: the door that every request goes
//! through where they are in force. The server's own limits are where the work is done.
//!
//! What may be had is decided in `gcra.rs` and `table.rs`; here is what counts as what, and what
//! is said to who is over. It refuses to know what requests do. Invariants: a request that is
//! refused has done nothing, and takes nothing; who guesses tokens is not told whether one was
//! right, and who has used a right one from where they are goes on.

use std::{num::NonZero, sync::Arc, time::Duration};

use axum::{extract::Request, http::Extensions};
use http_body::Body as _;
use lru::LruCache;
use parking_lot::Mutex;

pub use self::settings::{Allowance, RateLimits};
pub(crate) use self::table::{Network, Open};
use self::{
    gcra::{Paid, Rate},
    table::{Counted, Rates, Table},
};
use super::{App, Peer, access};
use crate::{
    auth::{Access, Denied, Right, Verdict},
    limits,
    log::ReadError,
    wire::paths,
};

mod begins;
mod gcra;
mod order;
mod over;
mod paced;
mod settings;
mod table;

pub(super) use self::order::{OrderReads, Pace};
use self::over::{Limit, Whose};
pub(super) use self::over::{Over, refused};

/// Who is limited: where a request comes from and whose token it has, as far as there are any.
#[derive(Debug, Clone, Default)]
struct Sender {
    address: Option<Network>,
    token: Option<Arc<str>>,
}

impl Sender {
    fn of(extensions: &Extensions) -> Self {
        let peer = extensions.get::<Peer>().copied();
        let token = match extensions.get() {
            Some(Access::Holder(grant)) => Some(Arc::clone(&grant.id)),
            _ => None,
        };
        Self { address: peer.map(Network::from), token }
    }
}

/// The limits in force, and what everybody has taken.
#[derive(Debug)]
pub(super) struct Limiter {
    settings: RateLimits,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    addresses: Table<Network>,
    tokens: Table<Arc<str>>,
    /// Tokens that were right, with the addresses that they came from, and what was tried under
    /// their names while others from there were over.
    known: LruCache<(Network, Arc<str>), Paid>,
    failures: Option<Rate>,
    readers_at: Open<Network>,
    readers_with: Open<Arc<str>>,
    /// The latest time that was seen, Unix milliseconds.
    latest_ms: u64,
}

impl Limiter {
    pub(super) fn new(settings: RateLimits) -> Self {
        let held = Held::new(&settings, limits::RATE_KEYS_MAX);
        Self { settings, held: Mutex::new(held) }
    }

    /// Whether a token may be tried of which nothing is known but the name that it claims. Where
    /// there were too many wrong ones, that has to be a name that was right here before, and each
    /// name is tried as often as an address may be wrong: tokens are renewed all the time, and
    /// anybody can write a name.
    fn may_try(
        &self,
        address: Network,
        claimed: impl FnOnce() -> Option<Arc<str>>,
        now_ms: u64,
    ) -> Result<(), Over> {
        let over = {
            let mut held = self.held.lock();
            let now = held.now(now_ms);
            let Some(over) = held.failed(address, now) else { return Ok(()) };
            over
        };
        // Read while nobody waits for it.
        let claimed = claimed().ok_or(over)?;
        let mut held = self.held.lock();
        let now = held.now(now_ms);
        let Some(failures) = held.failures else { return Ok(()) };
        let tried = held.known.get_mut(&(address, claimed)).ok_or(over)?;
        if failures.wait(*tried, now).is_some() {
            return Err(over);
        }
        failures.take(tried, now, 1);
        Ok(())
    }

    /// Counts a request whose sender is known, and says whether it is let in.
    fn request(&self, sender: &Sender, access: &Access, now_ms: u64) -> Result<(), Over> {
        let mut held = self.held.lock();
        let now = held.now(now_ms);
        held.guess(sender, access, now)?;
        held.room(sender, Counted::Requests, now)?;
        held.room(sender, Counted::Bytes, now)?;
        held.take(sender, Counted::Requests, now, 1);
        Ok(())
    }

    /// Counts a stream that is about to begin, and says whether it may.
    fn stream(&self, sender: &Sender, now_ms: u64) -> Result<(), Over> {
        let mut held = self.held.lock();
        let now = held.now(now_ms);
        held.room(sender, Counted::Streams, now)?;
        held.take(sender, Counted::Streams, now, 1);
        Ok(())
    }

    /// Counts a refusal, and says how long it takes where there were too many.
    fn refusal(&self, sender: &Sender, now_ms: u64) -> Option<Duration> {
        let mut held = self.held.lock();
        let now = held.now(now_ms);
        let over = held.room(sender, Counted::Refusals, now).is_err();
        if !over {
            held.take(sender, Counted::Refusals, now, 1);
        }
        over.then_some(limits::RATE_REFUSED_PAUSE)
    }

    /// Counts bytes that have come in, and says how long to wait before more are taken in.
    fn bytes(&self, sender: &Sender, now_ms: u64, bytes: usize) -> Option<Duration> {
        let mut held = self.held.lock();
        let now = held.now(now_ms);
        held.take(sender, Counted::Bytes, now, bytes as u64);
        held.room(sender, Counted::Bytes, now).err().map(|over| over.wait)
    }

    /// Counts a live reader.
    fn reader(self: &Arc<Self>, sender: Sender) -> Result<Place, Over> {
        let mut held = self.held.lock();
        let over = |whose| Over { limit: Limit::Readers, whose, wait: limits::RATE_READERS_WAIT };
        let is_full = |open: u64, most: u64| most > 0 && open >= most;
        if let Some(address) = &sender.address
            && is_full(held.readers_at.count(address), self.settings.address.live_readers)
        {
            return Err(over(Whose::Address));
        }
        if let Some(token) = &sender.token
            && is_full(held.readers_with.count(token), self.settings.token.live_readers)
        {
            return Err(over(Whose::Token));
        }
        sender.address.iter().for_each(|address| held.readers_at.enter(address));
        sender.token.iter().for_each(|token| held.readers_with.enter(token));
        Ok(Place { limiter: Arc::clone(self), sender })
    }
}

impl Held {
    fn new(settings: &RateLimits, keys: NonZero<usize>) -> Self {
        let at = Rates::new(&settings.address, settings.failed_auth_per_minute);
        Self {
            addresses: Table::new(at, keys),
            tokens: Table::new(Rates::new(&settings.token, 0), keys),
            known: LruCache::new(keys),
            failures: at.of(Counted::Failures),
            readers_at: Open::default(),
            readers_with: Open::default(),
            latest_ms: 0,
        }
    }

    /// The time in nanoseconds. Where the clock was set back, everything is forgotten: all would
    /// have to wait until it is where it was.
    fn now(&mut self, now_ms: u64) -> u64 {
        if now_ms.saturating_add(CLOCK_JITTER_MS) < self.latest_ms {
            self.addresses.forget();
            self.tokens.forget();
            self.latest_ms = now_ms;
        }
        self.latest_ms = self.latest_ms.max(now_ms);
        self.latest_ms.saturating_mul(1_000_000)
    }

    /// Whether too many wrong tokens came from an address.
    fn failed(&mut self, address: Network, now: u64) -> Option<Over> {
        let wait = self.addresses.wait(&address, Counted::Failures, now);
        wait.map(|wait| Over { limit: Limit::FailedAuth, whose: Whose::Address, wait })
    }

    /// Counts a wrong token. Where there were too many, only who is known here goes on.
    fn guess(&mut self, sender: &Sender, access: &Access, now: u64) -> Result<(), Over> {
        let Some(address) = sender.address else { return Ok(()) };
        let over = self.failed(address, now);
        let is_wrong = matches!(access, Access::Nobody(Denied::Invalid));
        match (&sender.token, over) {
            (Some(token), None) => {
                self.known.get_or_insert((address, Arc::clone(token)), Paid::default);
                Ok(())
            }
            (Some(token), Some(over)) => {
                self.known.get(&(address, Arc::clone(token))).map_or(Err(over), |_| Ok(()))
            }
            (None, Some(over)) if is_wrong => Err(over),
            (None, None) if is_wrong => {
                self.addresses.take(&address, Counted::Failures, now, 1);
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    fn room(&mut self, sender: &Sender, counted: Counted, now: u64) -> Result<(), Over> {
        let at = sender.address.and_then(|address| self.addresses.wait(&address, counted, now));
        let with = sender.token.as_ref().and_then(|token| self.tokens.wait(token, counted, now));
        let over = |wait, whose| Err(Over { limit: counted.into(), whose, wait });
        match (at, with) {
            (None, None) => Ok(()),
            (at, Some(wait)) if at.is_none_or(|at| at <= wait) => over(wait, Whose::Token),
            (Some(wait), _) => over(wait, Whose::Address),
            (None, Some(wait)) => over(wait, Whose::Token),
        }
    }

    fn take(&mut self, sender: &Sender, counted: Counted, now: u64, units: u64) {
        if let Some(address) = &sender.address {
            self.addresses.take(address, counted, now, units);
        }
        if let Some(token) = &sender.token {
            self.tokens.take(token, counted, now, units);
        }
    }
}

/// Clocks are corrected by a little all the time.
const CLOCK_JITTER_MS: u64 = 1_000;

/// A live reader's place among those of its token and its address, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    limiter: Arc<Limiter>,
    sender: Sender,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.limiter.held.lock();
        self.sender.address.iter().for_each(|address| held.readers_at.leave(address));
        self.sender.token.iter().for_each(|token| held.readers_with.leave(token));
    }
}

/// Whether a token may be tried of which nothing is known but what it claims to be.
pub(super) fn may_try(
    app: &App,
    extensions: &Extensions,
    claimed: impl FnOnce() -> Option<Arc<str>>,
) -> Result<(), Over> {
    let sender = Sender::of(extensions);
    let (Some(limiter), Some(address)) = (app.limiter(), sender.address) else { return Ok(()) };
    limiter.may_try(address, claimed, app.log().clock().now_ms())
}

/// Lets a request in, or says what it is over. Its body is counted from here on.
pub(super) async fn admit(app: &App, request: &mut Request) -> Result<(), Over> {
    let Some(limiter) = app.limiter() else { return Ok(()) };
    // Whoever looks whether the server is well gets to know it under any load.
    if matches!(request.uri().path(), paths::HEALTH | paths::READY) {
        return Ok(());
    }
    let sender = Sender::of(request.extensions());
    let access = access::of(request.extensions());
    let now_ms = app.log().clock().now_ms();
    limiter.request(&sender, &access, now_ms)?;
    if limiter.settings.counts_streams() {
        let target = begins::target(request.method(), request.uri());
        if is_new(app, &access, target).await {
            limiter.stream(&sender, now_ms)?;
        }
    }
    count_body(app, limiter, sender, request);
    Ok(())
}

/// A small body of known length is counted at once; what is larger or of any length as it comes.
fn count_body(app: &App, limiter: &Arc<Limiter>, sender: Sender, request: &mut Request) {
    let clock = app.log().clock();
    match request.body().size_hint().exact() {
        Some(0) => {}
        Some(bytes) if bytes <= limits::RATE_WHOLE_BYTES => {
            limiter.bytes(&sender, clock.now_ms(), usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        _ => {
            let (limiter, clock) = (Arc::clone(limiter), Arc::clone(clock));
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = paced::body(body, limiter, sender, clock);
        }
    }
}

/// Whether the stream that a request would begin is not there. Who may not write there is told so
/// by the handler, in the same words whether there is a stream or not.
async fn is_new(app: &App, access: &Access, target: begins::Target) -> bool {
    match target {
        begins::Target::None => false,
        begins::Target::New => !matches!(access, Access::Nobody(_)),
        begins::Target::Stream(path) => {
            access.may(Right::Write, path.as_str()) == Verdict::Yes
                && matches!(app.log().info(&path).await, Err(ReadError::NoStream(_)))
        }
    }
}

/// A place for a live reader, where places are counted.
pub(super) fn seat(
    app: &App,
    extensions: &Extensions,
) -> Result<Option<Place>, super::error::Fail> {
    let Some(limiter) = app.limiter() else { return Ok(None) };
    let place = limiter.reader(Sender::of(extensions));
    place.map(Some).map_err(|over| {
        app.log().metrics().limit(over.limit.into());
        over.fail(limiter)
    })
}

#[cfg(test)]
mod tests;
