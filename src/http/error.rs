//! The one place where what went wrong becomes an answer.

use axum::{
    body::Body,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};

use crate::{
    limits,
    log::{
        AppendError, ChangeError, CreateError, NoStream, Offset, PathError, ProducerError,
        ReadError, Refused, StreamGone, json::JsonError,
    },
    session::{EventError, vocabulary::FieldError},
    subscription::{ConfigError, Refusal, SubscriptionError},
    wire::{
        self,
        code::Code,
        problem::Problem,
        subscription::{ControlError, control_code},
    },
};

/// A request that failed, as it is answered.
#[derive(Debug)]
pub(super) struct Fail(Box<Problem>, Vec<(HeaderName, HeaderValue)>);

impl Fail {
    /// A failure with nothing but its code and message.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(code, message)), Vec::new())
    }

    /// A parameter or header that may not be what it is.
    pub(super) fn parameter(field: &str, message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameter, message).with(|problem| {
            problem.field = Some(field.to_owned());
        })
    }

    /// A failure of the protocol's subscription APIs.
    pub(super) fn control(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, message).with(|problem| {
            problem.error = control_code(code).map(|code| ControlError {
                code: code.to_owned(),
                current_holder: None,
                generation: None,
            });
        })
    }

    fn about_wake(self, holder: Option<String>, generation: u64) -> Self {
        self.with(|problem| {
            if let Some(error) = &mut problem.error {
                (error.current_holder, error.generation) = (holder, Some(generation));
            }
        })
    }

    /// The same with more said about it.
    pub(super) fn with(mut self, say: impl FnOnce(&mut Problem)) -> Self {
        say(&mut self.0);
        self
    }

    /// The same with a header.
    pub(super) fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.1.push((name, value.into()));
        self
    }
}

impl IntoResponse for Fail {
    fn into_response(self) -> Response {
        // A problem has no value that JSON cannot hold.
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        let status = StatusCode::from_u16(self.0.status);
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        // The protocol's subscription APIs have a form of their own, and it is plain JSON.
        let kind = if self.0.error.is_some() { wire::JSON } else { wire::PROBLEM };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if self.0.status == 503 {
            headers.insert(RETRY_AFTER, HeaderValue::from(limits::RETRY_AFTER_SECS));
        }
        headers.extend(self.1);
        // `seen.rs` says in it which request it was.
        response.extensions_mut().insert(self.0);
        response
    }
}

impl From<Refused> for Fail {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => Self::new(
                Code::Busy,
                "more appends are waiting than the disk can take; send it again shortly",
            ),
            Refused::Full => Self::new(
                Code::DiskFull,
                "no space is left for the log; reads go on, and writing resumes once there is room",
            ),
            Refused::Poisoned(reason) => Self::new(
                Code::Poisoned,
                format!(
                    "a flush failed ({reason}) and the server is about to end; whether this \
                     request took place is known after its restart: send it again with the same \
                     ids, or read first"
                ),
            ),
            Refused::Closed => {
                Self::new(Code::Stopping, "the server is stopping; send it again shortly")
            }
            Refused::Unavailable(reason) => Self::new(
                Code::Unavailable,
                format!("the store does not answer: {reason}; send it again shortly"),
            ),
            Refused::Contended => Self::new(
                Code::Contended,
                "other writers were first each time; nothing was written, send it again",
            ),
        }
    }
}

impl From<NoStream> for Fail {
    fn from(fact: NoStream) -> Self {
        Self::new(
            Code::StreamNotFound,
            format!("{fact}; it begins with its first event, or with PUT /api/streams/{{path}}"),
        )
    }
}

impl From<StreamGone> for Fail {
    fn from(fact: StreamGone) -> Self {
        Self::new(Code::StreamGone, fact.to_string())
    }
}

impl From<PathError> for Fail {
    fn from(error: PathError) -> Self {
        Self::new(Code::InvalidPath, error.to_string())
    }
}

impl From<AppendError> for Fail {
    fn from(error: AppendError) -> Self {
        let message = error.to_string();
        match error {
            AppendError::NoStream(fact) => fact.into(),
            AppendError::Gone(fact) => fact.into(),
            AppendError::Mismatch(fact) => Self::new(
                Code::OffsetMismatch,
                format!("{message}; read what was appended since, and decide again"),
            )
            .with(|problem| {
                problem.expected = Some(fact.expected.0);
                problem.actual = Some(fact.actual.0);
            }),
            AppendError::Closed(fact) => {
                Self::new(Code::StreamClosed, format!("{message} and takes no more events"))
                    .with(|problem| problem.tail = Some(fact.tail.0))
            }
            AppendError::ContentType(_) => Self::new(
                Code::ContentTypeMismatch,
                format!("{message}; events go to streams of {}", wire::JSON),
            ),
            AppendError::Producer(error @ ProducerError::Fenced { .. }) => {
                Self::new(Code::ProducerFenced, format!("{error}; begin a new epoch, or stop"))
            }
            AppendError::Producer(error @ ProducerError::Gap { expected, received }) => {
                Self::new(Code::ProducerGap, format!("{error}; send those before it first")).with(
                    |problem| {
                        problem.expected = Some(expected);
                        problem.actual = Some(received);
                    },
                )
            }
            AppendError::Producer(error @ ProducerError::EpochStart { .. }) => {
                Self::new(Code::InvalidParameter, message.clone()).with(|problem| {
                    problem.field = Some("Producer-Seq".to_owned());
                    problem.message = error.to_string();
                })
            }
            AppendError::TooManyProducers { .. } => Self::new(
                Code::TooManyProducers,
                format!("{message}; give each writer one id, and a new epoch when it restarts"),
            ),
            AppendError::Seq(_) => Self::new(
                Code::SeqConflict,
                format!("{message}; sequences are compared byte by byte and must grow"),
            ),
            AppendError::RecordTooLarge { index, bytes, .. } => {
                event_too_large(bytes).with(|problem| problem.index = Some(index))
            }
            AppendError::BatchCount { count: 0, .. } => {
                Self::new(Code::EmptyBatch, "the array has no events; send at least one")
            }
            AppendError::BatchCount { .. } | AppendError::BatchBytes { .. } => Self::new(
                Code::BatchTooLarge,
                format!("{message}; split it, or send NDJSON, which has no bound"),
            ),
            AppendError::Refused(refused) => refused.into(),
        }
    }
}

impl From<SubscriptionError> for Fail {
    fn from(error: SubscriptionError) -> Self {
        let message = error.to_string();
        let control = |code, hint: &str| Self::control(code, format!("{message}; {hint}"));
        match error {
            SubscriptionError::NotFound(_) => {
                control(Code::SubscriptionNotFound, "it was deleted, or never made")
            }
            SubscriptionError::Exists(_) => {
                control(Code::SubscriptionExists, "delete it first, or ask for the one it has")
            }
            SubscriptionError::Config(ConfigError::Target(_)) => {
                Self::control(Code::WebhookUrlRejected, message)
            }
            SubscriptionError::Config(_) => Self::control(Code::InvalidSubscription, message),
            SubscriptionError::NoPublicUrl => control(
                Code::InvalidSubscription,
                "start it with --public-url, so that webhooks know where to call back",
            ),
            SubscriptionError::TooMany { .. } => {
                control(Code::TooManySubscriptions, "delete some that have no use")
            }
            SubscriptionError::Refused(refusal) => refusal.into(),
            SubscriptionError::Log(refused) => refused.into(),
        }
    }
}

impl From<Refusal> for Fail {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let control = |code, hint: &str| Self::control(code, format!("{message}; {hint}"));
        match refusal {
            Refusal::Token => control(Code::TokenInvalid, "send the one that came with the wake"),
            Refusal::Fenced { generation } => {
                control(Code::WakeFenced, "nothing was acknowledged; leave it to the next wake")
                    .about_wake(None, generation)
            }
            Refusal::Claimed { holder, generation } => {
                control(Code::AlreadyClaimed, "wait for the next wake")
                    .about_wake(Some(holder.to_string()), generation)
            }
            Refusal::NothingPending => control(Code::NothingPending, "wait for the next wake"),
            Refusal::NotPullWake | Refusal::NotWebhook => {
                Self::control(Code::InvalidSubscription, message)
            }
            Refusal::Ack { .. } => {
                control(Code::InvalidAck, "nothing was acknowledged; ask where it stands")
            }
        }
    }
}

/// An event above the bound.
pub(super) fn event_too_large(bytes: usize) -> Fail {
    Fail::new(
        Code::EventTooLarge,
        format!(
            "the event has {bytes} bytes; at most {} are allowed: keep larger things elsewhere \
             and append a link",
            limits::RECORD_BYTES_MAX
        ),
    )
}

impl From<EventError> for Fail {
    fn from(error: EventError) -> Self {
        let message = error.to_string();
        match error {
            EventError::Json(error) => error.into(),
            EventError::NotUtf8 => Self::new(Code::InvalidJson, message),
            EventError::NotAnObject => Self::new(Code::InvalidEvent, message),
            EventError::Field { field, .. } => Self::new(Code::InvalidEvent, message)
                .with(|problem| problem.field = Some(field.to_owned())),
            EventError::Data(FieldError { path, .. }) => {
                Self::new(Code::InvalidEvent, message).with(|problem| problem.field = Some(path))
            }
        }
    }
}

impl From<JsonError> for Fail {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::TooDeep => Self::new(Code::JsonTooDeep, format!("the JSON is {error}")),
            JsonError::Invalid { .. } => {
                Self::new(Code::InvalidJson, format!("the JSON is not valid: {error}"))
            }
        }
    }
}

impl From<ReadError> for Fail {
    fn from(error: ReadError) -> Self {
        let message = error.to_string();
        match error {
            ReadError::NoStream(fact) => fact.into(),
            ReadError::Gone(fact) => fact.into(),
            ReadError::Trimmed { earliest } => trimmed(earliest),
            ReadError::Lost { to, .. } => Self::new(
                Code::RecordsDamaged,
                format!("{message}; the others are not: go on from `resumeFrom`"),
            )
            .with(|problem| problem.resume_from = Some(to.0)),
            ReadError::Beyond { tail } => Self::new(
                Code::OffsetBeyondTail,
                format!(
                    "{message}; the offset is of another stream, or the stream was deleted and \
                     made anew"
                ),
            )
            .with(|problem| problem.tail = Some(tail.0)),
            ReadError::Unavailable(reason) => Refused::Unavailable(reason).into(),
        }
    }
}

/// Records that retention has removed.
pub(super) fn trimmed(earliest: Offset) -> Fail {
    Fail::new(
        Code::OffsetTrimmed,
        format!("records before {earliest} are no longer kept; go on from `resumeFrom`"),
    )
    .with(|problem| {
        problem.earliest = Some(earliest.0);
        problem.resume_from = Some(earliest.0.saturating_sub(1));
    })
}

impl From<ChangeError> for Fail {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NoStream(fact) => fact.into(),
            ChangeError::Gone(fact) => fact.into(),
            ChangeError::Refused(refused) => refused.into(),
        }
    }
}

impl From<CreateError> for Fail {
    fn from(error: CreateError) -> Self {
        let message = error.to_string();
        match error {
            CreateError::Exists(_) => Self::new(
                Code::StreamExists,
                format!("{message}; delete it first, or ask for the one it has"),
            ),
            CreateError::NoSource(fact) => fact.into(),
            CreateError::ForkBeyond { .. } => Self::parameter("Stream-Fork-Offset", message),
            CreateError::TooManyForks { .. } => Self::new(Code::TooManyForks, message),
            CreateError::ForkTooDeep { .. } => Self::parameter("Stream-Forked-From", message),
            CreateError::Records(error) => (*error).into(),
            CreateError::Refused(refused) => refused.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn answered(refused: Refused) -> (u16, String, bool) {
        let fail = Fail::from(refused);
        let code = fail.0.code.as_str().to_owned();
        let response = fail.into_response();
        (response.status().as_u16(), code, response.headers().contains_key(RETRY_AFTER))
    }

    #[test]
    fn what_stands_between_a_write_and_the_disk_has_an_answer_of_its_own() {
        let reason: Arc<str> = Arc::from("fsync: EIO");
        for (refused, status, code, retry_after) in [
            (Refused::Busy, 503, "busy", true),
            (Refused::Full, 507, "disk_full", false),
            (Refused::Poisoned(Arc::clone(&reason)), 503, "poisoned", true),
            (Refused::Closed, 503, "stopping", true),
            (Refused::Unavailable(reason), 503, "unavailable", true),
            (Refused::Contended, 503, "contended", true),
        ] {
            assert_eq!(answered(refused), (status, code.to_owned(), retry_after));
        }
    }

    #[test]
    fn a_damaged_range_says_where_to_go_on() {
        let (from, to) = (Offset(3), Offset(5));
        let fail = Fail::from(ReadError::Lost { from, to, reason: Arc::from("bad checksum") });
        assert_eq!((fail.0.status, fail.0.resume_from), (410, Some(5)));
        assert_eq!(
            fail.0.message,
            "records 3 to 5 are damaged: bad checksum; the others are not: go on from `resumeFrom`"
        );
    }
}
