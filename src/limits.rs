//! Every bound and default of the service, each with its reason. A bound that is not here does
//! not exist; a queue without a bound here is a defect.

use std::{num::NonZero, time::Duration};

pub use self::{access::*, connections::*};

mod access;
mod connections;

/// Threads that wait for the disk, for names and for long work on states. What reads are found by
/// and decoded to stays with the thread that did it: hundreds of them took 1.7 GB and the processor
/// from writers. Who holds one for long has a bound, and leaves others a third of them at the
/// least: [`WEBHOOK_LOOKUPS_AT_ONCE`], [`REPLAYS_AT_ONCE`], [`BACKUPS_MAX`]. The rest waits in order.
pub const BLOCKING_THREADS_MAX: usize = 16;
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
/// An id that a client gives its request, in bytes: it stands in every line about it.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// Largest offset: the largest integer every JSON reader keeps exact, 2^53 - 1.
pub const OFFSET_MAX: u64 = (1 << 53) - 1;
/// Largest first offset of a stream that takes the place of another: half of all offsets are left
/// for what follows.
pub const FIRST_OFFSET_MAX: u64 = OFFSET_MAX / 2;

/// How long the last spans may take on their way to the collector, and any others: one that does
/// not answer keeps no server from stopping.
pub const STOP_TRACES_WITHIN: Duration = Duration::from_secs(3);
/// Entries in each list of `GET /debug`: the head is what shows where the load comes from.
pub const DEBUG_ENTRIES_MAX: usize = 20;
/// A flush that takes this long is told in the log: writers wait for it, and few disks need it.
pub const SLOW_FLUSH: Duration = Duration::from_secs(1);
/// How often the disk is looked at for its free room: with 100 MB a second written meanwhile, the
/// low-water mark leaves time to see it.
pub const DISK_LOOK_EVERY: Duration = Duration::from_secs(5);
/// The files of the data folder are added up at one look in so many: there may be thousands.
pub const DATA_LOOK_ONE_IN: u32 = 12;
/// Below so many free bytes a server says that it is not ready, unless told otherwise: time for
/// somebody to make room before the disk is full.
pub const LOW_WATER_BYTES: u64 = 256 * 1024 * 1024;

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
/// Blocks that a read in commit order holds while it goes from stream to stream: 4 MiB at most.
pub const ORDER_BLOCKS_KEPT: usize = 128;
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
/// Bytes of one part of a backup, about: what it holds in memory at a time.
pub const BACKUP_PART_BYTES: usize = 1024 * 1024;
/// A part that claims more is damage. It holds whole frames of the store, and those have a bound of
/// 64 MiB, which a commit of a full group stays far below.
pub const BACKUP_PART_BYTES_MAX: usize = 66 * 1024 * 1024;
/// Backups at a time. Each holds on to files that were replaced since it began.
pub const BACKUPS_MAX: usize = 1;
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
/// reading and one encoding. Well below what a server may use when idle, and 48 of the largest
/// pages: a page of [`PROTOCOL_PAGE_BYTES`] costs what 64 of [`LIVE_PAGE_BYTES`] cost, and saves
/// as much reading as they do, so large ones need no bound of their own.
pub const PAGE_CACHE_BYTES: usize = 48 * 1024 * 1024;
/// Pages kept in encoded form, however small they are.
pub const PAGES_CACHED_MAX: NonZero<usize> = NonZero::<usize>::MIN.saturating_add(16_383);
/// Newest pages of all streams together, kept for those that wait at a tail: they ask within
/// milliseconds of an append, so room for some of the largest bodies is enough.
pub const NEWEST_CACHE_BYTES: usize = 16 * 1024 * 1024;
/// Streams whose newest page is kept, however small it is: its records hold on to the bodies
/// they came with.
pub const NEWEST_CACHED_MAX: NonZero<usize> = NonZero::<usize>::MIN.saturating_add(4_095);
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
/// Messages, tool calls and the like in one answer, unless asked for fewer …
pub const ITEMS_LIMIT_DEFAULT: usize = 100;
/// … and at most: the page that chat clients ask for (mission, E4).
pub const ITEMS_LIMIT_MAX: usize = 400;
/// Events that one question for the event that set a value folds again: some seconds of work …
pub const BLAME_EVENTS_MAX: u64 = 100_000;
/// … and bytes that it compares, for the value is looked at after each of them.
pub const BLAME_BYTES_MAX: u64 = 256 * 1024 * 1024;
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
/// Changed streams that are remembered one by one for subscriptions; beyond it all are looked at.
pub const TOUCHED_MAX: usize = 10_000;
/// Forks that were made and streams that went, as far as they are remembered one by one for the
/// list of sessions; beyond it all are looked at.
pub const ROLL_TOLD_MAX: usize = 4_096;
/// Times an append is decided again after a conflict before it gives up.
pub const DECIDE_AGAIN_MAX: usize = 16;
/// Times a command is decided again after others were first. Commands of one server stand in line,
/// so that only raw appends get between; each time waits for a flush, so this is seconds of it.
pub const COMMAND_TRIES_MAX: usize = 64;

/// States of streams in memory, beside those that a reader is attached to (mission, E8) …
pub const VIEWS_MAX: usize = 30;
/// … and how long one is kept that nobody looks at.
pub const VIEWS_IDLE: Duration = Duration::from_secs(20 * 60);
/// States that are kept for the readers that are attached to them; more are kept as others are …
pub const VIEWS_PINNED_MAX: usize = 1_000;
/// … and their bytes together, so that they leave a small server most of its memory.
pub const VIEWS_PINNED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Records that are folded in a moment, some milliseconds …
pub const REPLAY_LONG: u64 = 10_000;
/// … and how many states at once are folded over more than that, or compared: reading for them
/// would leave others too little of the disk and of the processor.
pub const REPLAYS_AT_ONCE: usize = 4;
/// Bytes of a state from which on it is written, packed or hashed on a thread for that: less takes
/// less than a millisecond.
pub const ASIDE_BYTES: usize = 256 * 1024;
/// How often states that nobody looks at are looked for.
pub const VIEWS_LOOK_EVERY: Duration = Duration::from_secs(60);
/// A state is saved after so many records, or a tenth of its stream: what opening costs at most.
pub const CHECKPOINT_EVERY: u64 = 1_000;
/// … but not again within this time, which bounds what saving costs a stream in a rush. What came
/// in meanwhile is folded in less than a second.
pub const CHECKPOINT_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Characters of a value that `scrollback verify` shows where a checkpoint differs.
pub const EXCERPT_CHARS_MAX: usize = 120;
/// Bytes of a checkpoint that are saved in one write, well below [`GROUP_BYTES_MAX`].
pub const CHECKPOINT_PART_BYTES: usize = 2 * 1024 * 1024;
/// A user who sends no heartbeat for this long has left: three of them were missed (mission, A10).
pub const PRESENCE_LASTS: Duration = Duration::from_secs(30);
/// How often it is looked who is gone.
pub const PRESENCE_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Users who leave in one look, so that others wait for none.
pub const PRESENCE_LEFT_AT_ONCE: usize = 1_000;
/// Times a page of the list is made anew where streams in it were deleted as such.
pub const LIST_TRIES_MAX: usize = 8;
/// Recent sessions that a trimmed list can be asked to keep.
pub const SESSIONS_KEPT_MAX: usize = 10_000;
/// How often a state over all streams is caught up where nobody asks for it.
pub const ORDER_VIEW_EVERY: Duration = Duration::from_millis(200);
/// Records that one looks at in a moment; where more come in than that, whoever can waits.
pub const ORDER_NEAR: u64 = 20_000;
/// The list of sessions is saved at most this often before records go.
pub const ORDER_SAVED_WITHIN: Duration = Duration::from_secs(20);
/// Records after which it is saved: what a restart folds at most.
pub const ORDER_CHECKPOINT_EVERY: u64 = 50_000;
/// Subscriptions of a server: each is looked at for every stream that changes.
pub const SUBSCRIPTIONS_MAX: usize = 1_000;
/// Name of a subscription, in bytes: it is a part of a path.
pub const SUBSCRIPTION_ID_BYTES_MAX: usize = 128;
/// Streams that a subscription follows …
pub const SUBSCRIPTION_LINKS_MAX: usize = 20_000;
/// … and the bytes of their paths: both together fit in one atomic append.
pub const SUBSCRIPTION_LINK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Links in one record of a subscription's stream, well below [`RECORD_BYTES_MAX`] with the
/// longest of paths.
pub const LINKS_IN_RECORD: usize = 200;
/// Text that describes a subscription, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 1_024;
/// Name of a worker, in bytes.
pub const WORKER_BYTES_MAX: usize = 128;
/// Streams with pending records that one wake names, those that are left come with the next …
pub const WAKE_STREAMS_MAX: usize = 1_000;
/// … and the bytes of their paths.
pub const WAKE_PATH_BYTES_MAX: usize = 128 * 1024;
/// A subscription's stream is begun anew with a checkpoint after this many bytes of records, or
/// after as many as the checkpoint itself has.
pub const SUBSCRIPTION_CHECKPOINT_BYTES: usize = 256 * 1024;
/// A worker's lease, unless asked for otherwise (protocol, section 6.2) …
pub const LEASE_DEFAULT: Duration = Duration::from_secs(30);
/// … at least …
pub const LEASE_MIN: Duration = Duration::from_secs(1);
/// … and at most.
pub const LEASE_MAX: Duration = Duration::from_secs(600);
/// A wake that was not delivered is tried again after this long (protocol, section 7.1) …
pub const WAKE_RETRY_FIRST: Duration = Duration::from_secs(1);
/// … then twice as long each time, up to this.
pub const WAKE_RETRY_MAX: Duration = Duration::from_secs(60);
/// Streams with nothing to do that a worker is told of beside those that have.
pub const WAKE_OTHERS_MAX: usize = 100;
/// A wake that nobody claims is written to its wake stream again after its lease, then twice as
/// long each time, up to this: who read it may be gone, or the record itself.
pub const WAKE_AGAIN_MAX: Duration = Duration::from_secs(3600);
/// Subscriptions that take in changes, or record, at the same time: they share flushes.
pub const SUBSCRIPTIONS_AT_ONCE: usize = 64;
/// Address of a webhook, in bytes.
pub const WEBHOOK_URL_BYTES_MAX: usize = 2_048;
/// What is read of a webhook's answer.
pub const WEBHOOK_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Time for a connection to a webhook to come about.
pub const WEBHOOK_CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Names of webhooks that are looked up at once: each takes a thread of [`BLOCKING_THREADS_MAX`],
/// for as long as the resolver of the system likes to wait for one that does not answer.
pub const WEBHOOK_LOOKUPS_AT_ONCE: usize = 4;
/// How long subscriptions wait after the log has refused a record of theirs.
pub const SUBSCRIPTION_PAUSE: Duration = Duration::from_secs(1);

/// How long records are kept unless told otherwise.
pub const RETENTION_DEFAULT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Shortest retention that may be asked for.
pub const RETENTION_MIN: Duration = Duration::from_secs(1);
/// How often the sweeper looks for what is due.
pub const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How often it looks whether a deleted stream still has forks. They tell it themselves when they
/// go; this is for what a crash kept them from telling.
pub const HIDDEN_LOOK_EVERY: Duration = Duration::from_secs(3_600);
/// Streams swept in one step, so that writers never wait for it long.
pub const SWEEP_STEP_STREAMS: usize = 256;

/// Records of one page of the protocol …
pub const PROTOCOL_PAGE_RECORDS: usize = 10_000;
/// … and payload bytes: fewer requests than live pages, and still little for one reader.
pub const PROTOCOL_PAGE_BYTES: usize = 1024 * 1024;
/// One answer of the protocol to a reader that does not wait: written page by page, up to about
/// so many bytes …
pub const CATCH_UP_BYTES: usize = 64 * 1024 * 1024;
/// … and so many records, so that a client that has to begin anew does not begin from nothing.
pub const CATCH_UP_RECORDS: usize = 1_000_000;
/// Streams with a damaged place that answers have come to; a store has few, or worse troubles.
pub const DAMAGED_KNOWN_MAX: NonZero<usize> = NonZero::<usize>::MIN.saturating_add(999);
/// How long a long-poll waits: less than proxies do.
pub const LONG_POLL_WAIT: Duration = Duration::from_secs(25);
/// A server-sent read of the protocol ends after this long, so that proxies can collapse readers
/// (protocol, section 5.7); clients connect again from where they were.
pub const PROTOCOL_SSE_LASTS: Duration = Duration::from_secs(60);

/// A query, in bytes, as it came: the longest lists of names are a tenth of it.
pub const QUERY_BYTES_MAX: usize = 16 * 1024;
/// Parameters of a query; no route knows more than a dozen.
pub const QUERY_PARAMS_MAX: usize = 64;

/// Stopping: time for live reads to end …
pub const STOP_READERS_WITHIN: Duration = Duration::from_secs(5);
/// … for queued appends to be flushed …
pub const STOP_WRITERS_WITHIN: Duration = Duration::from_secs(10);
/// … and for the store to be compacted and closed.
pub const STOP_STORE_WITHIN: Duration = Duration::from_secs(30);

/// Lines of one terminal that its view keeps: what people scroll back; the log has the rest …
pub const TERMINAL_LINES_MAX: usize = 1_000;
/// … and their bytes, for lines may be of any length.
pub const TERMINAL_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one of these lines, so that a progress bar, which writes over itself for minutes, does
/// not take the room of all others.
pub const TERMINAL_LINE_BYTES_MAX: usize = 16 * 1024;
/// Inputs that the terminal's history keeps: what people go back through with an arrow key …
pub const TERMINAL_INPUTS_MAX: usize = 50;
/// … each up to this many bytes: a history is not for what was pasted.
pub const TERMINAL_INPUT_BYTES_MAX: usize = 4 * 1024;
/// Terminals in view; beyond it the one that was quiet for longest goes.
pub const TERMINALS_MAX: usize = 16;
/// Steps of one agent in view: the last ones say what it is about.
pub const AGENT_STEPS_MAX: usize = 50;
/// Agents in view; beyond it the one that was quiet for longest goes.
pub const AGENTS_MAX: usize = 256;
/// Users in view; beyond it the one not heard of for longest goes.
pub const PRESENT_USERS_MAX: usize = 1_000;
/// Workers in view; beyond it the one not heard of for longest goes.
pub const ONLINE_WORKERS_MAX: usize = 256;
/// Providers, and rules, in view; beyond it the one that was unchanged for longest goes.
pub const CONFIG_ENTRIES_MAX: usize = 1_000;
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
