//! The document of streams as such, and of their events: append, read, follow.

use serde_json::json;
use utoipa::openapi::HttpMethod::{Delete, Get, Post, Put};

use super::{
    operation::{Op, Said, query},
    parameters::{append, filters, from_offset, from_timestamp, last_event_id, live, projections},
    problems::{APPEND, BODY, EVENTS, HIDDEN, JSON, LIVE, PATH, PLACE, QUERY, STREAM, WRITE},
    schemas::{self, count, either, flag, form, line, number, offset, text, whole, words},
};
use crate::{
    limits,
    wire::{
        self,
        bodies::{
            AppendAnswer, BatchAnswer, CreateStream, EventsAnswer, NdjsonAnswer, OffsetAnswer,
            StreamBody, StreamsAnswer,
        },
        code::Code,
        paths,
    },
};

pub(super) const TAG: &str = "streams";
pub(super) const ABOUT: &str = "Streams, and the events in them. A session is the stream \
    `sessions/{id}`; what is said of events of a session holds for any stream of JSON.";

pub(super) fn operations() -> Vec<Op> {
    let mut all = streams();
    all.push(message());
    for (path, id, of) in [
        (paths::SESSION_EVENTS, "appendToSession", "a session"),
        (paths::EVENTS, "appendToStream", "a stream"),
    ] {
        all.push(appends(path, id, of));
    }
    all.push(page(paths::SESSION_EVENTS, "readSession", "Events of a session"));
    all.push(page(paths::EVENTS, "readStream", "Events of a stream"));
    all.push(follow(paths::SESSION_STREAM, "followSession", "Events of a session as they come"));
    all.push(follow(paths::FOLLOW, "followStream", "Events of a stream as they come"));
    all.extend(several());
    all
}

fn streams() -> Vec<Op> {
    let prefix = || text(0, limits::PATH_BYTES_MAX);
    let limit = count(1, limits::LIST_LIMIT_MAX, limits::LIST_LIMIT_DEFAULT);
    let body = json!({ "retentionSeconds": 604_800 });
    vec![
        Op::new(Get, paths::STREAMS, "listStreams", "Streams in path order")
            .takes([
                query("prefix", prefix(), "What their paths begin with.")
                    .example(Some("sessions/".into())),
                query("cursor", prefix(), "The one that came with the page before."),
                query("limit", limit, "Streams at most."),
            ])
            .answers::<StreamsAnswer>(200, "A page of them.")
            .fails(&[QUERY, &[Code::Unavailable]]),
        Op::new(Put, paths::STREAM, "createStream", "Create a stream")
            .named("path", "agents/coder")
            .body::<CreateStream>(body)
            .or_no_body()
            .answers::<StreamBody>(201, "It was created.")
            .answers::<StreamBody>(200, "It was there, made in the same way.")
            .fails(&[HIDDEN, PATH, BODY, JSON, WRITE])
            .fails(&[&[Code::InvalidBody, Code::StreamExists, Code::StreamGone]]),
        Op::new(Get, paths::STREAM, "showStream", "A stream as it stands")
            .answers::<StreamBody>(200, "The stream.")
            .fails(&[STREAM]),
        Op::new(Delete, paths::STREAM, "deleteStream", "Delete a stream with all it holds")
            .named("path", "agents/old")
            .answers::<OffsetAnswer>(200, "It is gone; `offset` is its last.")
            .fails(&[STREAM, WRITE]),
        Op::new(Post, paths::CLOSE, "closeStream", "Close a stream for good")
            .named("path", "agents/old")
            .answers::<OffsetAnswer>(200, "It takes no more records; `offset` is its last.")
            .fails(&[STREAM, WRITE]),
    ]
}

fn message() -> Op {
    let event = json!({ "channel": "message", "data": { "text": "hello" } });
    let id = form(r"^[^/\u0000-\u001f\u007f-\u009f]+$");
    Op::new(Post, paths::STREAMS, "appendMessage", "Append one message to a session")
        .says(
            "`data` must be an object. `data.id` and `data.timestamp` are filled in where \
            they are missing.",
        )
        .takes([query("sessionId", id, "The session.")
            .required(utoipa::openapi::Required::True)
            .example(Some("demo".into()))])
        .takes(append())
        .body_in(wire::JSON, schemas::named("NewEvent"), "message", event)
        .answers::<AppendAnswer>(200, "It is on the disk.")
        .fails(&[HIDDEN, QUERY, PATH, BODY, JSON, APPEND, WRITE])
        .fails(&[&[Code::OffsetMismatch, Code::InvalidEvent]])
}

fn appends(path: &'static str, id: &'static str, of: &str) -> Op {
    let one = json!({ "id": "e1", "channel": "todo", "type": "todo.added", "data": { "id": "e1", "text": "write the docs" } });
    let two =
        json!([{ "id": "a1", "channel": "note" }, { "id": "a2", "channel": "note", "data": 2 }]);
    let lines = "{\"channel\":\"note\",\"data\":1}\n{\"channel\":\"note\",\"data\":2}\n";
    let event = schemas::named("NewEvent");
    let many = utoipa::openapi::ArrayBuilder::new()
        .items(event.clone())
        .min_items(Some(1))
        .max_items(Some(limits::BATCH_RECORDS_MAX));
    let body = utoipa::openapi::RefOr::T(either([event, utoipa::openapi::RefOr::T(many.into())]));
    let answers = either([
        schemas::of::<AppendAnswer>(),
        schemas::of::<BatchAnswer>(),
        schemas::of::<NdjsonAnswer>(),
    ]);
    Op::new(Post, path, id, "Append events")
        .says(format!(
            "Appends to {of}, which begins with its first event. One event, an array (one atomic \
             step) or NDJSON (steps, while it comes in). An event whose `id` the stream knows is \
             not written again."
        ))
        .takes(append())
        .body_in(wire::JSON, body.clone(), "one", one)
        .body_in(wire::JSON, body, "many", two)
        .body_in(wire::NDJSON, schemas::bare(utoipa::openapi::Type::String), "lines", lines.into())
        .answers_in(
            200,
            wire::JSON,
            answers,
            "They are on the disk. The form is that of the \
            body: for one event, for an array, for NDJSON.",
        )
        .fails(&[HIDDEN, QUERY, PATH, BODY, JSON, APPEND, WRITE])
        .fails(&[&[Code::OffsetMismatch, Code::InvalidEvent, Code::EmptyBatch]])
}

fn page(path: &'static str, id: &'static str, summary: &'static str) -> Op {
    let limit = count(1, limits::EVENTS_LIMIT_MAX, limits::EVENTS_LIMIT_DEFAULT);
    Op::new(Get, path, id, summary)
        .says(
            "Bounded in events, in bytes and, with filters, in records looked at: `hasMore` \
            says whether there is more, and `nextOffset` where.",
        )
        .takes([
            from_offset("Oldest first: what follows this place. Newest first: what lies up to it.")
                .example(Some(1.into())),
            from_timestamp(),
            query("limit", limit, "Events at most.").example(Some(10.into())),
            query("order", words(&["asc", "desc"]), "Oldest or newest first; `asc` unless given."),
        ])
        .takes(filters())
        .answers::<EventsAnswer>(200, "A page of events.")
        .fails(&[STREAM, QUERY, PLACE, EVENTS])
}

const EPOCH: Said =
    ("Scrollback-Epoch", "Given to the stream at its creation: one made anew has another.", line);

fn follow(path: &'static str, id: &'static str, summary: &'static str) -> Op {
    let from = either([offset().into(), words(&["now"]).into()]);
    let epoch = query("epoch", line(), "The one the client knows; another one is a `reset`.");
    Op::new(Get, path, id, summary)
        .says(
            "Server-sent events. Each event of the stream is unnamed, with its offset as `id`. Named \
             events are about the stream: `snapshot`, `caught-up`, `heartbeat` (every 15 s), \
             `reset`, `end`; their data is in `docs/http-api.md`.",
        )
        .takes([
            query("fromOffset", from, "Begins behind it; `now` is the tail.")
                .example(Some(1.into())),
            from_timestamp(),
            query("limit", whole(1, u64::MAX), "Ends after so many events."),
            live(),
            query("snapshot", flag(false), "`true` begins with the state and goes on after it."),
            projections(),
            epoch,
            last_event_id(offset(), "What was seen last. It wins over `fromOffset`."),
        ])
        .takes(filters())
        .streams("Events, each as its data, until the client goes or `end`.")
        .with_headers(200, &[EPOCH])
        .fails(&[STREAM, QUERY, PLACE, EVENTS, LIVE])
}

/// Several streams at once.
fn several() -> Vec<Op> {
    let cursor = || {
        [
            query("cursor", number(), "The newest `id` that was seen; now unless given.")
                .example(Some(1.into())),
            live(),
            last_event_id(number().into(), "The same, from an `EventSource`. It wins."),
        ]
    };
    let said = "Server-sent events in the order of their commit. Each has its `stream` in front, and \
        its place in the order of the whole server as `id`: the cursor to come back with.";
    let channels = query("channels", line(), "Up to 64 names, with commas between them.")
        .required(utoipa::openapi::Required::True)
        .example(Some("session:*,config:*".into()));
    let events = "Events, until the client goes or `end`.";
    vec![
        Op::new(Get, paths::CHANNELS, "followChannels", "Events of several streams as they come")
            .says(said)
            .takes([channels])
            .takes(cursor())
            .streams(events)
            .fails(&[QUERY, LIVE]),
        Op::new(
            Get,
            paths::CHANNEL,
            "followChannel",
            "Events of the streams of one name as they come",
        )
        .says(said)
        .takes(cursor())
        .streams(events)
        .fails(&[QUERY, PATH, LIVE]),
        Op::new(Get, paths::BUS, "bus", "Events of all sessions, for clients of a coding agent")
            .says("Each event as `type` and `properties`; `server.connected` comes first.")
            .takes(cursor())
            .streams(events)
            .fails(&[QUERY, LIVE]),
    ]
}
