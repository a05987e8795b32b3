//! Bounds of connections, and of what comes and goes over them.

use std::time::Duration;

/// Open live readers of the server.
pub const LIVE_READERS_MAX: usize = 20_000;
/// Open connections of the server.
pub const CONNECTIONS_MAX: usize = 25_000;
/// Connections that wait in the system's queue to be accepted: what comes in while the server is
/// busy for a moment, or at its bound.
pub const CONNECTIONS_WAITING: u32 = 1_024;
/// Requests of one connection of HTTP/1.1 that are answered in one turn, before others get theirs:
/// those who send them behind each other without waiting gain nothing more from a longer one.
pub const CONNECTION_TURN_REQUESTS: u32 = 4;
/// A quiet line gets a heartbeat this often.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// File handles left to the store where the system gives a process few: so many fewer connections.
pub const HANDLES_KEPT: usize = 256;
/// All headers of a request, in bytes.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Headers of a request over HTTP/1.1. It is what hyper reads without an allocation; setting its
/// own limit would cost one for each request.
pub const HEADERS_MAX: usize = 100;
/// Time for a request's headers to arrive, and for which an idle connection stays open.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection that brought no HTTP keeps its place for so long after it was refused: whoever
/// opens one after the other has as many refusals a second as connections, and not thousands.
pub const RUBBISH_HELD: Duration = Duration::from_secs(1);
/// Time for the next piece of a request's body to arrive.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of all request bodies that have begun and not ended, and come in more than one piece: a
/// small part of a server's memory, and 256 of the largest bodies at a time.
pub const BODIES_BYTES_MAX: usize = 256 * 1024 * 1024;
/// A body has to come at a pace: this is how long it may be behind it …
pub const BODY_BEHIND_MAX: Duration = Duration::from_secs(60);
/// … this is what each byte of a body of one piece buys (some 1,000 bytes a second have to come) …
pub const BODY_BYTE_BUYS: Duration = Duration::from_millis(1);
/// … and this what one of NDJSON does: a small event each 30 s, by which a writer who waits for
/// what it writes keeps its place, is enough; single bytes are not.
pub const NDJSON_BYTE_BUYS: Duration = Duration::from_secs(2);
/// Time for a whole body that is not NDJSON.
pub const BODY_WITHIN: Duration = Duration::from_secs(300);
/// What the system holds of a connection beyond what it has sent. With the system's own bound,
/// megabytes on a fast line, it tells so rarely that room is free that a slow reader looks like one
/// who takes nothing, and a stuck one costs its memory.
pub const SOCKET_UNSENT_BYTES: u32 = 128 * 1024;
/// A client that takes nothing of what is sent to it for this long is gone: heartbeats that it
/// missed are eight.
pub const WRITE_STALLED: Duration = Duration::from_secs(120);
/// While more waits than it takes, this time runs down, and this is what each byte that it takes
/// buys of it: at 200 bytes a second a place is kept, which a phone at the edge of its network
/// takes several times over, and a few bytes now and then keep none.
pub const WRITE_BYTE_BUYS: Duration = Duration::from_millis(5);
/// Time for a TLS handshake.
pub const TLS_HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether the certificate has changed.
pub const CERTIFICATE_LOOK_EVERY: Duration = Duration::from_secs(5);
/// A file of certificates or a key, in bytes; chains have some thousand.
pub const PEM_BYTES_MAX: u64 = 1024 * 1024;
/// Requests under way on one connection of HTTP/2: the live reads of a page with all its sessions.
pub const HTTP2_STREAMS_MAX: u32 = 256;
/// What a client may send on one stream of HTTP/2 before it is read …
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// … and on all streams of a connection, which is what a connection holds of requests at most.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What waits to be sent on one stream of HTTP/2, beside the piece that came last.
pub const HTTP2_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Pieces in which answers over HTTP/2 are handed on: a frame's worth, so that something is seen to
/// be taken of a large one, and no more than this is handed on beyond what there is room for.
pub const HTTP2_PIECE_BYTES: usize = 16 * 1024;
/// Streams that a client began and reset at once, and that are not looked at yet; one with more of
/// them attacks (CVE-2023-44487) and is disconnected …
pub const HTTP2_RESETS_PENDING_MAX: usize = 20;
/// … as is one that makes us reset this many.
pub const HTTP2_RESETS_OURS_MAX: usize = 128;
/// A connection of HTTP/2 is asked this often whether it is alive …
pub const HTTP2_PING_EVERY: Duration = Duration::from_secs(30);
/// … and has so long to answer.
pub const HTTP2_PING_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked whether anything happens on a connection of HTTP/2. One without requests
/// ends after one quiet look, one on which nothing at all is taken of open answers after two.
pub const HTTP2_LOOK_EVERY: Duration = HEADER_TIMEOUT;
/// Time for such a connection to end with a word.
pub const HTTP2_GOODBYE_WITHIN: Duration = Duration::from_secs(5);
