//! Appends of events: one, an array (atomic), or NDJSON (see `ndjson.rs`).

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::request::Parts,
    response::Response,
};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::ndjson;
use crate::{
    auth::{Access, Right},
    http::{
        App, access,
        body::Incoming,
        error::Fail,
        extract::{Kind, json, kind, stream_path, unsupported, whole_body},
        params::{Params, wrong},
    },
    limits,
    log::{self, Append, AppendError, Appended, Offset, PathError, StreamPath},
    session::{EventBatch, EventError, EventId, Form, Rules},
    wire::bodies::{AppendAnswer, BatchAnswer},
};

/// `POST /api/streams?sessionId=ID`: one message.
pub(in crate::http) async fn message(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (parts, mut body) = request.into_parts();
    let params = Params::of(&parts.uri)?;
    let id = params.get("sessionId")?.ok_or_else(|| {
        wrong("sessionId", "is missing; it says which session the message belongs to")
    })?;
    let path = StreamPath::session(id)
        .map_err(|error| wrong("sessionId", &format!("is no session id: {error}")))?;
    let access = access::of(&parts.extensions);
    access::allow(&app, &access, Right::Write, &path).await?;
    let asked = Asked::of(&params)?;
    if kind(&parts.headers)? != Kind::Json {
        return Err(unsupported("this route takes one message"));
    }
    let body = whole_body(&app, &parts.extensions, &mut body).await?;
    one(To { app: &app, path: &path, access: &access }, &body, Form::Message, asked).await
}

/// `POST /api/sessions/{id}/events`, `POST /api/events/{path}`: events.
pub(in crate::http) async fn to_path(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fail> {
    let (mut parts, mut body) = request.into_parts();
    let path = stream_path(&app, &mut parts, Right::Write).await?;
    let access = access::of(&parts.extensions);
    events(To { app: &app, path: &path, access: &access }, &parts, &mut body).await
}

/// The same again, of a stream that is known already.
pub(in crate::http) async fn to_stream(
    app: &App,
    stream: Result<StreamPath, PathError>,
    parts: &Parts,
    body: &mut Body,
) -> Result<Response, Fail> {
    let path = stream?;
    let access = access::of(&parts.extensions);
    access::allow(app, &access, Right::Write, &path).await?;
    events(To { app, path: &path, access: &access }, parts, body).await
}

/// Where events go, and who sends them.
#[derive(Clone, Copy)]
pub(super) struct To<'a> {
    pub(super) app: &'a App,
    pub(super) path: &'a StreamPath,
    pub(super) access: &'a Access,
}

/// What the query of an append asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Where the stream must end.
    pub(super) expected: Option<Offset>,
    /// Whether events are checked against the vocabulary.
    pub(super) validate: bool,
    /// Events are taken to the byte, each of them, whatever ids are known.
    pub(super) verbatim: bool,
}

impl Asked {
    fn of(params: &Params<'_>) -> Result<Self, Fail> {
        let expected = params.offset("expectedOffset")?;
        let validate = params.switch("validate")?.unwrap_or(true);
        let verbatim = params.switch("verbatim")?.unwrap_or(false);
        Ok(Self { expected, validate, verbatim })
    }

    /// The rules for events of this form.
    pub(super) fn rules(self, form: Form) -> Rules {
        let form = if self.is_verbatim(form) { Form::Verbatim } else { form };
        Rules { form, validate: self.validate }
    }

    /// A message is never taken to the byte: what it lacks is filled in.
    fn is_verbatim(self, form: Form) -> bool {
        self.verbatim && form == Form::Event
    }
}

async fn events(to: To<'_>, parts: &Parts, body: &mut Body) -> Result<Response, Fail> {
    let asked = Asked::of(&Params::of(&parts.uri)?)?;
    match kind(&parts.headers)? {
        Kind::Ndjson => {
            let incoming = Incoming::ndjson(body, &**to.app.log().clock());
            json(&ndjson::append_all(to, asked, incoming).await?)
        }
        Kind::Json => {
            let body = whole_body(to.app, &parts.extensions, body).await?;
            if body.trim_ascii_start().first() == Some(&b'[') {
                many(to, &body, asked).await
            } else {
                one(to, &body, Form::Event, asked).await
            }
        }
    }
}

/// Appends a batch in one step.
pub(super) async fn append(
    to: To<'_>,
    batch: EventBatch,
    asked: Asked,
) -> Result<(SmallVec<[EventId; 1]>, Appended), Fail> {
    let (ids, records) = batch.finish();
    let payloads = records.iter().map(|record| &*record.payload);
    access::vouch(to.access, !asked.verbatim, payloads)?;
    let spec = to.app.json();
    let append = Append {
        records,
        expected: asked.expected,
        verbatim: asked.verbatim,
        create: Some(spec.clone()),
        content_type: Some(Arc::clone(&spec.content_type)),
        ..Append::default()
    };
    access::still_theirs(to.app, to.access, to.path).await?;
    Ok((ids, to.app.log().append(to.path, append).await?))
}

async fn one(to: To<'_>, body: &Bytes, form: Form, asked: Asked) -> Result<Response, Fail> {
    let mut batch = EventBatch::with_capacity(body.len() + ENVELOPE_BYTES);
    batch.push(body, asked.rules(form), &to.app.maker(to.access))?;
    let asked = Asked { verbatim: asked.is_verbatim(form), ..asked };
    let appended = append(to, batch, asked).await;
    let (ids, appended) = appended.map_err(|fail| fail.with(|problem| problem.index = None))?;
    json(&AppendAnswer {
        ok: true,
        offset: appended.last.0,
        id: ids.into_iter().next().map(|id| id.text).unwrap_or_default(),
        duplicate: appended.placed.iter().all(|placed| placed.duplicate),
    })
}

/// What the envelope adds to an event at most, but for its own names.
const ENVELOPE_BYTES: usize = 192;

async fn many(to: To<'_>, body: &Bytes, asked: Asked) -> Result<Response, Fail> {
    let batch = batch_of(to, body, asked.rules(Form::Event))?;
    let (ids, appended) = append(to, batch, asked).await?;
    let duplicates = appended.placed.iter().filter(|placed| placed.duplicate).count();
    json(&BatchAnswer {
        ok: true,
        offset: appended.last.0,
        count: ids.len() as u64,
        duplicates: duplicates as u64,
        offsets: appended.placed.iter().map(|placed| placed.offset.0).collect(),
        ids: ids.iter().map(|id| id.text.to_string()).collect(),
    })
}

fn batch_of(to: To<'_>, body: &Bytes, rules: Rules) -> Result<EventBatch, Fail> {
    let Ok(text) = std::str::from_utf8(body) else {
        log::json::validate(body)?;
        return Err(EventError::NotUtf8.into());
    };
    let elements: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| Fail::from(log::json::JsonError::from(error)))?;
    if elements.len() > limits::BATCH_RECORDS_MAX {
        let (count, max) = (elements.len(), limits::BATCH_RECORDS_MAX);
        return Err(AppendError::BatchCount { count, max }.into());
    }
    let maker = to.app.maker(to.access);
    let mut batch = EventBatch::with_capacity(body.len() + elements.len() * ENVELOPE_BYTES);
    for (index, element) in elements.into_iter().enumerate() {
        let pushed = batch.push_parsed(element.get(), rules, &maker);
        pushed.map_err(|error| Fail::from(error).with(|problem| problem.index = Some(index)))?;
    }
    Ok(batch)
}
