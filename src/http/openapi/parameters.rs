//! Parameters that several operations share, and what stands in paths.
//!
//! The router writes a path that may hold slashes as `{*path}`; the document has no such form, so
//! it says `{path}` and notes it.

use utoipa::openapi::{
    Required, Schema,
    path::{Parameter, ParameterBuilder, ParameterIn},
};

use super::{
    operation::{header, query},
    schemas::{count, either, flag, form, line, number, offset, something, text, time, words},
};
use crate::{limits, session::projections::Projections};

/// Nothing in a path is a control character, a slash within a segment, or nothing at all.
const SEGMENT: &str = r"[^/\u0000-\u001f\u007f-\u009f]+";

/// What may stand at a place of a path: its name, an example, and what it is.
const PLACES: &[(&str, &str, &str)] = &[
    (
        "path",
        "sessions/demo",
        "Path of the stream. It may hold slashes, which are written as they are.",
    ),
    ("id", "demo", "Id of the session, one segment; its stream is `sessions/{id}`."),
    (
        "name",
        "session:demo",
        "`session:ID`, `agent:ID`, `worker:ID`, `config:NAME`, `app`, a kind with a star such \
            as `session:*`, or `*`.",
    ),
    ("mid", "m1", "Id of the message."),
    ("messageId", "m2", "Id of the message that waits."),
    ("permissionId", "p1", "Id of the request for permission."),
    ("turnId", "01M7X448000000000000000001", "Id of the turn."),
];

/// What names a subscription.
const SUBSCRIPTION: &str =
    "Name of the subscription: 1 to 128 of A-Z, a-z, 0-9, `.`, `_`, `~`, `:` and `-`.";

/// A path as the document writes it.
pub(super) fn written(path: &str) -> String {
    path.replace("{*", "{")
}

/// The parameters of a path, with examples; `named` has those that are not the usual.
pub(super) fn places(path: &'static str, named: &[(&str, &str)]) -> Vec<Parameter> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    names.map(|(name, _)| place(name.trim_start_matches('*'), path, named)).collect()
}

fn place(name: &str, path: &str, named: &[(&str, &str)]) -> Parameter {
    let known = PLACES.iter().find(|(known, ..)| *known == name);
    let (example, said) = known.map_or(("x", "Its id."), |(_, example, said)| (*example, *said));
    let is_subscription = path.contains("{id}") && path.contains("subscriptions");
    let (example, said) = match name {
        "id" if is_subscription => ("indexer", SUBSCRIPTION),
        _ => (example, said),
    };
    let given = named.iter().find(|(place, _)| *place == name).map(|(_, example)| *example);
    let example = given.unwrap_or(example);
    let schema = match name {
        // What could not be made cannot be there either, and is answered as what is not there.
        "path" | "id" if is_subscription => something(),
        "path" => {
            form(&format!("^{SEGMENT}(/{SEGMENT})*$")).max_length(Some(limits::PATH_BYTES_MAX))
        }
        "id" => form(&format!("^{SEGMENT}$"))
            .max_length(Some(limits::PATH_BYTES_MAX - "sessions/".len())),
        "name" => form(r"^((session|agent|worker|config):.+|app|\*)$"),
        _ => text(1, limits::EVENT_ID_BYTES_MAX),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(said))
        .schema(Some(schema))
        .example(Some(example.into()))
        .build()
}

pub(super) fn from_offset(text: &str) -> ParameterBuilder {
    query("fromOffset", offset(), text)
}

pub(super) fn from_timestamp() -> ParameterBuilder {
    let text = "In place of `fromOffset`: the place before the first event appended at that time or \
        later, Unix milliseconds.";
    query("fromTimestamp", time(), text)
}

/// Which events are wanted.
pub(super) fn filters() -> [ParameterBuilder; 2] {
    [
        query("channels", line(), "Channels, with commas between them; all unless given."),
        query(
            "types",
            line(),
            "Types, with commas between them; a star at the end of a name stands for any end.",
        ),
    ]
}

pub(super) fn live() -> ParameterBuilder {
    query("live", flag(true), "`false` ends at the tail.").example(Some(false.into()))
}

pub(super) fn last_event_id(place: Schema, text: &str) -> ParameterBuilder {
    header("Last-Event-ID", either([place.into(), form("^$").into()]), text)
}

pub(super) fn projections() -> ParameterBuilder {
    let text = format!(
        "Projections, with commas between them; all unless given. There are {}.",
        Projections::names().join(", ")
    );
    query("projections", line(), &text)
}

/// Items of a view.
pub(super) fn items() -> [ParameterBuilder; 2] {
    let limit = count(1, limits::ITEMS_LIMIT_MAX, limits::ITEMS_LIMIT_DEFAULT);
    [
        query("limit", limit, "Items at most.").example(Some(10.into())),
        query("offset", number(), "Items that are passed over."),
    ]
}

/// How events are appended.
pub(super) fn append() -> [ParameterBuilder; 3] {
    [
        query("expectedOffset", offset(), "Append only if the stream ends there, else 409."),
        query(
            "validate",
            words(&["on", "off"]),
            "Whether the data of known types is checked; `on` unless given.",
        ),
        query(
            "verbatim",
            words(&["on", "off"]),
            "`on` keeps each event to the byte and gives it an offset of its own, whatever its id: \
             for copies of a stream.",
        ),
    ]
}
