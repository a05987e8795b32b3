//! Bounds of tokens, and of those who hold them.

use std::{num::NonZero, time::Duration};

/// Tokens of a server: the file of them is read whole, and looked at twice a second.
pub const TOKENS_MAX: usize = 10_000;
/// Bytes of that file, so that a wrong one is not read into memory whole.
pub const TOKENS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Scopes of one token: each request may go through all of them.
pub const SCOPES_MAX: usize = 64;
/// A token is listed for so long after its end, then the next change takes it off the list.
pub const TOKEN_KEPT_AFTER_END: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often the files of tokens and keys are looked at: what is revoked ends within it.
pub const TOKENS_LOOK_EVERY: Duration = Duration::from_millis(500);
/// A token as it is presented, in bytes: a JSON Web Token with many scopes has two thousand.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Keys in a set of them: a token without a `kid` is tried with each.
pub const JWT_KEYS_MAX: usize = 16;
/// Bytes of a file of keys.
pub const JWT_KEY_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// A secret that signs tokens, in bytes: as long as the digest (RFC 7518, section 3.2).
pub const JWT_SECRET_BYTES_MIN: usize = 32;
/// Id of the actor that a token stands for, in bytes: subjects of `OpenID` Connect have at most 255.
pub const ACTOR_ID_BYTES_MAX: usize = 256;
/// The `jti` of a JSON Web Token, in bytes: issuers write a random number or a UUID. What could not be
/// listed could not be revoked, and opens nothing.
pub const JTI_BYTES_MAX: usize = 256;
/// JSON Web Tokens that are revoked, in the file of tokens: one that is read whole, and often.
pub const JWT_REVOKED_MAX: usize = 10_000;
/// How far the clocks of an issuer of tokens and of this server may be apart.
pub const JWT_LEEWAY: Duration = Duration::from_secs(30);
/// JSON Web Tokens whose signatures were checked and are remembered, some kilobyte each at most.
pub const JWT_CHECKED_MAX: NonZero<usize> = NonZero::<usize>::MIN.saturating_add(9_999);

/// How long it is taken for granted for reads that a session still belongs to a worker that just
/// asked for it: one that moves to another worker is closed to the first one after that, reads that
/// are open among it. Each look costs reading what all sessions have had since the last one.
pub const OWNER_KNOWN_FOR: Duration = Duration::from_secs(1);
/// Sessions of which that is remembered: the ones that workers are busy in at one moment.
pub const OWNERS_KNOWN_MAX: NonZero<usize> = NonZero::<usize>::MIN.saturating_add(4_095);
/// How long a live read waits at most before it looks at the clock whether its token has expired:
/// the clock may be set meanwhile.
pub const EXPIRY_LOOK_EVERY: Duration = Duration::from_secs(30);
/// Streams that one listing looks at for a token that may read few of them: what takes a second.
pub const LIST_LOOKED_AT_MAX: usize = 50_000;
/// Records that live reads of many streams look at without sending them, before they pause: who may
/// read few streams comes by all of them. What was there before a read began counts for its token,
/// or its address, however often it comes again …
pub const ORDER_PASSED_OVER_MAX: usize = 20_000;
/// … and how long it pauses. That makes 200,000 in a second, twice what is ever appended, so that
/// such a reader keeps up.
pub const ORDER_PAUSE: Duration = Duration::from_millis(100);
/// Records that such a read lies behind at most without waiting for its turn: two pages, which is
/// where whoever keeps up is …
pub const ORDER_FAR: u64 = 2_000;
/// … and pages that are read at once for those who lie further behind: a quarter of
/// [`super::BLOCKING_THREADS_MAX`], so that other reads find a thread …
pub const ORDER_READS_AT_ONCE: usize = 4;
/// … and how long one waits for its turn before it reads without: who has the turns then has a
/// client that takes nothing, and such a client keeps no others from reading.
pub const ORDER_TURN_WAIT: Duration = Duration::from_secs(5);

/// Requests of one token, or one address, in a second: many times what people cause, and a small
/// part of what a server can do, so that no one of them takes it all.
pub const RATE_REQUESTS_PER_SECOND: u64 = 2_000;
/// Bytes of request bodies of one token, or one address, in a second: less than a disk writes.
pub const RATE_BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;
/// What of both comes together in this time may be had at once: pages load in bursts, and
/// producers catch up after they were away.
pub const RATE_BURST: Duration = Duration::from_secs(5);
/// Live reads of one token, or one address, that are open at a time: a tenth of the server's.
pub const RATE_LIVE_READERS: u64 = 2_000;
/// When somebody with that many open is told to come again: nobody knows when one ends.
pub const RATE_READERS_WAIT: Duration = Duration::from_secs(5);
/// Streams that one token, or one address, begins in an hour: each is an entry in the index for as
/// long as its records are kept …
pub const RATE_STREAMS_PER_HOUR: u64 = 20_000;
/// … of which those of this time may be had at once.
pub const RATE_STREAMS_BURST: Duration = Duration::from_secs(900);
/// Wrong tokens from one address in a minute: people mistype, programs go on with what has expired,
/// and whoever guesses needs many times that …
pub const RATE_FAILED_AUTH_PER_MINUTE: u64 = 60;
/// … of which those of this time may come at once.
pub const RATE_FAILED_AUTH_BURST: Duration = Duration::from_secs(30);
/// Connections of one address that are open at a time: a tenth of the server's, and some beside
/// its live reads, each of which has one over HTTP/1.1. Where the system gives the server few file
/// handles it is half of the connections at the most.
pub const RATE_CONNECTIONS: u64 = 2_500;
/// Refusals of one token, or one address, in a second, before further ones are slow: who waits as
/// long as it is told to sees few, and those who do not would have the server refuse all day …
pub const RATE_REFUSALS_PER_SECOND: u64 = 20;
/// … and how long such an answer takes: a connection gets one in this time.
pub const RATE_REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// Addresses, tokens, pairs of both, and readers in commit order, that are remembered, some 150
/// bytes each: 40 MiB where an attacker fills all four.
pub const RATE_KEYS_MAX: NonZero<usize> = NonZero::<usize>::MIN.saturating_add(65_535);
/// A body of known length up to this is counted whole, and not as it comes.
pub const RATE_WHOLE_BYTES: u64 = 64 * 1024;
/// How long the next piece of a body waits at most for its sender to be within its rate. It is
/// well below [`super::BODY_IDLE_TIMEOUT`], which would otherwise take the body for dead.
pub const RATE_BODY_WAIT_MAX: Duration = Duration::from_secs(10);
