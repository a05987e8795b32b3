//! The document of the list of sessions and of their states: all of one, parts of it, what changed,
//! which event it was.
//!
//! It refuses to know what projections hold: `docs/projections.md` does.

use utoipa::openapi::{
    HttpMethod::Get,
    RefOr, Required, Schema,
    Type::{Array, Boolean, Integer, Object, String as Text},
};

use super::{
    operation::{Op, Said, query},
    parameters::{items, projections},
    problems::{EVENTS, PLACE, QUERY, STREAM},
    schemas::{any, bare, count, flag, form, object, offset, text, time, whole, words},
};
use crate::{
    limits,
    wire::{
        self,
        bodies::{BlameAnswer, SessionsAnswer, StateDiffAnswer},
        code::Code,
        paths,
    },
};

pub(super) const TAG: &str = "sessions";
pub(super) const ABOUT: &str = "Sessions and their states, which are folds of their events.";

const OFFSET: Said = ("Scrollback-Offset", "The offset that the answer stands at.", offset);

pub(super) fn operations() -> Vec<Op> {
    let mut all = vec![list()];
    all.extend(states());
    all.extend(lists());
    all.extend(paths::VIEWS.map(|(path, name)| {
        let body = object(&[("offset", bare(Integer)), (name, any().into())]);
        view(path, id_of(name), "One projection of a session", body)
    }));
    all
}

/// The name of the operation that shows a projection.
fn id_of(name: &str) -> &'static str {
    match name {
        "terminal" => "showTerminal",
        "presence" => "showPresence",
        "agents" => "showAgents",
        "queue" => "showQueue",
        "turn" => "showTurn",
        "todo" => "showTodo",
        "diff" => "showDiff",
        _ => "showProjection",
    }
}

fn list() -> Op {
    let name = || text(0, limits::PATH_BYTES_MAX);
    let status = words(&["active", "idle", "busy", "ended", "terminated"]);
    let cursor = form(r"^[0-9]{1,16}\..+$");
    Op::new(Get, paths::SESSIONS, "listSessions", "Sessions, the most recently active first")
        .says(
            "`position` is the place in the order of all events that the list stands at: `GET \
            /api/events?channels=session:*&cursor=…` goes on with the changes since.",
        )
        .takes([
            query(
                "status",
                status,
                "How they stand; `active` is not ended, which is also \
                called terminated.",
            )
            .example(Some("active".into())),
            query("worker", name(), "The worker they belong to."),
            query("parent", name(), "The session they were begun from."),
            query("roots", flag(false), "Only those that were begun from none."),
            query("archived", flag(false), "With archived ones."),
            query("search", name(), "A part of their title or id, in any case."),
            query(
                "limit",
                count(1, limits::LIST_LIMIT_MAX, limits::LIST_LIMIT_DEFAULT),
                "Sessions at most.",
            ),
            query("cursor", cursor, "The one that came with the page before."),
            query(
                "keep",
                whole(0, limits::SESSIONS_KEPT_MAX as u64),
                "Only so many of the \
                newest, those that are pinned or shared, and what these were begun from.",
            ),
        ])
        .answers::<SessionsAnswer>(200, "A page of them.")
        .fails(&[QUERY, &[Code::Unavailable]])
}

fn states() -> Vec<Op> {
    let at = |text: &str| query("at", offset(), text);
    let needed = |name: &str, text: &str, example: u64| {
        query(name, offset(), text).required(Required::True).example(Some(example.into()))
    };
    let state = object(&[("offset", bare(Integer)), ("projections", bare(Object))]);
    let pointer = form("^(/.*)?$");
    vec![
        Op::new(Get, paths::STATE, "showState", "The state of a session")
            .says("All of it or parts, now, at an offset or at a time (`docs/projections.md`).")
            .takes([
                projections().example(Some("todo,turn".into())),
                at("The state after this event; the tail unless given."),
                query("atTime", time(), "The state as it was then, Unix milliseconds."),
            ])
            .answers_in(200, wire::JSON, state, "The projections by their names.")
            .with_headers(200, &[OFFSET])
            .fails(&[STREAM, QUERY, PLACE, EVENTS]),
        Op::new(Get, paths::STATE_DIFF, "diffStates", "What changed between two offsets")
            .takes([
                needed("from", "The offset of the state before.", 0),
                needed("to", "The offset of the state after.", 1),
                projections(),
            ])
            .answers::<StateDiffAnswer>(200, "A JSON Patch that makes the one of the other.")
            .fails(&[STREAM, QUERY, PLACE, EVENTS]),
        Op::new(Get, paths::BLAME, "blame", "Which event set a value")
            .takes([
                query("pointer", pointer, "A JSON pointer that begins with a projection.")
                    .required(Required::True)
                    .example(Some("/session/exists".into())),
                at("Asks about the state after this event; the tail unless given."),
            ])
            .answers::<BlameAnswer>(200, "The last event after which the value became what it is.")
            .with_headers(200, &[OFFSET])
            .fails(&[STREAM, QUERY, PLACE, EVENTS, &[Code::NotInState]]),
    ]
}

/// Lists and parts of projections.
fn lists() -> Vec<Op> {
    let chat = |name: &str| {
        object(&[
            ("sessionID", bare(Text)),
            (name, bare(Array)),
            ("hasMore", bare(Boolean)),
            ("total", bare(Integer)),
            ("logOffset", bare(Integer)),
        ])
    };
    let calls: [(&str, RefOr<Schema>); 4] = [
        ("offset", bare(Integer)),
        ("toolCalls", bare(Array)),
        ("hasMore", bare(Boolean)),
        ("total", bare(Integer)),
    ];
    let one = object(&[("offset", bare(Integer)), ("message", bare(Object))]);
    let asked = object(&[("offset", bare(Integer)), ("permissions", bare(Object))]);
    let status = words(&["pending", "answered"]);
    vec![
        page(paths::MESSAGES, "listMessages", "Messages, the newest page first", chat("messages")),
        page(paths::CHAT_MESSAGES, "chatMessages", "The same, for chat clients", chat("messages")),
        page(paths::CHAT_DIFF, "chatDiff", "Changed files, for chat clients", chat("diff")),
        page(paths::CHAT_TASKS, "chatTodo", "To-dos, for chat clients", chat("todo")),
        page(
            paths::TOOL_CALLS,
            "listToolCalls",
            "Tool calls, the newest page first",
            object(&calls),
        ),
        view(paths::MESSAGE, "showMessage", "One message", one).fails(&[&[Code::NotInState]]),
        view(paths::PERMISSIONS, "listPermissions", "What agents ask for", asked).takes([query(
            "status",
            status,
            "Only these.",
        )
        .example(Some("pending".into()))]),
    ]
}

fn page(path: &'static str, id: &'static str, summary: &'static str, body: Schema) -> Op {
    view(path, id, summary, body).takes(items())
}

fn view(path: &'static str, id: &'static str, summary: &'static str, body: Schema) -> Op {
    Op::new(Get, path, id, summary)
        .answers_in(200, wire::JSON, body, "As it is at the offset that the answer says.")
        .with_headers(200, &[OFFSET])
        .fails(&[STREAM, QUERY, PLACE, EVENTS])
}
