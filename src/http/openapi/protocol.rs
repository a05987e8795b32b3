//! The document of the Durable Streams protocol.

use utoipa::openapi::{
    HttpMethod::{Delete, Get, Head, Post, Put},
    Type,
    path::ParameterBuilder,
};

use super::{
    operation::{Op, Said, header, query},
    problems::{APPEND, BODY, LIVE, PLACE, QUERY, STREAM, WRITE},
    schemas::{any, bare, either, form, line, named, number, text, time, whole, words},
};
use crate::{
    limits,
    wire::{self, code::Code, paths},
};

pub(super) const TAG: &str = "protocol";
pub(super) const ABOUT: &str = "The Durable Streams protocol, version 1.0, on the same streams \
    (`docs/durable-streams.md`).";

const OFFSET: &str = "^([0-9]{16}|-1)$";
const NEXT: Said = ("Stream-Next-Offset", "The offset to go on from.", || form(OFFSET).into());
const CLOSED: Said = ("Stream-Closed", "`true` where the stream takes no more.", line);
const UP_TO_DATE: Said =
    ("Stream-Up-To-Date", "`true` where nothing lies behind the answer.", line);
const CURSOR: Said = ("Stream-Cursor", "What the next live read echoes as `cursor`.", line);
const TTL: Said = ("Stream-TTL", "The time to live in seconds.", line);
const EXPIRES: Said = ("Stream-Expires-At", "The end of its life.", line);
const ETAG: Said = ("ETag", "Of this page.", line);
const EPOCH: Said = ("Producer-Epoch", "The producer's epoch.", line);
const SEQ: Said = ("Producer-Seq", "The producer's last batch.", line);
const LOCATION: Said = ("Location", "The stream's URL.", line);

pub(super) fn operations() -> Vec<Op> {
    vec![create(), append(), read(), head(), delete()]
}

fn stream(op: Op) -> Op {
    op.named("path", "notes/today")
}

/// A body of any media type; text and JSON stand for them.
fn content(op: Op, example: &str) -> Op {
    op.body_in("text/plain", bare(Type::String), "text", example.into())
        .body_without_example(wire::JSON, any().into())
}

fn closes() -> ParameterBuilder {
    header("Stream-Closed", line(), "`true` closes the stream, in the same step as the append.")
}

fn create() -> Op {
    let number = || form("^(0|[1-9][0-9]{0,12})$");
    let op = Op::new(Put, paths::PROTOCOL_STREAM, "putStream", "Create a stream")
        .says(
            "With the body, of any media type, as its first content. Creating it again in the \
            same way is a 200.",
        )
        .takes([
            closes(),
            header("Stream-TTL", number(), "Time to live in seconds, begun anew by each use."),
            header(
                "Stream-Expires-At",
                line(),
                "The end of its life, RFC 3339. Not beside \
                `Stream-TTL`.",
            ),
            header("Stream-Forked-From", line(), "The URL of the stream that it continues."),
            header(
                "Stream-Fork-Offset",
                form(OFFSET),
                "Where it leaves that stream; its tail \
                unless given.",
            ),
            header(
                "Stream-Fork-Sub-Offset",
                number(),
                "How far into the append behind that \
                place.",
            ),
        ]);
    content(op.named("path", "notes/new"), "hello")
        .or_no_body()
        .answers_empty(201, "It was created.")
        .with_headers(201, &[NEXT, CLOSED, TTL, EXPIRES, LOCATION])
        .answers_empty(200, "It was there, made in the same way.")
        .with_headers(200, &[NEXT, CLOSED, TTL, EXPIRES])
        .fails(&[STREAM, QUERY, BODY, APPEND, WRITE])
        .fails(&[&[Code::InvalidJson, Code::StreamExists, Code::TooManyForks]])
}

fn append() -> Op {
    let number = || whole(0, limits::OFFSET_MAX);
    let op =
        Op::new(Post, paths::PROTOCOL_STREAM, "appendToProtocolStream", "Append, close, or both")
            .says(
                "The body is of the stream's media type; for JSON an array is several messages. A \
             producer sends its three headers together, and each batch is taken once.",
            )
            .takes([
                closes(),
                header(
                    "Stream-Seq",
                    text(1, limits::SEQ_BYTES_MAX),
                    "Must grow, byte by byte, along the stream.",
                ),
                header(
                    "Producer-Id",
                    text(1, limits::PRODUCER_ID_BYTES_MAX),
                    "Name of the producer.",
                ),
                header("Producer-Epoch", number(), "Its epoch; an older one is fenced off."),
                header("Producer-Seq", number(), "The number of its batch, from 0."),
            ]);
    content(stream(op), " and more")
        .or_no_body()
        .answers_empty(200, "A batch of a producer was taken.")
        .with_headers(200, &[NEXT, CLOSED, EPOCH, SEQ])
        .answers_empty(204, "It is on the disk, or was there already.")
        .with_headers(204, &[NEXT, CLOSED, EPOCH, SEQ])
        .fails(&[STREAM, QUERY, BODY, APPEND, WRITE])
        .fails(&[&[
            Code::InvalidJson,
            Code::ProducerFenced,
            Code::ProducerGap,
            Code::SeqConflict,
            Code::TooManyProducers,
        ]])
}

fn read() -> Op {
    let place = either([form("^[0-9]{16}$").into(), words(&["-1", "now"]).into()]);
    let page = "The records up to the tail, in the stream's own media type: JSON as one array, \
        anything else as one run of bytes. With `live=sse`, server-sent events: `data` and `control`.";
    stream(Op::new(Get, paths::PROTOCOL_STREAM, "getStream", "Read a stream"))
        .says(
            "A page, a wait for the next one (`live=long-poll`, up to 25 s), or server-sent \
            events (`live=sse`, up to 60 s).",
        )
        .takes([
            query(
                "offset",
                place.clone(),
                "Where to begin: `-1`, `now`, or an offset of this \
                server.",
            )
            .example(Some("-1".into())),
            query(
                "timestamp",
                time(),
                "In place of `offset`: before the first record of that \
                time or later.",
            ),
            query("live", words(&["long-poll", "sse"]), "Wait for what comes."),
            query("cursor", number(), "The `Stream-Cursor` of the answer before."),
            header("If-None-Match", line(), "The `ETag` of the page that is known."),
            header("Last-Event-ID", line(), "With `live=sse`: an offset of this server, which wins over `offset`. Not looked at without."),
        ])
        .answers_in(200, "*/*", any(), page)
        .answers_in(200, wire::JSON, bare(Type::Array), page)
        .answers_in(200, wire::EVENT_STREAM, named("ServerSentEvent"), page)
        .with_headers(200, &[NEXT, CLOSED, UP_TO_DATE, CURSOR, ETAG])
        .answers_empty(204, "Nothing came in time.")
        .with_headers(204, &[NEXT, CLOSED, UP_TO_DATE, CURSOR])
        .answers_empty(304, "The page is the one that is known.")
        .token_in_query()
        .fails(&[STREAM, QUERY, PLACE, LIVE])
}

fn head() -> Op {
    stream(Op::new(Head, paths::PROTOCOL_STREAM, "headStream", "What is known of a stream"))
        .answers_empty(200, "It is there; the rest is in the headers.")
        .with_headers(200, &[NEXT, CLOSED, TTL, EXPIRES])
        .fails(&[STREAM])
}

fn delete() -> Op {
    Op::new(Delete, paths::PROTOCOL_STREAM, "deleteProtocolStream", "Delete a stream")
        .named("path", "notes/old")
        .answers_empty(204, "It is gone, or kept for its forks alone.")
        .fails(&[STREAM, WRITE])
}
