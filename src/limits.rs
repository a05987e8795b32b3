//! Every bound and default of the service, each with its reason. A bound that is not here does
//! not exist; a queue without a bound here is a defect.

use std::{num::NonZero, time::Duration};

/// One event or record. Larger things belong in a file with a link to it: every reader gets a
/// record whole.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// A request body that is read whole. NDJSON bodies are streamed and have no such bound.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Of a body that is refused for its size, this much is taken in and thrown away.
pub const BODY_DRAINED_MAX: usize = 16 * 1024 * 1024;
/// Records in one atomic append: what one flush should carry at most.
pub const BATCH_RECORDS_MAX: usize = 10_000;
/// Bytes in one atomic append: well within one group commit.
pub const BATCH_BYTES_MAX: usize = 6 * 1024 * 1024;
/// NDJSON is appended in steps of this many records, so that a body of any length holds one
/// step in memory …
pub const NDJSON_STEP_RECORDS: usize = 1_000;
/// … or of this many bytes, whichever comes first.
pub const NDJSON_STEP_BYTES: usize = 512 * 1024;
/// A stream path, in bytes: it is a key of the index.
pub const PATH_BYTES_MAX: usize = 512;
/// An event id, in bytes. A ULID has 26, a UUID 36.
pub const EVENT_ID_BYTES_MAX: usize = 128;
/// A channel or type name, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Characters in which a refusal says what is wrong with a field: it says the wrong value back,
/// and that may be long.
pub const RULE_CHARS_MAX: usize = 240;
/// Nesting of JSON values; deeper ones break parsers of readers.
pub const JSON_DEPTH_MAX: usize = 100;
/// Largest offset: the largest integer every JSON reader keeps exact, 2^53 - 1.
pub const OFFSET_MAX: u64 = (1 << 53) - 1;

/// Payload bytes that may wait for the disk. At the bound a writer waits, then gets a 503.
pub const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a writer waits for room in the queue.
pub const QUEUE_WAIT_MAX: Duration = Duration::from_secs(5);
/// What a client is told to wait after a 503.
pub const RETRY_AFTER_SECS: u64 = 1;
/// How long the writer lets a group gather when the one before it was larger: those whom it has
/// just answered are about to write again, and a sync costs more than this wait.
pub const GATHER_MAX: Duration = Duration::from_micros(60);
/// One group commit: bounds the time of a flush and the memory of its encoding.
pub const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A journal segment, and with it one generation of the memtable. Larger ones make larger
/// blocks; smaller ones make recovery and memory smaller.
pub const JOURNAL_SEGMENT_BYTES: u64 = 32 * 1024 * 1024;
/// Generations that may wait for the compactor before writers have to wait: bounds memory and
/// the replay after a crash.
pub const GENERATIONS_MAX: usize = 3;
/// Segments kept for reuse: overwriting one costs the disk less than growing a file.
pub const SPARE_SEGMENTS_MAX: usize = 1;
/// A generation is compacted after this long although it is not full: it bounds the replay
/// after a kill, and lets retention give room back on a server with little to do.
pub const COMPACT_EVERY: Duration = Duration::from_secs(30);
/// Payload bytes of one block before compression: what a read of one record costs at most.
pub const BLOCK_BYTES: usize = 32 * 1024;
/// A stream's last block is rewritten with what follows it while it is smaller than this.
pub const BLOCK_MERGE_BELOW_BYTES: usize = 2 * 1024;
/// A block file takes no new round beyond this size; whole files are what retention gives back.
pub const BLOCK_FILE_BYTES: u64 = 128 * 1024 * 1024;
/// A sealed block file with less than this share of live bytes, in percent, is copied and removed.
pub const RECLAIM_BELOW_PERCENT: u64 = 60;
/// Runs in one frame of the commit order: what a read in commit order decodes at once.
pub const ORDER_RUNS_MAX: usize = 4_096;
/// How often a full disk is looked at again.
pub const FULL_RETRY_EVERY: Duration = Duration::from_secs(1);
/// Bytes copied out of a sparse block file in one round.
pub const RECLAIM_STEP_BYTES: usize = 4 * 1024 * 1024;
/// New files are begun only while the disk has this much room beyond them: the index must never
/// meet a full disk, because its database does not recover from one.
pub const DISK_HEADROOM_BYTES: u64 = 12 * 1024 * 1024;
/// Kept free for the compactor, so that a full disk can still give room back.
pub const RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// The index's page cache. It holds places, not payloads, so it is small.
pub const INDEX_CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// Entries of one index batch: larger ones stop readers for their length.
pub const INDEX_BATCH_ENTRIES: usize = 500;
/// Streams whose state the store keeps in memory though nothing of them waits for the compactor.
pub const STORE_STREAMS_CACHED: usize = 20_000;

/// A page of a catch-up read: records …
pub const PAGE_RECORDS: usize = 1_000;
/// … and payload bytes.
pub const PAGE_BYTES: usize = 256 * 1024;
/// Payload bytes of a live reader's page: a reader that is slow holds one such page encoded.
/// A read that ends at the tail has pages of [`PAGE_BYTES`], which is faster.
pub const LIVE_PAGE_BYTES: usize = 16 * 1024;
/// Pages kept in encoded form, so that many clients that come back to the same streams cost one
/// reading and one encoding. Well below what a server may use when idle.
pub const PAGE_CACHE_BYTES: usize = 48 * 1024 * 1024;
/// Pages kept in encoded form, however small they are.
pub const PAGES_CACHED_MAX: NonZero<usize> = NonZero::<usize>::MIN.saturating_add(16_383);
/// Events in one answer of `GET …/events`, unless asked for fewer.
pub const EVENTS_LIMIT_DEFAULT: usize = 100;
/// Events in one answer of `GET …/events`.
pub const EVENTS_LIMIT_MAX: usize = 1_000;
/// Payload bytes in one answer of `GET …/events`; the answer says that there is more.
pub const EVENTS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Records that one `GET …/events` looks at for its filters; the answer says that there is more.
pub const EVENTS_SCAN_MAX: usize = 20_000;
/// Records read at once where events are asked for newest first.
pub const EVENTS_BACK_STEP: u64 = 64;
/// Names in one filter of channels or types.
pub const FILTER_NAMES_MAX: usize = 64;
/// Streams in one listing.
pub const LIST_LIMIT_MAX: usize = 1_000;
/// Streams in one listing, unless asked for fewer.
pub const LIST_LIMIT_DEFAULT: usize = 100;

/// Streams the log keeps open without a reader or writer: what an idle one holds is small.
pub const OPEN_STREAMS_MAX: usize = 20_000;
/// Ids a stream remembers whatever their age, so that a retry after a long outage is noticed.
pub const IDS_MIN: usize = 1_024;
/// Ids younger than this are remembered beyond [`IDS_MIN`] …
pub const IDS_WINDOW: Duration = Duration::from_secs(600);
/// … up to this many, some 100 bytes each.
pub const IDS_MAX: usize = 16_384;
/// Streams that a fork reads from: a read finds its place among them.
pub const FORK_DEPTH_MAX: usize = 64;
/// Forks of one stream: each is noted beside it.
pub const FORKS_MAX: usize = 1_000;
/// Producers of one stream; each is some 50 bytes beside the stream for as long as it exists.
pub const PRODUCERS_MAX: usize = 1_000;
/// Name of a producer, in bytes: it is a key beside the stream.
pub const PRODUCER_ID_BYTES_MAX: usize = 256;
/// A writer's own sequence, in bytes.
pub const SEQ_BYTES_MAX: usize = 256;
/// Times an append is decided again after a conflict before it gives up.
pub const DECIDE_AGAIN_MAX: usize = 16;

/// How long records are kept unless told otherwise.
pub const RETENTION_DEFAULT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Shortest retention that may be asked for.
pub const RETENTION_MIN: Duration = Duration::from_secs(1);
/// How often the sweeper looks for what is due.
pub const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Streams swept in one step, so that writers never wait for it long.
pub const SWEEP_STEP_STREAMS: usize = 256;

/// Records of one page of the protocol …
pub const PROTOCOL_PAGE_RECORDS: usize = 10_000;
/// … and payload bytes: fewer requests than live pages, and still little for one reader.
pub const PROTOCOL_PAGE_BYTES: usize = 1024 * 1024;
/// How long a long-poll waits: less than proxies do.
pub const LONG_POLL_WAIT: Duration = Duration::from_secs(25);
/// A server-sent read of the protocol ends after this long, so that proxies can collapse readers
/// (protocol, section 5.7); clients connect again from where they were.
pub const PROTOCOL_SSE_LASTS: Duration = Duration::from_secs(60);

/// Open live readers of the server.
pub const LIVE_READERS_MAX: usize = 20_000;
/// Open connections of the server.
pub const CONNECTIONS_MAX: usize = 25_000;
/// A quiet line gets a heartbeat this often.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// All headers of a request, in bytes.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Time for a request's headers to arrive, and for which an idle connection stays open.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for the next piece of a request's body to arrive.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Stopping: time for live reads to end …
pub const STOP_READERS_WITHIN: Duration = Duration::from_secs(5);
/// … for queued appends to be flushed …
pub const STOP_WRITERS_WITHIN: Duration = Duration::from_secs(10);
/// … and for the store to be compacted and closed.
pub const STOP_STORE_WITHIN: Duration = Duration::from_secs(30);

/// Messages of a session that wait for their turn: well beyond what people send while an answer
/// is written, and few enough to take back in one append when the session ends.
pub const QUEUED_MESSAGES_MAX: usize = 2_000;
/// Bytes of them: every snapshot of the session carries them.
pub const QUEUED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Messages sent last that a session remembers, so that a retry is answered as the first try was.
pub const SENT_REMEMBERED: usize = 512;
/// Turns that ended last and are remembered with their ends, for the same reason.
pub const TURNS_REMEMBERED: usize = 64;
/// Permissions that wait for an answer; beyond them the oldest is forgotten.
pub const PERMISSIONS_PENDING_MAX: usize = 256;
/// Permissions answered last that are remembered, so that they do not come back.
pub const PERMISSIONS_ANSWERED_MAX: usize = 64;
