//! What can go wrong, as answers of the document: one for each status, with the codes that it may
//! have.
//!
//! Invariant: a code stands at the status that `wire::code` gives it.

use std::collections::BTreeMap;

use utoipa::openapi::{
    Content, Header, ObjectBuilder, RefOr, Response, Schema, Type, schema::AllOfBuilder,
};

use super::schemas;
use crate::wire::{self, code::Code, problem::Problem, subscription::control_code};

/// The path names no stream.
pub(super) const PATH: &[Code] = &[Code::InvalidPath];
/// The stream is not there.
pub(super) const STREAM: &[Code] =
    &[Code::InvalidPath, Code::StreamNotFound, Code::StreamGone, Code::Unavailable];
/// Whoever may not see the stream is told that it is not there, where it could be created too.
pub(super) const HIDDEN: &[Code] = &[Code::StreamNotFound];
/// The query is wrong.
pub(super) const QUERY: &[Code] = &[Code::InvalidParameter];
/// What is read is not there, or cannot be read.
pub(super) const PLACE: &[Code] =
    &[Code::OffsetTrimmed, Code::RecordsDamaged, Code::OffsetBeyondTail];
/// The stream holds no events.
pub(super) const EVENTS: &[Code] = &[Code::ContentTypeMismatch];
/// A live reader more.
pub(super) const LIVE: &[Code] = &[Code::Stopping, Code::TooManyReaders];
/// A body of any kind.
pub(super) const BODY: &[Code] =
    &[Code::IncompleteBody, Code::BodyTimeout, Code::BodyTooLarge, Code::Busy];
/// A body of JSON.
pub(super) const JSON: &[Code] =
    &[Code::UnsupportedContentType, Code::InvalidJson, Code::JsonTooDeep];
/// What stands between a write and the disk.
pub(super) const WRITE: &[Code] = &[
    Code::Busy,
    Code::Stopping,
    Code::Unavailable,
    Code::Poisoned,
    Code::DiskFull,
    Code::Contended,
];
/// Records that are appended.
pub(super) const APPEND: &[Code] = &[
    Code::StreamGone,
    Code::StreamClosed,
    Code::ContentTypeMismatch,
    Code::EventTooLarge,
    Code::BatchTooLarge,
];

/// What every operation can be answered with, by its code; those that this server does not have yet
/// are passed over.
const ALWAYS: &[&str] = &["unauthenticated", "forbidden", "too_many_requests", "internal"];
/// The same where no token is asked for. Forbidden is what comes under a name that somebody else may
/// point at the server.
const ALWAYS_PUBLIC: &[&str] = &["forbidden", "too_many_requests", "internal"];

/// The answers that say what went wrong, by status.
pub(super) fn answers(codes: &[Code], is_public: bool) -> BTreeMap<u16, Response> {
    let always = if is_public { ALWAYS_PUBLIC } else { ALWAYS };
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL {
        if codes.contains(code) || always.contains(&code.as_str()) {
            by_status.entry(code.status()).or_default().push(*code);
        }
    }
    by_status.into_iter().map(|(status, codes)| (status, answer(status, &codes))).collect()
}

fn answer(status: u16, codes: &[Code]) -> Response {
    let said: Vec<_> =
        codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.title())).collect();
    let mut answer = Response::new(said.join("; "));
    let (control, plain): (Vec<Code>, Vec<Code>) =
        codes.iter().partition(|code| control_code(**code).is_some());
    // The protocol's subscription APIs have a form of their own, and it is plain JSON.
    for (kind, codes) in [(wire::PROBLEM, plain), (wire::JSON, control)] {
        if !codes.is_empty() {
            answer.content.insert(kind.to_owned(), Content::new(Some(with_codes(&codes))).into());
        }
    }
    if matches!(status, 429 | 503) {
        let mut wait = Header::new(schemas::whole(0, u64::from(u32::MAX)));
        wait.description = Some("Seconds to wait before it is sent again.".to_owned());
        answer.headers.insert("Retry-After".to_owned(), wait.into());
    }
    answer
}

/// A problem with one of these codes.
fn with_codes(codes: &[Code]) -> RefOr<Schema> {
    let names = codes.iter().map(|code| code.as_str());
    let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
    let with = ObjectBuilder::new().property("code", code);
    RefOr::T(AllOfBuilder::new().item(schemas::of::<Problem>()).item(with).into())
}
